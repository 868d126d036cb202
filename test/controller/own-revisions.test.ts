/** What a run knows of its own writes: which revisions they made, and which they did not. */
import { describe, expect, it } from 'vitest';
import { defineController, type ControllerInput } from '../../src/controller/index.js';
import { repo as repoOf, type Store } from '../../src/store/index.js';
import { openWorld, Part, Widget, type World } from './world.js';

const a = { namespace: 'prod', name: 'a' };
const wait = (store: Store, ms: number): Promise<void> => new Promise((resolve) => void store.deps.scheduler.after(ms, resolve));
const widgets = (
  reconcile: ControllerInput<typeof Widget>['reconcile'],
  more: Partial<ControllerInput<typeof Widget>> = {},
): ReturnType<typeof defineController> => defineController({ name: 'widgets', for: Widget, reconcile, ...more });
const outcomes = (world: World): readonly string[] => world.manager.runs('widgets').map((run) => run.outcome);

describe('a status that the run patched itself, without a resourceVersion', () => {
  it('is no conflict for what it collects, and no second run is needed', async () => {
    await using world = await openWorld([
      widgets(
        async ({ repo, status, condition }) => {
          await repo(Widget).patch(a, { status: { phase: 'Up' } }, { subresource: 'status' });
          status({ seen: 1 });
          condition('Ready', true, { reason: 'Up' });
        },
        { echo: 'all' },
      ),
    ]);
    await world.widget('a');
    await world.advance('1m');
    expect(outcomes(world)).toEqual(['success']);
    expect((await world.get('a')).status).toMatchObject({ phase: 'Up', seen: 1, conditions: [{ type: 'Ready' }] });
  });

  it('and that changes on each run is a hot loop, whose conditions are written all the same', async () => {
    let runs = 0;
    await using world = await openWorld([
      widgets(async ({ repo, condition }) => {
        runs += 1;
        await repo(Widget).patch(a, { status: { when: runs } }, { subresource: 'status' });
        condition('Ready', true, { reason: 'Up' });
      }),
    ]);
    await world.widget('a');
    await world.advance('1m');
    expect(world.metric('reconcile_conflicts_total')).toBe(0);
    expect((await world.get('a')).status?.conditions).toMatchObject([{ type: 'Ready', status: 'True' }]);
    expect(runs).toBeLessThan(20);
    expect(world.metric('hot_loop_detected_total')).toBe(1);
  });
});

describe('a write that changes nothing', () => {
  const managed = { metadata: { labels: { managed: 'yes' } } };

  it('without a resourceVersion is counted as one that changed nothing', async () => {
    await using world = await openWorld([
      widgets(async ({ repo, store }) => {
        await repo(Widget).patch(a, managed);
        await store.modify(Widget, 'prod', 'a', () => {});
        await store.transaction((tx) => tx.patch(Widget, 'prod', 'a', managed));
      }),
    ]);
    await world.widget('a', {}, { labels: { managed: 'yes' } });
    await world.flush();
    expect(world.manager.runs('widgets')).toMatchObject([{ writes: 0, noopWrites: 3, lastRevision: undefined }]);
    expect(world.metric('reconcile_noop_writes_total')).toBe(3);
  });

  it('in the transaction of a transactional run is counted so too', async () => {
    await using world = await openWorld([
      widgets(async ({ repo }) => void (await repo(Widget).patch(a, managed)), { transactional: true }),
    ]);
    await world.widget('a', {}, { labels: { managed: 'yes' } });
    await world.flush();
    expect(world.manager.runs('widgets')).toMatchObject([{ writes: 0, noopWrites: 1 }]);
  });

  it('is none when it was refused', async () => {
    await using world = await openWorld([
      widgets(async ({ repo }) => {
        await repo(Widget)
          .create({ metadata: a, spec: {} })
          .catch(() => {});
      }),
    ]);
    await world.widget('a');
    await world.flush();
    expect(world.manager.runs('widgets')).toMatchObject([{ writes: 0, noopWrites: 0 }]);
  });

  it('does not make a hot loop of what others change, and their last change is reconciled at once', async () => {
    let seen = 0;
    let seenAt = 0;
    await using world = await openWorld([
      widgets(async ({ object, repo, store, clock }) => {
        await wait(store, 30);
        await repo(Widget).patch(a, managed);
        seen = object.spec.size;
        seenAt = clock.monotonic();
      }),
    ]);
    await world.widget('a', {}, { labels: { managed: 'yes' } });
    await world.advance(15);
    for (let size = 2; size <= 12; size += 1) {
      await world.run(world.repo(Widget).patch(a, { spec: { size } }));
      if (size < 12) await world.advance(30);
    }
    const last = world.deps.clock.monotonic();
    await world.advance('5s');
    expect(seen).toBe(12);
    expect(seenAt - last).toBeLessThan(100);
    expect(world.metric('hot_loop_detected_total')).toBe(0);
  });

  it('does not make a hot loop of what others change during each run', async () => {
    let runs = 0;
    const outside: { store?: Store } = {};
    await using world = await openWorld([
      widgets(async ({ repo }) => {
        runs += 1;
        if (runs <= 40) await repoOf(outside.store as Store, Widget).patch(a, { spec: { note: `${runs}` } });
        await repo(Widget).patch(a, managed);
      }),
    ]);
    outside.store = world.store;
    await world.widget('a', {}, { labels: { managed: 'yes' } });
    await world.flush();
    expect(runs).toBe(41);
  });
});

