/** Reads while a store that failed is opened again: they wait, and are repeated once; what has an effect is not. */
import { describe, expect, it } from 'vitest';
import { StoreFailedError, defineResource, isStoreClosed, isStoreFailed } from '../../src/schemas/index.js';
import { memoryEngine, openStore, systemDeps } from '../../src/store/index.js';
import type { EngineSource, Store } from '../../src/store/index.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import { memoryLogger } from './encryption/support.js';
import { faultySource } from './faulty-source.js';
import type { FaultySource } from './faulty-source.js';
import { engines, onStorage, take } from './on-engines.js';

const broken = new StoreFailedError('EIO: the disk says no', { inDoubt: true });

interface Scene {
  readonly source: FaultySource;
  readonly store: Store;
}

/** A store over engines that can be failed, with 20 widgets and a ring of one event: watchers read from the log. */
function onFaulty(engine: (typeof engines)[number], body: (scene: Scene) => Promise<void>): () => Promise<void> {
  return onStorage(engine, async ({ source: inner }) => {
    const source = faultySource(inner);
    await using store = await openStore({ engine: source, ring: { events: 1 }, deps: systemDeps({ logger: memoryLogger().logger }) });
    for (let index = 0; index < 20; index += 1)
      await store.create(Widget, 'prod', `w${String(index).padStart(2, '0')}`, { spec: { size: index } });
    try {
      await body({ source, store });
    } finally {
      source.releaseAll();
    }
  });
}

/** Each read there is, and what it must come to. */
const reads: readonly (readonly [string, (store: Store) => Promise<unknown>, unknown])[] = [
  ['get', async (store) => (await store.get(Widget, 'prod', 'w03')).spec.size, 3],
  ['get of a past revision', async (store) => (await store.get(Widget, 'prod', 'w03', { resourceVersion: '10' })).spec.size, 3],
  ['list', async (store) => (await store.list(Widget, 'prod')).items.length, 20],
  ['list of a past revision', async (store) => (await store.list(Widget, 'prod', { resourceVersion: '10' })).items.length, 10],
  ['a page', async (store) => (await store.list(Widget, 'prod', { limit: 5 })).remaining, 15],
  ['list by a declared field', async (store) => (await store.list(Widget, 'prod', { fieldSelector: 'spec.node=none' })).items.length, 0],
  ['getHistory', async (store) => (await store.getHistory(Widget, 'prod', 'w03')).length, 1],
  ['getVersion', async (store) => (await store.getVersion(Widget, 'prod', 'w03', '4')).spec.size, 3],
  ['a watch from the log', async (store) => (await take(store.watch(Widget, 'prod', { since: '0' }), 20)).length, 20],
  ['an initial watch', async (store) => (await take(store.watch(Widget, 'prod', { initial: true }), 20)).length, 20],
  ['a transaction that lists', async (store) => store.transaction(async (tx) => (await tx.list(Widget, 'prod')).items.length), 20],
  ['stats', async (store) => (await store.stats()).revision, '20'],
  ['verify', async (store) => (await store.verify()).problems, []],
  ['compact', async (store) => store.compact('5'), undefined],
];

describe.each(engines)('while a failed commit is cleared up on the %s engine', (engine) => {
  it.each(reads)('%s waits for the engine that is being opened', async (_, read, wanted) => {
    await onFaulty(engine, async ({ source, store }) => {
      const release = source.hold('open');
      source.failNext('commit', broken);
      const failing = store.create(Widget, 'prod', 'x', { spec: { size: 0 } }).catch((error: unknown) => error);
      await source.reached('open');
      let settled = false;
      const reading = read(store).finally(() => {
        settled = true;
      });
      for (let turn = 0; turn < 5; turn += 1) await store.deps.scheduler.turn();
      expect(settled).toBe(false);
      release();
      expect(await reading).toEqual(wanted);
      expect(await failing).toSatisfy((error: unknown) => isStoreFailed(error) && !error.inDoubt);
      expect(source.opened).toBe(2);
    })();
  });
});

