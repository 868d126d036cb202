/** The types of the work queue: what it takes, what it hands out, what it tells. The contract is in docs/queue.md. */
import type { Duration } from '../../schemas/index.js';
import type { Deps } from '../../store/index.js';
import type { MetricsRegistry } from '../metrics/index.js';
import type { Backoff, BucketOptions } from './rate-limiters.js';

/** What the queue takes from the world. */
export type QueueDeps = Pick<Deps, 'clock' | 'scheduler' | 'random'>;

/** How a queue behaves. Each default is in `queueDefaults`. */
export interface WorkQueueOptions {
  /** Names the queue in metrics (labels `name` and `controller`) and errors. Default 'default'. */
  readonly name?: string | undefined;
  /** First backoff of a key. Default 5 ms. */
  readonly baseDelay?: Duration | undefined;
  /** Longest backoff of a key. Default 1000 s. */
  readonly maxDelay?: Duration | undefined;
  /** Share of a backoff that chance may add, 0 to 1. Default 0.1. */
  readonly jitter?: number | undefined;
  /** Another backoff instead of the exponential one; excludes the three above. */
  readonly backoff?: Backoff | undefined;
  /** A bucket that limits what comes out of backoff, all keys together. Default: none. */
  readonly bucket?: BucketOptions | undefined;
  /** Shortest time between two starts of one key. Default 0. */
  readonly minInterval?: Duration | undefined;
  /** A waiting key counts as one band higher for each such interval; false: strict priorities. Default 10 s. */
  readonly ageing?: Duration | false | undefined;
  /** Clock, timers, chance. Default: the system's. */
  readonly deps?: QueueDeps | undefined;
  /** Where the workqueue_* series go. Default: nowhere. */
  readonly metrics?: MetricsRegistry | undefined;
}

/** What an add may say beside the key. */
export interface AddOptions<Cause = unknown> {
  /** Higher goes first; any finite number. A key keeps the highest it was added with until it is handed out. Default 0. */
  readonly priority?: number | undefined;
  /** Why; handed out with the key. A few are kept for each run. */
  readonly cause?: Cause | undefined;
}

/** Which time holds when a delay meets a pending one. */
export type DelayPolicy = 'earliest' | 'latest' | 'replace';

/** What a delayed add may say beside key and delay. */
export interface AddAfterOptions<Cause = unknown> extends AddOptions<Cause> {
  /** Which time holds when the key has a pending delay. Default 'earliest'. */
  readonly policy?: DelayPolicy | undefined;
}

/** A key that was handed out: whoever has it calls `done(key)`, whatever happens. */
export interface Item<Cause = unknown> {
  readonly key: string;
  /** The highest priority it was added with since it was last handed out. */
  readonly priority: number;
  /** Why it runs: the first cause and the latest ones. */
  readonly causes: readonly Cause[];
  /** How many causes between the first and the latest were not kept. */
  readonly droppedCauses: number;
  /** ms from when it was ready to when it was handed out. */
  readonly waitedMs: number;
  /** Rate-limited adds since the last `forget`: `numRequeues` at the time. */
  readonly attempts: number;
  /** When it was handed out, in ms of the monotonic clock. */
  readonly takenAt: number;
}

/** What `inspect` tells of a key. */
export interface InspectedKey<Cause = unknown> {
  readonly key: string;
  /** `dirty`: with a worker, and to be handed out again after `done`. */
  readonly state: 'waiting' | 'delayed' | 'processing' | 'dirty';
  readonly priority: number;
  /** Rate-limited adds since the last `forget`. */
  readonly attempts: number;
  /** ms until its pending delay is over; also of a key that is with a worker. Below 0: overdue by one turn. */
  readonly dueInMs?: number;
  /** ms since it was ready (waiting, dirty, or held by `minInterval`); 0 for others. */
  readonly waitedMs: number;
  /** ms that it has been with a worker. */
  readonly runningMs?: number;
  /** Causes of the run that is asked for. */
  readonly causes: readonly Cause[];
}

/**
 * The keys that want work: each waits once at most, is with one worker at most, and runs again when it was added while
 * it ran. The rules are client-go's; docs/queue.md has them all.
 */
export interface WorkQueue<Cause = unknown> extends AsyncDisposable {
  readonly name: string;
  /**
   * Makes the key ready, and drops its pending delay. False after shutdown.
   *
   * @throws {InvalidError} when the key is no string or the priority no finite number.
   * @example queue.add('prod/web', { priority: 10, cause: { type: 'change', revision: '42' } });
   */
  add(key: string, options?: AddOptions<Cause>): boolean;
  /**
   * Makes the key ready after `delay` (ms or '30s'; any length; 0 and below: now). A key that is ready already stays so,
   * and does not run a second time. False after shutdown.
   *
   * @throws {InvalidError} as `add`, and when the delay is no duration.
   */
  addAfter(key: string, delay: Duration, options?: AddAfterOptions<Cause>): boolean;
  /**
   * Counts a failure of the key and makes it ready after its backoff, when the bucket allows it. False after shutdown,
   * and then nothing is counted.
   *
   * @throws {InvalidError} as `add`.
   */
  addRateLimited(key: string, options?: AddAfterOptions<Cause>): boolean;
  /**
   * The next key, now or when there is one; `undefined` once the queue is shut down and nothing waits.
   *
   * @throws {AbortedError} when the signal aborts first; no key is lost by it.
   */
  get(options?: { readonly signal?: AbortSignal | undefined }): Promise<Item<Cause> | undefined>;
  /** The next key, or `undefined` if none is ready. */
  tryGet(): Item<Cause> | undefined;
  /** Releases a key that was handed out; if it was added meanwhile it is ready again. Failures stay. */
  done(key: string): void;
  /** Resets the failures of a key; does not release it. */
  forget(key: string): void;
  /** Rate-limited adds of the key since its last `forget`. */
  numRequeues(key: string): number;
  /** Drops the run that is asked for, be it waiting, delayed or due after `done`; not the one in progress. True if there was one. */
  cancel(key: string): boolean;
  /** Keys that are ready. */
  len(): number;
  /** Keys that are with workers. */
  processing(): number;
  /** Keys with a pending delay, those with workers included. */
  delayed(): number;
  /** ms that some key has been ready for: of those that are next in their priority, the one that waits for longest; 0 when none is ready. */
  oldestWait(): number;
  /** Every key that the queue would act on: with workers, then ready in bands, then delayed by time. A copy; takes O(n log n). */
  inspect(): readonly InspectedKey<Cause>[];
  /**
   * Calls `listener` whenever a key becomes ready that no `get` is waiting for: for loops that take with `tryGet`. It runs
   * inside the add, must be quick and must not throw. Returns what removes it.
   */
  onReady(listener: () => void): () => void;
  /** True once `shutDown` or `shutDownWithDrain` was called. */
  readonly shuttingDown: boolean;
  /** Refuses adds from now on and drops delays; what waits is still handed out. Ends a drain that waits. */
  shutDown(): void;
  /**
   * Shuts down, and resolves when nothing waits and the last `done` has come, or `shutDown` is called.
   *
   * @throws {AbortedError} when the signal aborts first; the queue stays shut down.
   */
  shutDownWithDrain(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}
