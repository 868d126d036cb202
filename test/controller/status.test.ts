import { describe, expect, it } from 'vitest';
import { createPushSource, defineController, type ControllerInput } from '../../src/controller/index.js';
import { openWorld, Widget, type WorldOptions } from './world.js';

type Reconcile = ControllerInput<typeof Widget>['reconcile'];
const open = (reconcile: Reconcile, options: WorldOptions & Partial<ControllerInput<typeof Widget>> = {}) => {
  const { echo, transactional, ...rest } = options;
  return openWorld(
    [defineController({ name: 'widgets', for: Widget, rateLimiter: { baseDelay: 10, jitter: 0 }, echo, transactional, reconcile })],
    rest,
  );
};

describe('status and conditions', () => {
  it('are collected and written once, after the run, with the generation they speak of', async () => {
    await using world = await open(({ status, condition, store, object }) => {
      status({ phase: 'Working' });
      status({ seen: object.spec.size });
      condition('Ready', false, { reason: 'Starting' });
      condition('Ready', true, { reason: 'Up', message: 'all is well' });
      expect(store.revision).toBe(object.metadata.resourceVersion);
    });
    const made = await world.widget('a', { size: 4 });
    await world.flush();
    const a = await world.get('a');
    expect(a.status).toEqual({
      phase: 'Working',
      seen: 4,
      observedGeneration: 1,
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'Up',
          message: 'all is well',
          observedGeneration: 1,
          lastTransitionTime: '2026-01-01T00:00:00.000Z',
        },
      ],
    });
    expect(Number(a.metadata.resourceVersion)).toBe(Number(made.metadata.resourceVersion) + 1);
    expect(a.metadata.generation).toBe(1);
  });

  it('a write that changes nothing makes no revision, no event, no run', async () => {
    let runs = 0;
    await using world = await open(({ status, condition }) => {
      runs += 1;
      status({ phase: 'Ready' });
      condition('Ready', true, { reason: 'Up' });
    });
    await world.widget('a');
    await world.flush();
    const { revision } = world.store;
    await world.advance('1m');
    for (let i = 0; i < 3; i += 1) {
      world.manager.enqueue('widgets', 'prod/a');
      await world.advance('1s');
    }
    expect(world.store.revision).toBe(revision);
    expect(runs).toBe(4);
    expect(world.logs('error')).toEqual([]);
  });

  it('lastTransitionTime moves with the status of a condition and not with its reason', async () => {
    await using world = await open(({ object, condition }) => {
      condition('Ready', object.spec.size > 2, { reason: `Size${object.spec.size}` });
    });
    await world.widget('a');
    await world.flush();
    await world.advance('1m');
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 2 } }));
    await world.flush();
    expect((await world.get('a')).status?.conditions).toMatchObject([
      { reason: 'Size2', lastTransitionTime: '2026-01-01T00:00:00.000Z', observedGeneration: 2 },
    ]);
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 3 } }));
    await world.flush();
    expect((await world.get('a')).status?.conditions).toMatchObject([
      { status: 'True', lastTransitionTime: '2026-01-01T00:01:00.000Z', observedGeneration: 3 },
    ]);
  });

  it('null removes a field of the status', async () => {
    await using world = await open(({ object, status }) => status(object.spec.size === 1 ? { phase: 'A', seen: 1 } : { phase: null }));
    await world.widget('a');
    await world.flush();
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 2 } }));
    await world.flush();
    expect((await world.get('a')).status).toEqual({ seen: 1, observedGeneration: 2 });
  });

  it('are written with requeueAfter, and of a run that threw the conditions alone, without observedGeneration', async () => {
    await using world = await open(({ object, status, condition }) => {
      status({ phase: `Phase${object.spec.size}` });
      condition('Ready', false, { reason: `Run${object.spec.size}` });
      if (object.spec.size === 2) throw new Error('boom');
      return { requeueAfter: '1h' };
    });
    await world.widget('a');
    await world.flush();
    expect((await world.get('a')).status).toMatchObject({ phase: 'Phase1', observedGeneration: 1, conditions: [{ reason: 'Run1' }] });
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 2 } }));
    await world.flush();
    expect((await world.get('a')).status).toMatchObject({ phase: 'Phase1', observedGeneration: 1, conditions: [{ reason: 'Run2' }] });
  });

  it('survive a change of the spec or the metadata that came while the reconciler ran', async () => {
    let runs = 0;
    await using world = await open(async ({ status, store, object }) => {
      runs += 1;
      if (object.spec.size === 1) await store.patch(Widget, 'prod', 'a', { spec: { size: 2 } });
      status({ seen: object.spec.size });
    });
    await world.widget('a');
    await world.flush();
    expect(runs).toBe(2);
    const a = await world.get('a');
    expect(a.status).toEqual({ seen: 2, observedGeneration: 2 });
    expect(world.metric('reconcile_conflicts_total')).toBe(0);
  });

  it('a status that another wrote meanwhile is a conflict: the run begins again on what is there now', async () => {
    const source = createPushSource();
    let interfere = true;
    const base: (number | undefined)[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        sources: [source],
        async reconcile({ object, status, deps }) {
          base.push(object.status?.seen);
          await new Promise<void>((resolve) => void deps.scheduler.after(10, resolve));
          status({ seen: (object.status?.seen ?? 0) + 1 });
        },
      }),
    ]);
    await world.widget('a');
    await world.flush();
    if (interfere)
      await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { status: { seen: 10 } }, { subresource: 'status' }));
    interfere = false;
    await world.advance('1s');
    expect(base.slice(0, 2)).toEqual([undefined, 10]);
    expect((await world.get('a')).status?.seen).toBeGreaterThanOrEqual(11);
    expect(world.logs('error')).toEqual([]);
  });

  it('of an object that went meanwhile are dropped without an error', async () => {
    await using world = await open(async ({ status, store }) => {
      await store.delete(Widget, 'prod', 'a');
      status({ phase: 'Gone' });
    });
    await world.widget('a');
    await world.flush();
    expect(await world.find('a')).toBeUndefined();
    expect(world.logs('error')).toEqual([]);
  });
});

