/** Controllers that are added and removed while the manager starts, stands by, takes over and runs. */
import { describe, expect, it } from 'vitest';
import { Lease } from '../../src/schemas/index.js';
import { deferred } from '../../src/store/index.js';
import { defineController, type ControllerInput, type Source } from '../../src/controller/index.js';
import { openWorld, Widget, type WorldOptions } from './world.js';

const syncsAfter = (ms: number, then: () => void = () => {}): Source => ({
  name: `after ${ms} ms`,
  start: (_, { deps }) =>
    new Promise<void>(
      (resolve) =>
        void deps.scheduler.after(ms, () => {
          then();
          resolve();
        }),
    ),
});
const never: Source = { name: 'never', start: () => new Promise(() => {}) };
/** A lease that another held, and that runs out. */
const othersLease: WorldOptions['before'] = async ({ store, run }) =>
  void (await run(store.create(Lease, 'default', 'l', { spec: { holderIdentity: 'other', leaseDurationSeconds: 15 } })));

function recording(name: string, input: Partial<ControllerInput<typeof Widget>> = {}) {
  const runs: string[] = [];
  const controller = defineController({ reconcile: ({ object }) => void runs.push(object.metadata.name), ...input, name, for: Widget });
  return { runs, controller };
}

/** Controllers of one name whose runs wait for a gate, and how many of them there were at once. */
function gated(name: string) {
  const gate = deferred();
  const seen = { active: 0, most: 0, runs: 0 };
  const make = () =>
    defineController({
      name,
      for: Widget,
      timeout: false,
      async reconcile() {
        seen.runs += 1;
        seen.active += 1;
        seen.most = Math.max(seen.most, seen.active);
        await gate.promise;
        seen.active -= 1;
      },
    });
  return { gate, seen, make };
}

/** What a promise rejects with, looked at from the start. */
const failureOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing',
    (error: unknown) => (error as Error).message,
  );

describe('a controller that is added', () => {
  it('while a standby without warm-up takes over, runs as the others do', async () => {
    const slow = recording('slow', { sources: [syncsAfter(5_000)] });
    const added = recording('added');
    await using world = await openWorld([slow.controller], { leaderElection: { name: 'l' }, warmup: false });
    await world.widget('a');
    await world.advance('1s');
    expect(world.manager.state).toBe('standby');
    await world.run(world.manager.add(added.controller));
    expect(added.runs).toEqual([]);
    await world.advance('10s');
    expect(world.manager.state).toBe('running');
    expect([slow.runs, added.runs]).toEqual([['a'], ['a']]);
  });

  it('while the manager stands by without warm-up, starts nothing until it leads', async () => {
    let synced = false;
    const added = recording('added', { sources: [syncsAfter(1_000, () => (synced = true))] });
    await using world = await openWorld([], { leaderElection: { name: 'l' }, warmup: false, before: othersLease });
    await world.widget('a');
    await world.run(world.manager.add(added.controller));
    await world.advance('10s');
    expect([synced, added.runs]).toEqual([false, []]);
    await world.advance('20s');
    expect(added.runs).toEqual(['a']);
  });

  it('runs nothing before its own sources have synced, when the manager begins to lead meanwhile, and holds up no other', async () => {
    let synced = false;
    let ranBefore = false;
    const there = recording('there');
    const added = recording('added', {
      sources: [syncsAfter(60_000, () => (synced = true))],
      reconcile: () => {
        ranBefore ||= !synced;
        added.runs.push('ran');
      },
    });
    await using world = await openWorld([there.controller], { leaderElection: { name: 'l' }, before: othersLease });
    await world.widget('a');
    const adding = world.manager.add(added.controller);
    await world.advance('40s');
    expect(world.manager.state).toBe('running');
    expect(there.runs).toEqual(['a']);
    expect(world.manager.readyz().checks.find((check) => check.name === 'controller-added')?.message).toMatch(/not synced/);
    await world.advance('30s');
    await world.run(adding);
    expect([added.runs, ranBefore]).toEqual([['ran'], false]);
  });

  it('while the manager starts, is started with the others', async () => {
    const there = recording('there', { sources: [syncsAfter(5_000)] });
    const added = recording('added');
    await using world = await openWorld([there.controller], { start: false, before: async ({ widget }) => void (await widget('a')) });
    const starting = world.manager.start();
    const adding = world.manager.add(added.controller);
    await world.advance('4s');
    expect(added.runs).toEqual([]);
    await world.advance('2s');
    await world.run(Promise.all([starting, adding]));
    expect([there.runs, added.runs]).toEqual([['a'], ['a']]);
  });
});

