/**
 * Conformance of reads: get, list, selectors, pages, history, time travel.
 */
import assert from 'node:assert/strict';
import { isExpired, isInvalid, isNotFound } from '../../schemas/index.js';
import { fill, names } from './store-kit.js';
import type { Case } from './store-kit.js';
import { Widget } from './store-widget.js';
import type { Runner } from './suite.js';

export function readCases({ describe, it }: Runner, on: Case): void {
  describe('list', () => {
    it(
      'keeps namespaces apart exactly, and every spelling of all means all',
      on(async (store) => {
        for (const namespace of ['prod', 'production', 'prod-1', 'prod2'])
          await store.create(Widget, namespace, 'a', { spec: { size: 1 } });
        assert.deepEqual(names((await store.list(Widget, 'prod')).items), ['prod/a']);
        for (const all of [undefined, '', '*', 'all']) assert.equal((await store.list(Widget, all)).items.length, 4, String(all));
        await store.create('widget2', 'prod', 'a', {});
        assert.equal((await store.list(Widget, 'prod')).items.length, 1);
      }),
    );
    it(
      'selects by label with =, !=, in, notin, exists and not exists',
      on(async (store) => {
        await fill(store, 12);
        await store.create(Widget, 'prod', 'bare', { spec: { size: 99 } });
        const count = async (labelSelector: string): Promise<number> => (await store.list(Widget, 'prod', { labelSelector })).items.length;
        assert.equal(await count('even=true'), 6);
        assert.equal(await count('even!=true'), 7);
        assert.equal(await count('group in (g0, g1)'), 8);
        assert.equal(await count('group notin (g0)'), 9);
        assert.equal(await count('even'), 12);
        assert.equal(await count('!even'), 1);
        assert.equal(await count('even=true,group=g0'), 2);
        await assert.rejects(count('even='.repeat(2) + ')'), isInvalid);
      }),
    );
    it(
      'selects by field, filters, and sorts stably by text, number and date',
      on(async (store) => {
        await fill(store, 12);
        assert.equal((await store.list(Widget, 'prod', { fieldSelector: 'spec.node=n1' })).items.length, 3);
        assert.equal((await store.list(Widget, 'prod', { fieldSelector: 'spec.node!=n1,metadata.namespace=prod' })).items.length, 9);
        assert.equal((await store.list(Widget, 'prod', { filter: (widget) => widget.spec.size > 8 })).items.length, 3);
        const down = await store.list(Widget, 'prod', { sortBy: { path: 'spec.size', as: 'number', order: 'desc' } });
        assert.deepEqual(
          down.items.map((widget) => widget.spec.size),
          [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
        );
        const grouped = await store.list(Widget, 'prod', { sortBy: 'metadata.labels.group' });
        assert.deepEqual(
          grouped.items.map((widget) => widget.spec.size),
          [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11],
        );
        await assert.rejects(store.list(Widget, 'prod', { sortBy: 'spec.size', limit: 2 }), isInvalid);
        await store.list(Widget, 'prod', { sortBy: 'metadata.name', limit: 2 });
      }),
    );
    it(
      'finds by declared field what a full scan finds, also after updates and deletes',
      on(async (store) => {
        await fill(store, 12);
        await store.patch(Widget, 'prod', 'w0001', { spec: { node: 'n3' } });
        await store.patch(Widget, 'prod', 'w0005', { spec: { node: null } });
        await store.delete(Widget, 'prod', 'w0009');
        for (const node of ['n0', 'n1', 'n2', 'n3', 'none']) {
          const indexed = await store.list(Widget, undefined, { fieldSelector: { 'spec.node': node } });
          const scanned = await store.list(Widget, undefined, { filter: (widget) => widget.spec.node === node });
          assert.deepEqual(names(indexed.items).sort(), names(scanned.items), node);
        }
      }),
    );
    it(
      'pages through one revision while writers run',
      on(async (store) => {
        await fill(store, 25);
        const expected = names((await store.list(Widget, 'prod')).items);
        const seen: string[] = [];
        let token: string | undefined;
        let first: string | undefined;
        let pages = 0;
        do {
          const page = await store.list(Widget, 'prod', { limit: 7, ...(token === undefined ? {} : { continue: token }) });
          first ??= page.resourceVersion;
          assert.equal(page.resourceVersion, first);
          if (page.continue !== undefined) assert.equal(page.remaining, expected.length - seen.length - page.items.length);
          seen.push(...names(page.items));
          token = page.continue;
          await store.create(Widget, 'prod', `new-${seen.length}`, { spec: { size: 1 } });
          await store.delete(Widget, 'prod', `w00${24 - pages}`);
          pages += 1;
          await store.update(Widget, 'prod', 'w0000', { spec: { size: seen.length } });
        } while (token !== undefined);
        assert.deepEqual(seen, expected);
        await assert.rejects(store.list(Widget, 'prod', { continue: 'nonsense' }), /continue/);
        const page = await store.list(Widget, 'prod', { limit: 1 });
        await assert.rejects(store.list(Widget, 'other', { limit: 1, continue: page.continue! }), /another list/);
      }),
    );
    it(
      'finds an object by its uid, and another under the same name not',
      on(async (store) => {
        const made = await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        assert.equal((await store.getByUid(Widget, made.metadata.uid)).metadata.name, 'a');
        await store.delete(Widget, 'prod', 'a');
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        await assert.rejects(store.getByUid(Widget, made.metadata.uid), isNotFound);
      }),
    );
  });

  describe('history', () => {
    it(
      'tells versions newest first, with source and change, and outlives the delete',
      on(async (store) => {
        const made = await store.create(Widget, 'prod', 'a', { spec: { size: 1 } }, { source: 'one' });
        await store.update(Widget, 'prod', 'a', { spec: { size: 2 } }, { source: 'two' });
        await store.delete(Widget, 'prod', 'a', { source: 'three' });
        await store.create(Widget, 'prod', 'a', { spec: { size: 3 } });
        const history = await store.getHistory(Widget, 'prod', 'a');
        assert.deepEqual(
          history.map(({ change, source, resource }) => [change, source, resource.spec.size]),
          [
            ['created', undefined, 3],
            ['deleted', 'three', 2],
            ['updated', 'two', 2],
            ['created', 'one', 1],
          ],
        );
        assert.equal(history[3]!.version, made.metadata.resourceVersion);
        assert.deepEqual(await store.getVersion(Widget, 'prod', 'a', history[3]!.version), made);
        await assert.rejects(store.getVersion(Widget, 'prod', 'a', '999'), isNotFound);
        const [second] = await store.getHistory(Widget, 'prod', 'a', { limit: 1, before: history[0]!.version });
        assert.equal(second!.version, history[1]!.version);
      }),
    );
    it(
      'rolls the spec back as a new generation and leaves status and labels',
      on(async (store) => {
        const made = await store.create(Widget, 'prod', 'a', { metadata: { labels: { v: '1' } }, spec: { size: 1 } });
        await store.update(Widget, 'prod', 'a', { metadata: { labels: { v: '2' } }, spec: { size: 2 } });
        await store.update(Widget, 'prod', 'a', { status: { ready: true } } as never, { subresource: 'status' });
        const back = await store.rollback(Widget, 'prod', 'a', made.metadata.resourceVersion);
        assert.equal(back.spec.size, 1);
        assert.equal(back.metadata.generation, 3);
        assert.deepEqual(back.metadata.labels, { v: '2' });
        assert.deepEqual(back.status, { ready: true });
      }),
    );
    it(
      'gets and lists at a past revision what was there',
      on(async (store) => {
        await fill(store, 5);
        const then = store.revision;
        const before = await store.list(Widget, 'prod');
        await store.update(Widget, 'prod', 'w0001', { spec: { size: 100 } });
        await store.delete(Widget, 'prod', 'w0002');
        await store.create(Widget, 'prod', 'w0009', { spec: { size: 9 } });
        assert.deepEqual((await store.list(Widget, 'prod', { resourceVersion: then })).items, before.items);
        assert.equal((await store.get(Widget, 'prod', 'w0002', { resourceVersion: then })).spec.size, 2);
        await assert.rejects(store.get(Widget, 'prod', 'w0009', { resourceVersion: then }), isNotFound);
      }),
    );
    it(
      'waits for a revision that is still to come, and shows it',
      on(async (store) => {
        await fill(store, 3);
        const next = String(Number(store.revision) + 1);
        const reading = [
          store.get(Widget, 'prod', 'w0001', { resourceVersion: next }).then((widget) => widget.spec.size),
          store.list(Widget, 'prod', { resourceVersion: next }).then((list) => list.items.length),
        ];
        await store.update(Widget, 'prod', 'w0001', { spec: { size: 100 } });
        await store.create(Widget, 'prod', 'later', { spec: { size: 1 } });
        assert.deepEqual(await Promise.all(reading), [100, 3]);
      }),
    );
    it(
      'expires exactly below the compaction revision, also when that is a delete',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
        await store.delete(Widget, 'prod', 'a');
        const at = Number(store.revision);
        await store.create(Widget, 'prod', 'b', { spec: { size: 1 } });
        await store.compact(String(at));
        await assert.rejects(
          store.list(Widget, 'prod', { resourceVersion: String(at - 1) }),
          (error: unknown) => isExpired(error) && error.compactedRevision === String(at) && error.currentRevision === store.revision,
        );
        assert.throws(() => store.watch(Widget, 'prod', { since: String(at - 1) }), isExpired);
        assert.equal((await store.list(Widget, 'prod', { resourceVersion: String(at) })).items.length, 0);
        const watch = store.watch(Widget, 'prod', { since: String(at) });
        assert.equal((await watch.next()).value!.type, 'CREATED');
        await watch.close();
        assert.equal((await store.getHistory(Widget, 'prod', 'a')).at(-1)?.change, 'created', 'history below the window stays');
      }),
    );
  });
}
