import { describe, expect, it } from 'vitest';
import { informerDefaults } from '../../src/informer/defaults.js';
import { SharedInformer } from '../../src/informer/shared-informer.js';
import { ExpiredError, StoreClosedError, StoreError } from '../../src/schemas/index.js';
import { virtualDeps, type VirtualDeps } from '../../src/testing/index.js';
import { created, deleted, ScriptedWatch, thing, updated, type Thing } from './support.js';

interface Rig {
  readonly deps: VirtualDeps;
  readonly informer: SharedInformer<Thing, Thing>;
  readonly watches: ScriptedWatch[];
  readonly watch: ScriptedWatch;
  readonly told: string[];
  failOpen: Error | undefined;
}

/** An informer over scripted watches with one handler that writes down what it is told. */
function rig(options: { seed?: number; handler?: boolean; resyncMs?: number } = {}): Rig {
  const deps = virtualDeps({ seed: options.seed ?? 1 });
  const watches: ScriptedWatch[] = [];
  const told: string[] = [];
  const made: Rig = {
    deps,
    watches,
    told,
    failOpen: undefined,
    get watch() {
      return watches.at(-1) as ScriptedWatch;
    },
    informer: new SharedInformer<Thing, Thing>({
      type: 'thing',
      namespace: undefined,
      what: 'thing',
      open: (from) => {
        if (made.failOpen !== undefined) throw made.failOpen;
        const watch = new ScriptedWatch(from);
        watches.push(watch);
        return watch;
      },
      transform: undefined,
      deps,
      logger: deps.logger,
      metrics: {},
    }),
  };
  if (options.handler !== false) {
    const runner = made.informer.addHandler(
      {
        onAdd: (o, { initial }) => void told.push(`add ${o.metadata.name}@${o.metadata.resourceVersion}${initial ? ' initial' : ''}`),
        onUpdate: (o, p) => void told.push(`update ${o.metadata.name} ${p.metadata.resourceVersion}>${o.metadata.resourceVersion}`),
        onDelete: (o, { finalStateUnknown }) =>
          void told.push(`delete ${o.metadata.name}:${o.metadata.uid}${finalStateUnknown ? ' unseen' : ''}`),
      },
      { name: 'notes', pendingLimit: 100, resyncMs: options.resyncMs },
    );
    runner.sync
      .wait(1, {}, () => 'its sync')
      .then(
        () => told.push('synced'),
        () => undefined,
      );
  }
  return made;
}

const expired = (): ExpiredError => new ExpiredError('too old', { compactedRevision: '5', currentRevision: '9' });

