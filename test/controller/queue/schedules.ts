/** Random schedules of a work queue: what is done with it, step by step, and how it is set up. */
import fc from 'fast-check';

const key = fc.constantFrom('a', 'b', 'c', 'd', '');
const priority = fc.constantFrom(0, 0, 0, -100, 5, 7.5);
const delay = fc.integer({ min: -1, max: 60 });
const policy = fc.constantFrom('earliest' as const, 'latest' as const, 'replace' as const);

/** One step. */
export const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('add' as const), key, priority }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('addAfter' as const), key, priority, delay, policy }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('addRateLimited' as const), key, priority, policy }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('take' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('get' as const) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('done' as const), key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('forget' as const), key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('cancel' as const), key }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('advance' as const), ms: fc.constantFrom(1, 2, 5, 10, 20, 70) }) },
);

/** What a queue is set up with; `interval` is the ms for a token, 0: no bucket. */
export const options = fc.record({
  baseDelay: fc.constantFrom(1, 8),
  maxDelay: fc.constant(50),
  minInterval: fc.constantFrom(0, 0, 25),
  ageing: fc.constantFrom(10, 40, Infinity),
  interval: fc.constantFrom(0, 10, 100),
  burst: fc.constantFrom(1, 2),
});

export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