describe('echo all', () => {
  it('keeps patches without a resourceVersion, modify and whole transactions silent as well', async () => {
    let runs = 0;
    await using world = await openWorld([
      widgets(
        async ({ repo, store }) => {
          runs += 1;
          await repo(Widget).patch(a, { spec: { size: runs + 1 } });
          await store.modify(Widget, 'prod', 'a', (draft) => void (draft.spec.note = `${runs}`));
          await store.transaction((tx) => tx.patch(Widget, 'prod', 'a', { metadata: { labels: { runs: `${runs}` } } }));
        },
        { echo: 'all' },
      ),
    ]);
    await world.widget('a');
    await world.advance('1m');
    expect(runs).toBe(1);
    expect(world.manager.runs('widgets')[0]?.writes).toBe(3);
  });

  it('hears of a child that another deleted while the run that made it went on', async () => {
    let runs = 0;
    await using world = await openWorld([
      widgets(
        async ({ ensure, store }) => {
          runs += 1;
          await ensure(Part, { metadata: { name: 'p' }, spec: {} });
          if (runs === 1) await wait(store, 1000);
        },
        { echo: 'all', owns: [Part] },
      ),
    ]);
    await world.widget('a');
    await world.advance(100);
    await world.run(world.repo(Part).delete({ namespace: 'prod', name: 'p' }));
    await world.advance('1m');
    expect((await world.run(world.repo(Part).list())).items).toHaveLength(1);
  });

  it('hears that its own run marked the object for deletion', async () => {
    const phases: string[] = [];
    await using world = await openWorld([
      widgets(
        async ({ store }) => {
          phases.push('reconcile');
          await store.delete(Widget, 'prod', 'a');
        },
        { echo: 'all', finalize: () => void phases.push('finalize') },
      ),
    ]);
    await world.widget('a');
    await world.advance('1m');
    expect(phases).toEqual(['reconcile', 'finalize']);
    expect(await world.find('a')).toBeUndefined();
  });
});

describe('a handler that is behind the cache', () => {
  const OBJECTS = 2000;
  const create = async ({ run, repo }: Pick<World, 'run' | 'repo'>): Promise<void> => {
    const made = Array.from({ length: OBJECTS }, (_, i) =>
      repo(Widget).create({ metadata: { namespace: 'prod', name: `w${i}` }, spec: {} }),
    );
    await run(Promise.all(made));
  };

  it('runs no key again for the status that a resync had it write', async () => {
    let runs = 0;
    const controller = widgets(
      async ({ status }) => {
        runs += 1;
        await Promise.resolve();
        status({ when: runs });
      },
      { concurrency: 16, resync: '1m' },
    );
    await using world = await openWorld([controller], { before: create });
    await world.flush();
    expect(runs).toBe(OBJECTS);
    await world.advance('70s');
    expect(runs).toBe(2 * OBJECTS);
    expect((await world.get('w7')).status?.when).toBeGreaterThan(OBJECTS);
  });

  it('still runs a key for what another changed right after that status', async () => {
    const outside: { store?: Store } = {};
    const changed: string[] = [];
    const controller = widgets(
      async ({ object, status, causes, clock }) => {
        status({ when: Math.floor(clock.monotonic()) });
        const resync = causes.some((cause) => cause.kind === 'change' && cause.change === 'resync');
        const i = Number(object.metadata.name.slice(1));
        if (!resync || i % 100 !== 0 || i === 0) return;
        // What ran before this has written its status; the handler has not been told of it yet.
        const name = `w${i - 50}`;
        changed.push(name);
        await repoOf(outside.store as Store, Widget).patch({ namespace: 'prod', name }, { spec: { size: 9 } });
      },
      { concurrency: 16, resync: '1m' },
    );
    await using world = await openWorld([controller], { before: create });
    outside.store = world.store;
    await world.advance('70s');
    expect(changed).toHaveLength(OBJECTS / 100 - 1);
    for (const name of changed) expect((await world.get(name)).status?.observedGeneration).toBe(2);
  });
});
