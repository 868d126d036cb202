/**
 * Priority bands in ascending order, in blocks: a queue with a handful of priorities has one block, one with a priority
 * for each key still finds, adds and removes a band in O(log n) and a short copy.
 *
 * Invariants: no block is empty or longer than `BLOCK`; each priority is there once.
 */
import type { Band } from './band.js';

const BLOCK = 256;

export class SortedBands {
  /** Bands that are in. */
  count = 0;
  readonly #blocks: Band[][] = [];

  find(priority: number): Band | undefined {
    const block = this.#blocks[this.#blockFor(priority)];
    const band = block?.[indexIn(block, priority)];
    return band !== undefined && band.priority === priority ? band : undefined;
  }

  /** Adds a band whose priority is not in yet, and gives it back. */
  insert(band: Band): Band {
    this.count += 1;
    const blocks = this.#blocks;
    if (blocks.length === 0) {
      blocks.push([band]);
      return band;
    }
    // Above the last block's last band: the last block takes it.
    const at = Math.min(this.#blockFor(band.priority), blocks.length - 1);
    const block = blocks[at] as Band[];
    block.splice(indexIn(block, band.priority), 0, band);
    if (block.length > BLOCK) blocks.splice(at + 1, 0, block.splice(BLOCK >> 1));
    return band;
  }

  remove(band: Band): void {
    const at = this.#blockFor(band.priority);
    const block = this.#blocks[at];
    if (block === undefined) return;
    const index = indexIn(block, band.priority);
    if (block[index] !== band) return;
    block.splice(index, 1);
    if (block.length === 0) this.#blocks.splice(at, 1);
    this.count -= 1;
  }

  /** Calls `visit` with each band, highest first, as long as it answers true. */
  forEachDown(visit: (band: Band) => boolean): void {
    for (let at = this.#blocks.length - 1; at >= 0; at -= 1) {
      const block = this.#blocks[at] as Band[];
      for (let index = block.length - 1; index >= 0; index -= 1) {
        if (!visit(block[index] as Band)) return;
      }
    }
  }

  /** The first block whose last band is not below `priority`; the number of blocks if there is none. */
  #blockFor(priority: number): number {
    const blocks = this.#blocks;
    let low = 0;
    let high = blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const block = blocks[middle] as Band[];
      if ((block[block.length - 1] as Band).priority < priority) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The first index in a block whose band is not below `priority`. */
function indexIn(block: readonly Band[], priority: number): number {
  let low = 0;
  let high = block.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((block[middle] as Band).priority < priority) low = middle + 1;
    else high = middle;
  }
  return low;
}
