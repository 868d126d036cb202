/**
 * 10,000 random interleavings of writers and watchers with bookmarks: a bookmark at R never comes before an event up to R, nor
 * after one beyond it, and an initial list ends once.
 *
 * `npm run reliability -- bookmarks --minutes N [--runs 10000] [--seed 1]`; fails when the minutes are over before.
 */
import { parseArgs } from 'node:util';
import { bookmarks } from './support/bookmarks.js';
import { demand } from './support/quantity.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    runs: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
  },
});
const until = Date.now() + Number(values.minutes) * 60_000;
const total = { runs: 0, marks: 0, events: 0 };
while (total.runs < Number(values.runs) && Date.now() < until) {
  const { marks, events } = await bookmarks(Number(values.seed) + total.runs);
  total.runs += 1;
  total.marks += marks;
  total.events += events;
}
process.stdout.write(
  `${total.runs} of ${values.runs} interleavings, ${total.marks} bookmarks among ${total.events} events: each in its place\n`,
);
demand('interleavings', { done: total.runs, asked: Number(values.runs) });
