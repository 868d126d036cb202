import { describe, expect, it } from 'vitest';
import { Lease } from '../../src/schemas/index.js';
import { deferred, type Deps } from '../../src/store/index.js';
import { defineController, type ControllerDefinition } from '../../src/controller/index.js';
import { openWorld, Part, Widget, type World } from './world.js';

describe('a transactional controller', () => {
  it('commits spec, status and children as one revision, behind the one of the finalizer', async () => {
    let runs = 0;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        owns: [Part],
        transactional: true,
        async reconcile({ object, repo, ensure, status, condition }) {
          runs += 1;
          await ensure(Part, { metadata: { name: 'p0' }, spec: { n: object.spec.size } });
          await ensure(Part, { metadata: { name: 'p1' }, spec: { n: object.spec.size } });
          await repo(Widget).patch({ namespace: 'prod', name: 'a' }, { metadata: { labels: { note: 'done' } } });
          status({ phase: 'Done' });
          condition('Ready', true, { reason: 'Done' });
        },
        finalize() {},
      }),
    ]);
    const made = await world.widget('a');
    await world.flush();
    const a = await world.get('a');
    const parts = await world.run(world.repo(Part).list({ namespace: 'prod' }));
    expect(a).toMatchObject({
      status: { phase: 'Done', conditions: [{ type: 'Ready' }] },
      metadata: { labels: { note: 'done' }, finalizers: ['widgets.rune.dev/finalizer'] },
    });
    const version = String(Number(made.metadata.resourceVersion) + 2);
    expect([a, ...parts.items].map((object) => object.metadata.resourceVersion)).toEqual([version, version, version]);
    expect(parts.items[0]?.metadata.ownerReferences).toMatchObject([{ uid: a.metadata.uid, controller: true }]);
    await world.advance('1m');
    expect(world.store.revision).toBe(version);
    expect(runs).toBe(2);
    expect(world.logs('error')).toEqual([]);
  });

  it('has its finalizer in the store before the reconciler does anything, so that no deletion passes by finalize', async () => {
    const gate = deferred();
    let outside = 0;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        transactional: true,
        async reconcile() {
          outside += 1;
          await gate.promise;
        },
        finalize: () => void (outside = 0),
      }),
    ]);
    await world.widget('a');
    await world.flush();
    expect(outside).toBe(1);
    // Where the process ends here, what it did outside is known to be cleaned up.
    expect((await world.get('a')).metadata.finalizers).toEqual(['widgets.rune.dev/finalizer']);
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
    expect((await world.get('a')).metadata.deletionTimestamp).toBeDefined();
    gate.resolve();
    await world.advance('1s');
    expect(outside).toBe(0);
    expect(await world.find('a')).toBeUndefined();
    expect(world.logs('error')).toEqual([]);
  });

  it('writes nothing when it throws', async () => {
    let fail = true;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        transactional: true,
        rateLimiter: { baseDelay: '1s', jitter: 0 },
        async reconcile({ repo, status }) {
          await repo(Part).create({ metadata: { namespace: 'prod', name: 'p' }, spec: {} });
          status({ phase: 'Done' });
          if (fail) throw new Error('half way');
        },
      }),
    ]);
    await world.widget('a');
    await world.flush();
    const { revision } = world.store;
    expect((await world.run(world.repo(Part).list())).items).toEqual([]);
    fail = false;
    await world.advance('1s');
    expect((await world.run(world.repo(Part).list())).items).toHaveLength(1);
    expect(Number(world.store.revision)).toBe(Number(revision) + 1);
  });

  it('runs again on what is there now when something it read has changed', async () => {
    const seen: number[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        transactional: true,
        async reconcile({ object, repo, status, deps }) {
          const other = await repo(Part).find({ namespace: 'prod', name: 'p' });
          seen.push(other?.spec.n ?? -1);
          await new Promise<void>((resolve) => void deps.scheduler.after(10, resolve));
          status({ seen: (other?.spec.n ?? 0) + object.spec.size });
        },
      }),
    ]);
    await world.run(world.repo(Part).create({ metadata: { namespace: 'prod', name: 'p' }, spec: { n: 1 } }));
    await world.widget('a');
    await world.flush();
    await world.run(world.repo(Part).patch({ namespace: 'prod', name: 'p' }, { spec: { n: 2 } }));
    await world.advance('1s');
    expect(seen).toEqual([1, 2]);
    expect((await world.get('a')).status?.seen).toBe(3);
    expect(world.logs('error')).toEqual([]);
  });

  it('a run past its timeout does not commit', async () => {
    let first = true;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        transactional: true,
        timeout: '1s',
        async reconcile({ repo, deps }) {
          if (!first) return;
          first = false;
          await repo(Part).create({ metadata: { namespace: 'prod', name: 'p' }, spec: {} });
          await new Promise<void>((resolve) => void deps.scheduler.after(5000, resolve));
        },
      }),
    ]);
    await world.widget('a');
    await world.advance('1m');
    expect((await world.run(world.repo(Part).list())).items).toEqual([]);
  });

  it('says what to do instead of a transaction within the transaction', async () => {
    const errors: string[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        transactional: true,
        reconcile: ({ store }) => store.transaction(() => undefined).catch((error: unknown) => void errors.push((error as Error).message)),
      }),
    ]);
    await world.widget('a');
    await world.flush();
    expect(errors[0]).toMatch(/one transaction already/);
  });

  describe('whose reconciler asks for a fenced view', () => {
    const fence = { namespace: 'default', name: 'shard', token: '1' };
    const widgets = (meanwhile: (deps: Deps) => Promise<void>): ControllerDefinition =>
      defineController({
        name: 'widgets',
        for: Widget,
        transactional: true,
        maxRetries: 0,
        async reconcile({ store, deps }) {
          await store.fenced(fence).create(Part, 'prod', 'p', { spec: { n: 1 } });
          await meanwhile(deps);
        },
      });
    const take = (world: Pick<World, 'run' | 'store'>, fencingToken: string): Promise<unknown> =>
      world.run(world.store.apply(Lease, 'default', 'shard', { spec: { holderIdentity: `holder ${fencingToken}`, fencingToken } }));

    it('writes through it while the fence stands', async () => {
      await using world = await openWorld([widgets(() => Promise.resolve())], { before: (early) => take(early, '1').then(() => {}) });
      await world.widget('a');
      await world.flush();
      expect((await world.run(world.repo(Part).list())).items).toHaveLength(1);
    });

    it('writes nothing once the lease was taken by another', async () => {
      await using world = await openWorld([widgets(() => Promise.resolve())], { before: (early) => take(early, '2').then(() => {}) });
      await world.widget('a');
      await world.flush();
      expect((await world.run(world.repo(Part).list())).items).toEqual([]);
      expect(world.logs('error').map(({ fields }) => (fields['err'] as Error).message)).toEqual([
        expect.stringContaining('lease default/shard was taken by another since'),
      ]);
    });

    it('commits nothing when the lease is taken between the write and the end of the run', async () => {
      const slowly = (deps: Deps): Promise<void> => new Promise<void>((resolve) => void deps.scheduler.after(1_000, resolve));
      await using world = await openWorld([widgets(slowly)], { before: (early) => take(early, '1').then(() => {}) });
      await world.widget('a');
      await world.flush();
      await take(world, '2');
      await world.advance('10s');
      expect((await world.run(world.repo(Part).list())).items).toEqual([]);
    });
  });
});
