/** The queue against the reference queue, on random schedules in virtual time. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWorkQueue } from '../../../src/controller/queue/index.js';
import { virtualDeps } from '../../../src/testing/index.js';
import { ReferenceQueue, type ReferenceOptions } from './reference-queue.js';

const key = fc.constantFrom('a', 'b', 'c', 'd', '');
const priority = fc.constantFrom(0, 0, 0, -100, 5, 7.5);
const delay = fc.integer({ min: -1, max: 60 });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('add' as const), key, priority }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('addAfter' as const),
      key,
      priority,
      delay,
      policy: fc.constantFrom('earliest' as const, 'latest' as const, 'replace' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('addRateLimited' as const), key, priority }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('take' as const) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('done' as const), key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('forget' as const), key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('cancel' as const), key }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 70 }) }) },
);
const options = fc.record({
  baseDelay: fc.constantFrom(1, 8),
  maxDelay: fc.constant(50),
  minInterval: fc.constantFrom(0, 0, 25),
  ageing: fc.constantFrom(10, 40, Infinity),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function compare(how: ReferenceOptions, steps: readonly Step[], shutAt: number): Promise<void> {
  const deps = virtualDeps();
  const queue = createWorkQueue({ ...how, ageing: how.ageing === Infinity ? false : how.ageing, jitter: 0, deps });
  const model = new ReferenceQueue(how);
  const started = deps.clock.monotonic();
  let cause = 0;
  for (const [index, move] of steps.entries()) {
    if (index === shutAt) {
      queue.shutDown();
      model.shutDown();
    }
    cause += 1;
    if (move.type === 'add')
      expect(queue.add(move.key, { priority: move.priority, cause })).toBe(model.add(move.key, move.priority, cause));
    else if (move.type === 'addAfter') {
      expect(queue.addAfter(move.key, move.delay, { policy: move.policy, priority: move.priority, cause })).toBe(
        model.addAfter(move.key, move.delay, move.policy, move.priority, cause),
      );
    } else if (move.type === 'addRateLimited') {
      expect(queue.addRateLimited(move.key, { priority: move.priority, cause })).toBe(model.addRateLimited(move.key, move.priority, cause));
    } else if (move.type === 'take') {
      const item = queue.tryGet();
      const expected = model.take();
      if (expected === undefined) expect(item).toBeUndefined();
      else {
        const { causes, ...rest } = expected;
        expect(item).toMatchObject(rest);
        expect((item?.causes.length ?? 0) + (item?.droppedCauses ?? 0)).toBe(causes.length);
        expect([item?.causes[0], item?.causes.at(-1)]).toEqual([causes[0], causes.at(-1)]);
      }
    } else if (move.type === 'done') {
      queue.done(move.key);
      model.done(move.key);
    } else if (move.type === 'forget') {
      queue.forget(move.key);
      model.forget(move.key);
    } else if (move.type === 'cancel') expect(queue.cancel(move.key)).toBe(model.cancel(move.key));
    else {
      await deps.advance(move.ms);
      model.advance(move.ms);
      expect(deps.clock.monotonic() - started).toBe(model.now);
    }
    // Compared by hand after every step: a matcher each time would take most of the run.
    const counts = model.counts();
    if (
      queue.len() !== counts.len ||
      queue.processing() !== counts.processing ||
      queue.delayed() !== counts.delayed ||
      deps.pending().timers > 1
    ) {
      expect({ len: queue.len(), processing: queue.processing(), delayed: queue.delayed(), timers: deps.pending().timers }).toEqual({
        ...counts,
        timers: 1,
      });
    }
    if ('key' in move && queue.numRequeues(move.key) !== model.failures(move.key))
      expect(queue.numRequeues(move.key)).toBe(model.failures(move.key));
  }
  await queue[Symbol.asyncDispose]();
  expect(deps.pending().timers).toBe(0);
}

describe('WorkQueue against a reference queue', () => {
  it('gives the same answers on 10,000 random schedules (P)', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(options, fc.array(step, { minLength: 5, maxLength: 40 }), fc.option(fc.nat({ max: 80 }), { nil: -1 }), compare),
      { numRuns: Number(process.env['RUNE_MODEL_RUNS'] ?? 10_000) },
    );
  });
});
