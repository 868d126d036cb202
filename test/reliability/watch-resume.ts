/**
 * A watcher over a hundred ends of its process, by SIGKILL and by closing the store in turn: each life resumes from the last token
 * of the one before, and in between another process takes over. What they were told, put together, is the log.
 *
 * `npm run reliability -- watch-resume --minutes N [--cycles 100]`; ends when either is over, and fails when it was not the cycles.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Ledger } from './support/ledger.js';
import { demand } from './support/quantity.js';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' }, cycles: { type: 'string', default: '100' } } });
const until = Date.now() + Number(values.minutes) * 60_000;
const path = await mkdtemp(join(tmpdir(), 'rune-resume-'));
const ledger = new Ledger(path);
try {
  while (ledger.report.cycles < Number(values.cycles) && Date.now() < until) {
    await ledger.cycle(20 + Math.random() * 500, ledger.report.cycles % 3 === 2 ? 'SIGTERM' : 'SIGKILL');
  }
} finally {
  await rm(path, { recursive: true, force: true });
}
const { cycles, watched, acknowledged } = ledger.report;
process.stdout.write(
  `${cycles} ends of a process, ${acknowledged} acknowledged writes; ${watched} events watched over all of them, in order, none lost, and repeated only where a transaction was cut off\n`,
);
demand('ends of a process', { done: cycles, asked: Number(values.cycles) });
