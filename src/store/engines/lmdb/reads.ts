/**
 * Reads of objects and versions, at the present and in the past.
 *
 * Invariants: a page is read in slices with a turn between; each slice has a snapshot of its own, and all of them show one
 * revision. An object at a past revision is the newest version at or below it, in `obj` or, when superseded since, in `hist`.
 */
import { CorruptError } from '../../../schemas/index.js';
import type {
  Entry,
  IndexEntry,
  InPlaceRange,
  Key,
  Prefix,
  RangeOptions,
  RangeResult,
  VersionPosition,
  VersionsOptions,
} from '../../engine.js';
import { checkLimit, checkReadable } from '../checks.js';
import { Candidates } from './candidates.js';
import { behind, describeBytes, indexRange, objectKey, parseKey, prefixRange, readRevision, REVISION_SUFFIX, versionKey } from './keys.js';
import type { KeyRange } from './keys.js';
import { decodeRecord, detached, isTombstone, looksSound, RecordEntry, revisionOfRecord } from './record.js';
import type { Session, Snapshot } from './session.js';
import { first } from './tables.js';
import type { Table, Tables } from './tables.js';

/** How much one slice may hold before others get a turn. */
const SLICE_ENTRIES = 512;
const SLICE_BYTES = 2 * 1024 * 1024;

/** The object of a version's key. */
function objectOf(version: Buffer): Buffer {
  return version.subarray(0, version.length - REVISION_SUFFIX);
}

function revisionOf(version: Buffer): number {
  return readRevision(version, version.length - REVISION_SUFFIX + 1);
}

/** The record that shows an object at a revision; a tombstone shows nothing. */
function recordAt({ obj, hist }: Tables, object: Buffer, at: number): Buffer | undefined {
  const current = obj.getBinary(object);
  if (current !== undefined && (!looksSound(current) || revisionOfRecord(current) <= at)) return current;
  const superseded = first(hist, { start: versionKey(object, at), end: versionKey(object, 0), reverse: true });
  return superseded === undefined || isTombstone(superseded.value) ? undefined : superseded.value;
}

/** The version that a revision wrote, shown in place by `entry`. @throws {CorruptError} when it is not there */
export function versionAt<T>({ obj, hist }: Tables, entry: RecordEntry, object: Buffer, revision: number, use: (entry: Entry) => T): T {
  let record: Buffer | undefined = obj.getBinaryFast(object);
  if (record === undefined || revisionOfRecord(record) !== revision) record = hist.getBinaryFast(versionKey(object, revision));
  if (record === undefined)
    throw new CorruptError(`the version of ${describeBytes(object)} that revision ${revision} wrote is missing; restore from a backup`);
  entry.show(object, 0, object.length, record, record.length, undefined);
  return use(entry);
}

export class Reader {
  readonly #session: Session;
  /** What is shown in place; one at a time. */
  readonly #entry = new RecordEntry();

  constructor(session: Session) {
    this.#session = session;
  }

  get(key: Key, at?: number): Entry | undefined {
    return at === undefined ? this.getInPlace(key, keep) : this.#getAt(key, objectKey(key), at);
  }

