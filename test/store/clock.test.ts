/** A wall clock that jumps: it is information, never order. */
import { describe, expect, it } from 'vitest';
import { sleep } from '../../src/store/index.js';
import { inMemory, take } from './on-engines.js';

describe('a clock that jumps', () => {
  for (const [text, jump] of [
    ['back an hour', '-1h'],
    ['forward a year', '8760h'],
    ['to before 1970', `-${60 * 8760}h`],
  ] as const) {
    it(`${text} changes no order, empties no window and no history`, () =>
      inMemory(async ({ store, deps }) => {
        const revisions: number[] = [];
        const write = async (n: number): Promise<void> => {
          revisions.push(Number((await store.apply('plain', 'prod', 'a', { n })).metadata.resourceVersion));
        };
        for (let n = 0; n < 5; n += 1) {
          await write(n);
          await sleep(deps, '10s');
        }
        deps.jumpWallClock(jump);
        for (let n = 5; n < 10; n += 1) {
          await write(n);
          await sleep(deps, '10s');
        }
        expect(revisions).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        const history = await store.getHistory('plain', 'prod', 'a');
        expect(history.map(({ resource }) => resource['n'])).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        // 100 s have passed: everything is inside the window, whatever the wall clock says.
        expect((await store.stats()).compactRevision).toBe('0');
        expect((await store.get('plain', 'prod', 'a', { resourceVersion: '1' }))['n']).toBe(0);
        expect(
          (await take(store.watch('plain', 'prod', { since: '0' }), 10)).map(({ resourceVersion }) => Number(resourceVersion)),
        ).toEqual(revisions);
        await sleep(deps, '6m');
        expect((await store.stats()).compactRevision).toBe('10');
        expect((await store.get('plain', 'prod', 'a'))['n']).toBe(9);
      }));
  }
});
