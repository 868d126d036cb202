/** A few kills under clients whose every answer is checked; more of them in `npm run reliability -- linearizability`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { killedClients } from '../reliability/support/killed-clients.js';

describe('clients of a process that is killed again and again', () => {
  it('are told nothing, over all its lives, that one register after the other could not have told', { timeout: 90_000 }, async () => {
    const path = await mkdtemp(join(tmpdir(), 'rune-clients-'));
    try {
      let life = 0;
      const { lives, operations, inDoubt, events, resumed } = await killedClients(path, {
        seed: 1,
        lives: 4,
        lifeMs: () => [30, 400, 90, 250][life++ % 4]!,
      });
      expect(lives).toBe(4);
      expect(operations).toBeGreaterThan(40);
      expect(inDoubt).toBeGreaterThan(0);
      expect(Math.min(...events)).toBeGreaterThan(10);
      expect(Math.max(...resumed)).toBe(4);
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  });
});
