/**
 * Waiting, on injected time: sleeping, timeouts, deadlines, and the small parts of promises and signals they need.
 *
 * Invariants: every wait ends at once when its signal aborts, with an `AbortedError` whose cause is the signal's reason;
 * whatever way a wait ends, its timer and its listener are gone. Signals are never combined with `AbortSignal.any`,
 * which retains memory on a long-lived signal for each call (nodejs/node#54614).
 */
import { AbortedError, parseDuration, TimeoutError } from '../schemas/index.js';
import type { Deps } from './deps.js';

/** A promise and the two functions that settle it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T | PromiseLike<T>): void;
  reject(reason: unknown): void;
}

/** Makes a promise that is settled from outside: what `Promise.withResolvers` does on newer Nodes. */
export function deferred<T = void>(): Deferred<T> {
  let resolve!: Deferred<T>['resolve'];
  let reject!: Deferred<T>['reject'];
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

const nothing = (): void => {};

/** Who waits for one signal: they share one listener, so that a thousand waits on a long-lived signal are one to Node. */
interface Waiters {
  readonly waiting: Set<{ readonly fn: (reason: unknown) => void }>;
  readonly listener: () => void;
}

const waitersOf = new WeakMap<AbortSignal, Waiters>();

/**
 * Calls `fn` once with the reason when `signal` aborts, at once if it has; returns what removes the listener again.
 * No signal: nothing ever happens.
 */
export function onAbort(signal: AbortSignal | undefined, fn: (reason: unknown) => void): () => void {
  if (signal === undefined) return nothing;
  if (signal.aborted) {
    fn(signal.reason);
    return nothing;
  }
  const waiters = waitersOf.get(signal) ?? listenTo(signal);
  const waiter = { fn };
  waiters.waiting.add(waiter);
  return () => {
    if (!waiters.waiting.delete(waiter) || waiters.waiting.size > 0) return;
    signal.removeEventListener('abort', waiters.listener);
    waitersOf.delete(signal);
  };
}

function listenTo(signal: AbortSignal): Waiters {
  const waiting: Waiters['waiting'] = new Set();
  const listener = (): void => {
    waitersOf.delete(signal);
    const all = [...waiting];
    waiting.clear();
    for (const { fn } of all) fn(signal.reason);
  };
  const waiters = { waiting, listener };
  waitersOf.set(signal, waiters);
  signal.addEventListener('abort', listener, { once: true });
  return waiters;
}

/** Resolves when `signal` aborts; the listener stays until then, so keep to signals that will. */
export function waitFor(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    onAbort(signal, () => resolve());
  });
}

/** The error a wait ends with when its signal aborts; `what` says what was waited for. */
export function abortedError(signal: AbortSignal, what = 'the wait'): AbortedError {
  return new AbortedError(`${what} was aborted`, { cause: signal.reason });
}

/**
 * Throws if `signal` has aborted.
 *
 * @throws {AbortedError} with the signal's reason as cause.
 */
export function throwIfAborted(signal: AbortSignal | undefined, what?: string): void {
  if (signal?.aborted === true) throw abortedError(signal, what);
}

/** How a sleep goes. */
export interface SleepOptions {
  /** Ends the sleep early. */
  readonly signal?: AbortSignal | undefined;
  /** Lets the process exit while it sleeps. Default false. */
  readonly unref?: boolean | undefined;
}

/**
 * Resolves after `delay` (ms or '30s'); 0 and below: in the next turn.
 *
 * @throws {AbortedError} when the signal aborts first.
 * @throws {InvalidError} when the delay is no duration.
 */
export async function sleep(deps: Pick<Deps, 'scheduler'>, delay: number | string, options: SleepOptions = {}): Promise<void> {
  const { signal, unref = false } = options;
  // What is left until a moment that has passed is negative: no fault of the caller.
  const ms = typeof delay === 'number' && delay < 0 ? 0 : parseDuration(delay, 'delay');
  throwIfAborted(signal, 'a sleep');
  await new Promise<void>((resolve, reject) => {
    const timer = deps.scheduler.after(
      ms,
      () => {
        removeListener();
        resolve();
      },
      { unref },
    );
    const removeListener = onAbort(signal, () => {
      timer.cancel();
      reject(abortedError(signal as AbortSignal, 'a sleep'));
    });
  });
}

/** How long work may take, and who else may end it. */
export interface TimeoutOptions {
  /** ms or '30s'. */
  readonly timeout: number | string;
  /** Ends the work early. */
  readonly signal?: AbortSignal | undefined;
  /** What is timed, for the error: 'reconcile of service prod/web'. Default 'the operation'. */
  readonly what?: string | undefined;
}

/**
 * Runs `work` and gives its result, unless it takes longer than `timeout` or the signal aborts.
 *
 * `work` gets a signal that aborts in both cases and should heed it: the returned promise settles at once either way, and
 * what the work does later, its failure included, is ignored.
 *
 * @throws {TimeoutError} when the time is up; the signal's reason is the same error.
 * @throws {AbortedError} when `signal` aborts first.
 * @throws {InvalidError} when the timeout is no duration.
 */
export async function withTimeout<T>(
  deps: Pick<Deps, 'scheduler'>,
  work: (signal: AbortSignal) => T | PromiseLike<T>,
  options: TimeoutOptions,
): Promise<T> {
  const { timeout, signal, what = 'the operation' } = options;
  const ms = parseDuration(timeout, 'timeout');
  throwIfAborted(signal, what);
  const controller = new AbortController();
  const result = deferred<T>();
  const timer = deps.scheduler.after(ms, () => {
    const error = new TimeoutError(`${what} did not finish within ${timeout}${typeof timeout === 'number' ? ' ms' : ''}`);
    result.reject(error);
    controller.abort(error);
  });
  const removeListener = onAbort(signal, (reason) => {
    result.reject(abortedError(signal as AbortSignal, what));
    controller.abort(reason);
  });
  try {
    // The first to settle wins; a rejection of the work after that lands on a settled promise and is not "unhandled".
    Promise.resolve(work(controller.signal)).then(result.resolve, result.reject);
    return await result.promise;
  } finally {
    timer.cancel();
    removeListener();
  }
}

/** A moment by which something must be done, on the monotonic clock. */
export interface Deadline {
  /** Monotonic ms. */
  readonly at: number;
  /** ms left, 0 once it has passed. */
  remaining(): number;
  passed(): boolean;
}

/**
 * Sets a deadline `timeout` (ms or '30s') from now, for work in several steps that share one budget; a jump of the wall
 * clock does not move it.
 *
 * @throws {InvalidError} when the timeout is no duration.
 */
export function deadline(deps: Pick<Deps, 'clock'>, timeout: number | string): Deadline {
  const { clock } = deps;
  const at = clock.monotonic() + parseDuration(timeout, 'timeout');
  return {
    at,
    remaining: () => Math.max(0, at - clock.monotonic()),
    passed: () => clock.monotonic() >= at,
  };
}
