import { describe, expect, it } from 'vitest';
import { ConflictError, InvalidError, NotFoundError } from '../../../src/schemas/index.js';
import {
  createConfigRepo,
  createDeletionOperationRepo,
  createInstanceRepo,
  createNamespaceRepo,
  createScalingOperationRepo,
  createServiceRepo,
} from '../../../src/store/repos/index.js';
import { scene } from './setup.js';

const key = { namespace: 'prod', name: 'web' };

describe('ServiceRepo', () => {
  it(
    'shows and sets the scale, and nothing else',
    scene(async ({ store }) => {
      const services = createServiceRepo(store);
      const first = await services.create({ metadata: key, spec: { image: 'web:1', env: { A: '1' } } });
      await services.updateStatus({ ...first, status: { instances: 1, readyInstances: 0 } });
      const scale = await services.getScale(key);
      expect(scale).toMatchObject({ desired: 1, current: 1, ready: 0 });
      expect((await services.updateScale(key, 3)).spec).toEqual({ ...first.spec, scale: 3 });
      expect((await services.getScale(key)).desired).toBe(3);
      await expect(services.updateScale(key, 4, { resourceVersion: scale.resourceVersion })).rejects.toThrow(ConflictError);
    }),
  );

  it(
    'refuses a scale that is none',
    scene(async ({ store }) => {
      const services = createServiceRepo(store);
      await services.create({ metadata: key, spec: { image: 'web:1' } });
      for (const scale of [-1, 1.5, Number.NaN, 1e9, '3' as unknown as number]) {
        await expect(services.updateScale(key, scale)).rejects.toThrow(InvalidError);
      }
      await expect(services.updateScale({ ...key, name: 'none' }, 1)).rejects.toThrow(NotFoundError);
    }),
  );
});

describe('InstanceRepo', () => {
  it(
    'lists by service, by phase and by node, each within its namespace',
    scene(async ({ store }) => {
      const instances = createInstanceRepo(store);
      const service = await createServiceRepo(store).create({ metadata: key, spec: { image: 'web:1' } });
      const make = async (
        namespace: string,
        name: string,
        spec: { service: string; node?: string; serviceUid?: string },
      ): Promise<void> => {
        await instances.create({ metadata: { namespace, name }, spec: { image: 'web:1', ...spec } });
      };
      await make('prod', 'web-1', { service: 'web', node: 'n1', serviceUid: service.metadata.uid });
      await make('prod', 'web-2', { service: 'web', node: 'n2', serviceUid: 'of-an-earlier-web' });
      await make('prod', 'web-3', { service: 'web' });
      await make('prod', 'db-1', { service: 'db', node: 'n1' });
      await make('production', 'web-1', { service: 'web', node: 'n1' });
      const names = ({ items }: { items: { metadata: { namespace?: string; name: string } }[] }): string[] =>
        items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);

      expect(names(await instances.listByService(key))).toEqual(['prod/web-1', 'prod/web-2', 'prod/web-3']);
      expect(names(await instances.listByService('service:web.prod.rune'))).toHaveLength(3);
      expect(names(await instances.listByService(service))).toEqual(['prod/web-1', 'prod/web-3']);
      expect(
        names(
          await instances.listByService(`rune://service/prod/id/${service.metadata.uid}`, { filter: ({ spec }) => spec.node === 'n1' }),
        ),
      ).toEqual(['prod/web-1']);
      expect(names(await instances.listByNode('n1'))).toEqual(['prod/db-1', 'prod/web-1', 'production/web-1']);
      expect(names(await instances.listByNode('n1', { namespace: 'prod' }))).toEqual(['prod/db-1', 'prod/web-1']);

      await instances.updatePhase({ namespace: 'prod', name: 'web-1' }, 'Starting', { pid: 7 });
      const running = await instances.updatePhase({ namespace: 'prod', name: 'web-1' }, 'Running', { ip: '10.0.0.1' });
      expect(running.status).toEqual({ phase: 'Running', pid: 7, ip: '10.0.0.1', restarts: 0 });
      expect(names(await instances.listByStatus('Running'))).toEqual(['prod/web-1']);
      expect(names(await instances.listByStatus('Running', { namespace: 'production' }))).toEqual([]);
    }),
  );
});

describe('NamespaceRepo', () => {
  it(
    'tells whether a namespace is there, going, or absent',
    scene(async ({ store }) => {
      const namespaces = createNamespaceRepo(store);
      expect(await namespaces.state('prod')).toBe('absent');
      expect((await namespaces.ensureExists('prod')).operation).toBe('created');
      expect((await namespaces.ensureExists('prod')).operation).toBe('unchanged');
      expect(await namespaces.state('prod')).toBe('active');
      await namespaces.addFinalizer({ name: 'prod' }, 'rune.dev/contents');
      await namespaces.delete({ name: 'prod' });
      expect(await namespaces.state('prod')).toBe('terminating');
      await namespaces.removeFinalizer({ name: 'prod' }, 'rune.dev/contents');
      expect(await namespaces.state('prod')).toBe('absent');
    }),
  );
});

