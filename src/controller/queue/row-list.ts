/**
 * A list of rows, linked through the columns of their table: first in, first out, and out of the middle.
 *
 * Invariant: a row is in one list at most, since it has one pair of links.
 */
import type { KeyTable } from './key-table.js';
import { NONE } from './no-row.js';

export class RowList {
  head = NONE;
  tail = NONE;
  size = 0;

  /** Puts a row at the end. */
  push(table: KeyTable, row: number): void {
    const tail = this.tail;
    table.next[row] = NONE;
    table.prev[row] = tail;
    if (tail === NONE) this.head = row;
    else table.next[tail] = row;
    this.tail = row;
    this.size += 1;
  }

  /** Takes out a row that is in. */
  remove(table: KeyTable, row: number): void {
    const next = table.next[row] as number;
    const prev = table.prev[row] as number;
    if (prev === NONE) this.head = next;
    else table.next[prev] = next;
    if (next === NONE) this.tail = prev;
    else table.prev[next] = prev;
    this.size -= 1;
  }
}
