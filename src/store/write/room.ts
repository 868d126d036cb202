/**
 * Where writers wait when the commit queue is full, first come first served.
 *
 * Invariant: a place that was given is counted as taken until its writer has it, so that nobody slips in between.
 */
import { AbortedError, TooManyRequestsError } from '../../schemas/index.js';
import { deferred, onAbort } from '../timing.js';

export class Room {
  readonly #full: (given: number) => boolean;
  readonly #most: number;
  readonly #waiting = new Set<() => void>();
  /** Places given to writers that have not taken them yet. */
  #given = 0;

  /** `full` is asked with the places that are given away; more than `most` writers may not wait. */
  constructor(options: { readonly full: (given: number) => boolean; readonly most: number }) {
    this.#full = options.full;
    this.#most = options.most;
  }

  /** Writers that wait or have been given a place they have not taken. */
  get size(): number {
    return this.#waiting.size + this.#given;
  }

  /** Who comes now has to wait: there is no room, or others came before. */
  get crowded(): boolean {
    return this.#waiting.size > 0 || this.#full(this.#given);
  }

  /** Resolves with a place, or when everybody is sent away. @throws {TooManyRequestsError} @throws {AbortedError} */
  async enter(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.size >= this.#most) {
      throw new TooManyRequestsError(`${this.#waiting.size} writers wait for room in the write queue: slow down`, {
        details: { retryAfterSeconds: 1 },
      });
    }
    const { promise, resolve } = deferred();
    const wake = (): void => resolve();
    this.#waiting.add(wake);
    let gaveUp = false;
    const unlisten = onAbort(signal, () => {
      gaveUp = this.#waiting.delete(wake);
      resolve();
    });
    await promise;
    unlisten();
    if (!gaveUp) this.#given -= 1;
    if (signal?.aborted === true) {
      this.admit();
      throw new AbortedError('the write was aborted while it waited for room in the queue: nothing was written', { cause: signal.reason });
    }
  }

  /** Gives the places that are free to those who wait longest. */
  admit(): void {
    for (const wake of this.#waiting) {
      if (this.#full(this.#given)) return;
      this.#let(wake);
    }
  }

  /** Lets everybody go, room or not. */
  dissolve(): void {
    for (const wake of this.#waiting) this.#let(wake);
  }

  #let(wake: () => void): void {
    this.#waiting.delete(wake);
    this.#given += 1;
    wake();
  }
}
