/**
 * What the log says of types that hold secrets: which version of which key each revision made.
 *
 * Invariants: of a type it knows everything above `floor`, up to the revision it has read the log to. The log is read when
 * somebody reads such a type, and no further than that: other types cost nothing.
 */
import { isExpired } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import type { Engine, Key } from '../engine.js';
import { keyId } from '../keys.js';
import { versionMark } from '../version-mark.js';

export interface LedgerHost {
  readonly deps: Deps;
  engine(): Engine;
}

/** A version, as far as it says which one it is. */
export interface Place {
  readonly key: Key;
  readonly revision: number;
  readonly version: number;
  readonly uid: string;
}

/** What the log says of a version: it is the one that its revision wrote, it is not, or that is too long ago. */
export type Told = 'written' | 'not written' | 'unknown';

/** The revisions that wrote a key, rising, and the marks of what they wrote. */
interface Written {
  readonly revisions: number[];
  readonly marks: number[];
}

interface TypeLog {
  readonly type: string;
  floor: number;
  upTo: number;
  readonly keys: Map<string, Written>;
  held: number;
  /** How many are held when it is time to let go of what the window has left behind. */
  most: number;
  reading: Promise<void> | undefined;
}

/** Versions of a type that are remembered without asking whether the window still has them. */
const LEAST_HELD = 4096;

export class Ledger {
  readonly #host: LedgerHost;
  readonly #types = new Map<string, TypeLog>();

  constructor(host: LedgerHost) {
    this.#host = host;
  }

  /** Learns what was written to a type up to a revision; undefined when that is known. */
  follow(type: string, until: number): Promise<void> | undefined {
    const log = this.#of(type);
    return log.upTo >= until ? undefined : this.#follow(log, until);
  }

  /** What is above this revision is known. */
  floor(type: string): number {
    return this.#of(type).floor;
  }

  /** Of a version that was read: whether its revision wrote it. `follow` first. */
  told(place: Place): Told {
    const log = this.#of(place.key.type);
    const written = log.keys.get(keyId(place.key));
    const index = written === undefined ? -1 : lastUpTo(written.revisions, place.revision);
    if (index < 0 || written!.revisions[index] !== place.revision) return place.revision > log.floor ? 'not written' : 'unknown';
    return written!.marks[index] === versionMark(place.uid, place.version) ? 'written' : 'not written';
  }

  /** The last revision up to `at` that wrote a key; 0 when that is too long ago, or there was none. */
  last(key: Key, at: number): number {
    const revisions = this.#of(key.type).keys.get(keyId(key))?.revisions;
    return revisions?.[lastUpTo(revisions, at)] ?? 0;
  }

  #of(type: string): TypeLog {
    let log = this.#types.get(type);
    if (log === undefined) {
      const { compacted } = this.#host.engine().revision();
      log = { type, floor: compacted, upTo: compacted, keys: new Map(), held: 0, most: LEAST_HELD, reading: undefined };
      this.#types.set(type, log);
    }
    return log;
  }

  async #follow(log: TypeLog, until: number): Promise<void> {
    while (log.upTo < until) {
      const before = log.upTo;
      log.reading ??= this.#read(log).finally(() => {
        log.reading = undefined;
      });
      await log.reading;
      // The log ends here: what claims to be newer was written by nobody.
      if (log.upTo === before) return;
      if (log.upTo < until) await this.#host.deps.scheduler.turn();
    }
  }

  async #read(log: TypeLog): Promise<void> {
    const { type, upTo } = log;
    let slice: Awaited<ReturnType<Engine['logged']>>;
    try {
      slice = await this.#host.engine().logged(type, upTo);
    } catch (error) {
      if (!isExpired(error)) throw error;
      // Nobody has asked for so long that the window has moved past.
      log.floor = log.upTo = this.#host.engine().revision().compacted;
      log.keys.clear();
      log.held = 0;
      return;
    }
    for (const { key, revision, mark } of slice.writes) {
      const id = keyId(key);
      let written = log.keys.get(id);
      if (written === undefined) log.keys.set(id, (written = { revisions: [], marks: [] }));
      written.revisions.push(revision);
      written.marks.push(mark);
    }
    log.held += slice.writes.length;
    log.upTo = slice.upTo;
    if (log.held > log.most) this.#forget(log);
  }

  /** Lets go of what the window has left behind. */
  #forget(log: TypeLog): void {
    log.floor = Math.max(log.floor, this.#host.engine().revision().compacted);
    for (const [id, { revisions, marks }] of log.keys) {
      const gone = lastUpTo(revisions, log.floor) + 1;
      if (gone === revisions.length) log.keys.delete(id);
      revisions.splice(0, gone);
      marks.splice(0, gone);
      log.held -= gone;
    }
    log.most = Math.max(LEAST_HELD, log.held * 2);
  }
}

/** Where the last number up to `most` is in a rising list; -1 when there is none. */
function lastUpTo(rising: readonly number[], most: number): number {
  let low = 0;
  let high = rising.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (rising[middle]! <= most) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
