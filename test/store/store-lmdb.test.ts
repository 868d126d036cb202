import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { lmdbEngine, openStore } from '../../src/store/index.js';
import { storeConformance } from '../../src/testing/conformance/store-suite.js';

describe('the store on the LMDB engine', () => {
  storeConformance({
    describe,
    it,
    open: async () => {
      const path = await mkdtemp(join(tmpdir(), 'rune-store-'));
      return { store: await openStore({ engine: lmdbEngine({ path }) }), dispose: () => rm(path, { recursive: true, force: true }) };
    },
  });
});
