/** Delayed adds: which time holds, how they end, how they fire. Real world: one case holds a real timer against the virtual ones. */
import { describe, expect, it } from 'vitest';
import { createWorkQueue, type WorkQueue } from '../../../src/controller/queue/index.js';
import { type VirtualDeps, virtualDeps } from '../../../src/testing/index.js';

function setUp(): { deps: VirtualDeps; queue: WorkQueue; keys: () => string[] } {
  const deps = virtualDeps();
  const queue = createWorkQueue({ deps });
  const keys = (): string[] => {
    const seen: string[] = [];
    for (let item = queue.tryGet(); item !== undefined; item = queue.tryGet()) {
      seen.push(item.key);
      queue.done(item.key);
    }
    return seen;
  };
  return { deps, queue, keys };
}

describe('WorkQueue with delays', () => {
  it('hands a key out when its delay is over, not before', async () => {
    const { deps, queue, keys } = setUp();
    queue.addAfter('a', '50ms');
    await deps.advance(49);
    expect(keys()).toEqual([]);
    await deps.advance(1);
    expect(keys()).toEqual(['a']);
  });

  it('keeps the earlier of two times', async () => {
    const { deps, queue, keys } = setUp();
    queue.addAfter('a', 50);
    queue.addAfter('a', 30);
    queue.addAfter('a', 70);
    await deps.advance(30);
    expect(keys()).toEqual(['a']);
    await deps.advance('1h');
    expect(keys()).toEqual([]);
  });

  it('keeps the later of two times, or the new one, when the policy says so', async () => {
    const { deps, queue, keys } = setUp();
    queue.addAfter('latest', 50);
    queue.addAfter('latest', 70, { policy: 'latest' });
    queue.addAfter('latest', 60, { policy: 'latest' });
    queue.addAfter('latest', 0, { policy: 'latest' });
    queue.addAfter('replace', 50);
    queue.addAfter('replace', 90, { policy: 'replace' });
    await deps.advance(69);
    expect(keys()).toEqual([]);
    await deps.advance(1);
    expect(keys()).toEqual(['latest']);
    await deps.advance(20);
    expect(keys()).toEqual(['replace']);
  });

  it('cancels the pending delay with a plain add, so that the key runs once', async () => {
    const { deps, queue, keys } = setUp();
    queue.addAfter('a', 50);
    queue.add('a');
    expect(queue.delayed()).toBe(0);
    expect(keys()).toEqual(['a']);
    await deps.advance('1h');
    expect(keys()).toEqual([]);
  });

  it('cancels the pending delay with a plain add also while the key is processed', async () => {
    const { deps, queue, keys } = setUp();
    queue.add('a');
    queue.tryGet();
    queue.addAfter('a', 50);
    queue.add('a');
    queue.done('a');
    expect(keys()).toEqual(['a']);
    await deps.advance('1h');
    expect(keys()).toEqual([]);
  });

  it('adds no second run with addAfter on a key that waits, or is to run again', async () => {
    const { deps, queue, keys } = setUp();
    queue.add('a');
    queue.addAfter('a', 50);
    queue.add('b');
    expect(queue.tryGet()?.key).toBe('a');
    queue.add('a');
    queue.addAfter('a', 50, { policy: 'replace' });
    queue.done('a');
    expect(keys()).toEqual(['b', 'a']);
    await deps.advance('1h');
    expect(keys()).toEqual([]);
  });

  it('drops what is asked for with cancel, and says whether there was anything', async () => {
    const { deps, queue, keys } = setUp();
    queue.addAfter('delayed', 50);
    queue.add('waiting');
    queue.add('dirty');
    queue.add('again', { priority: 1 });
    expect(queue.cancel('delayed')).toBe(true);
    expect(queue.cancel('waiting')).toBe(true);
    expect(queue.tryGet()?.key).toBe('again');
    expect(queue.tryGet()?.key).toBe('dirty');
    expect(queue.cancel('dirty')).toBe(false);
    queue.add('dirty');
    queue.addAfter('again', 50);
    expect(queue.cancel('dirty')).toBe(true);
    expect(queue.cancel('again')).toBe(true);
    expect(queue.cancel('nobody')).toBe(false);
    queue.done('dirty');
    queue.done('again');
    expect(deps.pending().timers).toBe(0);
    await deps.advance('1h');
    expect(keys()).toEqual([]);
    expect(queue.inspect()).toEqual([]);
  });

  it('adds now for delays of 0 and below', () => {
    const { queue, keys } = setUp();
    queue.addAfter('zero', 0);
    queue.addAfter('below', -5);
    queue.addAfter('past', -Infinity);
    queue.addAfter('pending', 50);
    queue.addAfter('pending', 0);
    expect(keys()).toEqual(['zero', 'below', 'past', 'pending']);
  });

  it('does not fire a delay of a year at once, but after a year', async () => {
    const { deps, queue, keys } = setUp();
    queue.addAfter('a', '365d');
    queue.addAfter('b', '25d');
    await deps.advance('24d');
    expect(keys()).toEqual([]);
    await deps.advance('1d');
    expect(keys()).toEqual(['b']);
    await deps.advance('339d');
    expect(keys()).toEqual([]);
    await deps.advance('1d');
    expect(keys()).toEqual(['a']);
  });

  it('does not fire a delay of a year at once on real timers', async () => {
    await using queue = createWorkQueue();
    queue.addAfter('a', '365d');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(queue.len()).toBe(0);
    expect(queue.delayed()).toBe(1);
  });

  it('keeps one timer for 100,000 delays, and fires them in order', async () => {
    const { deps, queue, keys } = setUp();
    const count = 100_000;
    // A permutation: each delay once, in no order.
    for (let index = 0; index < count; index += 1) queue.addAfter(`key-${(index * 7919) % count}`, 1 + ((index * 7919) % count));
    expect(queue.delayed()).toBe(count);
    expect(deps.pending().timers).toBe(1);
    await deps.advance(1000);
    expect(keys()).toEqual(Array.from({ length: 1000 }, (_, index) => `key-${index}`));
    expect(deps.pending().timers).toBe(1);
    for (let index = 1000; index < count; index += 1) queue.cancel(`key-${index}`);
    expect(deps.pending().timers).toBe(0);
    expect(queue.inspect()).toEqual([]);
  });

  it('fires what is due at one moment in the order in which it was added', async () => {
    const { deps, queue, keys } = setUp();
    const names = Array.from({ length: 20_000 }, (_, index) => `key-${index}`);
    for (const name of names) queue.addAfter(name, 5);
    await deps.advance(5);
    expect(keys()).toEqual(names);
  });

  it('asks for another run when a delay ends while the key is processed', async () => {
    const { deps, queue, keys } = setUp();
    queue.add('a');
    queue.tryGet();
    queue.addAfter('a', 10);
    await deps.advance(10);
    expect(queue.inspect()).toMatchObject([{ key: 'a', state: 'dirty' }]);
    queue.done('a');
    expect(keys()).toEqual(['a']);
    queue.add('a');
    queue.tryGet();
    queue.addAfter('a', 10);
    queue.done('a');
    expect(queue.inspect()).toMatchObject([{ key: 'a', state: 'delayed', dueInMs: 10 }]);
    await deps.advance(10);
    expect(keys()).toEqual(['a']);
  });

  it('does not mind fractions of a ms, nor a wall clock that jumps', async () => {
    const { deps, queue, keys } = setUp();
    queue.addAfter('a', 0.3);
    queue.addAfter('b', 1e-9);
    deps.jumpWallClock('-1h');
    await deps.advance(1);
    expect(keys()).toEqual(['b', 'a']);
    queue.addAfter('c', 100);
    deps.jumpWallClock('365d');
    await deps.advance(99);
    expect(keys()).toEqual([]);
    await deps.advance(1);
    expect(keys()).toEqual(['c']);
  });
});
