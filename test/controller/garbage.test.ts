import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Config, Secret } from '../../src/schemas/index.js';
import type { OwnerReference } from '../../src/schemas/index.js';
import { memoryEngine, openStore, type Store } from '../../src/store/index.js';
import { virtualDeps, type VirtualDeps } from '../../src/testing/index.js';
import { GarbageCollector } from '../../src/controller/gc/index.js';
import { tapped } from '../store/encryption/support.js';
import { Part, runner, Site, type World } from './world.js';

interface Yard extends AsyncDisposable {
  readonly deps: VirtualDeps;
  readonly store: Store;
  readonly collector: GarbageCollector;
  readonly run: World['run'];
  /** Creates a part owned by others. */
  make(
    name: string,
    owners?: readonly { name: string; uid: string; block?: boolean }[],
    metadata?: object,
  ): Promise<{ name: string; uid: string }>;
  names(): Promise<string[]>;
  remove(name: string, propagation?: 'background' | 'foreground' | 'orphan'): Promise<void>;
}

async function open(start = true): Promise<Yard> {
  const deps = virtualDeps({ seed: 5 });
  const run = runner(deps);
  const store = await run(openStore({ engine: memoryEngine(), deps, types: [Part, Site] }));
  const collector = new GarbageCollector({ store, deps, logger: deps.logger });
  if (start) collector.start();
  await deps.advance('1s');
  return {
    deps,
    store,
    collector,
    run,
    async make(name, owners = [], metadata = {}) {
      const ownerReferences: OwnerReference[] = owners.map((owner) => ({
        apiVersion: 'rune.dev/v1',
        kind: 'Part',
        name: owner.name,
        uid: owner.uid,
        blockOwnerDeletion: owner.block ?? true,
      }));
      const made = await run(
        store.create(Part, 'prod', name, {
          metadata: { ...metadata, ...(ownerReferences.length === 0 ? {} : { ownerReferences }) },
          spec: {},
        }),
      );
      return { name, uid: made.metadata.uid };
    },
    names: async () => (await run(store.list(Part, 'prod'))).items.map((part) => part.metadata.name),
    remove: async (name, propagation = 'background') => {
      await run(store.delete(Part, 'prod', name, { propagation }));
      await deps.advance('5s');
    },
    async [Symbol.asyncDispose]() {
      await run(collector.stop());
      await run(store.close());
    },
  };
}
/** top <- middle <- leaf, three deep, and a stranger. */
async function tree(yard: Yard) {
  const top = await yard.make('top');
  const middle = await yard.make('middle', [top]);
  const low = await yard.make('low', [middle]);
  await yard.make('leaf', [low]);
  await yard.make('stranger');
  await yard.deps.flush();
  return { top, middle, low };
}

