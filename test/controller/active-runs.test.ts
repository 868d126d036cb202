import { describe, expect, it } from 'vitest';
import { ActiveRuns } from '../../src/controller/active-runs.js';
import { Run, type RunHost } from '../../src/controller/run.js';

const host: RunHost = {
  source: 'controller/x',
  echo: 'none',
  merges: () => 0,
  wakeHeld() {},
  uuid: () => 'u',
  deps: { clock: { monotonic: () => 0 } },
};
const run = (key: string): Run => new Run(host, { key, priority: 0, causes: [], droppedCauses: 0, waitedMs: 0, attempts: 0, takenAt: 0 });

describe('ActiveRuns', () => {
  // Beyond sixteen it is another structure inside.
  it.each([1, 3, 16, 17, 40])('finds %i runs by key, oldest first, whatever the order in which they end', (count) => {
    const runs = new ActiveRuns();
    const all = Array.from({ length: count }, (_, i) => run(`ns/${i}`));
    for (let round = 0; round < 3; round += 1) {
      for (const each of all) runs.add(each);
      expect(runs.size).toBe(count);
      expect([...runs.values()]).toEqual(all);
      const left = new Set(all);
      for (let i = 0; left.size > 0; i = (i * 7 + 5) % count) {
        const gone = all[i] as Run;
        const each = left.has(gone) ? gone : ([...left][0] as Run);
        left.delete(each);
        runs.delete(each);
        expect(runs.get(each.key)).toBeUndefined();
        expect([...runs.values()]).toEqual([...left]);
        for (const other of left) expect(runs.get(other.key)).toBe(other);
      }
      expect(runs.size).toBe(0);
    }
    runs.delete(run('ns/0'));
    expect(runs.size).toBe(0);
  });
});
