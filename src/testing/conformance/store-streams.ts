/**
 * Conformance of streams: watches that resume anywhere, with any selection, and transactions over several types.
 */
import assert from 'node:assert/strict';
import { isAborted, isAlreadyExists, isConflict, isForbidden, isInvalid, isNotFound, isTooLarge } from '../../schemas/index.js';
import type { Store, Watch, WatchBatch, WatchEvent } from '../../store/index.js';
import { brief, fill, take, told } from './store-kit.js';
import type { Case } from './store-kit.js';
import { Widget, Zone } from './store-widget.js';
import type { Runner } from './suite.js';

const isBad = (error: unknown): boolean => (error as { reason?: string }).reason === 'BadRequest';

/** Changes that cross every selector below, in both directions, alone and in transactions. */
async function crossings(store: Store): Promise<void> {
  const put = (name: string, node: string, on: string, size = 1): Promise<unknown> =>
    store.apply(Widget, 'prod', name, { metadata: { labels: { on } }, spec: { size, node } });
  await put('a', 'n1', 'yes');
  await put('a', 'n1', 'yes', 2);
  await put('a', 'n2', 'yes', 2);
  await put('a', 'n2', 'no', 2);
  await put('a', 'n1', 'yes', 3);
  await store.create(Widget, 'dev', 'a', { metadata: { labels: { on: 'yes' } }, spec: { size: 1, node: 'n1' } });
  await store.transaction(async (tx) => {
    await tx.patch(Widget, 'prod', 'a', { spec: { node: 'n9' } });
    await tx.create(Widget, 'prod', 'b', { metadata: { labels: { on: 'yes' } }, spec: { size: 1, node: 'n1' } });
    await tx.create('other', 'prod', 'z', { metadata: { labels: { on: 'yes' } }, spec: { node: 'n1' } });
  });
  await store.transaction(async (tx) => {
    await tx.delete(Widget, 'prod', 'b');
    await tx.create(Widget, 'prod', 'b', { metadata: { labels: { on: 'yes' } }, spec: { size: 2, node: 'n1' } });
  });
  await store.update(Widget, 'prod', 'b', { status: { ready: true } } as never, { subresource: 'status' });
  await store.delete(Widget, 'dev', 'a');
  await store.delete(Widget, 'prod', 'b');
  await store.delete(Widget, 'prod', 'a');
}

/** The events of a watch up to the present. */
async function upToNow(store: Store, watch: Watch<never>): Promise<string[]> {
  const { revision } = store;
  const events: string[] = [];
  while (Number(watch.progress) < Number(revision)) {
    const pulled = watch.next();
    // Where nothing is left that matches, nothing comes: one more that matches ends the wait.
    const event = (await pulled).value as WatchEvent<unknown> | undefined;
    if (event === undefined || Number(event.resourceVersion) > Number(revision)) break;
    events.push(brief(event));
  }
  await watch.close();
  return events;
}

