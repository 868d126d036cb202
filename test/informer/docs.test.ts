/** docs/informer.md says what the code does: its table is written from it (`RUNE_WRITE_DOCS=1` writes it anew). */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { informerDefaults } from '../../src/informer/index.js';

const path = new URL('../../docs/informer.md', import.meta.url);

const meanings: Record<keyof typeof informerDefaults, string> = {
  backoffBaseMs: 'bound of the first wait after a watch failed, ms; a random part of it is waited',
  backoffMaxMs: 'largest such bound, ms',
  healthyAfterMs: 'how long a watch must have lived for the waits to start over, ms',
  shortWatchMs: 'a watch that ended sooner than this without an event counts as failed, ms',
  pendingLimit: 'changes that may wait for a handler before those of one object are merged',
  eventsPerTurn: 'events or handler calls in a row before the event loop gets a turn',
  resyncJitter: 'how far a resync period is stretched or shrunk at random, as a part of it',
  errorLogIntervalMs: 'a handler that keeps failing is logged once in this time, ms; its first ten failures always',
};

const rows = (Object.keys(meanings) as (keyof typeof meanings)[]).map(
  (name) => `| \`${name}\` | ${informerDefaults[name]} | ${meanings[name]} |`,
);
const text = ['| Default | Value | What it is |', '| --- | --- | --- |', ...rows].join('\n');
const between = /<!-- defaults -->\n[^]*?<!-- \/defaults -->/;
const block = `<!-- defaults -->\n${text}\n<!-- /defaults -->`;

describe('docs/informer.md', () => {
  it('has the defaults of the code, every one', () => {
    if (process.env['RUNE_WRITE_DOCS'] === '1') writeFileSync(path, readFileSync(path, 'utf8').replace(between, block));
    expect(between.exec(readFileSync(path, 'utf8'))?.[0]).toBe(block);
    expect(Object.keys(meanings)).toEqual(Object.keys(informerDefaults));
  });
});
