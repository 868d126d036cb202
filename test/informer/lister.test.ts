import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ObjectCache } from '../../src/informer/cache.js';
import { LiveLister, SelectorMemory } from '../../src/informer/lister.js';

import { isInvalid, parseLabelSelector, type IndexFunction } from '../../src/schemas/index.js';
import { thing, type Thing, type ThingInput } from './support.js';

const byNode: IndexFunction<Thing> = (object) => object.spec.node;
const byTag: IndexFunction<Thing> = (object) => object.spec.tags;

function fixture(): { cache: ObjectCache<Thing>; lister: LiveLister<Thing>; errors: unknown[] } {
  const errors: unknown[] = [];
  const cache = new ObjectCache<Thing>((error) => errors.push(error));
  const names = {
    what: 'thing',
    functions: new Map([
      ['byNode', byNode],
      ['byTag', byTag],
    ]),
  };
  return { cache, lister: new LiveLister(cache, names, new SelectorMemory()), errors };
}

function put(cache: ObjectCache<Thing>, input: ThingInput): Thing {
  const object = thing(input);
  const slot = cache.slot(object.metadata.namespace ?? '', object.metadata.name);
  if (slot === undefined) cache.add(object.metadata.namespace ?? '', object.metadata.name, object);
  else cache.update(slot, object);
  return object;
}

function drop(cache: ObjectCache<Thing>, namespace: string, name: string): void {
  const slot = cache.slot(namespace, name);
  if (slot !== undefined) cache.remove(namespace, name, slot);
}

const names = (objects: readonly Thing[]): string[] =>
  objects.map((o) => `${o.metadata.namespace ?? ''}/${o.metadata.name}@${o.metadata.resourceVersion}`).sort();

const selectors = [
  'app=a',
  'app in (a, b)',
  'app!=a',
  'app notin (a,b)',
  'tier',
  '!tier',
  'app=b,tier=x',
  'tier in (x),!app',
  'app=zz',
  '',
];
const label = fc.record({ app: fc.constantFrom('a', 'b', 'c'), tier: fc.constantFrom('x', 'y') }, { requiredKeys: [] });
const step = fc.record({
  name: fc.constantFrom('o1', 'o2', 'o3', 'o4', 'o5', 'o6'),
  namespace: fc.constantFrom('prod', 'test', ''),
  remove: fc.boolean(),
  labels: fc.option(label, { nil: undefined }),
  node: fc.constantFrom('n1', 'n2', undefined),
  tags: fc.option(fc.array(fc.constantFrom('x', 'y', 'z'), { maxLength: 3 }), { nil: undefined }),
});

