import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createInformers } from '../../src/informer/index.js';
import { isAborted, isInvalid, isStoreClosed, isTimeout } from '../../src/schemas/index.js';
import { openWorld, versions, Widget, Witness, type World } from './world.js';

describe('Informer', () => {
  let world: World;
  beforeEach(async () => {
    world = await openWorld();
  });
  afterEach(() => world.close());

  it('lists, then watches: reads are synchronous and from memory', async () => {
    const { deps, informers, put, remove } = world;
    await put('a', { node: 'n1' });
    await put('b', { node: 'n2' }, { namespace: 'test', labels: { app: 'web' } });
    const widgets = informers.for(Widget);
    expect(widgets.synced).toBe(false);
    informers.start();
    await world.run(widgets.whenSynced());
    expect(widgets.size).toBe(2);
    expect(widgets.get('prod/a')?.spec.node).toBe('n1');
    expect(widgets.get({ namespace: 'test', name: 'b' })?.spec.node).toBe('n2');
    expect(widgets.has('prod/b')).toBe(false);
    await put('a', { node: 'n2' });
    await deps.flush();
    expect(
      widgets
        .byIndex('byNode', 'n2')
        .map((w) => w.metadata.name)
        .sort(),
    ).toEqual(['a', 'b']);
    expect(widgets.list({ labelSelector: 'app=web' })).toHaveLength(1);
    expect(widgets.list({ namespace: 'prod', filter: (w) => w.spec.node === 'n2' })).toHaveLength(1);
    await remove('a');
    await deps.flush();
    expect(widgets.get('prod/a')).toBeUndefined();
    expect(widgets.byIndex('byNode', 'n2')).toHaveLength(1);
  });

  it('keeps namespaces exact: prod never sees production', async () => {
    const { deps, informers, put } = world;
    await put('a', {}, { namespace: 'prod' });
    await put('a', {}, { namespace: 'production' });
    const prod = informers.for(Widget, { namespace: 'prod' });
    const all = informers.for(Widget, { namespace: 'all' });
    informers.start();
    await deps.flush();
    expect(prod.list().map((w) => w.metadata.namespace)).toEqual(['prod']);
    expect(all.list({ namespace: 'prod' }).map((w) => w.metadata.namespace)).toEqual(['prod']);
    expect(all.size).toBe(2);
  });

  it('holds the very objects of the events, and writing to one throws at the writing line', async () => {
    const { deps, informers, put } = world;
    await put('a', { node: 'n1' }, { labels: { app: 'web' } });
    const widgets = informers.for(Widget);
    let told: unknown;
    widgets.addHandler({ onAdd: (object) => void (told = object) });
    informers.start();
    await deps.flush();
    const cached = widgets.get('prod/a') as unknown as { spec: { node: string }; metadata: { labels: Record<string, string> } };
    expect(cached).toBe(told);
    expect(() => {
      cached.spec.node = 'n2';
    }).toThrow(TypeError);
    expect(() => {
      cached.metadata.labels['app'] = 'db';
    }).toThrow(TypeError);
  });

  it('tells a selector crossing as an add and a delete', async () => {
    const { deps, informers, put } = world;
    const web = informers.for(Widget, { labelSelector: 'app=web' });
    const { witness } = Witness.on(web);
    informers.start();
    await put('a', {}, { labels: { app: 'db' } });
    await put('a', {}, { labels: { app: 'web' } });
    await put('a', { n: 2 }, { labels: { app: 'web' } });
    await put('a', { n: 2 }, { labels: { app: 'db' } });
    await deps.flush();
    expect(witness.calls).toEqual(['add a', 'update a', 'delete a']);
    expect(web.size).toBe(0);
  });

  it('shows a transaction whole: every handler reads all of it', async () => {
    const { deps, informers, store } = world;
    const widgets = informers.for(Widget);
    const seen: number[] = [];
    widgets.addHandler({ onAdd: () => void seen.push(widgets.size) });
    informers.start();
    await deps.flush();
    await world.run(
      store.transaction(async (tx) => {
        for (const name of ['a', 'b', 'c']) await tx.create(Widget, 'prod', name, { spec: {} });
      }),
    );
    await deps.flush();
    expect(seen).toEqual([3, 3, 3]);
  });

  it('resumes a watch that was cut with nothing lost', async () => {
    const { deps, informers, put } = world;
    const widgets = informers.for(Widget);
    const { witness } = Witness.on(widgets, { inOrder: true });
    informers.start();
    await put('a');
    await deps.flush();
    await world.cut();
    await put('b');
    await put('a', { n: 2 });
    await deps.advance('2s');
    expect(witness.calls).toEqual(['add a', 'add b', 'update a']);
    expect(widgets.relists).toBe(0);
    expect(world.watches).toHaveLength(2);
  });

  it('lists again after it expired and emits only the differences', async () => {
    const { deps, informers, put, remove, store } = world;
    for (const name of ['same', 'changed', 'gone', 'again']) await put(name, { n: 1 });
    const widgets = informers.for(Widget);
    const { witness } = Witness.on(widgets);
    informers.start();
    await deps.flush();
    const same = widgets.get('prod/same');
    witness.calls.length = 0;
    await world.run(informers.stop());
    await put('changed', { n: 2 });
    await remove('gone');
    await remove('again');
    await put('again', { n: 1 });
    await put('new');
    await world.run(store.compact(store.revision));
    informers.start();
    await deps.flush();
    expect(widgets.relists).toBe(1);
    expect(witness.calls.toSorted()).toEqual(['add again', 'add new', 'delete again', 'delete gone', 'update changed']);
    expect(widgets.get('prod/same')).toBe(same);
    expect(versions(widgets.list())).toEqual(versions((await world.run(store.list(Widget))).items));
  });

  it('marks a delete that was found by listing again, not one that was watched', async () => {
    const { deps, informers, put, remove, store } = world;
    await put('seen');
    await put('unseen');
    const widgets = informers.for(Widget);
    const told: string[] = [];
    widgets.addHandler({
      onDelete: (o, { finalStateUnknown, resourceVersion }) => void told.push(`${o.metadata.name} ${finalStateUnknown} ${resourceVersion}`),
    });
    informers.start();
    await deps.flush();
    await remove('seen');
    await deps.flush();
    await world.run(informers.stop());
    await remove('unseen');
    await put('other');
    await world.run(store.compact(store.revision));
    informers.start();
    await deps.flush();
    expect(told).toEqual(['seen false 3', 'unseen true undefined']);
  });

  it('stops and starts: caches stay readable, nobody is called meanwhile, and it goes on where it stopped', async () => {
    const { deps, informers, put } = world;
    const widgets = informers.for(Widget);
    const { witness } = Witness.on(widgets, { inOrder: true });
    informers.start();
    await put('a');
    await deps.flush();
    await world.run(informers.stop());
    await put('b');
    await put('a', { n: 2 });
    await deps.advance('1m');
    expect(widgets.size).toBe(1);
    expect(witness.calls).toEqual(['add a']);
    informers.start();
    informers.start();
    await deps.flush();
    expect(witness.calls).toEqual(['add a', 'add b', 'update a']);
    expect(world.watches.at(-1)?.options).toMatchObject({ since: '1' });
  });

  it('leaves no timer, no deferred task and no watcher behind when it stops', async () => {
    const { deps, informers, store } = world;
    const before = deps.pending();
    const widgets = informers.for(Widget, { resync: '1m' });
    const handle = widgets.addHandler({});
    informers.start();
    await deps.flush();
    expect((await world.run(store.stats())).watchers).toBe(1);
    await world.run(informers[Symbol.asyncDispose]());
    expect((await world.run(store.stats())).watchers).toBe(0);
    expect(deps.pending()).toEqual(before);
    expect(handle.lag).toBe(0);
  });

  it('leaves no timer behind when it is stopped, and resyncs again when it is started again', async () => {
    const { deps, informers, put } = world;
    await put('a');
    const before = deps.pending();
    const widgets = informers.for(Widget, { resync: '1m' });
    let resyncs = 0;
    for (let i = 0; i < 10; i++) widgets.addHandler({ onUpdate: () => void (resyncs += 1) });
    expect(deps.pending()).toEqual(before);
    for (let round = 1; round <= 2; round++) {
      informers.start();
      informers.start();
      await deps.advance('70s');
      expect(resyncs).toBe(10 * round);
      await world.run(informers.stop());
      expect(deps.pending()).toEqual(before);
      await deps.advance('10m');
      expect(resyncs).toBe(10 * round);
    }
  });

  it('caughtUp resolves at once, later, or rejects on abort and on timeout, naming how far it is', async () => {
    const { deps, informers, put, store } = world;
    const widgets = informers.for(Widget);
    await put('a');
    const before = widgets.caughtUp('1');
    informers.start();
    await deps.flush();
    await before;
    let now = false;
    void widgets.caughtUp('1').then(() => (now = true));
    await Promise.resolve();
    expect(now).toBe(true);

    const later = widgets.caughtUp('3');
    await put('b');
    // A write of another type moves it on as well: progress decides, not matches.
    await world.run(store.create('config', 'prod', 'x', { data: {} }));
    await deps.flush();
    await later;
    expect(widgets.resourceVersion).toBe('3');

    const abort = new AbortController();
    const aborted = widgets.caughtUp('99', { signal: abort.signal });
    abort.abort(new Error('no more'));
    await expect(aborted).rejects.toSatisfy(isAborted);
    await expect(widgets.caughtUp('99', { signal: abort.signal })).rejects.toSatisfy(isAborted);
    const timed = widgets.caughtUp('99', { timeout: '5s' });
    timed.catch(() => undefined);
    await deps.advance('5s');
    await expect(timed).rejects.toSatisfy(isTimeout);
    await expect(timed).rejects.toThrow(/revision 99 .*\(at 3\)/);
    await expect((async () => widgets.caughtUp('abc'))()).rejects.toSatisfy(isInvalid);
    expect(deps.pending().timers).toBe(0);
  });

  it('is never behind its own caughtUp: what was written before is in the cache', async () => {
    const { deps, informers, store } = world;
    const widgets = informers.for(Widget);
    informers.start();
    await deps.flush();
    const round = async (i: number): Promise<void> => {
      const { metadata } = await store.create(Widget, 'prod', `w${i}`, { spec: {} });
      await store.create('config', 'prod', `c${i}`, { data: {} });
      await widgets.caughtUp(metadata.resourceVersion);
      expect(widgets.has(`prod/w${i}`)).toBe(true);
    };
    await world.run(Promise.all(Array.from({ length: 50 }, (_, i) => round(i))));
  });

  it('names the informers that did not sync in time, and why', async () => {
    const { deps } = world;
    const stuck = createInformers({ store: world.store });
    stuck.for(Widget, { namespace: 'prod', labelSelector: 'app=web' });
    const waiting = stuck.whenSynced({ timeout: '2m' });
    waiting.catch(() => undefined);
    await deps.advance('2m');
    await expect(waiting).rejects.toSatisfy(isTimeout);
    await expect(waiting).rejects.toThrow(/1 of 1 .*widget in prod with labels app=web \(it is not started\)/);
    const aborted = stuck.whenSynced({ signal: AbortSignal.abort() });
    await expect(aborted).rejects.toSatisfy(isAborted);
    await stuck[Symbol.asyncDispose]();
  });

  it('caughtUp 0 resolves with the first sync of an empty store, also when it was asked before', async () => {
    const { deps, informers } = world;
    const widgets = informers.for(Widget);
    let caught = false;
    void widgets.caughtUp('0').then(() => (caught = true));
    await deps.flush();
    expect(caught).toBe(false);
    informers.start();
    await deps.flush();
    expect([widgets.synced, caught]).toEqual([true, true]);
  });

  it('ends the waits for a handler too, and their timers, when the store closes or the informers are disposed of', async () => {
    for (const how of ['close', 'dispose', 'release'] as const) {
      for (const started of [true, false]) {
        const other = await openWorld(7);
        const before = other.deps.pending();
        await other.put('a');
        const widgets = other.informers.for(Widget, { resync: '1h' });
        const handle = widgets.addHandler({ onAdd: () => new Promise(() => undefined) });
        const waits = [handle.whenSynced(), handle.whenSynced({ timeout: '1h' }), widgets.caughtUp('99', { timeout: '1h' })];
        if (!started) waits.push(widgets.whenSynced({ timeout: '1h' }));
        const ends = Promise.allSettled(waits);
        if (started) other.informers.start();
        await other.deps.flush();
        if (how === 'close') await other.run(other.store.close());
        else if (how === 'dispose') await other.run(other.informers[Symbol.asyncDispose]());
        else await other.run(widgets.release());
        // Nobody hears of the end of a store before watching it.
        if (how === 'close') other.informers.start();
        await other.deps.advance('1m');
        const isEnd = how === 'close' ? isStoreClosed : isAborted;
        for (const end of await ends) expect(end).toMatchObject({ status: 'rejected', reason: expect.toSatisfy(isEnd) });
        await expect(handle.whenSynced()).rejects.toSatisfy(isEnd);
        expect(other.deps.pending()).toEqual(how === 'close' ? { timers: 0, deferred: 0, unref: 0 } : before);
        await other.close();
      }
    }
  });

  it('ends every wait when the store closes', async () => {
    const other = await openWorld(7);
    const widgets = other.informers.for(Widget);
    other.informers.start();
    await other.deps.flush();
    const waiting = widgets.caughtUp('99');
    waiting.catch(() => undefined);
    await other.run(other.store.close());
    await other.deps.advance('1m');
    await expect(waiting).rejects.toSatisfy((error) => isStoreClosed(error) || isAborted(error));
    await other.run(other.informers[Symbol.asyncDispose]());
  });

  it('reads several times from one moment through a snapshot, also after an await', async () => {
    const { deps, informers, put, remove } = world;
    await put('a', { node: 'n1' });
    await put('b', { node: 'n1' });
    const widgets = informers.for(Widget);
    informers.start();
    await deps.flush();
    const then = widgets.snapshot();
    await put('a', { node: 'n2' });
    await remove('b');
    await put('c', { node: 'n1' });
    await deps.flush();
    expect(
      then
        .byIndex('byNode', 'n1')
        .map((w) => w.metadata.name)
        .sort(),
    ).toEqual(['a', 'b']);
    expect(then.size).toBe(2);
    expect(then.has('prod/c')).toBe(false);
    expect(widgets.byIndex('byNode', 'n1').map((w) => w.metadata.name)).toEqual(['c']);
  });

  it('keeps what a transform keeps, frozen, and indexes that', async () => {
    const { deps, informers, put } = world;
    await put('a', { node: 'n1', n: 7 });
    const slim = informers.for(Widget, {
      transform: ({ metadata, spec }) => ({ metadata, node: spec.node ?? 'none' }),
      indexes: { byNode: (w) => w.node },
    });
    informers.start();
    await deps.flush();
    const [found] = slim.byIndex('byNode', 'n1');
    expect(found?.node).toBe('n1');
    expect(Object.keys(found ?? {}).sort()).toEqual(['metadata', 'node']);
    expect(Object.isFrozen(found)).toBe(true);
  });

  it('leaves an object out whose transform throws, says so, and goes on', async () => {
    const { deps, informers, put } = world;
    const slim = informers.for(Widget, {
      transform: (w) => {
        if (w.spec.node === 'bad') throw new Error('cannot keep this');
        return { metadata: w.metadata };
      },
    });
    informers.start();
    await put('a', { node: 'bad' });
    await put('b', { node: 'good' });
    await deps.flush();
    expect(slim.list().map((w) => w.metadata.name)).toEqual(['b']);
    expect(slim.stats().functionErrors).toBe(1);
    expect(deps.logs.some((line) => line.level === 'error' && JSON.stringify(line).includes('prod/a'))).toBe(true);
    await put('b', { node: 'bad' });
    await deps.flush();
    expect(slim.size).toBe(0);
  });

  it('refuses wrong options where they are given', () => {
    const { informers } = world;
    expect(() => informers.for(Widget, { labelSelector: 'app in (' })).toThrow(/selector/i);
    expect(() => informers.for(Widget, { resync: '5 parsecs' as never })).toThrow(/resync/);
    expect(() => informers.for(Widget, { resync: 0 })).toThrow(/above zero/);
    expect(() => informers.for(Widget, { namespace: 'Not A Namespace' })).toThrow(/namespace/);
    const widgets = informers.for(Widget);
    expect(() => widgets.addHandler({}, { pendingLimit: 0 })).toThrow(/pendingLimit/);
    // @ts-expect-error an index nobody declared does not type-check either
    expect(() => widgets.byIndex('byOwner', 'x')).toThrow(/no index "byOwner".*"byNode"/);
    expect(informers.list).toHaveLength(1);
  });
});

