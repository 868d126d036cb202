/**
 * Compaction every 100 ms beside writers and beside watchers that begin at offsets of -100 to +100 around the compaction
 * revision: each gets either the whole sequence or Expired with the revision that is kept, never a silent gap.
 *
 * `npm run reliability -- compaction --minutes N [--whole 600] [--expired 600]`: so many of each are asked for a minute.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { lmdbEngine } from '../../src/store/index.js';
import { compactBesideWatchers } from './support/compact-beside.js';
import { demand } from './support/quantity.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    whole: { type: 'string', default: '600' },
    expired: { type: 'string', default: '600' },
  },
});
const minutes = Number(values.minutes);
const path = await mkdtemp(join(tmpdir(), 'rune-compaction-'));
try {
  const report = await compactBesideWatchers({ source: lmdbEngine({ path }), ms: minutes * 60_000, everyMs: 100 });
  process.stdout.write(
    `${report.compactions} compactions beside ${report.writes} writes: ${report.whole} watches told all they were asked for (${report.events} events), ${report.expired} were refused or ended as expired, none had a gap; verify() is clean\n`,
  );
  demand('whole watches', { done: report.whole, asked: Math.floor(minutes * Number(values.whole)) });
  demand('expired watches', { done: report.expired, asked: Math.floor(minutes * Number(values.expired)) });
} finally {
  await rm(path, { recursive: true, force: true });
}
