/** Writers, compactions and watchers around the compaction revision, and the check that no watcher missed anything. */
import assert from 'node:assert/strict';
import { isExpired } from '../../../src/schemas/index.js';
import { openStore, sleep } from '../../../src/store/index.js';
import type { EngineSource } from '../../../src/store/index.js';

export interface CompactionReport {
  writes: number;
  compactions: number;
  /** Watches that told everything they were asked for. */
  whole: number;
  expired: number;
  events: number;
}

export async function compactBesideWatchers(options: {
  source: EngineSource;
  ms: number;
  everyMs: number;
  behind?: number;
}): Promise<CompactionReport> {
  const { source, ms, everyMs, behind = 100 } = options;
  // A small ring, so that watchers read from the log that is being cut off under them.
  await using store = await openStore({ engine: source, ring: { events: 16 } });
  const { deps } = store;
  const until = deps.clock.monotonic() + ms;
  const running = (): boolean => deps.clock.monotonic() < until;
  const report: CompactionReport = { writes: 0, compactions: 0, whole: 0, expired: 0, events: 0 };
  /** What each revision did, as its writer knows it: revision -> `verb name`. */
  const truth = new Map<number, string>();

  const writing = Array.from({ length: 4 }, async (_, writer) => {
    for (let round = 0; running(); round += 1) {
      const name = `w${writer}-${round % 5}`;
      const { metadata } = await store.apply('plain', 'prod', name, { round });
      truth.set(Number(metadata.resourceVersion), `put ${name} ${round}`);
      if (round % 3 === 2) {
        // The removal has a revision of its own, which nobody else can have: this writer alone writes the name.
        await store.delete('plain', 'prod', name);
      }
      report.writes += 1;
      if (round % 16 === 15) await deps.scheduler.turn();
    }
  });

  const compacting = (async () => {
    while (running()) {
      await sleep(deps, everyMs);
      const target = Math.max(0, Number(store.revision) - behind);
      if (target > 0) await store.compact(String(target));
      report.compactions += 1;
    }
  })();

  let turn = 0;
  const watching = Array.from({ length: 8 }, async () => {
    while (running()) {
      await sleep(deps, 5);
      const { compactRevision, revision } = await store.stats();
      const offset = ((turn++ * 37) % 201) - 100;
      const since = Math.max(0, Number(compactRevision) + offset);
      if (since > Number(revision)) continue;
      const end = Number(revision);
      try {
        const watch = store.watch('plain', 'prod', { since: String(since) });
        let last = since;
        try {
          while (last < end) {
            const event = (await watch.next()).value!;
            const at = Number(event.resourceVersion);
            // Each write is one revision of this type: the sequence has no holes.
            assert.equal(at, last + 1, `since ${since}: ${at} follows ${last}`);
            last = at;
            report.events += 1;
            const known = truth.get(at);
            if (known !== undefined && event.type !== 'BOOKMARK')
              assert.equal(`put ${event.name} ${String(event.resource['round'])}`, known);
            if (report.events % 50 === 0) await sleep(deps, 1);
          }
          report.whole += 1;
        } finally {
          await watch.close();
        }
      } catch (error) {
        if (!isExpired(error)) throw error;
        assert.ok(Number(error.compactedRevision) > since, `expired since ${since}, though ${error.compactedRevision} is kept`);
        report.expired += 1;
      }
    }
  });

  await Promise.all([...writing, compacting, ...watching]);
  assert.deepEqual((await store.verify()).problems, []);
  return report;
}
