/**
 * A sorted list of things with a sort text, in chunks: adding, removing and seeking cost O(log n) and the move of one
 * chunk, appending costs next to nothing, walking in order costs nothing extra.
 *
 * Invariants: no chunk is empty, none exceeds `CHUNK`; sort texts are distinct and rise over all chunks.
 */
const CHUNK = 512;
const HIGH = /[\ud800-\uffff]/;

export interface Sorted {
  readonly sort: string;
}

/**
 * A text that compares by UTF-16 units as the original compares by UTF-8 bytes: surrogates, which stand for the highest
 * code points, are moved above the rest of the upper range.
 */
export function sortText(text: string): string {
  if (!HIGH.test(text)) return text;
  let moved = '';
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    moved += String.fromCharCode(unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);
  }
  return moved;
}

export class SortedList<T extends Sorted> {
  readonly #chunks: T[][] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(item: T): void {
    this.#size++;
    const last = this.#chunks.at(-1);
    if (last === undefined) {
      this.#chunks.push([item]);
    } else if ((last.at(-1) as T).sort < item.sort) {
      if (last.length < CHUNK) last.push(item);
      else this.#chunks.push([item]);
    } else {
      const at = this.#chunkFor(item.sort);
      const chunk = this.#chunks[at] as T[];
      chunk.splice(position(chunk, item.sort), 0, item);
      if (chunk.length > CHUNK) this.#chunks.splice(at + 1, 0, chunk.splice(CHUNK >> 1));
    }
  }

  remove(item: T): void {
    const at = this.#chunkFor(item.sort);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return;
    const index = position(chunk, item.sort);
    if (chunk[index] !== item) return;
    this.#size--;
    chunk.splice(index, 1);
    if (chunk.length === 0) this.#chunks.splice(at, 1);
  }

  has(item: T): boolean {
    const chunk = this.#chunks[this.#chunkFor(item.sort)];
    return chunk !== undefined && chunk[position(chunk, item.sort)] === item;
  }

  /** Calls `visit` for each item from `sort` on, in order, until it returns false. */
  walk(sort: string, visit: (item: T) => boolean): void {
    let at = this.#chunkFor(sort);
    let index = -1;
    for (; at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at] as T[];
      index = index < 0 ? position(chunk, sort) : 0;
      for (; index < chunk.length; index++) if (!visit(chunk[index] as T)) return;
    }
  }

  /** The first chunk whose last item is not below `sort`; the number of chunks when there is none. */
  #chunkFor(sort: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (((this.#chunks[middle] as T[]).at(-1) as T).sort < sort) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Where `sort` is, or belongs, in a chunk. */
function position(chunk: readonly Sorted[], sort: string): number {
  let low = 0;
  let high = chunk.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((chunk[middle] as Sorted).sort < sort) low = middle + 1;
    else high = middle;
  }
  return low;
}
