import { describe, expect, it } from 'vitest';
import { AbortedError, NotFoundError, StoreClosedError, TimeoutError } from '../../../src/schemas/index.js';
import { sleep } from '../../../src/store/index.js';
import { repo } from '../../../src/store/repos/index.js';
import { scene, Widget } from './setup.js';

const key = { namespace: 'prod', name: 'a' };
const widget = { metadata: key, spec: { size: 0 } };

describe('waitFor', () => {
  it(
    'resolves at once when it is so already, with an object that the caller may change',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      const ready = await widgets.setCondition(key, { type: 'Ready', status: true, reason: 'Up' });
      const found = await widgets.waitFor(key, 'Ready');
      expect(found).toEqual(ready);
      found.spec.size = 5;
    }),
  );

  it(
    'resolves when the condition comes, with the state that brought it',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      const waiting = widgets.waitFor(key, 'Ready');
      await widgets.create(widget);
      await widgets.setCondition(key, { type: 'Ready', status: false, reason: 'Starting' });
      const ready = await widgets.setCondition(key, { type: 'Ready', status: true, reason: 'Up' });
      expect((await waiting).metadata.resourceVersion).toBe(ready.metadata.resourceVersion);
      expect((await widgets.waitFor(key, 'Ready=True')).metadata.name).toBe('a');
    }),
  );

  it(
    'does not miss a state that lasts for one revision only',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      const waiting = widgets.waitFor(key, (found) => found?.spec.size === 7);
      for (let size = 1; size <= 20; size += 1) await widgets.patch(key, { spec: { size } });
      expect((await waiting)?.spec.size).toBe(7);
    }),
  );

  it(
    'takes no condition for true that was observed at an older generation',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      await widgets.setCondition(key, { type: 'Ready', status: true, reason: 'Up' });
      await widgets.patch(key, { spec: { size: 2 } });
      const error: unknown = await widgets.waitFor(key, 'Ready', { timeout: '5s' }).catch((thrown: unknown) => thrown);
      expect((error as Error).message).toContain('observed at generation 1');
      const waiting = widgets.waitFor(key, 'Ready');
      await widgets.setCondition(key, { type: 'Ready', status: true, reason: 'Up' });
      expect((await waiting).metadata.generation).toBe(2);
    }),
  );

  it(
    'waits for a condition to be false, and for an object to be gone',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      const broken = widgets.waitFor(key, 'Broken=False');
      const gone = widgets.waitFor(key, (found) => found === undefined);
      await widgets.setCondition(key, { type: 'Broken', status: false, reason: 'Fine' });
      expect((await broken).status?.conditions).toMatchObject([{ type: 'Broken', status: 'False' }]);
      await widgets.delete(key);
      expect(await gone).toBeUndefined();
      expect(await widgets.waitFor(key, (found) => found === undefined)).toBeUndefined();
    }),
  );

  it(
    'looks at no other object, nor at the same name in another namespace',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      const seen: unknown[] = [];
      const waiting = widgets.waitFor(key, (found) => {
        seen.push(found === undefined ? undefined : `${found.metadata.namespace}/${found.metadata.name}`);
        return found !== undefined;
      });
      await widgets.create({ metadata: { namespace: 'production', name: 'a' }, spec: {} });
      await widgets.create({ metadata: { namespace: 'prod', name: 'ab' }, spec: {} });
      await widgets.create(widget);
      await waiting;
      expect(seen).toEqual([undefined, 'prod/a']);
    }),
  );

  it(
    'ends with an error once the very object it was about is gone',
    scene(async ({ store }) => {
      const widgets = repo(store, Widget);
      const first = await widgets.create(widget);
      const waiting = widgets.waitFor(first, 'Ready').catch((thrown: unknown) => thrown);
      await widgets.delete(first);
      await widgets.create(widget);
      await widgets.setCondition(key, { type: 'Ready', status: true, reason: 'Up' });
      expect(await waiting).toBeInstanceOf(NotFoundError);
      await expect(widgets.waitFor(first, 'Ready')).rejects.toThrow(NotFoundError);
      expect(await widgets.waitFor(first, (found) => found === undefined)).toBeUndefined();
    }),
  );

  it(
    'times out naming what was last seen, and leaves no watch and no timer',
    scene(async ({ store, deps }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      await widgets.setCondition(key, { type: 'Ready', status: false, reason: 'Starting', message: 'pulling the image' });
      const error: unknown = await widgets.waitFor(key, 'Ready', { timeout: '30s' }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(TimeoutError);
      expect((error as Error).message).toBe(
        'waiting for Ready of widget "prod/a" did not finish within 30s; last seen: resourceVersion 2, generation 1, Ready=False (Starting: pulling the image)',
      );
      await expect(widgets.waitFor({ ...key, name: 'none' }, 'Ready', { timeout: 1000 })).rejects.toThrow(/last seen: it did not exist/);
      await sleep(deps, 1);
      expect((await store.stats()).watchers).toBe(0);
      expect(deps.nextDue()).toBeUndefined();
    }),
  );

  it(
    'leaves no watch and no timer when it ends well, and none when the predicate throws',
    scene(async ({ store, deps }) => {
      const widgets = repo(store, Widget);
      await widgets.create(widget);
      await widgets.waitFor(key, () => true, { timeout: '1h' });
      const failing = widgets.waitFor(
        key,
        () => {
          throw new Error('no idea');
        },
        { timeout: '1h' },
      );
      await expect(failing).rejects.toThrow('no idea');
      await sleep(deps, 1);
      expect((await store.stats()).watchers).toBe(0);
      expect(deps.nextDue()).toBeUndefined();
    }),
  );

  it(
    'ends when its signal aborts, with and without a timeout',
    scene(async ({ store, deps }) => {
      const widgets = repo(store, Widget);
      for (const options of [{}, { timeout: '1h' as const }]) {
        const controller = new AbortController();
        const waiting = widgets.waitFor(key, 'Ready', { ...options, signal: controller.signal }).catch((thrown: unknown) => thrown);
        await sleep(deps, 10);
        controller.abort(new Error('enough'));
        expect(await waiting).toBeInstanceOf(AbortedError);
      }
      await expect(widgets.waitFor(key, 'Ready', { signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
      await sleep(deps, 1);
      expect((await store.stats()).watchers).toBe(0);
    }),
  );

  it(
    'ends when the store is closed',
    scene(async ({ store, deps }) => {
      const waiting = repo(store, Widget)
        .waitFor(key, 'Ready')
        .catch((thrown: unknown) => thrown);
      await sleep(deps, 10);
      await store.close();
      expect(await waiting).toBeInstanceOf(StoreClosedError);
    }),
  );
});
