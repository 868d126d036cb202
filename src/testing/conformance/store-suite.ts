/**
 * The conformance suite of a store: what every store promises, whatever engine is under it.
 */
import type { Store } from '../../store/index.js';
import { readCases } from './store-reads.js';
import { watchCases } from './store-watch.js';
import { writeCases } from './store-writes.js';
import type { Case } from './store-writes.js';
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
  writeCases(options, on);
  readCases(options, on);
  watchCases(options, on);
}
