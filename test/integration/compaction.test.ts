/** A short run of what `npm run reliability -- compaction` and `-- contention` do for minutes. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lmdbEngine, memoryEngine } from '../../src/store/index.js';
import { compactBesideWatchers } from '../reliability/support/compact-beside.js';
import { contend, ways } from '../reliability/support/contend.js';

describe('compaction beside watchers', () => {
  it.each(['memory', 'lmdb'])('leaves no watcher a gap on the %s engine', { timeout: 30_000 }, async (engine) => {
    const path = await mkdtemp(join(tmpdir(), 'rune-compaction-'));
    try {
      const report = await compactBesideWatchers({
        source: engine === 'memory' ? memoryEngine({ latencyMs: 1 }) : lmdbEngine({ path }),
        ms: 1500,
        everyMs: 20,
        behind: 20,
      });
      expect(report.compactions).toBeGreaterThan(5);
      expect(report.whole).toBeGreaterThan(5);
      expect(report.expired).toBeGreaterThan(0);
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  });
});

describe('64 writers of one object', () => {
  it.each(ways)('lose nothing with %s, and none of them starves', { timeout: 30_000 }, async (way) => {
    const report = await contend({ way, writers: 64, updates: 640 });
    expect([report.count, report.acknowledged, report.generation]).toEqual([640, 640, 641]);
    expect(report.attempts).toBeLessThan(100);
  });
});
