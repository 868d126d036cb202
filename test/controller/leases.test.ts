import { describe, expect, it } from 'vitest';
import { isForbidden, Lease } from '../../src/schemas/index.js';
import { memoryEngine, openStore, type Store } from '../../src/store/index.js';
import { virtualDeps, type VirtualDeps } from '../../src/testing/index.js';
import { createManager, defineController, type LeaderElectionOptions, type Manager } from '../../src/controller/index.js';
import { electionOf } from '../../src/controller/leases/index.js';
import { runner, Widget, type World } from './world.js';

interface Both extends AsyncDisposable {
  readonly deps: VirtualDeps;
  readonly store: Store;
  readonly run: World['run'];
  readonly ran: string[];
  manager(identity: string, election?: Partial<LeaderElectionOptions>, through?: Store): Manager;
  lease(): Promise<Lease['spec']>;
  write(spec: Partial<Lease['spec']>): Promise<void>;
}

/** Several managers on one store: what several processes on one data directory see. */
async function open(): Promise<Both> {
  const deps = virtualDeps({ seed: 3 });
  const run = runner(deps);
  const store = await run(openStore({ engine: memoryEngine(), deps, types: [Widget] }));
  const managers: Manager[] = [];
  const ran: string[] = [];
  return {
    deps,
    store,
    run,
    ran,
    manager(identity, election = {}, through = store) {
      const controller = defineController({
        name: 'widgets',
        for: Widget,
        reconcile: ({ object }) => void ran.push(`${identity}:${object.metadata.name}`),
      });
      const manager = createManager({
        store: through,
        controllers: [controller],
        leaderElection: { name: 'lead', identity, ...election },
        garbageCollection: false,
      });
      managers.push(manager);
      return manager;
    },
    lease: async () => (await run(store.get(Lease, 'default', 'lead'))).spec,
    write: async (spec) => void (await run(store.patch(Lease, 'default', 'lead', { spec }))),
    async [Symbol.asyncDispose]() {
      for (const manager of managers) {
        const stopping = manager.stop().catch(() => undefined);
        await deps.advance('5s');
        await run(stopping);
      }
      await run(store.close());
    },
  };
}
const widget = (both: Both, name: string) => both.run(both.store.create(Widget, 'prod', name, { spec: {} }));
const start = (both: Both, manager: Manager) => both.run(manager.start());

