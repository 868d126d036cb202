/**
 * Compaction, in two phases. First the new compaction revision is made durable: nothing below it can be read from then on.
 * Then the log below it, and what neither the window nor retention keeps, is deleted in small transactions. How far that
 * has come is stored with each of them, so that a killed compaction is gone on with by the next.
 *
 * Invariants: what a step deletes was at or below the compaction revision when it was looked at, so no writer can need it;
 * the last log record stays, because it tells the revision.
 */
import { AbortedError, BadRequestError } from '../../../schemas/index.js';
import type { CompactOptions, RetentionPolicy, VersionInfo } from '../../engine.js';
import { isRevision } from '../checks.js';
import { versionsToDrop } from '../retention.js';
import { behind, parseKey, readRevision, REVISION_SUFFIX, revisionKey, versionKey } from './keys.js';
import { decodeLog } from './log.js';
import { infoOfRecord, looksSound, revisionOfRecord } from './record.js';
import { put, remove } from './session.js';
import type { Session } from './session.js';

const DELETES_A_STEP = 500;
const KEYS_A_STEP = 200;
const VERSIONS_A_SLICE = 500;
/** How many kept versions each compaction looks at again, for retention by age. */
const SWEEP_VERSIONS = 2000;
const SWEEP = Buffer.from('\0sweep');

export async function compactLmdb(session: Session, revision: number, options: CompactOptions): Promise<void> {
  const { current } = session.read((snapshot) => snapshot);
  if (!isRevision(revision) || revision > current)
    throw new BadRequestError(`cannot compact to revision ${revision}: the newest is ${current}`);
  const { compacted, swept } = await announce(session, revision);
  const compaction = new Compaction(session, compacted, options);
  await compaction.dropLog(swept);
  await compaction.sweep();
}

/** The first phase; where the second has to begin. */
async function announce(session: Session, revision: number): Promise<{ compacted: number; swept: number }> {
  const known = session.glance(() => session.compaction());
  if (known.compacted >= revision) return known;
  const state = await session.write(() => {
    const { compacted, swept } = session.compaction();
    const next = { compacted: Math.max(compacted, revision), swept };
    if (next.compacted > compacted) session.putCompaction(next);
    return next;
  });
  session.noteCompacted(state.compacted);
  return state;
}

class Compaction {
  readonly #session: Session;
  readonly #target: number;
  readonly #retain: RetentionPolicy;
  readonly #signal: AbortSignal | undefined;
  /** Keys that have been looked at; each has to be only once, whatever the log says about it. */
  readonly #seen = new Set<string>();
  #doomed: Buffer[] = [];

  constructor(session: Session, target: number, { retain, signal }: CompactOptions) {
    this.#session = session;
    this.#target = target;
    this.#retain = retain;
    this.#signal = signal;
  }

  /** Looks at every key that the log names between `swept` and the target, and drops that log. */
  async dropLog(swept: number): Promise<void> {
    let from = swept;
    while (from < this.#target) {
      const { objects, upTo } = this.#session.read(() => this.#named(from));
      for (const object of objects) await this.#look(object);
      await this.#delete({ upTo });
      from = upTo;
    }
  }

