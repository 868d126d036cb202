/** What waits for a handler. Real world: memory and time of a great many changes are measured. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Item } from '../../src/informer/change.js';
import { PendingChanges } from '../../src/informer/pending.js';
import { thing, type Thing } from './support.js';

function drain(pending: PendingChanges<Thing>): Item<Thing>[] {
  const items: Item<Thing>[] = [];
  for (let item = pending.shift(); item !== undefined; item = pending.shift()) items.push(item);
  return items;
}

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

const add = (object: Thing): Item<Thing> => ({ type: 'add', object, initial: false });
const update = (object: Thing, previous: Thing): Item<Thing> => ({ type: 'update', object, previous });
const remove = (object: Thing): Item<Thing> => ({
  type: 'delete',
  object,
  deletion: { finalStateUnknown: false, resourceVersion: undefined },
});

describe('Pending changes of a handler', () => {
  it('keeps every change, in order, up to its limit', () => {
    const pending = new PendingChanges<Thing>(10, () => {
      throw new Error('nothing may be missed');
    });
    const [a1, a2, a3] = [1, 2, 3].map((rv) => thing({ name: 'a', rv })) as [Thing, Thing, Thing];
    const items = [add(a1), update(a2, a1), update(a3, a2), remove(a3)];
    for (const item of items) pending.push(item);
    expect(pending.size).toBe(4);
    expect(drain(pending)).toEqual(items);
    expect(pending.size).toBe(0);
  });

  it('merges updates into the latest object with the first previous once it lags', () => {
    let missed = 0;
    const pending = new PendingChanges<Thing>(2, (count) => {
      missed += count;
    });
    const versions = Array.from({ length: 6 }, (_, i) => thing({ name: 'a', rv: i + 1 }));
    for (let i = 1; i < 6; i++) pending.push(update(versions[i]!, versions[i - 1]!));
    expect(pending.size).toBe(1);
    expect(drain(pending)).toEqual([update(versions[5]!, versions[0]!)]);
    expect(missed).toBe(4);
  });

  it('drops what came and went unseen, and tells a delete and an add where the uid changed', () => {
    const pending = new PendingChanges<Thing>(1, () => undefined);
    const old = thing({ name: 'a', uid: 'one' });
    const next = thing({ name: 'a', uid: 'two', rv: 3 });
    const brief = thing({ name: 'b', rv: 4 });
    for (const item of [remove(old), add(next), add(brief), remove(brief)]) pending.push(item);
    expect(drain(pending)).toEqual([remove(old), add(next)]);
  });

  it('goes back to keeping every change once it was drained', () => {
    let missed = 0;
    const pending = new PendingChanges<Thing>(2, (count) => {
      missed += count;
    });
    const versions = Array.from({ length: 6 }, (_, i) => thing({ name: 'a', rv: i + 1 }));
    for (let i = 1; i < 5; i++) pending.push(update(versions[i]!, versions[i - 1]!));
    drain(pending);
    missed = 0;
    pending.push(update(versions[4]!, versions[3]!));
    pending.push(update(versions[5]!, versions[4]!));
    expect(drain(pending)).toHaveLength(2);
    expect(missed).toBe(0);
  });

  it('keeps one bookmark, the last, behind the changes it speaks of', () => {
    const pending = new PendingChanges<Thing>(1, () => undefined);
    const a = thing({ name: 'a' });
    pending.push({ type: 'bookmark', resourceVersion: '1' });
    pending.push(add(a));
    pending.push({ type: 'bookmark', resourceVersion: '2' });
    expect(drain(pending)).toEqual([add(a), { type: 'bookmark', resourceVersion: '2' }]);
  });

  it('does not grow while something always waits', () => {
    const pending = new PendingChanges<Thing>(100, () => undefined);
    const a = thing({ name: 'a' });
    const item = update(a, a);
    const used = (): number => {
      gc();
      gc();
      return process.memoryUsage().heapUsed;
    };
    for (let i = 0; i < 50; i++) pending.push(item);
    const before = used();
    for (let i = 0; i < 500_000; i++) {
      pending.push(item);
      pending.shift();
    }
    expect(pending.size).toBe(50);
    // A place for each of them would be 4 MB.
    expect(used() - before).toBeLessThan(1_000_000);
  });

  it('gives out a great many merged changes as quickly, each, as a few', () => {
    const cost = (count: number): number => {
      let best = Number.POSITIVE_INFINITY;
      for (let round = 0; round < 3; round++) {
        const pending = new PendingChanges<Thing>(10, () => undefined);
        for (let i = 0; i < count; i++) pending.push(add(thing({ name: `o${i}` })));
        const started = process.cpuUsage();
        expect(drain(pending)).toHaveLength(count);
        const { user, system } = process.cpuUsage(started);
        best = Math.min(best, (user + system) / count);
      }
      return best;
    };
    cost(4_000);
    // As it grew with what had been taken, it was ten times and more.
    expect(cost(60_000) / cost(4_000)).toBeLessThan(4);
  });

  it('gives out once what is merged, added and taken in turns', () => {
    const pending = new PendingChanges<Thing>(2, () => undefined);
    const things = Array.from({ length: 200 }, (_, i) => thing({ name: `o${i}` }));
    const told: string[] = [];
    const take = (): void => {
      const item = pending.shift();
      if (item?.type === 'add') told.push(item.object.metadata.name);
    };
    for (const [i, object] of things.entries()) {
      pending.push(add(object));
      if (i % 2 === 1) take();
    }
    while (pending.size > 0) take();
    expect(told).toEqual(things.map((object) => object.metadata.name));
  });

  it('leaves a handler, however it lags, with a consistent story that ends in the present (P)', () => {
    // Each step: a key, and whether the object is created, updated or deleted (whatever applies).
    const step = fc.record({ key: fc.constantFrom('a', 'b', 'c'), remove: fc.boolean(), take: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: 'max' }), fc.integer({ min: 1, max: 6 }), (steps, limit) => {
        let missed = 0;
        const pending = new PendingChanges<Thing>(limit, (count) => {
          missed += count;
        });
        const truth = new Map<string, Thing>();
        const known = new Map<string, Thing>();
        let pushed = 0;
        let told = 0;
        const tell = (item: Item<Thing>): void => {
          if (item.type === 'bookmark' || item.type === 'synced') return;
          told += 1;
          const { name } = item.object.metadata;
          const before = known.get(name);
          if (item.type === 'add') {
            expect(before).toBeUndefined();
            known.set(name, item.object);
          } else if (item.type === 'update') {
            expect(item.previous).toBe(before);
            expect(item.object.metadata.uid).toBe(before?.metadata.uid);
            known.set(name, item.object);
          } else {
            expect(before?.metadata.uid).toBe(item.object.metadata.uid);
            known.delete(name);
          }
        };
        steps.forEach(({ key, remove: gone, take }, i) => {
          const before = truth.get(key);
          if (gone && before !== undefined) {
            truth.delete(key);
            pending.push(remove(before));
            pushed += 1;
          } else if (!gone) {
            const object = thing({ name: key, rv: i + 1, uid: before?.metadata.uid ?? `uid-${i}` });
            truth.set(key, object);
            pending.push(before === undefined ? add(object) : update(object, before));
            pushed += 1;
          }
          expect(pending.size).toBeLessThanOrEqual(Math.max(limit, 6) + 1);
          for (let n = 0; n < take - 1; n++) {
            const item = pending.shift();
            if (item !== undefined) tell(item);
          }
        });
        for (const item of drain(pending)) tell(item);
        expect(known).toEqual(truth);
        expect(told + missed).toBe(pushed);
      }),
      { numRuns: 300 },
    );
  });
});
