/** TestStore: the real store in memory and in virtual time, its shorthands, its record of events, its faults. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createInformers } from '../../src/informer/index.js';
import {
  ConflictError,
  defineResource,
  Instance,
  isAlreadyExists,
  isConflict,
  isInvalid,
  isNotFound,
  NotFoundError,
  Sealed,
  Secret,
  Service,
} from '../../src/schemas/index.js';
import { repo, systemDeps, type Store } from '../../src/store/index.js';
import { openTestStore, TestStore, virtualDeps } from '../../src/testing/index.js';

/** What a user would have written: it knows nothing of tests. */
async function countInstances(store: Store, service: string, namespace: string): Promise<number> {
  const { items } = await store.list(Instance, namespace, { filter: (instance) => instance.spec.service === service });
  return items.length;
}

const Widget = defineResource({
  kind: 'Widget',
  spec: { type: 'object', default: {}, properties: { size: { type: 'integer', default: 1 } } },
  status: { type: 'object', properties: { seen: { type: 'integer' } } },
});

let store: TestStore;
beforeEach(() => {
  store = new TestStore({ types: [Widget] });
});
afterEach(() => store.close());

describe('TestStore', () => {
  it('gives a function under test a working store, as in the store’s own guide', async () => {
    const testStore = new TestStore();
    await testStore.createService({ name: 'test-service', namespace: 'default' });
    await testStore.createInstance({ name: 'test-instance', namespace: 'default', spec: { service: 'test-service' } });

    expect(await countInstances(testStore, 'test-service', 'default')).toBe(1);
    expect(await countInstances(testStore, 'test-service', 'other')).toBe(0);
    expect(await countInstances(testStore, 'another', 'default')).toBe(0);
    await testStore.close();
  });

  it('is the real store: it validates, refuses what is stale, and keeps history', async () => {
    const created = await store.createService({ name: 'web', spec: { scale: 2 } });
    await expect(store.createService({ name: 'web' })).rejects.toSatisfy(isAlreadyExists);
    await expect(store.createService({ name: 'bad', spec: { scale: -1 } })).rejects.toSatisfy(isInvalid);
    const next = await store.update(Service, 'default', 'web', { ...created, spec: { ...created.spec, scale: 3 } });
    await expect(store.update(Service, 'default', 'web', created)).rejects.toSatisfy(isConflict);
    expect(next.metadata.generation).toBe(2);
    expect((await store.getHistory(Service, 'default', 'web')).map(({ change }) => change)).toEqual(['updated', 'created']);
    await expect(store.getService('none')).rejects.toSatisfy(isNotFound);
  });

  it('fills in what a partial input lacks, for every built-in type', async () => {
    const made = await Promise.all([
      store.createNamespace(),
      store.createService(),
      store.createInstance(),
      store.createScalingOperation(),
      store.createDeletionOperation(),
      store.createSecret(),
      store.createConfig(),
      store.createLease(),
      store.createEvent(),
    ]);
    expect(made.map(({ metadata }) => `${metadata.namespace ?? '-'}/${metadata.name}`)).toEqual([
      '-/test-namespace',
      'default/test-service',
      'default/test-instance',
      'default/test-scalingoperation',
      'default/test-deletionoperation',
      'default/test-secret',
      'default/test-config',
      'default/test-lease',
      'default/test-event',
    ]);
    expect((await store.createService()).metadata.name).toBe('test-service-2');
    const [namespace, service, instance, scaling, deletion, secret, config, lease, event] = await Promise.all([
      store.getNamespace('test-namespace'),
      store.getService('test-service'),
      store.getInstance('test-instance'),
      store.getScalingOperation('test-scalingoperation'),
      store.getDeletionOperation('test-deletionoperation'),
      store.getSecret('test-secret'),
      store.getConfig('test-config'),
      store.getLease('test-lease'),
      store.getEvent('test-event'),
    ]);
    expect([namespace.kind, service.spec.scale, instance.spec.service, scaling.spec.service, deletion.spec.service]).toEqual([
      'Namespace',
      1,
      'test-service',
      'test-service',
      'test-service',
    ]);
    expect([secret.data, config.data, lease.spec, event.reason]).toEqual([{ password: 'test-password' }, { key: 'value' }, {}, 'Tested']);
    const counts = await Promise.all([
      store.listNamespaces(),
      store.listServices(),
      store.listInstances(),
      store.listScalingOperations(),
      store.listDeletionOperations(),
      store.listSecrets(),
      store.listConfigs(),
      store.listLeases(),
      store.listEvents(),
    ]);
    expect(counts.map((list) => list.length)).toEqual([1, 2, 1, 1, 1, 1, 1, 1, 1]);
    expect(await store.listServices('other')).toEqual([]);
  });

  it('takes metadata, a status, and a generated name as they are given', async () => {
    const labelled = await store.createInstance({
      metadata: { name: 'a', namespace: 'prod', labels: { app: 'web' } },
      status: { phase: 'Running' },
    });
    expect(labelled.metadata.labels).toEqual({ app: 'web' });
    expect((await store.getInstance('a', 'prod')).status?.phase).toBe('Running');
    expect(store.events({ type: Instance })).toHaveLength(1);
    const generated = await store.createService({ metadata: { generateName: 'web-' } });
    expect(generated.metadata.name).toMatch(/^web-[a-z0-9]{5}$/);
    const targeted = await store.createDeletionOperation({ spec: { target: { type: 'widget', name: 'a' } } });
    expect(targeted.spec.service).toBeUndefined();
    expect((await store.createObject(Widget, { spec: { size: 4 } })).spec.size).toBe(4);
  });

  it('loads many objects at once', async () => {
    const loaded = await store.setupTestData({
      namespaces: [{ name: 'prod' }],
      services: [{ name: 'web', namespace: 'prod' }, { name: 'db' }],
      instances: [{ name: 'web-0', namespace: 'prod', spec: { service: 'web' } }],
      objects: [[Widget, { name: 'w1' }], { kind: 'Widget', metadata: { name: 'w2' }, spec: { size: 2 } }],
    });
    expect(loaded.services.map(({ metadata }) => metadata.name)).toEqual(['web', 'db']);
    expect(loaded.objects.map(({ metadata }) => metadata.name)).toEqual(['w1', 'w2']);
    expect(await countInstances(store, 'web', 'prod')).toBe(1);
    await expect(store.setupTestData({ objects: [{ kind: 'Gadget' }] })).rejects.toThrow(/no type of kind "Gadget" is known/);
  });

  it('tells all that happened, in order, with what was there before', async () => {
    const web = await store.createService({ name: 'web' });
    await store.update(Service, 'default', 'web', { ...web, spec: { ...web.spec, scale: 5 } }, { source: 'me' });
    await store.createConfig({ name: 'c' });
    await store.delete(Service, 'default', 'web');
    expect(
      store
        .events()
        .map((event) => `${event.resourceVersion} ${event.type} ${event.resourceType} ${event.name} ${event.source ?? ''}`.trim()),
    ).toEqual(['1 CREATED service web', '2 UPDATED service web me', '3 CREATED config c', '4 DELETED service web']);
    const [, updated] = store.events({ type: Service });
    expect([updated?.previous?.spec.scale, updated?.resource.spec.scale, updated?.resource.metadata.resourceVersion]).toEqual([1, 5, '2']);
    expect(store.events({ type: Service, verb: 'DELETED' })[0]?.resource.spec.scale).toBe(5);
    expect(store.events({ source: 'me' })).toHaveLength(1);
    expect(store.events({ since: '2', namespace: 'default' })).toHaveLength(2);
    await store.transaction(async (tx) => {
      await tx.create(Widget, 'default', 'a', {});
      await tx.create(Widget, 'default', 'b', {});
    });
    expect(
      store
        .commits()
        .at(-1)
        ?.events.map(({ name }) => name),
    ).toEqual(['a', 'b']);
  });

  it('keeps secrets sealed in what it tells', async () => {
    await store.createSecret({ name: 's', data: { password: 'hunter2-plain' } });
    expect((await store.getSecret('s')).data).toEqual({ password: 'hunter2-plain' });
    const [event] = store.events({ type: Secret });
    expect(Sealed.is(event?.resource.data?.['password'])).toBe(true);
    expect(JSON.stringify(store.events())).not.toContain('hunter2-plain');
  });

  it('begins anew after a reset, and ends open watches', async () => {
    await store.createService({ name: 'web' });
    store.failNext('get');
    const watch = store.watch(Service);
    const next = watch.next();
    await store.reset();
    expect((await next).done).toBe(true);
    expect([store.revision, store.events().length, (await store.listServices()).length]).toEqual(['0', 0, 0]);
    expect((await store.createService()).metadata.name).toBe('test-service');
    expect((await store.getService('test-service')).metadata.resourceVersion).toBe('1');
  });

  it('gives the same ids and times for the same seed, and others for another', async () => {
    const uids = async (seed: number): Promise<string> => {
      await using each = await openTestStore({ seed });
      const { metadata } = await each.createService();
      return `${metadata.uid} ${metadata.creationTimestamp}`;
    };
    expect(await uids(7)).toBe(await uids(7));
    expect(await uids(7)).not.toBe(await uids(8));
  });

  it('works on real time too', async () => {
    await using real = new TestStore({ deps: systemDeps() });
    await real.createService({ name: 'web' });
    expect(await real.getService('web')).toMatchObject({ spec: { scale: 1 } });
    await expect(real.advance('1s')).rejects.toThrow(/real time/);
  });

  it('works beside the runner’s own fake timers', async () => {
    vi.useFakeTimers();
    try {
      store.delay('create', '1h', { times: 1 });
      await store.createService({ name: 'web' });
      expect((await store.getService('web')).metadata.creationTimestamp).toBe('2026-01-01T01:00:00.000Z');
    } finally {
      vi.useRealTimers();
    }
  });

  it('feeds informers and repos of the product', async () => {
    await using informers = createInformers({ store });
    const services = informers.for(Service);
    informers.start();
    await informers.whenSynced();
    await store.createService({ name: 'web' });
    await services.caughtUp(store.revision);
    expect(services.get('default/web')?.spec.scale).toBe(1);
    await repo(store, Service).mutate({ namespace: 'default', name: 'web' }, (draft) => {
      draft.spec.scale = 9;
    });
    await services.caughtUp(store.revision);
    expect(services.get('default/web')?.spec.scale).toBe(9);
  });

  it('moves time for a wait, and for nothing else', async () => {
    const deps = virtualDeps({ seed: 3 });
    await using each = await openTestStore({ deps });
    await each.createService({ name: 'web' });
    deps.scheduler.after(5_000, () => void each.patch(Service, 'default', 'web', { spec: { scale: 4 } }));
    await each.listServices();
    expect(deps.clock.monotonic()).toBe(0);
    const scaled = await each
      .repo(Service)
      .waitFor({ namespace: 'default', name: 'web' }, (service) => service?.spec.scale === 4, { timeout: '1m' });
    expect([scaled?.spec.scale, Math.round(deps.clock.monotonic())]).toEqual([4, 5_000]);
    await expect(each.repo(Service).waitFor({ namespace: 'default', name: 'web' }, () => false, { timeout: '1m' })).rejects.toThrow(/1m/);
  });
});

