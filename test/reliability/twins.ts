/**
 * The correct twins of the planted bugs under a thousand seeds each (`--seeds N` for more): what is sound must never be accused.
 */
import { parseArgs } from 'node:util';
import { simulateTwin, twins } from '../testing/planted/twins.js';

const { values } = parseArgs({ strict: false, options: { seeds: { type: 'string', default: '1000' } } });
for (const twin of twins) {
  const { seeds, runs, commits, struck } = await simulateTwin(twin, Number(values.seeds));
  const faults = Object.values(struck).reduce((sum, count) => sum + count, 0);
  console.log(`"${twin.scenario.name}": ${seeds} seeds passed, ${runs} runs, ${commits} commits, ${faults} faults struck`);
}
