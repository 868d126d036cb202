/** Backoff, bucket, minimum interval. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cappedBackoff,
  createWorkQueue,
  exponentialBackoff,
  fastSlowBackoff,
  type WorkQueue,
} from '../../../src/controller/queue/index.js';
import { seededRandom, virtualDeps } from '../../../src/testing/index.js';

const random = seededRandom(7);

function dueOf(queue: WorkQueue, key: string): number | undefined {
  return queue.inspect().find((entry) => entry.key === key)?.dueInMs;
}

describe('backoff of a work queue', () => {
  it('is base * 2^n up to the cap', () => {
    const backoff = exponentialBackoff({ baseDelay: '5ms', maxDelay: '1000s', jitter: 0 });
    expect([0, 1, 2, 3, 17, 18, 19].map((failures) => backoff(failures, random))).toEqual([5, 10, 20, 40, 655_360, 1_000_000, 1_000_000]);
  });

  it('does not overflow at n = 10,000', () => {
    for (const baseDelay of [0, 1e-9, 5, 1e9]) {
      const delay = exponentialBackoff({ baseDelay, maxDelay: '1000s' })(10_000, random);
      expect(delay).toBe(baseDelay === 0 ? 0 : 1_000_000);
    }
    const queue = createWorkQueue({ deps: virtualDeps() });
    for (let failures = 0; failures < 10_000; failures += 1) queue.addRateLimited('a', { policy: 'replace' });
    expect(queue.numRequeues('a')).toBe(10_000);
    expect(dueOf(queue, 'a')).toBe(1_000_000);
  });

  it('keeps jitter within bounds, also where the longest delay cuts it short (P)', () => {
    fc.assert(
      fc.property(
        fc.nat(40),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 1000 }),
        // The longest delay as a part of the bare one: below it, within what jitter may add, and above that.
        fc.double({ min: 0.5, max: 2.5, noNaN: true }),
        fc.nat(),
        (failures, jitter, baseDelay, part, seed) => {
          const bare = baseDelay * 2 ** failures;
          const maxDelay = bare * part;
          const delay = exponentialBackoff({ baseDelay, jitter, maxDelay })(failures, seededRandom(seed));
          expect(delay).toBeGreaterThanOrEqual(Math.min(bare, maxDelay));
          expect(delay).toBeLessThanOrEqual(Math.min(bare * (1 + jitter), maxDelay));
        },
      ),
    );
  });

  it('spreads keys that fail together, from a seed', () => {
    const delays = (seed: number): (number | undefined)[] => {
      const queue = createWorkQueue({ deps: virtualDeps({ seed }), baseDelay: 1000 });
      const keys = Array.from({ length: 50 }, (_, index) => `key-${index}`);
      for (const key of keys) queue.addRateLimited(key);
      return keys.map((key) => dueOf(queue, key));
    };
    expect(new Set(delays(1)).size).toBeGreaterThan(45);
    expect(delays(1)).toEqual(delays(1));
    expect(delays(1)).not.toEqual(delays(2));
  });

  it('is of each key alone, grows with each failure and is reset by forget', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, jitter: 0 });
    const waits: (number | undefined)[] = [];
    for (let failure = 0; failure < 4; failure += 1) {
      queue.addRateLimited('a');
      waits.push(dueOf(queue, 'a'));
      await deps.advance(100);
      expect(queue.tryGet()?.key).toBe('a');
      queue.done('a');
    }
    expect(waits).toEqual([5, 10, 20, 40]);
    queue.addRateLimited('b');
    expect(dueOf(queue, 'b')).toBe(5);
    queue.forget('a');
    queue.addRateLimited('a');
    expect(dueOf(queue, 'a')).toBe(5);
    expect(queue.numRequeues('a')).toBe(1);
    expect(queue.numRequeues('nobody')).toBe(0);
  });

  it('remembers the failures of a key that is idle, until forget, and nothing after', () => {
    const queue = createWorkQueue({ deps: virtualDeps(), baseDelay: 0 });
    queue.addRateLimited('a');
    queue.tryGet();
    queue.done('a');
    expect(queue.numRequeues('a')).toBe(1);
    expect(queue.inspect()).toEqual([]);
    queue.add('a');
    expect(queue.tryGet()?.attempts).toBe(1);
    queue.forget('a');
    queue.done('a');
    expect(queue.numRequeues('a')).toBe(0);
  });

  it("can be another: fast then slow, capped, or the user's own", () => {
    const fastSlow = fastSlowBackoff({ fast: 5, slow: '10s', fastAttempts: 3 });
    expect([0, 1, 2, 3, 4].map((failures) => fastSlow(failures, random))).toEqual([5, 5, 5, 10_000, 10_000]);
    expect(cappedBackoff(fastSlow, '2s')(9, random)).toBe(2000);
    const queue = createWorkQueue({ deps: virtualDeps(), backoff: (failures) => (failures + 1) * 7 });
    queue.addRateLimited('a');
    queue.addRateLimited('a', { policy: 'replace' });
    expect(dueOf(queue, 'a')).toBe(14);
    const broken = createWorkQueue({ deps: virtualDeps(), backoff: () => NaN });
    expect(() => broken.addRateLimited('a')).toThrow(/backoff/);
    expect(broken.numRequeues('a')).toBe(0);
    expect(() => fastSlowBackoff({ fast: 1, slow: 2, fastAttempts: -1 })).toThrow(/fastAttempts/);
  });
});

describe('bucket of a work queue', () => {
  it('limits what comes out of backoff, all keys together', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, jitter: 0, baseDelay: 1, bucket: { qps: 10, burst: 3 } });
    for (let index = 0; index < 10; index += 1) queue.addRateLimited(`key-${index}`);
    const ready: number[] = [];
    for (let at = 0; at < 10; at += 1) {
      await deps.advance(at === 0 ? 1 : 100);
      ready.push(queue.len());
    }
    expect(ready).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 10, 10]);
  });

  it('never lets more through than burst and rate allow, however failures are spread and whatever the policy (P)', async () => {
    const add = fc.record({
      at: fc.nat(3000),
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'),
      policy: fc.constantFrom('earliest' as const, 'latest' as const, 'replace' as const),
      cancel: fc.nat(9).map((chance) => chance === 0),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(add, { maxLength: 60 }),
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 5 }),
        async (adds, qps, burst) => {
          const deps = virtualDeps();
          const queue = createWorkQueue({ deps, baseDelay: 10, maxDelay: 400, bucket: { qps, burst } });
          const starts: number[] = [];
          const asked = new Set<string>();
          queue.onReady(() => {
            for (let item = queue.tryGet(); item !== undefined; item = queue.tryGet()) {
              starts.push(deps.clock.monotonic());
              asked.delete(item.key);
              queue.done(item.key);
            }
          });
          for (const { at, key, policy, cancel } of adds) {
            deps.scheduler.after(at, () => {
              if (cancel) {
                queue.cancel(key);
                asked.delete(key);
              } else {
                queue.addRateLimited(key, { policy });
                asked.add(key);
              }
            });
          }
          await deps.advance('10m');
          expect([...asked]).toEqual([]);
          for (const [index, start] of starts.entries()) {
            const earlier = starts[index - burst];
            // Of any burst + 1 starts, the last comes at least one interval after the first.
            if (earlier !== undefined) expect(start - earlier).toBeGreaterThanOrEqual(1000 / qps - 0.1);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('is not passed by a key that fails again while it waits for its token', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, jitter: 0, baseDelay: 1, bucket: { qps: 0.001, burst: 1 } });
    const keys = Array.from({ length: 20 }, (_, index) => `key-${index}`);
    for (const key of keys) queue.addRateLimited(key);
    await deps.advance(2);
    expect([queue.len(), queue.delayed()]).toEqual([1, 19]);
    for (const policy of ['replace', 'latest', 'earliest'] as const) {
      for (const key of keys.slice(1)) queue.addRateLimited(key, { policy });
      await deps.advance(10);
    }
    expect([queue.len(), queue.delayed()]).toEqual([1, 19]);
  });

  it('burns no token on keys that are cancelled, added or given another time while they wait for one', async () => {
    for (const leave of [
      (queue: WorkQueue, key: string) => void queue.cancel(key),
      (queue: WorkQueue, key: string) => void queue.add(key),
      (queue: WorkQueue, key: string) => void queue.addAfter(key, '1h', { policy: 'replace' }),
    ]) {
      const deps = virtualDeps();
      const queue = createWorkQueue({ deps, jitter: 0, baseDelay: 1, bucket: { qps: 1, burst: 1 } });
      for (let index = 0; index < 100; index += 1) queue.addRateLimited(`key-${index}`);
      await deps.advance(2);
      expect(dueOf(queue, 'key-99')).toBe(98_999);
      for (let index = 1; index < 99; index += 1) leave(queue, `key-${index}`);
      queue.addRateLimited('fresh');
      await deps.advance(1);
      // The one that stayed has moved up, and the next is behind it.
      expect([dueOf(queue, 'key-99'), dueOf(queue, 'fresh')]).toEqual([998, 1998]);
      await deps.advance(998);
      expect(dueOf(queue, 'key-99')).toBeUndefined();
      await deps.advance(1000);
      expect(dueOf(queue, 'fresh')).toBeUndefined();
    }
  });

  it('gives tokens in the order in which backoffs ended, and tells when each key will have one', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, baseDelay: 0, bucket: { qps: 1, burst: 1 } });
    queue.add('running');
    queue.tryGet();
    for (const key of ['first', 'running', 'second']) queue.addRateLimited(key);
    queue.addAfter('plain', '1500ms');
    await deps.flush();
    expect(queue.inspect()).toMatchObject([
      { key: 'running', state: 'processing', dueInMs: 1000 },
      { key: 'first', state: 'waiting' },
      { key: 'plain', state: 'delayed', dueInMs: 1500 },
      { key: 'second', state: 'delayed', dueInMs: 2000 },
    ]);
    expect(queue.delayed()).toBe(3);
    // With a worker or not, a key stands in line with the rest.
    queue.done('running');
    expect(queue.inspect().map(({ key }) => key)).toEqual(['first', 'running', 'plain', 'second']);
    await deps.advance(1000);
    expect(queue.len()).toBe(2);
    queue.shutDown();
    expect([queue.delayed(), deps.pending().timers]).toEqual([0, 0]);
  });

  it('spends no token on a key that waits for its own backoff', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, jitter: 0, baseDelay: '1m', bucket: { qps: 0.001, burst: 2 } });
    // client-go takes a token for each of these at once, and none would be left for what is due first.
    for (const key of ['a', 'b', 'c', 'd']) queue.addRateLimited(key);
    for (const key of ['a', 'b', 'c']) queue.cancel(key);
    queue.addRateLimited('e');
    await deps.advance('1m');
    expect(queue.len()).toBe(2);
  });

  it('is passed by plain adds, and keeps the place of a key that is asked for again', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, jitter: 0, baseDelay: 1, bucket: { qps: 1, burst: 1 } });
    queue.addRateLimited('a');
    queue.addRateLimited('b');
    await deps.advance(1);
    expect(queue.inspect()).toMatchObject([
      { key: 'a', state: 'waiting' },
      { key: 'b', state: 'delayed', dueInMs: 1000 },
    ]);
    queue.addRateLimited('b');
    expect(dueOf(queue, 'b')).toBe(1000);
    queue.add('c');
    expect(queue.len()).toBe(2);
    queue.add('b');
    expect(queue.len()).toBe(3);
  });

  it('has a word in a backoff of 0', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, baseDelay: 0, bucket: { qps: 10, burst: 1 } });
    queue.addRateLimited('a');
    queue.addRateLimited('b');
    await deps.flush();
    expect(queue.len()).toBe(1);
    await deps.advance(100);
    expect(queue.len()).toBe(2);
  });
});

describe('minimum interval of a work queue', () => {
  it('keeps two starts of one key apart, whatever asks for them (P)', async () => {
    const add = fc.record({ at: fc.nat(500), key: fc.constantFrom('a', 'b'), delay: fc.nat(60) });
    await fc.assert(
      fc.asyncProperty(fc.array(add, { maxLength: 30 }), fc.nat(60), async (adds, duration) => {
        const deps = virtualDeps();
        const queue = createWorkQueue({ deps, minInterval: 50 });
        const starts = new Map<string, number>();
        const lastAdd = new Map<string, number>();
        queue.onReady(() => {
          for (let item = queue.tryGet(); item !== undefined; item = queue.tryGet()) {
            const { key, takenAt } = item;
            expect(takenAt - (starts.get(key) ?? -Infinity)).toBeGreaterThanOrEqual(50);
            starts.set(key, takenAt);
            deps.scheduler.after(duration, () => queue.done(key));
          }
        });
        for (const { at, key, delay } of adds) {
          deps.scheduler.after(at, () => {
            queue.addAfter(key, delay);
            lastAdd.set(key, deps.clock.monotonic());
          });
        }
        await deps.advance('10s');
        for (const [key, at] of lastAdd) expect(starts.get(key)).toBeGreaterThanOrEqual(at);
        expect(queue.inspect()).toEqual([]);
        expect(deps.pending().timers).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it('holds a plain add back and tells so', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, minInterval: '1s' });
    queue.add('a');
    queue.tryGet();
    queue.done('a');
    await deps.advance(300);
    queue.add('a', { cause: 1 });
    queue.add('a', { cause: 2, priority: 4 });
    queue.addAfter('a', 1);
    expect([queue.len(), queue.delayed()]).toEqual([0, 1]);
    expect(queue.inspect()).toEqual([{ key: 'a', state: 'delayed', priority: 4, attempts: 0, causes: [1, 2], waitedMs: 0, dueInMs: 700 }]);
    await deps.advance(700);
    expect(queue.tryGet()).toMatchObject({ key: 'a', priority: 4, waitedMs: 700 });
    expect(queue.delayed()).toBe(0);
  });

  it('hands out at shutdown what only the interval held back', () => {
    const queue = createWorkQueue({ deps: virtualDeps(), minInterval: '1s' });
    queue.add('a');
    queue.tryGet();
    queue.done('a');
    queue.add('a');
    queue.shutDown();
    expect(queue.tryGet()?.key).toBe('a');
    queue.done('a');
    expect(queue.inspect()).toEqual([]);
  });
});
