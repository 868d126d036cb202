import { describe, expect, it } from 'vitest';
import { AbortedError, ConflictError, InvalidError, NotFoundError } from '../../../src/schemas/index.js';
import { repo } from '../../../src/store/repos/index.js';
import { scene, Widget } from './setup.js';

const key = { namespace: 'prod', name: 'a' };
const widget = { metadata: key, spec: { size: 0 } };

describe('mutate', () => {
  it(
    'changes the draft in place, or takes the object that is returned',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      expect((await widgets.mutate(key, (draft) => void (draft.spec.color = 'red'))).spec).toEqual({ size: 0, color: 'red' });
      expect((await widgets.mutate(key, (draft) => ({ ...draft, spec: { size: 5 } }))).spec).toEqual({ size: 5 });
      expect((await widgets.mutate(key, async (draft) => ({ ...draft, spec: { size: await Promise.resolve(6) } }))).spec).toEqual({
        size: 6,
      });
    }),
  );

  it(
    'writes nothing when nothing changed',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      const { revision } = store;
      await widgets.mutate(key, () => {});
      await widgets.mutate(key, (draft) => void (draft.spec.size = 0));
      expect(store.revision).toBe(revision);
    }),
  );

  it(
    'makes the change anew when somebody else wrote in between',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      let runs = 0;
      const result = await widgets.mutate(key, async (draft) => {
        runs += 1;
        if (runs <= 3) await widgets.patch(key, { spec: { color: `other-${runs}` } });
        draft.spec.size += 1;
      });
      expect(runs).toBe(4);
      expect(result.spec).toEqual({ size: 1, color: 'other-3' });
    }),
  );

  it(
    'loses no change of 64 writers of one object, whether they await inside or not',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      await Promise.all(Array.from({ length: 64 }, () => widgets.mutate(key, (draft) => void (draft.spec.size += 1))));
      expect((await widgets.get(key)).spec.size).toBe(64);
      await Promise.all(
        Array.from({ length: 16 }, () =>
          widgets.mutate(
            key,
            async (draft) => {
              draft.spec.size += await Promise.resolve(1);
            },
            { retries: 50 },
          ),
        ),
      );
      expect((await widgets.get(key)).spec.size).toBe(80);
    }),
  );

  it(
    'gives up with a conflict after its retries, and says how often it lost',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      let runs = 0;
      const change = async (): Promise<undefined> => {
        runs += 1;
        await widgets.patch(key, { spec: { color: `other-${runs}` } });
        return undefined;
      };
      const losing = widgets.mutate(
        key,
        async (draft) => {
          await change();
          draft.spec.size = 1;
        },
        { retries: 2 },
      );
      await expect(losing).rejects.toThrow(/lost to other writers 3 times/);
      await expect(losing).rejects.toThrow(ConflictError);
      expect(runs).toBe(3);
      await expect(widgets.mutate(key, () => {}, { retries: -1 })).rejects.toThrow(InvalidError);
    }),
  );

  it(
    'does not retry a conflict of the change itself, nor any other error',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      let runs = 0;
      const fail = (error: Error) => (): never => {
        runs += 1;
        throw error;
      };
      await expect(widgets.mutate(key, fail(new ConflictError('mine')))).rejects.toThrow('mine');
      await expect(widgets.mutate(key, fail(new Error('other')))).rejects.toThrow('other');
      expect(runs).toBe(2);
      await expect(widgets.mutate(key, (draft) => void (draft.spec.size = 1.5))).rejects.toThrow(InvalidError);
      await expect(widgets.mutate({ ...key, name: 'none' }, () => {})).rejects.toThrow(NotFoundError);
    }),
  );

  it(
    'refuses a change of the identity',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      for (const field of ['name', 'namespace', 'uid'] as const) {
        await expect(widgets.mutate(key, (draft) => void (draft.metadata[field] = 'other'))).rejects.toThrow(`metadata.${field}`);
      }
    }),
  );

  it(
    'refuses what the write would lose: the status without the subresource, anything else with it',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      const both = (draft: { spec: { size: number }; status?: { seen?: number } }): void => {
        draft.spec.size = 1;
        draft.status = { seen: 1 };
      };
      await expect(widgets.mutate(key, both)).rejects.toThrow(/subresource: 'status'/);
      await expect(widgets.mutate(key, both, { subresource: 'status' })).rejects.toThrow(/spec\.size/);
      const written = await widgets.mutate(key, (draft) => void (draft.status = { seen: 1 }), { subresource: 'status' });
      expect(written).toMatchObject({ spec: { size: 0 }, status: { seen: 1 } });
    }),
  );

  it(
    'stops when its signal aborts',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      const controller = new AbortController();
      const pending = widgets.mutate(
        key,
        async (draft) => {
          controller.abort(new Error('enough'));
          draft.spec.size = 9;
        },
        { signal: controller.signal },
      );
      await expect(pending).rejects.toThrow(AbortedError);
      expect((await widgets.get(key)).spec.size).toBe(0);
    }),
  );
});

