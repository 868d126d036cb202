/** Virtual time: clocks, timers, turns, and the order of what is due at one moment. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { virtualDeps } from '../../src/testing/index.js';

/** Starts work that nothing waits for; should it fail, the run does as well. */
function start(work: () => Promise<void>): void {
  work().catch((error: unknown) => {
    throw error;
  });
}

const year = 365 * 24 * 3_600_000;

describe('virtualDeps time', () => {
  it('stands still until it is moved', async () => {
    const deps = virtualDeps();
    const before = deps.clock.now();
    await deps.flush();
    expect(deps.clock.now()).toBe(before);
    expect(new Date(before).toISOString()).toBe('2026-01-01T00:00:00.000Z');
    expect(deps.clock.monotonic()).toBe(0);
  });

  it('starts where it is told, in RFC 3339 or ms', () => {
    expect(virtualDeps({ start: '2030-05-06T07:08:09.5+02:00' }).clock.now()).toBe(Date.UTC(2030, 4, 6, 5, 8, 9, 500));
    expect(virtualDeps({ start: 12_345 }).clock.now()).toBe(12_345);
  });

  it('runs each timer at its moment and stands at the end of the span', async () => {
    const deps = virtualDeps();
    const seen: number[] = [];
    for (const delay of [3_000, 1_000, 2_000, 5_001]) deps.scheduler.after(delay, () => seen.push(deps.clock.monotonic()));
    await deps.advance('5s');
    expect(seen).toEqual([1_000, 2_000, 3_000]);
    expect(deps.clock.monotonic()).toBe(5_000);
    await deps.advance(1);
    expect(seen).toEqual([1_000, 2_000, 3_000, 5_001]);
  });

  it('runs what a timer sets in turn, within the same advance', async () => {
    const deps = virtualDeps();
    const seen: number[] = [];
    const tick = (): void => {
      seen.push(deps.clock.monotonic());
      deps.scheduler.after(10, tick);
    };
    deps.scheduler.after(10, tick);
    await deps.advance(45);
    expect(seen).toEqual([10, 20, 30, 40]);
  });

  it('does not fire a timer of a year, or beyond 24.8 days, before its moment', async () => {
    const deps = virtualDeps();
    let fired = 0;
    deps.scheduler.after(year, () => fired++);
    await deps.advance('30d');
    await deps.advance(year - 30 * 24 * 3_600_000 - 1);
    expect(fired).toBe(0);
    await deps.advance(1);
    expect(fired).toBe(1);
  });

  it('treats a delay of 0 and below as the next turn, never as now', async () => {
    const deps = virtualDeps();
    const seen: string[] = [];
    deps.scheduler.after(0, () => seen.push('zero'));
    deps.scheduler.after(-5, () => seen.push('below'));
    expect(seen).toEqual([]);
    expect(deps.pending().timers).toBe(2);
    await deps.flush();
    expect(seen.sort()).toEqual(['below', 'zero']);
    expect(deps.clock.monotonic()).toBe(0);
  });

  it('refuses a delay that is no finite number', () => {
    const { scheduler } = virtualDeps();
    expect(() => scheduler.after(Number.NaN, () => {})).toThrow(/finite/);
    expect(() => scheduler.after(Infinity, () => {})).toThrow(/finite/);
  });

  it('never fires early and never misses when delays and steps have fractions (P)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: 0, max: 50, noNaN: true }), { maxLength: 20 }),
        fc.array(fc.double({ min: 0, max: 20, noNaN: true }), { maxLength: 20 }),
        async (delays, moves) => {
          const deps = virtualDeps();
          const early: number[] = [];
          for (const delay of delays) {
            deps.scheduler.after(delay, () => {
              if (deps.clock.monotonic() < delay) early.push(delay);
            });
          }
          let moved = 0;
          for (const move of moves) {
            await deps.advance(move);
            moved += move;
          }
          expect(early).toEqual([]);
          // Sums of doubles may be off by a rounding; anything beyond that must have fired.
          expect(deps.pending().timers).toBeLessThanOrEqual(delays.filter((delay) => delay > moved - 1e-9).length);
          for (let due = deps.nextDue(); due !== undefined; due = deps.nextDue()) {
            const left = deps.pending().timers;
            await deps.advanceTo(due);
            expect(deps.pending().timers).toBeLessThan(left);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  it('moves to a moment of the wall clock, and refuses one that has passed', async () => {
    const deps = virtualDeps();
    let fired = 0;
    deps.scheduler.after(3_600_000, () => fired++);
    await deps.advanceTo('2026-01-01T00:59:59Z');
    expect(fired).toBe(0);
    await deps.advanceTo(Date.UTC(2026, 0, 1, 1));
    expect(fired).toBe(1);
    await deps.advanceTo(deps.clock.now());
    await expect(deps.advanceTo('2026-01-01T00:00:00Z')).rejects.toThrow(/before the virtual clock/);
    await expect(deps.advanceTo('yesterday')).rejects.toThrow(/RFC 3339/);
    await expect(deps.advance(-1)).rejects.toThrow();
  });

  it('jumps the wall clock alone: monotonic time and timers hold', async () => {
    const deps = virtualDeps();
    const start = deps.clock.now();
    const seen: number[] = [];
    deps.scheduler.after(1_000, () => seen.push(deps.clock.monotonic()));
    deps.jumpWallClock('-1h');
    expect(deps.clock.now()).toBe(start - 3_600_000);
    deps.jumpWallClock(year);
    expect(deps.clock.now()).toBe(start - 3_600_000 + year);
    expect(deps.clock.monotonic()).toBe(0);
    await deps.flush();
    expect(seen).toEqual([]);
    expect(deps.nextDue()).toBe(deps.clock.now() + 1_000);
    await deps.advance(1_000);
    expect(seen).toEqual([1_000]);
  });
});

describe('virtualDeps turns', () => {
  it('runs work that its caller has only just started', async () => {
    const deps = virtualDeps();
    let done = false;
    start(async () => {
      for (let i = 0; i < 10; i++) await Promise.resolve();
      await deps.scheduler.turn();
      for (let i = 0; i < 10; i++) await Promise.resolve();
      await deps.scheduler.turn();
      done = true;
    });
    await deps.flush();
    expect(done).toBe(true);
  });

  it('puts a deferred task off: never within the call', async () => {
    const deps = virtualDeps();
    const seen: string[] = [];
    deps.scheduler.defer(() => {
      seen.push('outer');
      deps.scheduler.defer(() => seen.push('inner'));
      seen.push('outer ends');
    });
    seen.push('called');
    await deps.flush();
    expect(seen).toEqual(['called', 'outer', 'outer ends', 'inner']);
  });

  it('runs timers of one moment and what they defer before time moves on', async () => {
    const deps = virtualDeps();
    const seen: [string, number][] = [];
    deps.scheduler.after(1, () => {
      deps.scheduler.defer(() => seen.push(['deferred', deps.clock.monotonic()]));
    });
    deps.scheduler.after(2, () => seen.push(['later', deps.clock.monotonic()]));
    await deps.advance(10);
    expect(seen).toEqual([
      ['deferred', 1],
      ['later', 2],
    ]);
  });

  it('counts what waits, and tells the next moment', async () => {
    const deps = virtualDeps();
    expect(deps.pending()).toEqual({ timers: 0, deferred: 0, unref: 0 });
    expect(deps.nextDue()).toBeUndefined();
    const one = deps.scheduler.after(100, () => {});
    deps.scheduler.after(200, () => {});
    deps.scheduler.after(50, () => {}, { unref: true });
    deps.scheduler.defer(() => {});
    expect(deps.pending()).toEqual({ timers: 2, deferred: 1, unref: 1 });
    expect(deps.nextDue()).toBe(deps.clock.now() + 100);
    expect(deps.nextDue({ unref: true })).toBe(deps.clock.now() + 50);
    const { cancel } = one;
    cancel();
    cancel();
    expect(deps.pending().timers).toBe(1);
    expect(deps.nextDue()).toBe(deps.clock.now() + 200);
    await deps.advance(1_000);
    expect(deps.pending()).toEqual({ timers: 0, deferred: 0, unref: 0 });
    expect(deps.nextDue()).toBeUndefined();
  });

  it('runs unref timers like others, though they keep nothing busy', async () => {
    const deps = virtualDeps();
    let fired = 0;
    deps.scheduler.after(10, () => fired++, { unref: true });
    expect(deps.pending().timers).toBe(0);
    expect(deps.nextDue()).toBeUndefined();
    await deps.advance(10);
    expect(fired).toBe(1);
  });

  it('cancels a timer that is due already and has not run', async () => {
    for (const order of ['fifo', 'seeded'] as const) {
      for (let seed = 0; seed < 20; seed++) {
        const deps = virtualDeps({ order, seed });
        const seen: string[] = [];
        const timers = ['a', 'b'].map((name) =>
          deps.scheduler.after(5, () => {
            seen.push(name);
            for (const timer of timers) timer.cancel();
          }),
        );
        await deps.advance(5);
        expect(seen.length).toBe(1);
        expect(deps.pending().timers).toBe(0);
      }
    }
  });

  it('forgets cancelled timers long before their moment', async () => {
    const deps = virtualDeps();
    const kept: number[] = [];
    for (let i = 0; i < 10_000; i++) {
      const timer = deps.scheduler.after(((i * 7_919) % 10_000) + 1, () => kept.push(deps.clock.monotonic()));
      if (i % 10 !== 0) timer.cancel();
    }
    expect(deps.pending().timers).toBe(1_000);
    await deps.advance(10_000);
    expect(kept.length).toBe(1_000);
    expect(kept).toEqual(kept.toSorted((a, b) => a - b));
  });

  it('agrees with a plain sorted list on what runs when (P)', async () => {
    const action = fc.oneof(
      fc.record({ type: fc.constant('after' as const), delay: fc.integer({ min: -1, max: 20 }), unref: fc.boolean() }),
      fc.record({ type: fc.constant('cancel' as const), which: fc.nat(200) }),
      fc.record({ type: fc.constant('advance' as const), by: fc.integer({ min: 0, max: 8 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 150 }), fc.integer(), async (actions, seed) => {
        for (const order of ['fifo', 'seeded'] as const) {
          const deps = virtualDeps({ seed, order });
          const ran: { id: number; at: number }[] = [];
          const timers: { cancel(): void }[] = [];
          let model: { id: number; at: number; unref: boolean }[] = [];
          const expected: { id: number; at: number }[] = [];
          let now = 0;
          for (const step of actions) {
            if (step.type === 'after') {
              const id = timers.length;
              timers.push(deps.scheduler.after(step.delay, () => ran.push({ id, at: deps.clock.monotonic() }), { unref: step.unref }));
              model.push({ id, at: now + Math.max(0, step.delay), unref: step.unref });
            } else if (step.type === 'cancel') {
              timers[step.which]?.cancel();
              model = model.filter(({ id }) => id !== step.which);
            } else {
              await deps.advance(step.by);
              now += step.by;
              const due = model.filter(({ at }) => at <= now).sort((a, b) => a.at - b.at || a.id - b.id);
              expected.push(...due.map(({ id, at }) => ({ id, at })));
              model = model.filter(({ at }) => at > now);
              expect(deps.clock.monotonic()).toBe(now);
            }
            expect(deps.pending().timers).toBe(model.filter(({ unref }) => !unref).length);
            const next = Math.min(...model.filter(({ unref }) => !unref).map(({ at }) => at));
            const due = deps.nextDue();
            expect(due === undefined ? Infinity : due - deps.clock.now() + now).toBe(next);
          }
          // Fifo gives the list exactly; seeded the same moments with another order within each.
          if (order === 'fifo') expect(ran).toEqual(expected);
          else expect(ran.toSorted((a, b) => a.at - b.at || a.id - b.id)).toEqual(expected.toSorted((a, b) => a.at - b.at || a.id - b.id));
          expect(ran.map(({ at }) => at)).toEqual(expected.map(({ at }) => at));
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('virtualDeps order', () => {
  async function orderOf(options: Parameters<typeof virtualDeps>[0]): Promise<string> {
    const deps = virtualDeps(options);
    const seen: string[] = [];
    for (let i = 0; i < 10; i++) deps.scheduler.after(5, () => seen.push(`t${i}`));
    await deps.advance(4);
    for (let i = 0; i < 10; i++) deps.scheduler.after(1, () => seen.push(`u${i}`));
    await deps.advance(1);
    return seen.join(' ');
  }

  it('takes what is due at one moment in an order that the seed decides', async () => {
    const orders = new Set<string>();
    for (let seed = 0; seed < 20; seed++) orders.add(await orderOf({ seed }));
    expect(orders.size).toBe(20);
    expect(await orderOf({ seed: 7 })).toBe(await orderOf({ seed: 7 }));
    expect(await orderOf({})).toBe(await orderOf({ seed: 1 }));
  });

  it('takes the oldest first under fifo, whatever the seed', async () => {
    const expected = [...Array(10).keys()]
      .map((i) => `t${i}`)
      .concat([...Array(10).keys()].map((i) => `u${i}`))
      .join(' ');
    expect(await orderOf({ order: 'fifo', seed: 3 })).toBe(expected);
    expect(await orderOf({ order: 'fifo', seed: 4 })).toBe(expected);
  });

  it('reaches every order of three tasks', async () => {
    const orders = new Set<string>();
    for (let seed = 0; seed < 100; seed++) {
      const deps = virtualDeps({ seed });
      let order = '';
      for (const name of 'abc') deps.scheduler.defer(() => (order += name));
      await deps.flush();
      orders.add(order);
    }
    expect([...orders].sort()).toEqual(['abc', 'acb', 'bac', 'bca', 'cab', 'cba']);
  });

  it('replays a whole run from its seed, and only the order of it is chance (P)', async () => {
    const run = async (seed: number, workers: number): Promise<string[]> => {
      const deps = virtualDeps({ seed });
      const trace: string[] = [];
      const work = async (name: number): Promise<void> => {
        for (let i = 0; i < 5; i++) {
          await deps.scheduler.turn();
          trace.push(`${name}.${i}@${deps.clock.monotonic()} ${deps.random.next()} ${deps.ids.uuid()}`);
          await new Promise<void>((resolve) => deps.scheduler.after(Math.floor(deps.random.next() * 3), resolve));
        }
      };
      for (let i = 0; i < workers; i++) start(() => work(i));
      await deps.advance('1m');
      return trace;
    };
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 5 }), async (seed, workers) => {
        const first = await run(seed, workers);
        expect(first.length).toBe(workers * 5);
        expect(await run(seed, workers)).toEqual(first);
      }),
      { numRuns: 30 },
    );
  });

  it('refuses an order, a seed or a start it does not know', () => {
    expect(() => virtualDeps({ order: 'random' as 'fifo' })).toThrow(/order must be/);
    expect(() => virtualDeps({ seed: 1.5 })).toThrow(/seed must be a safe integer/);
    expect(() => virtualDeps({ start: 'tomorrow' })).toThrow(/start must be an RFC 3339 time/);
    expect(() => virtualDeps({ start: Number.NaN })).toThrow(/start/);
  });
});
