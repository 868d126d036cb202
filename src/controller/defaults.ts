/**
 * The figures controllers and managers run by unless told otherwise. docs/controller.md and docs/manager.md print these
 * tables, and a test holds them together. Durations are in ms.
 */

/** Defaults of a controller. */
export const controllerDefaults = Object.freeze({
  /** Keys at once. controller-runtime's MaxConcurrentReconciles. */
  concurrency: 1,
  /** How long a run may take before its context is revoked. controller-runtime has none; a run that hangs must be found. */
  timeout: 300_000,
  /** How long the sources may take to sync. controller-runtime's CacheSyncTimeout. */
  cacheSyncTimeout: 120_000,
  /** Priority of a key that a change woke. */
  priority: 0,
  /** Priority of what was there at the start and of resyncs. controller-runtime's LowPriority. */
  initialPriority: -100,
  /** Conflicts in a row that are retried at once. */
  conflictsAtOnce: 5,
  /** Tries of a write of the framework's own (status, finalizer) that loses to writes of others. */
  writeTries: 5,
  /** Tries of a `map` that throws, and the wait before the first; it doubles. */
  mapTries: 8,
  mapRetryDelay: 250,
  /** Runs in a row that a key may cause itself before it is slowed. */
  hotLoopRuns: 10,
  /** First wait of a key that keeps causing its own runs; it doubles up to the longest. */
  hotLoopBaseDelay: 1_000,
  hotLoopMaxDelay: 60_000,
  /** Newest runs kept for `explain`, all keys together. */
  journalRuns: 1_000,
  /** Of each key so many are told, and kept beyond the newest ... */
  journalRunsOfKey: 20,
  /** ... up to so many, all keys together; the keys that ran longest ago go first. */
  journalOlderRuns: 20_000,
  /** Of what is no longer among the newest, so many are kept in a second: what runs more often than that is a flood. */
  journalOlderRunsPerSecond: 5_000,
} as const);

/** Defaults of a manager. */
export const managerDefaults = Object.freeze({
  /** How long a stop waits for running reconciles. controller-runtime's GracefulShutdownTimeout. */
  gracePeriod: 30_000,
  /** Work waits and nothing finished for this long: wedged. */
  wedgedAfter: 60_000,
  /** An object that is being deleted for this long is in the report of those that do not go. */
  terminatingAfter: 300_000,
  /** How long the store may take to answer a read before readiness fails. */
  storeTimeout: 5_000,
  /** Between two measurements of the event loop. */
  loopLagInterval: 1_000,
  /** The event loop was late by this much: liveness fails. */
  loopLagLimit: 10_000,
  /** client-go's leader election. */
  leaseDuration: 15_000,
  renewDeadline: 10_000,
  retryPeriod: 2_000,
} as const);
