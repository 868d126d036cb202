/**
 * An hour of virtual time with random faults (watch cuts, conflicts, throws, timeouts, slow handlers, lost leases, kills), over
 * many seeds: always converges, never two runs of one key, nothing left running after the stop.
 *
 * `npm run reliability -- hour --minutes N [--seeds 100] [--from 1]`; ends when either is over, and fails when it was not the seeds.
 */
import { parseArgs } from 'node:util';
import { hourOfFaults } from '../controller/support/hour-of-faults.js';
import { demand } from './support/quantity.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
  },
});
const until = Date.now() + Number(values.minutes) * 60_000;
const first = Number(values.from);
const seeds = Number(values.seeds);

const sums = { hours: 0, runs: 0, commits: 0, reigns: 0, timeouts: 0, unsettled: 0 };
const faults: Record<string, number> = {};
for (let seed = first; seed < first + seeds && Date.now() < until; seed += 1) {
  const hour = await hourOfFaults(seed);
  if (hour.violations.length > 0) {
    process.exitCode = 1;
    process.stdout.write(`seed ${seed}:\n${hour.violations.map((violation) => `  ${violation}\n`).join('')}`);
  }
  sums.hours += 1;
  for (const sum of ['runs', 'commits', 'reigns', 'timeouts', 'unsettled'] as const) sums[sum] += hour[sum];
  for (const [kind, count] of Object.entries(hour.faults)) faults[kind] = (faults[kind] ?? 0) + count;
}
process.stdout.write(`${JSON.stringify({ ...sums, faults })}\n`);
process.stdout.write(
  `${sums.hours} hours of ${seeds}: ${process.exitCode === 1 ? 'NOT ALL' : 'all'} converged, never two runs of one key, nothing left after the stop\n`,
);
demand('hours', { done: sums.hours, asked: seeds });
