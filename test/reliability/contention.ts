/**
 * 64 writers on one object: 10,000 updates through `repo.mutate`, through `modify` and through transactions, exact each time,
 * and in time that grows with the number of updates and not with its square.
 *
 * `npm run reliability -- contention --minutes N [--updates 10000] [--writers 64]`; no way is begun when the minutes are over, and then it fails.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { contend, ways } from './support/contend.js';
import { demand } from './support/quantity.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    updates: { type: 'string', default: '10000' },
    writers: { type: 'string', default: '64' },
  },
});
const updates = Number(values.updates);
const writers = Number(values.writers);
const until = Date.now() + Number(values.minutes) * 60_000;

let done = 0;
for (const way of ways) {
  if (Date.now() > until) break;
  const path = await mkdtemp(join(tmpdir(), 'rune-contention-'));
  try {
    // A quarter first: what is linear takes four times as long for the whole.
    const quarter = await contend({ path: join(path, 'quarter'), way, writers, updates: updates / 4 });
    const whole = await contend({ path: join(path, 'whole'), way, writers, updates });
    for (const [report, wanted] of [
      [quarter, updates / 4],
      [whole, updates],
    ] as const) {
      assert.deepEqual([report.count, report.acknowledged, report.generation], [wanted, wanted, wanted + 1], `${way}: exact`);
      assert.ok(report.attempts < 100, `${way}: no writer starves (one tried ${report.attempts} times)`);
    }
    const growth = whole.ms / quarter.ms;
    process.stdout.write(
      `${way}: ${updates} updates by ${writers} writers in ${(whole.ms / 1000).toFixed(1)} s (${Math.round((updates * 1000) / whole.ms)}/s), exact; at most ${whole.attempts} attempts; ${growth.toFixed(1)} times as long as a quarter of them\n`,
    );
    assert.ok(growth < 8, `${way}: linear would be 4 times, quadratic 16 times; it is ${growth.toFixed(1)}`);
    done += 1;
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}
demand('ways to update', { done, asked: ways.length });
