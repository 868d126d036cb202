/** A short run of `npm run reliability -- history`. */
import { describe, expect, it } from 'vitest';
import { boundHistory } from '../reliability/support/bound-history.js';

describe('many updates of few objects', () => {
  it('leave a file of bounded size, and versions that are gone are Expired', { timeout: 60_000 }, async () => {
    const report = await boundHistory({ updates: 12_000, objects: 20, windowBytes: 1024 * 1024, compactEvery: 1500 });
    expect(report.updates).toBe(12_000);
    // Without compaction it would be some 20 MB.
    expect(report.file).toBeLessThan(report.allowed);
  });
});
