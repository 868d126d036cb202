/**
 * How long to wait before a watch is started again: a random part (full jitter) of a bound that doubles with each failure.
 *
 * Invariant: the first failure after a healthy stretch starts from the base again; one success does not.
 */
import type { Random } from '../store/index.js';

export interface BackoffOptions {
  readonly baseMs: number;
  readonly maxMs: number;
  readonly healthyAfterMs: number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: Random;
  #failures = 0;

  constructor(options: BackoffOptions, random: Random) {
    this.#options = options;
    this.#random = random;
  }

  get failures(): number {
    return this.#failures;
  }

  /**
   * The wait after a watch that lived for `livedMs` failed.
   *
   * @param grace - whether the first failure is forgiven: no wait.
   */
  next(livedMs: number, grace: boolean): number {
    if (livedMs >= this.#options.healthyAfterMs) this.#failures = 0;
    const failures = this.#failures;
    this.#failures += 1;
    if (grace && failures === 0) return 0;
    const exponent = Math.min(grace ? failures - 1 : failures, 30);
    return this.#random.next() * Math.min(this.#options.maxMs, this.#options.baseMs * 2 ** exponent);
  }
}
