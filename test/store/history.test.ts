/** What outlives the window, and what the window keeps whatever a type wants. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defineResource, isExpired, isNotFound } from '../../src/schemas/index.js';
import { memoryEngine, openStore, sleep } from '../../src/store/index.js';
import type { Store } from '../../src/store/index.js';
import { StoreModel } from '../../src/testing/conformance/store-model.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import { virtualDeps } from '../../src/testing/index.js';
import type { VirtualDeps } from '../../src/testing/index.js';
import { runOn, seen, step } from './model.js';
import { engines, onStorage, take } from './on-engines.js';
import { pumped } from './repos/setup.js';

const spec = { type: 'object', properties: { n: { type: 'integer' } } } as const;
const status = { type: 'object', properties: { seen: { type: 'integer' } } } as const;
const Three = defineResource({ kind: 'Three', spec, status, history: { maxVersions: 3 } });
const Hour = defineResource({ kind: 'Hour', spec, history: { maxVersions: 1000, maxAge: '1h' } });
const None = defineResource({ kind: 'None', spec, history: false });

const versions = async (
  store: Store,
  type: typeof Three | typeof Hour | typeof None,
  name = 'a',
): Promise<[string, number | undefined][]> =>
  (await store.getHistory(type, 'prod', name)).map(({ change, resource }) => [change, resource.spec?.n]);

/** A memory store in virtual time. */
function virtually(body: (store: Store, deps: VirtualDeps) => Promise<void>): () => Promise<void> {
  return async () => {
    const deps = virtualDeps({ seed: 5 });
    await pumped(
      deps,
      (async () => {
        await using store = await openStore({ engine: memoryEngine(), deps });
        await body(store, deps);
      })(),
    );
  };
}

