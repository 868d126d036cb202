/** Priorities and ageing. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWorkQueue, type WorkQueue } from '../../../src/controller/queue/index.js';
import { virtualDeps } from '../../../src/testing/index.js';

function drain(queue: WorkQueue): string[] {
  const keys: string[] = [];
  for (let item = queue.tryGet(); item !== undefined; item = queue.tryGet()) {
    keys.push(item.key);
    queue.done(item.key);
  }
  return keys;
}

describe('WorkQueue with priorities', () => {
  it('hands out the highest priority first, FIFO within a priority', () => {
    const queue = createWorkQueue({ deps: virtualDeps() });
    for (const [key, priority] of [
      ['a', 0],
      ['b', -100],
      ['c', 10],
      ['d', 0],
      ['e', 10],
      ['f', -100],
      ['g', 0.5],
    ] as const)
      queue.add(key, { priority });
    expect(drain(queue)).toEqual(['c', 'e', 'g', 'a', 'd', 'b', 'f']);
  });

  it('sends a raised key to the end of its new band', () => {
    const queue = createWorkQueue({ deps: virtualDeps() });
    queue.add('a');
    queue.add('b', { priority: 5 });
    queue.add('c');
    queue.add('a', { priority: 5 });
    queue.add('d', { priority: 5 });
    expect(drain(queue)).toEqual(['b', 'a', 'd', 'c']);
  });

  it('keeps the highest priority and the earliest time of duplicate adds', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    queue.add('a', { priority: 3 });
    queue.add('a', { priority: 1 });
    queue.add('a');
    expect(queue.tryGet()?.priority).toBe(3);
    queue.addAfter('b', 20, { priority: 1 });
    queue.addAfter('b', 10, { priority: 7 });
    queue.addAfter('b', 30, { priority: 2 });
    await deps.advance(10);
    expect(queue.tryGet()).toMatchObject({ key: 'b', priority: 7 });
    // What it was handed out with is over; while it runs, the next run gathers its own.
    queue.add('b', { priority: -1 });
    queue.add('b', { priority: -2 });
    queue.done('b');
    expect(queue.tryGet()).toMatchObject({ key: 'b', priority: -1 });
  });

  it('raises a waiting key with a delayed add of a higher priority', () => {
    const queue = createWorkQueue({ deps: virtualDeps() });
    queue.add('a', { priority: -100 });
    queue.add('b');
    queue.addAfter('a', '1h', { priority: 1 });
    expect(drain(queue)).toEqual(['a', 'b']);
  });

  it('keeps to its order with any number of priorities (P)', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ priority: fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })), cancel: fc.boolean() }),
          { maxLength: 800 },
        ),
        (adds) => {
          const queue = createWorkQueue({ deps: virtualDeps(), ageing: false });
          for (const [index, { priority }] of adds.entries()) queue.add(`${index}`, { priority });
          for (const [index, { cancel }] of adds.entries()) if (cancel) queue.cancel(`${index}`);
          const expected = adds
            .map(({ priority, cancel }, index) => ({ key: `${index}`, priority, cancel }))
            .filter(({ cancel }) => !cancel);
          // Array.sort is stable: FIFO within a priority. 0 and -0 are one band.
          expected.sort((a, b) => b.priority - a.priority);
          expect(drain(queue)).toEqual(expected.map(({ key }) => key));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('stays quick with a priority for each of 100,000 keys', () => {
    const queue = createWorkQueue({ deps: virtualDeps() });
    const count = 100_000;
    // A list that shifts all bands for each new one would pass the time limit of the test.
    for (let index = 0; index < count; index += 1) queue.add(`key-${index}`, { priority: (index * 7919) % count });
    expect(queue.tryGet()?.priority).toBe(count - 1);
    expect(drain(queue)).toHaveLength(count - 1);
  });
});

describe('ageing of a work queue', () => {
  it('hands a waiting low-priority key out in bounded time under constant high-priority load (P)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: -100, max: 100 }), { minLength: 2, maxLength: 6 }),
        fc.integer({ min: 10, max: 300 }),
        fc.integer({ min: 1, max: 4 }),
        async (priorities, ageing, backlog) => {
          const bands = [...new Set(priorities)].sort((a, b) => a - b);
          const deps = virtualDeps();
          const queue = createWorkQueue({ deps, ageing });
          const low = bands[0] as number;
          let next = 0;
          let lowAt: number | undefined;
          const waiting = new Map<number, number>();
          const refill = (): void => {
            for (const priority of bands.slice(1)) {
              for (let count = waiting.get(priority) ?? 0; count < backlog; count += 1) queue.add(`high-${next++}`, { priority });
              waiting.set(priority, backlog);
            }
          };
          queue.add('low', { priority: low });
          // One key every ms, and the bands above never empty.
          for (let ms = 0; lowAt === undefined && ms <= 100_000; ms += 1) {
            refill();
            const item = queue.tryGet();
            queue.done(item?.key ?? '');
            if (item !== undefined) waiting.set(item.priority, (waiting.get(item.priority) ?? 0) - 1);
            if (item?.key === 'low') lowAt = ms;
            await deps.advance(1);
          }
          // One interval for each band above, and then what was there before it in the topmost of them.
          const bound = ageing * (bands.length - 1) + backlog * bands.length + 1;
          expect(lowAt ?? Infinity).toBeLessThanOrEqual(bands.length === 1 ? 0 : bound);
          if (bands.length > 1) expect(lowAt ?? 0).toBeGreaterThan(ageing * (bands.length - 1) - 1);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('puts a key that has risen behind what was there, and before what comes later', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, ageing: '10s' });
    queue.add('low', { priority: -100 });
    await deps.advance('4s');
    queue.add('before', { priority: 0 });
    await deps.advance('7s');
    queue.add('after', { priority: 0 });
    expect(drain(queue)).toEqual(['before', 'low', 'after']);
  });

  it('counts bands in use, not units of priority', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, ageing: '10s' });
    queue.add('low', { priority: -1_000_000 });
    await deps.advance(10_001);
    queue.add('high', { priority: 1_000_000 });
    await deps.advance(1);
    queue.add('higher', { priority: 2_000_000 });
    // One band above it is made up for; a second would need twenty seconds.
    expect(drain(queue)).toEqual(['higher', 'low', 'high']);
  });

  it('is off when it is false: strict priorities', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, ageing: false });
    queue.add('low', { priority: -1 });
    await deps.advance('365d');
    queue.add('high');
    expect(drain(queue)).toEqual(['high', 'low']);
  });

  it('needs no timer', () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps });
    for (let index = 0; index < 1000; index += 1) queue.add(`${index}`, { priority: index % 7 });
    expect(deps.pending().timers).toBe(0);
  });

  it('finds a raised key that is older than those before it', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, ageing: '10s' });
    queue.add('old', { priority: -2 });
    await deps.advance('9s');
    queue.add('young', { priority: -1 });
    queue.add('old', { priority: -1 });
    queue.add('top', { priority: 0 });
    await deps.advance('2s');
    expect(queue.tryGet()?.key).toBe('top');
    expect(queue.tryGet()?.key).toBe('young');
    queue.add('newest', { priority: 0 });
    // Ready for eleven seconds: it has made up for the band above.
    expect(queue.tryGet()?.key).toBe('old');
  });

  it('still rises in bounded time among thousands of bands', async () => {
    const deps = virtualDeps();
    const queue = createWorkQueue({ deps, ageing: 1 });
    queue.add('low', { priority: -1 });
    for (let index = 0; index < 2000; index += 1) queue.add(`high-${index}`, { priority: index });
    await deps.advance(2500);
    let taken = 0;
    for (let item = queue.tryGet(); item?.key !== 'low'; item = queue.tryGet()) {
      queue.add(`again-${taken}`, { priority: taken % 2000 });
      queue.done(item?.key ?? '');
      taken += 1;
    }
    // Only one call in so many looks at all bands, so as to cost little: it is slower, and still bounded.
    expect(taken).toBeLessThan((2000 * 2000) / 64);
  });
});
