/**
 * The keys that have a time: a heap of rows with four children a node, updated and removed in place.
 *
 * Invariants: a row is in at most once; the smallest due is on top; rows due at the same moment come out in the order
 * in which they got it. Times lie beside the rows in heap order, so that sifting reads neighbours. Nothing is allocated
 * before the first delay.
 */
import { NONE } from './no-row.js';

const SMALLEST = 64;

export class DelayHeap {
  size = 0;
  /** In heap order: rows, and when they are due in monotonic ms. */
  #rows = new Int32Array(0);
  #dues = new Float64Array(0);
  /** By row: its place in the heap plus one, 0 for nowhere; and when it got its time, as a count. */
  #place = new Int32Array(0);
  #order = new Float64Array(0);
  #count = 0;

  /** The row that is due first, or `NONE`. */
  peek(): number {
    return this.size === 0 ? NONE : (this.#rows[0] as number);
  }

  has(row: number): boolean {
    return row < this.#place.length && this.#place[row] !== 0;
  }

  /** When a row that is in will be due. */
  dueOf(row: number): number {
    return this.#dues[(this.#place[row] as number) - 1] as number;
  }

  /** Adds a row, or gives it another time. */
  set(row: number, due: number): void {
    if (row >= this.#place.length) {
      this.#place = larger(this.#place, Int32Array, row + 1);
      this.#order = larger(this.#order, Float64Array, row + 1);
    }
    const place = this.#place[row] as number;
    let index = place - 1;
    if (place === 0) {
      index = this.size;
      if (index === this.#rows.length) {
        this.#rows = larger(this.#rows, Int32Array, index + 1);
        this.#dues = larger(this.#dues, Float64Array, index + 1);
      }
      this.size = index + 1;
    }
    this.#order[row] = this.#count;
    this.#count += 1;
    this.#down(row, due, this.#up(row, due, index));
  }

  /** Takes a row out; one that is not in is left alone. */
  remove(row: number): void {
    if (!this.has(row)) return;
    const index = (this.#place[row] as number) - 1;
    this.#place[row] = 0;
    const size = this.size - 1;
    this.size = size;
    if (size === 0) {
      this.#count = 0;
      if (this.#rows.length > SMALLEST) this.#reset();
      return;
    }
    if (index === size) return;
    const last = this.#rows[size] as number;
    const due = this.#dues[size] as number;
    this.#down(last, due, index === 0 ? 0 : this.#up(last, due, index));
  }

  /** Below 0 if the first of two rows that are in is due before the second. */
  compare(a: number, b: number): number {
    return this.dueOf(a) - this.dueOf(b) || (this.#order[a] as number) - (this.#order[b] as number);
  }

  #up(row: number, due: number, from: number): number {
    const rows = this.#rows;
    const dues = this.#dues;
    const place = this.#place;
    let index = from;
    while (index > 0) {
      const above = (index - 1) >> 2;
      const otherDue = dues[above] as number;
      if (otherDue < due) break;
      const other = rows[above] as number;
      if (otherDue === due && (this.#order[other] as number) < (this.#order[row] as number)) break;
      rows[index] = other;
      dues[index] = otherDue;
      place[other] = index + 1;
      index = above;
    }
    rows[index] = row;
    dues[index] = due;
    place[row] = index + 1;
    return index;
  }

  #down(row: number, due: number, from: number): void {
    const rows = this.#rows;
    const dues = this.#dues;
    const place = this.#place;
    const order = this.#order;
    const size = this.size;
    let index = from;
    for (let child = index * 4 + 1; child < size; child = index * 4 + 1) {
      const end = Math.min(child + 4, size);
      let best = child;
      let bestDue = dues[child] as number;
      for (child += 1; child < end; child += 1) {
        const other = dues[child] as number;
        if (other > bestDue) continue;
        if (other === bestDue && (order[rows[child] as number] as number) > (order[rows[best] as number] as number)) continue;
        best = child;
        bestDue = other;
      }
      const bestRow = rows[best] as number;
      if (bestDue > due || (bestDue === due && (order[bestRow] as number) > (order[row] as number))) break;
      rows[index] = bestRow;
      dues[index] = bestDue;
      place[bestRow] = index + 1;
      index = best;
    }
    rows[index] = row;
    dues[index] = due;
    place[row] = index + 1;
  }

  #reset(): void {
    this.#rows = new Int32Array(0);
    this.#dues = new Float64Array(0);
    this.#place = new Int32Array(0);
    this.#order = new Float64Array(0);
  }
}

function larger<T extends { readonly length: number; set(from: T): void }>(from: T, kind: new (length: number) => T, least: number): T {
  const to = new kind(Math.max(SMALLEST, least, from.length + (from.length >> 1)));
  to.set(from);
  return to;
}
