/**
 * Conformance of changes: patches that fail, apply in its cases, generated names, modify, dry runs.
 */
import assert from 'node:assert/strict';
import { isAlreadyExists, isConflict, isForbidden, isInvalid, isNotFound, isTooLarge } from '../../schemas/index.js';
import type { Store } from '../../store/index.js';
import { told } from './store-kit.js';
import type { Case } from './store-kit.js';
import { Widget } from './store-widget.js';
import type { Runner } from './suite.js';

/** Holds that `body` wrote nothing at all: no revision, no event, no version, no object. */
async function writesNothing(store: Store, body: () => Promise<void>): Promise<void> {
  const before = store.revision;
  const objects = async (): Promise<unknown> => [(await store.list(Widget)).items, (await store.list('plain')).items];
  const were = await objects();
  await body();
  assert.equal(store.revision, before, 'no revision');
  assert.deepEqual(await objects(), were, 'no object');
  assert.deepEqual(await told(store, before), [], 'no event');
}

export function changeCases({ describe, it }: Runner, on: Case): void {
  describe('a patch', () => {
    it(
      'in JSON that fails in any of its operations changes nothing, and says which was wrong',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { metadata: { labels: { l: 'x' } }, spec: { size: 1, tags: ['x', 'y'] } });
        const fine = { op: 'replace', path: '/spec/size', value: 5 };
        await writesNothing(store, async () => {
          for (const wrong of [
            { op: 'replace', path: '/spec/none', value: 1 },
            { op: 'remove', path: '/spec/tags/2' },
            { op: 'add', path: '/spec/tags/9', value: 'z' },
            { op: 'add', path: '/spec/tags/01', value: 'z' },
            { op: 'add', path: '/none/deep', value: 1 },
            { op: 'move', from: '/spec/none', path: '/spec/node' },
            { op: 'move', from: '/spec', path: '/spec/settings' },
            { op: 'copy', from: '/spec/none', path: '/spec/node' },
            { op: 'increment', path: '/spec/size', value: 1 },
            { op: 'add', path: 'spec/size', value: 1 },
            { op: 'add', path: '/spec/__proto__/x', value: 1 },
            { op: 'add', path: '/spec/unknown', value: 1 },
            { op: 'replace', path: '/spec/size', value: -1 },
            { op: 'replace', path: '', value: null },
            { op: 'remove', path: '/spec' },
            { path: '/spec/size' },
            'remove',
            null,
          ])
            await assert.rejects(store.patch(Widget, 'prod', 'a', [fine, wrong]), isInvalid, JSON.stringify(wrong));
          await assert.rejects(store.patch(Widget, 'prod', 'a', [fine, { op: 'test', path: '/spec/size', value: 4 }]), isConflict);
          await assert.rejects(store.patch(Widget, 'prod', 'a', [fine, { op: 'test', path: '/spec/none', value: 4 }]), isConflict);
        });
        const done = await store.patch(Widget, 'prod', 'a', [
          { op: 'test', path: '/spec/tags', value: ['x', 'y'] },
          { op: 'add', path: '/spec/tags/0', value: 'w' },
          { op: 'move', from: '/spec/tags/2', path: '/spec/tags/0' },
          { op: 'copy', from: '/spec/tags/0', path: '/spec/node' },
          { op: 'remove', path: '/metadata/labels/l' },
          fine,
        ]);
        assert.deepEqual(
          [done.spec, done.metadata.labels, done.metadata.generation],
          [{ size: 5, color: 'red', tags: ['y', 'w', 'x'], node: 'y' }, undefined, 2],
        );
      }),
    );
    it(
      'of either type is for the object whose resourceVersion or uid it carries, and for no other',
      on(async (store) => {
        const first = await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        const second = await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
        const uid = '00000000-0000-4000-8000-000000000000';
        const old = first.metadata.resourceVersion;
        await writesNothing(store, async () => {
          for (const patch of [
            { metadata: { resourceVersion: old }, spec: { size: 9 } },
            { metadata: { uid }, spec: { size: 9 } },
            [
              { op: 'replace', path: '/metadata/resourceVersion', value: old },
              { op: 'replace', path: '/spec/size', value: 9 },
            ],
            [
              { op: 'test', path: '/metadata/resourceVersion', value: old },
              { op: 'replace', path: '/spec/size', value: 9 },
            ],
            [
              { op: 'replace', path: '/metadata/uid', value: uid },
              { op: 'replace', path: '/spec/size', value: 9 },
            ],
          ])
            await assert.rejects(store.patch(Widget, 'prod', 'a', patch), isConflict, JSON.stringify(patch));
        });
        const now = second.metadata.resourceVersion;
        await store.patch(Widget, 'prod', 'a', { metadata: { resourceVersion: now, uid: first.metadata.uid }, spec: { size: 3 } });
        await store.patch(Widget, 'prod', 'a', [
          { op: 'test', path: '/metadata/resourceVersion', value: store.revision },
          { op: 'replace', path: '/spec/size', value: 4 },
        ]);
        assert.equal((await store.get(Widget, 'prod', 'a')).spec.size, 4);
      }),
    );
    it(
      'moves neither identity, nor status without its subresource, nor a deletion, and fills defaults in again',
      on(async (store) => {
        const made = await store.create(Widget, 'prod', 'a', { spec: { size: 1, color: 'blue' } });
        for (const metadata of [
          { name: 'b' },
          { namespace: 'dev' },
          { creationTimestamp: '2020-01-01T00:00:00Z' },
          { deletionTimestamp: '2020-01-01T00:00:00Z' },
        ])
          await assert.rejects(store.patch(Widget, 'prod', 'a', { metadata }), isInvalid, JSON.stringify(metadata));
        assert.equal((await store.patch(Widget, 'prod', 'a', { metadata: null, spec: { color: null } })).spec.color, 'red');
        assert.equal((await store.patch(Widget, 'prod', 'a', { metadata: { generation: 9 } })).metadata.generation, 2);
        assert.equal((await store.patch(Widget, 'prod', 'a', { status: { ready: true } })).status, undefined);
        const status = await store.patch(Widget, 'prod', 'a', { spec: { size: 7 }, status: { ready: true } }, { subresource: 'status' });
        assert.deepEqual([status.status, status.spec.size, status.metadata.generation], [{ ready: true }, 1, 2]);
        await assert.rejects(store.patch(Widget, 'prod', 'a', { spec: { size: null } }), isInvalid, 'a required field cannot go');
        assert.equal((await store.get(Widget, 'prod', 'a')).metadata.uid, made.metadata.uid);
      }),
    );
    it(
      'and every other change of what is not there is NotFound, and makes nothing',
      on(async (store) => {
        await writesNothing(store, async () => {
          const none = [Widget, 'prod', 'none'] as const;
          for (const change of [
            () => store.update(...none, { spec: { size: 1 } }),
            () => store.update(...none, { status: { ready: true } } as never, { subresource: 'status' }),
            () => store.patch(...none, { spec: { size: 1 } }),
            () => store.patch(...none, [{ op: 'add', path: '/spec/size', value: 1 }]),
            () => store.modify(...none, () => {}),
            () => store.delete(...none),
            () => store.delete(...none, { preconditions: { uid: 'x', resourceVersion: '1' } }),
            () => store.rollback(...none, '1'),
          ])
            await assert.rejects(change, isNotFound, String(change));
        });
      }),
    );
  });

  describe('a manifest that is applied', () => {
    it(
      'takes back what it said, leaves what others set, and makes its null a removal',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { metadata: { labels: { theirs: 'x' } }, spec: { size: 1, node: 'theirs' } });
        const apply = (spec: object, labels: object = {}): Promise<Widget> =>
          store.apply(Widget, 'prod', 'a', { metadata: { labels }, spec } as never);
        let now = await apply({ size: 2, settings: { a: '1', b: '2' } }, { mine: 'y' });
        assert.deepEqual([now.spec.size, now.spec.node, now.metadata.labels], [2, 'theirs', { theirs: 'x', mine: 'y' }]);
        await store.patch(Widget, 'prod', 'a', { spec: { settings: { c: '3' } } });
        now = await apply({ size: 2, settings: { a: '1' } });
        assert.deepEqual([now.spec.settings, now.metadata.labels], [{ a: '1', c: '3' }, { theirs: 'x' }]);
        now = await apply({ size: 2, node: null });
        assert.deepEqual([now.spec.settings, now.spec.node], [{ c: '3' }, undefined]);
        now = await apply({ size: 2, tags: ['x', 'y'] });
        now = await apply({ size: 2, tags: ['z'] });
        assert.deepEqual(now.spec.tags, ['z'], 'a list is one value');
        const before = store.revision;
        await apply({ tags: ['z'], size: 2 });
        assert.equal(store.revision, before, 'the same manifest again writes nothing, however its keys are ordered');
      }),
    );
    it(
      'merges finalizers and owners as sets, and touches neither status nor a deletion',
      on(async (store) => {
        const owner = (uid: string): object => ({ apiVersion: 'v1', kind: 'Zone', name: uid, uid });
        await store.apply(Widget, 'prod', 'a', {
          metadata: { finalizers: ['example.com/mine'], ownerReferences: [owner('o1')] as never },
          spec: { size: 1 },
        });
        await store.patch(Widget, 'prod', 'a', [
          { op: 'add', path: '/metadata/finalizers/-', value: 'example.com/theirs' },
          { op: 'add', path: '/metadata/ownerReferences/-', value: owner('o2') },
        ]);
        await store.update(Widget, 'prod', 'a', { status: { ready: true } } as never, { subresource: 'status' });
        const next = await store.apply(Widget, 'prod', 'a', {
          metadata: { ownerReferences: [owner('o3')] as never },
          spec: { size: 2 },
          status: { ready: false },
        });
        assert.deepEqual(next.metadata.finalizers, ['example.com/theirs']);
        assert.deepEqual(
          next.metadata.ownerReferences!.map(({ uid }) => uid),
          ['o2', 'o3'],
        );
        assert.deepEqual(next.status, { ready: true });
        const marked = await store.delete(Widget, 'prod', 'a');
        await assert.rejects(
          store.apply(Widget, 'prod', 'a', { metadata: { finalizers: ['example.com/late'] }, spec: { size: 2 } }),
          isInvalid,
        );
        assert.equal(
          (await store.apply(Widget, 'prod', 'a', { spec: { size: 3 } })).metadata.deletionTimestamp,
          marked.metadata.deletionTimestamp,
        );
      }),
    );
    it(
      'makes what is missing with its defaults, unless it names an object that is gone',
      on(async (store) => {
        const made = await store.apply(Widget, 'prod', 'a', { spec: { size: 1 } });
        assert.deepEqual([made.spec, made.metadata.generation], [{ size: 1, color: 'red' }, 1]);
        const { uid, resourceVersion } = made.metadata;
        await assert.rejects(store.apply(Widget, 'prod', 'a', { metadata: { resourceVersion: '0' }, spec: { size: 2 } }), isConflict);
        await store.apply(Widget, 'prod', 'a', { metadata: { uid, resourceVersion }, spec: { size: 2 } });
        await store.delete(Widget, 'prod', 'a');
        await writesNothing(store, async () => {
          await assert.rejects(store.apply(Widget, 'prod', 'a', { metadata: { uid }, spec: { size: 1 } }), isConflict);
          await assert.rejects(store.apply(Widget, 'prod', 'a', { metadata: { resourceVersion }, spec: { size: 1 } }), isNotFound);
          await assert.rejects(store.apply(Widget, 'prod', 'a', { spec: { size: -1 } }), isInvalid);
          await assert.rejects(store.apply(Widget, 'prod', 'a', { spec: { size: 1, node: 'x'.repeat(300_000) } }), isTooLarge);
        });
      }),
    );
  });

  describe('a generated name', () => {
    it(
      'is new each time, valid however long its beginning, and part of the object',
      on(async (store) => {
        const made = await Promise.all(
          Array.from({ length: 50 }, () =>
            store.create(Widget, 'prod', undefined, { metadata: { generateName: 'w-' }, spec: { size: 1 } }),
          ),
        );
        assert.equal(new Set(made.map(({ metadata }) => metadata.name)).size, 50);
        const long = await store.create(Widget, 'prod', undefined, { metadata: { generateName: 'x'.repeat(247) }, spec: { size: 1 } });
        assert.match(long.metadata.name, /^x{247}[a-z0-9]{5}$/);
        assert.equal(
          (await store.update(Widget, 'prod', long.metadata.name, { metadata: {}, spec: { size: 2 } })).metadata.generateName,
          'x'.repeat(247),
        );
        const named = await store.create(Widget, 'prod', 'named', { metadata: { generateName: 'w-' }, spec: { size: 1 } });
        assert.deepEqual([named.metadata.name, named.metadata.generateName], ['named', 'w-']);
        for (const generateName of ['', 'Bad-', '-x', 5, 'x'.repeat(248)])
          await assert.rejects(
            store.create(Widget, 'prod', undefined, { metadata: { generateName: generateName as never }, spec: { size: 1 } }),
            isInvalid,
          );
        const inside = await store.transaction(async (tx) => {
          const { metadata } = await tx.create(Widget, 'dev', undefined, { metadata: { generateName: 't-' }, spec: { size: 1 } });
          return (await tx.get(Widget, 'dev', metadata.name)).metadata.name;
        });
        assert.equal((await store.get(Widget, 'dev', inside)).metadata.name, inside);
      }),
    );
  });

  describe('modify', () => {
    it(
      'takes a changed draft or another object, writes nothing where nothing changes, and nothing of a change that throws',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        assert.equal((await store.modify(Widget, 'prod', 'a', (draft) => ({ ...draft, spec: { size: 2 } }))).spec.size, 2);
        const status = await store.modify(Widget, 'prod', 'a', (draft) => void (draft.status = { ready: true }), { subresource: 'status' });
        assert.deepEqual([status.status, status.metadata.generation], [{ ready: true }, 2]);
        await writesNothing(store, async () => {
          await store.modify(Widget, 'prod', 'a', () => {});
          await assert.rejects(
            store.modify(Widget, 'prod', 'a', (draft) => {
              draft.spec.size = 9;
              throw new Error('changed my mind');
            }),
            /changed my mind/,
          );
          await assert.rejects(
            store.modify(Widget, 'prod', 'a', async (draft) => void (draft.spec.size = 9)),
            isInvalid,
          );
          await assert.rejects(
            store.modify(Widget, 'prod', 'a', (draft) => (draft.spec.size = 9)),
            isInvalid,
          );
          await assert.rejects(
            store.modify(Widget, 'prod', 'a', (draft) => void (draft.spec.size = -1)),
            isInvalid,
          );
          await assert.rejects(
            store.modify(Widget, 'prod', 'a', (draft) => void (draft.metadata.uid = 'another')),
            (error: unknown) => isConflict(error) || isInvalid(error),
          );
        });
      }),
    );
  });

  describe('a dry run', () => {
    it(
      'of any verb says what would be, or why not, and writes nothing',
      on(async (store) => {
        await store.create(Widget, 'prod', 'held', { metadata: { finalizers: ['example.com/hold'] }, spec: { size: 1 } });
        const a = await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
        const dry = { dryRun: true } as const;
        const at = [Widget, 'prod', 'a'] as const;
        await writesNothing(store, async () => {
          assert.match(
            (await store.create(Widget, 'prod', undefined, { metadata: { generateName: 'g-' }, spec: { size: 1 } }, dry)).metadata.name,
            /^g-/,
          );
          assert.equal((await store.update(...at, { spec: { size: 5 } }, dry)).spec.size, 5);
          assert.equal((await store.update(...at, { spec: { size: 5 } }, dry)).metadata.generation, 3);
          assert.deepEqual((await store.update(...at, { status: { ready: true } } as never, { ...dry, subresource: 'status' })).status, {
            ready: true,
          });
          assert.equal((await store.patch(...at, { spec: { size: 6 } }, dry)).spec.size, 6);
          assert.equal((await store.patch(...at, [{ op: 'replace', path: '/spec/size', value: 7 }], dry)).spec.size, 7);
          assert.equal((await store.apply(...at, { spec: { size: 8 } }, dry)).spec.size, 8);
          assert.equal((await store.apply(Widget, 'prod', 'new', { spec: { size: 8 } }, dry)).spec.size, 8);
          assert.equal((await store.modify(...at, (draft) => void (draft.spec.size = 9), dry)).spec.size, 9);
          assert.equal((await store.rollback(...at, a.metadata.resourceVersion, dry)).spec.size, 1);
          assert.equal((await store.delete(...at, dry)).spec.size, 2);
          assert.deepEqual((await store.delete(...at, { ...dry, propagation: 'foreground' })).metadata.finalizers, ['foregroundDeletion']);
          assert.notEqual((await store.delete(Widget, 'prod', 'held', dry)).metadata.deletionTimestamp, undefined);
          assert.equal((await store.deleteCollection(Widget, 'prod', dry)).deleted, 2);
          await assert.rejects(store.create(...at, { spec: { size: 1 } }, dry), isAlreadyExists);
          await assert.rejects(store.create(Widget, 'prod', 'new', { spec: { size: -1 } }, dry), isInvalid);
          await assert.rejects(store.update(Widget, 'prod', 'none', { spec: { size: 1 } }, dry), isNotFound);
          await assert.rejects(store.delete(...at, { ...dry, preconditions: { uid: 'another' } }), isConflict);
          await assert.rejects(store.update(...at, { spec: { size: 1, node: 'x'.repeat(1024 * 1024) } }, dry), isTooLarge);
          await assert.rejects(
            store.transaction((tx) => tx.delete(...at, dry)),
            (error: unknown) => (error as { reason?: string }).reason === 'BadRequest',
          );
        });
        assert.deepEqual(await store.getHistory(Widget, 'prod', 'new'), []);
        await store.create('namespace', undefined, 'going', { metadata: { finalizers: ['example.com/hold'] } });
        await store.delete('namespace', undefined, 'going');
        await assert.rejects(store.create(Widget, 'going', 'a', { spec: { size: 1 } }, dry), isForbidden);
      }),
    );
  });
}