describe('Reflector', () => {
  it('lists, then follows, and marks what was there', async () => {
    const r = rig();
    r.informer.start();
    expect(r.watch.options).toMatchObject({ initial: true, bookmarks: true });
    const a = thing({ name: 'a', rv: 3 });
    r.watch.list(4, [a, thing({ name: 'b', rv: 4 })], 1);
    await r.deps.flush();
    expect(r.told).toEqual(['add a@3 initial', 'add b@4 initial', 'synced']);
    expect(r.informer.synced).toBe(true);
    expect(r.informer.revision).toBe(4);
    const a5 = thing({ name: 'a', rv: 5 });
    r.watch.send(5, updated(a5, a));
    r.watch.send(6, deleted(a5, 6));
    r.watch.send(7, created(thing({ name: 'c', rv: 7 })));
    await r.deps.flush();
    expect(r.told.slice(3)).toEqual(['update a 3>5', 'delete a:uid-a', 'add c@7']);
    expect(r.informer.revision).toBe(7);
    await r.informer.stop();
  });

  it('resumes a watch that is cut from the last batch, with nothing lost and nothing told twice', async () => {
    const r = rig();
    r.informer.start();
    r.watch.list(2, [thing({ name: 'a', rv: 2 })]);
    await r.deps.flush();
    r.watch.send(3, created(thing({ name: 'b', rv: 3 })));
    r.watch.cut();
    await r.deps.flush();
    expect(r.watches).toHaveLength(2);
    expect(r.watch.options).toEqual({ since: '3', bookmarks: true });
    // What overlaps is known already.
    r.watch.send(3, created(thing({ name: 'b', rv: 3 })));
    r.watch.send(4, created(thing({ name: 'c', rv: 4 })));
    await r.deps.flush();
    expect(r.told).toEqual(['add a@2 initial', 'synced', 'add b@3', 'add c@4']);
    expect(r.informer.resumes).toBe(1);
    expect(r.informer.relists).toBe(0);
    await r.informer.stop();
  });

  it('tells nothing of an earlier life of an object again, when a watch overlaps with what is known', async () => {
    const r = rig();
    r.informer.start();
    const now = thing({ name: 'a', uid: 'two', rv: 8 });
    r.watch.list(8, [now]);
    await r.deps.flush();
    r.told.length = 0;
    const [old, older] = [thing({ name: 'a', uid: 'one', rv: 5 }), thing({ name: 'a', uid: 'one', rv: 4 })];
    r.watch.send(5, updated(old, older));
    r.watch.send(6, deleted(old, 6));
    r.watch.send(8, created(now));
    await r.deps.flush();
    expect(r.told).toEqual([]);
    expect(r.informer.cache.slot('prod', 'a')?.object).toBe(now);
    await r.informer.stop();
  });

  it('lists again at once after it expired and tells only the differences, by uid', async () => {
    const r = rig();
    r.informer.start();
    const same = thing({ name: 'same', rv: 2 });
    r.watch.list(4, [same, thing({ name: 'changed', rv: 2 }), thing({ name: 'gone', rv: 3 }), thing({ name: 'again', uid: 'one', rv: 4 })]);
    await r.deps.flush();
    r.told.length = 0;
    r.watch.fail(expired());
    await r.deps.flush();
    expect(r.watches).toHaveLength(2);
    expect(r.watch.options).toMatchObject({ initial: true });
    r.watch.list(
      9,
      [
        thing({ name: 'same', rv: 2 }),
        thing({ name: 'changed', rv: 6 }),
        thing({ name: 'again', uid: 'two', rv: 8 }),
        thing({ name: 'new', rv: 9 }),
      ],
      2,
    );
    await r.deps.flush();
    expect(r.told.toSorted()).toEqual([
      'add again@8',
      'add new@9',
      'delete again:one unseen',
      'delete gone:uid-gone unseen',
      'update changed 2>6',
    ]);
    expect(r.told.indexOf('delete again:one unseen')).toBeLessThan(r.told.indexOf('add again@8'));
    expect(r.informer.cache.slot('prod', 'same')?.object).toBe(same);
    expect(r.informer.relists).toBe(1);
    expect(r.informer.revision).toBe(9);
    await r.informer.stop();
  });

  it('shows the old content until the new list is complete', async () => {
    const r = rig();
    r.informer.start();
    r.watch.list(2, [thing({ name: 'a', rv: 2 })]);
    await r.deps.flush();
    r.watch.fail(expired());
    await r.deps.flush();
    r.watch.send(9, created(thing({ name: 'b', rv: 8 }), { initial: true }));
    await r.deps.flush();
    expect(r.informer.cache.size).toBe(1);
    expect(r.informer.cache.slot('prod', 'a')).toBeDefined();
    // Cut in the middle of the list: it begins again, from nothing.
    r.watch.cut();
    await r.deps.advance('31s');
    expect(r.watch.options).toMatchObject({ initial: true });
    r.watch.list(9, [thing({ name: 'b', rv: 8 })]);
    await r.deps.flush();
    expect(r.told).toEqual(['add a@2 initial', 'synced', 'delete a:uid-a unseen', 'add b@8']);
    await r.informer.stop();
  });

  it('backs off with full jitter up to the cap while it fails, and resumes when the store is well again', async () => {
    const waits: number[] = [];
    for (let seed = 1; seed <= 40; seed++) {
      const r = rig({ seed, handler: false });
      r.failOpen = new StoreError('disk on fire');
      r.informer.start();
      await r.deps.flush();
      for (let i = 0; i < 8; i++) {
        const due = r.deps.nextDue({ unref: true });
        const wait = (due ?? Number.NaN) - r.deps.clock.now();
        expect(wait).toBeLessThanOrEqual(Math.min(informerDefaults.backoffMaxMs, informerDefaults.backoffBaseMs * 2 ** i) + 1);
        if (i === 7) waits.push(wait);
        await r.deps.advanceTo(due as number);
      }
      r.failOpen = undefined;
      await r.deps.advance('30s');
      r.watch.list(1, []);
      await r.deps.flush();
      expect(r.informer.synced).toBe(true);
      expect(r.informer.lastError).toBeUndefined();
      await r.informer.stop();
    }
    expect(Math.max(...waits)).toBeGreaterThan(informerDefaults.backoffMaxMs * 0.8);
    expect(Math.min(...waits)).toBeLessThan(informerDefaults.backoffMaxMs * 0.2);
  });

  it('starts the backoff over after two healthy minutes, not before', async () => {
    const nextWait = async (healthy: string): Promise<number> => {
      let most = 0;
      for (let seed = 1; seed <= 20; seed++) {
        const r = rig({ seed, handler: false });
        r.failOpen = new StoreError('down');
        r.informer.start();
        await r.deps.advance('3m');
        r.failOpen = undefined;
        await r.deps.advance('31s');
        r.watch.list(1, []);
        await r.deps.advance(healthy);
        r.watch.fail(new StoreError('down again'));
        await r.deps.flush();
        most = Math.max(most, (r.deps.nextDue({ unref: true }) as number) - r.deps.clock.now());
        await r.informer.stop();
      }
      return most;
    };
    expect(await nextWait('10s')).toBeGreaterThan(5_000);
    expect(await nextWait('2m')).toBeLessThanOrEqual(informerDefaults.backoffBaseMs);
  });

  it('does not spin when watches are cut as soon as they open', async () => {
    const r = rig({ handler: false });
    r.informer.start();
    r.watch.list(1, []);
    await r.deps.flush();
    for (let i = 0; i < 1000 && r.deps.clock.monotonic() < 60_000; i++) {
      if (!r.watch.closed) r.watch.cut();
      await r.deps.advance(100);
    }
    expect(r.watches.length).toBeLessThan(30);
    await r.informer.stop();
  });

  it('backs off when the watch is cut in the middle of each list, which is no way forward', async () => {
    for (const alive of [0, 5_000]) {
      const r = rig();
      r.informer.start();
      for (let i = 0; i < 3_000 && r.deps.clock.monotonic() < 600_000; i++) {
        if (!r.watch.closed) {
          r.watch.send(1, created(thing({ name: 'a' }), { initial: true }));
          await r.deps.advance(alive);
          r.watch.cut();
        }
        await r.deps.advance(100);
      }
      // A second or two at first, half a minute in the end.
      expect(r.watches.length).toBeLessThan(70);
      expect(r.informer.resumes).toBe(0);
      await r.deps.advance('31s');
      r.watch.list(1, [thing({ name: 'a' })]);
      await r.deps.flush();
      expect([r.informer.synced, r.told]).toEqual([true, ['add a@1 initial', 'synced']]);
      await r.informer.stop();
    }
  });

  it('ends, and ends every wait, when the store is closed', async () => {
    const r = rig();
    r.informer.start();
    const sync = r.informer.whenSynced();
    const caught = r.informer.caughtUp('5');
    const results = Promise.allSettled([sync, caught]);
    r.watch.fail(new StoreClosedError('closed'));
    await r.deps.flush();
    for (const result of await results) expect(result).toMatchObject({ status: 'rejected', reason: { name: 'StoreClosedError' } });
    await r.deps.advance('2m');
    expect(r.watches).toHaveLength(1);
    await expect(r.informer.caughtUp('9')).rejects.toThrow(StoreClosedError);
  });

  it('goes on where it stopped when it is started again', async () => {
    const r = rig();
    r.informer.start();
    r.watch.list(2, [thing({ name: 'a', rv: 2 })]);
    await r.deps.flush();
    await r.informer.stop();
    expect(r.watch.closed).toBe(true);
    expect(r.watch.listeners).toBe(0);
    expect(r.informer.cache.size).toBe(1);
    r.informer.start();
    expect(r.watches).toHaveLength(2);
    expect(r.watch.options).toEqual({ since: '2', bookmarks: true });
    r.watch.send(3, created(thing({ name: 'b', rv: 3 })));
    await r.deps.flush();
    expect(r.told).toEqual(['add a@2 initial', 'synced', 'add b@3']);
    await r.informer.stop();
  });

  it('never runs two watches at once when it is stopped and started in one turn', async () => {
    const r = rig({ handler: false });
    r.informer.start();
    const stopped = r.informer.stop();
    r.informer.start();
    const again = r.informer.stop();
    r.informer.start();
    await Promise.all([stopped, again, r.deps.flush()]);
    expect(r.watches.filter((watch) => !watch.closed)).toHaveLength(1);
    r.watch.list(1, [thing({ name: 'a' })]);
    await r.deps.flush();
    expect(r.informer.synced).toBe(true);
    await r.informer.stop();
    expect(r.deps.pending()).toMatchObject({ timers: 0, deferred: 0 });
  });

  it('lets the event loop turn while it takes in a long list', async () => {
    const r = rig();
    r.informer.start();
    r.watch.list(
      1,
      Array.from({ length: 5_000 }, (_, i) => thing({ name: `o${i}` })),
      5_000,
    );
    let turns = 0;
    const spin = (): void => {
      turns += 1;
      if (!r.informer.synced) r.deps.scheduler.defer(spin);
    };
    r.deps.scheduler.defer(spin);
    await r.deps.flush();
    expect(r.told).toHaveLength(5_001);
    expect(turns).toBeGreaterThanOrEqual(5);
    await r.informer.stop();
  });
});

