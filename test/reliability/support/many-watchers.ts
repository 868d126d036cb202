/** Many watchers of one type at a steady rate of writes, and a few that take an event a second: who is told what, and when. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { lmdbEngine, openStore, sleep, systemDeps } from '../../../src/store/index.js';
import type { Watch } from '../../../src/store/index.js';

export interface WatchersReport {
  readonly writes: number;
  readonly deliveries: number;
  /** From the call of the write to the event, ms. */
  readonly p50: number;
  readonly p99: number;
  readonly loopP99: number;
  /** Bytes that the process' memory outside LMDB grew by while slow watchers fell behind, garbage aside. */
  readonly grown: number;
  /** Writes a second, as they came to be. */
  readonly rate: number;
}

/** Writes on their way, at most: a machine that is too slow for the rate asked for falls behind it. */
const IN_FLIGHT = 2000;

/** What is in use once all garbage is gone. */
function memory(): number {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

export async function manyWatchers(options: { watchers: number; slow: number; rate: number; ms: number }): Promise<WatchersReport> {
  const { watchers, slow, rate, ms } = options;
  const path = await mkdtemp(join(tmpdir(), 'rune-watchers-'));
  try {
    await using store = await openStore({ engine: lmdbEngine({ path }), deps: systemDeps(), ring: { events: 512 } });
    const { deps } = store;
    const now = (): number => deps.clock.monotonic();
    const called: number[] = [];
    const delays: number[] = [];
    let deliveries = 0;
    /** Each watcher checks for itself that the numbers it is told have no hole and no repeat. */
    const follow = async (watch: Watch, each: (n: number) => Promise<void> | undefined): Promise<void> => {
      let next = 0;
      for await (const event of watch) {
        if (event.type === 'BOOKMARK' || event.type === 'DELETED') throw new Error(`a ${event.type} out of nowhere`);
        assert.equal(event.resource['n'], next, 'the sequence is exact');
        next += 1;
        deliveries += 1;
        const wait = each(next - 1);
        if (wait !== undefined) await wait;
        if (next === total) break;
      }
      assert.equal(next, total, 'the watcher is complete');
    };
    const total = Math.floor((rate * ms) / 1000);
    let hurry = false;
    const reading = [
      ...Array.from({ length: watchers }, (_, index) =>
        follow(store.watch('plain', 'prod'), (n) => {
          // One in ten is enough to know the distribution.
          if (index % 10 === 0) delays.push(now() - called[n]!);
          return undefined;
        }),
      ),
      ...Array.from({ length: slow }, () => follow(store.watch('plain', 'prod'), () => (hurry ? undefined : sleep(deps, 1000)))),
    ];
    const loop = monitorEventLoopDelay({ resolution: 5 });
    loop.enable();
    // A tenth of the way everything has the size that it is going to have.
    let before: number | undefined;
    const began = now();
    let asked = 0;
    let settled = 0;
    let failure: unknown;
    let writing: Promise<unknown> = Promise.resolve();
    while (asked < total && failure === undefined) {
      if (before === undefined && settled >= total / 10) before = memory();
      const due = Math.min(total, settled + IN_FLIGHT, Math.floor(((now() - began) / 1000) * rate));
      for (; asked < due; asked += 1) {
        if (watchers > 0) called.push(now());
        // In order: one object, whose writes line up behind each other and share commits.
        writing = store.apply('plain', 'prod', `o${asked % 50}`, { n: asked });
        writing.then(
          () => {
            settled += 1;
          },
          (error: unknown) => {
            failure = error;
          },
        );
      }
      await sleep(deps, 2);
    }
    await writing;
    assert.equal(failure, undefined);
    loop.disable();
    const reached = total / ((now() - began) / 1000);
    const grown = memory() - (before ?? Number.NaN);
    hurry = true;
    await Promise.all(reading);
    const sorted = delays.toSorted((a, b) => a - b);
    const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0;
    return { writes: total, deliveries, p50: at(0.5), p99: at(0.99), loopP99: loop.percentile(99) / 1e6, grown, rate: reached };
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}
