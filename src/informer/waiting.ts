/**
 * Waiting for an informer: for its first sync, or for a revision.
 *
 * Invariant: whatever way a wait ends, its timer, its listener and its place in the queue are gone.
 */
import { parseDuration, TimeoutError } from '../schemas/index.js';
import { abortedError, onAbort, type Deps } from '../store/index.js';
import type { WaitOptions } from './types.js';

interface Waiter {
  readonly at: number;
  readonly done: () => void;
  readonly fail: (error: Error) => void;
}

/** Waiters in the order of what they wait for: a number that only grows. */
export class Waiters {
  readonly #deps: Pick<Deps, 'scheduler'>;
  readonly #waiting: Waiter[] = [];

  constructor(deps: Pick<Deps, 'scheduler'>) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#waiting.length;
  }

  /**
   * Resolves once `reach` was called with `at` or more. `what` says what was waited for, when the time is up.
   *
   * @throws {TimeoutError} @throws {AbortedError} @throws {InvalidError} for a timeout that is no duration.
   */
  wait(at: number, options: WaitOptions, what: () => string): Promise<void> {
    const { signal, timeout } = options;
    const ms = timeout === undefined ? undefined : parseDuration(timeout, 'timeout');
    if (signal?.aborted === true) return Promise.reject(abortedError(signal, what()));
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        at,
        done: () => {
          end();
          resolve();
        },
        fail: (error) => {
          end();
          this.#remove(waiter);
          reject(error);
        },
      };
      const timer =
        ms === undefined
          ? undefined
          : this.#deps.scheduler.after(ms, () => waiter.fail(new TimeoutError(`${what()} did not happen within ${ms} ms`)));
      const removeListener = onAbort(signal, () => waiter.fail(abortedError(signal as AbortSignal, what())));
      const end = (): void => {
        timer?.cancel();
        removeListener();
      };
      this.#insert(waiter);
    });
  }

  /** Wakes all that wait for `at` or less. */
  reach(at: number): void {
    const waiting = this.#waiting;
    if (waiting.length === 0 || (waiting[0] as Waiter).at > at) return;
    let count = 1;
    while (count < waiting.length && (waiting[count] as Waiter).at <= at) count += 1;
    for (const waiter of waiting.splice(0, count)) waiter.done();
  }

  /** Ends every wait with an error. */
  fail(error: Error): void {
    for (const waiter of this.#waiting.splice(0)) waiter.fail(error);
  }

  #insert(waiter: Waiter): void {
    const waiting = this.#waiting;
    let place = waiting.length;
    // Nearly all come in order, so the search from the end is short.
    while (place > 0 && (waiting[place - 1] as Waiter).at > waiter.at) place -= 1;
    waiting.splice(place, 0, waiter);
  }

  #remove(waiter: Waiter): void {
    const place = this.#waiting.indexOf(waiter);
    if (place >= 0) this.#waiting.splice(place, 1);
  }
}
