/** What the store's tests run on: a memory engine or a directory of its own, gone when the test ends. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lmdbEngine, memoryEngine, openStore } from '../../src/store/index.js';
import type { EngineSource, MemorySource, OpenStoreOptions, Store, Watch, WatchEvent } from '../../src/store/index.js';
import { virtualDeps } from '../../src/testing/index.js';
import type { VirtualDeps } from '../../src/testing/index.js';
import { pumped } from './repos/setup.js';

export type OpenOptions = Omit<OpenStoreOptions, 'engine' | 'path'>;

/** A piece of storage that stores are opened on, one after the other. */
export interface Storage {
  readonly source: EngineSource;
  open(options?: OpenOptions): Promise<Store>;
}

export const engines = ['memory', 'lmdb'] as const;

/** A test's body with storage of its own; stores that it leaves open are closed. */
export function onStorage(engine: (typeof engines)[number], body: (storage: Storage) => Promise<void>): () => Promise<void> {
  return async () => {
    const path = engine === 'lmdb' ? await mkdtemp(join(tmpdir(), 'rune-test-')) : undefined;
    const source: EngineSource = path === undefined ? memoryEngine() : lmdbEngine({ path });
    const opened: Store[] = [];
    try {
      await body({
        source,
        async open(options = {}) {
          const store = await openStore({ ...options, engine: source });
          opened.push(store);
          return store;
        },
      });
    } finally {
      for (const store of opened) await store.close();
      if (path !== undefined) await rm(path, { recursive: true, force: true });
    }
  };
}

/** A body with a memory store in virtual time, which runs as far as the body waits for it. */
export function inMemory(
  body: (scene: { store: Store; source: MemorySource; deps: VirtualDeps }) => Promise<void>,
  options: { seed?: number; latencyMs?: number } = {},
): Promise<void> {
  const deps = virtualDeps({ seed: options.seed ?? 1 });
  const source = memoryEngine({ latencyMs: options.latencyMs ?? 0 });
  return pumped(
    deps,
    (async () => {
      await using store = await openStore({ engine: source, deps });
      await body({ store, source, deps });
    })(),
  );
}

/** Reads `count` events, then closes the watch. */
export async function take<T>(watch: Watch<T>, count: number): Promise<WatchEvent<T>[]> {
  const events: WatchEvent<T>[] = [];
  while (events.length < count) {
    const next = await watch.next();
    if (next.done === true) break;
    events.push(next.value);
  }
  await watch.close();
  return events;
}

/** `UPDATED a@7`: enough to compare two streams. */
export function brief(event: WatchEvent<unknown>): string {
  return event.type === 'BOOKMARK'
    ? `BOOKMARK@${event.resourceVersion}`
    : `${event.type} ${event.namespace}/${event.name}@${event.resourceVersion}`;
}
