/**
 * A long run under mixed load: writes at a steady rate, lists, 50 watchers that come and go, a small window with its
 * compaction. Memory and file must stop growing once the window is full, and the event loop must stay quick.
 *
 * `npm run reliability -- soak --minutes N [--rate 1000]`
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { lmdbEngine, openStore, sleep } from '../../src/store/index.js';
import { defineResource } from '../../src/schemas/index.js';
import type { Watch } from '../../src/store/index.js';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '30' }, rate: { type: 'string', default: '1000' } } });
const ms = Number(values.minutes) * 60_000;
const rate = Number(values.rate);
/** Few versions, so that history is full after a fraction of even a short run. */
const Widget = defineResource({
  kind: 'Widget',
  spec: { type: 'object', properties: { size: { type: 'integer' }, fixed: { type: 'string' } } },
  history: { maxVersions: 3 },
});
const NAMES = 1000;
const PAYLOAD = 'x'.repeat(600);

/** Memory that is the process' own: pages of the file that are mapped in come and go with the machine's mood. */
function anonymousMemory(): number {
  const found = /RssAnon:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
  return found === null ? process.memoryUsage().rss : Number(found[1]) * 1024;
}

const warnings: string[] = [];
process.on('warning', (warning) => warnings.push(`${warning.name}: ${warning.message}`));

const path = await mkdtemp(join(tmpdir(), 'rune-soak-'));
const delay = monitorEventLoopDelay({ resolution: 5 });
try {
  await using store = await openStore({ engine: lmdbEngine({ path }), types: [Widget], window: { time: Math.max(10_000, ms / 20) } });
  const { deps } = store;
  const began = deps.clock.monotonic();
  const elapsed = (): number => deps.clock.monotonic() - began;
  let writes = 0;
  let events = 0;
  let lists = 0;
  let failed: unknown;
  const guard = <T>(work: Promise<T>): Promise<T | undefined> => work.catch((error: unknown) => void (failed ??= error));

  /** Every 10 ms as many writes as the rate asks for by now. */
  const writing = (async () => {
    let asked = 0;
    while (elapsed() < ms && failed === undefined) {
      const due = Math.floor((elapsed() / 1000) * rate);
      const batch: Promise<unknown>[] = [];
      for (; asked < due && batch.length < 512; asked += 1) {
        const name = `w${(asked * 7919) % NAMES}`;
        batch.push(
          asked % 50 === 49
            ? store.delete(Widget, 'prod', name).catch(() => undefined)
            : store
                .apply(Widget, 'prod', name, {
                  metadata: { labels: { group: `g${asked % 10}` } },
                  spec: { size: asked % 1_000_000, fixed: PAYLOAD },
                })
                .then(() => (writes += 1)),
        );
      }
      await guard(Promise.all(batch));
      await sleep(deps, 10);
    }
  })();

  const listing = (async () => {
    while (elapsed() < ms && failed === undefined) {
      await guard(store.list(Widget, 'prod', lists % 2 === 0 ? { labelSelector: 'group=g3' } : { limit: 100 }));
      lists += 1;
      await sleep(deps, 250);
    }
  })();

  const open = new Set<Watch>();
  const watching = Array.from({ length: 50 }, async (_, index) => {
    while (elapsed() < ms && failed === undefined) {
      const watch = store.watch(Widget, 'prod', index % 5 === 0 ? { initial: true, labelSelector: 'group=g1' } : {});
      open.add(watch);
      let last = 0;
      // Comes and goes: each stays for some hundred to some thousand events.
      for (let seen = 0; seen < 500 * (index + 1); seen += 1) {
        const next = await guard(watch.next());
        if (next?.value === undefined) break;
        const at = Number(next.value.resourceVersion);
        if (!(next.value.type === 'CREATED' && next.value.initial === true)) {
          assert.ok(at >= last, 'in order');
          last = at;
        }
        events += 1;
      }
      open.delete(watch);
      await watch.close();
    }
  });

  const samples: { readonly at: number; readonly rss: number; readonly file: number; readonly window: number; readonly p99: number }[] = [];
  const sampling = (async () => {
    delay.enable();
    while (elapsed() < ms && failed === undefined) {
      await sleep(deps, Math.max(1000, ms / 60));
      const { bytes, windowBytes } = await store.stats();
      samples.push({ at: elapsed(), rss: anonymousMemory(), file: bytes, window: Number(windowBytes), p99: delay.percentile(99) / 1e6 });
      delay.reset();
      const { at, rss, file, p99 } = samples.at(-1)!;
      process.stdout.write(
        `${(at / 1000).toFixed(0)} s: ${writes} writes, ${events} events, ${lists} lists; memory ${(rss / 1e6).toFixed(0)} MB, file ${(file / 1e6).toFixed(0)} MB, loop delay p99 ${p99.toFixed(1)} ms\n`,
      );
    }
  })();

  await Promise.all([writing, listing, sampling]);
  for (const watch of open) await watch.close();
  await Promise.all(watching);
  if (failed !== undefined) throw failed;
  const { problems } = await store.verify();
  assert.deepEqual(problems, []);
  assert.deepEqual(warnings, [], 'no warning from Node');
  // The last quarter against the one before it: by then the window is full and its pages are used again.
  const mean = (from: number, to: number, of: (sample: (typeof samples)[number]) => number): number => {
    const found = samples.filter(({ at }) => at >= from * ms && at < to * ms).map(of);
    return found.reduce((sum, value) => sum + value, 0) / found.length;
  };
  const growth = {
    rss: mean(0.75, 1.1, ({ rss }) => rss) / mean(0.5, 0.75, ({ rss }) => rss),
    file: mean(0.75, 1.1, ({ file }) => file) / mean(0.5, 0.75, ({ file }) => file),
  };
  const p99 = mean(0.25, 1.1, (sample) => sample.p99);
  const times = mean(0.75, 1.1, ({ file }) => file) / mean(0.75, 1.1, ({ window }) => window);
  process.stdout.write(
    `${(ms / 60_000).toFixed(1)} minutes, ${Math.round((writes * 1000) / ms)} writes/s of ${rate} asked for: anonymous memory in the last quarter is ${growth.rss.toFixed(2)} of that in the third, the file ${growth.file.toFixed(2)} (${times.toFixed(1)} times the window's content); loop delay p99 ${p99.toFixed(1)} ms (mean of the samples); verify() is clean, no warning from Node\n`,
  );
  assert.ok(growth.rss < 1.2, 'memory grows');
  assert.ok(growth.file < 1.2, 'the file grows');
} finally {
  delay.disable();
  await rm(path, { recursive: true, force: true });
}
