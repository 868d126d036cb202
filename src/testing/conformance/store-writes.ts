/**
 * Conformance of writes: create, update, status, patch, apply, delete.
 */
import assert from 'node:assert/strict';
import { isAlreadyExists, isConflict, isForbidden, isInvalid, isNotFound, isTooLarge } from '../../schemas/index.js';
import type { Case } from './store-kit.js';
import { Widget, Zone } from './store-widget.js';
import type { Runner } from './suite.js';

export function writeCases({ describe, it }: Runner, on: Case): void {
  describe('create', () => {
    it(
      'stamps name, namespace, uid, generation 1, creationTimestamp and the revision of the write',
      on(async (store) => {
        const made = await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        assert.equal(made.metadata.name, 'a');
        assert.equal(made.metadata.namespace, 'prod');
        assert.equal(made.metadata.generation, 1);
        assert.match(made.metadata.uid, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
        assert.match(made.metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/);
        assert.equal(made.metadata.resourceVersion, store.revision);
        assert.equal(made.kind, 'Widget');
        assert.equal(made.apiVersion, 'conformance.rune.dev/v1');
        assert.deepEqual(made.spec, { size: 1, color: 'red' });
        assert.deepEqual(await store.get(Widget, 'prod', 'a'), made);
      }),
    );
    it(
      'refuses a name that exists, and writes nothing',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        const before = store.revision;
        await assert.rejects(store.create(Widget, 'prod', 'a', { spec: { size: 2 } }), isAlreadyExists);
        assert.equal(store.revision, before);
        assert.equal((await store.get(Widget, 'prod', 'a')).spec.size, 1);
      }),
    );
    it(
      'makes a name from generateName',
      on(async (store) => {
        const made = await store.create(Widget, 'prod', undefined, { metadata: { generateName: 'w-' }, spec: { size: 1 } });
        assert.match(made.metadata.name, /^w-[a-z0-9]{5}$/);
        assert.equal(made.metadata.generateName, 'w-');
        await assert.rejects(store.create(Widget, 'prod', undefined, { spec: { size: 1 } }), isInvalid);
      }),
    );
    it(
      'names every cause of an invalid object, and writes nothing',
      on(async (store) => {
        const before = store.revision;
        await assert.rejects(
          store.create(Widget, 'prod', 'a', {
            metadata: { labels: { 'bad key!': 'x' } },
            spec: { size: -1, color: 'pink', unknown: 1 },
          } as never),
          (error: unknown) => {
            assert.ok(isInvalid(error));
            const fields = error.causes.map((cause) => cause.field).join(' ');
            for (const field of ['spec.size', 'spec.color', 'spec.unknown', 'metadata.labels'])
              assert.ok(fields.includes(field), `${field} in ${fields}`);
            return true;
          },
        );
        assert.equal(store.revision, before);
      }),
    );
    it(
      'takes its input at the call',
      on(async (store) => {
        const input = { spec: { size: 1 } };
        const writing = store.create(Widget, 'prod', 'a', input);
        input.spec.size = 2;
        assert.equal((await writing).spec.size, 1);
        const other = await store.get(Widget, 'prod', 'a');
        other.spec.size = 9;
        assert.equal((await store.get(Widget, 'prod', 'a')).spec.size, 1);
      }),
    );
    it(
      'leaves the status to the status subresource',
      on(async (store) => {
        const made = await store.create(Widget, 'prod', 'a', { spec: { size: 1 }, status: { ready: true } });
        assert.equal(made.status, undefined);
      }),
    );
    it(
      'checks scope, names and sizes at their bounds',
      on(async (store) => {
        await assert.rejects(store.create(Widget, undefined, 'a', { spec: { size: 1 } }), /namespace/);
        await assert.rejects(store.create(Zone, 'prod', 'a', { spec: {} }), /cluster-scoped/);
        await store.create(Zone, undefined, 'eu', { spec: { region: 'x' } });
        await store.create(Widget, 'prod', 'n'.repeat(253), { spec: { size: 1 } });
        await assert.rejects(store.create(Widget, 'prod', 'n'.repeat(254), { spec: { size: 1 } }), isInvalid);
        await assert.rejects(store.create(Widget, 'all', 'a', { spec: { size: 1 } }), isInvalid);
        for (const name of ['', 'A', 'a/b', '..', 'a_b', '-a'])
          await assert.rejects(store.create(Widget, 'prod', name, { spec: { size: 1 } }), isInvalid, name);
        await assert.rejects(store.create(Widget, 'prod', 'big', { spec: { size: 1, node: 'x'.repeat(1024 * 1024) } }), isTooLarge);
      }),
    );
    it(
      'refuses keys that could reach a prototype',
      on(async (store) => {
        const hostile = JSON.parse('{"spec":{"size":1,"settings":{"__proto__":"x"}}}') as never;
        await assert.rejects(store.create(Widget, 'prod', 'a', hostile), isInvalid);
        await assert.rejects(store.create('plain', 'prod', 'a', JSON.parse('{"__proto__":{"polluted":true}}') as never), isInvalid);
        assert.equal(({} as { polluted?: boolean }).polluted, undefined);
      }),
    );
    it(
      'refuses creates in a namespace that is being deleted',
      on(async (store) => {
        await store.create('namespace', undefined, 'prod', { metadata: { finalizers: ['example.com/hold'] } });
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        await store.delete('namespace', undefined, 'prod');
        await assert.rejects(store.create(Widget, 'prod', 'b', { spec: { size: 1 } }), isForbidden);
        await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
      }),
    );
  });

  describe('update', () => {
    it(
      'applies to the latest without a resourceVersion, and conflicts with a stale one',
      on(async (store) => {
        const first = await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        const second = await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
        assert.ok(Number(second.metadata.resourceVersion) > Number(first.metadata.resourceVersion));
        await assert.rejects(
          store.update(Widget, 'prod', 'a', { ...first, spec: { size: 3 } }),
          (error: unknown) => isConflict(error) && error.currentRevision === second.metadata.resourceVersion,
        );
        assert.equal((await store.update(Widget, 'prod', 'a', { ...second, spec: { size: 3 } })).spec.size, 3);
        await assert.rejects(store.update(Widget, 'prod', 'missing', { spec: { size: 1 } }), isNotFound);
      }),
    );
    it(
      'raises the generation when the spec changes, and only then',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        assert.equal((await store.update(Widget, 'prod', 'a', { spec: { size: 2 } })).metadata.generation, 2);
        assert.equal(
          (await store.update(Widget, 'prod', 'a', { metadata: { labels: { a: 'b' } }, spec: { size: 2 } })).metadata.generation,
          2,
        );
        assert.equal(
          (await store.update(Widget, 'prod', 'a', { status: { ready: true } } as never, { subresource: 'status' })).metadata.generation,
          2,
        );
      }),
    );
    it(
      'keeps status and spec apart in both directions',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        await store.update(
          Widget,
          'prod',
          'a',
          { metadata: { labels: { ignored: 'yes' } }, spec: { size: 5 }, status: { ready: true } },
          { subresource: 'status' },
        );
        let now = await store.get(Widget, 'prod', 'a');
        assert.equal(now.spec.size, 1);
        assert.equal(now.metadata.labels, undefined);
        assert.deepEqual(now.status, { ready: true });
        await store.update(Widget, 'prod', 'a', { spec: { size: 2 }, status: { ready: false } });
        now = await store.get(Widget, 'prod', 'a');
        assert.equal(now.spec.size, 2);
        assert.deepEqual(now.status, { ready: true });
      }),
    );
    it(
      'makes no revision and no event when nothing changes',
      on(async (store) => {
        const made = await store.create(Widget, 'prod', 'a', { metadata: { labels: { a: 'b' } }, spec: { size: 1 } });
        const before = store.revision;
        const watch = store.watch(Widget, 'prod');
        assert.deepEqual(await store.update(Widget, 'prod', 'a', made), made);
        await store.update(Widget, 'prod', 'a', { spec: { color: 'red', size: 1 } });
        await store.patch(Widget, 'prod', 'a', { spec: { size: 1 } });
        await store.update(Widget, 'prod', 'a', {} as never, { subresource: 'status' });
        assert.equal(store.revision, before);
        await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
        const event = (await watch.next()).value!;
        assert.equal(event.resourceVersion, String(Number(before) + 1));
        await watch.close();
      }),
    );
    it(
      'never changes uid, creationTimestamp, name and namespace',
      on(async (store) => {
        const made = await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        const metadata = { ...made.metadata, resourceVersion: '' };
        await assert.rejects(
          store.update(Widget, 'prod', 'a', { metadata: { uid: '00000000-0000-4000-8000-000000000000' }, spec: { size: 2 } }),
          isConflict,
        );
        await assert.rejects(
          store.update(Widget, 'prod', 'a', { metadata: { creationTimestamp: '2020-01-01T00:00:00Z' }, spec: { size: 2 } }),
          isInvalid,
        );
        await assert.rejects(store.update(Widget, 'prod', 'a', { metadata: { name: 'b' }, spec: { size: 2 } }), isInvalid);
        await assert.rejects(store.update(Widget, 'prod', 'a', { metadata: { namespace: 'b' }, spec: { size: 2 } }), isInvalid);
        assert.equal((await store.get(Widget, 'prod', 'a')).metadata.uid, metadata.uid);
      }),
    );
    it(
      'asks the definition about changes, with the object before',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 1, fixed: 'x' } });
        await assert.rejects(
          store.update(Widget, 'prod', 'a', { spec: { size: 1, fixed: 'y' } }),
          (error: unknown) => isInvalid(error) && error.causes.some((cause) => cause.field === 'spec.fixed'),
        );
      }),
    );
    it(
      'is refused for an object that was deleted and made again',
      on(async (store) => {
        const old = await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        await store.delete(Widget, 'prod', 'a');
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        await assert.rejects(store.update(Widget, 'prod', 'a', { ...old, spec: { size: 2 } }), isConflict);
        await assert.rejects(store.update(Widget, 'prod', 'a', { metadata: { uid: old.metadata.uid }, spec: { size: 2 } }), isConflict);
        await assert.rejects(store.delete(Widget, 'prod', 'a', { preconditions: { uid: old.metadata.uid } }), isConflict);
      }),
    );
    it(
      'gives sixty-four writers of one object each their turn with modify',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 0 } });
        await Promise.all(
          Array.from({ length: 64 }, async () => {
            for (let index = 0; index < 5; index += 1) {
              await store.modify(Widget, 'prod', 'a', (draft) => {
                draft.spec.size += 1;
              });
            }
          }),
        );
        assert.equal((await store.get(Widget, 'prod', 'a')).spec.size, 320);
      }),
    );
    it(
      'writes nothing in a dry run but says what would be',
      on(async (store) => {
        const before = store.revision;
        const would = await store.create(Widget, 'prod', 'a', { spec: { size: 1 } }, { dryRun: true });
        assert.equal(would.spec.color, 'red');
        await assert.rejects(store.get(Widget, 'prod', 'a'), isNotFound);
        await assert.rejects(store.create(Widget, 'prod', 'a', { spec: { size: -1 } }, { dryRun: true }), isInvalid);
        assert.equal(store.revision, before);
      }),
    );
  });

  describe('patch', () => {
    it(
      'merges as RFC 7386 says, with a resourceVersion as a precondition',
      on(async (store) => {
        const made = await store.create(Widget, 'prod', 'a', { metadata: { labels: { a: '1', b: '2' } }, spec: { size: 1, node: 'n1' } });
        const patched = await store.patch(Widget, 'prod', 'a', { metadata: { labels: { a: null, c: '3' } }, spec: { node: null } });
        assert.deepEqual(patched.metadata.labels, { b: '2', c: '3' });
        assert.equal(patched.spec.node, undefined);
        await assert.rejects(
          store.patch(Widget, 'prod', 'a', { metadata: { resourceVersion: made.metadata.resourceVersion }, spec: { size: 7 } }),
          isConflict,
        );
      }),
    );
    it(
      'runs a JSON patch, where a failed test is a conflict and any other fault invalid',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 1, tags: ['x'] } });
        const patched = await store.patch(Widget, 'prod', 'a', [
          { op: 'test', path: '/spec/size', value: 1 },
          { op: 'add', path: '/spec/tags/-', value: 'y' },
        ]);
        assert.deepEqual(patched.spec.tags, ['x', 'y']);
        await assert.rejects(store.patch(Widget, 'prod', 'a', [{ op: 'test', path: '/spec/size', value: 2 }]), isConflict);
        await assert.rejects(store.patch(Widget, 'prod', 'a', [{ op: 'remove', path: '/spec/none' }]), isInvalid);
        await assert.rejects(store.patch(Widget, 'prod', 'a', [{ op: 'replace', path: '/metadata/name', value: 'b' }]), isInvalid);
      }),
    );
  });

  describe('apply', () => {
    it(
      'creates, converges, drops what the manifest dropped, and leaves what others set',
      on(async (store) => {
        await store.apply(Widget, 'prod', 'a', { metadata: { labels: { app: 'x', tier: 'y' } }, spec: { size: 1, node: 'n1' } });
        await store.patch(Widget, 'prod', 'a', { metadata: { labels: { other: 'z' } }, spec: { size: 7 } });
        const before = store.revision;
        // The same manifest again: what somebody scaled meanwhile is not undone.
        assert.equal(
          (await store.apply(Widget, 'prod', 'a', { metadata: { labels: { app: 'x', tier: 'y' } }, spec: { size: 1, node: 'n1' } })).spec
            .size,
          7,
        );
        assert.equal(store.revision, before);
        const next = await store.apply(Widget, 'prod', 'a', { metadata: { labels: { app: 'x' } }, spec: { size: 2 } });
        assert.deepEqual(next.metadata.labels, { app: 'x', other: 'z' });
        assert.equal(next.spec.size, 2);
        assert.equal(next.spec.node, undefined);
      }),
    );
  });

  describe('delete', () => {
    it(
      'removes an object without finalizers and gives its last state',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 4 } });
        assert.equal((await store.delete(Widget, 'prod', 'a')).spec.size, 4);
        await assert.rejects(store.get(Widget, 'prod', 'a'), isNotFound);
        await assert.rejects(store.delete(Widget, 'prod', 'a'), isNotFound);
      }),
    );
    it(
      'marks an object with finalizers, and removes it with the last of them',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { metadata: { finalizers: ['example.com/a', 'example.com/b'] }, spec: { size: 1 } });
        const marked = await store.delete(Widget, 'prod', 'a');
        assert.ok(marked.metadata.deletionTimestamp !== undefined);
        const before = store.revision;
        await store.delete(Widget, 'prod', 'a');
        assert.equal(store.revision, before, 'a second delete writes nothing');
        await assert.rejects(
          store.update(Widget, 'prod', 'a', { metadata: { finalizers: ['example.com/a', 'example.com/c'] }, spec: { size: 1 } }),
          isInvalid,
        );
        const held = await store.update(Widget, 'prod', 'a', { metadata: { finalizers: ['example.com/b'] }, spec: { size: 1 } });
        assert.equal(held.metadata.deletionTimestamp, marked.metadata.deletionTimestamp, 'the mark cannot be unset');
        await store.update(Widget, 'prod', 'a', { metadata: {}, spec: { size: 1 } });
        await assert.rejects(store.get(Widget, 'prod', 'a'), isNotFound);
      }),
    );
    it(
      'holds its preconditions',
      on(async (store) => {
        const made = await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
        await assert.rejects(
          store.delete(Widget, 'prod', 'a', { preconditions: { resourceVersion: made.metadata.resourceVersion } }),
          isConflict,
        );
        await store.delete(Widget, 'prod', 'a', { preconditions: { uid: made.metadata.uid, resourceVersion: store.revision } });
      }),
    );
    it(
      'deletes a collection by selector and namespace, exactly',
      on(async (store) => {
        for (const namespace of ['prod', 'production', 'prod-1']) {
          for (const name of ['a', 'b']) await store.create(Widget, namespace, name, { metadata: { labels: { name } }, spec: { size: 1 } });
        }
        assert.equal((await store.deleteCollection(Widget, 'prod', { labelSelector: 'name=a' })).deleted, 1);
        assert.equal((await store.deleteCollection(Widget, 'prod')).deleted, 1);
        assert.equal((await store.list(Widget)).items.length, 4);
      }),
    );
  });
}
