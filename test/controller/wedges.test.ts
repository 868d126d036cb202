/** What readiness finds, and what it must not take for it. */
import { describe, expect, it } from 'vitest';
import {
  deferred,
  waitFor,
  type Store,
  type Transaction,
  type TransactionOptions,
  type Watch,
  type WatchBatch,
} from '../../src/store/index.js';
import { defineController } from '../../src/controller/index.js';
import { openWorld, Part, Widget, type World } from './world.js';

const K = { namespace: 'prod', name: 'a' };
const failing = (world: World) => world.manager.readyz().checks.filter((check) => !check.ok);

/** The same store, with calls of one sort that never settle once `hangs` says so. */
function hanging(store: Store, verb: keyof Store, hangs: (args: readonly unknown[]) => boolean): Store {
  return new Proxy(store, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      return (...args: readonly unknown[]): unknown =>
        property === verb && hangs(args) ? new Promise(() => {}) : (value as (...all: unknown[]) => unknown).apply(target, [...args]);
    },
  });
}

/** The same store, whose first call of a sort waits until it is released. */
function hangingOnce(verb: keyof Store, type: unknown): { readonly wrap: (store: Store) => Store; readonly release: () => void } {
  const gate = deferred();
  let calls = 0;
  const wrap = (store: Store): Store =>
    new Proxy(store, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property, target);
        if (typeof value !== 'function') return value;
        const call = value.bind(target) as (...args: readonly unknown[]) => unknown;
        if (property !== verb) return call;
        return (...args: readonly unknown[]): unknown =>
          args[0] === type && (calls += 1) === 1 ? gate.promise.then(() => call(...args)) : call(...args);
      },
    });
  return { wrap, release: () => gate.resolve() };
}

