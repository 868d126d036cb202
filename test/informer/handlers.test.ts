import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { informerDefaults } from '../../src/informer/index.js';
import { isAborted, isTimeout } from '../../src/schemas/index.js';
import { openWorld, Widget, Witness, type World } from './world.js';

describe('Informer handlers', () => {
  let world: World;
  beforeEach(async () => {
    world = await openWorld();
  });
  afterEach(() => world.close());

  it('get what is there marked initial when they come late, then changes, nothing twice', async () => {
    const { deps, informers, put } = world;
    await put('a');
    const widgets = informers.for(Widget);
    informers.start();
    await deps.flush();
    await put('b');
    await deps.flush();
    const { witness, handle } = Witness.on(widgets);
    expect(handle.synced).toBe(false);
    expect(handle.lag).toBe(2);
    // A change before the first turn: behind what is there, not twice.
    const write = put('a', { n: 2 });
    await world.run(handle.whenSynced({ timeout: '1s' }));
    await write;
    await put('c');
    await deps.flush();
    expect(witness.calls).toEqual(['add a initial', 'add b initial', 'update a', 'add c']);
    expect(handle).toMatchObject({ synced: true, lag: 0, missed: 0, errors: 0 });
  });

  it('that are added inside a handler get nothing twice either', async () => {
    const { deps, informers, put, store } = world;
    const widgets = informers.for(Widget);
    let inner: Witness | undefined;
    widgets.addHandler({
      onAdd: () => {
        inner ??= Witness.on(widgets).witness;
      },
    });
    informers.start();
    await deps.flush();
    await world.run(
      store.transaction(async (tx) => {
        for (const name of ['a', 'b', 'c']) await tx.create(Widget, 'prod', name, { spec: {} });
      }),
    );
    await put('d');
    await deps.flush();
    expect(inner?.calls).toEqual(['add a initial', 'add b initial', 'add c initial', 'add d']);
  });

  it('get nothing more once removed, and removing twice is harmless', async () => {
    const { deps, informers, put } = world;
    const widgets = informers.for(Widget);
    const { witness, handle } = Witness.on(widgets);
    const other = Witness.on(widgets).witness;
    informers.start();
    await put('a');
    await deps.flush();
    await handle.remove();
    await handle.remove();
    await put('b');
    await deps.flush();
    expect(witness.calls).toEqual(['add a']);
    expect(other.calls).toEqual(['add a', 'add b']);
    await world.run(widgets.addHandler({}).whenSynced());
    expect(widgets.stats().handlers).toHaveLength(2);
  });

  it('can be removed while what is there is still being told', async () => {
    const { deps, informers, put } = world;
    for (const name of ['a', 'b', 'c']) await put(name);
    const widgets = informers.for(Widget);
    informers.start();
    await deps.flush();
    const calls: string[] = [];
    const handle = widgets.addHandler({
      onAdd: (w) => {
        calls.push(w.metadata.name);
        void handle.remove();
      },
    });
    const synced = handle.whenSynced();
    synced.catch(() => undefined);
    await deps.flush();
    expect(calls).toEqual(['a']);
    await expect(synced).rejects.toSatisfy(isAborted);
  });

  it('are removed only when the call that runs has settled', async () => {
    const { deps, informers, put } = world;
    const widgets = informers.for(Widget);
    let settle: () => void = () => undefined;
    const handle = widgets.addHandler({ onAdd: () => new Promise<void>((resolve) => (settle = resolve)) });
    informers.start();
    await put('a');
    await put('b');
    await deps.flush();
    let removed = false;
    const removal = handle.remove().then(() => (removed = true));
    await deps.flush();
    expect(removed).toBe(false);
    settle();
    await removal;
    expect(handle.lag).toBe(0);
  });

  it('that throw or reject, with an Error or not, harm nobody and are logged with name and key', async () => {
    const { deps, informers, put } = world;
    const widgets = informers.for(Widget);
    const throwing = widgets.addHandler(
      {
        onAdd: () => {
          throw new Error('boom');
        },
      },
      { name: 'thrower' },
    );
    const rejecting = widgets.addHandler({ onAdd: () => Promise.reject(new Error('later')) }, { name: 'rejecter' });
    const odd = widgets.addHandler({
      onAdd: () => {
        throw 'a string' as unknown as Error;
      },
    });
    const { witness } = Witness.on(widgets);
    informers.start();
    await put('a');
    await put('b');
    await deps.flush();
    expect(witness.calls).toEqual(['add a', 'add b']);
    expect([throwing.errors, rejecting.errors, odd.errors]).toEqual([2, 2, 2]);
    expect(widgets.size).toBe(2);
    const lines = deps.logs.filter((line) => line.level === 'error').map((line) => JSON.stringify(line));
    for (const [name, key] of [
      ['thrower', 'prod/a'],
      ['rejecter', 'prod/b'],
      ['handler-1', 'prod/a'],
    ] as const) {
      expect(lines.some((line) => line.includes(name) && line.includes(key))).toBe(true);
    }
  });

  it('that always throw do not flood the log', async () => {
    const { deps, informers, put } = world;
    const widgets = informers.for(Widget);
    const handle = widgets.addHandler({
      onUpdate: () => {
        throw new Error('boom');
      },
    });
    informers.start();
    for (let n = 0; n < 60; n++) await put('a', { n });
    await deps.flush();
    expect(handle.errors).toBe(59);
    expect(deps.logs.filter((line) => line.level === 'error')).toHaveLength(10);
  });

  it('that are slow harm no other handler, and are told the latest with what they missed counted', async () => {
    const { deps, informers, put } = world;
    const widgets = informers.for(Widget);
    const slow = Witness.on(
      widgets,
      { pace: () => new Promise((resolve) => void deps.scheduler.after(1_000, resolve)) },
      { pendingLimit: 4 },
    );
    const quick = Witness.on(widgets);
    informers.start();
    for (let n = 0; n < 40; n++) await put('a', { n });
    await put('b');
    await deps.flush();
    expect(quick.witness.calls).toHaveLength(41);
    expect(slow.witness.calls).toHaveLength(1);
    expect(slow.handle.lag).toBeLessThanOrEqual(4);
    await deps.advance('10s');
    expect(slow.witness.calls).toEqual(['add a', 'update a', 'add b']);
    expect(slow.handle.missed).toBe(38);
    expect(slow.witness.view).toEqual(quick.witness.view);
  });

  it('that never settle hold a bounded number of changes', async () => {
    const { deps, informers, put, remove } = world;
    const widgets = informers.for(Widget);
    const { handle } = Witness.on(widgets, { pace: () => new Promise(() => undefined) }, { pendingLimit: 10 });
    informers.start();
    for (let i = 0; i < 150; i++) {
      await put(`w${i}`);
      await put('kept', { n: i });
      await remove(`w${i}`);
    }
    await deps.flush();
    expect(handle.lag).toBeLessThanOrEqual(10);
    expect(handle.missed).toBeGreaterThan(400);
  });

  it('that never settle hold a bounded number of changes also while they are told what was there', async () => {
    const { deps, informers, put, remove } = world;
    const names = Array.from({ length: 20 }, (_, i) => `w${i}`);
    for (const name of names) await put(name);
    const widgets = informers.for(Widget);
    informers.start();
    await deps.flush();
    const { handle } = Witness.on(widgets, { pace: () => new Promise(() => undefined) }, { pendingLimit: 10 });
    await deps.flush();
    for (let round = 0; round < 3; round++) {
      for (const name of names) {
        await remove(name);
        await put(name);
      }
    }
    await deps.flush();
    // 19 of that moment, and a delete and an add merged into one for each object.
    expect(handle.lag).toBe(39);
    expect(handle.missed).toBe(80);
  });

  it('are called in the turn that brings the change, with no promise, while they return nothing', async () => {
    const { informers, deps, put } = world;
    const widgets = informers.for(Widget);
    const seen: number[] = [];
    widgets.addHandler({ onUpdate: (w) => void seen.push(w.spec.n ?? 0) });
    informers.start();
    await put('a', { n: 0 });
    await deps.flush();
    const before = deps.pending().deferred;
    await put('a', { n: 1 });
    expect(seen).toEqual([1]);
    expect(deps.pending().deferred).toBe(before);
  });

  it('read in the lister at least what they are told', async () => {
    const { deps, informers, put } = world;
    const widgets = informers.for(Widget);
    const seen: string[] = [];
    widgets.addHandler({
      onAdd: (w) => void seen.push(String(widgets.byIndex('byNode', 'n1').includes(w))),
      onUpdate: (w) => void seen.push(String(widgets.byIndex('byNode', 'n1').includes(w))),
      onDelete: (w) => void seen.push(String(widgets.has(`prod/${w.metadata.name}`))),
    });
    informers.start();
    await put('a', { node: 'n1' });
    await put('a', { node: 'n1', n: 1 });
    await put('a', { node: 'n2', n: 1 });
    await world.remove('a');
    await deps.flush();
    expect(seen).toEqual(['true', 'true', 'false', 'false']);
  });

  it('have a sync of their own: after they were given what is there, not when the cache has it', async () => {
    const { deps, informers, put } = world;
    await put('a');
    const widgets = informers.for(Widget);
    let settle: () => void = () => undefined;
    const handle = widgets.addHandler({ onAdd: () => new Promise<void>((resolve) => (settle = resolve)) });
    informers.start();
    await deps.flush();
    expect(widgets.synced).toBe(true);
    expect(handle.synced).toBe(false);
    const timed = handle.whenSynced({ timeout: '1s' });
    timed.catch(() => undefined);
    await deps.advance('1s');
    await expect(timed).rejects.toSatisfy(isTimeout);
    const synced = handle.whenSynced();
    settle();
    await world.run(synced);
    expect(handle.synced).toBe(true);
  });

  it('are not called while the informers are stopped, and go on with what waits afterwards', async () => {
    const { deps, informers, put } = world;
    for (const name of ['a', 'b', 'c']) await put(name);
    const widgets = informers.for(Widget);
    const settle: (() => void)[] = [];
    const { witness } = Witness.on(widgets, { pace: () => new Promise((resolve) => void settle.push(resolve)) });
    informers.start();
    await deps.flush();
    await world.run(informers.stop());
    settle.shift()?.();
    await deps.flush();
    expect(witness.calls).toEqual(['add a initial']);
    informers.start();
    for (let i = 0; i < 3; i++) {
      await deps.flush();
      settle.shift()?.();
    }
    expect(witness.calls).toEqual(['add a initial', 'add b initial', 'add c initial']);
  });

  it('hear of a bookmark when everything before it was told', async () => {
    const { deps, informers, put, store } = world;
    const widgets = informers.for(Widget);
    const calls: string[] = [];
    widgets.addHandler({ onAdd: (w) => void calls.push(w.metadata.name), onBookmark: (rv) => void calls.push(`up to ${rv}`) });
    await put('a');
    informers.start();
    await deps.flush();
    expect(calls).toEqual(['a', 'up to 1']);
    await world.run(store.create('config', 'prod', 'x', { data: {} }));
    await deps.advance('2m');
    expect(calls).toEqual(['a', 'up to 1', 'up to 2']);
  });

  it('are resynced when they ask for it, and only they', async () => {
    const { deps, informers, put } = world;
    await put('a');
    await put('b');
    const widgets = informers.for(Widget);
    const told: string[] = [];
    const handle = widgets.addHandler(
      { onUpdate: (w, previous) => void told.push(`${w.metadata.name} ${w === previous}`) },
      { resync: '1m' },
    );
    const { witness } = Witness.on(widgets);
    informers.start();
    await deps.flush();
    await deps.advance('66s');
    expect(told.toSorted()).toEqual(['a true', 'b true']);
    expect(witness.calls).toHaveLength(2);
    await deps.advance('10m');
    expect(told.length).toBeGreaterThanOrEqual(18);
    await handle.remove();
    told.length = 0;
    await deps.advance('10m');
    expect(told).toEqual([]);
  });

  it('are not resynced by default, nor while they lag', async () => {
    const { deps, informers, put } = world;
    await put('a');
    const widgets = informers.for(Widget);
    const quiet = Witness.on(widgets).witness;
    let calls = 0;
    widgets.addHandler(
      {
        onAdd: () => new Promise(() => undefined),
        onUpdate: () => {
          calls += 1;
        },
      },
      { resync: '1s' },
    );
    informers.start();
    await deps.advance('1h');
    expect(quiet.calls).toEqual(['add a initial']);
    expect(calls).toBe(0);
  });

  it('are told once, and in order, what changed while a resync was due that they were too busy for', async () => {
    const { deps, informers, put } = world;
    await put('a', { n: 0 });
    await put('b', { n: 0 });
    const widgets = informers.for(Widget);
    const told: string[] = [];
    const settle: (() => void)[] = [];
    let busy = true;
    const note = (what: string): void | Promise<void> => {
      told.push(what);
      if (busy) return new Promise((resolve) => void settle.push(resolve));
    };
    widgets.addHandler(
      {
        onAdd: (w) => note(`add ${w.metadata.name}`),
        onUpdate: (w, previous) => note(w === previous ? `again ${w.metadata.name}` : `update ${w.metadata.name} ${w.spec.n}`),
      },
      { resync: '1m' },
    );
    informers.start();
    await deps.flush();
    for (let i = 0; i < 2; i++) {
      settle.shift()?.();
      await deps.flush();
    }
    // Synced. A change that takes three minutes, and another that waits behind it meanwhile.
    await put('a', { n: 1 });
    await put('b', { n: 1 });
    await deps.advance('3m');
    busy = false;
    settle.shift()?.();
    await deps.flush();
    expect(told).toEqual(['add a', 'add b', 'update a 1', 'update b 1']);
    await deps.advance('66s');
    expect(told.slice(4).toSorted()).toEqual(['again a', 'again b']);
  });

  it('are a thousand on one informer without a thousand of anything else', async () => {
    const { deps, informers, put, store } = world;
    const widgets = informers.for(Widget);
    let calls = 0;
    for (let i = 0; i < 1_000; i++) widgets.addHandler({ onAdd: () => void (calls += 1) });
    informers.start();
    await put('a');
    await put('b');
    await deps.flush();
    expect(calls).toBe(2_000);
    expect(world.watches).toHaveLength(1);
    expect((await world.run(store.stats())).watchers).toBe(1);
  });

  it('let the event loop turn while much is told', async () => {
    await using turning = await openWorld(1, 'fifo');
    const { deps, informers, store } = turning;
    await turning.run(Promise.all(Array.from({ length: 2_000 }, (_, i) => store.create(Widget, 'prod', `w${i}`, { spec: {} }))));
    const widgets = informers.for(Widget);
    informers.start();
    await deps.flush();
    let longest = 0;
    let inARow = 0;
    const handle = widgets.addHandler({
      onAdd: async () => {
        inARow += 1;
        longest = Math.max(longest, inARow);
        await Promise.resolve();
      },
    });
    const spin = (): void => {
      inARow = 0;
      if (!handle.synced) deps.scheduler.defer(spin);
    };
    spin();
    await deps.flush();
    expect(handle.synced).toBe(true);
    expect(longest).toBeLessThanOrEqual(informerDefaults.eventsPerTurn);
  });
});