describe('ConfigRepo', () => {
  it(
    'reads single keys, by ref as well, as text and as bytes',
    scene(async ({ store }) => {
      const configs = createConfigRepo(store, { defaultNamespace: 'prod' });
      const { metadata } = await configs.create({ metadata: key, data: { level: 'debug' }, binaryData: { blob: 'AAEC' } });
      expect(await configs.value(key, 'level')).toBe('debug');
      expect(await configs.value('config:web.prod.rune/level')).toBe('debug');
      expect(await configs.value('config:web/level')).toBe('debug');
      expect(await configs.value(`rune://config/prod/id/${metadata.uid}/level`)).toBe('debug');
      expect(await configs.bytes(key, 'blob')).toEqual(new Uint8Array([0, 1, 2]));
      expect(await configs.bytes(key, 'level')).toEqual(new TextEncoder().encode('debug'));
    }),
  );

  it(
    'says which keys there are when one is not, and asks for a key when none is named',
    scene(async ({ store }) => {
      const configs = createConfigRepo(store);
      await configs.create({ metadata: key, data: { level: 'debug' } });
      await expect(configs.value(key, 'other')).rejects.toThrow(/has no key "other"; it has level/);
      await expect(configs.value(key, 'toString')).rejects.toThrow(NotFoundError);
      await expect(configs.value(key)).rejects.toThrow(InvalidError);
      await expect(configs.value('config:web.prod.rune')).rejects.toThrow(InvalidError);
      await expect(configs.value({ ...key, name: 'none' }, 'level')).rejects.toThrow(NotFoundError);
    }),
  );

  it(
    'sets and removes single keys, each in one map only, and leaves the others',
    scene(async ({ store }) => {
      const configs = createConfigRepo(store);
      await configs.create({ metadata: key, data: { keep: '1', change: '1' } });
      await configs.setValues(key, { change: new Uint8Array([255]), more: 'text' });
      expect(await configs.get(key)).toMatchObject({ data: { keep: '1', more: 'text' }, binaryData: { change: '/w==' } });
      const back = await configs.setValues(key, { change: 'text' });
      expect(back.binaryData).toBeUndefined();
      expect(back.data).toEqual({ keep: '1', more: 'text', change: 'text' });
      expect((await configs.removeKeys(key, ['keep', 'more', 'absent'])).data).toEqual({ change: 'text' });
      expect((await configs.removeKeys(key, ['change'])).data).toBeUndefined();
      await expect(configs.setValues(key, JSON.parse('{"__proto__":"x"}') as Record<string, string>)).rejects.toThrow(InvalidError);
      await expect(configs.setValues(key, { 'not a key': 'x' })).rejects.toThrow(InvalidError);
    }),
  );

  it(
    'loses no key of many writers',
    scene(async ({ store }) => {
      const configs = createConfigRepo(store);
      await configs.create({ metadata: key });
      await Promise.all(Array.from({ length: 40 }, (_, index) => configs.setValues(key, { [`k${index}`]: '1' })));
      expect(Object.keys((await configs.get(key)).data ?? {})).toHaveLength(40);
    }),
  );
});

describe('ScalingOperationRepo', () => {
  it(
    'tells which operation of a service has its turn, and cancels',
    scene(async ({ store, deps }) => {
      const operations = createScalingOperationRepo(store);
      const make = async (name: string, service = 'web'): Promise<void> => {
        deps.jumpWallClock(1000);
        await operations.create({ metadata: { namespace: 'prod', name }, spec: { service, target: 3 } });
      };
      const at = (name: string): { namespace: string; name: string } => ({ namespace: 'prod', name });
      const phase = (name: string, to: 'in_progress' | 'completed' | 'cancelled'): Promise<unknown> =>
        operations.mutate(at(name), (operation) => void (operation.status = { phase: to }), { subresource: 'status' });
      await make('z-first');
      await make('a-second');
      await make('other', 'db');
      const turn = async (): Promise<string | undefined> => (await operations.active(key))?.metadata.name;

      expect(await turn()).toBe('z-first');
      await phase('a-second', 'in_progress');
      expect(await turn()).toBe('a-second');
      await phase('a-second', 'completed');
      expect(await turn()).toBe('z-first');
      expect((await operations.listByService(key)).items).toHaveLength(2);

      expect((await operations.cancel(at('z-first'), { source: 'test' })).spec.cancelled).toBe(true);
      expect(await turn()).toBe('z-first');
      await phase('z-first', 'cancelled');
      expect(await turn()).toBeUndefined();

      const { revision } = store;
      expect((await operations.cancel(at('a-second'))).spec.cancelled).toBe(false);
      await operations.cancel(at('z-first'));
      expect(store.revision).toBe(revision);
      await expect(operations.cancel(at('none'))).rejects.toThrow(NotFoundError);
    }),
  );
});

describe('DeletionOperationRepo', () => {
  it(
    'finds the operations on an object, named as a service or as a target',
    scene(async ({ store }) => {
      const operations = createDeletionOperationRepo(store);
      await operations.create({ metadata: { namespace: 'prod', name: 'one' }, spec: { service: 'web' } });
      await operations.create({ metadata: { namespace: 'prod', name: 'two' }, spec: { target: { type: 'service', name: 'web' } } });
      await operations.create({ metadata: { namespace: 'prod', name: 'three' }, spec: { target: { type: 'config', name: 'web' } } });
      await operations.create({ metadata: { namespace: 'dev', name: 'four' }, spec: { service: 'web' } });
      const target = { ...key, type: 'service' };
      expect((await operations.listByTarget(target)).map(({ metadata }) => metadata.name)).toEqual(['one', 'two']);
      expect((await operations.active(target))?.metadata.name).toBe('one');
      await operations.mutate({ namespace: 'prod', name: 'one' }, (operation) => void (operation.status = { phase: 'failed' }), {
        subresource: 'status',
      });
      expect((await operations.active(target))?.metadata.name).toBe('two');
      expect((await operations.cancel({ namespace: 'prod', name: 'two' })).spec.cancelled).toBe(true);
      expect(await operations.active({ ...target, name: 'none' })).toBeUndefined();
    }),
  );
});
