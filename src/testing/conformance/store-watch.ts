/**
 * Conformance of watches and transactions.
 */
import assert from 'node:assert/strict';
import { isAlreadyExists, isConflict, isForbidden, isStoreClosed } from '../../schemas/index.js';
import type { Store } from '../../store/index.js';
import { brief, take } from './store-kit.js';
import type { Case } from './store-kit.js';
import { Widget } from './store-widget.js';
import type { Runner } from './suite.js';

async function history(store: Store): Promise<void> {
  await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
  await store.create(Widget, 'dev', 'b', { spec: { size: 1 } });
  await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
  await store.transaction(async (tx) => {
    await tx.create(Widget, 'prod', 'c', { spec: { size: 1 } });
    await tx.delete(Widget, 'dev', 'b');
    await tx.create('other', 'prod', 'x', { any: 1 });
  });
  await store.delete(Widget, 'prod', 'a');
}

export function watchCases({ describe, it }: Runner, on: Case): void {
  describe('watch', () => {
    it(
      'begins at the call and tells each change once, in order, frozen',
      on(async (store) => {
        await store.create(Widget, 'prod', 'before', { spec: { size: 1 } });
        const watch = store.watch(Widget);
        const start = Number(store.revision);
        await history(store);
        const events = await take(watch, 6);
        assert.deepEqual(events.map(brief), [
          `CREATED a@${start + 1}`,
          `CREATED b@${start + 2}`,
          `UPDATED a@${start + 3}`,
          `CREATED c@${start + 4}`,
          `DELETED b@${start + 4}`,
          `DELETED a@${start + 5}`,
        ]);
        const update = events[2]!;
        assert.ok(update.type === 'UPDATED' && update.previous.spec.size === 1 && update.resource.spec.size === 2);
        assert.throws(() => {
          (update.resource.spec as { size: number }).size = 3;
        }, TypeError);
        await watch.close();
      }),
    );
    it(
      'resumes at every event of a recorded run with nothing lost and no transaction split',
      on(async (store) => {
        const watch = store.watch('*');
        await history(store);
        const events = await take(watch, 7);
        await watch.close();
        for (let index = 0; index < events.length; index += 1) {
          const resume = Number(events[index]!.resume);
          const expected = events.filter((event) => Number(event.resourceVersion) > resume);
          assert.ok(
            expected.every(
              (event) => events.indexOf(event) > index || Number(event.resourceVersion) === Number(events[index]!.resourceVersion),
            ),
          );
          const again = store.watch('*', undefined, { since: String(resume) });
          assert.deepEqual((await take(again, expected.length)).map(brief), expected.map(brief));
          await again.close();
        }
      }),
    );
    it(
      'sends what exists, one bookmark, then changes, without a gap while writers run',
      on(async (store) => {
        for (let index = 0; index < 10; index += 1) await store.create(Widget, 'prod', `w${index}`, { spec: { size: index } });
        const watch = store.watch(Widget, 'prod', { initial: true });
        const writing = Promise.all(
          Array.from({ length: 10 }, (_, index) => store.update(Widget, 'prod', `w${index}`, { spec: { size: index + 100 } })),
        );
        const events = await take(watch, 21);
        await writing;
        assert.equal(events.filter((event) => event.type === 'CREATED' && event.initial === true).length, 10);
        assert.equal(
          events.findIndex((event) => event.type === 'BOOKMARK'),
          10,
        );
        assert.equal(events.filter((event) => event.type === 'UPDATED').length, 10);
        await watch.close();
      }),
    );
    it(
      'tells a selector crossing as CREATED and DELETED',
      on(async (store) => {
        const watch = store.watch(Widget, 'prod', { labelSelector: 'on=yes' });
        const label = (on: string, size: number): Promise<unknown> =>
          store.update(Widget, 'prod', 'a', { metadata: { labels: { on } }, spec: { size } });
        await store.create(Widget, 'prod', 'a', { metadata: { labels: { on: 'no' } }, spec: { size: 1 } });
        await label('yes', 1);
        await label('yes', 2);
        await label('no', 2);
        await label('no', 3);
        await label('yes', 3);
        await store.delete(Widget, 'prod', 'a');
        const events = await take(watch, 5);
        assert.deepEqual(
          events.map((event) => event.type),
          ['CREATED', 'UPDATED', 'DELETED', 'CREATED', 'DELETED'],
        );
        const gone = events[2]!;
        assert.ok(gone.type === 'DELETED' && gone.resource.metadata.labels?.['on'] === 'yes', 'the last state that matched');
        await watch.close();
      }),
    );
    it(
      'shows its progress whether anything matched or not, and never ahead of what was handed out',
      on(async (store) => {
        const watch = store.watch(Widget, 'prod');
        await store.create('other', 'prod', 'x', {});
        assert.equal(watch.progress, store.revision);
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        assert.equal(watch.progress, String(Number(store.revision) - 1));
        await watch.next();
        assert.equal(watch.progress, store.revision);
        await watch.close();
      }),
    );
    it(
      'ends cleanly by break, close and signal, and with the store',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        for await (const event of store.watch(Widget, 'prod', { initial: true })) {
          assert.equal(event.type, 'CREATED');
          break;
        }
        const closed = store.watch(Widget);
        const waiting = closed.next();
        await closed.close();
        assert.deepEqual(await waiting, { done: true, value: undefined });
        const abort = new AbortController();
        const aborted = store.watch(Widget, undefined, { signal: abort.signal });
        const pending = aborted.next();
        abort.abort(new Error('enough'));
        await assert.rejects(pending, { name: 'AbortError' });
        assert.equal((await store.stats()).watchers, 0);
        const last = store.watch(Widget);
        const parked = last.next();
        const rejected = assert.rejects(parked, isStoreClosed);
        await store.close();
        await rejected;
        assert.throws(() => store.watch(Widget), isStoreClosed);
        await assert.rejects(store.get(Widget, 'prod', 'a'), isStoreClosed);
        await store.close();
      }),
    );
    it(
      'hands out a revision at a time with batches',
      on(async (store) => {
        const watch = store.watch('*');
        await history(store);
        const batches = watch.batches();
        const sizes: number[] = [];
        for (let index = 0; index < 5; index += 1) sizes.push((await batches.next()).value!.events.length);
        assert.deepEqual(sizes, [1, 1, 1, 3, 1]);
        await watch.close();
      }),
    );
    it(
      'carries the source of every write',
      on(async (store) => {
        const watch = store.watch(Widget);
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } }, { source: 's1' });
        await store.transaction((tx) => tx.update(Widget, 'prod', 'a', { spec: { size: 2 } }), { source: 's2' });
        await store.delete(Widget, 'prod', 'a', { source: 's3' });
        assert.deepEqual(
          (await take(watch, 3)).map((event) => ('source' in event ? event.source : undefined)),
          ['s1', 's2', 's3'],
        );
        await watch.close();
      }),
    );
  });

  describe('transaction', () => {
    it(
      'reads its own writes and commits all of them as one revision with all their events',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        const before = Number(store.revision);
        const watch = store.watch(Widget);
        const sizes = await store.transaction(async (tx) => {
          await tx.update(Widget, 'prod', 'a', { spec: { size: 2 } });
          await tx.create(Widget, 'prod', 'b', { spec: { size: 5 } });
          await tx.create(Widget, 'prod', 'gone', { spec: { size: 1 } });
          await tx.delete(Widget, 'prod', 'gone');
          return (await tx.list(Widget, 'prod')).items.map((widget) => widget.spec.size);
        });
        assert.deepEqual(sizes, [2, 5]);
        assert.equal(store.revision, String(before + 1));
        const events = await take(watch, 2);
        assert.deepEqual(events.map(brief), [`UPDATED a@${before + 1}`, `CREATED b@${before + 1}`]);
        assert.equal(events[0]!.resume, String(before));
        assert.equal(events[1]!.resume, String(before + 1));
        await watch.close();
      }),
    );
    it(
      'leaves nothing when it throws, at any point',
      on(async (store) => {
        const before = store.revision;
        for (let stop = 0; stop < 4; stop += 1) {
          await assert.rejects(
            store.transaction(async (tx) => {
              for (let index = 0; index < 4; index += 1) {
                if (index === stop) throw new Error('stop here');
                await tx.create(Widget, 'prod', `w${index}`, { spec: { size: 1 } });
              }
            }),
            /stop here/,
          );
        }
        await store.create(Widget, 'prod', 'b', { spec: { size: 1 } });
        await assert.rejects(
          store.transaction(async (tx) => {
            await tx.create(Widget, 'prod', 'a', { spec: { size: 1 } });
            await tx.create(Widget, 'prod', 'b', { spec: { size: 1 } });
          }),
          isAlreadyExists,
        );
        assert.equal((await store.list(Widget)).items.length, 1);
        assert.equal(store.revision, String(Number(before) + 1));
      }),
    );
    it(
      'is serializable: transfers keep the sum, and write skew cannot happen',
      on(async (store) => {
        for (let index = 0; index < 5; index += 1) await store.create(Widget, 'bank', `acc${index}`, { spec: { size: 100 } });
        let seed = 7;
        const random = (below: number): number => {
          seed = (seed * 1103515245 + 12345) % 2147483648;
          return seed % below;
        };
        await Promise.all(
          Array.from({ length: 40 }, () => {
            const from = random(5);
            const to = (from + 1 + random(4)) % 5;
            return store.transaction(
              async (tx) => {
                const source = await tx.get(Widget, 'bank', `acc${from}`);
                const target = await tx.get(Widget, 'bank', `acc${to}`);
                const amount = Math.min(source.spec.size, 30);
                await tx.update(Widget, 'bank', `acc${from}`, { spec: { size: source.spec.size - amount } });
                await tx.update(Widget, 'bank', `acc${to}`, { spec: { size: target.spec.size + amount } });
              },
              { retries: 40 },
            );
          }),
        );
        const sum = (await store.list(Widget, 'bank')).items.reduce((total, widget) => total + widget.spec.size, 0);
        assert.equal(sum, 500);
        await store.create(Widget, 'duty', 'one', { spec: { size: 1 } });
        await store.create(Widget, 'duty', 'two', { spec: { size: 1 } });
        await Promise.all(
          ['one', 'two'].map((name) =>
            store.transaction(async (tx) => {
              const onDuty = (await tx.list(Widget, 'duty', { filter: (widget) => widget.spec.size === 1 })).items.length;
              if (onDuty > 1) await tx.update(Widget, 'duty', name, { spec: { size: 0 } });
            }),
          ),
        );
        assert.equal((await store.list(Widget, 'duty', { filter: (widget) => widget.spec.size === 1 })).items.length, 1);
      }),
    );
    it(
      'sees what appeared in a list it read: one of two that count and create loses',
      on(async (store) => {
        await Promise.all(
          ['x', 'y'].map((name) =>
            store.transaction(async (tx) => {
              if ((await tx.list(Widget, 'room')).items.length === 0) await tx.create(Widget, 'room', name, { spec: { size: 1 } });
            }),
          ),
        );
        assert.equal((await store.list(Widget, 'room')).items.length, 1);
      }),
    );
    it(
      'runs again after a conflict, tells the attempt, and gives up after its retries',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 0 } });
        const attempts: number[] = [];
        await store
          .transaction(async (tx) => {
            attempts.push(tx.attempt);
            const widget = await tx.get(Widget, 'prod', 'a');
            if (tx.attempt === 1) await new Promise<void>((resolve) => void store.deps.scheduler.turn().then(resolve));
            await tx.update(Widget, 'prod', 'a', { spec: { size: widget.spec.size + 1 } });
            if (tx.attempt === 1) throw new Error('a throw ends the run, unless what it rests on moved');
          })
          .catch(() => attempts.push(-1));
        assert.deepEqual(attempts, [1, -1]);
        const outside = store;
        await assert.rejects(
          store.transaction(async (tx) => {
            await tx.get(Widget, 'prod', 'a');
            await outside.update(Widget, 'prod', 'a', { spec: { size: 5 } });
          }),
          isForbidden,
        );
      }),
    );
    it(
      'ends with a conflict when somebody always comes first',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 0 } });
        let runs = 0;
        let go: (() => void) | undefined;
        let done: (() => void) | undefined;
        // A writer outside the callback, so that every run reads something that is stale by its end.
        const rival = (async () => {
          for (let round = 1; round <= 3; round += 1) {
            await new Promise<void>((resolve) => {
              go = resolve;
            });
            await store.update(Widget, 'prod', 'a', { spec: { size: 1000 + round } });
            done?.();
          }
        })();
        await assert.rejects(
          store.transaction(
            async (tx) => {
              runs += 1;
              const widget = await tx.get(Widget, 'prod', 'a');
              await new Promise<void>((resolve) => {
                done = resolve;
                go?.();
              });
              await tx.update(Widget, 'prod', 'a', { spec: { size: widget.spec.size + 1 } });
            },
            { retries: 2 },
          ),
          isConflict,
        );
        await rival;
        assert.equal(runs, 3);
        assert.equal((await store.get(Widget, 'prod', 'a')).spec.size, 1003);
      }),
    );
  });
}
