/**
 * Conformance of the past: reads and pages at every revision, history, rollback, compaction.
 */
import assert from 'node:assert/strict';
import { isConflict, isExpired, isInvalid, isNotFound } from '../../schemas/index.js';
import type { Store } from '../../store/index.js';
import { names } from './store-kit.js';
import type { Case } from './store-kit.js';
import { Widget } from './store-widget.js';
import type { Runner } from './suite.js';

const isBad = (error: unknown): boolean => (error as { reason?: string }).reason === 'BadRequest';

/** Writes of every sort, and after each of them what is there: index 0 is the empty store. */
async function recorded(store: Store): Promise<{ readonly at: string; readonly items: readonly Widget[] }[]> {
  const states: { at: string; items: readonly Widget[] }[] = [{ at: store.revision, items: [] }];
  const steps: (() => Promise<unknown>)[] = [
    () => store.create(Widget, 'prod', 'a', { metadata: { labels: { v: '1' } }, spec: { size: 1 } }),
    () => store.create(Widget, 'dev', 'b', { spec: { size: 2 } }),
    () => store.create('other', 'prod', 'a', { any: 1 }),
    () => store.update(Widget, 'prod', 'a', { metadata: { labels: { v: '2' } }, spec: { size: 3 } }),
    () => store.update(Widget, 'prod', 'a', { status: { ready: true } } as never, { subresource: 'status' }),
    () => store.delete(Widget, 'dev', 'b'),
    () =>
      store.transaction(async (tx) => {
        await tx.create(Widget, 'dev', 'b', { spec: { size: 4 } });
        await tx.create(Widget, 'prod', 'c', { metadata: { finalizers: ['example.com/hold'] }, spec: { size: 5 } });
        await tx.patch(Widget, 'prod', 'a', { spec: { size: 6 } });
      }),
    () => store.delete(Widget, 'prod', 'c'),
    () => store.patch(Widget, 'prod', 'c', { metadata: { finalizers: null } }),
    () => store.apply(Widget, 'prod', 'd', { spec: { size: 7 } }),
    () => store.deleteCollection(Widget, 'prod', { labelSelector: 'v=2' }),
  ];
  for (const step of steps) {
    await step();
    states.push({ at: store.revision, items: (await store.list(Widget)).items });
  }
  return states;
}

