/**
 * Compaction every 100 ms beside writers and beside watchers that begin at offsets of -100 to +100 around the compaction
 * revision: each gets either the whole sequence or Expired with the revision that is kept, never a silent gap.
 *
 * `npm run reliability -- compaction --minutes N`
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { lmdbEngine } from '../../src/store/index.js';
import { compactBesideWatchers } from './support/compact-beside.js';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } });
const path = await mkdtemp(join(tmpdir(), 'rune-compaction-'));
try {
  const report = await compactBesideWatchers({ source: lmdbEngine({ path }), ms: Number(values.minutes) * 60_000, everyMs: 100 });
  process.stdout.write(
    `${report.compactions} compactions beside ${report.writes} writes: ${report.whole} watches told all they were asked for (${report.events} events), ${report.expired} were refused or ended as expired, none had a gap; verify() is clean\n`,
  );
} finally {
  await rm(path, { recursive: true, force: true });
}
