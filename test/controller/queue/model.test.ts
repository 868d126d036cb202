/** The queue against the reference queue, on random schedules in virtual time. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWorkQueue, type Item } from '../../../src/controller/queue/index.js';
import { virtualDeps } from '../../../src/testing/index.js';
import { ReferenceQueue, type ReferenceOptions } from './reference-queue.js';
import { options, step, type Step } from './schedules.js';

function expectSame(item: Item<number> | undefined, expected: ReturnType<ReferenceQueue['take']>): void {
  if (expected === undefined) {
    expect(item).toBeUndefined();
    return;
  }
  const { causes, ...rest } = expected;
  expect(item).toMatchObject(rest);
  expect((item?.causes.length ?? 0) + (item?.droppedCauses ?? 0)).toBe(causes.length);
  expect([item?.causes[0], item?.causes.at(-1)]).toEqual([causes[0], causes.at(-1)]);
}

async function compare(how: ReferenceOptions, steps: readonly Step[], shutAt: number): Promise<void> {
  const deps = virtualDeps();
  const { interval, burst, ageing, ...same } = how;
  const bucket = interval === 0 ? undefined : { qps: 1000 / interval, burst };
  const queue = createWorkQueue<number>({ ...same, bucket, ageing: ageing === Infinity ? false : ageing, jitter: 0, deps });
  const model = new ReferenceQueue(how);
  const answers: Promise<Item<number> | undefined>[] = [];
  const started = deps.clock.monotonic();
  for (const [cause, move] of steps.entries()) {
    if (cause === shutAt) {
      queue.shutDown();
      model.shutDown();
    }
    switch (move.type) {
      case 'add': {
        const { key, priority } = move;
        expect(queue.add(key, { priority, cause })).toBe(model.add(key, priority, cause));
        break;
      }
      case 'addAfter': {
        const { key, delay, policy, priority } = move;
        expect(queue.addAfter(key, delay, { policy, priority, cause })).toBe(model.addAfter(key, delay, policy, priority, cause));
        break;
      }
      case 'addRateLimited': {
        const { key, policy, priority } = move;
        expect(queue.addRateLimited(key, { policy, priority, cause })).toBe(model.addRateLimited(key, policy, priority, cause));
        break;
      }
      case 'take':
        expectSame(queue.tryGet(), model.take());
        break;
      case 'get':
        answers.push(queue.get());
        model.get();
        break;
      case 'done':
        queue.done(move.key);
        model.done(move.key);
        break;
      case 'forget':
        queue.forget(move.key);
        model.entry(move.key).failures = 0;
        break;
      case 'cancel':
        expect(queue.cancel(move.key)).toBe(model.cancel(move.key));
        break;
      case 'advance':
        await deps.advance(move.ms);
        model.advance(move.ms);
        expect(deps.clock.monotonic() - started).toBe(model.now);
        break;
      default:
        move satisfies never;
    }
    // Compared by hand after every step: a matcher each time would take most of the run.
    const { len, processing, delayed } = model.counts();
    const { timers } = deps.pending();
    if (queue.len() !== len || queue.processing() !== processing || queue.delayed() !== delayed || timers > 1) {
      const seen = { len: queue.len(), processing: queue.processing(), delayed: queue.delayed(), timers };
      expect(seen).toEqual({ len, processing, delayed, timers: 1 });
    }
    if ('key' in move && queue.numRequeues(move.key) !== model.entry(move.key).failures)
      expect(queue.numRequeues(move.key)).toBe(model.entry(move.key).failures);
  }
  queue.shutDown();
  model.shutDown();
  for (const [index, item] of (await Promise.all(answers)).entries()) {
    const expected = model.answers[index];
    if (expected === 'waits') expect.unreachable('a get still waits after shutdown');
    else expectSame(item, expected);
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
