/**
 * SIGKILL at random moments under load: nothing acknowledged is lost, no transaction is half there, the objects are what all writes
 * together lead to, the revision never falls, a watch resumes, `verify()` is clean, and no opening takes half a second.
 *
 * `npm run reliability -- kill --minutes N [--cycles 200]`; ends when either is over, and fails when it was not the cycles.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Ledger } from './support/ledger.js';
import { demand } from './support/quantity.js';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '15' }, cycles: { type: 'string', default: '200' } } });
const until = Date.now() + Number(values.minutes) * 60_000;
const cycles = Number(values.cycles);
const path = await mkdtemp(join(tmpdir(), 'rune-kill-'));
const ledger = new Ledger(path);
try {
  while (ledger.report.cycles < cycles && Date.now() < until) {
    await ledger.cycle(50 + Math.random() * 1500);
    if (ledger.report.cycles % 20 === 0) process.stdout.write(`${JSON.stringify(ledger.report)}\n`);
  }
} finally {
  await rm(path, { recursive: true, force: true });
}
const { cycles: done, acknowledged, unacknowledged, slowestOpenMs, watched } = ledger.report;
process.stdout.write(
  `${done} kills, ${acknowledged} acknowledged writes: 0 lost, 0 half transactions, every object as they left it, the revision never fell; ${unacknowledged} had happened unacknowledged; ` +
    `${watched} events watched over all kills without a gap; slowest opening ${slowestOpenMs.toFixed(0)} ms\n`,
);
demand('kills', { done, asked: cycles });
assert.ok(slowestOpenMs < 500, `the slowest opening took ${slowestOpenMs.toFixed(0)} ms, 500 allowed`);