describe('Informers', () => {
  let world: World;
  beforeEach(async () => {
    world = await openWorld();
  });
  afterEach(() => world.close());

  it('make one watch for ten users of one informer, and none after the last release', async () => {
    const { deps, informers, store } = world;
    const users = Array.from({ length: 10 }, () => informers.for(Widget, { labelSelector: { app: 'web' } }));
    users.push(informers.for(Widget, { labelSelector: 'app = web', namespace: '*' }));
    informers.start();
    await deps.flush();
    expect(world.watches).toHaveLength(1);
    expect(users[0]?.stats().references).toBe(11);
    for (const user of users.slice(1)) await world.run(Promise.all([user.release(), user.release()]));
    expect((await world.run(store.stats())).watchers).toBe(1);
    expect(users[0]?.stats().references).toBe(1);
    await world.run(users[0]!.release());
    expect((await world.run(store.stats())).watchers).toBe(0);
    expect(informers.list).toHaveLength(0);
  });

  it('keep apart what asks for something else', async () => {
    const { deps, informers } = world;
    informers.for(Widget);
    informers.for(Widget, { namespace: 'prod' });
    informers.for(Widget, { labelSelector: 'app=web' });
    informers.for(Widget, { fieldSelector: 'spec.node=n1' });
    informers.for(Widget, { transform: ({ metadata }) => ({ metadata }) });
    informers.start();
    await deps.flush();
    expect(world.watches).toHaveLength(5);
    expect(informers.list.every((informer) => informer.synced)).toBe(true);
  });

  it('give each user its own index names over one cache', async () => {
    const { deps, informers, put } = world;
    const one = informers.for(Widget, { indexes: { own: (w) => w.spec.node } });
    const two = informers.for(Widget, { indexes: { own: (w) => w.spec.tags } });
    informers.start();
    await put('a', { node: 'n1', tags: ['x', 'y'] });
    await deps.flush();
    expect(one.byIndex('own', 'n1')).toHaveLength(1);
    expect(one.byIndex('own', 'x')).toHaveLength(0);
    expect(two.byIndex('own', 'y')).toHaveLength(1);
    expect(two.byIndex('byNode', 'n1')).toHaveLength(1);
    await world.run(one.release());
    await put('b', { tags: ['x'] });
    await deps.flush();
    expect(two.byIndex('own', 'x')).toHaveLength(2);
  });

  it('begin anew when one is asked for again after its last release', async () => {
    const { deps, informers, put } = world;
    await put('a');
    const first = informers.for(Widget);
    informers.start();
    await deps.flush();
    await world.run(first.release());
    await put('b');
    expect(() => first.addHandler({})).toThrow(/released/);
    await expect(first.caughtUp('99')).rejects.toSatisfy(isAborted);
    const again = informers.for(Widget);
    await deps.flush();
    expect(again.size).toBe(2);
    expect(world.watches).toHaveLength(2);
  });

  it('start those that are asked for later at once', async () => {
    const { deps, informers, put } = world;
    await put('a');
    informers.start();
    const widgets = informers.for(Widget);
    await world.run(informers.whenSynced());
    await deps.flush();
    expect(widgets.size).toBe(1);
  });
});

