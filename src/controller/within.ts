/**
 * Waiting with a limit, for work that goes on by itself.
 *
 * Invariant: whatever way the wait ends, its timer and its listeners are gone, and nothing is left unhandled.
 */
import { onAbort } from '../store/index.js';
import type { Deps, Timer } from '../store/index.js';
import { toError } from './errors.js';

/** How long to wait at most. */
export interface Grace {
  /** Infinity: as long as it takes. */
  readonly ms: number;
  /** Ends it early: from then on it is as if `ms` were 0. */
  readonly cut?: AbortSignal | undefined;
}

/** Waits for `work` within a grace period; its failure comes through if it comes in time. */
export async function within(deps: Pick<Deps, 'scheduler'>, { ms, cut }: Grace, work: Promise<unknown> | undefined): Promise<void> {
  if (work === undefined) return;
  let timer: Timer | undefined;
  let removeListener = (): void => {};
  const over = new Promise<void>((resolve) => {
    const wait = (left: number): void => {
      timer?.cancel();
      if (left !== Infinity) timer = deps.scheduler.after(left, resolve);
    };
    wait(ms);
    removeListener = onAbort(cut, () => wait(0));
  });
  try {
    await Promise.race([work, over]);
  } finally {
    timer?.cancel();
    removeListener();
  }
}

/** What ends a wait early. */
export interface Limits {
  readonly deps: Pick<Deps, 'scheduler'>;
  /** ms; undefined: none. */
  readonly timeout: number | undefined;
  /** The error of a wait that took too long. */
  readonly late: () => Error;
  readonly signals: readonly (AbortSignal | undefined)[];
}

/** Runs `work` with a signal that aborts when it takes too long or one of the signals aborts, and fails at once with the reason. */
export async function withLimits(limits: Limits, work: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const abort = new AbortController();
  const removers: (() => void)[] = [];
  const ended = new Promise<never>((_, reject) => {
    const end = (reason: unknown): void => {
      reject(toError(reason, 'the signal'));
      abort.abort(reason);
    };
    const { deps, timeout, late, signals } = limits;
    if (timeout !== undefined) {
      const timer = deps.scheduler.after(timeout, () => end(late()));
      removers.push(() => timer.cancel());
    }
    for (const signal of signals) removers.push(onAbort(signal, end));
  });
  ended.catch(() => {});
  try {
    await Promise.race([ended, work(abort.signal)]);
  } finally {
    for (const remove of removers) remove();
  }
}
