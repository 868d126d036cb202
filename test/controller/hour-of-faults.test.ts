/** An hour of virtual time with random faults. A hundred of them: `npm run reliability -- hour`. */
import { describe, expect, it } from 'vitest';
import { hourOfFaults, type HourReport } from './support/hour-of-faults.js';

const hours = new Map<number, HourReport>();

describe('an hour of faults, two processes under leader election', () => {
  it.each([1, 2])(
    'always converges, never has two runs of one key, and leaves nothing running after the stop (seed %i)',
    { timeout: 60_000 },
    async (seed) => {
      const hour = await hourOfFaults(seed);
      hours.set(seed, hour);
      expect(hour.violations).toEqual([]);
      // It was no quiet hour.
      expect(Object.keys(hour.faults)).toHaveLength(13);
      expect(hour.runs).toBeGreaterThan(300);
      expect(hour.reigns).toBeGreaterThan(10);
    },
  );

  it('replays from its seed', { timeout: 60_000 }, async () => {
    expect(await hourOfFaults(1)).toEqual(hours.get(1));
  });
});