describe.each(engines)('history on the %s engine', (engine) => {
  it(
    'keeps as many generations below the window as the type says',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await store.create(Three, 'prod', 'a', { spec: { n: 0 } });
      for (let n = 1; n < 10; n += 1) await store.update(Three, 'prod', 'a', { spec: { n } });
      expect(await versions(store, Three)).toHaveLength(10);
      await store.compact(store.revision);
      expect(await versions(store, Three)).toEqual([
        ['updated', 9],
        ['updated', 8],
        ['updated', 7],
      ]);
    }),
  );

  it(
    'counts versions that differ in status only as one, and keeps the newest of them',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await store.create(Three, 'prod', 'a', { spec: { n: 0 } });
      for (let n = 1; n < 6; n += 1) {
        await store.update(Three, 'prod', 'a', { spec: { n } });
        for (let turn = 0; turn < 4; turn += 1)
          await store.update(Three, 'prod', 'a', { spec: { n }, status: { seen: n * 10 + turn } }, { subresource: 'status' });
      }
      await store.compact(store.revision);
      const kept = await store.getHistory(Three, 'prod', 'a');
      expect(kept.map(({ resource }) => [resource.spec.n, resource.status?.seen])).toEqual([
        [5, 53],
        [4, 43],
        [3, 33],
      ]);
      expect(kept.map(({ generation }) => generation)).toEqual([6, 5, 4]);
    }),
  );

  it(
    'never lets a type prune what the window shows',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const revisions: string[] = [];
      for (const type of [Three, None]) await store.create(type, 'prod', 'a', { spec: { n: 0 } });
      for (let n = 1; n <= 8; n += 1) {
        for (const type of [Three, None]) await store.update(type, 'prod', 'a', { spec: { n } });
        revisions.push(store.revision);
      }
      await store.compact(revisions[3]!);
      for (let n = 4; n <= 8; n += 1) {
        for (const type of [Three, None]) {
          const { spec: then } = await store.get(type, 'prod', 'a', { resourceVersion: revisions[n - 1]! });
          expect(then?.n, `${type.kind} at ${revisions[n - 1]}`).toBe(n);
        }
      }
      const events = await take(store.watch('*', undefined, { since: revisions[3]! }), 8);
      expect(
        events.map((event) => (event.type === 'UPDATED' ? (event.previous as unknown as { spec: { n: number } }).spec.n : event.type)),
      ).toEqual([4, 4, 5, 5, 6, 6, 7, 7]);
      await expect(store.get(Three, 'prod', 'a', { resourceVersion: revisions[2]! })).rejects.toSatisfy(isExpired);
    }),
  );

  it(
    'keeps nothing below the window for a type without history, and nothing at all of what was deleted',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      for (const name of ['a', 'gone']) {
        await store.create(None, 'prod', name, { spec: { n: 0 } });
        for (let n = 1; n < 4; n += 1) await store.update(None, 'prod', name, { spec: { n } });
      }
      await store.delete(None, 'prod', 'gone');
      await store.compact(store.revision);
      expect(await versions(store, None)).toEqual([['updated', 3]]);
      expect(await versions(store, None, 'gone')).toEqual([]);
      expect((await store.get(None, 'prod', 'a')).spec?.n).toBe(3);
      expect((await store.verify()).problems).toEqual([]);
    }),
  );

  it(
    'tells deletes and new beginnings apart, and rolls back to a version of an earlier life',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const first = await store.create(Three, 'prod', 'a', { spec: { n: 1 } });
      await store.delete(Three, 'prod', 'a');
      await store.compact(store.revision);
      const second = await store.create(Three, 'prod', 'a', { spec: { n: 2 } });
      expect(second.metadata.uid).not.toBe(first.metadata.uid);
      expect(await versions(store, Three)).toEqual([
        ['created', 2],
        ['deleted', 1],
        ['created', 1],
      ]);
      const back = await store.rollback(Three, 'prod', 'a', first.metadata.resourceVersion);
      expect([back.spec.n, back.metadata.uid, back.metadata.generation]).toEqual([1, second.metadata.uid, 2]);
      expect(Number(back.metadata.resourceVersion)).toBeGreaterThan(Number(second.metadata.resourceVersion));
      await expect(store.rollback(Three, 'prod', 'a', '1000')).rejects.toSatisfy(isNotFound);
      await store.delete(Three, 'prod', 'a');
      await expect(store.rollback(Three, 'prod', 'a', first.metadata.resourceVersion)).rejects.toSatisfy(isNotFound);
    }),
  );

  it(
    'shows at and above the compaction revision what was there before, wherever that lies',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await store.create(Three, 'prod', 'a', { spec: { n: 1 } });
      await store.update(Three, 'prod', 'a', { spec: { n: 2 } });
      await store.delete(Three, 'prod', 'a');
      const deleted = Number(store.revision);
      await store.create(Three, 'prod', 'a', { spec: { n: 3 } });
      await store.delete(Three, 'prod', 'a');
      for (const at of [deleted - 1, deleted, deleted + 1]) {
        await store.compact(String(at));
        const list = await store.list(Three, 'prod', { resourceVersion: String(at) });
        expect(
          list.items.map(({ spec: { n } }) => n),
          `list at ${at}`,
        ).toEqual(at === deleted ? [] : [at === deleted - 1 ? 2 : 3]);
        await expect(store.list(Three, 'prod', { resourceVersion: String(at - 1) })).rejects.toSatisfy(isExpired);
        expect(() => store.watch(Three, 'prod', { since: String(at - 1) })).toThrow(
          expect.objectContaining({ reason: 'Expired', compactedRevision: String(at) }),
        );
        const events = await take(store.watch(Three, 'prod', { since: String(at) }), deleted + 2 - at);
        expect(events.map(({ type, resourceVersion }) => [type, Number(resourceVersion)])).toEqual(
          (
            [
              ['DELETED', deleted],
              ['CREATED', deleted + 1],
              ['DELETED', deleted + 2],
            ] as [string, number][]
          ).filter(([, revision]) => revision > at),
        );
      }
    }),
  );
});

