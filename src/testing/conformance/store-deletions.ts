/**
 * Conformance of deletion: propagation, preconditions, collections, namespaces that go away.
 */
import assert from 'node:assert/strict';
import { isConflict, isForbidden, isInvalid, isNotFound } from '../../schemas/index.js';
import { fill, names, take } from './store-kit.js';
import type { Case } from './store-kit.js';
import { Widget } from './store-widget.js';
import type { Runner } from './suite.js';

export function deletionCases({ describe, it }: Runner, on: Case): void {
  describe('deletion', () => {
    it(
      'marks what is to be deleted in the foreground or orphaned, as Kubernetes does, and removes the rest at once',
      on(async (store) => {
        for (const [propagation, finalizers] of [
          ['foreground', ['foregroundDeletion']],
          ['orphan', ['orphan']],
        ] as const) {
          await store.create(Widget, 'prod', propagation, { spec: { size: 1 } });
          const marked = await store.delete(Widget, 'prod', propagation, { propagation });
          assert.deepEqual(marked.metadata.finalizers, finalizers);
          assert.notEqual(marked.metadata.deletionTimestamp, undefined);
          await store.patch(Widget, 'prod', propagation, { metadata: { finalizers: null } });
          await assert.rejects(store.get(Widget, 'prod', propagation), isNotFound);
        }
        for (const options of [{}, { propagation: 'background' }] as const) {
          await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
          await store.delete(Widget, 'prod', 'a', options);
          await assert.rejects(store.get(Widget, 'prod', 'a'), isNotFound);
        }
        await store.create(Widget, 'prod', 'a', { metadata: { finalizers: ['example.com/hold', 'orphan'] }, spec: { size: 1 } });
        assert.deepEqual((await store.delete(Widget, 'prod', 'a', { propagation: 'orphan' })).metadata.finalizers, [
          'example.com/hold',
          'orphan',
        ]);
        await assert.rejects(store.delete(Widget, 'prod', 'a', { propagation: 'Orphan' as never }), isInvalid);
      }),
    );
    it(
      'needs every one of its preconditions, and is told as such',
      on(async (store) => {
        const first = await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        const second = await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
        const uid = second.metadata.uid;
        const { resourceVersion } = second.metadata;
        for (const preconditions of [
          { uid: '00000000-0000-4000-8000-000000000000' },
          { resourceVersion: first.metadata.resourceVersion },
          { uid, resourceVersion: '0' },
          { uid: '00000000-0000-4000-8000-000000000000', resourceVersion },
          { uid: '' },
        ])
          await assert.rejects(store.delete(Widget, 'prod', 'a', { preconditions }), isConflict, JSON.stringify(preconditions));
        assert.deepEqual(await store.get(Widget, 'prod', 'a'), second);
        const gone = await store.delete(Widget, 'prod', 'a', { preconditions: { uid, resourceVersion } });
        assert.deepEqual([gone.spec, gone.metadata.uid], [second.spec, uid]);
      }),
    );
    it(
      'ends with the write that removes the last finalizer, by whichever verb, and not before',
      on(async (store) => {
        const verbs = {
          update: () => store.update(Widget, 'prod', 'update', { metadata: { finalizers: [] }, spec: { size: 1 } }),
          patch: () => store.patch(Widget, 'prod', 'patch', [{ op: 'remove', path: '/metadata/finalizers' }]),
          modify: () => store.modify(Widget, 'prod', 'modify', (draft) => void delete draft.metadata.finalizers),
          transaction: () => store.transaction((tx) => tx.patch(Widget, 'prod', 'transaction', { metadata: { finalizers: [] } })),
        };
        for (const [name, release] of Object.entries(verbs)) {
          await store.create(Widget, 'prod', name, { metadata: { finalizers: ['example.com/a', 'example.com/b'] }, spec: { size: 1 } });
          await store.delete(Widget, 'prod', name);
          await store.patch(Widget, 'prod', name, { metadata: { finalizers: ['example.com/b'] } });
          const watch = store.watch(Widget, 'prod');
          await release();
          const [event] = await take(watch, 1);
          assert.deepEqual([event!.type, 'name' in event! && event.name], ['DELETED', name]);
          await watch.close();
          await assert.rejects(store.get(Widget, 'prod', name), isNotFound);
        }
      }),
    );
    it(
      'of a collection takes what is selected by label and field, marks what is held, and names its source',
      on(async (store) => {
        await fill(store, 12);
        await store.patch(Widget, 'prod', 'w0001', { metadata: { finalizers: ['example.com/hold'] } });
        const watch = store.watch(Widget, 'prod');
        const { deleted, resourceVersion } = await store.deleteCollection(Widget, 'prod', {
          labelSelector: 'even=false',
          fieldSelector: 'spec.node=n1',
          source: 'sweeper',
        });
        assert.deepEqual([deleted, resourceVersion], [3, store.revision]);
        const events = await take(watch, 3);
        assert.deepEqual(events.map((event) => [event.type, 'source' in event && event.source]).sort(), [
          ['DELETED', 'sweeper'],
          ['DELETED', 'sweeper'],
          ['UPDATED', 'sweeper'],
        ]);
        await watch.close();
        const left = names((await store.list(Widget, 'prod')).items);
        assert.equal(left.length, 10);
        assert.ok(left.includes('prod/w0001') && !left.includes('prod/w0005') && !left.includes('prod/w0009'));
        assert.equal((await store.deleteCollection(Widget, 'prod', { propagation: 'foreground' })).deleted, 10);
        assert.equal(
          (await store.list(Widget, 'prod')).items.every(({ metadata }) => metadata.deletionTimestamp !== undefined),
          true,
        );
        assert.equal((await store.deleteCollection(Widget, 'none')).deleted, 0);
      }),
    );
    it(
      'of a namespace keeps everything else of that name, and lets nothing be made in it by any verb while it lasts',
      on(async (store) => {
        await store.create('namespace', undefined, 'prod', { metadata: { finalizers: ['example.com/hold'] } });
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        await store.create(Widget, 'production', 'a', { spec: { size: 1 } });
        await store.delete('namespace', undefined, 'prod');
        for (const make of [
          () => store.create(Widget, 'prod', 'b', { spec: { size: 1 } }),
          () => store.create(Widget, 'prod', undefined, { metadata: { generateName: 'b-' }, spec: { size: 1 } }),
          () => store.apply(Widget, 'prod', 'b', { spec: { size: 1 } }),
          () => store.transaction((tx) => tx.create(Widget, 'prod', 'b', { spec: { size: 1 } })),
          () => store.transaction((tx) => tx.apply(Widget, 'prod', 'b', { spec: { size: 1 } })),
        ])
          await assert.rejects(make, isForbidden, String(make));
        await store.create(Widget, 'production', 'b', { spec: { size: 1 } });
        await store.apply(Widget, 'prod', 'a', { spec: { size: 2 } });
        await store.delete(Widget, 'prod', 'a');
        await store.patch('namespace', undefined, 'prod', { metadata: { finalizers: null } });
        await store.create(Widget, 'prod', 'b', { spec: { size: 1 } });
      }),
    );
    it(
      'of a namespace is seen by the transaction that does it, and stops one that is about to make something in it',
      on(async (store) => {
        const held = { metadata: { finalizers: ['example.com/hold'] } };
        await store.create('namespace', undefined, 'prod', held);
        await assert.rejects(
          store.transaction(async (tx) => {
            await tx.delete('namespace', undefined, 'prod');
            await tx.create(Widget, 'prod', 'a', { spec: { size: 1 } });
          }),
          isForbidden,
        );
        assert.equal((await store.get('namespace', undefined, 'prod')).metadata.deletionTimestamp, undefined);
        let open!: () => void;
        let reached!: () => void;
        const gate = new Promise<void>((resolve) => (open = resolve));
        const there = new Promise<void>((resolve) => (reached = resolve));
        const making = store.transaction(async (tx) => {
          await tx.create(Widget, 'prod', 'a', { spec: { size: 1 } });
          reached();
          await gate;
        });
        const refused = assert.rejects(making, isForbidden);
        await there;
        await store.delete('namespace', undefined, 'prod');
        open();
        await refused;
        assert.deepEqual((await store.list(Widget)).items, []);
      }),
    );
  });
}
