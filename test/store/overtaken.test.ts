/** Lists, and what is compacted under them. */
import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/index.js';
import { engines, onStorage } from './on-engines.js';

/** Several slices of a list, a turn of the event loop between any two. */
const objects = 3000;

async function fill(store: Store): Promise<void> {
  for (let index = 0; index < objects; index += 500) {
    await Promise.all(Array.from({ length: 500 }, (_, offset) => store.create('room', 'a', `x${index + offset}`, { size: 0 })));
  }
}

describe.each(engines)('a list on the %s engine', (engine) => {
  it('comes to its end, whole, while the store is compacted to the present under it', { timeout: 30_000 }, () =>
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await fill(store);
      const first = await store.list('room', 'a', { limit: 10 });
      for (let round = 1; round <= 5; round += 1) {
        const revision = store.revision;
        const pages = { limit: objects, continue: first.continue };
        const lists = [
          store.list('room', 'a'),
          store.list('room', 'a', { resourceVersion: revision }),
          store.transaction(async (tx) => tx.list('room', 'a')),
          ...(round === 1 ? [store.list('room', 'a', pages)] : []),
        ];
        // All sizes change at once: a list that mixes two states shows it.
        await store.transaction(async (tx) => {
          for (const name of ['x0', 'x1500', 'x2999']) await tx.patch('room', 'a', name, { size: round });
        });
        const compacting = store.compact(store.revision);
        for (const { items } of await Promise.all(lists)) {
          expect(items.length === objects || (round === 1 && items.length === objects - 10)).toBe(true);
          const sizes = items.filter(({ metadata }) => ['x1500', 'x2999'].includes(metadata.name)).map((item) => item['size']);
          expect(new Set(sizes).size).toBe(1);
        }
        await compacting;
      }
      await expect(store.list('room', 'a', { resourceVersion: '10' })).rejects.toMatchObject({ reason: 'Expired' });
      expect((await store.verify()).problems).toEqual([]);
    })(),
  );

  it('keeps neither a compaction waiting that is older, nor the store from closing', () =>
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await fill(store);
      let lists = 0;
      let compacted = false;
      const listing = (async () => {
        while (!compacted) {
          await store.list('room', 'a');
          lists += 1;
        }
      })();
      await store.compact(store.revision);
      compacted = true;
      await listing;
      const last = store.list('room', 'a').catch((error: unknown) => error);
      const compacting = store.compact(store.revision).catch((error: unknown) => error);
      await store.close();
      await Promise.all([last, compacting]);
      expect(lists).toBeGreaterThan(0);
    })());
});
