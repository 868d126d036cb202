/** Reads at a revision that is still to come: waited for, then a timeout; and the watch since one. */
import { describe, expect, it } from 'vitest';
import { isStoreClosed, isTimeout } from '../../src/schemas/index.js';
import { openStore, sleep } from '../../src/store/index.js';
import { brief, inMemory, onStorage, take } from './on-engines.js';

describe('a revision that is still to come', () => {
  it('is waited for by get and list for 3 s, then both end with a timeout that says when to try again', () =>
    inMemory(async ({ store, deps }) => {
      await store.create('plain', 'prod', 'a', { n: 0 });
      const began = deps.clock.monotonic();
      const outcomes = await Promise.allSettled([
        store.get('plain', 'prod', 'a', { resourceVersion: '2' }),
        store.list('plain', 'prod', { resourceVersion: '2' }),
      ]);
      expect(deps.clock.monotonic() - began).toBe(3000);
      for (const outcome of outcomes) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 504, details: { retryAfterSeconds: 1 } } });
        expect((outcome as PromiseRejectedResult).reason).toSatisfy(isTimeout);
        expect(String((outcome as PromiseRejectedResult).reason)).toMatch(/revision 2 is in the future: the newest is 1/);
      }
    }));

  it('is shown in the moment it is there, and never a moment before', () =>
    inMemory(async ({ store, deps }) => {
      await store.create('plain', 'prod', 'a', { n: 0 });
      const began = deps.clock.monotonic();
      const reading = store.list('plain', 'prod', { resourceVersion: '3' }).then(({ items, resourceVersion }) => {
        expect(deps.clock.monotonic() - began).toBe(2000);
        return [items[0]!['n'], resourceVersion];
      });
      await sleep(deps, '1s');
      await store.update('plain', 'prod', 'a', { n: 1 });
      await sleep(deps, '1s');
      await store.update('plain', 'prod', 'a', { n: 2 });
      expect(await reading).toEqual([2, '3']);
    }));

  it('leaves no timer and no listener, and ends with the store', () =>
    inMemory(async ({ store, deps }) => {
      const reading = store.get('plain', 'prod', 'a', { resourceVersion: '5' }).catch((error: unknown) => error);
      await sleep(deps, '1s');
      await store.close();
      expect(await reading).toSatisfy(isStoreClosed);
      expect(deps.nextDue()).toBeUndefined();
    }));

  it('is not waited for by a compaction', () =>
    inMemory(async ({ store }) => {
      await expect(store.compact('7')).rejects.toMatchObject({ code: 400 });
    }));

  it('starts a watch that tells nothing older than what was asked for', () =>
    inMemory(async ({ store }) => {
      const watch = store.watch('plain', 'prod', { since: '4' });
      for (let n = 0; n < 6; n += 1) await store.apply('plain', 'prod', 'a', { n });
      expect((await take(watch, 2)).map(brief)).toEqual(['UPDATED prod/a@5', 'UPDATED prod/a@6']);
    }));

  it(
    'is soon there when another store on the directory has written it',
    onStorage('lmdb', async ({ source, open }) => {
      const here = await open();
      await using there = await openStore({ engine: source });
      const made = await there.create('plain', 'prod', 'a', { n: 1 });
      const { resourceVersion } = made.metadata;
      expect((await here.get('plain', 'prod', 'a', { resourceVersion }))['n']).toBe(1);
      expect((await here.list('plain', 'prod', { resourceVersion })).items).toHaveLength(1);
    }),
  );
});
