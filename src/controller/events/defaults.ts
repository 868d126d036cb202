/** Limits of the event recorder: client-go's. Durations are in ms. */
export const eventDefaults = Object.freeze({
  /** Events remembered, to count what happens again. */
  cacheSize: 4_096,
  /** So many different notes with one reason within `similarWithin` are told apart; from then on they are one event. */
  maxSimilar: 10,
  similarWithin: 600_000,
  /** Events about one object: so many at once ... */
  burst: 25,
  /** ... and then one in this time. */
  refill: 300_000,
  /** Events that wait to be written; beyond it they are dropped. */
  queueSize: 1_000,
  /** Tries of a write, and the time between two. */
  tries: 12,
  retryAfter: 10_000,
  /** How long an event is kept after it happened last. Kubernetes' API server keeps them an hour. */
  ttl: 3_600_000,
  /** How often old events are looked for. */
  sweepEvery: 300_000,
  /** Longest note; a longer one is cut. */
  noteLength: 1_024,
} as const);