/** The same store, whose watches deliver nothing more while `hangs` says so: no event, no progress, no end, no error. */
function deaf(store: Store, hangs: () => boolean): Store {
  const watchOf = (watch: Watch<unknown>): Watch<unknown> => {
    const closed = new AbortController();
    let progress = watch.progress;
    async function* batches(): AsyncGenerator<WatchBatch<unknown>> {
      for await (const batch of watch.batches()) {
        if (hangs()) await waitFor(closed.signal);
        progress = batch.resourceVersion;
        yield batch;
      }
    }
    return new Proxy(watch, {
      get(target, property) {
        if (property === 'progress') return hangs() ? progress : target.progress;
        if (property === 'batches') return batches;
        if (property === 'close') {
          return () => {
            closed.abort();
            return target.close();
          };
        }
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };
  return new Proxy(store, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      const call = value.bind(target) as (...args: readonly unknown[]) => unknown;
      return property === 'watch' ? (...args: readonly unknown[]) => watchOf(call(...args) as Watch<unknown>) : call;
    },
  });
}

describe('a controller is not wedged', () => {
  it('when its keys have only just become ready, by a timer or out of backoff, after a long rest', async () => {
    for (const how of ['timer', 'backoff'] as const) {
      let runs = 0;
      const controller = defineController({
        name: 'widgets',
        for: Widget,
        rateLimiter: { baseDelay: '2m', jitter: 0 },
        async reconcile({ deps }) {
          runs += 1;
          if (runs > 2) await new Promise<void>((resolve) => void deps.scheduler.after(1_000, resolve));
          if (how === 'backoff') throw new Error('again');
          return { requeueAfter: '2m' };
        },
      });
      await using world = await openWorld([controller], { wedgedAfter: '60s' });
      await world.widget('a');
      await world.widget('b');
      await world.flush();
      await world.advance('120500ms');
      // One of the two runs, the other has waited for half a second.
      expect([runs, world.manager.queue('widgets').len()]).toEqual([3, 1]);
      expect(failing(world)).toEqual([]);
      expect(world.manager.queue('widgets').oldestWait()).toBe(500);
      await world.stop();
    }
  });

  it('when much is written and its watches are always a little behind', async () => {
    await using world = await openWorld([defineController({ name: 'widgets', for: Widget, reconcile() {} })], { wedgedAfter: '10s' });
    await world.widget('a');
    for (let i = 2; i < 60; i += 1) {
      void world.repo(Widget).patch(K, { spec: { size: i } });
      await world.advance('1s');
      expect(failing(world)).toEqual([]);
    }
  });
});

describe('readiness', () => {
  it('finds a watch that says nothing any more, names its type and how far it got, and sees when it goes on', async () => {
    let hangs = false;
    const seen: number[] = [];
    const controller = defineController({
      name: 'widgets',
      for: Widget,
      async reconcile({ object, repo }) {
        seen.push(object.spec.size);
        // The cache will never show this write: the key waits for it.
        if (hangs) await repo(Widget).patch(object, { spec: { note: 'written' } });
      },
    });
    await using world = await openWorld([controller], { wedgedAfter: '60s', wrap: (store) => deaf(store, () => hangs) });
    await world.widget('a');
    await world.advance('1h');
    expect(failing(world)).toEqual([]);
    hangs = true;
    world.manager.enqueue('widgets', K);
    await world.advance('59s');
    expect(failing(world)).toEqual([]);
    await world.advance('3s');
    expect(failing(world)).toEqual([
      {
        name: 'informers',
        ok: false,
        message: expect.stringMatching(/^watches stand still: widget \(at revision 1 for 6\d s; the store is at 2\)$/),
      },
    ]);
    expect(world.manager.healthz().ok).toBe(true);
    hangs = false;
    await world.widget('b');
    await world.advance('2s');
    expect(failing(world)).toEqual([]);
  });

  it("finds a write of the framework's own that hangs: it is past the timeout as a reconciler is, frees its slot, and is named by the stop", async () => {
    let hangs = true;
    let asked = 0;
    const runs: string[] = [];
    await using world = await openWorld(
      [
        defineController({
          name: 'widgets',
          for: Widget,
          timeout: '10s',
          reconcile({ object, status }) {
            runs.push(object.metadata.name);
            status({ seen: 1 });
          },
        }),
      ],
      {
        gracePeriod: '5s',
        wrap: (store) => hanging(store, 'patch', () => hangs && (asked += 1) === 1),
      },
    );
    await world.widget('a');
    await world.widget('b');
    await world.advance('9s');
    expect(runs).toEqual(['a']);
    expect(failing(world)).toEqual([]);
    await world.advance('2s');
    expect(runs).toEqual(['a', 'b']);
    expect((await world.get('b')).status?.seen).toBe(1);
    expect(failing(world)).toEqual([
      { name: 'controller-widgets', ok: false, message: expect.stringMatching(/past their timeout and not settled: prod\/a/) },
    ]);
    expect(world.metric('controller_runtime_reconcile_timeouts_total')).toBe(1);
    expect(world.manager.explain('widgets', K).state).toBe('running');
    hangs = false;
    expect(await world.stop()).toEqual({ unsettled: [{ controller: 'widgets', key: 'prod/a' }] });
  });

  it('finds a finalizer that cannot be taken off, and counts what settles late as timed out', async () => {
    let release: () => void = () => {};
    let finalized = 0;
    const wrap = (store: Store): Store =>
      new Proxy(store, {
        get(target, property) {
          const value: unknown = Reflect.get(target, property, target);
          if (typeof value !== 'function') return value;
          return (...args: readonly unknown[]): unknown => {
            const call = (): unknown => (value as (...all: unknown[]) => unknown).apply(target, [...args]);
            if (property !== 'patch' || finalized !== 1) return call();
            return new Promise((resolve) => {
              release = () => resolve(call());
            });
          };
        },
      });
    const controller = defineController({
      name: 'widgets',
      for: Widget,
      timeout: '10s',
      rateLimiter: { baseDelay: '1s', jitter: 0 },
      reconcile() {},
      finalize: () => void (finalized += 1),
    });
    await using world = await openWorld([controller], { wrap });
    await world.widget('a');
    await world.advance('1s');
    await world.run(world.repo(Widget).delete(K));
    await world.advance('11s');
    expect(failing(world)).toMatchObject([{ name: 'controller-widgets' }]);
    release();
    await world.advance('2s');
    expect(failing(world)).toEqual([]);
    expect(await world.find('a')).toBeUndefined();
    expect(world.manager.runs('widgets', K).map((run) => run.outcome)).toContain('timeout');
  });

  it("finds a write of the framework's own that hangs, also where runs have no timeout", async () => {
    const hung = hangingOnce('patch', Widget);
    const controller = defineController({ name: 'widgets', for: Widget, timeout: false, reconcile: ({ status }) => status({ seen: 1 }) });
    await using world = await openWorld([controller], { gracePeriod: '5s', wedgedAfter: '60s', wrap: hung.wrap });
    await world.widget('a');
    await world.advance('59s');
    expect(failing(world)).toEqual([]);
    await world.advance('2s');
    expect(failing(world)).toEqual([
      { name: 'controller-widgets', ok: false, message: 'writes that the store has not answered for 60 s or longer: prod/a' },
    ]);
    hung.release();
    await world.flush();
    expect(failing(world)).toEqual([]);
    expect((await world.get('a')).status?.seen).toBe(1);
  });

  it('finds a write that hangs and that its reconciler did not await', async () => {
    const hung = hangingOnce('create', Part);
    const controller = defineController({
      name: 'widgets',
      for: Widget,
      reconcile: ({ object, repo }) => void repo(Part).create({ metadata: { namespace: 'prod', name: object.metadata.name }, spec: {} }),
    });
    await using world = await openWorld([controller], { wedgedAfter: '60s', wrap: hung.wrap });
    await world.widget('a');
    await world.advance('59s');
    expect(failing(world)).toEqual([]);
    await world.advance('2s');
    expect(failing(world)).toMatchObject([{ name: 'controller-widgets', message: expect.stringContaining('prod/a') }]);
    hung.release();
    await world.flush();
    expect(failing(world)).toEqual([]);
  });

  it('does not take a transaction of a run for a write that hangs while its callback takes its time, and does once it is to be committed', async () => {
    const hung = deferred();
    const controller = defineController({
      name: 'widgets',
      for: Widget,
      timeout: false,
      reconcile: ({ deps, store }) =>
        store.transaction(async (tx) => {
          await tx.create(Part, 'prod', 'p', { spec: {} });
          await new Promise<void>((resolve) => void deps.scheduler.after(90_000, resolve));
        }),
    });
    const wrap = (store: Store): Store =>
      new Proxy(store, {
        get(target, property) {
          const value: unknown = Reflect.get(target, property, target);
          if (property !== 'transaction') return typeof value === 'function' ? value.bind(target) : value;
          return (run: (tx: Transaction) => unknown, options: TransactionOptions) =>
            target.transaction(async (tx) => {
              await run(tx);
              await hung.promise;
            }, options);
        },
      });
    await using world = await openWorld([controller], { gracePeriod: '5s', wedgedAfter: '60s', wrap });
    await world.widget('a');
    await world.advance('89s');
    expect(failing(world)).toEqual([]);
    await world.advance('62s');
    expect(failing(world)).toMatchObject([{ name: 'controller-widgets', message: expect.stringContaining('prod/a') }]);
    hung.resolve();
    await world.flush();
    expect(failing(world)).toEqual([]);
  });

  it.each([true, false])('finds a transactional run whose commit hangs (%s), and not one that takes its time', async (hangs) => {
    const controller = defineController({
      name: 'widgets',
      for: Widget,
      timeout: false,
      transactional: true,
      async reconcile({ deps, ensure }) {
        await ensure(Part, { metadata: { name: 'p' }, spec: {} });
        if (!hangs) await new Promise<void>((resolve) => void deps.scheduler.after(600_000, resolve));
      },
    });
    const wrap = (store: Store): Store =>
      new Proxy(store, {
        get(target, property) {
          const value: unknown = Reflect.get(target, property, target);
          if (property !== 'transaction' || !hangs) return typeof value === 'function' ? value.bind(target) : value;
          return (run: (tx: Transaction) => unknown, options: TransactionOptions) =>
            target.transaction(async (tx) => {
              await run(tx);
              await new Promise(() => {});
            }, options);
        },
      });
    await using world = await openWorld([controller], { gracePeriod: '5s', wedgedAfter: '60s', wrap });
    await world.widget('a');
    await world.advance('61s');
    expect(failing(world).map((each) => each.name)).toEqual(hangs ? ['controller-widgets'] : []);
  });
});
