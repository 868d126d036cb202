/**
 * Where rate-limited keys stand with the bucket.
 *
 * Invariants: a key asks for a token when its backoff is over, and stands in line until there is one, in the order of
 * asking. The token is taken by the key that goes, when it goes: whoever leaves the line in another way (an add, a
 * cancel, another delay) takes none along, and those behind move up. A row in line is in no heap and in no band.
 */
import type { KeyTable } from './key-table.js';
import { NONE } from './no-row.js';
import type { Bucket } from './rate-limiters.js';
import { RowList } from './row-list.js';

/** A plain delay, or none: passes the bucket. */
const FREE = 0;
/** In backoff: will ask for a token. */
const LIMITED = 1;
const IN_LINE = 2;

export class TokenGate {
  readonly #bucket: Bucket;
  readonly #table: KeyTable;
  readonly #line = new RowList();
  /** By row: one of the three above. */
  #standing = new Uint8Array(64);

  constructor(bucket: Bucket, table: KeyTable) {
    this.#bucket = bucket;
    this.#table = table;
  }

  /** Keys in line. */
  get size(): number {
    return this.#line.size;
  }

  isInLine(row: number): boolean {
    return this.#standing[row] === IN_LINE;
  }

  /** Says of the delay that a row has been given whether it is a backoff. */
  set(row: number, limited: boolean): void {
    this.leave(row);
    if (row >= this.#standing.length) {
      const larger = new Uint8Array(Math.max(row + 1, this.#standing.length * 2));
      larger.set(this.#standing);
      this.#standing = larger;
    }
    this.#standing[row] = limited ? LIMITED : FREE;
  }

  /** The delay of a row is over: true if it stands in line now. */
  arrive(row: number): boolean {
    if (this.#standing[row] !== LIMITED) return false;
    this.#standing[row] = IN_LINE;
    this.#line.push(this.#table, row);
    return true;
  }

  /** Takes a row out of the line; one that is not in is left alone. */
  leave(row: number): void {
    if (!this.isInLine(row)) return;
    this.#standing[row] = FREE;
    this.#line.remove(this.#table, row);
  }

  /** Lets the first in line go, with the token there is for it, if there will be one within `early` ms; else `NONE`. */
  admit(now: number, early: number): number {
    const row = this.#line.head;
    if (row === NONE || this.#bucket.wait(now) > early) return NONE;
    this.#bucket.take(now);
    this.leave(row);
    return row;
  }

  /** When the first in line can go; Infinity if nobody is in line. */
  nextAt(now: number): number {
    return this.#line.size === 0 ? Infinity : now + this.#bucket.wait(now);
  }

  /** Calls `visit` with each row in line and when it will go if nobody before it leaves. */
  forEach(now: number, visit: (row: number, due: number) => void): void {
    let place = 1;
    for (let row = this.#line.head; row !== NONE; row = this.#table.next[row] as number) {
      visit(row, now + this.#bucket.wait(now, place));
      place += 1;
    }
  }
}