describe('the faults of a TestStore', () => {
  it('fail the next calls of a verb, as often as asked, where asked', async () => {
    await store.createService({ name: 'web' });
    const fault = store.failNext('get', new NotFoundError('gone for now'), { times: 2, where: { name: 'web' } });
    await store.createService({ name: 'db' });
    expect((await store.getService('db')).metadata.name).toBe('db');
    await expect(store.getService('web')).rejects.toThrow('gone for now');
    await expect(store.getService('web')).rejects.toSatisfy(isNotFound);
    expect((await store.getService('web')).metadata.name).toBe('web');
    expect(fault.hits).toBe(2);
  });

  it('strike groups of verbs, transactions, and what a function picks', async () => {
    store.failNext('write', 'disk on fire');
    await expect(store.createService()).rejects.toThrow('disk on fire');
    store.failNext('create', undefined, { where: { type: Widget } });
    await expect(store.transaction((tx) => tx.create(Widget, 'default', 'a', {}))).rejects.toThrow(
      'injected: create of widget default/a fails',
    );
    expect(store.events({ type: Widget })).toEqual([]);
    store.failNext('*', (call) => new Error(`no ${call.verb}`), { where: (call) => call.source === 'me' });
    await store.createConfig();
    await expect(store.create(Widget, 'default', 'b', {}, { source: 'me' })).rejects.toThrow('no create');
    const removed = store.failNext('read');
    removed.remove();
    await store.listServices();
    store.failNext('list');
    store.clearFaults();
    await store.listServices();
    expect(() => store.failNext('creat' as 'create')).toThrow(/there is no verb creat/);
    expect(() => store.failNext('create', 'x', { times: 0 })).toThrow(/at least 1/);
  });

  it('lose an answer after the write took effect', async () => {
    store.failNext('create', 'the answer was lost', { applied: true });
    await expect(store.createService({ name: 'web' })).rejects.toThrow('the answer was lost');
    expect((await store.getService('web')).metadata.name).toBe('web');
  });

  it('lose a race that a retry wins', async () => {
    const web = await store.createService({ name: 'web' });
    const fault = store.conflictNext();
    const lost = await store.update(Service, 'default', 'web', web).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(lost).toBeInstanceOf(ConflictError);
    expect((lost as ConflictError).currentRevision).toBe(store.revision);
    await store.update(Service, 'default', 'web', { ...web, spec: { ...web.spec, scale: 2 } });
    expect(fault.hits).toBe(1);
  });

  it('make calls late in virtual time', async () => {
    const before = store.deps.clock.monotonic();
    const fault = store.delay('update', '50ms');
    const web = await store.createService({ name: 'web' });
    expect(store.deps.clock.monotonic()).toBe(before);
    await store.update(Service, 'default', 'web', { ...web, spec: { ...web.spec, scale: 2 } });
    expect(store.deps.clock.monotonic() - before).toBe(50);
    fault.remove();
    await store.patch(Service, 'default', 'web', { spec: { scale: 3 } });
    expect(store.deps.clock.monotonic() - before).toBe(50);
  });

  it('make an event late for a plain pull, which moves time that far', async () => {
    await using store = new TestStore();
    store.delay('watch', '5s');
    const watch = store.watch(Service);
    await store.createService({ name: 'web' });
    expect((await watch.next()).value).toMatchObject({ type: 'CREATED', name: 'web' });
    expect(store.deps.clock.monotonic()).toBe(5_000);
  });

  it('refuse a kind where the name of a type is meant', async () => {
    await using store = new TestStore();
    expect(() => store.failNext('get', 'no', { where: { type: 'ScalingOperation' } })).toThrow(
      /no type "ScalingOperation".*"scaling_operation"/,
    );
    expect(() => store.cutWatches({ type: 'Service' })).toThrow(/no type "Service"/);
    expect(store.cutWatches({ type: '*' })).toBe(0);
  });

  it('cut watches, and what was missed comes to who resumes', async () => {
    const watch = store.watch(Service, undefined, { since: '0' });
    await store.createService({ name: 'a' });
    const first = await watch.next();
    expect(store.cutWatches({ type: Widget })).toBe(0);
    expect(store.cutWatches({ type: Service })).toBe(1);
    expect((await watch.next()).done).toBe(true);
    await store.createService({ name: 'b' });
    const again = store.watch(Service, undefined, { since: first.value?.resume });
    expect((await again.next()).value).toMatchObject({ type: 'CREATED', name: 'b' });
    await again.close();
  });

  it('expire watches, so that an informer lists again and misses nothing', async () => {
    await using informers = createInformers({ store });
    const services = informers.for(Service);
    const seen: string[] = [];
    services.addHandler({
      onAdd: (object) => void seen.push(`add ${object.metadata.name}`),
      onUpdate: (object) => void seen.push(`update ${object.metadata.name}`),
      onDelete: (object) => void seen.push(`delete ${object.metadata.name}`),
    });
    informers.start();
    await informers.whenSynced();
    await store.createService({ name: 'a' });
    await services.caughtUp(store.revision);
    const since = store.revision;
    expect(store.expireWatches()).toBe(1);
    await store.createService({ name: 'b' });
    await store.run(services.caughtUp(store.revision));
    expect(services.size).toBe(2);
    expect(seen).toEqual(['add a', 'add b']);
    expect(services.relists).toBe(1);
    // From the moment of the expiry on a watch goes on; from before it does not.
    expect(store.watch(Service, undefined, { since }).progress).toBe(since);
    await expect(store.watch(Service, undefined, { since: '0' }).next()).rejects.toThrow(/list again/);
  });

  it('make events late, and progress no earlier than they come', async () => {
    store.delay('watch', '2s');
    const watch = store.watch(Service, undefined, { since: '0' });
    const progress: number[] = [];
    watch.onProgress((revision) => void progress.push(revision));
    await store.createService({ name: 'a' });
    const next = watch.next();
    await store.advance('1s');
    expect(Number(watch.progress)).toBe(0);
    await store.advance('1s');
    expect((await next).value).toMatchObject({ name: 'a' });
    expect(watch.progress).toBe('1');
    store.failNext('watch', 'no watch today');
    await expect(store.watch(Service).next()).rejects.toThrow('no watch today');
    await watch.close();
  });
});