  getInPlace<T>(key: Key, use: (entry: Entry) => T, planning = false): T | undefined {
    const session = this.#session;
    const object = objectKey(key);
    const record = session.glance(() => session.tables.obj.getBinaryFast(object), planning);
    if (record !== undefined) {
      this.#entry.show(object, 0, object.length, record, record.length, key);
      const { revision } = this.#entry;
      if (revision <= session.visible || !session.committing) {
        const used = use(this.#entry);
        // Who hears of it may read, and what was in place is gone then.
        session.noteForeign(revision);
        return used;
      }
    } else if (!session.committing) {
      session.noteMissed();
      return undefined;
    }
    // What is there or gone is a commit's that may be on disk already, but not yet with its writers.
    const entry = this.#getAt(key, object, undefined);
    return entry && use(entry);
  }

  #getAt(key: Key, object: Buffer, at: number | undefined): Entry | undefined {
    const { tables } = this.#session;
    return this.#session.read((snapshot) => {
      if (at !== undefined) checkReadable(at, snapshot.current, snapshot.compacted);
      const record = recordAt(tables, object, at ?? snapshot.current);
      return record && decodeRecord(object, record, key);
    });
  }

  async range(prefix: Prefix, options: RangeOptions): Promise<RangeResult> {
    const { items, revision, next } = await this.rangeInPlace(prefix, options, keep);
    return { entries: items, revision, more: next !== undefined };
  }

  async rangeInPlace<T>(
    prefix: Prefix,
    options: RangeOptions,
    use: (entry: Entry) => T,
  ): Promise<InPlaceRange<T> & { readonly items: T[]; readonly revision: number }> {
    const limit = checkLimit(options.limit);
    const { start, end } = prefixRange(prefix);
    const candidates = options.index && new Candidates(this.#session.tables, options.index, { start, end });
    const after = options.after && objectKey(options.after);
    let from = after !== undefined && Buffer.compare(after, start) >= 0 ? behind(after) : start;
    const items: T[] = [];
    let at = options.at;
    for (;;) {
      const slice = this.#session.read((snapshot) => {
        if (at === undefined) at = snapshot.current;
        else checkReadable(at, snapshot.current, snapshot.compacted);
        return this.#slice({ start: from, end }, { items, limit, use, candidates }, at, snapshot);
      });
      if (slice.end !== 'full') return { items, revision: at as number, next: slice.end === 'limit' ? parseKey(slice.last) : undefined };
      from = behind(slice.last);
      await this.#session.deps.scheduler.turn();
    }
  }

  /** What a range shows at a revision, up to a slice of it. */
  #slice<T>(range: KeyRange, into: Into<T>, at: number, { newest }: Snapshot): SliceEnd {
    const slice = new Slice(into, this.#entry);
    const { candidates } = into;
    if (candidates?.follow(at, newest) === true) {
      this.#pick(candidates.within(range), slice, at);
      return slice.end;
    }
    // Nothing was written since: what is there now is what was there then.
    if (at === newest) this.#session.tables.scan(range, (keys, start, end, record, length) => slice.take(keys, start, end, record, length));
    else {
      const gone = new Superseded(this.#session.tables.hist, range, at);
      try {
        this.#merge(range, slice, at, gone);
      } finally {
        gone.close();
      }
    }
    return slice.end;
  }

  /** Those of some objects that are there at a revision. */
  #pick(objects: Iterable<Buffer>, slice: Slice<unknown>, at: number): void {
    for (const object of objects) {
      const record = recordAt(this.#session.tables, object, at);
      if (record !== undefined && !slice.take(object, 0, object.length, record, record.length)) return;
    }
  }

  #merge(range: KeyRange, slice: Slice<unknown>, at: number, gone: Superseded): void {
    const take = (object: Buffer, record: Buffer): boolean => slice.take(object, 0, object.length, record, record.length);
    for (const { key, value } of this.#session.tables.obj.getRange(range)) {
      // Objects that are deleted now and were there then lie between those that are there.
      for (let older = gone.next(key); older !== undefined; older = gone.next(key)) if (!take(older.object, older.record)) return;
      const newer = looksSound(value) && revisionOfRecord(value) > at;
      const older = gone.at(key, newer);
      const record = newer ? older : value;
      if (record !== undefined && !take(key, record)) return;
    }
    for (let older = gone.next(undefined); older !== undefined; older = gone.next(undefined)) if (!take(older.object, older.record)) return;
  }

  lookup(entry: IndexEntry, after: Key | undefined, limit: number): Key[] {
    const { start, end } = indexRange(entry);
    const from = after === undefined ? start : Buffer.concat([start, behind(objectKey(after))]);
    return this.#session.read(() => {
      const keys: Key[] = [];
      for (const key of this.#session.tables.idx.getKeys({ start: from, end, ...(limit === Infinity ? {} : { limit }) }))
        keys.push(parseKey(key, start.length));
      return keys;
    });
  }

  versions(key: Key, { limit, before = Infinity }: VersionsOptions = {}): Entry[] {
    const most = checkLimit(limit);
    const object = objectKey(key);
    return this.#session.read(({ current }) => {
      const entries: Entry[] = [];
      const below = Math.min(before - 1, current);
      const { obj, hist } = this.#session.tables;
      const record = obj.getBinary(object);
      if (record !== undefined && (!looksSound(record) || revisionOfRecord(record) <= below))
        entries.push(decodeRecord(object, record, key));
      if (entries.length < most && below > 0) {
        const range = {
          start: versionKey(object, below),
          end: versionKey(object, 0),
          reverse: true,
          ...(most === Infinity ? {} : { limit: most - entries.length }),
        };
        for (const { value } of hist.getRange(range)) entries.push(decodeRecord(object, value, key));
      }
      return entries;
    });
  }

  /** Every kept version under a prefix: by key, then oldest first. */
  async walk(prefix: Prefix, after: VersionPosition | undefined, limit: number): Promise<{ entries: Entry[]; more: boolean }> {
    const { start, end } = prefixRange(prefix);
    const entries: Entry[] = [];
    let position: Position | undefined = after && { object: objectKey(after.key), revision: after.revision };
    if (position !== undefined && Buffer.compare(position.object, start) < 0) position = undefined;
    for (;;) {
      const more = this.#session.read(() => {
        let count = 0;
        for (const [object, record] of this.#allVersions({ start, end }, position)) {
          const revision = revisionOfRecord(record);
          if (position !== undefined && revision <= position.revision && object.equals(position.object)) continue;
          if (entries.length >= limit) return 'more';
          entries.push(decodeRecord(object, record));
          if (++count < SLICE_ENTRIES) continue;
          position = { object, revision };
          return 'slice';
        }
        return 'end';
      });
      if (more !== 'slice') return { entries, more: more === 'more' };
      await this.#session.deps.scheduler.turn();
    }
  }

  /** Merges `hist` and `obj`: the superseded versions of each object, then its current one; from `position` on, if there is one. */
  *#allVersions({ start, end }: KeyRange, position: Position | undefined): IterableIterator<[Buffer, Buffer]> {
    // An object that is written all the time has many versions: those before are not looked at again.
    const first = position === undefined ? start : versionKey(position.object, position.revision);
    const superseded = this.#session.tables.hist.getRange({ start: first, end })[Symbol.iterator]();
    try {
      let old = superseded.next();
      for (const { key, value } of this.#session.tables.obj.getRange({ start: position?.object ?? start, end })) {
        for (; old.done !== true && Buffer.compare(objectOf(old.value.key), key) <= 0; old = superseded.next())
          yield [objectOf(old.value.key), old.value.value];
        yield [key, value];
      }
      for (; old.done !== true; old = superseded.next()) yield [objectOf(old.value.key), old.value.value];
    } finally {
      superseded.return?.();
    }
  }
}