describe('echo', () => {
  const touch =
    (): Reconcile =>
    ({ status, condition, clock }) => {
      // A new value on every run: the classic loop.
      status({ when: clock.monotonic() });
      condition('Ready', true, { reason: 'Up' });
    };

  it("the framework's own status, conditions and finalizer writes do not run the key again", async () => {
    let runs = 0;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        reconcile(context) {
          runs += 1;
          void touch()(context);
        },
        finalize() {},
      }),
    ]);
    await world.widget('a');
    await world.advance('1m');
    expect(runs).toBe(1);
    expect((await world.get('a')).status?.conditions).toHaveLength(1);
  });

  it("someone else's write a moment later does", async () => {
    const sizes: number[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        async reconcile({ object, status, deps }) {
          sizes.push(object.spec.size);
          status({ when: deps.clock.monotonic() });
          await new Promise<void>((resolve) => void deps.scheduler.after(1, resolve));
        },
      }),
    ]);
    await world.widget('a');
    await world.advance(1);
    // In flight together with the status write, before and after it.
    for (let size = 2; size < 8; size += 1) {
      const patch = world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size } });
      await world.advance(size % 3);
      await world.run(patch);
    }
    await world.advance('1m');
    expect(sizes.at(-1)).toBe(7);
    expect((await world.get('a')).status?.observedGeneration).toBe(7);
  });

  it('a phase written through repo runs the key again; with echo all it does not; with echo none the status does too', async () => {
    const runs: Record<string, number> = {};
    const write =
      (name: string): Reconcile =>
      async ({ object, repo, status }) => {
        runs[name] = (runs[name] ?? 0) + 1;
        if (runs[name] > 3) return;
        if (name === 'none') status({ seen: runs[name] });
        else await repo(Widget).updateStatus({ ...object, status: { ...object.status, seen: runs[name] } });
      };
    for (const echo of ['own-status', 'all', 'none'] as const) {
      await using world = await open(write(echo), { echo });
      await world.widget('a');
      await world.advance('1s');
    }
    expect(runs).toEqual({ 'own-status': 4, all: 1, none: 4 });
  });

  it('in a transactional run too', async () => {
    let runs = 0;
    await using world = await open(
      ({ status, condition, clock }) => {
        runs += 1;
        status({ when: clock.monotonic() });
        condition('Ready', true, { reason: 'Up' });
      },
      { transactional: true },
    );
    await world.widget('a');
    await world.advance('1m');
    expect((await world.get('a')).status).toMatchObject({ conditions: [{ type: 'Ready' }] });
    expect(runs).toBe(1);
  });
});
