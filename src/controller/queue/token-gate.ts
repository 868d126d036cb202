/**
 * Where rate-limited keys stand with the bucket.
 *
 * Invariants: a key asks for its token when its backoff is over and gets one, in the order of asking; until it has run,
 * or something else replaces its delay, it asks for no second one.
 */
import type { Bucket } from './rate-limiters.js';

/** Not limited: a plain delay. */
export const FREE = 0;
/** Limited, and still in backoff. */
export const NEEDS_TOKEN = 1;
/** Limited, and its delay is the wait for its token. */
export const HAS_TOKEN = 2;

export class TokenGate {
  readonly #bucket: Bucket;
  /** By row: one of the three above. */
  #tokens = new Uint8Array(64);

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  get(row: number): number {
    return row < this.#tokens.length ? (this.#tokens[row] as number) : FREE;
  }

  set(row: number, token: number): void {
    if (row >= this.#tokens.length) {
      const larger = new Uint8Array(Math.max(row + 1, this.#tokens.length * 2));
      larger.set(this.#tokens);
      this.#tokens = larger;
    }
    this.#tokens[row] = token;
  }

  /** How many ms more a row must wait whose delay is over at `now`. */
  admit(row: number, now: number): number {
    if (this.get(row) !== NEEDS_TOKEN) return 0;
    this.#tokens[row] = HAS_TOKEN;
    return this.#bucket.reserve(now);
  }
}