/** An entry that outlives what it was read from. */
export function keep(entry: Entry): Entry {
  return detached(entry, entry.value && Buffer.from(entry.value));
}

/** A version in the order of a walk. */
interface Position {
  readonly object: Buffer;
  readonly revision: number;
}

/** Where the items of a range go, how many they may be, what makes them, and among which objects they are. */
interface Into<T> {
  readonly items: T[];
  readonly limit: number;
  readonly use: (entry: Entry) => T;
  readonly candidates: Candidates | undefined;
}

/** Why a slice ended: there is no more, or (behind which key) there is but the slice is full or the limit reached. */
type SliceEnd = { readonly end: 'done' } | { readonly end: 'full' | 'limit'; readonly last: Buffer };

/** One slice of a range being read: as much as others can wait for. */
class Slice<T> {
  readonly #into: Into<T>;
  readonly #entry: RecordEntry;
  readonly #most: number;
  #bytes = 0;
  #last: Buffer | undefined;
  #end: SliceEnd = { end: 'done' };

  constructor(into: Into<T>, entry: RecordEntry) {
    this.#into = into;
    this.#entry = entry;
    this.#most = into.items.length + SLICE_ENTRIES;
  }

  get end(): SliceEnd {
    return this.#end;
  }

  /** Takes what is next in the range; true when there is room for more, or it has to be seen whether there is more. */
  take(keys: Buffer, start: number, end: number, record: Buffer, length: number): boolean {
    const { items, limit, use } = this.#into;
    if (this.#last !== undefined) {
      this.#end = { end: 'limit', last: this.#last };
      return false;
    }
    this.#entry.show(keys, start, end, record, length, undefined);
    items.push(use(this.#entry));
    this.#bytes += length;
    if (items.length >= limit) this.#last = Buffer.from(keys.subarray(start, end));
    else if (items.length >= this.#most || this.#bytes >= SLICE_BYTES) {
      this.#end = { end: 'full', last: Buffer.from(keys.subarray(start, end)) };
      return false;
    }
    return true;
  }
}

/**
 * Walks the superseded versions of a range beside its objects, in key order, and gives what they show at one revision.
 * Keys are asked for in rising order.
 */
class Superseded {
  readonly #hist: Table;
  readonly #keys: Iterator<Buffer>;
  readonly #at: number;
  #head: Buffer | undefined;

  constructor(hist: Table, range: KeyRange, at: number) {
    this.#hist = hist;
    this.#at = at;
    // lmdb-js writes into the options it is given.
    this.#keys = hist.getKeys({ ...range })[Symbol.iterator]();
    this.#advance();
  }

  /** Lets go of the cursor: it would hold on to the snapshot. */
  close(): void {
    this.#keys.return?.();
  }

  #advance(): void {
    const next = this.#keys.next();
    this.#head = next.done === true ? undefined : next.value;
  }

  /** The next object below `object` (or at all) that shows something, and only in its superseded versions. */
  next(object: Buffer | undefined): { object: Buffer; record: Buffer } | undefined {
    while (this.#head !== undefined) {
      const candidate = objectOf(this.#head);
      if (object !== undefined && Buffer.compare(candidate, object) >= 0) return undefined;
      const record = this.#take(candidate);
      if (record !== undefined) return { object: candidate, record };
    }
    return undefined;
  }

  /** Passes over the versions of an object; what they show, if that is wanted. */
  at(object: Buffer, wanted: boolean): Buffer | undefined {
    return this.#take(object, wanted);
  }

  /** Passes over the versions of an object, and gives the newest at or below the revision. */
  #take(object: Buffer, wanted = true): Buffer | undefined {
    let newest: Buffer | undefined;
    for (
      ;
      this.#head !== undefined && this.#head.length === object.length + REVISION_SUFFIX && objectOf(this.#head).equals(object);
      this.#advance()
    ) {
      if (revisionOf(this.#head) <= this.#at) newest = this.#head;
    }
    const record = wanted && newest !== undefined ? this.#hist.getBinary(newest) : undefined;
    return record === undefined || isTombstone(record) ? undefined : record;
  }
}
