/**
 * Every default of the work queue and its workers, in one place; docs/queue.md prints this table and a test compares
 * the two. Durations are in ms.
 */
export const queueDefaults = {
  /** First backoff of a failing key: client-go's 5 ms. */
  baseDelay: 5,
  /** Longest backoff of a failing key: client-go's 1000 s. */
  maxDelay: 1_000_000,
  /** Share of a backoff that chance may add, 0 to 1. client-go adds none, and keys that failed together retry together. */
  jitter: 0.1,
  /** How long a key waits before it counts as one band higher. */
  ageing: 10_000,
  /** Shortest time between two starts of one key; 0: none. */
  minInterval: 0,
  /** Priority of an add that names none. */
  priority: 0,
  /** Causes kept for one run of a key: the first, and the latest of the rest. */
  causesKept: 8,
  /** Worker slots. */
  concurrency: 1,
  /** Longest time workers go on before the event loop gets its turn. */
  sliceMs: 5,
  /** Most keys that workers take before the event loop gets its turn. */
  sliceItems: 1_000,
} as const;
