import { describe, expect, it } from 'vitest';
import { memoryEngine } from '../../src/store/index.js';
import type { Engine } from '../../src/store/index.js';
import { underLease } from '../../src/store/upkeep-lease.js';
import { virtualDeps } from '../../src/testing/index.js';
import type { VirtualDeps } from '../../src/testing/index.js';

/** An engine in memory as several processes have it, each with the same time. */
async function scene(run: (scene: { deps: VirtualDeps; engine: Engine; never: AbortSignal }) => Promise<void>): Promise<void> {
  const deps = virtualDeps({ seed: 1 });
  const inner = await memoryEngine().open({ deps });
  const engine: Engine = { ...inner, capabilities: { ...inner.capabilities, shared: true } };
  await run({ deps, engine, never: new AbortController().signal });
}

describe('the lease for upkeep', () => {
  it('lets one at a time work, and each in the end', () =>
    scene(async ({ deps, engine, never }) => {
      let working = 0;
      let most = 0;
      let done = 0;
      const all = Array.from({ length: 5 }, () =>
        underLease({ deps, engine: () => engine }, never, async () => {
          most = Math.max(most, (working += 1));
          await new Promise<void>((resolve) => deps.scheduler.after(7000, resolve));
          working -= 1;
          done += 1;
        }),
      );
      await deps.advance(60_000);
      await Promise.all(all);
      expect([most, done]).toEqual([1, 5]);
      expect(await engine.meta.get('upkeep')).toBeUndefined();
      expect(deps.pending()).toMatchObject({ timers: 0, unref: 0 });
    }));

  it('is free at once when the work fails, and after a while when its holder is gone', () =>
    scene(async ({ deps, engine, never }) => {
      const failing = underLease({ deps, engine: () => engine }, never, () => Promise.reject(new Error('no')));
      failing.catch(() => {});
      await deps.advance(10);
      await expect(failing).rejects.toThrow('no');
      const gone = JSON.stringify({ holder: 'gone', beat: 7 });
      const set = engine.meta.set('upkeep', gone, { expect: null });
      await deps.advance(10);
      expect(await set).toBe(true);
      const began = deps.clock.monotonic();
      const took = underLease({ deps, engine: () => engine }, never, () => Promise.resolve(deps.clock.monotonic() - began));
      await deps.advance(10_000);
      expect(await took).toBeGreaterThanOrEqual(2000);
      expect(await took).toBeLessThan(3000);
    }));

  it('is waited for no longer than the signal allows', () =>
    scene(async ({ deps, engine, never }) => {
      let release = (): void => {};
      const holding = underLease({ deps, engine: () => engine }, never, () => new Promise<void>((resolve) => (release = resolve)));
      await deps.advance(100);
      const controller = new AbortController();
      const waiting = underLease({ deps, engine: () => engine }, controller.signal, () => Promise.resolve('worked'));
      waiting.catch(() => {});
      await deps.advance(30_000);
      controller.abort(new Error('enough'));
      await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
      release();
      await deps.advance(100);
      await holding;
      expect(await engine.meta.get('upkeep')).toBeUndefined();
    }));

  it('passes to another when its holder was held up, and is left to that one', () =>
    scene(async ({ deps, engine, never }) => {
      let isHeldUp = false;
      // Its writes do not get through, as those of a process that is stopped.
      const stuck: Engine = {
        ...engine,
        meta: {
          get: (name) => engine.meta.get(name),
          set: (...args) => (isHeldUp ? Promise.reject(new Error('stopped')) : engine.meta.set(...args)),
        },
      };
      let release = (): void => {};
      const first = underLease({ deps, engine: () => stuck }, never, () => new Promise<void>((resolve) => (release = resolve)));
      await deps.advance(1000);
      isHeldUp = true;
      let isWorking = false;
      let end = (): void => {};
      const second = underLease({ deps, engine: () => engine }, never, () => {
        isWorking = true;
        return new Promise<void>((resolve) => (end = resolve));
      });
      await deps.advance(5000);
      expect(isWorking).toBe(true);
      isHeldUp = false;
      await deps.advance(5000);
      const held = await engine.meta.get('upkeep');
      expect(held).toBeDefined();
      release();
      await deps.advance(100);
      await first;
      expect(await engine.meta.get('upkeep')).toBeDefined();
      end();
      await deps.advance(100);
      await second;
      expect(await engine.meta.get('upkeep')).toBeUndefined();
      expect(deps.pending()).toMatchObject({ timers: 0, unref: 0 });
    }));

  it('is not needed where one process has the store to itself', async () => {
    const deps = virtualDeps({ seed: 1 });
    const engine = await memoryEngine().open({ deps });
    expect(await underLease({ deps, engine: () => engine }, AbortSignal.abort(), () => Promise.resolve('worked'))).toBe('worked');
  });
});
