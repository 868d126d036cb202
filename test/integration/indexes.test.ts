/** A short run of `npm run reliability -- indexes`. */
import { describe, expect, it } from 'vitest';
import { checkIndexes } from '../reliability/support/indexes.js';

describe('indexes', () => {
  it('are after any writes what a rebuild from the objects gives, byte for byte', { timeout: 60_000 }, async () => {
    const report = await checkIndexes({ operations: 3000, seed: 7 });
    expect(report.objects).toBeGreaterThan(50);
    expect(report.entries).toBeGreaterThan(report.objects * 2);
  });
});
