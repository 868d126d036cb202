import { describe, expect, it } from 'vitest';
import { defineController, type ControllerInput } from '../../src/controller/index.js';
import type { Store } from '../../src/store/index.js';
import { openWorld, Part, Site, Widget, type World } from './world.js';

const a = { namespace: 'prod', name: 'a' };
type Reconcile = ControllerInput<typeof Widget>['reconcile'];
const pruning = (reconcile: Reconcile, more: { readonly transactional?: boolean } = {}): ReturnType<typeof defineController> =>
  defineController({ name: 'widgets', for: Widget, owns: [Part], prune: true, reconcile, ...more });
/** Makes as many parts as the widget is large. */
const parts: Reconcile = async ({ object, ensure }) => {
  for (let n = 0; n < object.spec.size; n += 1) await ensure(Part, { metadata: { name: `p${n}` }, spec: {} });
};
const names = async (world: World): Promise<string[]> => (await world.run(world.repo(Part).list())).items.map((part) => part.metadata.name);

/** A store that does something before each delete of a name. */
function beforeDelete(name: string, act: (store: Store) => Promise<unknown>): (store: Store) => Store {
  return (store) =>
    new Proxy(store, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property, target);
        if (typeof value !== 'function') return value;
        if (property !== 'delete') return value.bind(target);
        return async (...args: Parameters<Store['delete']>) => {
          if (args[2] === name) await act(target);
          return target.delete(...args);
        };
      },
    });
}

async function handOver(store: Store, name: string): Promise<void> {
  const site = await store.get(Site, undefined, 'b');
  const { apiVersion, kind, metadata } = site;
  const owner = { apiVersion, kind, name: 'b', uid: metadata.uid, controller: true };
  await store.modify(Part, 'prod', name, (part) => void (part.metadata.ownerReferences = [owner]));
}

describe('pruning', () => {
  it.each([false, true])('leaves a child that the run itself has released (transactional: %s)', async (transactional) => {
    let runs = 0;
    await using world = await openWorld([
      pruning(
        async ({ ensure, repo, children }) => {
          runs += 1;
          await ensure(Part, { metadata: { name: 'keep' }, spec: {} });
          if (runs === 1) {
            await ensure(Part, { metadata: { name: 'other' }, spec: {} });
            return;
          }
          for (const child of children(Part))
            if (child.metadata.name === 'other') await repo(Part).patch(child, { metadata: { ownerReferences: null } });
        },
        { transactional },
      ),
    ]);
    await world.widget('a');
    await world.advance('1s');
    world.manager.enqueue('widgets', a);
    await world.advance('1s');
    expect(runs).toBeGreaterThan(2);
    expect(await names(world)).toEqual(['keep', 'other']);
    expect(world.logs('error')).toEqual([]);
  });

  it('leaves a child that another took over while the run deleted others', async () => {
    await using world = await openWorld([pruning(parts)], { wrap: beforeDelete('p0', (store) => handOver(store, 'p1')) });
    await world.run(world.store.create(Site, undefined, 'b', { spec: {} }));
    await world.widget('a', { size: 3 });
    await world.flush();
    await world.run(world.repo(Widget).patch(a, { spec: { size: 0 } }));
    await world.advance('1s');
    expect(await names(world)).toEqual(['p1']);
  });

  it('leaves a child that another took over just before its own delete', async () => {
    await using world = await openWorld([pruning(parts)], { wrap: beforeDelete('p0', (store) => handOver(store, 'p0')) });
    await world.run(world.store.create(Site, undefined, 'b', { spec: {} }));
    await world.widget('a', { size: 1 });
    await world.flush();
    await world.run(world.repo(Widget).patch(a, { spec: { size: 0 } }));
    await world.advance('1s');
    expect(await names(world)).toEqual(['p0']);
  });

  it('deletes a child that changed meanwhile and is still its own; one that others keep changing waits for the next run', async () => {
    let changes = 1;
    const touch = async (store: Store): Promise<void> => {
      if (changes > 0) await store.modify(Part, 'prod', 'p0', (part) => void (part.spec.n = changes));
      changes -= 1;
    };
    await using world = await openWorld([pruning(parts)], { wrap: beforeDelete('p0', touch) });
    await world.widget('a', { size: 1 });
    await world.flush();
    await world.run(world.repo(Widget).patch(a, { spec: { size: 0 } }));
    await world.flush();
    expect(changes).toBe(-1);
    expect(await names(world)).toEqual([]);
    await world.run(world.repo(Widget).patch(a, { spec: { size: 1 } }));
    await world.flush();
    changes = 7;
    await world.run(world.repo(Widget).patch(a, { spec: { size: 0 } }));
    await world.flush();
    expect(await names(world)).toEqual([]);
    expect(
      world.manager
        .runs('widgets', a)
        .map((run) => run.error ?? '')
        .join(),
    ).toMatch(/part prod\/p0 could not be pruned/);
    expect(world.logs('error')).toEqual([]);
  });
});