/** A store that can be cut off. */
function breakable(store: Store): { store: Store; cut(how: 'fails' | 'hangs' | undefined): void } {
  let how: 'fails' | 'hangs' | undefined;
  const verbs = new Set(['get', 'patch', 'update', 'create']);
  const wrapped = new Proxy(store, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (how !== undefined && verbs.has(String(property)) && args[0] === Lease)
          return how === 'fails' ? Promise.reject(new Error('disk on fire')) : new Promise(() => {});
        return (value as (...all: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  return { store: wrapped, cut: (next) => void (how = next) };
}

describe('leader election', () => {
  it('no lease: takes it', async () => {
    await using both = await open();
    const one = both.manager('one');
    await start(both, one);
    await both.deps.flush();
    expect(one.state).toBe('running');
    expect(await both.lease()).toMatchObject({
      holderIdentity: 'one',
      leaseDurationSeconds: 15,
      leaseTransitions: 0,
      fencingToken: '1',
      acquireTime: '2026-01-01T00:00:00.000Z',
    });
    expect(one.metrics.render()).toContain('leader_election_master_status{name="lead"} 1');
  });

  it("another's and fresh: does not steal; the standby starts no controller and is ready", async () => {
    await using both = await open();
    await widget(both, 'a');
    const [one, two] = [both.manager('one'), both.manager('two')];
    await start(both, one);
    await both.deps.flush();
    await start(both, two);
    await both.deps.advance('10m');
    expect([one.state, two.state]).toEqual(['running', 'standby']);
    expect(both.ran).toEqual(['one:a']);
    expect(two.readyz().ok).toBe(true);
    expect(two.metrics.render()).toContain('leader_election_master_status{name="lead"} 0');
    expect(await both.lease()).toMatchObject({ holderIdentity: 'one', leaseTransitions: 0 });
  });

  it('a standby that is stopped never starts its controllers', async () => {
    await using both = await open();
    await widget(both, 'a');
    const [one, two] = [both.manager('one'), both.manager('two')];
    await start(both, one);
    await both.deps.flush();
    await start(both, two);
    await both.run(two.stop());
    await both.run(one.stop());
    await both.deps.advance('10m');
    expect(both.ran).toEqual(['one:a']);
  });

  it('released at a stop: the standby leads within a retry, with a higher token', async () => {
    await using both = await open();
    const [one, two] = [both.manager('one'), both.manager('two')];
    await start(both, one);
    await both.deps.flush();
    await start(both, two);
    await widget(both, 'a');
    await both.deps.advance('3s');
    await both.run(one.stop());
    expect(await both.lease()).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 });
    await both.deps.advance(2000 * 2.2);
    expect(two.state).toBe('running');
    expect(await both.lease()).toMatchObject({ holderIdentity: 'two', fencingToken: '2', leaseTransitions: 1 });
    await both.deps.flush();
    expect(both.ran).toEqual(['one:a', 'two:a']);
  });

  it('a lease that was deleted: who saw it held waits for its end, and makes it anew with a token beyond all before', async () => {
    await using both = await open();
    const [one, two] = [both.manager('one'), both.manager('two')];
    await start(both, one);
    await both.deps.flush();
    await start(both, two);
    await both.deps.advance('5s');
    await both.run(both.store.delete(Lease, 'default', 'lead'));
    await both.deps.advance('4s');
    // The leader found out at its next renewal; the standby has not stepped in before that.
    expect([one.state, two.state]).toEqual(['stopped', 'standby']);
    await both.deps.advance('14s');
    expect(two.state).toBe('running');
    const lease = await both.lease();
    expect(lease.holderIdentity).toBe('two');
    expect(Number(lease.fencingToken)).toBeGreaterThan(1);
  });

  it('a lease that was deleted and made anew by a newcomer has another token, so the old leader cannot write', async () => {
    await using both = await open();
    const old = both.manager('old');
    await start(both, old);
    await both.deps.flush();
    const fenced = both.store.fenced({ namespace: 'default', name: 'lead', token: (await both.lease()).fencingToken as string });
    await both.run(fenced.create(Widget, 'prod', 'a', { spec: {} }));
    await both.run(both.store.delete(Lease, 'default', 'lead'));
    const newcomer = both.manager('newcomer');
    await start(both, newcomer);
    await both.deps.flush();
    expect((await both.lease()).holderIdentity).toBe('newcomer');
    await expect(both.run(fenced.create(Widget, 'prod', 'b', { spec: {} }))).rejects.toSatisfy(isForbidden);
    await both.deps.advance('3s');
    expect([old.state, newcomer.state]).toEqual(['stopped', 'running']);
  });

  it("another's and expired: taken once it has not changed, as seen from here, for as long as it promised", async () => {
    await using both = await open();
    await both.run(
      both.store.create(Lease, 'default', 'lead', {
        spec: { holderIdentity: 'dead', leaseDurationSeconds: 15, renewTime: '2020-01-01T00:00:00Z', fencingToken: '41' },
      }),
    );
    const one = both.manager('one');
    await start(both, one);
    await both.deps.advance('14s');
    // Its clock says that it expired years ago; ours has only just seen it.
    expect(one.state).toBe('standby');
    await both.deps.advance('6s');
    expect(one.state).toBe('running');
    expect(await both.lease()).toMatchObject({ holderIdentity: 'one', fencingToken: '42', leaseTransitions: 1 });
  });

  it('mine: a process that comes back under its identity goes on at once, with a new token', async () => {
    await using both = await open();
    await both.run(
      both.store.create(Lease, 'default', 'lead', { spec: { holderIdentity: 'one', leaseDurationSeconds: 15, fencingToken: '7' } }),
    );
    const one = both.manager('one');
    await start(both, one);
    await both.deps.flush();
    expect(one.state).toBe('running');
    expect(await both.lease()).toMatchObject({ holderIdentity: 'one', fencingToken: '8', leaseTransitions: 0 });
  });

  it('renews, keeping acquireTime', async () => {
    await using both = await open();
    const one = both.manager('one');
    await start(both, one);
    await both.deps.advance('1m');
    expect(await both.lease()).toMatchObject({
      acquireTime: '2026-01-01T00:00:00.000Z',
      renewTime: expect.stringMatching(/00:00:5|00:01:00/),
      fencingToken: '1',
    });
  });

  it('a conflict while renewing is looked into: mine still, so it goes on', async () => {
    await using both = await open();
    const one = both.manager('one');
    await start(both, one);
    await both.deps.advance('3s');
    await both.run(both.store.patch(Lease, 'default', 'lead', { metadata: { labels: { seen: 'yes' } } }));
    await both.deps.advance('1m');
    expect(one.state).toBe('running');
    expect(one.metrics.render()).toContain('leader_election_slowpath_total{name="lead"} 1');
  });

  it('when another took it, controllers stop at once, and the manager fails', async () => {
    await using both = await open();
    const one = both.manager('one');
    const failed = both.run(one.start().then(() => one.failed)).catch((error: unknown) => error);
    await both.deps.advance('3s');
    await both.write({ holderIdentity: 'thief' });
    await both.deps.advance('3s');
    expect(one.state).toBe('stopped');
    await expect(one.failed).rejects.toThrow(/leadership lost.*thief/);
    void failed;
    await widget(both, 'a');
    await both.deps.advance('1m');
    expect(both.ran).toEqual([]);
    // It was not its to give back.
    expect(await both.lease()).toMatchObject({ holderIdentity: 'thief' });
  });

  it('a lost lease stops controllers without waiting for those that run, and names them', async () => {
    await using both = await open();
    let signal: AbortSignal | undefined;
    const controller = defineController({
      name: 'widgets',
      for: Widget,
      timeout: false,
      reconcile: (context) => new Promise<void>(() => void (signal = context.signal)),
    });
    const manager = createManager({
      store: both.store,
      controllers: [controller],
      leaderElection: { name: 'lead', identity: 'one' },
      garbageCollection: false,
      gracePeriod: '10m',
    });
    await start(both, manager);
    await both.deps.flush();
    await widget(both, 'a');
    await both.write({ holderIdentity: 'thief' });
    await both.deps.advance('3s');
    expect(manager.state).toBe('stopped');
    expect(signal?.aborted).toBe(true);
    expect(await both.run(manager.stop())).toEqual({ unsettled: [{ controller: 'widgets', key: 'prod/a' }] });
  });

  it.each(['stop', 'remove'] as const)('a lease that is lost in the middle of a %s ends the drain at once', async (how) => {
    await using both = await open();
    const controller = defineController({ name: 'widgets', for: Widget, timeout: false, reconcile: () => new Promise<void>(() => {}) });
    const manager = createManager({
      store: both.store,
      controllers: [controller],
      leaderElection: { name: 'lead', identity: 'one' },
      garbageCollection: false,
      gracePeriod: '10m',
    });
    const told = new AbortController();
    const running = manager.run({ signal: told.signal });
    const outcome = running.then(
      () => undefined,
      (error: unknown) => error,
    );
    await both.deps.advance('1s');
    await widget(both, 'a');
    await both.deps.flush();
    const removing = how === 'remove' ? manager.remove('widgets') : undefined;
    if (how === 'stop') told.abort();
    await both.deps.advance('5s');
    expect(manager.state).toBe(how === 'stop' ? 'stopping' : 'running');
    await both.write({ holderIdentity: 'thief' });
    await both.deps.advance('3s');
    expect(manager.state).toBe('stopped');
    const unsettled = [{ controller: 'widgets', key: 'prod/a' }];
    if (removing !== undefined) expect(await both.run(removing)).toEqual({ unsettled });
    expect(await both.run(manager.stop())).toEqual({ unsettled });
    // It was told to stop, and failed all the same.
    expect(((await both.run(outcome)) as AggregateError).errors.map((error: Error) => error.message)).toEqual([
      expect.stringMatching(/leadership lost/),
      expect.stringMatching(/did not settle/),
    ]);
  });

  it('a manager that is told to stop while it takes over has not failed', async () => {
    await using both = await open();
    const slow = { name: 'slow', start: () => new Promise<void>(() => {}) };
    const controller = defineController({ name: 'widgets', for: Widget, sources: [slow], reconcile() {} });
    const manager = createManager({
      store: both.store,
      controllers: [controller],
      leaderElection: { name: 'lead', identity: 'one' },
      warmup: false,
      garbageCollection: false,
    });
    const told = new AbortController();
    const running = manager.run({ signal: told.signal });
    await both.deps.advance('5s');
    expect(await both.lease()).toMatchObject({ holderIdentity: 'one' });
    told.abort();
    await both.run(running);
    expect(both.deps.logs.filter((line) => line.level === 'error')).toEqual([]);
    expect(await both.lease()).toMatchObject({ holderIdentity: '' });
  });

  it('the lease is released last: it is held, and renewed, while running reconciles are drained', async () => {
    await using both = await open();
    const controller = defineController({
      name: 'widgets',
      for: Widget,
      reconcile: ({ deps, status }) =>
        new Promise<void>((resolve) => void deps.scheduler.after(25_000, () => (status({ phase: 'drained' }), resolve()))),
    });
    const manager = createManager({
      store: both.store,
      controllers: [controller],
      leaderElection: { name: 'lead', identity: 'one' },
      garbageCollection: false,
    });
    const two = both.manager('two');
    await start(both, manager);
    await both.deps.flush();
    await start(both, two);
    await widget(both, 'a');
    await both.deps.flush();
    const stopping = manager.stop();
    await both.deps.advance('24s');
    expect([manager.state, two.state]).toEqual(['stopping', 'standby']);
    expect(await both.lease()).toMatchObject({ holderIdentity: 'one' });
    await both.deps.advance('1s');
    expect(await both.run(stopping)).toEqual({ unsettled: [] });
    expect(await both.lease()).toMatchObject({ holderIdentity: '' });
    expect((await both.run(both.store.get(Widget, 'prod', 'a'))).status?.phase).toBe('drained');
  });

  it('a leader that cannot renew, or hangs, steps down before anybody else may step up', async () => {
    for (const how of ['fails', 'hangs'] as const) {
      await using both = await open();
      const broken = breakable(both.store);
      const [one, two] = [both.manager('one', {}, broken.store), both.manager('two')];
      await start(both, one);
      await both.deps.flush();
      await start(both, two);
      await both.deps.advance('20s');
      expect([one.state, two.state]).toEqual(['running', 'standby']);
      broken.cut(how);
      let downAt: number | undefined;
      let upAt: number | undefined;
      for (let ms = 0; ms < 30_000; ms += 100) {
        await both.deps.advance(100);
        if (downAt === undefined && one.state !== 'running') downAt = ms;
        if (upAt === undefined && two.state === 'running') upAt = ms;
      }
      expect(downAt).toBeLessThanOrEqual(10_000);
      expect(upAt).toBeGreaterThan(downAt as number);
      // The lease from when the other saw the last renewal, which takes a retry with its jitter, and a retry more.
      expect(upAt).toBeLessThanOrEqual(15_000 + 2 * 2000 * 2.2 + 100);
      broken.cut(undefined);
    }
  });

  it('a jump of the wall clock on one side changes nothing', async () => {
    for (const jump of ['1h', '-1h']) {
      await using both = await open();
      const [one, two] = [both.manager('one'), both.manager('two')];
      await start(both, one);
      await both.deps.flush();
      await start(both, two);
      await both.deps.advance('5s');
      both.deps.jumpWallClock(jump);
      await both.deps.advance('5m');
      expect([one.state, two.state]).toEqual(['running', 'standby']);
      expect(await both.lease()).toMatchObject({ holderIdentity: 'one', leaseTransitions: 0 });
    }
  });

  it('two that start at once: one leads', async () => {
    await using both = await open();
    const managers = ['one', 'two', 'three'].map((identity) => both.manager(identity));
    await both.run(Promise.all(managers.map((manager) => manager.start())));
    await both.deps.advance('1m');
    expect(managers.map((manager) => manager.state).sort()).toEqual(['running', 'standby', 'standby']);
  });

  it('a lease that cannot be read for long fails readiness of a standby', async () => {
    await using both = await open();
    const broken = breakable(both.store);
    broken.cut('fails');
    const one = both.manager('one', {}, broken.store);
    await start(both, one);
    await both.deps.advance('1m');
    expect(one.readyz().checks.find((check) => check.name === 'leader-election')?.ok).toBe(false);
    broken.cut(undefined);
    await both.deps.advance('5s');
    expect(one.readyz().ok).toBe(true);
  });

  it('a leader whose lease was taken while it was frozen has its writes refused: plain, transactional, status and finalizer', async () => {
    for (const transactional of [false, true]) {
      await using both = await open();
      const refused: unknown[] = [];
      const controller = defineController({
        name: 'widgets',
        for: Widget,
        transactional,
        rateLimiter: { baseDelay: '1h' },
        async reconcile({ object, repo, deps, status }) {
          // Longer than it takes to be found out by a renewal would be a test of that; this is the moment before.
          await new Promise<void>((resolve) => void deps.scheduler.after(100, resolve));
          if (object.metadata.name === 'a') status({ phase: 'written' });
          else if (object.metadata.name === 'b') await repo(Widget).patch(object, { spec: { note: 'written' } });
        },
        finalize() {},
      });
      const manager = createManager({
        store: both.store,
        controllers: [controller],
        leaderElection: { name: 'lead', identity: 'one' },
        garbageCollection: false,
        logger: both.deps.logger,
      });
      await start(both, manager);
      await both.deps.flush();
      for (const name of ['a', 'b', 'c'])
        await both.run(
          both.store.create(Widget, 'prod', name, {
            metadata: name === 'c' ? {} : { finalizers: ['widgets.rune.dev/finalizer'] },
            spec: {},
          }),
        );
      await both.write({ holderIdentity: 'two', fencingToken: '2' });
      const { revision } = both.store;
      await both.deps.advance(1000);
      refused.push(
        ...both.deps.logs.filter((line) => line.level === 'error' && line.fields['key'] !== undefined).map((line) => line.fields['err']),
      );
      expect(refused.length).toBeGreaterThan(0);
      for (const error of refused) expect(error).toMatchObject({ code: 403, message: expect.stringContaining('was taken by another') });
      expect(both.store.revision).toBe(revision);
      await both.deps.advance('10s');
      expect(manager.state).toBe('stopped');
    }
  });

  it('options are checked: lease > renew > 1.2 * retry', async () => {
    const ids = { uuid: () => 'u' };
    expect(electionOf({ name: 'l' }, ids)).toMatchObject({
      namespace: 'default',
      leaseDuration: 15_000,
      renewDeadline: 10_000,
      retryPeriod: 2_000,
      identity: expect.stringMatching(/_u$/),
    });
    expect(() => electionOf({ name: 'l', renewDeadline: '15s' }, ids)).toThrow(/renewDeadline/);
    expect(() => electionOf({ name: 'l', retryPeriod: '9s' }, ids)).toThrow(/retryPeriod/);
    expect(() => electionOf({ name: '', identity: '' }, ids)).toThrow(/name.*identity/s);
  });

  it('a manager that runs alone writes no lease', async () => {
    await using both = await open();
    const manager = createManager({ store: both.store, controllers: [], garbageCollection: false });
    await start(both, manager);
    await both.deps.advance('1m');
    expect((await both.run(both.store.list(Lease))).items).toEqual([]);
    expect(both.store.revision).toBe('0');
    await both.run(manager.stop());
  });
});
