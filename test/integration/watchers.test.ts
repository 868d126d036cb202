/** A short run of `npm run reliability -- watchers`, without its limits of time. */
import { describe, expect, it } from 'vitest';
import { manyWatchers } from '../reliability/support/many-watchers.js';

describe('many watchers of one type', () => {
  it('are each told every write, in order, once; slow ones too, when they hurry', { timeout: 30_000 }, async () => {
    const { writes, deliveries } = await manyWatchers({ watchers: 200, slow: 3, rate: 500, ms: 1500 });
    expect([writes, deliveries]).toEqual([750, 750 * 203]);
  });

  it('that fall behind cost no memory', { timeout: 60_000 }, async () => {
    const { writes, deliveries, grown } = await manyWatchers({ watchers: 0, slow: 3, rate: 10_000, ms: 1000 });
    expect([writes, deliveries]).toEqual([10_000, 30_000]);
    expect(grown).toBeLessThan(20e6);
  });
});
