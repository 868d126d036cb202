/** The figures of the garbage collector. Durations are in ms. */
export const collectorDefaults = Object.freeze({
  /** Objects worked on at once. Kubernetes has 20 for each resource; here writers in flight share a commit. */
  concurrency: 64,
  /** How long it leaves the start to the controllers: reading all that exists can wait. */
  startDelay: 1_000,
  /** First wait before a watch that failed is started again, and the longest. */
  restartDelay: 800,
  restartMaxDelay: 30_000,
  /** Wait before an object is looked at again whose write this process is not allowed: its type may be registered by then. */
  refusedDelay: 60_000,
} as const);
