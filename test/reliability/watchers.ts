/**
 * 1,000 watchers of one type at 500 writes a second, and 10 that take one event a second and then hurry: each is told all,
 * in order, once. Then slow ones alone, at 10,000 writes a second: what they fall behind by costs no memory.
 *
 * `npm run reliability -- watchers --minutes N [--watchers 1000] [--slow 10] [--rate 500] [--fast 10000]`; N minutes each.
 * A rate below 0.9 of what was asked for is none to judge by, and fails.
 */
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { manyWatchers } from './support/many-watchers.js';
import { demand } from './support/quantity.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    watchers: { type: 'string', default: '1000' },
    slow: { type: 'string', default: '10' },
    rate: { type: 'string', default: '500' },
    fast: { type: 'string', default: '10000' },
  },
});
/** The share of the rate asked for that has to be reached. */
const SHARE = 0.9;
const demandRate = (done: number, asked: number): void => demand('writes a second', { done: Math.floor(done), asked: asked * SHARE });
const ms = Number(values.minutes) * 60_000;
const report = await manyWatchers({
  watchers: Number(values.watchers),
  slow: Number(values.slow),
  rate: Number(values.rate),
  ms,
});
const { writes, deliveries, p50, p99, loopP99, grown, rate } = report;
process.stdout.write(
  `${writes} writes at ${rate.toFixed(0)}/s (${values.rate} asked for) to ${values.watchers} watchers and ${values.slow} slow ones: ${deliveries} deliveries, none lost or repeated; from call to event p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms; loop delay p99 ${loopP99.toFixed(1)} ms; heap grew by ${(grown / 1e6).toFixed(1)} MB\n`,
);
demandRate(rate, Number(values.rate));
assert.ok(p99 < 100, `delivery p99 is ${p99.toFixed(1)} ms, 100 allowed`);
assert.ok(loopP99 < 50, `loop delay p99 is ${loopP99.toFixed(1)} ms, 50 allowed`);

const behind = await manyWatchers({ watchers: 0, slow: 3, rate: Number(values.fast), ms });
process.stdout.write(
  `${behind.writes} writes at ${behind.rate.toFixed(0)}/s (${values.fast} asked for) to 3 watchers that take one event a second: all of them told when they hurry, in order, once; memory grew by ${(behind.grown / 1e6).toFixed(1)} MB\n`,
);
demandRate(behind.rate, Number(values.fast));
assert.ok(behind.grown < 20e6, `memory grew by ${(behind.grown / 1e6).toFixed(1)} MB, 20 allowed`);
