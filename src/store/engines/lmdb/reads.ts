/**
 * Reads of objects and versions, at the present and in the past.
 *
 * Invariants: a page is read in slices with a turn between; each slice has a snapshot of its own, and all of them show one
 * revision. An object at a past revision is the newest version at or below it, in `obj` or, when superseded since, in `hist`.
 */
import { CorruptError } from '../../../schemas/index.js';
import type { Entry, IndexEntry, Key, Prefix, RangeOptions, RangeResult, VersionPosition, VersionsOptions } from '../../engine.js';
import { checkLimit, checkReadable } from '../checks.js';
import { behind, describeBytes, indexRange, objectKey, parseKey, prefixRange, readRevision, REVISION_SUFFIX, versionKey } from './keys.js';
import type { KeyRange } from './keys.js';
import { decodeRecord, isTombstone, looksSound, revisionOfRecord } from './record.js';
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

/** The version that a revision wrote. @throws {CorruptError} when it is not there */
export function versionAt({ obj, hist }: Tables, object: Buffer, revision: number): Entry {
  const current = obj.getBinary(object);
  if (current !== undefined && revisionOfRecord(current) === revision) return decodeRecord(object, current);
  const superseded = hist.getBinary(versionKey(object, revision));
  if (superseded !== undefined) return decodeRecord(object, superseded);
  throw new CorruptError(`the version of ${describeBytes(object)} that revision ${revision} wrote is missing; restore from a backup`);
}

export class Reader {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  get(key: Key, at?: number): Entry | undefined {
    const object = objectKey(key);
    const { tables } = this.#session;
    if (at === undefined && !this.#session.committing) {
      const record = this.#session.glance(() => tables.obj.getBinary(object));
      if (record === undefined) return undefined;
      const entry = decodeRecord(object, record, key);
      if (entry.revision > this.#session.visible) this.#session.noteForeign(entry.revision);
      return entry;
    }
    return this.#session.read((snapshot) => {
      if (at !== undefined) checkReadable(at, snapshot.current, snapshot.compacted);
      const record = recordAt(tables, object, at ?? snapshot.current);
      return record && decodeRecord(object, record, key);
    });
  }

  async range(prefix: Prefix, options: RangeOptions): Promise<RangeResult> {
    const limit = checkLimit(options.limit);
    const { start, end } = prefixRange(prefix);
    const after = options.after && objectKey(options.after);
    let from = after !== undefined && Buffer.compare(after, start) >= 0 ? behind(after) : start;
    const entries: Entry[] = [];
    let at = options.at;
    for (;;) {
      const slice = this.#session.read((snapshot) => {
        if (at === undefined) at = snapshot.current;
        else checkReadable(at, snapshot.current, snapshot.compacted);
        return this.#slice({ start: from, end }, limit - entries.length, at, snapshot);
      });
      for (const entry of slice.entries) entries.push(entry);
      if (slice.next === undefined) return { entries, revision: at as number, more: slice.more };
      from = slice.next;
      await this.#session.deps.scheduler.turn();
    }
  }

  /** What a range shows at a revision, up to a slice of it; `next` is where to go on. */
  #slice(range: KeyRange, limit: number, at: number, { newest }: Snapshot): { entries: Entry[]; more: boolean; next?: Buffer } {
    const { tables } = this.#session;
    // Nothing was written since: what is there now is what was there then.
    const untouched = at === newest;
    const gone = untouched ? undefined : new Superseded(tables.hist, range, at);
    try {
      return this.#merge(range, limit, at, gone);
    } finally {
      gone?.close();
    }
  }

  #merge(range: KeyRange, limit: number, at: number, gone: Superseded | undefined): { entries: Entry[]; more: boolean; next?: Buffer } {
    const entries: Entry[] = [];
    let bytes = 0;
    const take = (object: Buffer, record: Buffer): boolean => {
      if (entries.length >= limit) return false;
      entries.push(decodeRecord(object, record));
      bytes += record.length;
      return true;
    };
    const full = (): boolean => entries.length < limit && (entries.length >= SLICE_ENTRIES || bytes >= SLICE_BYTES);
    for (const { key, value } of this.#session.tables.obj.getRange(range)) {
      // Objects that are deleted now and were there then lie between those that are there.
      for (let older = gone?.next(key); older !== undefined; older = gone?.next(key)) {
        if (!take(older.object, older.record)) return { entries, more: true };
        if (full()) return { entries, more: false, next: behind(older.object) };
      }
      const newer = gone !== undefined && looksSound(value) && revisionOfRecord(value) > at;
      const older = gone?.at(key, newer);
      const record = newer ? older : value;
      if (record === undefined) continue;
      if (!take(key, record)) return { entries, more: true };
      if (full()) return { entries, more: false, next: behind(key) };
    }
    for (let older = gone?.next(undefined); older !== undefined; older = gone?.next(undefined)) {
      if (!take(older.object, older.record)) return { entries, more: true };
      if (full()) return { entries, more: false, next: behind(older.object) };
    }
    return { entries, more: false };
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
    let position = after && { object: objectKey(after.key), revision: after.revision };
    if (position !== undefined && Buffer.compare(position.object, start) < 0) position = undefined;
    for (;;) {
      const more = this.#session.read(({ current }) => {
        let count = 0;
        for (const [object, record] of this.#allVersions({ start: position?.object ?? start, end })) {
          const revision = revisionOfRecord(record);
          if (revision > current || (position !== undefined && revision <= position.revision && object.equals(position.object))) continue;
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

  /** Merges `hist` and `obj`: the superseded versions of each object, then its current one. */
  *#allVersions(range: KeyRange): IterableIterator<[Buffer, Buffer]> {
    const superseded = this.#session.tables.hist.getRange(range)[Symbol.iterator]();
    try {
      let old = superseded.next();
      for (const { key, value } of this.#session.tables.obj.getRange(range)) {
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
