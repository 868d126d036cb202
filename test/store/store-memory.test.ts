import { describe, it } from 'vitest';
import { memoryEngine, openStore } from '../../src/store/index.js';
import { storeConformance } from '../../src/testing/conformance/store-suite.js';

describe('the store on the memory engine', () => {
  storeConformance({
    describe,
    it,
    open: async () => ({ store: await openStore({ engine: memoryEngine() }), dispose: async () => {} }),
  });
});
