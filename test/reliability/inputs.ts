/**
 * Whatever text is given to the parsers (references, label selectors with their values, field selectors) and whatever patch to an
 * object: 100,000 inputs each, of which the tests take a thousand or two. What is given to create has its 100,000 in the tests.
 *
 * `npm run reliability -- inputs [--runs 100000]`
 */
import { parseArgs } from 'node:util';
import { anyFieldSelector, anyLabelSelector, anyRef } from '../schemas/any-input.js';
import { anyJsonPatch } from '../store/patch/any-patch.js';

const { values } = parseArgs({ options: { minutes: { type: 'string' }, runs: { type: 'string', default: '100000' } } });
const runs = Number(values.runs);
if (!Number.isSafeInteger(runs) || runs < 1) throw new Error(`--runs takes a whole number above 0, not ${values.runs}`);
const object = {
  metadata: { name: 'web', labels: { 'app.io/x': 'y' } },
  spec: { scale: 3, empty: '', none: null, ports: [{ name: 'http' }] },
};
for (const [what, check] of Object.entries({
  references: anyRef,
  'label selectors': anyLabelSelector,
  'field selectors': (count: number) => anyFieldSelector(object, count),
  'JSON patches': anyJsonPatch,
})) {
  const began = Date.now();
  check(runs);
  process.stdout.write(`${runs} ${what}: each answered, or refused by its own error; ${((Date.now() - began) / 1000).toFixed(1)} s\n`);
}
