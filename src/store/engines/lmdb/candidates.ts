/**
 * Which objects an index may have named at a revision: those that it names now, and those that were written since, of whom
 * it may say something else by now. Each is then read as of the revision; whoever asked compares the field.
 *
 * Invariant: complete at every revision that can be read, as far as `follow` says so.
 */
import type { IndexEntry } from '../../engine.js';
import { indexRange, revisionKey } from './keys.js';
import type { KeyRange } from './keys.js';
import { decodeLog } from './log.js';
import type { Tables } from './tables.js';

/** How many revisions are looked through in one go: reading everything is cheaper than reading much more of the log. */
const MOST_REVISIONS = 4096;

export class Candidates {
  readonly #tables: Tables;
  /** What the index's keys begin with. */
  readonly #index: Buffer;
  readonly #prefix: KeyRange;
  readonly #seen = new Set<string>();
  /** Objects under the prefix that were written since, in key order. */
  #written: Buffer[] = [];
  #upTo: number | undefined;

  constructor(tables: Tables, index: IndexEntry, prefix: KeyRange) {
    this.#tables = tables;
    this.#index = indexRange(index).start;
    this.#prefix = prefix;
  }

  /** Learns what was written behind a revision, up to the end of the snapshot at hand; false when that is too much. */
  follow(revision: number, newest: number): boolean {
    const from = (this.#upTo ??= revision);
    if (newest - from > MOST_REVISIONS) return false;
    if (newest === from) return true;
    const before = this.#written.length;
    for (const { key, value } of this.#tables.log.getRange({ start: revisionKey(from + 1) }))
      for (const { changes } of decodeLog(value, key, from)) for (const { object } of changes) this.#note(object);
    if (this.#written.length > before) this.#written.sort(Buffer.compare);
    this.#upTo = newest;
    return true;
  }

  #note(object: Buffer): void {
    if (Buffer.compare(object, this.#prefix.start) < 0 || Buffer.compare(object, this.#prefix.end) >= 0) return;
    const text = object.toString('latin1');
    if (this.#seen.has(text)) return;
    this.#seen.add(text);
    this.#written.push(Buffer.from(object));
  }

  /** The candidates in a range of keys, in order, each once. */
  *within({ start, end }: KeyRange): IterableIterator<Buffer> {
    const written = this.#written;
    let at = written.findIndex((object) => Buffer.compare(object, start) >= 0);
    if (at < 0) at = written.length;
    const range = { start: Buffer.concat([this.#index, start]), end: Buffer.concat([this.#index, end]) };
    for (const key of this.#tables.idx.getKeys(range)) {
      const named = key.subarray(this.#index.length);
      for (; at < written.length && Buffer.compare(written[at]!, named) < 0; at++) yield written[at]!;
      if (at < written.length && written[at]!.equals(named)) at++;
      yield named;
    }
    for (; at < written.length && Buffer.compare(written[at]!, end) < 0; at++) yield written[at]!;
  }
}
