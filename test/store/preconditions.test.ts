/** What a write says of the object that it was made for holds on every path: also where there is none, and in a JSON patch. */
import { describe, expect, it } from 'vitest';
import { isConflict, isInvalid, isNotFound, isTooLarge } from '../../src/schemas/index.js';
import type { Store } from '../../src/store/index.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import { engines, onStorage } from './on-engines.js';

const one = { spec: { size: 1 } };

/** The same on the store, and inside a transaction that does nothing else. */
const ways = [
  ['by itself', <R>(store: Store, run: (verbs: Pick<Store, 'apply' | 'patch'>) => Promise<R>): Promise<R> => run(store)],
  ['in a transaction', <R>(store: Store, run: (verbs: Pick<Store, 'apply' | 'patch'>) => Promise<R>): Promise<R> => store.transaction(run)],
] as const;

describe.each(engines)('a manifest on the %s engine', (engine) => {
  it.each(ways)('that names an object which is gone makes no other in its place, %s', (_, run) =>
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const { metadata } = await store.create(Widget, 'prod', 'a', one);
      const { uid, resourceVersion } = metadata;
      await store.delete(Widget, 'prod', 'a');
      const apply = (given: object): Promise<unknown> =>
        run(store, (verbs) => verbs.apply(Widget, 'prod', 'a', { metadata: given, spec: { size: 2 } }));
      await expect(apply({ uid })).rejects.toSatisfy(isConflict);
      await expect(apply({ uid, resourceVersion })).rejects.toSatisfy(isConflict);
      await expect(apply({ resourceVersion })).rejects.toSatisfy(isNotFound);
      await expect(store.apply(Widget, 'prod', 'a', { metadata: { uid }, spec: { size: 2 } }, { dryRun: true })).rejects.toSatisfy(
        isConflict,
      );
      await store.create(Widget, 'prod', 'a', one);
      await expect(apply({ uid })).rejects.toSatisfy(isConflict);
      await expect(apply({ resourceVersion })).rejects.toSatisfy(isConflict);
      expect([store.revision, (await store.get(Widget, 'prod', 'a')).spec.size]).toEqual(['3', 1]);
    })(),
  );

  it(
    'too large for the annotation that keeps it is refused with the reason, and what fits is applied',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const manifest = (bytes: number): object => ({ spec: { size: 1, node: 'x'.repeat(bytes) } });
      await expect(store.apply(Widget, 'prod', 'a', manifest(300_000) as never)).rejects.toSatisfy(
        (error: Error) => isTooLarge(error) && /rune\.dev\/last-applied.*262144/s.test(error.message),
      );
      expect(store.revision).toBe('0');
      await store.apply(Widget, 'prod', 'a', manifest(260_000) as never);
      await expect(
        store.apply(Widget, 'prod', 'a', { metadata: { annotations: { note: 'y'.repeat(10_000) } }, ...manifest(260_000) } as never),
      ).rejects.toSatisfy(isTooLarge);
      await store.update(Widget, 'prod', 'a', { metadata: {}, ...manifest(300_000) } as never);
      expect(store.revision).toBe('2');
    }),
  );
});

describe.each(engines)('a JSON patch on the %s engine', (engine) => {
  it.each(ways)('that puts in another resourceVersion or uid is for that object and no other, %s', (_, run) =>
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const first = await store.create(Widget, 'prod', 'a', one);
      const second = await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
      const patch = (...operations: object[]): Promise<{ spec: { size: number } }> =>
        run(store, (verbs) => verbs.patch(Widget, 'prod', 'a', [...operations, { op: 'replace', path: '/spec/size', value: 9 }]));
      const at = (op: string, value: unknown): object => ({ op, path: '/metadata/resourceVersion', value });
      for (const op of ['replace', 'add', 'test'])
        await expect(patch(at(op, first.metadata.resourceVersion)), op).rejects.toSatisfy(isConflict);
      await expect(patch({ op: 'replace', path: '/metadata/uid', value: '00000000-0000-4000-8000-000000000000' })).rejects.toSatisfy(
        isConflict,
      );
      await expect(patch(at('replace', 1))).rejects.toSatisfy(isInvalid);
      expect((await store.get(Widget, 'prod', 'a')).metadata).toEqual(second.metadata);
      expect((await patch(at('replace', second.metadata.resourceVersion))).spec.size).toBe(9);
      await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
      expect((await patch({ op: 'remove', path: '/metadata/resourceVersion' })).spec.size).toBe(9);
    })(),
  );

  it(
    'for a revision conflicts with a write that is still on its way, and one for none goes on top of it',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const { metadata } = await store.create(Widget, 'prod', 'a', one);
      for (const op of ['replace', 'add', 'test']) {
        const writing = store.modify(Widget, 'prod', 'a', (draft) => void (draft.spec.size += 1));
        const { resourceVersion } = metadata;
        const late = store.patch(Widget, 'prod', 'a', [{ op, path: '/metadata/resourceVersion', value: resourceVersion }]);
        const onTop = store.patch(Widget, 'prod', 'a', [
          { op: 'remove', path: '/metadata/resourceVersion' },
          { op: 'add', path: '/spec/node', value: op },
        ]);
        await expect(late).rejects.toSatisfy(isConflict);
        expect([(await writing).spec.size, (await onTop).spec.node]).toEqual([(await onTop).spec.size, op]);
      }
    }),
  );

  it(
    'that leaves no object, and a merge patch that is none, are refused',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await store.create('plain', 'prod', 'a', { n: 1 });
      for (const value of [null, 5, 'text', [1]])
        await expect(store.patch('plain', 'prod', 'a', [{ op: 'replace', path: '', value }])).rejects.toSatisfy(isInvalid);
      await expect(store.patch('plain', 'prod', 'a', [1], { type: 'merge' })).rejects.toSatisfy(isInvalid);
      await expect(store.patch('plain', 'prod', 'a', { n: 2 }, { type: 'json' })).rejects.toSatisfy(isInvalid);
      expect(store.revision).toBe('1');
    }),
  );
});