describe('Informer under load', () => {
  type Step =
    | { readonly type: 'write'; readonly name: string; readonly remove: boolean; readonly n: number; readonly label: string | undefined }
    | { readonly type: 'turns'; readonly count: number }
    | { readonly type: 'start' | 'stop' | 'cut' | 'expire' | 'handler' | 'slowHandler' };
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        type: fc.constant('write' as const),
        name: fc.constantFrom('a', 'b', 'c', 'd'),
        remove: fc.nat(3).map((chance) => chance === 0),
        n: fc.nat(9),
        label: fc.constantFrom('web', 'db', undefined),
      }),
    },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('turns' as const), count: fc.nat(4) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constantFrom(
          'start' as const,
          'start' as const,
          'stop' as const,
          'cut' as const,
          'expire' as const,
          'handler' as const,
          'slowHandler' as const,
        ),
      }),
    },
  );

  it('lists then watches with no gap and no duplicate, with writers running, whatever happens to the watch (P)', async () => {
    let relists = 0;
    let resumes = 0;
    let events = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60, size: 'max' }),
        fc.nat(),
        fc.constantFrom(undefined, 'app=web'),
        async (steps, seed, labelSelector) => {
          const world = await openWorld(seed);
          const { deps, informers, store } = world;
          const widgets = informers.for(Widget, { labelSelector });
          const witnesses: Witness[] = [Witness.on(widgets).witness];
          const pending: Promise<unknown>[] = [];
          if (seed % 4 > 0) informers.start();
          const quiet = (promise: Promise<unknown>): void => void pending.push(promise.catch(() => undefined));
          for (const each of steps) {
            switch (each.type) {
              case 'write': {
                const object = { metadata: each.label === undefined ? {} : { labels: { app: each.label } }, spec: { n: each.n } };
                // Not waited for: writers run while everything else goes on.
                if (each.remove) quiet(store.delete(Widget, 'prod', each.name));
                else quiet(store.create(Widget, 'prod', each.name, object).catch(() => store.update(Widget, 'prod', each.name, object)));
                break;
              }
              case 'turns':
                for (let i = 0; i < each.count; i++) await Promise.resolve();
                if (each.count > 2) await deps.flush();
                break;
              case 'start':
                informers.start();
                break;
              case 'stop':
                quiet(informers.stop());
                break;
              case 'cut':
                await world.cut();
                break;
              case 'expire':
                // Stopped for so long that what came meanwhile is no longer kept.
                await world.run(informers.stop());
                await world.put('e');
                await world.run(store.delete(Widget, 'prod', 'e'));
                await world.run(store.compact(store.revision));
                break;
              case 'handler':
                witnesses.push(Witness.on(widgets).witness);
                break;
              case 'slowHandler':
                witnesses.push(Witness.on(widgets, { pace: () => deps.scheduler.turn() }, { pendingLimit: 2 }).witness);
                break;
              default:
                each satisfies never;
            }
          }
          await world.run(Promise.all(pending));
          informers.start();
          await deps.advance('2m');
          const { items, resourceVersion } = await world.run(store.list(Widget, undefined, { labelSelector }));
          const truth = versions(items);
          expect(versions(widgets.list())).toEqual(truth);
          for (const witness of witnesses) expect(witness.view).toEqual(truth);
          expect(widgets.stats().handlers.every((handler) => handler.errors === 0 && handler.lag === 0)).toBe(true);
          expect(widgets.resourceVersion).toBe(resourceVersion);
          const stats = widgets.stats();
          relists += stats.relists;
          resumes += stats.resumes;
          events += stats.events;
          await world.close();
        },
      ),
      { numRuns: 80 },
    );
    // The schedules did bring about what they are for.
    expect(relists).toBeGreaterThan(1);
    expect(resumes).toBeGreaterThan(1);
    expect(events).toBeGreaterThan(150);
  });
});
