/** The test kit's store keeps every promise of a store: it is the real one, and what stands before it changes nothing. */
import { describe, it } from 'vitest';
import { storeConformance, TestStore } from '../../src/testing/index.js';

describe('TestStore', () => {
  storeConformance({
    describe,
    it,
    open: async () => ({ store: await TestStore.open(), dispose: async () => {} }),
  });
});