describe.each(engines)('a read under way when a commit fails on the %s engine', (engine) => {
  it.each([
    ['get', 'get', (store: Store) => store.get(Widget, 'prod', 'w03').then(({ spec }) => spec.size), 3],
    ['a list', 'range', (store: Store) => store.list(Widget, 'prod').then(({ items }) => items.length), 20],
    ['getHistory', 'versions', (store: Store) => store.getHistory(Widget, 'prod', 'w03').then(({ length }) => length), 1],
    [
      'an initial watch',
      'range',
      (store: Store) => take(store.watch(Widget, 'prod', { initial: true }), 20).then(({ length }) => length),
      20,
    ],
    [
      'a watch from the log',
      'changes',
      (store: Store) => take(store.watch(Widget, 'prod', { since: '0' }), 20).then(({ length }) => length),
      20,
    ],
    ['a compaction', 'compact', (store: Store) => store.compact('5').then(() => 5), 5],
  ] as const)('is repeated on the next one: %s', async (_, method, read, wanted) => {
    await onFaulty(engine, async ({ source, store }) => {
      const release = source.hold(method);
      const reading = read(store);
      await source.reached(method);
      const open = source.hold('open');
      source.failNext('commit', broken);
      const failing = store.create(Widget, 'prod', 'x', { spec: { size: 0 } }).catch((error: unknown) => error);
      await source.reached('open');
      const before = source.calls(method);
      // It comes back to an engine that is dead, and there is no other one yet.
      release();
      for (let turn = 0; turn < 5; turn += 1) await store.deps.scheduler.turn();
      open();
      expect(await reading).toBe(wanted);
      await failing;
      expect(source.calls(method)).toBeGreaterThan(before);
    })();
  });
});

describe('while a failed commit is cleared up', () => {
  it('nobody reads what its writers have not been told of', () =>
    onFaulty('memory', async ({ source, store }) => {
      const order: string[] = [];
      source.failNext('commit', broken, { applied: true });
      const log = source.hold('changes');
      const writing = store.create(Widget, 'prod', 'new', { spec: { size: 7 } }).then(({ metadata }) => {
        order.push('told');
        return metadata.resourceVersion;
      });
      // The new engine is open, holds the object, and its log is being read.
      await source.reached('changes');
      expect(store.revision).toBe('20');
      const reading = store.get(Widget, 'prod', 'new').then(({ metadata }) => {
        order.push('read');
        return metadata.resourceVersion;
      });
      const listing = store.list(Widget, 'prod').then(({ items, resourceVersion }) => {
        order.push('listed');
        return [items.length, resourceVersion];
      });
      for (let turn = 0; turn < 5; turn += 1) await store.deps.scheduler.turn();
      expect(order).toEqual([]);
      log();
      expect(await Promise.all([writing, reading, listing])).toEqual(['21', '21', [21, '21']]);
      expect(order).toEqual(['told', 'read', 'listed']);
    })());

  it('a watch can be opened at any revision of the window, and none below it', () =>
    onFaulty('memory', async ({ source, store }) => {
      await store.compact('5');
      const open = source.hold('open');
      source.failNext('commit', broken);
      const failing = store.create(Widget, 'prod', 'x', { spec: { size: 0 } }).catch(() => 'refused');
      await source.reached('open');
      expect(() => store.watch(Widget, 'prod', { since: '4' })).toThrow(/older than what is kept/);
      const watch = store.watch(Widget, 'prod', { since: '5' });
      open();
      expect(await failing).toBe('refused');
      expect((await take(watch, 15)).map(({ resourceVersion }) => Number(resourceVersion))).toEqual(
        Array.from({ length: 15 }, (_, index) => index + 6),
      );
    })());

  it('the first write of a type that was registered meanwhile waits, and is written once', () =>
    onFaulty('memory', async ({ source, store }) => {
      const Fresh = defineResource({ kind: 'Fresh', spec: { type: 'object', properties: { n: { type: 'integer' } } } });
      const open = source.hold('open');
      source.failNext('commit', broken);
      const failing = store.create(Widget, 'prod', 'x', { spec: { size: 0 } }).catch(() => 'refused');
      await source.reached('open');
      const writing = store.create(Fresh, 'prod', 'a', { spec: { n: 1 } });
      open();
      expect(await failing).toBe('refused');
      expect((await writing).metadata.resourceVersion).toBe('21');
    })());

  it('close waits for it, and ends who reads and watches', () =>
    onFaulty('memory', async ({ source, store }) => {
      const watch = store.watch(Widget, 'prod');
      const next = watch.next().catch((error: unknown) => error);
      const open = source.hold('open');
      source.failNext('commit', broken);
      const failing = store.create(Widget, 'prod', 'x', { spec: { size: 0 } }).catch((error: unknown) => error);
      await source.reached('open');
      const reading = store.get(Widget, 'prod', 'w01').then(
        ({ spec }) => spec.size,
        (error: unknown) => error,
      );
      const compacting = store.compact('3').then(
        () => 'done',
        (error: unknown) => error,
      );
      const closing = store.close();
      open();
      await closing;
      expect(await failing).toSatisfy(isStoreFailed);
      expect(await next).toSatisfy(isStoreClosed);
      for (const outcome of [await reading, await compacting])
        expect(outcome === 1 || outcome === 'done' || outcome instanceof Error, String(outcome)).toBe(true);
    })());

  it('and no engine can be opened any more, who waits is told so', () =>
    onFaulty('memory', async ({ source, store }) => {
      const open = source.hold('open');
      source.failNext('commit', broken);
      const failing = store.create(Widget, 'prod', 'x', { spec: { size: 0 } }).catch((error: unknown) => error);
      await source.reached('open');
      const waiting = [
        store.get(Widget, 'prod', 'w01'),
        store.list(Widget),
        store.compact('3'),
        take(store.watch(Widget, 'prod', { since: '0' }), 1),
      ];
      const outcomes = Promise.allSettled(waiting);
      source.breakOpen(new Error('the disk is gone'));
      open();
      expect(await failing).toMatchObject({ inDoubt: true });
      for (const outcome of await outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 503 } });
    })());
});