describe('ensure', () => {
  it(
    'creates what is missing, changes what differs, and leaves what says it already',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      expect((await widgets.ensure({ metadata: key, spec: { color: 'red' } })).operation).toBe('created');
      expect((await widgets.ensure({ metadata: key, spec: { color: 'red' } })).operation).toBe('unchanged');
      expect(store.revision).toBe('1');
      expect(await widgets.ensure({ metadata: key, spec: { color: 'blue' } })).toMatchObject({
        operation: 'updated',
        resource: { spec: { color: 'blue', size: 1 } },
      });
    }),
  );

  it(
    'sets the fields given, deep, and leaves the others',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create({
        metadata: { ...key, labels: { theirs: '1' } },
        spec: { size: 9, options: { theirs: '1' }, parts: [{ name: 'theirs', count: 3 }], tags: ['old'] },
      });
      const { resource } = await widgets.ensure({
        metadata: { ...key, labels: { mine: '1' } },
        spec: { color: 'red', options: { mine: '1' }, parts: [{ name: 'mine' }], tags: ['new'] },
      });
      expect(resource.metadata.labels).toEqual({ theirs: '1', mine: '1' });
      expect(resource.spec).toEqual({
        size: 9,
        color: 'red',
        options: { theirs: '1', mine: '1' },
        parts: [
          { name: 'theirs', count: 3 },
          { name: 'mine', count: 1 },
        ],
        tags: ['new'],
      });
    }),
  );

  it(
    'adds owners and finalizers to those that are there',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      const owner = (name: string): { apiVersion: string; kind: string; name: string; uid: string } => ({
        apiVersion: 'rune.dev/v1',
        kind: 'Widget',
        name,
        uid: `uid-${name}`,
      });
      await widgets.create({ metadata: { ...key, ownerReferences: [owner('one')], finalizers: ['a.dev/one'] }, spec: {} });
      const { resource } = await widgets.ensure({
        metadata: { ...key, ownerReferences: [owner('two')], finalizers: ['a.dev/two'] },
        spec: {},
      });
      expect(resource.metadata.ownerReferences?.map(({ name }) => name)).toEqual(['one', 'two']);
      expect(resource.metadata.finalizers).toEqual(['a.dev/one', 'a.dev/two']);
      expect((await widgets.ensure({ metadata: { ...key, ownerReferences: [owner('one')] }, spec: {} })).operation).toBe('unchanged');
    }),
  );

  it(
    'leaves the status alone, and takes an object as it was read',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      const first = await widgets.create(widget);
      await widgets.updateStatus({ ...first, status: { seen: 1 } });
      expect(await widgets.ensure({ ...first, status: { seen: 9 } })).toMatchObject({
        operation: 'unchanged',
        resource: { status: { seen: 1 } },
      });
      await widgets.delete(key);
      expect((await widgets.ensure(first)).operation).toBe('created');
    }),
  );

  it(
    'creates once and converges for all when many ensure the same',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      const done = await Promise.all(
        Array.from({ length: 20 }, (_, index) => widgets.ensure({ metadata: key, spec: { options: { [`k${index}`]: '1' } } })),
      );
      expect(done.filter(({ operation }) => operation === 'created')).toHaveLength(1);
      expect(Object.keys((await widgets.get(key)).spec.options ?? {})).toHaveLength(20);
    }),
  );

  it(
    'takes its input at the call',
    scene(async ({ store }) => {
      const input = { metadata: key, spec: { color: 'red' } };
      const pending = repo(store, Widget).ensure(input);
      input.spec.color = 'changed';
      expect((await pending).resource.spec.color).toBe('red');
    }),
  );

  it(
    'refuses what has no name, and what is no JSON',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await expect(widgets.ensure({ metadata: { namespace: 'prod', generateName: 'x-' }, spec: {} })).rejects.toThrow(/metadata\.name/);
      await expect(
        widgets.ensure({ metadata: key, spec: { options: JSON.parse('{"__proto__":"x"}') as Record<string, string> } }),
      ).rejects.toThrow(InvalidError);
      expect(store.revision).toBe('0');
    }),
  );
});

