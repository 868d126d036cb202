import { describe, expect, it } from 'vitest';
import { Lease } from '../../src/schemas/index.js';
import type { Informers } from '../../src/informer/index.js';
import { createInformers } from '../../src/informer/index.js';
import { memoryEngine, openStore, type Store } from '../../src/store/index.js';
import { createManager, defineController, type Manager, type Source } from '../../src/controller/index.js';
import { virtualDeps } from '../../src/testing/index.js';
import { runner, Widget } from './world.js';

/** A manager that tells, step by step, what begins and ends. */
async function telling(options: { readonly warmup?: boolean; readonly holder?: string } = {}) {
  const deps = virtualDeps({ seed: 5 });
  const run = runner(deps);
  const store = await run(openStore({ engine: memoryEngine(), deps, types: [Widget] }));
  const told: string[] = [];
  const tell = (what: string): void => {
    if (told.at(-1) !== what) told.push(what);
  };
  if (options.holder !== undefined) {
    await run(store.create(Lease, 'default', 'lead', { spec: { holderIdentity: options.holder, leaseDurationSeconds: 15 } }));
  }
  await run(store.create(Widget, 'prod', 'a', { spec: {} }));
  const source: Source = {
    name: 'slow',
    start: (_, { deps: own, signal }) => {
      tell('source starts');
      signal.addEventListener('abort', () => tell('source ends'), { once: true });
      return new Promise<void>((resolve) => {
        own.scheduler.after(1_000, () => {
          tell('source synced');
          resolve();
        });
      });
    },
  };
  const controller = defineController({
    name: 'widgets',
    for: Widget,
    sources: [source],
    timeout: false,
    async reconcile({ signal, deps: own }) {
      tell('reconcile begins');
      await new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => {
          tell('reconcile is told to stop');
          own.scheduler.after(500, resolve);
        });
      });
      tell('reconcile ends');
    },
  });
  const informers = createInformers({ store });
  const traced: Informers = new Proxy(informers, {
    get(target, property) {
      if (property === 'start') tell('informers start');
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  let last = options.holder ?? '';
  // Told where the manager itself learns of it: a watch would tell it a moment earlier or later.
  const electing: Store = new Proxy(store, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      const call = value.bind(target) as (...args: readonly unknown[]) => unknown;
      if (property !== 'create' && property !== 'patch') return call;
      return async (...args: readonly unknown[]) => {
        const written = await call(...args);
        if (args[0] !== Lease) return written;
        const holder = (written as Lease).spec.holderIdentity ?? '';
        if (holder !== last) tell(holder === '' ? 'lease released' : `lease of ${holder}`);
        last = holder;
        return written;
      };
    },
  });
  const manager: Manager = createManager({
    store: electing,
    informers: traced,
    controllers: [controller],
    leaderElection: { name: 'lead', identity: 'me' },
    garbageCollection: false,
    ...(options.warmup === undefined ? {} : { warmup: options.warmup }),
  });
  return {
    deps,
    run,
    store,
    manager,
    told,
    async [Symbol.asyncDispose]() {
      const stopping = manager.stop();
      await deps.advance('1m');
      await run(stopping);
      await run(informers[Symbol.asyncDispose]());
      await run(store.close());
    },
  };
}

describe('the order of things', () => {
  it('start: informers and sources, synced, then the election, then the controllers; stop: the reverse, the lease last', async () => {
    await using world = await telling();
    const starting = world.manager.start();
    await world.deps.advance('5s');
    await world.run(starting);
    expect(world.told).toEqual(['informers start', 'source starts', 'source synced', 'lease of me', 'reconcile begins']);
    world.told.length = 0;
    const stopping = world.manager.stop();
    expect(world.manager.readyz().ok).toBe(false);
    await world.deps.advance('30s');
    await world.run(stopping);
    expect(world.told).toEqual(['source ends', 'reconcile is told to stop', 'reconcile ends', 'lease released']);
  });

  it('a standby has its sources synced, and starts its controllers at once when it leads', async () => {
    await using world = await telling({ holder: 'other' });
    const starting = world.manager.start();
    await world.deps.advance('5s');
    await world.run(starting);
    expect(world.manager.state).toBe('standby');
    expect(world.told).toEqual(['informers start', 'source starts', 'source synced']);
    await world.deps.advance('20s');
    expect(world.told.slice(3, 5)).toEqual(['lease of me', 'reconcile begins']);
  });

  it('without warm-up a standby starts no source until it leads', async () => {
    await using world = await telling({ holder: 'other', warmup: false });
    await world.run(world.manager.start());
    await world.deps.advance('5s');
    expect(world.manager.state).toBe('standby');
    expect(world.told).toEqual(['informers start']);
    await world.deps.advance('20s');
    expect(world.told).toEqual(['informers start', 'lease of me', 'source starts', 'source synced', 'reconcile begins']);
    expect(world.manager.state).toBe('running');
  });
});
