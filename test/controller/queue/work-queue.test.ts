/** What client-go promises of a work queue, line by line. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWorkQueue, type Item, type WorkQueue, type WorkQueueOptions } from '../../../src/controller/queue/index.js';
import { isAborted, isInvalid } from '../../../src/schemas/index.js';
import { sleep } from '../../../src/store/index.js';
import { virtualDeps } from '../../../src/testing/index.js';

const queueOf = (options: WorkQueueOptions = {}): WorkQueue => createWorkQueue({ deps: virtualDeps(), ...options });

/** Takes and finishes whatever is ready. */
function drain(queue: WorkQueue): string[] {
  const keys: string[] = [];
  for (let item = queue.tryGet(); item !== undefined; item = queue.tryGet()) {
    keys.push(item.key);
    queue.done(item.key);
  }
  return keys;
}

describe('WorkQueue', () => {
  it('loses no key and gives none to two workers at once, with many producers and consumers (P)', async () => {
    const add = fc.record({
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      at: fc.nat(200),
      how: fc.constantFrom('add', 'after', 'limited'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(add, { maxLength: 40 }),
        fc.array(fc.nat(30), { minLength: 1, maxLength: 5 }),
        fc.nat(),
        async (adds, durations, seed) => {
          const deps = virtualDeps({ seed });
          const queue = createWorkQueue({ deps });
          const held = new Set<string>();
          const lastAdd = new Map<string, number>();
          const lastStart = new Map<string, number>();
          for (const { key, at, how } of adds) {
            deps.scheduler.after(at, () => {
              lastAdd.set(key, deps.clock.monotonic());
              if (how === 'add') queue.add(key);
              else if (how === 'after') queue.addAfter(key, at);
              else queue.addRateLimited(key);
            });
          }
          const worker = async (duration: number): Promise<void> => {
            for (let item = await queue.get(); item !== undefined; item = await queue.get()) {
              expect(held.has(item.key)).toBe(false);
              held.add(item.key);
              lastStart.set(item.key, deps.clock.monotonic());
              await sleep(deps, duration);
              held.delete(item.key);
              queue.done(item.key);
            }
          };
          const workers = Promise.all(durations.map(worker));
          await deps.advance('1h');
          for (const [key, at] of lastAdd) expect(lastStart.get(key)).toBeGreaterThanOrEqual(at);
          expect([queue.len(), queue.processing(), queue.delayed()]).toEqual([0, 0, 0]);
          queue.shutDown();
          await workers;
        },
      ),
      { numRuns: 200 },
    );
  });

  it('hands a key out once when it is added again while waiting', () => {
    const queue = queueOf();
    queue.add('a');
    queue.add('a');
    queue.add('a');
    expect(queue.len()).toBe(1);
    expect(drain(queue)).toEqual(['a']);
    expect(queue.inspect()).toEqual([]);
  });

  it('hands a key out again after done when it was added while it was processed', () => {
    const queue = queueOf();
    queue.add('a');
    queue.tryGet();
    queue.add('a');
    expect(queue.len()).toBe(0);
    expect(queue.tryGet()).toBeUndefined();
    queue.done('a');
    expect(queue.len()).toBe(1);
    expect(drain(queue)).toEqual(['a']);
  });

  it('brings a key back once that was added many times while it was processed', () => {
    const queue = queueOf();
    queue.add('a');
    queue.tryGet();
    for (let count = 0; count < 10; count += 1) queue.add('a');
    queue.done('a');
    expect(drain(queue)).toEqual(['a']);
  });

  it('resets backoff with forget and does not release, releases with done and does not reset', () => {
    const queue = queueOf({ baseDelay: 0 });
    queue.addRateLimited('a');
    expect(queue.tryGet()?.attempts).toBe(1);
    queue.addRateLimited('a');
    queue.forget('a');
    expect(queue.numRequeues('a')).toBe(0);
    expect(queue.tryGet()).toBeUndefined();
    queue.addRateLimited('a');
    queue.done('a');
    expect(queue.numRequeues('a')).toBe(1);
    expect(queue.tryGet()?.key).toBe('a');
  });

  it('counts what is ready in len, not what is delayed', () => {
    const queue = queueOf();
    queue.add('a');
    queue.addAfter('b', '1s');
    queue.add('c');
    queue.tryGet();
    queue.addAfter('a', '1s');
    expect([queue.len(), queue.delayed(), queue.processing()]).toEqual([1, 2, 1]);
  });

  it('never lets a key that is processed block the keys behind it', () => {
    const queue = queueOf();
    queue.add('a', { priority: 10 });
    queue.add('b');
    queue.tryGet();
    queue.add('a', { priority: 10 });
    expect(queue.tryGet()?.key).toBe('b');
  });

  it('takes a done of a key that is not with a worker, or not known, for nothing', () => {
    const queue = queueOf();
    queue.done('nobody');
    queue.add('a');
    queue.done('a');
    expect(queue.len()).toBe(1);
    expect(drain(queue)).toEqual(['a']);
    queue.done('a');
    expect(queue.processing()).toBe(0);
  });

  it('takes any string for a key', () => {
    const queue = queueOf();
    const odd = ['', ' ', '__proto__', 'constructor', '\u0000', '\ud800', 'a/b', 'ключ', '0', '-1', 'x'.repeat(10_000)];
    for (const key of odd) queue.add(key);
    expect(drain(queue)).toEqual(odd);
    // The empty key again, while freed rows are about, and by the same short way as the rest.
    queue.add('');
    queue.add('b');
    expect(drain(queue)).toEqual(['', 'b']);
  });

  it('refuses a key that is no string and a priority that is no number, and adds nothing', () => {
    const queue = queueOf();
    const wrong = 7 as unknown as string;
    for (const act of [
      () => queue.add(wrong),
      () => queue.addAfter(wrong, 5),
      () => queue.addRateLimited(wrong),
      () => queue.add('a', { priority: NaN }),
      () => queue.addAfter('a', 5, { priority: Infinity }),
    ]) {
      expect(act).toThrow(expect.objectContaining({ reason: 'Invalid' }));
    }
    expect(() => queue.addAfter('a', NaN)).toThrow(/delay/);
    expect(() => queue.addAfter('a', Infinity)).toThrow(/delay/);
    expect(() => queue.addAfter('a', 'soon' as '1s')).toThrow(/delay/);
    expect(() => queue.addAfter('a', 5, { policy: 'last' as 'latest' })).toThrow(/policy/);
    for (const options of [{ priority: NaN }, { policy: 'last' as 'latest' }]) expect(() => queue.addRateLimited('a', options)).toThrow();
    expect(queue.inspect()).toEqual([]);
    expect(queue.numRequeues('a')).toBe(0);
  });

  it('refuses options out of range, by name', () => {
    const wrong: [WorkQueueOptions, RegExp][] = [
      [{ baseDelay: -1 }, /baseDelay/],
      [{ maxDelay: 'x' as '1s' }, /maxDelay/],
      [{ jitter: 1.5 }, /jitter/],
      [{ jitter: NaN }, /jitter/],
      [{ bucket: { qps: 0, burst: 1 } }, /qps/],
      [{ bucket: { qps: 1, burst: 0 } }, /burst/],
      [{ minInterval: -1 }, /minInterval/],
      [{ ageing: 0 }, /ageing/],
      [{ backoff: () => 1, jitter: 0 }, /backoff/],
    ];
    for (const [options, message] of wrong) {
      expect(() => createWorkQueue(options)).toThrow(message);
      try {
        createWorkQueue(options);
      } catch (error) {
        expect(isInvalid(error)).toBe(true);
      }
    }
  });

  it('answers get at once when a key is ready, and in the order of the calls when not', async () => {
    const queue = queueOf();
    queue.add('a');
    expect((await queue.get())?.key).toBe('a');
    const waits = [queue.get(), queue.get()];
    queue.add('b');
    queue.add('c');
    expect((await Promise.all(waits)).map((item) => item?.key)).toEqual(['b', 'c']);
    expect(queue.processing()).toBe(3);
  });

  it('answers the gets that are left in order when some in between were aborted', async () => {
    const queue = queueOf();
    const controllers = Array.from({ length: 6 }, () => new AbortController());
    const waits = controllers.map(({ signal }) => queue.get({ signal }).catch(() => undefined));
    for (const index of [0, 3, 5]) controllers[index]?.abort();
    for (const key of ['a', 'b', 'c']) queue.add(key);
    const last = queue.get();
    queue.add('d');
    expect((await Promise.all([...waits, last])).map((item) => item?.key)).toEqual([undefined, 'a', 'b', undefined, 'c', undefined, 'd']);
    expect(queue.len()).toBe(0);
  });

  it('ends a get whose signal aborts, loses no key by it, and leaves no listener', async () => {
    const queue = queueOf();
    const controller = new AbortController();
    let listeners = 0;
    const { signal } = controller;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add(...args));
    signal.removeEventListener = (...args: Parameters<typeof remove>) => (listeners--, remove(...args));
    const answered = queue.get({ signal });
    queue.add('a');
    await answered;
    expect(listeners).toBe(0);
    const aborted = queue.get({ signal });
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toSatisfy(isAborted);
    await expect(queue.get({ signal })).rejects.toSatisfy(isAborted);
    queue.add('b');
    expect(queue.len()).toBe(1);
  });

  it('tells listeners of keys that become ready, until they are removed', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    const heard: string[] = [];
    const removeFirst = queue.onReady(() => heard.push('first'));
    queue.add('a');
    queue.add('a');
    const removeSecond = queue.onReady(() => heard.push('second'));
    queue.addAfter('b', 10);
    expect(heard).toEqual(['first']);
    await deps.advance(10);
    expect(heard).toEqual(['first', 'first', 'second']);
    removeFirst();
    removeFirst();
    queue.add('c');
    removeSecond();
    queue.add('d');
    expect(heard).toEqual(['first', 'first', 'second', 'second']);
    // A get that waits is served first, and then there is nothing to tell.
    const other = createWorkQueue({ deps });
    other.onReady(() => heard.push('other'));
    const waited = other.get();
    other.add('x');
    expect((await waited)?.key).toBe('x');
    expect(heard).not.toContain('other');
  });

  it('makes every delayed key ready though a listener throws, tells the other listeners, and throws its error in a turn of its own', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    let heard = 0;
    const removeBad = queue.onReady(() => {
      throw new Error('boom');
    });
    const removeGood = queue.onReady(() => (heard += 1));
    for (const key of ['a', 'b']) queue.addAfter(key, 5);
    queue.addAfter('c', 50);
    await expect(deps.advance(5)).rejects.toThrow('boom');
    expect([queue.len(), heard]).toEqual([2, 2]);
    await expect(deps.flush()).rejects.toThrow('boom');
    removeGood();
    await expect(deps.advance(50)).rejects.toThrow('boom');
    expect([queue.len(), queue.delayed(), heard]).toEqual([3, 0, 2]);
    // Nor does whoever adds hear of it.
    expect(queue.add('d')).toBe(true);
    removeBad();
    await expect(deps.flush()).rejects.toThrow('boom');
    await deps.flush();
    expect(drain(queue)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('bears listeners that take, finish, add and cancel inside the add', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, baseDelay: 0, minInterval: 100 });
    const seen: string[] = [];
    const take = (): void => {
      for (let item = queue.tryGet(); item !== undefined; item = queue.tryGet()) {
        seen.push(`${item.key}${item.attempts}`);
        if (seen.length < 4) queue.add(`then-${item.key}`);
        queue.done(item.key);
      }
    };
    queue.onReady(take);
    queue.addRateLimited('a');
    expect(seen).toEqual(['a1', 'then-a0', 'then-then-a0', 'then-then-then-a0']);
    expect(queue.numRequeues('a')).toBe(1);
    queue.forget('a');
    // Three keys that their interval holds back; at shutdown the first to be handed out cancels the others.
    for (const key of ['a', 'then-a', 'then-then-a']) queue.add(key);
    expect(queue.delayed()).toBe(3);
    queue.onReady(() => {
      for (const key of ['a', 'then-a', 'then-then-a']) queue.cancel(key);
    });
    queue.shutDown();
    expect(seen.slice(4)).toEqual(['a0']);
    await deps.advance('1h');
    expect(queue.inspect()).toEqual([]);
    expect(queue.len() + queue.processing() + queue.delayed()).toBe(0);
  });

  it('hands out the causes of a run: the first, the latest, and how many were dropped', () => {
    const queue = createWorkQueue<number>({ deps: virtualDeps() });
    queue.add('one', { cause: 1 });
    for (let cause = 1; cause <= 20; cause += 1) queue.add('many', { cause });
    queue.add('none');
    queue.add('many');
    const seen = [queue.tryGet(), queue.tryGet(), queue.tryGet()].map((item) => [item?.key, item?.causes, item?.droppedCauses]);
    expect(seen).toEqual([
      ['one', [1], 0],
      ['many', [1, 14, 15, 16, 17, 18, 19, 20], 12],
      ['none', [], 0],
    ]);
    // Causes that come while it runs belong to the next run.
    queue.add('one', { cause: 2 });
    queue.addAfter('many', 5, { cause: 21 });
    for (const key of ['one', 'many', 'none']) queue.done(key);
    expect(queue.tryGet()).toMatchObject({ key: 'one', causes: [2] });
    queue.cancel('many');
    queue.add('many');
    expect(queue.tryGet()).toMatchObject({ key: 'many', causes: [] });
  });

  it('tells of each key what inspect promises', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, jitter: 0 });
    for (const key of ['running', 'dirty', 'again']) queue.add(key);
    for (let count = 0; count < 3; count += 1) queue.tryGet();
    await deps.advance(100);
    queue.add('dirty', { cause: 'change', priority: 3 });
    queue.addAfter('again', '2s');
    queue.add('low', { priority: -100 });
    queue.add('high', { priority: 5, cause: 'owner' });
    queue.addAfter('later', '3s');
    queue.addRateLimited('sooner');
    await deps.advance(1);
    expect(queue.inspect()).toEqual([
      { key: 'running', state: 'processing', priority: 0, attempts: 0, causes: [], waitedMs: 0, runningMs: 101 },
      { key: 'dirty', state: 'dirty', priority: 3, attempts: 0, causes: ['change'], waitedMs: 1, runningMs: 101 },
      { key: 'again', state: 'processing', priority: 0, attempts: 0, causes: [], waitedMs: 0, runningMs: 101, dueInMs: 1999 },
      { key: 'high', state: 'waiting', priority: 5, attempts: 0, causes: ['owner'], waitedMs: 1 },
      { key: 'low', state: 'waiting', priority: -100, attempts: 0, causes: [], waitedMs: 1 },
      { key: 'sooner', state: 'delayed', priority: 0, attempts: 1, causes: [], waitedMs: 0, dueInMs: 4 },
      { key: 'later', state: 'delayed', priority: 0, attempts: 0, causes: [], waitedMs: 0, dueInMs: 2999 },
    ]);
  });

  it('measures how long a key was ready, and from when on it runs', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    queue.add('a');
    await deps.advance(30);
    queue.add('a');
    await deps.advance(12);
    const item = queue.tryGet() as Item;
    expect(item).toMatchObject({ waitedMs: 42, takenAt: deps.clock.monotonic() });
    await deps.advance(5);
    queue.add('a');
    await deps.advance(7);
    queue.done('a');
    expect(queue.tryGet()?.waitedMs).toBe(7);
  });

  it('tells how long some key has been ready, whatever made it so', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, jitter: 0 });
    expect(queue.oldestWait()).toBe(0);
    queue.addAfter('later', '1m');
    await deps.advance('61s');
    expect(queue.oldestWait()).toBe(1_000);
    queue.add('high', { priority: 5 });
    await deps.advance('2s');
    expect(queue.oldestWait()).toBe(3_000);
    expect(queue.tryGet()?.key).toBe('high');
    expect(queue.oldestWait()).toBe(3_000);
    expect(queue.tryGet()?.key).toBe('later');
    expect(queue.oldestWait()).toBe(0);
    queue.add('later');
    await deps.advance('4s');
    queue.done('later');
    // Ready since it was added, though it could not run before.
    expect(queue.oldestWait()).toBe(4_000);
    await queue[Symbol.asyncDispose]();
  });
});
