/**
 * 100,000 random operations, then every index built anew from the objects: byte for byte what is on disk.
 *
 * `npm run reliability -- indexes [--operations 100000] [--seed 1]`
 */
import { parseArgs } from 'node:util';
import { checkIndexes } from './support/indexes.js';

const { values } = parseArgs({
  options: { minutes: { type: 'string' }, operations: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } },
});
const began = Date.now();
const report = await checkIndexes({ operations: Number(values.operations), seed: Number(values.seed) });
process.stdout.write(
  `${report.operations} operations, ${report.written} revisions, ${report.objects} objects left in ${((Date.now() - began) / 1000).toFixed(1)} s: all ${report.entries} index entries are those that the objects ask for\n`,
);
