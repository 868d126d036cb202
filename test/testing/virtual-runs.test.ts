/**
 * How runs in virtual time begin, end and fail.
 *
 * Real world: virtual time must hold its own beside real promise jobs, nextTicks, files and threads, a runner's fake timers, and
 * the real time and memory that it takes.
 */
import { randomBytes, webcrypto } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { virtualDeps } from '../../src/testing/index.js';

/** Starts work that nothing waits for; should it fail, the run does as well. */
function start(work: () => Promise<void>): void {
  work().catch((error: unknown) => {
    throw error;
  });
}

afterEach(() => {
  vi.useRealTimers();
});

describe('virtualDeps flush and advance', () => {
  it('drains every promise job and nextTick between two tasks', async () => {
    const deps = virtualDeps();
    const seen: string[] = [];
    for (const name of ['a', 'b', 'c']) {
      deps.scheduler.defer(() => {
        seen.push(`${name}>`);
        start(async () => {
          for (let i = 0; i < 50; i++) await Promise.resolve();
          await new Promise<void>((resolve) => process.nextTick(resolve));
          for (let i = 0; i < 50; i++) await Promise.resolve();
          await new Promise<void>((resolve) => process.nextTick(resolve));
          seen.push(`<${name}`);
        });
      });
    }
    await deps.flush();
    expect(seen.length).toBe(6);
    for (let i = 0; i < 6; i += 2) expect(seen[i + 1]).toBe(`<${(seen[i] as string).slice(0, 1)}`);
  });

  it('rejects the run that ran a throwing task, and the next one goes on with the rest', async () => {
    const deps = virtualDeps({ order: 'fifo' });
    const seen: string[] = [];
    deps.scheduler.after(1, () => seen.push('a'));
    deps.scheduler.after(2, () => {
      throw new Error('boom');
    });
    deps.scheduler.after(2, () => seen.push('b'));
    deps.scheduler.after(3, () => seen.push('c'));
    await expect(deps.advance(10)).rejects.toThrow('boom');
    expect(seen).toEqual(['a']);
    expect(deps.clock.monotonic()).toBe(2);
    expect(deps.pending().timers).toBe(2);
    await deps.flush();
    expect(seen).toEqual(['a', 'b']);
    await deps.advance(1);
    expect(seen).toEqual(['a', 'b', 'c']);
    expect(deps.clock.monotonic()).toBe(3);
  });

  it('passes on what was thrown as it is, an error or not', async () => {
    const deps = virtualDeps();
    deps.scheduler.defer(() => {
      throw undefined;
    });
    const outcome = await deps.flush().then(
      () => 'resolved',
      (reason: unknown) => ({ reason }),
    );
    expect(outcome).toEqual({ reason: undefined });
  });

  it('lets calls wait for each other, also when one fails', async () => {
    const deps = virtualDeps();
    const seen: number[] = [];
    for (const delay of [10, 20, 30]) deps.scheduler.after(delay, () => seen.push(deps.clock.monotonic()));
    const outcomes = await Promise.allSettled([deps.advance(10), deps.advanceTo(0), deps.advance(10), deps.flush(), deps.advance(10)]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled']);
    expect(seen).toEqual([10, 20, 30]);
    expect(deps.clock.monotonic()).toBe(30);
  });

  it('begins an advance made inside a task after the run of that task', async () => {
    const deps = virtualDeps();
    const seen: string[] = [];
    deps.scheduler.defer(() => {
      start(async () => {
        await deps.advance(5);
        seen.push(`inner ${deps.clock.monotonic()}`);
      });
    });
    await deps.advance(10);
    seen.push(`outer ${deps.clock.monotonic()}`);
    await deps.flush();
    expect(seen).toEqual(['outer 10', 'inner 15']);
  });

  it('names an endless loop instead of spinning for ever', async () => {
    const deps = virtualDeps({ maxTasksPerMoment: 1_000 });
    const stop = new AbortController();
    let turns = 0;
    const loop = async (): Promise<void> => {
      while (!stop.signal.aborted) {
        await deps.scheduler.turn();
        turns++;
      }
    };
    const looping = loop();
    await expect(deps.flush()).rejects.toThrow(/1000 tasks ran without virtual time moving/);
    expect(turns).toBeGreaterThanOrEqual(1_000);
    stop.abort();
    await deps.flush();
    await looping;
  });

  it('does not take a long run of many moments for an endless loop', async () => {
    const deps = virtualDeps({ maxTasksPerMoment: 10 });
    let ticks = 0;
    const tick = (): void => {
      if (++ticks < 1_000) deps.scheduler.after(1, tick);
    };
    tick();
    await deps.advance('1h');
    expect(ticks).toBe(1_000);
  });

  it('returns while code hangs on real I/O, and waits for it a bounded number of real turns when asked', async () => {
    const deps = virtualDeps();
    const dir = await mkdtemp(join(tmpdir(), 'rune-virtual-'));
    try {
      let done = false;
      let at = -1;
      deps.scheduler.defer(() => {
        start(async () => {
          await writeFile(join(dir, 'a'), randomBytes(10));
          await webcrypto.subtle.digest('SHA-256', await readFile(join(dir, 'a')));
          await deps.scheduler.turn();
          at = deps.clock.monotonic();
          done = true;
        });
      });
      deps.scheduler.after(1_000, () => {});
      await deps.flush();
      expect(done).toBe(false);
      await deps.advance(1_000, { realTurns: 200_000 });
      expect(done).toBe(true);
      // The extra turns are granted before time moves on.
      expect(at).toBe(0);
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it('works while the test runner fakes all timers', async () => {
    vi.useFakeTimers({ toFake: ['setImmediate', 'setTimeout', 'setInterval', 'Date', 'performance', 'queueMicrotask'] });
    const deps = virtualDeps();
    let fired = 0;
    deps.scheduler.after(1_000, () => fired++);
    start(async () => {
      await deps.scheduler.turn();
      fired++;
    });
    await deps.advance('1s');
    expect(fired).toBe(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('runs a million timers in seconds, and an empty flush in microseconds', async () => {
    const deps = virtualDeps();
    const count = 200_000;
    let fired = 0;
    const start = performance.now();
    for (let i = 0; i < count; i++) deps.scheduler.after(((i * 7_919) % count) + 1, () => fired++);
    await deps.advance(count);
    const perTimer = (performance.now() - start) / count;
    expect(fired).toBe(count);
    // Ten times what it takes on a quiet machine.
    expect(perTimer * 1_000).toBeLessThan(25);
    const before = performance.now();
    for (let i = 0; i < 2_000; i++) await deps.flush();
    expect((performance.now() - before) / 2).toBeLessThan(100);
  });

  it('leaves nothing behind when a thousand are made, used and dropped', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const use = async (seed: number): Promise<WeakRef<object>> => {
      const deps = virtualDeps({ seed });
      deps.scheduler.after(60_000, () => {});
      deps.scheduler.after(1, () => deps.logger.info({ seed }, 'fired'));
      deps.scheduler.defer(() => {});
      deps.entropy.bytes(1_000);
      await deps.advance(10);
      return new WeakRef(deps);
    };
    const refs: WeakRef<object>[] = [];
    for (let seed = 0; seed < 1_000; seed++) refs.push(await use(seed));
    let alive = refs.length;
    for (let i = 0; i < 20 && alive > 0; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      collect();
      alive = refs.filter((ref) => ref.deref() !== undefined).length;
    }
    expect(alive).toBeLessThanOrEqual(1);
  });
});