describe('finalizers', () => {
  it(
    'are added once and removed once',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      await widgets.addFinalizer(key, 'a.dev/one');
      await widgets.addFinalizer(key, 'a.dev/two');
      const { revision } = store;
      expect((await widgets.addFinalizer(key, 'a.dev/one')).metadata.finalizers).toEqual(['a.dev/one', 'a.dev/two']);
      expect(store.revision).toBe(revision);
      expect((await widgets.removeFinalizer(key, 'a.dev/one'))?.metadata.finalizers).toEqual(['a.dev/two']);
      expect((await widgets.removeFinalizer(key, 'a.dev/two'))?.metadata.finalizers).toBeUndefined();
    }),
  );

  it(
    'hold a deleted object until the last is removed; what is gone already is done',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      await widgets.addFinalizer(key, 'a.dev/one');
      expect((await widgets.delete(key)).metadata.deletionTimestamp).toBeDefined();
      await expect(widgets.addFinalizer(key, 'a.dev/two')).rejects.toThrow(InvalidError);
      await widgets.removeFinalizer(key, 'a.dev/one');
      expect(await widgets.find(key)).toBeUndefined();
      expect(await widgets.removeFinalizer(key, 'a.dev/one')).toBeUndefined();
      await expect(widgets.addFinalizer(key, 'a.dev/one')).rejects.toThrow(NotFoundError);
    }),
  );

  it(
    'of many writers at once are all kept',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      await Promise.all(Array.from({ length: 30 }, (_, index) => widgets.addFinalizer(key, `a.dev/f${index}`)));
      expect((await widgets.get(key)).metadata.finalizers).toHaveLength(30);
      await Promise.all(Array.from({ length: 30 }, (_, index) => widgets.removeFinalizer(key, `a.dev/f${index}`)));
      expect((await widgets.get(key)).metadata.finalizers).toBeUndefined();
    }),
  );
});

describe('setCondition', () => {
  it(
    'writes the status only, at the generation that was read, and keeps the time while the status stays',
    scene(async ({ store, deps }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      const first = await widgets.setCondition(key, { type: 'Ready', status: false, reason: 'Starting', message: 'wait' });
      expect(first).toMatchObject({
        metadata: { generation: 1 },
        status: {
          conditions: [
            {
              type: 'Ready',
              status: 'False',
              reason: 'Starting',
              message: 'wait',
              lastTransitionTime: '2026-01-01T00:00:00.000Z',
              observedGeneration: 1,
            },
          ],
        },
      });
      await widgets.patch(key, { spec: { size: 2 } });
      deps.jumpWallClock('1h');
      const second = await widgets.setCondition(key, { type: 'Ready', status: 'False', reason: 'Starting', message: 'wait' });
      expect(second.status?.conditions).toMatchObject([{ lastTransitionTime: '2026-01-01T00:00:00.000Z', observedGeneration: 2 }]);
      const third = await widgets.setCondition(key, { type: 'Ready', status: true, reason: 'Up' });
      expect(third.status?.conditions).toMatchObject([{ status: 'True', lastTransitionTime: '2026-01-01T01:00:00.000Z' }]);
    }),
  );

  it(
    'writes nothing when nothing changed, however the clock runs',
    scene(async ({ store, deps }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      await widgets.setCondition(key, { type: 'Ready', status: true, reason: 'Up' });
      const { revision } = store;
      deps.jumpWallClock('1h');
      await widgets.setCondition(key, { type: 'Ready', status: 'True', reason: 'Up', message: '' });
      expect(store.revision).toBe(revision);
    }),
  );

  it(
    'refuses a condition that the type does not have',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      await expect(widgets.setCondition(key, { type: 'Other' as 'Ready', status: true, reason: 'Up' })).rejects.toThrow(InvalidError);
    }),
  );
});
