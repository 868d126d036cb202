/** Many writers of one object, each way there is to write one. */
import { lmdbEngine, memoryEngine, openStore, repo } from '../../../src/store/index.js';
import type { Store } from '../../../src/store/index.js';
import { Widget } from '../../../src/testing/conformance/store-widget.js';

export const ways = ['mutate', 'modify', 'transaction'] as const;
export type Way = (typeof ways)[number];

export interface ContentionReport {
  readonly count: number;
  readonly acknowledged: number;
  readonly generation: number;
  /** The most tries that one update took. */
  readonly attempts: number;
  readonly ms: number;
}

/** `path` undefined: in memory. */
export async function contend(options: { path?: string; way: Way; writers: number; updates: number }): Promise<ContentionReport> {
  const { path, way, writers, updates } = options;
  await using store = await openStore({ engine: path === undefined ? memoryEngine() : lmdbEngine({ path }) });
  await store.create(Widget, 'prod', 'counter', { spec: { size: 0 } });
  const update = updater(store, way);
  let left = updates;
  let acknowledged = 0;
  let attempts = 0;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: writers }, async () => {
      while (left > 0) {
        left -= 1;
        attempts = Math.max(attempts, await update());
        acknowledged += 1;
      }
    }),
  );
  const ms = performance.now() - began;
  const { spec, metadata } = await store.get(Widget, 'prod', 'counter');
  return { count: spec.size, acknowledged, generation: metadata.generation, attempts, ms };
}

/** One update that adds 1; resolves to how often it was tried. */
function updater(store: Store, way: Way): () => Promise<number> {
  const widgets = repo(store, Widget);
  return async () => {
    let attempts = 0;
    switch (way) {
      case 'mutate':
        await widgets.mutate({ namespace: 'prod', name: 'counter' }, (draft) => {
          attempts += 1;
          draft.spec.size += 1;
        });
        break;
      case 'modify':
        await store.modify(Widget, 'prod', 'counter', (draft) => {
          attempts += 1;
          draft.spec.size += 1;
        });
        break;
      case 'transaction':
        await store.transaction(
          async (tx) => {
            attempts = tx.attempt;
            const { spec } = await tx.get(Widget, 'prod', 'counter');
            await tx.update(Widget, 'prod', 'counter', { spec: { ...spec, size: spec.size + 1 } });
          },
          { retries: 100 },
        );
        break;
      default:
        throw new Error(`unknown way ${String(way satisfies never)}`);
    }
    return attempts;
  };
}
