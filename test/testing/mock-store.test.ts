/** MockStore: every verb a spy of the right type; what is stubbed is answered, what is not says so. */
import { mock } from 'node:test';
import { describe, expect, expectTypeOf, it, vi } from 'vitest';
import { Instance, isNotFound, Service, StoreError, type ResourceOf } from '../../src/schemas/index.js';
import { repo, type Store } from '../../src/store/index.js';
import { createMockStore as createPlain } from '../../src/testing/index.js';
import { createMockStore, MockStore } from '../../src/testing/vitest.js';

const web: ResourceOf<typeof Service> = {
  apiVersion: 'rune.dev/v1',
  kind: 'Service',
  metadata: {
    name: 'web',
    namespace: 'prod',
    uid: 'u1',
    resourceVersion: '7',
    generation: 1,
    creationTimestamp: '2026-01-01T00:00:00.000Z',
  },
  spec: { image: 'nginx', scale: 2, restartPolicy: 'Always' },
};

/** A function under test, as a user writes it. */
async function scaleUp(store: Store, name: string): Promise<void> {
  const service = await store.get(Service, 'prod', name);
  await store.update(Service, 'prod', name, { ...service, spec: { ...service.spec, scale: service.spec.scale + 1 } });
}

describe('MockStore', () => {
  it('answers what was stubbed and records the calls', async () => {
    const store = new MockStore();
    store.stubGet(Service, web);
    store.stubWrites();
    await scaleUp(store, 'web');
    expect(store.get).toHaveBeenCalledExactlyOnceWith(Service, 'prod', 'web');
    expect(store.update.mock.calls[0]?.[3]).toMatchObject({ spec: { scale: 3 } });
    expect(vi.isMockFunction(store.list)).toBe(true);
    expect(web.spec.scale).toBe(2);
    expect((await store.getByUid(Service, 'u1')).metadata.name).toBe('web');
    await expect(store.getByUid(Service, 'u2')).rejects.toSatisfy(isNotFound);
  });

  it('is a store to the compiler, and its verbs are spies of theirs', () => {
    const store = createMockStore();
    expectTypeOf(store).toExtend<Store>();
    expectTypeOf(store.get).toExtend<Store['get']>();
    expectTypeOf(store.close.mock.calls).toEqualTypeOf<[][]>();
    expect(store.id).toBe('mock');
  });

  it('modifies what get gives, and an empty object without', async () => {
    const store = new MockStore();
    store.stubWrites();
    const scale = (draft: ResourceOf<typeof Service>): void => {
      draft.spec = { ...draft.spec, scale: 9 };
    };
    expect(await store.modify(Service, 'prod', 'web', scale)).toMatchObject({
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { scale: 9 },
    });
    store.stubGet(Service, web);
    expect((await store.modify(Service, 'prod', 'web', scale)).spec).toEqual({ ...web.spec, scale: 9 });
    expect(web.spec.scale).toBe(2);
    expect(store.get).not.toHaveBeenCalled();
  });

  it('has a signal that tells of its close, as every store has', async () => {
    const store = new MockStore();
    expect(store.ended.aborted).toBe(false);
    await store.close();
    expect(store.ended.aborted).toBe(true);
  });

  it('takes no answer that the verb could not give', () => {
    const store = new MockStore();
    // @ts-expect-error a get does not answer with a number
    store.stub('get', () => 42);
    store.stub('get', () => web);
    store.stub('get', async () => web);
    store.stub('patch', () => undefined);
    expect(store.get).not.toHaveBeenCalled();
  });

  it('feeds every pull that waits, however often the stream is opened', async () => {
    const store = new MockStore();
    const stream = store.stubWatch(Service);
    const [one, other] = [store.watch(Service), store.watch(Service)];
    const pulls = [one.next(), other.next()];
    stream.push({ type: 'CREATED', resource: web }, { type: 'CREATED', resource: web });
    expect((await Promise.all(pulls)).map(({ value }) => value?.type)).toEqual(['CREATED', 'CREATED']);
    const ends = [one.next(), other.next()];
    stream.end();
    expect((await Promise.all(ends)).map(({ done }) => done)).toEqual([true, true]);
  });

  it('says how to give it a method for fn', () => {
    const { fn } = mock;
    expect(() => createPlain({ fn })).toThrow(/such as \(each\) => mock\.fn\(each\) for node:test/);
    expect(createPlain({ fn: (each) => mock.fn(each) }).get.mock.callCount()).toBe(0);
  });

  it('fails a call that nobody stubbed, and says how to', async () => {
    const store = new MockStore();
    await expect(store.get(Service, 'prod', 'web')).rejects.toThrow(
      "asked to get service prod/web, and nobody said what to answer: call mock.stub('get', ...)",
    );
    expect(() => store.watch(Service)).toThrow(/asked to watch service/);
    store.stubGet(Service, web);
    await expect(store.get(Service, 'prod', 'other')).rejects.toThrow(/nobody said/);
    store.stubMissing(Service, { namespace: 'prod', name: 'other' });
    await expect(store.get(Service, 'prod', 'other')).rejects.toSatisfy(isNotFound);
    store.clearStubs();
    await expect(store.get(Service, 'prod', 'web')).rejects.toThrow(/nobody said/);
  });

  it('stubs lists, errors for a while, and anything by a function', async () => {
    const store = createMockStore();
    store.stubList(Service, [web, { ...web, metadata: { ...web.metadata, namespace: 'dev' } }], { resourceVersion: '9' });
    expect((await store.list(Service)).items).toHaveLength(2);
    const inProd = await store.list(Service, 'prod', { filter: (service) => service.spec.scale === 2 });
    expect([[...inProd].length, inProd.resourceVersion]).toEqual([1, '9']);
    store.stubError('list', new StoreError('disk on fire'), { times: 1 });
    await expect(store.list(Service)).rejects.toThrow('disk on fire');
    expect((await store.list(Service, 'dev')).items).toHaveLength(1);
    store.stub('delete', () => web, { where: { type: Service } });
    expect(await store.delete(Service, 'prod', 'web')).toBe(web);
    await expect(store.delete(Instance, 'prod', 'web')).rejects.toThrow(/nobody said/);
  });

  it('streams the watch events it is told to', async () => {
    const store = createMockStore();
    const stream = store.stubWatch(Service, [{ type: 'CREATED', resource: web }]);
    const watch = store.watch(Service, 'prod');
    const first = await watch.next();
    expect(first.value).toMatchObject({ type: 'CREATED', namespace: 'prod', name: 'web', resourceVersion: '7', resume: '7' });
    const next = watch.next();
    stream.push(
      { type: 'UPDATED', resource: { ...web, metadata: { ...web.metadata, resourceVersion: '8' } }, previous: web },
      { type: 'BOOKMARK', resourceVersion: '9' },
    );
    expect((await next).value).toMatchObject({ type: 'UPDATED', resourceVersion: '8', previous: web });
    expect((await watch.next()).value).toMatchObject({ type: 'BOOKMARK', resume: '9' });
    stream.fail(new StoreError('cut'));
    await expect(watch.next()).rejects.toThrow('cut');
    await watch.close();
    expect([stream.opens, stream.closes]).toEqual([1, 1]);
    stream.push({ type: 'DELETED', resource: web });
    stream.end();
    const seen: string[] = [];
    for await (const event of store.watch(Service)) seen.push(event.type);
    expect(seen).toEqual(['DELETED']);
  });

  it('runs transactions over its own spies, and repos over itself', async () => {
    const store = new MockStore();
    store.stubGet(Service, web);
    store.stubWrites();
    const scale = await store.transaction(async (tx) => (await tx.get(Service, 'prod', 'web')).spec.scale);
    expect(scale).toBe(2);
    expect(store.get).toHaveBeenCalledTimes(1);
    expect((await repo(store, Service).get({ namespace: 'prod', name: 'web' })).spec.image).toBe('nginx');
  });

  it('takes the spies of any runner, or brings its own', async () => {
    const own = createPlain();
    own.stubList(Service, []);
    await own.list(Service, 'prod');
    expect(own.list.calls).toEqual([[Service, 'prod']]);
    const nodes = createPlain({ fn: (implementation) => mock.fn(implementation) });
    nodes.stubList(Service, [web]);
    expect((await nodes.list(Service)).items).toHaveLength(1);
    expect(nodes.list.mock.callCount()).toBe(1);
  });
});
