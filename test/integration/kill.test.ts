/** A few kills in every run of the tests; 200 of them in `npm run reliability -- kill`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Ledger } from '../reliability/support/ledger.js';

describe('a process that is killed while it writes', () => {
  it('loses nothing it acknowledged, leaves no half transaction, and its watch goes on', { timeout: 90_000 }, async () => {
    const path = await mkdtemp(join(tmpdir(), 'rune-kill-'));
    try {
      const ledger = new Ledger(path);
      for (const ms of [20, 500]) await ledger.cycle(ms);
      await ledger.cycle(150, 'SIGTERM');
      expect(ledger.report.cycles).toBe(3);
      expect(ledger.report.acknowledged).toBeGreaterThan(10);
      expect(ledger.report.watched).toBeGreaterThan(10);
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  });
});
