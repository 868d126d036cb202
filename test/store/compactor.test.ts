/** Background compaction, and other processes that do upkeep on the same store. */
import { describe, expect, it } from 'vitest';
import { deferred, memoryEngine, openStore } from '../../src/store/index.js';
import type { Engine, EngineSource, Store } from '../../src/store/index.js';
import { underLease } from '../../src/store/upkeep-lease.js';
import { virtualDeps } from '../../src/testing/index.js';
import type { VirtualDeps } from '../../src/testing/index.js';

interface Scene {
  readonly deps: VirtualDeps;
  readonly store: Store;
  readonly engine: Engine;
  /** What is compacted by now. */
  compacted(): number;
  run<T>(work: Promise<T>): Promise<T>;
}

/** A store with a window of a minute, on an engine in memory as several processes have it. */
async function scene(body: (scene: Scene) => Promise<void>): Promise<void> {
  const deps = virtualDeps({ seed: 1 });
  const inner = memoryEngine();
  let engine: Engine | undefined;
  const source: EngineSource = {
    ...inner,
    async open(context) {
      const opened = await inner.open(context);
      engine = { ...opened, capabilities: { ...opened.capabilities, shared: true } };
      return engine;
    },
  };
  const run = async <T>(work: Promise<T>): Promise<T> => {
    let isSettled = false;
    const settle = (): void => void (isSettled = true);
    work.then(settle, settle);
    while (!isSettled) await deps.advance(10);
    return work;
  };
  const store = await run(openStore({ engine: source, deps, window: { time: '1m' } }));
  for (let index = 0; index < 10; index += 1) await run(store.create('thing', 'x', `t${index}`, {}));
  const compacted = (): number => engine!.revision().compacted;
  await body({ deps, store, engine: engine!, compacted, run });
  await run(store.close());
  expect(deps.pending()).toMatchObject({ timers: 0, unref: 0 });
}

/** Another process that does upkeep until it is told to end. */
function busy({ deps, engine }: Scene): { end(): Promise<void> } {
  let release = (): void => {};
  const working = underLease(
    { deps, engine: () => engine },
    new AbortController().signal,
    () => new Promise<void>((end) => (release = end)),
  );
  return {
    end() {
      release();
      return working;
    },
  };
}

describe('background compaction', () => {
  it('is done under the lease for upkeep, and gives it back', () =>
    scene(async ({ deps, engine, compacted }) => {
      const said: (string | undefined)[] = [];
      const compact = engine.compact.bind(engine);
      Object.assign(engine, {
        compact: async (...args: Parameters<Engine['compact']>) => {
          said.push(await engine.meta.get('upkeep'));
          await compact(...args);
        },
      });
      await deps.advance('90s');
      expect(compacted()).toBe(10);
      expect(said).not.toHaveLength(0);
      expect(said).not.toContain(undefined);
      expect(await engine.meta.get('upkeep')).toBeUndefined();
    }));

  it('is left out while another process does upkeep, and done soon after', () =>
    scene(async (all) => {
      const { deps, compacted, run } = all;
      const other = busy(all);
      await deps.advance('80s');
      expect(compacted()).toBe(0);
      await run(other.end());
      await deps.advance('20s');
      expect(compacted()).toBe(10);
    }));

  it('goes on beside upkeep that takes long, so that the window stays bounded', () =>
    scene(async (all) => {
      const { deps, compacted, run } = all;
      const other = busy(all);
      await deps.advance('4m');
      expect(compacted()).toBe(10);
      await run(other.end());
    }));

  it('takes no lease once the store is being closed: nobody would wait until it is given back', () =>
    scene(async ({ deps, engine, store, compacted, run }) => {
      const gate = deferred();
      const stats = engine.stats.bind(engine);
      let asked = 0;
      const spoken: string[] = [];
      const set = engine.meta.set.bind(engine.meta);
      const meta: Engine['meta'] = {
        get: engine.meta.get.bind(engine.meta),
        set: (name, ...rest) => (spoken.push(name), set(name, ...rest)),
      };
      await deps.advance('55s');
      Object.assign(engine, { stats: () => ((asked += 1), gate.promise.then(stats)), meta });
      // By now there is something to compact, and the look that finds it is under way.
      await deps.advance('15s');
      expect([asked, compacted()]).toEqual([1, 0]);
      const closing = store.close();
      gate.resolve();
      await run(closing);
      await deps.advance('1s');
      expect(spoken).not.toContain('upkeep');
    }));

  it('takes over from a process that is gone', () =>
    scene(async ({ deps, engine, compacted, run }) => {
      await run(engine.meta.set('upkeep', JSON.stringify({ holder: 'gone', beat: 7 }), { expect: null }));
      await deps.advance('90s');
      expect(compacted()).toBe(10);
      expect(await engine.meta.get('upkeep')).toBeUndefined();
    }));
});

describe('compact()', () => {
  it('waits for no other process', () =>
    scene(async (all) => {
      const other = busy(all);
      await all.deps.advance('1s');
      const { store, compacted, run } = all;
      await run(store.compact(store.revision));
      expect(compacted()).toBe(10);
      await run(other.end());
    }));
});
