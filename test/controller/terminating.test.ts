import { describe, expect, it } from 'vitest';
import { defineController } from '../../src/controller/index.js';
import { openWorld, Part, Site, Widget, type World } from './world.js';

const a = { namespace: 'prod', name: 'a' };
const other = 'gone.example.com/finalizer';
const own = 'widgets.rune.dev/finalizer';
const controllers = () => [
  defineController({
    name: 'widgets',
    for: Widget,
    reconcile() {},
    finalize: ({ object }) => (object.spec.note === 'stuck' ? { requeueAfter: '1h' } : undefined),
  }),
  defineController({ name: 'sites', for: Site, reconcile() {} }),
];
const gauges = (world: World, controller: string): readonly number[] =>
  ['terminating_objects', 'finalizer_pending_seconds'].map((name) => Math.round(world.metric(name, `controller="${controller}"`)));

describe('an object that is being deleted and does not go', () => {
  it('is told with its finalizers and since when, whoever has to remove them: by the report, the gauges and explain', async () => {
    await using world = await openWorld(controllers());
    expect([...gauges(world, 'widgets'), ...gauges(world, 'sites')]).toEqual([0, 0, 0, 0]);
    await world.widget('a', {}, { finalizers: [other] });
    await world.widget('b', { note: 'stuck' });
    await world.widget('fine');
    await world.run(world.repo(Site).create({ metadata: { name: 's', finalizers: [other] } }));
    await world.flush();
    await world.run(world.repo(Widget).delete(a));
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'fine' }));
    await world.advance('10m');
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'b' }));
    await world.advance('4m');
    await world.run(world.repo(Site).delete({ name: 's' }));
    await world.advance('1m');
    expect(gauges(world, 'widgets')).toEqual([2, 900]);
    expect(gauges(world, 'sites')).toEqual([1, 60]);
    const told = world.manager.terminating();
    expect(told).toMatchObject([
      { controller: 'widgets', type: 'widget', key: 'prod/a', since: '2026-01-01T00:00:00.000Z', finalizers: [other], own: false },
      { controller: 'widgets', type: 'widget', key: 'prod/b', since: '2026-01-01T00:10:00.000Z', finalizers: [own], own: true },
    ]);
    expect(told.map((each) => Math.round(each.forMs / 1000))).toEqual([900, 300]);
    expect(world.manager.terminating({ olderThan: 0 }).map((each) => each.key)).toEqual(['prod/a', 'prod/b', 's']);
    expect(world.manager.terminating({ olderThan: '1s', controller: 'sites' }).map((each) => each.key)).toEqual(['s']);
    expect(world.manager.terminating({ limit: 1 })).toHaveLength(1);
    const why = world.manager.explain('widgets', a);
    expect(why).toMatchObject({ state: 'terminating', terminating: { finalizers: [other], own: false } });
    expect(why.lines[1]).toBe(
      `being deleted since 2026-01-01T00:00:00.000Z (900 s); it waits for its finalizers ${other}, none of which is this controller's`,
    );
    expect(world.manager.explain('widgets', { namespace: 'prod', name: 'b' })).toMatchObject({
      state: 'delayed',
      terminating: { own: true },
    });
    await world.run(world.repo(Widget).removeFinalizer(a, other));
    await world.flush();
    expect(gauges(world, 'widgets')).toEqual([1, 300]);
    expect(world.manager.explain('widgets', a)).toMatchObject({ state: 'missing', terminating: undefined });
  });

  it('is told while it waits for its dependents', async () => {
    await using world = await openWorld(
      [
        defineController({
          name: 'widgets',
          for: Widget,
          owns: [Part],
          reconcile: async ({ ensure }) => void (await ensure(Part, { metadata: { name: 'p', finalizers: [other] }, spec: {} })),
        }),
      ],
      { garbageCollection: true },
    );
    await world.widget('a');
    await world.flush();
    await world.run(world.repo(Widget).delete(a, { propagation: 'foreground' }));
    await world.advance('6m');
    expect(world.manager.terminating()).toMatchObject([{ key: 'prod/a', finalizers: ['foregroundDeletion'], own: false }]);
  });

  it('is asked for with an age that is one, of a controller that is known', async () => {
    await using world = await openWorld(controllers());
    expect(() => world.manager.terminating({ olderThan: 'long' as '1s' })).toThrow(/olderThan/);
    expect(() => world.manager.terminating({ controller: 'nobody' })).toThrow(/not known/);
  });
});