describe('a controller that is removed', () => {
  it('while its sources sync, fails its own add alone, not the takeover of the others', async () => {
    const there = recording('there', { sources: [syncsAfter(10_000)] });
    const gone = recording('gone', { sources: [never] });
    await using world = await openWorld([there.controller, gone.controller], { leaderElection: { name: 'l' }, warmup: false });
    await world.widget('a');
    await world.advance('5s');
    expect(await world.run(world.manager.remove('gone'))).toEqual({ unsettled: [] });
    await world.advance('10s');
    expect(world.manager.state).toBe('running');
    expect([there.runs, gone.runs]).toEqual([['a'], []]);
    const adding = world.manager.add(recording('late', { sources: [never] }).controller);
    const refused = failureOf(adding);
    await world.flush();
    await world.run(world.manager.remove('late'));
    expect(await refused).toMatch(/controller late was removed/);
    expect(world.manager.controllers).toEqual(['there']);
  });

  it('has its name until it has stopped: another of that name is refused, and no key has two runs', async () => {
    const { gate, seen, make } = gated('c');
    await using world = await openWorld([make()]);
    await world.widget('a');
    await world.flush();
    const removing = world.manager.remove('c');
    await expect(world.run(world.manager.add(make()))).rejects.toThrow(/controller c is still being removed: wait for remove\(\)/);
    expect(world.manager.controllers).toEqual([]);
    gate.resolve();
    await world.run(removing);
    await world.run(world.manager.add(make()));
    await world.flush();
    expect(seen).toEqual({ active: 0, most: 1, runs: 2 });
  });

  it('has its name until its last run has settled, long after its grace period if need be', async () => {
    const { gate, seen, make } = gated('c');
    await using world = await openWorld([make()], { gracePeriod: '1s' });
    await world.widget('a');
    await world.flush();
    const removing = world.manager.remove('c');
    await world.advance('2s');
    expect(await world.run(removing)).toEqual({ unsettled: [{ controller: 'c', key: 'prod/a' }] });
    await expect(world.run(world.manager.add(make()))).rejects.toThrow(/reconciles of it still run \(prod\/a\)/);
    expect(seen.most).toBe(1);
    gate.resolve();
    await world.flush();
    await world.run(world.manager.add(make()));
    await world.flush();
    expect(seen).toEqual({ active: 0, most: 1, runs: 2 });
  });

  it('takes the failure of its own add with it: one of its name that was added since goes on', async () => {
    const old = recording('c', { sources: [never] });
    const young = recording('c');
    await using world = await openWorld([]);
    const adding = world.manager.add(old.controller);
    const failed = failureOf(adding);
    await world.flush();
    await world.run(world.manager.remove('c'));
    await world.run(world.manager.add(young.controller));
    expect(await failed).toMatch(/controller c was removed/);
    await world.widget('a');
    await world.advance('1m');
    expect(world.manager.controllers).toEqual(['c']);
    expect([old.runs, young.runs]).toEqual([[], ['a']]);
  });

  it('is named by the stop of the manager while its runs have not settled', async () => {
    const { make } = gated('c');
    await using world = await openWorld([make()], { gracePeriod: '1s' });
    await world.widget('a');
    await world.flush();
    const removing = world.manager.remove('c');
    await world.advance('2s');
    await world.run(removing);
    expect(await world.stop()).toEqual({ unsettled: [{ controller: 'c', key: 'prod/a' }] });
  });
});
