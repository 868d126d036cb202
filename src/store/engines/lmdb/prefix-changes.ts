/**
 * Which revision changed a type, and a namespace of it, last: what range preconditions are checked against.
 *
 * Invariants: complete for every change above `since`, up to the revision `catchUp` was last called with. What other
 * processes committed is read from the log, inside the transaction that asks; where the log is gone, nothing is known.
 */
import { revisionKey } from './keys.js';
import { decodeLog } from './log.js';
import type { Session } from './session.js';

export class PrefixChanges {
  readonly #session: Session;
  readonly #last = new Map<string, number>();
  #since: number;
  #upTo: number;

  constructor(session: Session, revision: number) {
    this.#session = session;
    this.#since = revision;
    this.#upTo = revision;
  }

  /** Learns of what others wrote up to `revision`. */
  catchUp(revision: number): void {
    if (revision <= this.#upTo) return;
    const { compacted } = this.#session.compaction();
    if (this.#upTo < compacted) {
      // Part of what came since was compacted away unseen, and with it what it changed.
      this.#last.clear();
      this.#since = compacted;
      this.#upTo = compacted;
    }
    this.#learn(this.#upTo, revision);
    this.#upTo = revision;
  }

  note(prefixes: readonly [string, string], revision: number): void {
    this.#last.set(prefixes[0], revision);
    this.#last.set(prefixes[1], revision);
    this.#upTo = revision;
  }

  /** Whether nothing under a prefix changed after `revision`; no, when that is too long ago to tell. */
  unchanged(prefix: string, revision: number): boolean {
    const last = this.#last.get(prefix);
    if (last !== undefined) return last <= revision;
    if (revision >= this.#since) return true;
    if (revision < this.#session.compaction().compacted) return false;
    this.#learn(revision, this.#since);
    this.#since = revision;
    return !this.#last.has(prefix);
  }

  #learn(above: number, upTo: number): void {
    for (const { key, value } of this.#session.tables.log.getRange({ start: revisionKey(above + 1) })) {
      for (const { revision, changes } of decodeLog(value, key, above)) {
        if (revision > upTo) return;
        for (const { object } of changes) {
          const type = object.indexOf(0) + 1;
          this.#raise(object.toString('utf8', 0, type), revision);
          this.#raise(object.toString('utf8', 0, object.indexOf(0, type) + 1), revision);
        }
      }
    }
  }

  #raise(prefix: string, revision: number): void {
    if ((this.#last.get(prefix) ?? 0) < revision) this.#last.set(prefix, revision);
  }
}