describe('Informer indexes', () => {
  it('finds an object under each of the values its index function gives', () => {
    const { cache, lister } = fixture();
    const object = put(cache, { name: 'a', tags: ['x', 'y', 'x'] });
    expect(lister.byIndex('byTag', 'x')).toEqual([object]);
    expect(lister.byIndex('byTag', 'y')).toEqual([object]);
    expect(lister.byIndex('byTag', 'z')).toEqual([]);
  });

  it('follows a change of value and gives the cached object itself', () => {
    const { cache, lister } = fixture();
    put(cache, { name: 'a', node: 'n1' });
    expect(lister.byIndex('byNode', 'n1')).toHaveLength(1);
    const next = put(cache, { name: 'a', node: 'n2', rv: 2 });
    expect(lister.byIndex('byNode', 'n1')).toEqual([]);
    expect(lister.byIndex('byNode', 'n2')[0]).toBe(next);
    const same = put(cache, { name: 'a', node: 'n2', rv: 3 });
    expect(lister.byIndex('byNode', 'n2')[0]).toBe(same);
  });

  it('removes a set that was emptied', () => {
    const { cache } = fixture();
    const index = cache.index(byNode);
    for (const name of ['a', 'b', 'c']) put(cache, { name, node: 'n1' });
    put(cache, { name: 'b', node: 'n2', rv: 2 });
    expect(index.size).toBe(2);
    for (const name of ['a', 'b', 'c']) drop(cache, 'prod', name);
    expect(index.size).toBe(0);
  });

  it('removes a label key that no object carries any more', () => {
    const { cache } = fixture();
    const labels = cache.labelIndex();
    put(cache, { name: 'a', labels: { app: 'web', tier: 'front' } });
    expect(labels.size).toBe(2);
    put(cache, { name: 'a', labels: { app: 'web' }, rv: 2 });
    expect(labels.size).toBe(1);
    drop(cache, 'prod', 'a');
    expect(labels.size).toBe(0);
  });

  it('refuses an unknown index and names the known ones', () => {
    const { lister } = fixture();
    let error: unknown;
    try {
      lister.byIndex('byOwner', 'x');
    } catch (caught) {
      error = caught;
    }
    expect(isInvalid(error)).toBe(true);
    expect((error as Error).message).toMatch(/"byOwner".*"byNode", "byTag"/);
  });

  it('leaves an object out of an index whose function throws, tells once, and goes on', () => {
    const { cache, errors } = fixture();
    const fault: IndexFunction<Thing> = (object) => {
      if (object.spec.node === 'bad') throw new Error('no');
      return object.spec.node;
    };
    const index = cache.index(fault);
    put(cache, { name: 'a', node: 'bad' });
    put(cache, { name: 'b', node: 'good' });
    expect(errors).toHaveLength(1);
    expect(index.size).toBe(1);
    put(cache, { name: 'a', node: 'good', rv: 2 });
    const found: string[] = [];
    index.each('good', (slot) => found.push(slot.object.metadata.name));
    expect(found.sort()).toEqual(['a', 'b']);
    drop(cache, 'prod', 'a');
    expect(errors).toHaveLength(1);
  });

  it('looks a label selector up: objects that cannot match are not visited', () => {
    const { cache } = fixture();
    for (let i = 0; i < 1000; i++) put(cache, { name: `o${i}`, labels: { app: `app-${i % 100}` } });
    let visited = 0;
    cache.eachCandidate(undefined, parseLabelSelector('app in (app-1, app-2),!legacy'), () => {
      visited += 1;
    });
    expect(visited).toBe(20);
  });

  it('visits the namespace alone when that is smaller than what the labels leave', () => {
    const { cache } = fixture();
    for (let i = 0; i < 100; i++) put(cache, { name: `o${i}`, labels: { app: 'web' } });
    put(cache, { name: 'single', namespace: 'other', labels: { app: 'web' } });
    let visited = 0;
    cache.eachCandidate('other', parseLabelSelector('app=web'), () => {
      visited += 1;
    });
    expect(visited).toBe(1);
  });

  it('builds the label index at the first label query, not before', () => {
    const { cache, lister } = fixture();
    put(cache, { name: 'a', labels: { app: 'web' } });
    lister.list({ labelSelector: 'app' });
    lister.list({ namespace: 'prod' });
    expect(cache.hasLabelIndex).toBe(false);
    expect(lister.list({ labelSelector: 'app=web' })).toHaveLength(1);
    expect(cache.hasLabelIndex).toBe(true);
  });

  it('agrees with a full scan after any changes, for every index and selector (P)', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: 'max' }), fc.nat(40), (steps, buildAt) => {
        const { cache, lister } = fixture();
        const model = new Map<string, Thing>();
        steps.forEach((each, i) => {
          if (i === buildAt) lister.list({ labelSelector: 'app=a' });
          const key = `${each.namespace}/${each.name}`;
          if (each.remove) {
            drop(cache, each.namespace, each.name);
            model.delete(key);
          } else model.set(key, put(cache, { ...each, rv: i + 1, labels: each.labels }));
        });
        const all = [...model.values()];
        expect(lister.size).toBe(all.length);
        expect(names(lister.list())).toEqual(names(all));
        for (const node of ['n1', 'n2'])
          expect(names(lister.byIndex('byNode', node))).toEqual(names(all.filter((o) => o.spec.node === node)));
        for (const tag of ['x', 'y', 'z'])
          expect(names(lister.byIndex('byTag', tag))).toEqual(names(all.filter((o) => o.spec.tags?.includes(tag))));
        for (const labelSelector of selectors) {
          const selector = parseLabelSelector(labelSelector);
          for (const namespace of [undefined, 'prod', 'missing', 'all']) {
            const scan = all.filter(
              (o) =>
                (namespace === undefined || namespace === 'all' || o.metadata.namespace === namespace) &&
                selector.matches(o.metadata.labels),
            );
            expect(names(lister.list({ namespace, labelSelector }))).toEqual(names(scan));
          }
        }
        for (const [key, object] of model) {
          const [namespace, name] = key.split('/') as [string, string];
          expect(lister.get({ namespace, name })).toBe(object);
          expect(lister.get(namespace === '' ? name : key)).toBe(object);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('Informer snapshot', () => {
  it('shows the moment it was taken for every kind of read, whatever changes later (P)', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ step, snapshot: fc.boolean() }), { maxLength: 40, size: 'max' }), (steps) => {
        const { cache, lister } = fixture();
        const model = new Map<string, Thing>();
        const taken: { lister: ReturnType<LiveLister<Thing>['snapshot']>; all: Thing[] }[] = [];
        const check = (): void => {
          for (const { lister: then, all } of taken) {
            expect(then.size).toBe(all.length);
            expect(names(then.list())).toEqual(names(all));
            expect(names(then.list({ namespace: 'prod' }))).toEqual(names(all.filter((o) => o.metadata.namespace === 'prod')));
            expect(names(then.list({ labelSelector: 'app in (a,b)' }))).toEqual(
              names(all.filter((o) => ['a', 'b'].includes(o.metadata.labels?.['app'] ?? ''))),
            );
            expect(names(then.byIndex('byNode', 'n1'))).toEqual(names(all.filter((o) => o.spec.node === 'n1')));
            expect(names(then.byIndex('byTag', 'x'))).toEqual(names(all.filter((o) => o.spec.tags?.includes('x'))));
            for (const name of ['o1', 'o2', 'o3', 'o4', 'o5', 'o6']) {
              const there = all.find((o) => o.metadata.namespace === 'prod' && o.metadata.name === name);
              expect(then.get({ namespace: 'prod', name })).toBe(there);
              expect(then.has(`prod/${name}`)).toBe(there !== undefined);
            }
          }
        };
        steps.forEach(({ step: each, snapshot }, i) => {
          const key = `${each.namespace}/${each.name}`;
          if (each.remove) {
            drop(cache, each.namespace, each.name);
            model.delete(key);
          } else model.set(key, put(cache, { ...each, rv: i + 1, labels: each.labels }));
          if (snapshot) taken.push({ lister: lister.snapshot(), all: [...model.values()] });
          if (i % 13 === 0) check();
        });
        check();
      }),
      { numRuns: 40 },
    );
  });

  it('costs nothing until something changes, then only what changed', () => {
    const { cache, lister } = fixture();
    for (let i = 0; i < 100; i++) put(cache, { name: `o${i}` });
    const log = cache.beginUndo();
    expect(cache.beginUndo()).toBe(log);
    const then = lister.snapshot();
    put(cache, { name: 'o1', rv: 2 });
    put(cache, { name: 'o1', rv: 3 });
    put(cache, { name: 'new', rv: 4 });
    expect(log.size).toBe(2);
    drop(cache, 'prod', 'new');
    expect(log.size).toBe(1);
    expect(then.get('prod/o1')?.metadata.resourceVersion).toBe('1');
    expect(then.get('prod/new')).toBeUndefined();
  });

  it('holds one entry for an object once it is read, however many others were taken while it changed', () => {
    const { cache, lister } = fixture();
    put(cache, { name: 'a' });
    const log = cache.beginUndo();
    const held = lister.snapshot();
    for (let rv = 2; rv <= 100; rv++) {
      put(cache, { name: 'a', rv });
      lister.snapshot();
    }
    expect(held.list().map((o) => o.metadata.resourceVersion)).toEqual(['1']);
    put(cache, { name: 'a', rv: 101 });
    expect(held.get('prod/a')?.metadata.resourceVersion).toBe('1');
    expect(log.size).toBe(1);
  });
});
