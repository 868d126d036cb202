/** Promises over random interleavings: bookmarks, pages of one snapshot, transactions that lose at any step. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isConflict } from '../../src/schemas/index.js';
import { deferred, memoryEngine, openStore } from '../../src/store/index.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import { step, runOn } from './model.js';
import { engines, onStorage } from './on-engines.js';
import { bookmarks } from '../reliability/support/bookmarks.js';

describe('a bookmark', () => {
  it('never comes before an event that it covers, nor after one it does not; the end of an initial list comes once', async () => {
    let marks = 0;
    for (let seed = 1; seed <= 100; seed += 1) marks += (await bookmarks(seed)).marks;
    expect(marks).toBeGreaterThan(100);
  });
});

describe('the pages of a list', () => {
  it('show one revision, whatever is written between them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 4, maxLength: 20 }),
        fc.array(fc.array(step, { maxLength: 4 }), { minLength: 5, maxLength: 5 }),
        fc.integer({ min: 1, max: 3 }),
        async (before, between, limit) => {
          await using store = await openStore({ engine: memoryEngine() });
          for (const each of before) await runOn(store, each);
          const whole = await store.list(Widget, 'prod');
          const paged = [];
          let token: string | undefined;
          let turn = 0;
          do {
            const page = await store.list(Widget, 'prod', { limit, ...(token === undefined ? {} : { continue: token }) });
            assert.equal(page.resourceVersion, whole.resourceVersion);
            assert.ok(page.items.length <= limit);
            if (page.continue !== undefined) assert.equal(page.remaining, whole.items.length - paged.length - page.items.length);
            paged.push(...page.items);
            token = page.continue;
            for (const each of between[turn++ % between.length]!) await runOn(store, each);
          } while (token !== undefined);
          assert.deepEqual(paged, whole.items);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe.each(engines)('a transaction on the %s engine', (engine) => {
  it.each([0, 1, 2, 3, 4])(
    'that loses the object it reads at step %i leaves nothing: no object, no event, no history, no index entry',
    async (at) => {
      await onStorage(engine, async ({ open }) => {
        const store = await open();
        const names = ['a', 'b', 'c', 'd', 'e'];
        for (const name of names) await store.create(Widget, 'prod', name, { spec: { size: 0, node: 'before' } });
        const revision = Number(store.revision);
        const reached = deferred();
        const gone = deferred();
        const running = store.transaction(
          async (tx) => {
            for (const [index, name] of names.entries()) {
              const { spec } = await tx.get(Widget, 'prod', name);
              await tx.update(Widget, 'prod', name, { spec: { ...spec, size: 1, node: 'inside' } });
              await tx.create(Widget, 'prod', `new-${name}`, { spec: { size: 1, node: 'inside' } });
              if (index === names.length - 1) {
                reached.resolve();
                await gone.promise;
              }
            }
          },
          { retries: 0 },
        );
        await reached.promise;
        await store.update(Widget, 'prod', names[at]!, { spec: { size: 9, node: 'rival' } });
        gone.resolve();
        await expect(running).rejects.toSatisfy(isConflict);
        expect(Number(store.revision)).toBe(revision + 1);
        const { items } = await store.list(Widget, 'prod');
        expect(items.map(({ metadata, spec }) => [metadata.name, spec.size])).toEqual(
          names.map((name, index) => [name, index === at ? 9 : 0]),
        );
        expect((await store.list(Widget, 'prod', { fieldSelector: 'spec.node=inside' })).items).toEqual([]);
        for (const name of names) {
          expect(await store.getHistory(Widget, 'prod', name)).toHaveLength(name === names[at] ? 2 : 1);
          expect(await store.getHistory(Widget, 'prod', `new-${name}`)).toEqual([]);
        }
        const watch = store.watch(Widget, 'prod', { since: String(revision) });
        expect((await watch.next()).value).toMatchObject({ type: 'UPDATED', name: names[at] });
        expect(watch.progress).toBe(String(revision + 1));
        await watch.close();
        expect((await store.verify()).problems).toEqual([]);
      })();
    },
  );
});
