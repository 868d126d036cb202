/** The figures informers run by unless told otherwise. docs/informer.md prints this table, and a test holds the two together. */
export const informerDefaults = Object.freeze({
  /** First wait before a watch that failed is started again, ms. A random part of it is waited (full jitter). */
  backoffBaseMs: 800,
  /** Longest such wait, ms. */
  backoffMaxMs: 30_000,
  /** A watch that lived this long, ms, makes the next wait start from the base again. */
  healthyAfterMs: 120_000,
  /** A watch that ended sooner than this, ms, without an event counts as a failure. */
  shortWatchMs: 1_000,
  /** Changes that may wait for a handler before those of one object are merged. */
  pendingLimit: 1_024,
  /** Events or handler calls in a row before the event loop gets a turn. */
  eventsPerTurn: 512,
  /** How far a resync period is stretched or shrunk at random, as a part of it. */
  resyncJitter: 0.1,
  /** A handler that keeps failing is logged at most once in this time, ms; the first ten failures always. */
  errorLogIntervalMs: 1_000,
} as const);
