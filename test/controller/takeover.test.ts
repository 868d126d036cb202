/** A lease that comes late, or goes while the manager is on its way out. */
import { describe, expect, it } from 'vitest';
import { Lease } from '../../src/schemas/index.js';
import type { Store } from '../../src/store/index.js';
import { createManager, defineController } from '../../src/controller/index.js';
import { openWorld, Widget, type World } from './world.js';

const lease = async (world: World) => (await world.run(world.store.get(Lease, 'default', 'lead'))).spec;
const steal = (world: World) => world.run(world.store.patch(Lease, 'default', 'lead', { spec: { holderIdentity: 'thief' } }));
const leaderElection = { name: 'lead', identity: 'one' };

/** What `run` ends with: nothing, or its error. */
const outcomeOf = (running: Promise<void>): Promise<unknown> =>
  running.then(
    () => undefined,
    (error: unknown) => error,
  );

/** A store whose first takings of the lease wait: whoever is killed with the lock of the data in its hands lets others wait. */
function slowToTake(store: Store, times = 1): Store {
  let slow = times;
  return new Proxy(store, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      const call = value.bind(target) as (...args: readonly unknown[]) => unknown;
      if (property !== 'create' && property !== 'patch') return call;
      return async (...args: readonly unknown[]) => {
        if (args[0] === Lease && slow-- > 0) await new Promise<void>((resolve) => void target.deps.scheduler.after(12_000, resolve));
        return call(...args);
      };
    },
  });
}

describe('a lease', () => {
  it.each(['stop', 'remove'] as const)('that is lost in the middle of a %s ends the drain at once', async (how) => {
    const controller = defineController({ name: 'widgets', for: Widget, timeout: false, reconcile: () => new Promise<void>(() => {}) });
    await using world = await openWorld([controller], { start: false, leaderElection, gracePeriod: '10m' });
    const told = new AbortController();
    const outcome = outcomeOf(world.manager.run({ signal: told.signal }));
    await world.advance('1s');
    await world.widget('a');
    await world.flush();
    const removing = how === 'remove' ? world.manager.remove('widgets') : undefined;
    if (how === 'stop') told.abort();
    await world.advance('5s');
    expect(world.manager.state).toBe(how === 'stop' ? 'stopping' : 'running');
    await steal(world);
    await world.advance('3s');
    expect(world.manager.state).toBe('stopped');
    const unsettled = [{ controller: 'widgets', key: 'prod/a' }];
    if (removing !== undefined) expect(await world.run(removing)).toEqual({ unsettled });
    expect(await world.run(world.manager.stop())).toEqual({ unsettled });
    // It was told to stop, and failed all the same.
    expect(((await world.run(outcome)) as AggregateError).errors.map((error: Error) => error.message)).toEqual([
      expect.stringMatching(/leadership lost/),
      expect.stringMatching(/did not settle/),
    ]);
    expect(await lease(world)).toMatchObject({ holderIdentity: 'thief' });
  });

  it('that is given up because the manager is told to stop while it takes over is no failure', async () => {
    const sources = [{ name: 'slow', start: () => new Promise<void>(() => {}) }];
    const controller = defineController({ name: 'widgets', for: Widget, sources, reconcile() {} });
    await using world = await openWorld([controller], { start: false, leaderElection, warmup: false });
    const told = new AbortController();
    const outcome = outcomeOf(world.manager.run({ signal: told.signal }));
    await world.advance('5s');
    expect(await lease(world)).toMatchObject({ holderIdentity: 'one' });
    told.abort();
    expect(await world.run(outcome)).toBeUndefined();
    expect(world.logs('error')).toEqual([]);
    expect(await lease(world)).toMatchObject({ holderIdentity: '' });
  });

  it('whose taking takes longer than it could be relied on is taken once more, and fails nothing', async () => {
    const runs: string[] = [];
    const controller = defineController({ name: 'widgets', for: Widget, reconcile: ({ object }) => void runs.push(object.metadata.name) });
    await using world = await openWorld([controller], { leaderElection, wrap: slowToTake });
    await world.widget('a');
    await world.advance('20s');
    expect([world.manager.state, runs]).toEqual(['running', ['a']]);
    expect(world.logs('error')).toEqual([]);
    // The second taking has a token of its own.
    expect(Number((await lease(world))?.fencingToken)).toBe(2);
  });

  it('that is always taken too late is left to whoever is faster', async () => {
    const runs: string[] = [];
    const define = (by: string) =>
      defineController({ name: 'widgets', for: Widget, reconcile: ({ object }) => void runs.push(`${by}: ${object.metadata.name}`) });
    let unwrapped: Store | undefined;
    const wrap = (store: Store): Store => slowToTake((unwrapped = store), Infinity);
    await using world = await openWorld([define('slow')], { leaderElection, wrap });
    await world.widget('a');
    await world.advance('5s');
    const other = createManager({
      store: unwrapped!,
      controllers: [define('fast')],
      leaderElection: { name: 'lead', identity: 'two' },
      garbageCollection: false,
    });
    await world.run(other.start());
    await world.advance('60s');
    expect([world.manager.state, other.state, runs]).toEqual(['standby', 'running', ['fast: a']]);
    const stopping = other.stop();
    await world.advance('5s');
    await world.run(stopping);
  });

  it('that was taken too late is given back, also when a stop comes before the next taking', async () => {
    const controller = defineController({ name: 'widgets', for: Widget, reconcile() {} });
    await using world = await openWorld([controller], { leaderElection, wrap: slowToTake });
    await world.advance('12500ms');
    await world.run(world.manager.stop());
    expect(await lease(world)).toMatchObject({ holderIdentity: '' });
  });

  it('whose late taking comes to its end after a stop is given back', async () => {
    const controller = defineController({ name: 'widgets', for: Widget, reconcile() {} });
    await using world = await openWorld([controller], { leaderElection, wrap: slowToTake });
    await world.advance('1s');
    const stopping = world.manager.stop();
    await world.advance('20s');
    await world.run(stopping);
    expect(await lease(world)).toMatchObject({ holderIdentity: '' });
  });
});
