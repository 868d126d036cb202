/** The correct twins of the planted bugs pass a hundred seeds each here, and a thousand in `npm run reliability -- twins`. */
import { describe, expect, it } from 'vitest';
import { simulateTwin, twins } from './twins.js';

describe('the correct twin', () => {
  it.each(twins)('of "$scenario.name" passes 100 seeds', { timeout: 60_000 }, async (twin) => {
    const report = await simulateTwin(twin, 100);
    expect(report.seeds).toBe(100);
    // Every sort of fault has struck, or nothing was tried.
    expect(Object.keys(report.struck).sort()).toEqual(['conflict', 'crash', 'cut', 'expire', 'fail', 'order', 'slowWatch', 'slowWrites']);
  });
});