export function timeCases({ describe, it }: Runner, on: Case): void {
  describe('the past', () => {
    it(
      'is shown at every revision of a run as it was: lists, pages and single objects, of all namespaces and of one',
      on(async (store) => {
        const states = await recorded(store);
        for (const { at: resourceVersion, items } of states) {
          const list = await store.list(Widget, undefined, { resourceVersion });
          assert.deepEqual([list.items, list.resourceVersion], [items, resourceVersion], `at ${resourceVersion}`);
          assert.deepEqual(
            names((await store.list(Widget, 'prod', { resourceVersion })).items),
            names(items).filter((name) => name.startsWith('prod/')),
          );
          const paged: Widget[] = [];
          let page = await store.list(Widget, undefined, { resourceVersion, limit: 1 });
          paged.push(...page.items);
          while (page.continue !== undefined) {
            page = await store.list(Widget, undefined, { limit: 1, continue: page.continue });
            paged.push(...page.items);
          }
          assert.deepEqual(paged, items, `pages at ${resourceVersion}`);
          for (const place of ['prod/a', 'dev/b', 'prod/c', 'prod/d']) {
            const [namespace, name] = place.split('/') as [string, string];
            const then = items.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
            const getting = store.get(Widget, namespace, name, { resourceVersion });
            if (then === undefined) await assert.rejects(getting, isNotFound, `${place} at ${resourceVersion}`);
            else assert.deepEqual(await getting, then, `${place} at ${resourceVersion}`);
          }
        }
      }),
    );
    it(
      'can be selected from, filtered and sorted as the present can',
      on(async (store) => {
        await recorded(store);
        const at = '5';
        assert.deepEqual(names((await store.list(Widget, undefined, { resourceVersion: at, labelSelector: 'v=2' })).items), ['prod/a']);
        assert.deepEqual(names((await store.list(Widget, undefined, { resourceVersion: at, fieldSelector: 'spec.size=2' })).items), [
          'dev/b',
        ]);
        assert.deepEqual(
          names(
            (await store.list(Widget, undefined, { resourceVersion: at, sortBy: { path: 'spec.size', as: 'number', order: 'desc' } }))
              .items,
          ),
          ['prod/a', 'dev/b'],
        );
        assert.deepEqual((await store.list(Widget, undefined, { resourceVersion: at, filter: ({ spec }) => spec.size > 9 })).items, []);
        assert.equal((await store.list(Widget, undefined, { labelSelector: 'v=2' })).items.length, 0);
      }),
    );
    it(
      'ends at the compaction revision, exactly: at it and above everything is as before, below it all is Expired',
      on(async (store) => {
        const states = await recorded(store);
        const { continue: token } = await store.list(Widget, undefined, { resourceVersion: states[2]!.at, limit: 1 });
        for (const place of [4, 6, 7, 10]) {
          const { at: edge } = states[place]!;
          await store.compact(edge);
          for (const { at: resourceVersion, items } of states) {
            const listing = store.list(Widget, undefined, { resourceVersion });
            if (Number(resourceVersion) >= Number(edge)) assert.deepEqual((await listing).items, items, `${resourceVersion} of ${edge}`);
            else {
              await assert.rejects(
                listing,
                (error: unknown) => isExpired(error) && error.compactedRevision === edge && error.currentRevision === store.revision,
              );
              await assert.rejects(store.get(Widget, 'prod', 'a', { resourceVersion }), isExpired);
              assert.throws(() => store.watch(Widget, undefined, { since: resourceVersion }), isExpired);
            }
          }
          await store.compact(edge);
          await store.compact('0');
          assert.equal((await store.stats()).compactRevision, edge, 'what is compacted stays so');
        }
        await assert.rejects(store.list(Widget, undefined, { continue: token }), isExpired);
        await assert.rejects(store.compact(String(Number(store.revision) + 1)), isBad);
        assert.deepEqual((await store.verify()).problems, []);
      }),
    );
  });

  describe('the history of an object', () => {
    it(
      'can be paged by limit and before, and tells each life of a name',
      on(async (store) => {
        for (let life = 0; life < 3; life += 1) {
          await store.create(Widget, 'prod', 'a', { spec: { size: life } });
          await store.update(Widget, 'prod', 'a', { spec: { size: life + 10 } });
          await store.delete(Widget, 'prod', 'a');
        }
        const whole = await store.getHistory(Widget, 'prod', 'a');
        assert.deepEqual(
          whole.map(({ change, resource }) => `${change} ${resource.spec.size}`),
          [2, 1, 0].flatMap((life) => [`deleted ${life + 10}`, `updated ${life + 10}`, `created ${life}`]),
        );
        assert.equal(new Set(whole.map(({ resource }) => resource.metadata.uid)).size, 3);
        for (const limit of [1, 2, 4, 9, 10]) {
          const paged: unknown[] = [];
          let before: string | undefined;
          for (;;) {
            const page = await store.getHistory(Widget, 'prod', 'a', { limit, ...(before === undefined ? {} : { before }) });
            if (page.length === 0) break;
            assert.ok(page.length <= limit);
            paged.push(...page);
            before = page.at(-1)!.version;
          }
          assert.deepEqual(paged, whole, `by ${limit}`);
        }
        assert.deepEqual(await store.getHistory(Widget, 'prod', 'a', { before: '1' }), []);
        assert.deepEqual(await store.getHistory(Widget, 'prod', 'none'), []);
        assert.equal((await store.getVersion(Widget, 'prod', 'a', whole[0]!.version)).spec.size, 12, 'a deletion shows the last state');
      }),
    );
    it(
      'is of one type and namespace, and its versions are not for changing',
      on(async (store) => {
        for (const [type, namespace] of [
          [Widget, 'prod'],
          [Widget, 'production'],
          ['widget2', 'prod'],
        ] as const)
          await store.create(type, namespace, 'a', { spec: { size: 1 } });
        const [only, ...more] = await store.getHistory(Widget, 'prod', 'a');
        assert.deepEqual([only!.resource.metadata.namespace, only!.resource.kind, more], ['prod', 'Widget', []]);
        assert.throws(() => {
          (only!.resource.spec as { size: number }).size = 3;
        }, TypeError);
        await assert.rejects(store.getVersion(Widget, 'prod', 'a', '2'), isNotFound);
      }),
    );
    it(
      'tells status writes by their generation',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        await store.update(Widget, 'prod', 'a', { status: { ready: true } } as never, { subresource: 'status' });
        await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
        await store.update(Widget, 'prod', 'a', { status: { ready: false } } as never, { subresource: 'status' });
        assert.deepEqual(
          (await store.getHistory(Widget, 'prod', 'a')).map(({ generation, resource }) => [
            generation,
            resource.spec.size,
            resource.status,
          ]),
          [
            [2, 2, { ready: false }],
            [2, 2, { ready: true }],
            [1, 1, { ready: true }],
            [1, 1, undefined],
          ],
        );
      }),
    );
  });

  describe('rollback', () => {
    it(
      'goes back and forth, each time as a new generation, and to what is there already without a write',
      on(async (store) => {
        const first = await store.create(Widget, 'prod', 'a', { spec: { size: 1, node: 'n1' } });
        const second = await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
        const back = await store.rollback(Widget, 'prod', 'a', first.metadata.resourceVersion, { source: 'undo' });
        assert.deepEqual([back.spec, back.metadata.generation], [{ size: 1, color: 'red', node: 'n1' }, 3]);
        const forth = await store.rollback(Widget, 'prod', 'a', second.metadata.resourceVersion);
        assert.deepEqual([forth.spec, forth.metadata.generation], [{ size: 2, color: 'red' }, 4]);
        const before = store.revision;
        assert.deepEqual(await store.rollback(Widget, 'prod', 'a', second.metadata.resourceVersion), forth);
        assert.deepEqual(await store.rollback(Widget, 'prod', 'a', forth.metadata.resourceVersion), forth);
        assert.equal(store.revision, before);
        assert.equal((await store.getHistory(Widget, 'prod', 'a'))[1]!.source, 'undo');
      }),
    );
    it(
      'holds its preconditions and the rules of writing, and needs the object and the version to be there',
      on(async (store) => {
        const first = await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        const second = await store.update(Widget, 'prod', 'a', { spec: { size: 2, fixed: 'x' } });
        const { resourceVersion, uid } = first.metadata;
        await assert.rejects(store.rollback(Widget, 'prod', 'a', resourceVersion), isInvalid, 'spec.fixed cannot change');
        await store.delete(Widget, 'prod', 'a');
        await assert.rejects(store.rollback(Widget, 'prod', 'a', resourceVersion), isNotFound);
        const again = await store.create(Widget, 'prod', 'a', { spec: { size: 3 } });
        for (const preconditions of [{ uid }, { resourceVersion: second.metadata.resourceVersion }])
          await assert.rejects(store.rollback(Widget, 'prod', 'a', resourceVersion, { preconditions }), isConflict);
        for (const version of ['0', '99']) await assert.rejects(store.rollback(Widget, 'prod', 'a', version), isNotFound);
        await assert.rejects(store.rollback(Widget, 'prod', 'a', 'first'), isBad);
        assert.deepEqual(await store.get(Widget, 'prod', 'a'), again);
        const { metadata } = again;
        const back = await store.rollback(Widget, 'prod', 'a', resourceVersion, {
          preconditions: { uid: metadata.uid, resourceVersion: metadata.resourceVersion },
        });
        assert.deepEqual(
          [back.spec.size, back.metadata.uid, back.metadata.creationTimestamp],
          [1, metadata.uid, metadata.creationTimestamp],
        );
      }),
    );
  });
}
