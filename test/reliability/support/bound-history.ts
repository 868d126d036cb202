/** Many updates of few objects under the default policy: how much of them the file keeps. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isExpired } from '../../../src/schemas/index.js';
import { lmdbEngine, openStore, systemDeps } from '../../../src/store/index.js';
import { Widget } from '../../../src/testing/conformance/store-widget.js';

export interface BoundReport {
  updates: number;
  ms: number;
  /** Bytes: of the present, of the kept versions, and what the window may hold. */
  readonly live: number;
  readonly kept: number;
  readonly window: number;
  readonly file: number;
  /** The most that the file may take. */
  readonly allowed: number;
}

const PAYLOAD = 'x'.repeat(600);
/** Generations that a type keeps unless it says otherwise. */
const GENERATIONS = 50;

/** `compactEvery` compacts by hand after so many updates, where the background's ten seconds are too long. */
export async function boundHistory(options: {
  updates: number;
  objects: number;
  windowBytes?: number;
  compactEvery?: number;
  until?: number;
}): Promise<BoundReport> {
  const { updates, objects, windowBytes, compactEvery, until = Infinity } = options;
  const path = await mkdtemp(join(tmpdir(), 'rune-history-'));
  try {
    await using store = await openStore({
      engine: lmdbEngine({ path }),
      types: [Widget],
      deps: systemDeps(),
      ...(windowBytes === undefined ? {} : { window: { bytes: windowBytes } }),
    });
    const name = (index: number): string => `w${index % objects}`;
    await Promise.all(
      Array.from({ length: objects }, (_, index) => store.create(Widget, 'prod', name(index), { spec: { size: 0, node: PAYLOAD } })),
    );
    const first = store.revision;
    let asked = 0;
    let compacted = 0;
    const began = Date.now();
    await Promise.all(
      Array.from({ length: 256 }, async () => {
        while (asked < updates && Date.now() < until) {
          const n = (asked += 1);
          await store.modify(Widget, 'prod', name(n), (draft) => void (draft.spec.size = n % 1_000_000));
          if (compactEvery !== undefined && n - compacted >= compactEvery) {
            compacted = n;
            await store.compact(String(Number(store.revision) - Math.floor(compactEvery / 10)));
          }
        }
      }),
    );
    const ms = Date.now() - began;
    // Let the window's edge arrive at where its bytes want it.
    const { deps } = store;
    const limit = windowBytes ?? 256 * 1024 * 1024;
    for (let wait = 0; wait < 40 && Number((await store.stats())['windowBytes']) > limit * 1.05; wait += 1) {
      if (compactEvery === undefined) await new Promise<void>((resolve) => void deps.scheduler.after(1000, resolve));
      else await store.compact(String(Number(store.revision) - 100));
    }
    // The revision is announced before what lies below it is deleted: waits for the end of that.
    await store.compact((await store.stats()).compactRevision);
    const stats = await store.stats();
    const compactRevision = Number(stats.compactRevision);
    assert.ok(compactRevision > Number(first), 'the window has moved');
    // Every object keeps its generations below the window, readable, and no more.
    const [one] = (await store.list(Widget, 'prod', { limit: 1 })).items;
    const size = Buffer.byteLength(JSON.stringify(one));
    for (const index of [0, Math.floor(objects / 2), objects - 1]) {
      const below = (await store.getHistory(Widget, 'prod', name(index))).filter(({ version }) => Number(version) <= compactRevision);
      assert.ok(below.length <= GENERATIONS, `${name(index)} keeps ${below.length} generations below the window`);
      for (const { version } of below) await store.getVersion(Widget, 'prod', name(index), version);
      await assert.rejects(
        store.getVersion(Widget, 'prod', name(index), first),
        (error: unknown) => isExpired(error) && error.compactedRevision === String(compactRevision),
        'a version that is gone is Expired',
      );
    }
    assert.deepEqual((await store.verify()).problems, []);
    const live = objects * size;
    const kept = live * GENERATIONS;
    return { updates: asked, ms, live, kept, window: limit, file: stats.bytes, allowed: 3 * (live + kept + limit) };
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}