describe('a page that is read again because the engine died half way through it', () => {
  it('is whole, and the next one goes on behind it', async () => {
    const inner = memoryEngine();
    let armed = false;
    const source: EngineSource = {
      ...inner,
      async open(context) {
        const engine = await inner.open(context);
        const own = engine.inPlace!;
        return {
          ...engine,
          inPlace: {
            ...own,
            async range(prefix, options, use) {
              if (!armed) return own.range(prefix, options, use);
              armed = false;
              await own.range(prefix, { ...options, limit: 3 }, use);
              throw new StoreFailedError('the data file had a fatal error', { inDoubt: false });
            },
          },
        };
      },
    };
    await using store = await openStore({ engine: source, deps: systemDeps({ logger: memoryLogger().logger }) });
    for (let index = 0; index < 10; index += 1) await store.create(Widget, 'prod', `w${index}`, { spec: { size: index } });
    const seen: number[] = [];
    let token: string | undefined;
    do {
      armed = true;
      const page = await store.list(Widget, 'prod', { limit: 4, ...(token === undefined ? {} : { continue: token }) });
      seen.push(...page.items.map(({ spec }) => spec.size));
      token = page.continue;
    } while (token !== undefined);
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe('an engine that dies without a commit', () => {
  it.each(engines)(
    'of a failed compaction is opened again at once on the %s engine, and the compaction is not repeated',
    async (engine) => {
      await onFaulty(engine, async ({ source, store }) => {
        source.failNext('compact', broken);
        await expect(store.compact('5')).rejects.toBe(broken);
        expect((await store.get(Widget, 'prod', 'w03')).spec.size).toBe(3);
        expect(await take(store.watch(Widget, 'prod', { since: '0' }), 20)).toHaveLength(20);
        expect([source.opened, source.calls('compact')]).toEqual([2, 1]);
        await store.create(Widget, 'prod', 'x', { spec: { size: 0 } });
        await store.compact('5');
        expect((await store.stats()).compactRevision).toBe('5');
      })();
    },
  );

  it('is opened again by whoever finds it dead first, once for all of them', () =>
    onFaulty('memory', async ({ source, store }) => {
      // A read that says the engine is no more, as LMDB does after a panic.
      source.failNext('get', new StoreFailedError('the data file had a fatal error', { inDoubt: false }));
      const found = await Promise.all(
        Array.from({ length: 20 }, (_, index) => store.get(Widget, 'prod', `w${String(index).padStart(2, '0')}`)),
      );
      expect(found.map(({ spec }) => spec.size)).toEqual(Array.from({ length: 20 }, (_, index) => index));
      expect(source.opened).toBe(2);
    })());

  it('again and again ends a read with its error, not in a circle', async () => {
    const inner = memoryEngine();
    const panic = new StoreFailedError('the data file had a fatal error', { inDoubt: false });
    let opened = 0;
    const source: EngineSource = {
      ...inner,
      async open(context) {
        const engine = await inner.open(context);
        opened += 1;
        return { ...engine, inPlace: undefined, get: () => Promise.reject(panic) };
      },
    };
    await using store = await openStore({ engine: source, deps: systemDeps({ logger: memoryLogger().logger }) });
    await expect(store.get(Widget, 'prod', 'a')).rejects.toBe(panic);
    expect(opened).toBe(2);
  });
});
