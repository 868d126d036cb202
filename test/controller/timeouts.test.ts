import { describe, expect, it } from 'vitest';
import { deferred } from '../../src/store/index.js';
import { defineController } from '../../src/controller/index.js';
import { openWorld, Part, Widget } from './world.js';

describe('a run past its timeout', () => {
  it('gets the signal, is counted, may write no more, frees its slot, and holds its key until it settles; readiness names it', async () => {
    const gate = deferred();
    const runs: string[] = [];
    let reason: unknown;
    const refused: unknown[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        timeout: '10s',
        rateLimiter: { baseDelay: '1s', jitter: 0 },
        async reconcile({ object, signal, repo, status, ensure }) {
          runs.push(object.metadata.name);
          if (object.metadata.name !== 'slow' || runs.length > 1) return;
          signal.addEventListener('abort', () => {
            reason = signal.reason;
          });
          await gate.promise;
          status({ phase: 'late' });
          for (const write of [
            () => repo(Widget).patch(object, { spec: { note: 'late' } }),
            () => ensure(Part, { metadata: { name: 'late' }, spec: {} }),
            () => repo(Part).create({ metadata: { namespace: 'prod', name: 'late' }, spec: {} }),
          ]) {
            try {
              await write();
            } catch (error) {
              refused.push(error);
            }
          }
        },
      }),
    ]);
    await world.widget('slow');
    await world.flush();
    await world.widget('other');
    await world.advance('9999ms');
    expect(runs).toEqual(['slow']);
    await world.advance('1ms');
    await world.flush();
    expect(runs).toEqual(['slow', 'other']);
    expect((reason as Error).name).toBe('TimeoutError');
    expect(world.metric('controller_runtime_reconcile_timeouts_total')).toBe(1);
    expect(world.manager.readyz().checks.find((check) => check.name === 'controller-widgets')).toMatchObject({
      ok: false,
      message: expect.stringContaining('prod/slow'),
    });

    // Its key is held, whatever happens to it.
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'slow' }, { spec: { size: 2 } }));
    await world.advance('1m');
    expect(runs).toEqual(['slow', 'other']);

    gate.resolve();
    await world.flush();
    expect(refused).toHaveLength(3);
    for (const error of refused)
      expect(error).toMatchObject({ code: 403, message: expect.stringContaining('past its timeout of 10000 ms') });
    await world.advance('2s');
    expect(runs).toContain('slow');
    expect(runs.length).toBe(3);
    expect((await world.get('slow')).status?.phase).toBeUndefined();
    expect(world.manager.readyz().ok).toBe(true);
    expect(world.metric('controller_runtime_reconcile_errors_total')).toBe(1);
  });

  it('runs that settle in time are not touched, one timer does for all, and it ends with the manager', async () => {
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        concurrency: 5,
        timeout: '10s',
        async reconcile({ deps, signal }) {
          await new Promise<void>((resolve) => void deps.scheduler.after(9000, resolve));
          expect(signal.aborted).toBe(false);
        },
      }),
    ]);
    for (let i = 0; i < 20; i += 1) {
      await world.widget(`w${i}`);
      await world.advance('700ms');
    }
    await world.advance('5m');
    expect(world.metric('controller_runtime_reconcile_timeouts_total')).toBe(0);
    expect(world.metric('controller_runtime_reconcile_total', 'success')).toBe(20);
  });

  it('a write kept back until after the run is refused', async () => {
    let late: (() => Promise<unknown>) | undefined;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        reconcile({ repo, object }) {
          const bound = repo(Widget);
          late = () => bound.patch(object, { spec: { note: 'late' } });
        },
      }),
    ]);
    await world.widget('a');
    await world.flush();
    await expect(world.run(() => (late as () => Promise<unknown>)())).rejects.toMatchObject({
      code: 403,
      message: expect.stringContaining('the run is over'),
    });
    expect((await world.get('a')).spec.note).toBeUndefined();
  });
});
