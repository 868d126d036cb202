import { describe, expect, it } from 'vitest';
import { Applier } from '../../src/informer/applier.js';
import { ObjectCache } from '../../src/informer/cache.js';
import { createInformers } from '../../src/informer/index.js';
import { Secret } from '../../src/schemas/index.js';
import { memoryEngine, openStore } from '../../src/store/index.js';
import type { WatchEvent } from '../../src/store/index.js';
import { virtualDeps } from '../../src/testing/index.js';
import { memoryLogger, tapped } from '../store/encryption/support.js';
import { created, deleted, thing } from './support.js';
import type { Thing } from './support.js';

/** Secrets a, b and c in a store in virtual time, and a way to damage them under it. */
async function scene() {
  const deps = virtualDeps({ seed: 3 });
  const run = async <T>(work: PromiseLike<T>): Promise<T> => {
    const promise = Promise.resolve(work);
    promise.catch(() => undefined);
    await deps.flush();
    return promise;
  };
  const tap = tapped(memoryEngine());
  const store = await run(openStore({ engine: tap, deps }));
  for (const name of ['a', 'b', 'c']) await run(store.create(Secret, 'prod', name, { data: { v: '1' } }));
  const { logger, lines } = memoryLogger();
  const counted: string[] = [];
  const informers = createInformers({ store, logger, metrics: { unopened: (type) => counted.push(type) } });
  const told: string[] = [];
  const secrets = informers.for(Secret);
  secrets.addHandler({
    onAdd: ({ metadata }) => void told.push(`add ${metadata.name}`),
    onUpdate: ({ metadata }) => void told.push(`update ${metadata.name}`),
    onDelete: ({ metadata }, { finalStateUnknown }) => void told.push(`delete ${metadata.name}${finalStateUnknown ? ', unknown' : ''}`),
  });
  return {
    run,
    store,
    informers,
    secrets,
    told,
    lines,
    counted,
    names: () => secrets.list().map(({ metadata }) => metadata.name),
    /** Changes the format of the newest version; doing it twice mends it. */
    async flip(name: string): Promise<void> {
      const { entries } = await tap.engine().walk({ type: 'secret' });
      const { key, revision, value } = entries.filter((entry) => entry.key.name === name).at(-1)!;
      const other = Buffer.from(value!);
      other[1]! ^= 8;
      expect(await run(tap.engine().rewrite([{ key, revision, expect: value!, value: other }]))).toBe(1);
    },
    async [Symbol.asyncDispose]() {
      await run(informers[Symbol.asyncDispose]());
      await run(store.close());
    },
  };
}

describe('an informer over an object that cannot be opened', () => {
  it('syncs with the rest, logs and counts it, and caches no stub', async () => {
    await using world = await scene();
    await world.flip('b');
    world.informers.start();
    await world.run(world.informers.whenSynced());
    expect(world.names().sort()).toEqual(['a', 'c']);
    expect(world.secrets.get('prod/b')).toBeUndefined();
    expect(world.told).toEqual(['add a', 'add c']);
    expect(world.secrets.stats()).toMatchObject({ synced: true, objects: 2, unopened: 1, lastError: undefined, relists: 0 });
    expect(world.counted).toEqual(['secret']);
    expect(world.lines.filter((line) => line.includes('an object cannot be opened') && line.includes('"key":"prod/b"'))).toHaveLength(1);
    // Its watch is as good as any.
    await world.run(world.store.patch(Secret, 'prod', 'c', { data: { v: '2' } }));
    expect(world.told.at(-1)).toBe('update c');
    // Written anew, it is there.
    await world.run(world.store.delete(Secret, 'prod', 'b'));
    await world.run(world.store.create(Secret, 'prod', 'b', { data: { v: 'new' } }));
    expect(world.secrets.get('prod/b')!.data!['v']!.reveal()).toBe('new');
    expect(world.told.slice(3)).toEqual(['add b']);
  });

  it('keeps what it had cached, over a new list too, and tells nobody that it is gone until it is', async () => {
    await using world = await scene();
    world.informers.start();
    await world.run(world.informers.whenSynced());
    await world.run(world.informers.stop());
    await world.run(world.store.patch(Secret, 'prod', 'b', { data: { v: '2' } }));
    await world.flip('b');
    await world.run(world.store.patch(Secret, 'prod', 'c', { data: { v: '2' } }));
    // The window has moved past where it stopped: it has to list again.
    await world.run(world.store.compact(world.store.revision));
    world.told.length = 0;
    world.informers.start();
    await world.run(world.secrets.caughtUp(world.store.revision));
    expect(world.secrets.stats()).toMatchObject({ relists: 1, unopened: 1, objects: 3 });
    expect(world.told).toEqual(['update c']);
    expect(world.secrets.get('prod/b')!.data!['v']!.reveal()).toBe('1');
    await world.run(world.store.delete(Secret, 'prod', 'b'));
    expect(world.told).toEqual(['update c', 'delete b']);
    expect(world.secrets.get('prod/b')).toBeUndefined();
  });

  it('lets go of what it had cached when another object has the name', async () => {
    await using world = await scene();
    world.informers.start();
    await world.run(world.informers.whenSynced());
    await world.run(world.informers.stop());
    await world.run(world.store.delete(Secret, 'prod', 'b'));
    await world.run(world.store.create(Secret, 'prod', 'b', { data: { v: 'another' } }));
    await world.flip('b');
    await world.run(world.store.compact(world.store.revision));
    world.told.length = 0;
    world.informers.start();
    await world.run(world.secrets.caughtUp(world.store.revision));
    expect(world.told).toEqual(['delete b, unknown']);
    expect(world.names().sort()).toEqual(['a', 'c']);
  });

  it('tells the state that it knew when the last one cannot be opened, and says so', () => {
    const applier = new Applier<Thing, Thing>({
      cache: new ObjectCache<Thing>(() => undefined),
      transform: undefined,
      onTransformError: () => undefined,
      onUnopened: () => undefined,
    });
    const known = thing({ name: 'a', rv: 1 });
    applier.apply([created(known) as WatchEvent<Thing> & { type: 'CREATED' }], true);
    const stub = { ...deleted(thing({ name: 'a', rv: 2 }), 3), error: new Error('damaged') } as WatchEvent<Thing> & { type: 'DELETED' };
    expect(applier.apply([stub], false)).toEqual([
      { type: 'delete', object: known, deletion: { finalStateUnknown: true, resourceVersion: '3' } },
    ]);
  });
});