describe('the garbage collector', () => {
  it('background: the owner goes at once and what it owned follows, three deep', async () => {
    await using yard = await open();
    await tree(yard);
    await yard.run(yard.store.delete(Part, 'prod', 'top', {}));
    expect(await yard.run(yard.store.list(Part, 'prod', { fieldSelector: 'metadata.name=top' }))).toMatchObject({ items: [] });
    await yard.deps.advance('5s');
    expect(await yard.names()).toEqual(['stranger']);
    expect(yard.collector.stats()).toMatchObject({ deleted: 3, pending: 0, nodes: 0 });
  });

  it('foreground: the leaves go first and the owner last, three deep', async () => {
    await using yard = await open();
    await tree(yard);
    const order: string[] = [];
    const watch = yard.store.watch(Part, 'prod');
    const reading = (async () => {
      for await (const event of watch) if (event.type === 'DELETED') order.push(event.name);
    })();
    await yard.remove('top', 'foreground');
    expect(order).toEqual(['leaf', 'low', 'middle', 'top']);
    expect(await yard.names()).toEqual(['stranger']);
    await yard.run(watch.close());
    await reading;
  });

  it('foreground waits for a dependent that is held by a finalizer, and stats show what waits', async () => {
    await using yard = await open();
    const top = await yard.make('top');
    await yard.make('held', [top], { finalizers: ['example.com/x'] });
    await yard.make('free', [{ ...top, block: false }]);
    await yard.remove('top', 'foreground');
    expect(await yard.names()).toEqual(['free', 'held', 'top']);
    expect(yard.collector.stats().waiting).toEqual([{ type: 'part', namespace: 'prod', name: 'top', propagation: 'foreground' }]);
    await yard.run(yard.store.patch(Part, 'prod', 'held', { metadata: { finalizers: null } }));
    await yard.deps.advance('5s');
    expect(await yard.names()).toEqual([]);
  });

  it('orphan: what it owned stays and loses the reference', async () => {
    await using yard = await open();
    await tree(yard);
    await yard.remove('top', 'orphan');
    expect(await yard.names()).toEqual(['leaf', 'low', 'middle', 'stranger']);
    expect((await yard.run(yard.store.get(Part, 'prod', 'middle'))).metadata.ownerReferences ?? []).toEqual([]);
  });

  it('an object with another living owner stays, and loses the reference to the one that is gone', async () => {
    await using yard = await open();
    const [one, two] = [await yard.make('one'), await yard.make('two')];
    await yard.make('shared', [one, two]);
    await yard.remove('one');
    expect((await yard.run(yard.store.get(Part, 'prod', 'shared'))).metadata.ownerReferences).toMatchObject([{ name: 'two' }]);
    await yard.remove('two', 'foreground');
    expect(await yard.names()).toEqual([]);
  });

  it('cycles: background and foreground come to an end', async () => {
    for (const propagation of ['background', 'foreground'] as const) {
      for (const length of [2, 3, 5]) {
        await using yard = await open();
        const made = [];
        for (let i = 0; i < length; i += 1) made.push(await yard.make(`n${i}`));
        for (let i = 0; i < length; i += 1) {
          const owner = made[(i + 1) % length] as { name: string; uid: string };
          await yard.run(
            yard.store.patch(Part, 'prod', `n${i}`, {
              metadata: {
                ownerReferences: [{ apiVersion: 'rune.dev/v1', kind: 'Part', name: owner.name, uid: owner.uid, blockOwnerDeletion: true }],
              },
            }),
          );
        }
        await yard.deps.advance('1s');
        expect(await yard.names()).toHaveLength(length);
        await yard.remove('n0', propagation);
        await yard.deps.advance('1m');
        expect(await yard.names()).toEqual([]);
      }
    }
  });

  it('an owner recreated with another uid is another: what the first one owned goes', async () => {
    await using yard = await open();
    const top = await yard.make('top');
    await yard.make('old', [top]);
    await yard.run(yard.store.delete(Part, 'prod', 'top', {}));
    const again = await yard.make('top');
    await yard.make('new', [again]);
    await yard.deps.advance('5s');
    expect(await yard.names()).toEqual(['new', 'top']);
  });

  it('an object created with an owner that does not exist goes', async () => {
    await using yard = await open();
    await yard.make('lost', [{ name: 'nobody', uid: '00000000-0000-4000-8000-000000000000' }]);
    await yard.deps.advance('5s');
    expect(await yard.names()).toEqual([]);
  });

  it('finds at its start what was left undone: dangling owners, foreground and orphan deletions', async () => {
    await using yard = await open(false);
    const [one, two, three] = [await yard.make('one'), await yard.make('two'), await yard.make('three')];
    await yard.make('of-one', [one]);
    await yard.make('of-two', [two]);
    await yard.make('of-three', [three]);
    await yard.run(yard.store.delete(Part, 'prod', 'one', {}));
    await yard.run(yard.store.delete(Part, 'prod', 'two', { propagation: 'foreground' }));
    await yard.run(yard.store.delete(Part, 'prod', 'three', { propagation: 'orphan' }));
    expect(await yard.names()).toHaveLength(5);
    yard.collector.start();
    await yard.deps.advance('5s');
    expect(await yard.names()).toEqual(['of-three']);
  });

  it('a cluster-scoped owner owns in every namespace', async () => {
    await using yard = await open();
    const site = await yard.run(yard.store.create(Site, undefined, 's', { spec: {} }));
    await yard.make('p', [], { ownerReferences: [{ apiVersion: 'rune.dev/v1', kind: 'Site', name: 's', uid: site.metadata.uid }] });
    await yard.deps.advance('5s');
    expect(await yard.names()).toEqual(['p']);
    await yard.run(yard.store.delete(Site, undefined, 's', {}));
    await yard.deps.advance('5s');
    expect(await yard.names()).toEqual([]);
  });

  it('collects neither what cannot be opened nor what that owns', async () => {
    const deps = virtualDeps({ seed: 5 });
    const run = runner(deps);
    const engine = tapped(memoryEngine());
    const store = await run(openStore({ engine, deps, types: [Part] }));
    const ownedBy = (uid: string) => ({ ownerReferences: [{ apiVersion: 'rune.dev/v1', kind: 'Secret', name: 'owner', uid }] });
    const owner = await run(store.create(Secret, 'prod', 'owner', { data: {} }));
    await run(store.create(Part, 'prod', 'owned', { metadata: ownedBy(owner.metadata.uid), spec: {} }));
    await run(store.create(Secret, 'prod', 'alone', { metadata: ownedBy('gone-for-long'), data: {} }));
    await run(store.create(Part, 'prod', 'garbage', { metadata: ownedBy('gone-for-long'), spec: {} }));
    for (const { key, revision, value } of (await engine.engine().walk({ type: 'secret' })).entries)
      await run(engine.engine().rewrite([{ key, revision, expect: value!, value: Buffer.from(value!).fill(9, 1, 2) }]));
    const collector = new GarbageCollector({ store, deps, logger: deps.logger });
    collector.start();
    await deps.advance('10s');
    expect((await run(store.list(Part, 'prod'))).items.map(({ metadata }) => metadata.name)).toEqual(['owned']);
    expect((await run(store.list(Secret, 'prod'))).failed.map(({ name }) => name)).toEqual(['alone', 'owner']);
    await run(collector.stop());
    await run(store.close());
  });

  it('10,000 dependents', async () => {
    await using yard = await open();
    const top = await yard.make('top');
    const reference = { apiVersion: 'rune.dev/v1', kind: 'Part', name: 'top', uid: top.uid, blockOwnerDeletion: true };
    const creating: Promise<unknown>[] = [];
    for (let i = 0; i < 10_000; i += 1)
      creating.push(yard.store.create(Part, 'prod', `d${i}`, { metadata: { ownerReferences: [reference] }, spec: {} }));
    await yard.run(Promise.all(creating));
    await yard.remove('top', 'foreground');
    await yard.deps.advance('5s');
    expect(await yard.names()).toEqual([]);
    expect(yard.collector.stats()).toMatchObject({ nodes: 0, pending: 0, deleted: 10_000 });
  }, 30_000);

  it('says once that it may not write a type its process did not bring, asks seldom, and goes on once the type is registered', async () => {
    const deps = virtualDeps({ seed: 5 });
    const run = runner(deps);
    const engine = memoryEngine();
    const before = await run(openStore({ engine, deps, types: [Part] }));
    for (const name of ['a', 'b']) {
      const owner = await run(before.create(Part, 'prod', name, { spec: {} }));
      const reference = { apiVersion: 'rune.dev/v1', kind: 'Part', name, uid: owner.metadata.uid, blockOwnerDeletion: true };
      await run(before.create(Config, 'prod', `${name}-child`, { metadata: { ownerReferences: [reference] }, data: {} }));
      await run(before.delete(Part, 'prod', name, { propagation: 'foreground' }));
    }
    await run(before.close());
    await using store = await run(openStore({ engine, deps }));
    let asked = 0;
    const patch = store.patch.bind(store);
    store.patch = (...args) => {
      asked += 1;
      return patch(...args);
    };
    const collector = new GarbageCollector({ store, deps, logger: deps.logger });
    collector.start();
    await deps.advance('1h');
    // What it may delete is gone; the owners wait.
    expect((await run(store.list(Config, 'prod'))).items).toEqual([]);
    expect(collector.stats().waiting).toMatchObject([{ name: 'a' }, { name: 'b' }]);
    expect(asked).toBeGreaterThan(2);
    expect(asked).toBeLessThanOrEqual(2 * 61);
    const lines = deps.logs.filter((line) => line.level === 'warn');
    expect(lines).toMatchObject([{ message: expect.stringContaining('cannot be collected by this process'), fields: { type: 'part' } }]);
    store.register(Part);
    await deps.advance('61s');
    expect(collector.stats()).toMatchObject({ waiting: [], nodes: 0, pending: 0 });
    await run(collector.stop());
  });

  it('of any forest, what is left after deletions is what has a living owner or never had one', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.nat({ max: 100 }), { maxLength: 2 }), { minLength: 2, maxLength: 12 }),
        fc.array(fc.record({ at: fc.nat({ max: 11 }), how: fc.constantFrom('background' as const, 'foreground' as const) }), {
          minLength: 1,
          maxLength: 4,
        }),
        async (shape, deletions) => {
          await using yard = await open();
          const made: { name: string; uid: string; owners: number[] }[] = [];
          for (const [i, owners] of shape.entries()) {
            const of = i === 0 ? [] : [...new Set(owners.map((owner) => owner % i))];
            made.push({
              ...(await yard.make(
                `n${i}`,
                of.map((owner) => made[owner] as { name: string; uid: string }),
              )),
              owners: of,
            });
          }
          const gone = new Set<number>();
          for (const { at, how } of deletions) {
            if (at >= made.length || gone.has(at)) continue;
            await yard.remove(`n${at}`, how);
            gone.add(at);
            // Objects come after their owners, so one pass is enough.
            for (const [i, { owners }] of made.entries()) if (owners.length > 0 && owners.every((owner) => gone.has(owner))) gone.add(i);
          }
          expect(await yard.names()).toEqual(
            made
              .filter((_, i) => !gone.has(i))
              .map(({ name }) => name)
              .sort(),
          );
        },
      ),
      { numRuns: 25 },
    );
  });
});