  /** The objects that the next stretch of the log names, and where it ends. */
  #named(from: number): { objects: Buffer[]; upTo: number } {
    const objects: Buffer[] = [];
    let upTo = from;
    for (const { key, value } of this.#session.tables.log.getRange({ start: revisionKey(from + 1) })) {
      for (const { revision, changes } of decodeLog(value, key, from)) {
        if (revision > this.#target) return { objects, upTo };
        for (const { object } of changes) if (this.#first(object)) objects.push(object);
        upTo = revision;
      }
      if (objects.length >= KEYS_A_STEP) return { objects, upTo };
    }
    return { objects, upTo: this.#target };
  }

  #first(object: Buffer): boolean {
    const text = object.toString('latin1');
    if (this.#seen.has(text)) return false;
    this.#seen.add(text);
    return true;
  }

  /** Decides about all versions of one object. */
  async #look(object: Buffer): Promise<void> {
    const versions = await this.#versions(object);
    for (const revision of versionsToDrop(parseKey(object), versions, this.#target, this.#retain)) {
      this.#doomed.push(versionKey(object, revision));
      if (this.#doomed.length >= DELETES_A_STEP) await this.#delete({});
    }
  }

  /** Newest first. A damaged version is no candidate for anything: it stays for `verify` to find. */
  async #versions(object: Buffer): Promise<VersionInfo[]> {
    const { obj, hist } = this.#session.tables;
    const versions: VersionInfo[] = [];
    let below: number | undefined;
    for (;;) {
      const full = this.#session.read(() => {
        if (below === undefined) {
          const current = obj.getBinary(object);
          if (current !== undefined && looksSound(current)) versions.push(infoOfRecord(current));
          below = current !== undefined && looksSound(current) ? revisionOfRecord(current) : Number.MAX_SAFE_INTEGER;
        }
        let count = 0;
        const range = { start: versionKey(object, below - 1), end: versionKey(object, 0), reverse: true, limit: VERSIONS_A_SLICE };
        for (const { key, value } of hist.getRange(range)) {
          below = readRevision(key, key.length - REVISION_SUFFIX + 1);
          if (looksSound(value)) versions.push(infoOfRecord(value));
          count++;
        }
        return count === VERSIONS_A_SLICE;
      });
      if (!full) return versions;
      await this.#pause();
    }
  }

  /** Deletes what is doomed; with `upTo`, also the log up to there; with `sweep`, notes where the sweep goes on. */
  async #delete({ upTo, sweep }: { readonly upTo?: number; readonly sweep?: Buffer | undefined }): Promise<void> {
    const doomed = this.#doomed;
    this.#doomed = [];
    const session = this.#session;
    const { hist, log, meta } = session.tables;
    await session.write(() => {
      const state = session.compaction();
      const groups: Buffer[] = [];
      if (upTo !== undefined) {
        const { revision } = session.head();
        for (const key of log.getKeys({ end: revisionKey(upTo + 1) })) if (readRevision(key, 0) < revision) groups.push(key);
      }
      for (const key of doomed) remove(hist, key);
      for (const key of groups) remove(log, key);
      if (upTo !== undefined) session.putCompaction({ compacted: state.compacted, swept: Math.max(state.swept, upTo) });
      if (sweep !== undefined) put(meta, SWEEP, sweep);
    });
    await this.#pause();
  }

  async #pause(): Promise<void> {
    await this.#session.deps.scheduler.turn();
    this.#session.check();
    if (this.#signal?.aborted)
      throw new AbortedError('the compaction was cut off; the next one goes on with it', { cause: this.#signal.reason });
  }

  /** Looks again at some objects that have kept versions, from where the last sweep ended. */
  async sweep(): Promise<void> {
    const { hist, meta } = this.#session.tables;
    const objects: Buffer[] = [];
    const next = this.#session.read(() => {
      const start = meta.getBinary(SWEEP);
      let last: Buffer | undefined;
      let count = 0;
      for (const key of hist.getKeys({ start: start === undefined || start.length === 0 ? Buffer.of(1) : start })) {
        const object = key.subarray(0, key.length - REVISION_SUFFIX);
        if (last?.equals(object)) continue;
        if (++count > SWEEP_VERSIONS) return last && behind(last);
        last = object;
        if (this.#first(object)) objects.push(object);
      }
      return start === undefined || start.length === 0 ? undefined : Buffer.alloc(0);
    });
    for (const [index, object] of objects.entries()) {
      await this.#look(object);
      if (index % KEYS_A_STEP === KEYS_A_STEP - 1) await this.#pause();
    }
    if (this.#doomed.length > 0 || next !== undefined) await this.#delete({ sweep: next });
  }
}
