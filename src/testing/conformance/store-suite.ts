/**
 * The conformance suite of a store: what every store promises, whatever engine is under it.
 */
import type { Store } from '../../store/index.js';
import { changeCases } from './store-changes.js';
import { deletionCases } from './store-deletions.js';
import type { Case } from './store-kit.js';
import { readCases } from './store-reads.js';
import { selectionCases } from './store-selection.js';
import { streamCases } from './store-streams.js';
import { timeCases } from './store-time.js';
import { watchCases } from './store-watch.js';
import { writeCases } from './store-writes.js';
import type { Runner } from './suite.js';

export interface StoreSuiteOptions extends Runner {
  /** A fresh, empty store for one case; `dispose` ends it. */
  open(): Promise<{ readonly store: Store; dispose(): Promise<void> }>;
}

/**
 * Defines the whole suite with the given runner.
 *
 * @example storeConformance({ describe, it, open: async () => ({ store: await openStore({ engine: memoryEngine() }), dispose: async () => {} }) });
 */
export function storeConformance(options: StoreSuiteOptions): void {
  const on: Case = (body) => async () => {
    const { store, dispose } = await options.open();
    try {
      await body(store);
    } finally {
      await store.close();
      await dispose();
    }
  };
  for (const cases of [writeCases, changeCases, deletionCases, readCases, selectionCases, timeCases, watchCases, streamCases])
    cases(options, on);
}
