/**
 * A million updates of 100 objects under the default policy: the file stays within three times what the present, the kept
 * versions and the window come to, and a version that is gone is Expired.
 *
 * `npm run reliability -- history --minutes N [--updates 1000000] [--objects 100] [--window BYTES]`; fails when the minutes are over before
 * (a short run needs a smaller window than the default 256 MiB, or nothing is cut at all).
 */
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { boundHistory } from './support/bound-history.js';
import { demand } from './support/quantity.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    updates: { type: 'string', default: '1000000' },
    objects: { type: 'string', default: '100' },
    window: { type: 'string' },
  },
});
const { updates, ms, live, kept, window, file, allowed } = await boundHistory({
  updates: Number(values.updates),
  objects: Number(values.objects),
  ...(values.window === undefined ? {} : { windowBytes: Number(values.window) }),
  until: Date.now() + Number(values.minutes) * 60_000,
});
const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
process.stdout.write(
  `${updates} updates in ${(ms / 1000).toFixed(0)} s (${Math.round((updates * 1000) / ms)}/s): the file takes ${mb(file)}; live ${mb(live)}, kept versions ${mb(kept)}, window ${mb(window)}: ${(file / (live + kept + window)).toFixed(2)} times, 3 allowed\n`,
);
demand('updates', { done: updates, asked: Number(values.updates) });
assert.ok(file <= allowed, `the file takes ${mb(file)}, allowed are ${mb(allowed)}`);
