/**
 * What waits for reconcilers that return promises.
 *
 * Invariants: a follower waits for one run at a time and is used again, so that following costs one promise and no closure;
 * a thenable of somebody else's making settles once, whatever it does.
 */
import type { RunEnd } from './outcome.js';
import type { Run } from './run.js';

/** What a reconciler that returned nothing has done. */
export const returnedNothing: RunEnd = Object.freeze({ ended: 'returned', result: undefined });

/** Whether a reconciler returned something to wait for. Throws what a look at it throws. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === 'function';
}

/** Goes on with a run whose reconciler has settled. */
export type Settled = (run: Run, end: RunEnd) => void | Promise<void>;

export class Followers {
  readonly #settled: Settled;
  readonly #idle: Follower[] = [];

  constructor(settled: Settled) {
    this.#settled = settled;
  }

  /** Resolves when the reconciler has settled and `settled` is done with it. */
  follow(run: Run, result: PromiseLike<unknown>): Promise<void> {
    const follower = this.#idle.pop() ?? new Follower(this.#idle, this.#settled);
    follower.run = run;
    return Promise.resolve(result).then(follower.onValue, follower.onError);
  }
}

class Follower {
  run: Run | undefined = undefined;
  readonly onValue: (value: unknown) => void | Promise<void>;
  readonly onError: (error: unknown) => void | Promise<void>;

  constructor(idle: Follower[], settled: Settled) {
    const end = (how: RunEnd): void | Promise<void> => {
      const run = this.run as Run;
      this.run = undefined;
      idle.push(this);
      return settled(run, how);
    };
    this.onValue = (value) => end(value === undefined ? returnedNothing : { ended: 'returned', result: value });
    this.onError = (error) => end({ ended: 'threw', error });
  }
}
