/** Who no longer wants an answer says so by a signal: lists, waits and transactions end, and leave no listener behind. */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { isAborted, isNotFound } from '../../src/schemas/index.js';
import { deferred, sleep } from '../../src/store/index.js';
import type { Store } from '../../src/store/index.js';
import { engines, inMemory, onStorage } from './on-engines.js';

const gone = AbortSignal.abort(new Error('no longer wanted'));

async function fill(store: Store, count: number): Promise<void> {
  for (let from = 0; from < count; from += 500)
    await Promise.all(Array.from({ length: 500 }, (_, index) => store.create('plain', 'prod', `o${from + index}`, { n: index })));
}

describe.each(engines)('a signal on the %s engine', (engine) => {
  it(
    'ends a list between two slices, also one that filters, and one that waits for its revision',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await fill(store, 2000);
      await expect(store.list('plain', 'prod', { signal: gone })).rejects.toSatisfy(isAborted);
      const abort = new AbortController();
      let looked = 0;
      const listing = store.list('plain', 'prod', {
        signal: abort.signal,
        filter: () => {
          looked += 1;
          if (looked === 600) abort.abort(new Error('enough'));
          return true;
        },
      });
      await expect(listing).rejects.toMatchObject({ name: 'AbortError', cause: { message: 'enough' } });
      expect(looked).toBeLessThan(1600);
      const waits = new AbortController();
      const waiting = [
        store.list('plain', 'prod', { resourceVersion: '5000', signal: waits.signal }),
        store.get('plain', 'prod', 'o1', { resourceVersion: '5000', signal: waits.signal }),
      ];
      waits.abort();
      for (const each of waiting) await expect(each).rejects.toSatisfy(isAborted);
      const kept = new AbortController();
      expect((await store.list('plain', 'prod', { signal: kept.signal })).items).toHaveLength(2000);
      for (const { signal } of [abort, waits, kept]) expect(getEventListeners(signal, 'abort')).toEqual([]);
    }),
  );

  it(
    'that has aborted begins no transaction, and no callback; one that aborts inside ends it at its next verb',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      let runs = 0;
      await expect(store.transaction(() => void (runs += 1), { signal: gone })).rejects.toSatisfy(isAborted);
      expect(runs).toBe(0);
      for (const verb of ['create', 'get', 'list'] as const) {
        const abort = new AbortController();
        let after = false;
        const running = store.transaction(
          async (tx) => {
            await tx.create('plain', 'prod', `t-${verb}`, {});
            abort.abort(new Error('enough'));
            if (verb === 'create') await tx.create('plain', 'prod', 'more', {});
            else if (verb === 'get') await tx.get('plain', 'prod', `t-${verb}`);
            else await tx.list('plain', 'prod');
            after = true;
          },
          { signal: abort.signal },
        );
        await expect(running).rejects.toSatisfy(isAborted);
        expect([after, getEventListeners(abort.signal, 'abort').length]).toEqual([false, 0]);
      }
      const abort = new AbortController();
      const swallowing = store.transaction(
        async (tx) => {
          await tx.create('plain', 'prod', 'swallowed', {});
          abort.abort();
        },
        { signal: abort.signal },
      );
      await expect(swallowing).rejects.toSatisfy(isAborted);
      expect((await store.list('plain')).items).toEqual([]);
      expect(store.revision).toBe('0');
    }),
  );

  it(
    'ends the deletion of a collection, what is deleted by then stays so',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await fill(store, 1000);
      const abort = new AbortController();
      const watch = store.watch('plain');
      const deleting = store.deleteCollection('plain', 'prod', { signal: abort.signal });
      await watch.next();
      abort.abort();
      await expect(deleting).rejects.toSatisfy(isAborted);
      await watch.close();
      const { items } = await store.list('plain', 'prod');
      expect(items.length).toBeGreaterThan(200);
      expect(items.length).toBeLessThan(1000);
    }),
  );
});

describe('a transaction that waits for its turn to run again', () => {
  it('gives up at once when its signal aborts, and lets those behind it have theirs', () =>
    inMemory(
      async ({ store, deps }) => {
        await store.create('plain', 'prod', 'a', { n: 0 });
        const abort = new AbortController();
        const held = deferred();
        const runs: string[] = [];
        const all = ['first', 'second', 'third', 'fourth'];
        const add = (who: string, options: { readonly signal?: AbortSignal } = {}, hold?: Promise<void>): Promise<void> =>
          store.transaction(async (tx) => {
            runs.push(`${who}${tx.attempt}`);
            const { n } = (await tx.get('plain', 'prod', 'a')) as unknown as { n: number };
            // All have read the same by then, so that all but the first have to run again, one after the other.
            if (tx.attempt === 1) await sleep(deps, 10 + all.indexOf(who));
            if (tx.attempt === 2 && hold !== undefined) await hold;
            await tx.update('plain', 'prod', 'a', { n: n + 1 });
          }, options);
        const first = add('first');
        const second = add('second', {}, held.promise);
        const third = add('third', { signal: abort.signal });
        const fourth = add('fourth');
        await first;
        await sleep(deps, 5);
        const began = deps.clock.monotonic();
        abort.abort();
        await expect(third).rejects.toSatisfy(isAborted);
        expect(deps.clock.monotonic()).toBe(began);
        held.resolve();
        await Promise.all([second, fourth]);
        expect((await store.get('plain', 'prod', 'a'))['n']).toBe(3);
        expect(runs.filter((run) => run.startsWith('third'))).toEqual(['third1']);
        await expect(store.get('plain', 'prod', 'b')).rejects.toSatisfy(isNotFound);
      },
      { latencyMs: 2 },
    ));
});