describe('history in time', () => {
  it(
    'drops by age what a type says, and keeps what shows the present',
    virtually(async (store, deps) => {
      await store.create(Hour, 'prod', 'a', { spec: { n: 0 } });
      for (let n = 1; n <= 5; n += 1) {
        await sleep(deps, '20m');
        await store.update(Hour, 'prod', 'a', { spec: { n } });
      }
      await store.compact(store.revision);
      expect(await versions(store, Hour)).toEqual([
        ['updated', 5],
        ['updated', 4],
        ['updated', 3],
        ['updated', 2],
      ]);
      await sleep(deps, '5h');
      await store.create(Hour, 'prod', 'other', { spec: { n: 0 } });
      await store.compact(store.revision);
      expect(await versions(store, Hour)).toEqual([['updated', 5]]);
      expect((await store.get(Hour, 'prod', 'a')).spec?.n).toBe(5);
    }),
  );

  it(
    'reaches by age what nobody writes any more',
    virtually(async (store, deps) => {
      for (const name of ['a', 'b']) {
        await store.create(Hour, 'prod', name, { spec: { n: 0 } });
        await store.update(Hour, 'prod', name, { spec: { n: 1 } });
      }
      await store.delete(Hour, 'prod', 'b');
      await sleep(deps, '10m');
      await store.create(Hour, 'prod', 'c', { spec: { n: 0 } });
      await sleep(deps, '10m');
      expect(await versions(store, Hour)).toHaveLength(2);
      await sleep(deps, '2h');
      await store.create(Hour, 'prod', 'd', { spec: { n: 0 } });
      await sleep(deps, '10m');
      expect(await versions(store, Hour)).toEqual([['updated', 1]]);
      expect((await store.get(Hour, 'prod', 'a')).spec?.n).toBe(1);
      expect(await versions(store, Hour, 'b')).toEqual([]);
    }),
  );

  it(
    'trails the present by the time of the window, also for objects that are never written again',
    virtually(async (store, deps) => {
      await store.create(Three, 'prod', 'a', { spec: { n: 0 } });
      await sleep(deps, '4m');
      await store.update(Three, 'prod', 'a', { spec: { n: 1 } });
      await sleep(deps, '50s');
      expect((await store.stats()).compactRevision).toBe('0');
      expect((await store.get(Three, 'prod', 'a', { resourceVersion: '1' })).spec.n).toBe(0);
      await sleep(deps, '5m');
      expect((await store.stats()).compactRevision).toBe('2');
    }),
  );

  it('trails the present by the bytes of the window, where those are reached first', async () => {
    const deps = virtualDeps({ seed: 6 });
    await pumped(
      deps,
      (async () => {
        await using store = await openStore({ engine: memoryEngine(), deps, window: { bytes: 200_000 } });
        await store.create(Widget, 'prod', 'a', { spec: { size: 0, node: 'x'.repeat(1000) } });
        for (let size = 1; size < 1000; size += 1) await store.update(Widget, 'prod', 'a', { spec: { size, node: 'x'.repeat(1000) } });
        await sleep(deps, '60s');
        const { compactRevision, windowBytes } = await store.stats();
        expect(Number(windowBytes)).toBeLessThanOrEqual(220_000);
        expect(Number(compactRevision)).toBeGreaterThan(700);
        expect(Number(compactRevision)).toBeLessThan(950);
      })(),
    );
  });
});

describe.each([
  ['memory', 1],
  ['lmdb', 8],
] as const)('compaction against the model on the %s engine', (engine, fewer) => {
  it('changes nothing at or above its revision, in any history', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 3, maxLength: 25 }),
        fc.array(fc.nat(100), { minLength: 1, maxLength: 3 }),
        async (steps, places) => {
          await onStorage(engine, async ({ open }) => {
            const store = await open({ ring: { events: 1 } });
            const model = new StoreModel();
            for (const each of steps) {
              await runOn(store, each);
              model.run(each);
            }
            for (const place of places.toSorted((a, b) => a - b)) {
              const at = Math.floor((place / 100) * model.revision);
              await store.compact(String(at));
              for (let revision = at; revision <= model.revision; revision += 1) {
                const list = await store.list(Widget, 'prod', { resourceVersion: String(revision) });
                expect(list.items.map((widget) => [widget.metadata.name, seen(widget).revision, seen(widget).size])).toEqual(
                  [...model.states[revision]!]
                    .toSorted(([a], [b]) => (a < b ? -1 : 1))
                    .map(([name, object]) => [name, object.revision, object.size]),
                );
              }
              const wanted = model.events.filter((event) => event.revision > at);
              const events = await take(store.watch(Widget, 'prod', { since: String(at) }), wanted.length);
              expect(events.map(({ resourceVersion }) => Number(resourceVersion))).toEqual(wanted.map(({ revision }) => revision));
              expect((await store.verify()).problems).toEqual([]);
            }
          })();
        },
      ),
      { numRuns: Math.ceil(60 / fewer) },
    );
  });
});
