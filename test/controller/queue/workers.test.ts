/** Worker slots, and the loops in them. Real world: one case holds the loops against the real event loop. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSlots, createWorkQueue, type Item, queueDefaults, runWorkers, type Worker } from '../../../src/controller/queue/index.js';
import { deferred, type Logger, sleep } from '../../../src/store/index.js';
import { virtualDeps } from '../../../src/testing/index.js';

describe('createSlots', () => {
  it('runs as many at once as there are slots, and the next when one is given back', async () => {
    const slots = createSlots({ concurrency: 2 });
    const gates = [deferred(), deferred(), deferred()];
    const started: number[] = [];
    const runs = gates.map((gate, index) =>
      slots.run(async () => {
        started.push(index);
        await gate.promise;
      }),
    );
    expect([started, slots.running, slots.waiting]).toEqual([[0, 1], 2, 1]);
    gates[1]?.resolve();
    await runs[1];
    await Promise.resolve();
    expect(started).toEqual([0, 1, 2]);
    for (const gate of gates) gate.resolve();
    await slots.onIdle();
    expect([slots.running, slots.waiting]).toEqual([0, 0]);
  });

  it('gives a slot back early with release', async () => {
    const slots = createSlots();
    const gate = deferred();
    const finished: string[] = [];
    const first = slots.run(async (release) => {
      release();
      await gate.promise;
      finished.push('first');
    });
    await first;
    await slots.run(async () => void finished.push('second'));
    gate.resolve();
    await Promise.resolve();
    await Promise.resolve();
    expect(finished).toEqual(['second', 'first']);
  });

  it('passes an error on, and gives the slot back', async () => {
    const slots = createSlots();
    await expect(slots.run(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    await slots.onIdle();
    expect(slots.running).toBe(0);
  });

  it('refuses a concurrency out of range', () => {
    for (const concurrency of [0, -1, 1.5, NaN]) {
      expect(() => createSlots({ concurrency })).toThrow(/concurrency/);
      expect(() => (createSlots().concurrency = concurrency)).toThrow(/concurrency/);
    }
    expect(createSlots({ concurrency: Infinity }).concurrency).toBe(Infinity);
  });
});

describe('runWorkers', () => {
  it('handles what waits and what comes, and takes no slot while there is nothing', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    const slots = createSlots({ concurrency: 4 });
    const seen: string[] = [];
    queue.add('a');
    const workers = runWorkers(queue, slots, { deps, handle: (item) => void seen.push(item.key) });
    expect(seen).toEqual([]);
    await deps.flush();
    queue.add('b');
    queue.addAfter('c', 10);
    await deps.flush();
    expect([seen, slots.running]).toEqual([['a', 'b'], 0]);
    await deps.advance(10);
    expect(seen).toEqual(['a', 'b', 'c']);
    await slots.onIdle();
    await workers.stop();
    expect(queue.inspect()).toEqual([]);
  });

  it('runs no handler inside an add', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    let inside = false;
    const seen: boolean[] = [];
    runWorkers(queue, createSlots(), {
      deps,
      handle: () => void seen.push(inside),
    });
    inside = true;
    queue.add('a');
    inside = false;
    await deps.flush();
    expect(seen).toEqual([false]);
  });

  it('handles up to concurrency keys at once and no more, and one key never twice at once (P)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), at: fc.nat(100), duration: fc.nat(15) }), {
          maxLength: 40,
        }),
        fc.nat(),
        async (concurrency, adds, seed) => {
          const deps = virtualDeps({ seed });
          const queue = createWorkQueue<number>({ deps });
          const running = new Set<string>();
          let most = 0;
          const workers = runWorkers(queue, createSlots({ concurrency }), {
            deps,
            handle: (item) => {
              expect(running.has(item.key)).toBe(false);
              running.add(item.key);
              most = Math.max(most, running.size);
              // Work is never left lying while a slot is free.
              const duration = item.causes.at(-1) ?? 0;
              if (duration === 0) {
                running.delete(item.key);
                return;
              }
              return sleep(deps, duration).then(() => void running.delete(item.key));
            },
          });
          for (const { key, at, duration } of adds) deps.scheduler.after(at, () => queue.add(key, { cause: duration }));
          for (let step = 0; step < 25; step += 1) {
            await deps.advance(5);
            expect(running.size).toBeLessThanOrEqual(concurrency);
            if (queue.len() > 0) expect(running.size).toBe(concurrency);
          }
          await deps.advance('1m');
          expect(most).toBeLessThanOrEqual(concurrency);
          expect(queue.inspect()).toEqual([]);
          await workers.stop();
        },
      ),
      { numRuns: 150 },
    );
  });

  it('uses every slot when handlers wait', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    let running = 0;
    const workers = runWorkers(queue, createSlots({ concurrency: 3 }), {
      deps,
      handle: async () => {
        running += 1;
        await sleep(deps, 100);
        running -= 1;
      },
    });
    for (let index = 0; index < 7; index += 1) queue.add(`${index}`);
    const seen: number[] = [];
    for (let step = 0; step < 4; step += 1) {
      await deps.advance(step === 0 ? 0 : 100);
      seen.push(running);
    }
    expect(seen).toEqual([3, 3, 1, 0]);
    expect(workers.running()).toBe(0);
  });

  it('gives a slot away while the key stays held, and frees the key when its handler settles', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    const slots = createSlots({ concurrency: 1 });
    const stuck = deferred();
    const seen: string[] = [];
    let free: (() => boolean) | undefined;
    const workers = runWorkers(queue, slots, {
      deps,
      handle: async (item, worker) => {
        seen.push(item.key);
        if (item.key !== 'stuck') return;
        free = () => worker.release(item);
        await stuck.promise;
      },
    });
    queue.add('stuck');
    queue.add('a');
    await deps.flush();
    expect(seen).toEqual(['stuck']);
    expect(free?.()).toBe(true);
    expect(free?.()).toBe(false);
    queue.add('stuck');
    await deps.flush();
    expect(seen).toEqual(['stuck', 'a']);
    expect([workers.running(), workers.released(), slots.running, queue.processing()]).toEqual([1, 1, 0, 1]);
    stuck.resolve();
    await deps.flush();
    expect(seen).toEqual(['stuck', 'a', 'stuck']);
    expect([workers.running(), workers.released(), queue.processing()]).toEqual([0, 0, 0]);
    // A run that is over has no slot to give, and must not give away the next one's.
    expect(free?.()).toBe(false);
  });

  it('goes on with what waits after a handler that gave its slot away and returned at once', async () => {
    const deps = virtualDeps();
    for (const concurrency of [1, 2]) {
      const queue = createWorkQueue({ deps, jitter: 0 });
      const slots = createSlots({ concurrency });
      const seen: string[] = [];
      const workers = runWorkers(queue, slots, {
        deps,
        handle: (item, worker) => {
          seen.push(item.key);
          expect(worker.release(item)).toBe(true);
          if (item.key === 'throws' && item.attempts === 0) throw new Error('thrown');
        },
      });
      for (const key of ['a', 'throws', 'b', 'c']) queue.add(key);
      await deps.flush();
      expect(seen.toSorted()).toEqual(['a', 'b', 'c', 'throws']);
      await deps.advance(5);
      const drain = queue.shutDownWithDrain();
      await deps.flush();
      await drain;
      expect(seen).toHaveLength(5);
      expect([workers.running(), workers.released(), slots.running, queue.processing()]).toEqual([0, 0, 0, 0]);
    }
  });

  it('does not let a late release of one run take the slot of the next', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    const held: { item: Item; worker: Worker }[] = [];
    const gate = deferred();
    runWorkers(queue, createSlots(), {
      deps,
      handle: (item, worker) => {
        held.push({ item, worker });
        return held.length === 1 ? undefined : gate.promise;
      },
    });
    queue.add('a');
    queue.add('b');
    await deps.flush();
    const [first] = held;
    expect(first?.worker.release(first.item)).toBe(false);
    gate.resolve();
  });

  it('calls done and retries with backoff when a handler throws, rejects, or throws no Error', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, jitter: 0 });
    const seen: string[] = [];
    runWorkers(queue, createSlots({ concurrency: 2 }), {
      deps,
      handle: (item) => {
        seen.push(`${item.key}${item.attempts}`);
        if (item.attempts > 0) return;
        if (item.key === 'throws') throw new Error('thrown');
        if (item.key === 'text') throw 'text';
        if (item.key === 'nothing') throw undefined;
        return Promise.reject(new Error('rejected'));
      },
    });
    for (const key of ['throws', 'rejects', 'text', 'nothing']) queue.add(key);
    await deps.flush();
    expect(seen.sort()).toEqual(['nothing0', 'rejects0', 'text0', 'throws0']);
    await deps.advance(5);
    expect(seen.slice(4).sort()).toEqual(['nothing1', 'rejects1', 'text1', 'throws1']);
    expect(queue.inspect()).toEqual([]);
    expect(deps.logs.filter((line) => line.level === 'error')).toHaveLength(4);
  });

  it('leaves what follows an error to onError, and survives its throwing', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    const errors: unknown[] = [];
    runWorkers(queue, createSlots(), {
      deps,
      handle: () => Promise.reject(new Error('rejected')),
      onError: (error, item) => {
        errors.push([item.key, (error as Error).message]);
        if (item.key === 'b') throw new Error('onError');
      },
    });
    queue.add('a');
    queue.add('b');
    await deps.flush();
    expect(errors).toEqual([
      ['a', 'rejected'],
      ['b', 'rejected'],
    ]);
    expect(queue.numRequeues('a')).toBe(0);
    expect(queue.numRequeues('b')).toBe(1);
  });

  it('calls done when the retry itself throws, and retries later all the same', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, backoff: (failures) => (failures > 1 ? NaN : 1) });
    let runs = 0;
    const workers = runWorkers(queue, createSlots(), {
      deps,
      handle: () => {
        runs += 1;
        throw new Error('thrown');
      },
    });
    queue.add('a', { priority: 3 });
    await deps.advance('1m');
    expect([runs, queue.processing(), workers.running()]).toEqual([3, 0, 0]);
    expect(queue.inspect()).toMatchObject([{ key: 'a', state: 'delayed', priority: 3 }]);
    expect(deps.logs.at(-1)).toMatchObject({ level: 'error', fields: { key: 'a' } });
    await deps.advance(queueDefaults.maxDelay);
    expect(runs).toBe(4);
    await workers.stop();
  });

  it('calls done also when nothing can be logged', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    let faults = 2;
    const error: Logger['error'] = (fields, message) => {
      faults -= 1;
      if (faults >= 0) throw new Error('no log');
      deps.logger.error(fields, message);
    };
    const slots = createSlots();
    const seen: string[] = [];
    const workers = runWorkers(queue, slots, {
      deps: { ...deps, logger: { ...deps.logger, error } },
      handle: (item) => {
        seen.push(item.key);
        if (item.key === 'a') throw new Error('thrown');
      },
      onError: () => error({}, 'first fault'),
    });
    queue.add('a');
    queue.add('b');
    await deps.flush();
    expect([seen, queue.processing(), workers.running(), slots.running]).toEqual([['a', 'b'], 0, 0, 0]);
    await workers.stop();
  });

  it('pauses after the keys it has, and goes on', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    const slots = createSlots({ concurrency: 2 });
    const seen: string[] = [];
    runWorkers(queue, slots, {
      deps,
      handle: async (item) => {
        seen.push(item.key);
        await sleep(deps, 10);
      },
    });
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key);
    await deps.flush();
    slots.pause();
    await deps.advance(100);
    expect(seen).toEqual(['a', 'b']);
    expect(slots.running).toBe(0);
    queue.add('e');
    await deps.advance(100);
    expect(seen).toEqual(['a', 'b']);
    slots.resume();
    await deps.advance(100);
    expect(seen).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('follows a concurrency that changes', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    const slots = createSlots({ concurrency: 1 });
    let running = 0;
    runWorkers(queue, slots, {
      deps,
      handle: async (item) => {
        running += 1;
        await sleep(deps, 10);
        running -= 1;
        queue.add(item.key);
      },
    });
    for (let index = 0; index < 8; index += 1) queue.add(`${index}`);
    await deps.advance(25);
    expect(running).toBe(1);
    slots.concurrency = 4;
    await deps.advance(25);
    expect(running).toBe(4);
    slots.concurrency = 2;
    await deps.advance(25);
    expect(running).toBe(2);
  });

  it('shares slots with another queue, so that neither starves', async () => {
    const deps = virtualDeps();
    const slots = createSlots({ concurrency: 1 });
    const seen = { a: 0, b: 0 };
    for (const name of ['a', 'b'] as const) {
      const queue = createWorkQueue({ deps, name });
      for (let index = 0; index < 5000; index += 1) queue.add(`${index}`);
      runWorkers(queue, slots, {
        deps,
        handle: () => {
          seen[name] += 1;
          if (seen.a === 2500) expect(seen.b).toBeGreaterThan(0);
        },
      });
    }
    await deps.flush();
    expect(seen).toEqual({ a: 5000, b: 5000 });
  });

  it('gives the event loop its turn while it works off a great many keys', async () => {
    const queue = createWorkQueue();
    for (let index = 0; index < 100_000; index += 1) queue.add(`${index}`);
    let turns = 0;
    let over = false;
    const count = (): void => {
      turns += 1;
      if (!over) setImmediate(count);
    };
    setImmediate(count);
    runWorkers(queue, createSlots({ concurrency: 4 }), { handle: () => {} });
    await queue.shutDownWithDrain();
    over = true;
    // A turn for each thousand keys at the least.
    expect(turns).toBeGreaterThanOrEqual(99);
  });

  it('runs nothing after stop resolved, and waits for handlers without a slot too', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    const seen: string[] = [];
    const finished: string[] = [];
    const workers = runWorkers(queue, createSlots({ concurrency: 2 }), {
      deps,
      handle: async (item, worker) => {
        seen.push(item.key);
        if (item.key === 'a') worker.release(item);
        await sleep(deps, item.key === 'a' ? 100 : 10);
        finished.push(item.key);
      },
    });
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key);
    await deps.flush();
    let stopped = false;
    const stop = workers.stop().then(() => (stopped = true));
    const again = workers.stop();
    await deps.advance(50);
    expect(stopped).toBe(false);
    await deps.advance(50);
    await stop;
    await again;
    await workers.stop();
    queue.add('e');
    await deps.advance('1h');
    expect(seen).toEqual(['a', 'b', 'c']);
    expect(finished.sort()).toEqual(['a', 'b', 'c']);
    expect(queue.len()).toBe(2);
  });

  it('drains with the queue', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    let handled = 0;
    runWorkers(queue, createSlots({ concurrency: 3 }), {
      deps,
      handle: async (item) => {
        await sleep(deps, 5);
        handled += 1;
        if (item.key === '0' && handled < 3) queue.add('0');
      },
    });
    for (let index = 0; index < 20; index += 1) queue.add(`${index}`);
    const drain = queue.shutDownWithDrain();
    await deps.advance('1s');
    await drain;
    expect(handled).toBe(20);
  });
});
