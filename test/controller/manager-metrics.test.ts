/** Which series there are, and when: from the start, after a removal, after the stop. */
import { describe, expect, it } from 'vitest';
import { deferred, type Store } from '../../src/store/index.js';
import {
  controllerMetrics,
  defineController,
  leaderElectionMetrics,
  runtimeMetrics,
  workqueueMetrics,
  type MetricDefinition,
} from '../../src/controller/index.js';
import { openWorld, Part, Widget, type World } from './world.js';

const plain = (name: string) => defineController({ name, for: Widget, reconcile() {} });
/** The lines of the metrics that hold all of these texts. */
const lines = (world: World, ...texts: readonly string[]): string[] =>
  world.manager.metrics
    .render()
    .split('\n')
    .filter((line) => !line.startsWith('#') && texts.every((text) => line.includes(text)));

describe('the series of a manager', () => {
  it('are those that are defined: each is there in a manager that runs', async () => {
    await using world = await openWorld([plain('widgets')], { leaderElection: { name: 'l' } });
    const text = world.manager.metrics.render();
    const all: MetricDefinition[] = [controllerMetrics, workqueueMetrics, leaderElectionMetrics, runtimeMetrics].flatMap((group) =>
      Object.values(group),
    );
    expect(all.filter(({ name }) => !text.includes(`# TYPE ${name} `)).map(({ name }) => name)).toEqual([]);
  });

  it('tell the size of the store as it was when it was last asked', async () => {
    let hangs = false;
    const wrap = (store: Store): Store =>
      new Proxy(store, {
        get(target, property) {
          const value: unknown = Reflect.get(target, property, target);
          if (typeof value !== 'function') return value;
          const call = value.bind(target) as (...args: readonly unknown[]) => unknown;
          return property === 'stats' && hangs ? () => new Promise(() => {}) : call;
        },
      });
    await using world = await openWorld([plain('widgets')], { wrap });
    const size = async (): Promise<number> => {
      world.manager.metrics.render();
      await world.flush();
      return Number(lines(world, 'store_size_bytes')[0]?.split(' ')[1]);
    };
    const empty = await size();
    await world.widget('a', { note: 'x'.repeat(1_000) });
    const full = await size();
    expect(full).toBeGreaterThan(empty + 1_000);
    expect(full).toBe((await world.run(world.store.stats())).bytes);
    hangs = true;
    expect(await size()).toBe(full);
  });

  it('of a removed controller go with it, those of its queue and of the types that it alone watched too', async () => {
    const gate = deferred();
    const controller = defineController({ name: 'parts', for: Part, timeout: false, reconcile: () => gate.promise });
    await using world = await openWorld([plain('widgets'), controller]);
    await world.run(world.repo(Part).create({ metadata: { namespace: 'prod', name: 'p' }, spec: {} }));
    await world.flush();
    expect(world.metric('controller_runtime_active_workers', 'parts')).toBe(1);
    expect(world.metric('informer_objects', 'part')).toBe(1);
    const removing = world.manager.remove('parts');
    gate.resolve();
    await world.run(removing);
    expect(lines(world, '"parts"')).toEqual([]);
    expect(lines(world, 'resource="part"')).toEqual([]);
    expect(lines(world, 'controller="widgets"').length).toBeGreaterThan(50);
    expect(world.metric('informer_objects', 'widget')).toBe(0);
  });

  it('are as many after controllers came and went as before, those that failed to start included', async () => {
    await using world = await openWorld([plain('widgets')]);
    const before = lines(world).length;
    for (let i = 0; i < 20; i += 1) {
      await world.run(world.manager.add(plain(`c${i}`)));
      await world.run(world.manager.remove(`c${i}`));
    }
    const sources = [{ name: 'broken', start: () => Promise.reject(new Error('no')) }];
    await expect(world.run(world.manager.add(defineController({ name: 'bad', for: Widget, sources, reconcile() {} })))).rejects.toThrow(
      'no',
    );
    expect(lines(world)).toHaveLength(before);
    // A name that comes again begins at zero.
    await world.run(world.manager.add(plain('c0')));
    expect(world.metric('controller_runtime_reconcile_total', 'controller="c0"')).toBe(0);
  });

  it('tell of a stopped manager that it leads nothing, works on nothing and holds nothing, and what it has counted', async () => {
    const controller = defineController({
      name: 'widgets',
      for: Widget,
      reconcile: ({ deps }) => new Promise<void>((resolve) => void deps.scheduler.after(1_000, resolve)),
      finalize: ({ deps }) => new Promise<void>((resolve) => void deps.scheduler.after(1_000, resolve)),
    });
    await using world = await openWorld([controller], { leaderElection: { name: 'l' } });
    await world.advance('1s');
    await world.widget('a');
    await world.advance('2s');
    await world.widget('b');
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
    await world.advance('500ms');
    const value = (name: string): number => world.metric(name);
    expect([value('leader_election_master_status'), value('controller_runtime_active_workers')]).toEqual([1, 1]);
    expect(value('informer_objects')).toBe(2);
    expect(value('finalizer_pending_seconds')).toBeGreaterThan(0);
    await world.stop();
    for (const name of [
      'leader_election_master_status',
      'controller_runtime_active_workers',
      'finalizer_pending_seconds',
      'workqueue_depth',
    ])
      expect([name, value(name)]).toEqual([name, 0]);
    expect(lines(world, 'informer_objects')).toEqual([]);
    expect(lines(world, 'watch_lag_revisions')).toEqual([]);
    expect(lines(world, 'event_loop_lag_seconds')).toEqual(['event_loop_lag_seconds 0']);
    expect(world.metric('controller_runtime_reconcile_total', 'result="success"')).toBeGreaterThan(0);
  });
});
