/**
 * Which row a key has: an open table of numbers. With a million keys nearly all the time of a Map goes into waiting for
 * memory: buckets, entries and keys lie far apart there, and side by side here.
 *
 * Invariants: a slot is two numbers, the hash of a key and its row plus one (0: empty). A key's slot lies at its hash or
 * behind it with no empty slot between, so nothing that was removed leaves a mark. At most two slots of three are taken.
 */
import { NONE } from './no-row.js';

/** Slots at the least, and a power of two always. */
const SMALLEST = 64;

export class KeyIndex {
  /** Keys that are in. */
  size = 0;
  readonly #seed: number;
  #slots = new Int32Array(SMALLEST * 2);
  #mask = SMALLEST - 1;
  /** Hashes by row: what a key is found by when it goes. */
  #hashes = new Int32Array(SMALLEST);

  /** `seed`: any 32 bits. Who does not know it cannot choose names that fall into one place. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** The row of a key, or `NONE`. `keys` has every key at its row. */
  find(keys: readonly string[], key: string): number {
    if (typeof key !== 'string') return NONE;
    const hash = hashOf(key, this.#seed);
    const slots = this.#slots;
    const mask = this.#mask;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const taken = slots[at * 2 + 1] as number;
      if (taken === 0) return NONE;
      if (slots[at * 2] === hash && keys[taken - 1] === key) return taken - 1;
    }
  }

  /** The row of a key; one that is not in gets `row`. */
  findOrAdd(keys: readonly string[], key: string, row: number): number {
    if ((this.size + 1) * 3 > this.#mask * 2) this.#grow();
    const hash = hashOf(key, this.#seed);
    const slots = this.#slots;
    const mask = this.#mask;
    let at = hash & mask;
    for (; ; at = (at + 1) & mask) {
      const taken = slots[at * 2 + 1] as number;
      if (taken === 0) break;
      if (slots[at * 2] === hash && keys[taken - 1] === key) return taken - 1;
    }
    slots[at * 2] = hash;
    slots[at * 2 + 1] = row + 1;
    this.size += 1;
    if (row >= this.#hashes.length) {
      const larger = new Int32Array(Math.max(row + 1, this.#hashes.length + (this.#hashes.length >> 1)));
      larger.set(this.#hashes);
      this.#hashes = larger;
    }
    this.#hashes[row] = hash;
    return row;
  }

  /** Takes out the key of a row, which must be in. */
  remove(row: number): void {
    const slots = this.#slots;
    const mask = this.#mask;
    let hole = (this.#hashes[row] as number) & mask;
    while (slots[hole * 2 + 1] !== row + 1) hole = (hole + 1) & mask;
    // Each of those behind, up to an empty slot, comes into the hole unless that lies before its own place.
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const taken = slots[at * 2 + 1] as number;
      if (taken === 0) break;
      const hash = slots[at * 2] as number;
      if (((at - hash) & mask) < ((at - hole) & mask)) continue;
      slots[hole * 2] = hash;
      slots[hole * 2 + 1] = taken;
      hole = at;
    }
    slots[hole * 2 + 1] = 0;
    this.size -= 1;
  }

  #grow(): void {
    const before = this.#slots;
    const slots = new Int32Array(before.length * 2);
    const mask = before.length - 1;
    for (let from = 0; from < before.length; from += 2) {
      if (before[from + 1] === 0) continue;
      let at = (before[from] as number) & mask;
      while (slots[at * 2 + 1] !== 0) at = (at + 1) & mask;
      slots[at * 2] = before[from] as number;
      slots[at * 2 + 1] = before[from + 1] as number;
    }
    this.#slots = slots;
    this.#mask = mask;
  }
}

/** Where a key belongs: FNV-1a over its UTF-16 units from a seed, and a last stir, since the lowest bits decide. */
export function hashOf(key: string, seed: number): number {
  let hash = seed;
  for (let index = 0; index < key.length; index += 1) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return hash ^ (hash >>> 12);
}