export function streamCases({ describe, it }: Runner, on: Case): void {
  describe('a watch with a selection', () => {
    for (const [text, namespace, options] of [
      ['of a label', undefined, { labelSelector: 'on=yes' }],
      ['of a declared field', undefined, { fieldSelector: 'spec.node=n1' }],
      ['of both, in a namespace', 'prod', { labelSelector: 'on=yes', fieldSelector: 'spec.node=n1' }],
      ['of a namespace', 'prod', {}],
      ['of what a label is not', 'prod', { labelSelector: 'on!=yes' }],
    ] as const) {
      it(
        `${text} tells the same live as from every revision of the run`,
        on(async (store) => {
          const live: Watch<never> = store.watch(Widget, namespace, options) as never;
          await crossings(store);
          // The last of all matches every selection here, so that each watch has an end to come to.
          const end = (): Promise<unknown> =>
            store.transaction(async (tx) => {
              await tx.create(Widget, 'prod', 'end-yes', { metadata: { labels: { on: 'yes' } }, spec: { size: 0, node: 'n1' } });
              await tx.create(Widget, 'prod', 'end-no', { metadata: { labels: { on: 'no' } }, spec: { size: 0, node: 'n1' } });
            });
          await end();
          const events = await upToNow(store, live);
          assert.ok(events.length >= 3, `an eventful run: ${events.join()}`);
          const at = (event: string): number => Number(event.split('@')[1]);
          for (let since = 0; since < Number(store.revision); since += 1) {
            const again = store.watch(Widget, namespace, { ...options, since: String(since) }) as unknown as Watch<never>;
            assert.deepEqual(
              await upToNow(store, again),
              events.filter((event) => at(event) > since),
              `since ${since}`,
            );
          }
        }),
      );
    }
    it(
      'begins with what matches, then its bookmark, once, also where nothing does',
      on(async (store) => {
        await fill(store, 6);
        for (const [options, count] of [
          [{ labelSelector: 'even=true' }, 3],
          [{ fieldSelector: 'spec.node=n1' }, 2],
          [{ labelSelector: 'none' }, 0],
        ] as const) {
          const watch = store.watch(Widget, 'prod', { ...options, initial: true });
          const events = await take(watch, count + 1);
          assert.deepEqual(
            events.map((event) => [event.type, 'initial' in event && event.initial]),
            [...Array.from({ length: count }, () => ['CREATED', true]), ['BOOKMARK', false]],
          );
          assert.equal(events.at(-1)!.resourceVersion, store.revision);
          await watch.close();
        }
        const other = store.watch(Widget, 'dev', { initial: true });
        await store.create(Widget, 'dev', 'a', { spec: { size: 1 } });
        assert.deepEqual(
          (await take(other, 2)).map((event) => event.type),
          ['BOOKMARK', 'CREATED'],
        );
        await other.close();
      }),
    );
  });

  describe('a watch of all types', () => {
    it(
      'keeps to its namespace and its labels, and goes on from every event without splitting a transaction',
      on(async (store) => {
        const watch = store.watch('*', 'prod', { labelSelector: 'on=yes' });
        await crossings(store);
        await store.create(Zone, undefined, 'end', { metadata: { labels: { on: 'yes' } }, spec: {} });
        await store.create(Widget, 'prod', 'end', { metadata: { labels: { on: 'yes' } }, spec: { size: 1 } });
        const events: WatchEvent[] = [];
        while (events.at(-1) === undefined || brief(events.at(-1)!) !== `CREATED end@${store.revision}`)
          events.push(...(await take(watch, 1)));
        await watch.close();
        assert.deepEqual(
          events.map((event) => `${event.type} ${event.resourceType}/${'name' in event && event.name}`),
          [
            'CREATED widget/a',
            'UPDATED widget/a',
            'UPDATED widget/a',
            'DELETED widget/a',
            'CREATED widget/a',
            'UPDATED widget/a',
            'CREATED widget/b',
            'CREATED other/z',
            'UPDATED widget/b',
            'UPDATED widget/b',
            'DELETED widget/b',
            'DELETED widget/a',
            'CREATED widget/end',
          ],
        );
        for (const { resume } of events) {
          const rest = events.filter((event) => Number(event.resourceVersion) > Number(resume));
          const again = store.watch('*', 'prod', { labelSelector: 'on=yes', since: resume });
          assert.deepEqual((await take(again, rest.length)).map(brief), rest.map(brief), `since ${resume}`);
          await again.close();
        }
      }),
    );
    it(
      'tells what one write replaced by another object as one update, with both',
      on(async (store) => {
        const old = await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        const watch = store.watch('*');
        const next = await store.transaction(async (tx) => {
          await tx.delete(Widget, 'prod', 'a');
          return tx.create(Widget, 'prod', 'a', { spec: { size: 2 } });
        });
        const event = (await take(watch, 1))[0]!;
        assert.ok(event.type === 'UPDATED');
        assert.deepEqual([event.previous.metadata.uid, event.resource.metadata.uid], [old.metadata.uid, next.metadata.uid]);
        assert.equal(event.resource.metadata.generation, 1);
        await watch.close();
        assert.equal((await store.getByUid(Widget, next.metadata.uid)).spec.size, 2);
        await assert.rejects(store.getByUid(Widget, old.metadata.uid), isNotFound);
      }),
    );
  });

  describe('the beginning of a watch', () => {
    it(
      'may lie in the future, is refused where it makes no sense, and lies at the call otherwise',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 0 } });
        const future = store.watch(Widget, 'prod', { since: String(Number(store.revision) + 2) });
        for (let size = 1; size <= 4; size += 1) await store.update(Widget, 'prod', 'a', { spec: { size } });
        assert.deepEqual((await take(future, 2)).map(brief), [`UPDATED a@${Number(store.revision) - 1}`, `UPDATED a@${store.revision}`]);
        await future.close();
        for (const since of ['', 'x', '-1', '1e3', '01', ' 1', '99999999999999999999'])
          assert.throws(() => store.watch(Widget, 'prod', { since }), isBad, since);
        assert.throws(() => store.watch(Widget, 'prod', { since: '1', initial: true }), isBad);
        assert.throws(() => store.watch(Widget, 'No Space'), isInvalid);
        const now = store.watch(Widget, 'prod');
        await store.delete(Widget, 'prod', 'a');
        assert.deepEqual(
          (await take(now, 1)).map(({ type }) => type),
          ['DELETED'],
        );
        await now.close();
        assert.equal((await store.stats()).watchers, 0);
      }),
    );
  });

  describe('a transaction', () => {
    it(
      'over several types and namespaces is one revision, in the order of its writes',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        const before = store.revision;
        await store.transaction(async (tx) => {
          await tx.create(Zone, undefined, 'eu', { spec: { region: 'x' } });
          await tx.create('plain', 'dev', 'a', { any: 1 });
          await tx.update(Widget, 'prod', 'a', { spec: { size: 2 } });
          await tx.create(Widget, 'dev', 'b', { spec: { size: 3 } });
          await tx.apply('plain', 'prod', 'a', { any: 2 });
          await tx.modify(Widget, 'dev', 'b', (draft) => void (draft.spec.size += 1));
        });
        const at = Number(before) + 1;
        assert.equal(store.revision, String(at));
        const watch = store.watch('*', undefined, { since: before });
        const batch = (await watch.batches().next()).value as WatchBatch;
        await watch.close();
        assert.deepEqual(
          batch.events.map((event) => `${event.type} ${event.resourceType} ${'name' in event && `${event.namespace}/${event.name}`}`),
          ['CREATED zone /eu', 'CREATED plain dev/a', 'UPDATED widget prod/a', 'CREATED widget dev/b', 'CREATED plain prod/a'],
        );
        assert.deepEqual([batch.resourceVersion, batch.resume], [String(at), String(at)]);
        assert.equal((await store.get(Widget, 'dev', 'b')).spec.size, 4);
        for (const [type, namespace, name] of [
          [Zone, undefined, 'eu'],
          ['plain', 'dev', 'a'],
          [Widget, 'dev', 'b'],
        ] as const)
          assert.equal((await store.get(type as typeof Widget, namespace, name)).metadata.resourceVersion, String(at));
      }),
    );
    it(
      'that throws after any of its writes leaves nothing: no object, no event, no version, no entry of an index',
      on(async (store) => {
        for (const name of ['a', 'b']) await store.create(Widget, 'prod', name, { spec: { size: 1, node: 'before' } });
        await store.create(Widget, 'prod', 'held', { metadata: { finalizers: ['example.com/hold'] }, spec: { size: 1 } });
        const before = store.revision;
        const were = (await store.list(Widget)).items;
        const made: string[] = [];
        const steps: ((tx: Parameters<Parameters<Store['transaction']>[0]>[0]) => Promise<unknown>)[] = [
          async (tx) => made.push((await tx.create(Widget, 'prod', 'new', { spec: { size: 1, node: 'inside' } })).metadata.uid),
          (tx) => tx.update(Widget, 'prod', 'a', { spec: { size: 2, node: 'inside' } }),
          (tx) => tx.patch(Widget, 'prod', 'b', { spec: { node: 'inside' } }),
          (tx) => tx.delete(Widget, 'prod', 'held'),
          (tx) => tx.apply('plain', 'prod', 'new', { spec: { node: 'inside' } }),
          (tx) => tx.delete(Widget, 'prod', 'a'),
          async (tx) => made.push((await tx.create(Widget, 'prod', 'a', { spec: { size: 3, node: 'inside' } })).metadata.uid),
        ];
        for (let stop = 0; stop <= steps.length; stop += 1)
          await assert.rejects(
            store.transaction(async (tx) => {
              for (const step of steps.slice(0, stop)) await step(tx);
              throw new Error('stop here');
            }),
            /stop here/,
          );
        assert.equal(store.revision, before);
        assert.deepEqual((await store.list(Widget)).items, were);
        assert.deepEqual((await store.list('plain')).items, []);
        assert.deepEqual((await store.list(Widget, undefined, { fieldSelector: 'spec.node=inside' })).items, []);
        assert.equal((await store.list(Widget, undefined, { fieldSelector: 'spec.node=before' })).items.length, 2);
        for (const uid of made) await assert.rejects(store.getByUid(Widget, uid), isNotFound);
        for (const [name, versions] of Object.entries({ a: 1, b: 1, held: 1, new: 0 }))
          assert.equal((await store.getHistory(Widget, 'prod', name)).length, versions, name);
        assert.deepEqual(await store.getHistory('plain', 'prod', 'new'), []);
        assert.deepEqual(await told(store, before), []);
        assert.deepEqual((await store.verify()).problems, []);
      }),
    );
    it(
      'that reads, or undoes what it did, makes no revision',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        const before = store.revision;
        const read = await store.transaction(async (tx) => {
          await tx.create(Widget, 'prod', 'passing', { spec: { size: 1 } });
          await tx.delete(Widget, 'prod', 'passing');
          await tx.update(Widget, 'prod', 'a', { spec: { size: 2 } });
          await tx.update(Widget, 'prod', 'a', { spec: { size: 1 } });
          await tx.patch(Widget, 'prod', 'a', {});
          return (await tx.get(Widget, 'prod', 'a')).spec.size;
        });
        // The generation counts what was written, and here it has been: 2, 1.
        assert.equal(read, 1);
        assert.deepEqual(
          (await told(store, before)).filter((event) => !event.includes(' a@')),
          [],
        );
        const now = store.revision;
        assert.equal(await store.transaction(async (tx) => (await tx.list(Widget)).items.length), 1);
        assert.equal(store.revision, now);
      }),
    );
    it(
      'goes on after an error that it has dealt with, and commits the rest',
      on(async (store) => {
        await store.create(Widget, 'prod', 'there', { spec: { size: 1 } });
        await store.transaction(async (tx) => {
          await tx.create(Widget, 'prod', 'a', { spec: { size: 1 } });
          await assert.rejects(tx.create(Widget, 'prod', 'there', { spec: { size: 2 } }), isAlreadyExists);
          await assert.rejects(tx.create(Widget, 'prod', 'Bad', { spec: { size: 2 } }), isInvalid);
          await assert.rejects(tx.update(Widget, 'prod', 'a', { spec: { size: -2 } }), isInvalid);
          await assert.rejects(tx.get(Widget, 'prod', 'none'), isNotFound);
          await assert.rejects(tx.delete(Widget, 'prod', 'a', { preconditions: { uid: 'another' } }), isConflict);
          await assert.rejects(tx.get(Widget, 'prod', 'a', { resourceVersion: '1' }), isBad);
          await assert.rejects(tx.list(Widget, 'prod', { limit: 1 }), isBad);
          await assert.rejects(tx.getByUid(Widget, 'x'), isBad);
          await tx.create(Widget, 'prod', 'b', { spec: { size: 1 } });
        });
        assert.deepEqual(
          (await store.list(Widget)).items.map(({ metadata, spec }) => `${metadata.name}${spec.size}`),
          ['a1', 'b1', 'there1'],
        );
      }),
    );
    it(
      'lists with its own writes in it, selected and sorted like any other list',
      on(async (store) => {
        await fill(store, 4);
        await store.transaction(async (tx) => {
          await tx.delete(Widget, 'prod', 'w0000');
          await tx.patch(Widget, 'prod', 'w0001', { metadata: { labels: { even: 'true' } }, spec: { size: 9 } });
          await tx.create(Widget, 'prod', 'mine', { metadata: { labels: { even: 'true' } }, spec: { size: 5 } });
          await tx.create(Widget, 'dev', 'mine', { metadata: { labels: { even: 'true' } }, spec: { size: 7 } });
          const list = async (
            ...given: Parameters<typeof tx.list<typeof Widget>> extends [unknown, ...infer Rest] ? Rest : never
          ): Promise<string> => (await tx.list(Widget, ...given)).items.map(({ metadata }) => metadata.name).join();
          assert.equal(await list('prod'), 'mine,w0001,w0002,w0003');
          assert.equal(await list('prod', { labelSelector: 'even=true' }), 'mine,w0001,w0002');
          assert.equal(await list('prod', { sortBy: { path: 'spec.size', as: 'number', order: 'desc' } }), 'w0001,mine,w0003,w0002');
          assert.equal(await list(undefined, { filter: ({ spec }) => spec.size > 4 }), 'mine,mine,w0001');
          assert.equal(await list('prod', { fieldSelector: 'spec.node=n1' }), 'w0001');
        });
      }),
    );
    it(
      'too large for one commit is refused whole, and others go on',
      on(async (store) => {
        const huge = store.transaction(async (tx) => {
          for (let index = 0; index < 5000; index += 1) await tx.create('plain', 'prod', `o${index}`, {});
        });
        const settled = await Promise.allSettled([huge, store.create(Widget, 'prod', 'a', { spec: { size: 1 } })]);
        assert.ok(settled[0].status === 'rejected' && isTooLarge(settled[0].reason));
        assert.equal(settled[1].status, 'fulfilled');
        assert.deepEqual((await store.list('plain')).items, []);
        assert.equal(store.revision, '1');
      }),
    );
    it(
      'is no place for the verbs of the store, nor its verbs for any other place, and heeds its signal',
      on(async (store) => {
        let kept: Parameters<Parameters<Store['transaction']>[0]>[0] | undefined;
        await store.transaction(async (tx) => {
          kept = tx;
          await assert.rejects(store.get(Widget, 'prod', 'a'), isForbidden);
          await assert.rejects(
            store.transaction(() => 1),
            isForbidden,
          );
          assert.throws(() => store.watch(Widget), isForbidden);
        });
        await assert.rejects(kept!.get(Widget, 'prod', 'a'), isForbidden);
        await assert.rejects(kept!.create(Widget, 'prod', 'late', { spec: { size: 1 } }), isForbidden);
        let runs = 0;
        await assert.rejects(
          store.transaction(() => void (runs += 1), { signal: AbortSignal.abort(new Error('no longer wanted')) }),
          isAborted,
        );
        assert.deepEqual([runs, store.revision], [0, '0']);
      }),
    );
  });

  describe('an option', () => {
    it(
      'that is misspelt or has a value it cannot have is refused, and nothing is written',
      on(async (store) => {
        await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
        const wrong = (options: object): never => options as never;
        for (const call of [
          () => store.delete(Widget, 'prod', 'a', wrong({ propagation: 'Orphan' })),
          () => store.delete(Widget, 'prod', 'a', wrong({ propagationPolicy: 'Orphan' })),
          () => store.delete(Widget, 'prod', 'a', wrong({ dryRun: 'All' })),
          () => store.patch(Widget, 'prod', 'a', { spec: { size: 2 } }, wrong({ type: 'strategic' })),
          () => store.update(Widget, 'prod', 'a', { spec: { size: 2 } }, wrong({ subresource: 'scale' })),
          () => store.create(Widget, 'prod', 'b', { spec: { size: 2 } }, wrong({ source: {} })),
          () => store.list(Widget, 'prod', wrong({ sortBy: null })),
          () => store.list(Widget, 'prod', wrong({ filter: 5 })),
          () => store.list(Widget, 'prod', wrong({ limit: 0 })),
          () => store.deleteCollection(Widget, 'prod', wrong({ preconditions: { uid: 'x' } })),
          async () => store.watch(Widget, 'prod', wrong({ initial: 'yes' })),
          () => store.transaction((tx) => tx.delete(Widget, 'prod', 'a', wrong({ propagation: 'Orphan' }))),
          () => store.transaction(() => 1, wrong({ retries: -1 })),
        ])
          await assert.rejects(call, isInvalid, String(call));
        assert.equal(store.revision, '1');
      }),
    );
  });
}
