/**
 * The keys that are ready: one FIFO list a priority, and the choice of the next key among the lists.
 *
 * Invariants:
 * - Higher bands go first. With ageing, a head that has waited `ageing` longer counts as one band higher (bands in use,
 *   not units of priority): the band with the smallest `since(head) + ageing * bands above it` is next. That is what
 *   moving every key up at each interval would give, without touching any key until it is handed out.
 * - Pushing and removing a row cost O(1), and O(log bands) when a band comes or goes.
 */
import { Band } from './band.js';
import type { KeyTable } from './key-table.js';
import { NONE } from './no-row.js';
import { SortedBands } from './sorted-bands.js';

/** Empty bands are kept up to this many in all: priorities come again. */
const KEPT = 32;
/** Bands that may be looked at for each key handed out, on average. */
const SCAN = 64;

export class PriorityBands {
  /** Keys that are ready. */
  size = 0;
  readonly #table: KeyTable;
  readonly #ageing: number;
  readonly #sorted = new SortedBands();
  /** The band of the latest push: most pushes have the same priority. */
  #last: Band;
  /** The highest band that is not empty, as long as it is not. */
  #top: Band;
  /** No key has been ready for longer than since this moment. */
  #oldest = Infinity;
  #skipped = 0;

  /** `ageing` in ms; `Infinity` for strict priorities. */
  constructor(table: KeyTable, ageing: number) {
    this.#table = table;
    this.#ageing = ageing;
    this.#last = this.#top = this.#sorted.insert(new Band(0));
  }

  /** Puts a row at the end of its band. */
  push(row: number, priority: number): void {
    const table = this.#table;
    let band = this.#last;
    if (band.priority !== priority) {
      band = this.#last = this.#sorted.find(priority) ?? this.#sorted.insert(new Band(priority));
    }
    band.push(table, row);
    this.size += 1;
    const since = table.since[row] as number;
    if (since < this.#oldest) this.#oldest = since;
    if (priority > this.#top.priority) this.#top = band;
  }

  /** Takes a row out of the middle. */
  remove(row: number, priority: number): void {
    const band = this.#sorted.find(priority);
    if (band !== undefined) this.#unlink(band, row);
  }

  /** Takes out the row that is next; there must be one. */
  shift(now: number): number {
    if (this.#top.size === 0) this.#top = this.#highest();
    const band = this.#sorted.count > 1 && now - this.#oldest > this.#ageing ? this.#aged() : this.#top;
    const row = band.head;
    this.#unlink(band, row);
    return row;
  }

  /** Calls `visit` with each priority in use, highest first. */
  forEachBand(visit: (priority: number, size: number) => void): void {
    this.#sorted.forEachDown((band) => {
      visit(band.priority, band.size);
      return true;
    });
  }

  /** Since when the head that is ready for longest has been so; Infinity if nothing waits. */
  oldestHead(): number {
    let oldest = Infinity;
    this.#sorted.forEachDown((band) => {
      if (band.size > 0) oldest = Math.min(oldest, this.#table.since[band.head] as number);
      return true;
    });
    return oldest;
  }

  /** Calls `visit` with each row that waits, band by band, highest first. */
  forEachRow(visit: (row: number) => void): void {
    this.#sorted.forEachDown((band) => {
      for (let row = band.head; row !== NONE; row = this.#table.next[row] as number) visit(row);
      return true;
    });
  }

  #unlink(band: Band, row: number): void {
    const table = this.#table;
    if (band.head === row) {
      // A key that was raised into this band can be older than those before it.
      const next = table.next[row] as number;
      if (next !== NONE && (table.since[next] as number) < this.#oldest) this.#oldest = table.since[next] as number;
    }
    band.remove(table, row);
    this.size -= 1;
    if (band.size === 0) this.#emptied(band);
  }

  #emptied(band: Band): void {
    if (this.size === 0) this.#oldest = Infinity;
    if (this.#sorted.count <= KEPT) return;
    this.#sorted.remove(band);
    if (this.#last === band || this.#top === band) {
      const highest = this.#highest();
      if (this.#last === band) this.#last = highest;
      if (this.#top === band) this.#top = highest;
    }
  }

  /** The highest band that is not empty; any band if all are. */
  #highest(): Band {
    let found = this.#last;
    this.#sorted.forEachDown((band) => {
      found = band;
      return band.size === 0;
    });
    return found;
  }

  /** The band whose head is next when some key has waited long enough to rise. */
  #aged(): Band {
    // With thousands of bands only some of the calls look at them all: the cost of a call stays bounded on average.
    if (this.#sorted.count > SCAN) {
      this.#skipped += SCAN;
      if (this.#skipped < this.#sorted.count) return this.#top;
      this.#skipped = 0;
    }
    const since = this.#table.since;
    let best = this.#top;
    let bestAt = Infinity;
    let oldest = Infinity;
    let above = 0;
    this.#sorted.forEachDown((band) => {
      if (band.size === 0) return true;
      const head = since[band.head] as number;
      if (head < oldest) oldest = head;
      const at = head + above * this.#ageing;
      if (at < bestAt) {
        best = band;
        bestAt = at;
      }
      above += 1;
      return true;
    });
    this.#oldest = oldest;
    return best;
  }
}