describe('Resync', () => {
  it('tells nothing that is in the cache and was not told yet, in the middle of a long dispatch', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const r = rig({ seed, resyncMs: 60_000 });
      r.informer.start();
      r.watch.list(1, [thing({ name: 'first' })]);
      await r.deps.flush();
      r.told.length = 0;
      // A transaction of many turns that arrives at the moment of the resync.
      const due = r.deps.nextDue({ unref: true }) as number;
      const objects = Array.from({ length: 3_000 }, (_, i) => thing({ name: `o${i}`, rv: 2 }));
      r.deps.scheduler.after(due - r.deps.clock.now(), () => r.watch.send(2, ...objects.map((object) => created(object))));
      await r.deps.advanceTo(due);
      await r.deps.flush();
      const added = new Set(['first']);
      for (const call of r.told) {
        const [what, name = ''] = call.split(/[ @]/);
        if (what === 'add') added.add(name);
        else expect([seed, name, added.has(name)]).toEqual([seed, name, true]);
      }
      expect(added.size).toBe(3_001);
      await r.informer.stop();
    }
  });
});

describe('Progress', () => {
  it('moves by revisions that do not match, and never past a batch that is on its way', async () => {
    const r = rig();
    r.informer.start();
    r.watch.list(2, []);
    await r.deps.flush();
    let caught = false;
    const wait = r.informer.caughtUp('6').then(() => {
      caught = true;
      expect(r.informer.cache.size).toBe(1);
    });
    // Handed out, not yet applied: the watch says 6 in the same turn.
    r.watch.send(6, created(thing({ name: 'a', rv: 6 })));
    r.watch.advance(6);
    expect(caught).toBe(false);
    await r.deps.flush();
    await wait;
    expect(caught).toBe(true);
    const later = r.informer.caughtUp('9');
    r.watch.advance(9);
    await r.deps.flush();
    await later;
    expect(r.informer.revision).toBe(9);
    await r.informer.stop();
  });

  it('does not take the progress of an unfinished list for its own', async () => {
    const r = rig();
    r.informer.start();
    r.watch.advance(50);
    await r.deps.flush();
    expect(r.informer.revision).toBe(0);
    r.watch.list(50, [thing({ name: 'a' })]);
    await r.deps.flush();
    expect(r.informer.revision).toBe(50);
    await r.informer.stop();
  });
});
