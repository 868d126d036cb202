/** How a queue ends. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWorkQueue } from '../../../src/controller/queue/index.js';
import { isAborted } from '../../../src/schemas/index.js';
import { sleep } from '../../../src/store/index.js';
import { virtualDeps } from '../../../src/testing/index.js';

/** Whether a promise has settled by now. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol('open');
  await Promise.resolve();
  return (await Promise.race([promise, Promise.resolve(open)])) !== open;
}

describe('WorkQueue shutting down', () => {
  it('refuses new adds with false, and still hands out what waits', async () => {
    const queue = createWorkQueue({ deps: virtualDeps() });
    expect(queue.add('a')).toBe(true);
    expect(queue.shuttingDown).toBe(false);
    queue.shutDown();
    expect(queue.shuttingDown).toBe(true);
    expect([queue.add('b'), queue.add('a'), queue.addAfter('c', 5), queue.addAfter('c', 0), queue.addRateLimited('d')]).toEqual([
      false,
      false,
      false,
      false,
      false,
    ]);
    expect(queue.numRequeues('d')).toBe(0);
    expect((await queue.get())?.key).toBe('a');
    expect(await queue.get()).toBeUndefined();
  });

  it('drops pending delays, and their timer', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    queue.addAfter('a', 5);
    queue.add('b');
    queue.tryGet();
    queue.addAfter('b', 5);
    queue.shutDown();
    expect(deps.pending().timers).toBe(0);
    await deps.advance('1h');
    queue.done('b');
    expect(queue.inspect()).toEqual([]);
  });

  it('ends every get that is blocked', async () => {
    const queue = createWorkQueue({ deps: virtualDeps() });
    const controller = new AbortController();
    const waits = [queue.get(), queue.get({ signal: controller.signal }), queue.get()];
    queue.shutDown();
    expect(await Promise.all(waits)).toEqual([undefined, undefined, undefined]);
    controller.abort();
  });

  it('ends a blocked get also while another key is processed', async () => {
    const queue = createWorkQueue({ deps: virtualDeps() });
    queue.add('a');
    queue.tryGet();
    queue.add('a');
    const wait = queue.get();
    queue.shutDown();
    expect(await wait).toBeUndefined();
    queue.done('a');
    expect((await queue.get())?.key).toBe('a');
  });

  it('resolves shutDownWithDrain when the last done came', async () => {
    const queue = createWorkQueue({ deps: virtualDeps() });
    queue.add('a');
    queue.add('b');
    queue.add('c');
    queue.tryGet();
    queue.tryGet();
    const drain = queue.shutDownWithDrain();
    queue.done('a');
    queue.done('b');
    expect(await settled(drain)).toBe(false);
    expect((await queue.get())?.key).toBe('c');
    expect(await settled(drain)).toBe(false);
    queue.done('c');
    await drain;
  });

  it('drains also a key that was re-added while it was processed', async () => {
    const queue = createWorkQueue({ deps: virtualDeps() });
    queue.add('a');
    queue.tryGet();
    queue.add('a');
    const drain = queue.shutDownWithDrain();
    queue.done('a');
    expect(await settled(drain)).toBe(false);
    expect((await queue.get())?.key).toBe('a');
    queue.done('a');
    await drain;
  });

  it('resolves shutDownWithDrain at once when there is nothing to wait for, delays or not', async () => {
    const queue = createWorkQueue({ deps: virtualDeps() });
    queue.addAfter('a', '1h');
    await queue.shutDownWithDrain();
    await queue.shutDownWithDrain();
    expect(queue.shuttingDown).toBe(true);
  });

  it('ends a drain with a later shutDown, and not with a second drain', async () => {
    const queue = createWorkQueue({ deps: virtualDeps() });
    queue.add('a');
    queue.tryGet();
    const drains = [queue.shutDownWithDrain(), queue.shutDownWithDrain()];
    expect(await settled(drains[0] as Promise<void>)).toBe(false);
    queue.shutDown();
    await Promise.all(drains);
    expect(queue.processing()).toBe(1);
  });

  it('ends a drain whose signal aborts; the queue stays shut down', async () => {
    const queue = createWorkQueue({ deps: virtualDeps() });
    queue.add('a');
    const controller = new AbortController();
    const drain = queue.shutDownWithDrain({ signal: controller.signal });
    controller.abort(new Error('no time'));
    await expect(drain).rejects.toSatisfy(isAborted);
    await expect(queue.shutDownWithDrain({ signal: controller.signal })).rejects.toSatisfy(isAborted);
    expect(queue.add('b')).toBe(false);
  });

  it('drains by cancelling what nobody takes', async () => {
    const queue = createWorkQueue({ deps: virtualDeps() });
    queue.add('a');
    const drain = queue.shutDownWithDrain();
    expect(queue.cancel('a')).toBe(true);
    await drain;
  });

  it('never deadlocks when it is shut down while handing out (P)', async () => {
    const add = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), at: fc.nat(50), priority: fc.nat(2), delay: fc.nat(20) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(add, { maxLength: 30 }),
        fc.array(fc.nat(20), { minLength: 1, maxLength: 4 }),
        fc.nat(80),
        fc.boolean(),
        fc.nat(),
        async (adds, durations, shutAt, withDrain, seed) => {
          const deps = virtualDeps({ seed });
          const queue = createWorkQueue({ deps });
          const accepted = new Map<string, number>();
          const started = new Map<string, number>();
          for (const { key, at, priority, delay } of adds) {
            deps.scheduler.after(at, () => {
              // A delay may be dropped by the shutdown; a plain add that was accepted must run.
              if (delay > 10) queue.addAfter(key, delay);
              else if (queue.add(key, { priority })) accepted.set(key, deps.clock.monotonic());
            });
          }
          const workers = durations.map(async (duration) => {
            for (let item = await queue.get(); item !== undefined; item = await queue.get()) {
              started.set(item.key, deps.clock.monotonic());
              await sleep(deps, duration);
              queue.done(item.key);
            }
          });
          let drained = !withDrain;
          deps.scheduler.after(shutAt, () => {
            if (withDrain) void queue.shutDownWithDrain().then(() => (drained = true));
            else queue.shutDown();
          });
          await deps.advance('1m');
          await Promise.all(workers);
          expect(drained).toBe(true);
          for (const [key, at] of accepted) expect(started.get(key)).toBeGreaterThanOrEqual(at);
          expect(queue.inspect()).toEqual([]);
          expect(deps.pending()).toMatchObject({ timers: 0, deferred: 0 });
        },
      ),
      { numRuns: 200 },
    );
  });

  it('drops everything when it is disposed of', async () => {
    const deps = virtualDeps();
    let wait: Promise<unknown>;
    {
      await using queue = createWorkQueue({ deps });
      wait = queue.get();
      queue.addAfter('later', '1h');
      queue.add('a');
      queue.add('b');
    }
    expect(await wait).toMatchObject({ key: 'a' });
    expect(deps.pending().timers).toBe(0);
    const queue = createWorkQueue({ deps });
    queue.add('a');
    await queue[Symbol.asyncDispose]();
    await queue[Symbol.asyncDispose]();
    expect(queue.len()).toBe(0);
    expect(await queue.get()).toBeUndefined();
  });
});
