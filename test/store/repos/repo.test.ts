import { describe, expect, it } from 'vitest';
import {
  AlreadyExistsError,
  BadRequestError,
  ConflictError,
  formatRef,
  InvalidError,
  InvalidRefError,
  Namespace,
  NotFoundError,
} from '../../../src/schemas/index.js';
import { repo } from '../../../src/store/repos/index.js';
import { scene, Widget } from './setup.js';

const key = { namespace: 'prod', name: 'a' };
const widget = { metadata: key, spec: { color: 'red' } };

describe('repo', () => {
  describe('create', () => {
    it(
      'takes the name from the metadata and fills in apiVersion, kind and defaults',
      scene(async ({ store }) => {
        const created = await repo(store, Widget).create(widget);
        expect(created).toMatchObject({
          apiVersion: 'rune.dev/v1',
          kind: 'Widget',
          metadata: { ...key, generation: 1 },
          spec: { color: 'red', size: 1 },
        });
        expect(await store.get(Widget, 'prod', 'a')).toEqual(created);
      }),
    );

    it(
      'takes an address, a key or a ref, and a resource without metadata',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        await widgets.create(key, { spec: { color: 'red' } });
        await widgets.create(formatRef('widget', 'prod', 'b'), { spec: { color: 'blue' } }, { source: 'test' });
        await widgets.create('widget:c.prod.rune', { spec: {} });
        expect((await widgets.list({ namespace: 'prod' })).items.map(({ metadata }) => metadata.name)).toEqual(['a', 'b', 'c']);
      }),
    );

    it(
      'refuses an address that the metadata contradicts',
      scene(async ({ store }) => {
        await expect(repo(store, Widget).create({ namespace: 'prod', name: 'b' }, widget)).rejects.toThrow(InvalidError);
        expect(store.revision).toBe('0');
      }),
    );

    it(
      'makes a name from generateName',
      scene(async ({ store }) => {
        const created = await repo(store, Widget).create({ metadata: { namespace: 'prod', generateName: 'job-' }, spec: {} });
        expect(created.metadata.name).toMatch(/^job-[a-z0-9]{5}$/);
      }),
    );

    it(
      'refuses what is there already, what has no name, and a name by uid',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        await widgets.create(widget);
        await expect(widgets.create(widget)).rejects.toThrow(AlreadyExistsError);
        await expect(widgets.create({ metadata: { namespace: 'prod' }, spec: {} })).rejects.toThrow(/metadata\.name/);
        await expect(widgets.create('rune://widget/prod/id/123', { spec: {} })).rejects.toThrow(/uid/);
      }),
    );

    it(
      'takes its input at the call',
      scene(async ({ store }) => {
        const input = { metadata: { ...key }, spec: { color: 'red' } };
        const pending = repo(store, Widget).create(input);
        input.spec.color = 'changed';
        expect((await pending).spec.color).toBe('red');
      }),
    );
  });

  describe('addresses', () => {
    it(
      'takes a key, a resource, and a ref in each form',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        const created = await widgets.create(widget);
        for (const address of [
          key,
          created,
          { metadata: key },
          'rune://widget/prod/a',
          'widget:a.prod.rune',
          `rune://widget/prod/id/${created.metadata.uid}`,
        ] as const) {
          expect(await widgets.get(address as typeof key)).toEqual(created);
        }
        expect(await repo(store, Widget, { defaultNamespace: 'prod' }).get('widget:a')).toEqual(created);
      }),
    );

    it.each([
      ['a ref of another type', 'service:a.prod.rune', InvalidRefError, 'type'],
      ['a ref with a key', 'widget:a.prod.rune/key', InvalidRefError, 'key'],
      ['a ref that leaves its namespace out', 'widget:a', InvalidRefError, 'namespace'],
      ['a broken ref', 'rune://widget/prod', InvalidRefError, 'name'],
      ['a key without a namespace', { name: 'a' }, InvalidError, 'namespace'],
      ['a key without a name', { namespace: 'prod' }, InvalidError, 'name'],
      ['a key for every namespace', { namespace: 'all', name: 'a' }, InvalidError, 'namespace'],
      ['a resource of another kind', { kind: 'Service', metadata: key }, InvalidError, 'kind'],
      ['nothing', undefined, InvalidError, 'address'],
      ['a number', 5, InvalidError, 'address'],
    ])('refuses %s', (_title, address, type, part) =>
      scene(async ({ store }) => {
        const error: unknown = await repo(store, Widget)
          .get(address as string)
          .catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(type);
        if (error instanceof InvalidRefError) expect(error.part).toBe(part);
        else expect((error as Error).message).toContain(part);
      })(),
    );

    it(
      'addresses cluster-scoped objects without a namespace',
      scene(async ({ store }) => {
        const namespaces = repo(store, Namespace);
        const created = await namespaces.create({ metadata: { name: 'prod' } });
        expect(await namespaces.get({ name: 'prod' })).toEqual(created);
        expect(await namespaces.get('rune://namespace/-/prod')).toEqual(created);
        expect(await namespaces.get('namespace:prod')).toEqual(created);
        await expect(namespaces.get({ namespace: 'x', name: 'prod' })).rejects.toThrow(/cluster-scoped/);
      }),
    );

    it(
      'tells a uid that is not there, or is in another namespace',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        const { metadata } = await widgets.create(widget);
        await expect(widgets.get('rune://widget/prod/id/none')).rejects.toThrow(NotFoundError);
        await expect(widgets.get(`rune://widget/other/id/${metadata.uid}`)).rejects.toThrow(NotFoundError);
        expect(await widgets.find('rune://widget/prod/id/none')).toBeUndefined();
      }),
    );

    it(
      'means by a resource that very object: writes through it do not reach another of the same name',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        const first = await widgets.create(widget);
        await widgets.delete(first);
        const second = await widgets.create(widget);
        await expect(widgets.delete(first)).rejects.toThrow(ConflictError);
        await expect(widgets.mutate(first, (draft) => void (draft.spec.size = 5))).rejects.toThrow(ConflictError);
        await expect(widgets.addFinalizer(first, 'a.b/c')).rejects.toThrow(ConflictError);
        await expect(widgets.setCondition(first, { type: 'Ready', status: true, reason: 'Up' })).rejects.toThrow(ConflictError);
        expect(await widgets.removeFinalizer(first, 'a.b/c')).toBeUndefined();
        expect(await widgets.get(key)).toEqual(second);
      }),
    );
  });

  describe('reads', () => {
    it(
      'throws from get and gives undefined from find when there is none',
      scene(async ({ store }) => {
        await expect(repo(store, Widget).get(key)).rejects.toThrow(NotFoundError);
        expect(await repo(store, Widget).find(key)).toBeUndefined();
      }),
    );

    it(
      'gives objects that the caller may change',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        await widgets.create(widget);
        const read = await widgets.get(key);
        read.spec.color = 'changed';
        expect((await widgets.get(key)).spec.color).toBe('red');
      }),
    );

    it(
      'lists a namespace, or all, with the selectors of the store',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        await widgets.create(widget);
        await widgets.create({ metadata: { namespace: 'production', name: 'b', labels: { app: 'x' } }, spec: {} });
        expect((await widgets.list({ namespace: 'prod' })).items).toHaveLength(1);
        expect((await widgets.list()).items).toHaveLength(2);
        expect((await widgets.list({ labelSelector: 'app=x' })).items.map(({ metadata }) => metadata.name)).toEqual(['b']);
      }),
    );
  });

  describe('writes', () => {
    it(
      'updates with the resourceVersion as a precondition, and without one over whatever is there',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        const first = await widgets.create(widget);
        await widgets.update({ ...first, spec: { size: 2 } });
        await expect(widgets.update({ ...first, spec: { size: 3 } })).rejects.toThrow(ConflictError);
        expect((await widgets.update({ ...widget, spec: { size: 4 } })).spec).toEqual({ size: 4 });
        await expect(widgets.update({ metadata: { namespace: 'prod' }, spec: {} })).rejects.toThrow(/metadata\.name/);
      }),
    );

    it(
      'keeps status and the rest apart',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        const first = await widgets.create(widget);
        const withStatus = await widgets.updateStatus({ ...first, spec: { size: 99 }, status: { seen: 1 } });
        expect(withStatus).toMatchObject({ spec: { size: 1 }, status: { seen: 1 }, metadata: { generation: 1 } });
        expect(await widgets.update({ ...withStatus, spec: { size: 2 }, status: { seen: 99 } })).toMatchObject({
          spec: { size: 2 },
          status: { seen: 1 },
          metadata: { generation: 2 },
        });
      }),
    );

    it(
      'patches by merge and by operations',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        const { metadata } = await widgets.create(widget);
        expect((await widgets.patch(key, { spec: { color: null, size: 2 } })).spec).toEqual({ size: 2 });
        expect(
          (await widgets.patch(`rune://widget/prod/id/${metadata.uid}`, [{ op: 'replace', path: '/spec/size', value: 3 }])).spec,
        ).toEqual({ size: 3 });
        await expect(widgets.patch(key, [{ op: 'test', path: '/spec/size', value: 9 }])).rejects.toThrow(ConflictError);
      }),
    );

    it(
      'applies three-way, creating what is missing',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        await widgets.apply({ metadata: key, spec: { color: 'red', tags: ['a'] } });
        await widgets.patch(key, { spec: { size: 7 } });
        const applied = await widgets.apply({ metadata: key, spec: { color: 'blue' } });
        expect(applied.spec).toEqual({ color: 'blue', size: 7 });
        const { revision } = store;
        await widgets.apply({ metadata: key, spec: { color: 'blue' } });
        expect(store.revision).toBe(revision);
      }),
    );

    it(
      'names itself as the source where the caller names none',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget, { source: 'controller/test' });
        await using watch = widgets.watch();
        await widgets.create(widget);
        await widgets.patch(key, { spec: { size: 2 } }, { source: 'somebody' });
        await widgets.mutate(key, (draft) => void (draft.spec.size = 3));
        await widgets.delete(key);
        const sources: unknown[] = [];
        for await (const event of watch) {
          if (event.type !== 'BOOKMARK') sources.push(event.source);
          if (event.type === 'DELETED') break;
        }
        expect(sources).toEqual(['controller/test', 'somebody', 'controller/test', 'controller/test']);
      }),
    );

    it(
      'keeps the order of writes that are not awaited',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        const first = await widgets.create(widget);
        const [, second] = await Promise.all([widgets.delete(key), widgets.create(widget)]);
        expect(second.metadata.uid).not.toBe(first.metadata.uid);
      }),
    );

    it(
      'writes nothing in a dry run',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        expect((await widgets.create(widget, { dryRun: true })).spec.size).toBe(1);
        expect(await widgets.find(key)).toBeUndefined();
      }),
    );
  });

  describe('history', () => {
    it(
      'tells versions, gives one, and rolls back to it as a new generation',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        const first = await widgets.create(widget);
        await widgets.patch(key, { spec: { color: 'blue' } });
        const versions = await widgets.history(key);
        expect(versions.map(({ change }) => change)).toEqual(['updated', 'created']);
        expect((await widgets.version(key, first.metadata.resourceVersion)).spec).toEqual(first.spec);
        const back = await widgets.rollback(key, first.metadata.resourceVersion);
        expect(back).toMatchObject({ spec: first.spec, metadata: { generation: 3 } });
      }),
    );
  });

  describe('inside a transaction', () => {
    it(
      'writes several objects as one revision, and reads its own writes',
      scene(async ({ store }) => {
        await store.transaction(async (tx) => {
          const widgets = repo(tx, Widget);
          await widgets.create(widget);
          await widgets.mutate(key, (draft) => void (draft.spec.size = 2));
          await widgets.mutate(key, async (draft) => void (draft.spec.size += await Promise.resolve(1)));
          expect((await widgets.ensure({ metadata: key, spec: { color: 'blue' } })).operation).toBe('updated');
          expect((await widgets.ensure({ metadata: key, spec: { color: 'blue' } })).operation).toBe('unchanged');
          await widgets.addFinalizer(key, 'rune.dev/test');
          await repo(tx, Namespace).create({ metadata: { name: 'prod' } });
        });
        expect(store.revision).toBe('1');
        expect(await repo(store, Widget).get(key)).toMatchObject({
          spec: { color: 'blue', size: 3 },
          metadata: { finalizers: ['rune.dev/test'] },
        });
      }),
    );

    it(
      'has no verbs that need the store, and needs a clock for conditions',
      scene(async ({ store }) => {
        const widgets = repo(store, Widget);
        await widgets.create(widget);
        await store.transaction(async (tx) => {
          const inside = repo(tx as unknown as typeof store, Widget);
          expect(() => inside.watch()).toThrow(BadRequestError);
          await expect(inside.history(key)).rejects.toThrow(/inside a transaction/);
          await expect(inside.version(key, '1')).rejects.toThrow(BadRequestError);
          await expect(inside.rollback(key, '1')).rejects.toThrow(BadRequestError);
          await expect(inside.waitFor(key, 'Ready')).rejects.toThrow(BadRequestError);
          await expect(inside.setCondition(key, { type: 'Ready', status: true, reason: 'Up' })).rejects.toThrow(/clock/);
          await repo(tx, Widget, { clock: store.deps.clock }).setCondition(key, { type: 'Ready', status: true, reason: 'Up' });
        });
        expect((await widgets.get(key)).status?.conditions).toHaveLength(1);
      }),
    );
  });
});
