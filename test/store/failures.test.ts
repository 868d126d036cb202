/** What the store does when the disk fails, and when its callers give up or come in crowds. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StatusError, StoreFailedError, isAborted, isNotFound } from '../../src/schemas/index.js';
import { deferred, memoryEngine, openStore, sleep, systemDeps } from '../../src/store/index.js';
import type { Engine, EngineSource } from '../../src/store/index.js';
import { keyId } from '../../src/store/keys.js';
import { Feed } from '../../src/store/watch/feed.js';
import { CommitQueue } from '../../src/store/write/commit-queue.js';
import { States } from '../../src/store/write/states.js';
import { brief, inMemory, onStorage, take } from './on-engines.js';

const broken = new Error('EIO: the disk says no');

describe('a commit in doubt', () => {
  for (const applied of [true, false]) {
    it(`that ${applied ? 'reached the disk is acknowledged' : 'did not reach the disk is refused, for certain'}, and nothing is tried twice`, () =>
      inMemory(async ({ store, source }) => {
        await store.create('plain', 'prod', 'before', { n: 0 });
        const live = store.watch('plain');
        source.failNextCommit(broken, { applied });
        const settled = await Promise.allSettled([
          store.create('plain', 'prod', 'a', { n: 1 }),
          store.modify('plain', 'prod', 'before', (draft) => void (draft['n'] = (draft['n'] as number) + 1)),
          store.transaction(async (tx) => {
            await tx.create('plain', 'prod', 'b', { n: 1 });
            await tx.create('plain', 'prod', 'c', { n: 1 });
          }),
        ]);
        const names = (await store.list('plain', 'prod')).items.map(({ metadata }) => metadata.name);
        if (applied) {
          expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
          expect(names).toEqual(['a', 'b', 'before', 'c']);
          expect((await store.get('plain', 'prod', 'before'))['n']).toBe(1);
        } else {
          // The transaction may have been in line behind the commit that failed: then it is no part of the doubt.
          for (const outcome of settled.filter(({ status }, index) => index < 2 || status === 'rejected')) {
            expect(outcome).toMatchObject({ status: 'rejected', reason: { inDoubt: false } });
            expect((outcome as PromiseRejectedResult).reason).toBeInstanceOf(StoreFailedError);
          }
          expect(names).toEqual(settled[2].status === 'fulfilled' ? ['b', 'before', 'c'] : ['before']);
          expect((await store.get('plain', 'prod', 'before'))['n']).toBe(0);
        }
        // Life goes on, and the live watch has told what is there and nothing else.
        await store.create('plain', 'prod', 'after', {});
        const told = (await take(live, 1 + names.length - 1 + (applied ? 1 : 0))).map(brief);
        const log = (await take(store.watch('plain', undefined, { since: '1' }), told.length)).map(brief);
        expect(told).toEqual(log);
        expect((await store.verify()).problems).toEqual([]);
      }));
  }

  it('takes down what was planned on top of it, and plans that anew', () =>
    inMemory(async ({ store, source }) => {
      await store.create('plain', 'prod', 'a', { n: 0 });
      source.setLatency(10);
      source.failNextCommit(broken, { applied: false });
      const first = store.create('plain', 'prod', 'b', { n: 1 });
      const lost = assert.rejects(first, StoreFailedError);
      await sleep(store.deps, 2);
      // In line behind the commit that is about to fail, resting on what it writes.
      const patched = store.patch('plain', 'prod', 'b', { n: 2 });
      const again = store.create('plain', 'prod', 'b', { n: 3 });
      const read = store.transaction(async (tx) => (await tx.get('plain', 'prod', 'b'))['n']);
      const outcomes = await Promise.allSettled([patched, again, read]);
      await lost;
      expect(outcomes[1]).toMatchObject({ status: 'fulfilled', value: { n: 3, metadata: { generation: 1 } } });
      // The patch comes before or after the create that took the place of the lost one; never on top of the lost one.
      if (outcomes[0].status === 'fulfilled')
        expect(outcomes[0].value).toMatchObject({
          n: 2,
          metadata: { generation: 2, uid: (outcomes[1] as PromiseFulfilledResult<{ metadata: { uid: string } }>).value.metadata.uid },
        });
      else expect(outcomes[0].reason).toSatisfy(isNotFound);
      if (outcomes[2].status === 'fulfilled') expect([2, 3]).toContain(outcomes[2].value);
      else expect(outcomes[2].reason).toSatisfy(isNotFound);
      expect((await store.get('plain', 'prod', 'b'))['n']).toBe(outcomes[0].status === 'fulfilled' ? 2 : 3);
    }));

  it('loses and doubles nothing among many writers, wherever the disk fails', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.array(fc.record({ after: fc.nat(12), applied: fc.boolean() }), { minLength: 1, maxLength: 4 }),
        (seed, faults) =>
          inMemory(
            async ({ store, source }) => {
              await store.create('plain', 'prod', 'counter', { n: 0 });
              const live = store.watch('plain', 'prod');
              let acknowledged = 0;
              let refused = 0;
              const writing = Array.from({ length: 6 }, async (_, writer) => {
                for (let round = 0; round < 8; round += 1) {
                  try {
                    if (round % 2 === 0)
                      await store.modify('plain', 'prod', 'counter', (draft) => void (draft['n'] = (draft['n'] as number) + 1));
                    else
                      await store.transaction(
                        async (tx) => {
                          const counter = await tx.get('plain', 'prod', 'counter');
                          await tx.update('plain', 'prod', 'counter', { n: (counter['n'] as number) + 1 });
                          await tx.create('plain', 'prod', `t${writer}-${round}`, {});
                        },
                        { retries: 50 },
                      );
                    acknowledged += 1;
                  } catch (error) {
                    expect(error).toMatchObject({ inDoubt: false });
                    refused += 1;
                  }
                }
              });
              for (const { after, applied } of faults) {
                await sleep(store.deps, after);
                source.failNextCommit(broken, { applied });
              }
              await Promise.all(writing);
              const { items } = await store.list('plain', 'prod');
              const counter = items.find(({ metadata }) => metadata.name === 'counter')!;
              expect([counter['n'], acknowledged + refused]).toEqual([acknowledged, 48]);
              expect(Number(store.revision)).toBe(acknowledged + 1);
              // The watch told exactly what is there.
              let last = 1;
              const there = new Map([['counter', '1']]);
              while (last < Number(store.revision)) {
                const event = (await live.next()).value!;
                if (event.type === 'BOOKMARK' || event.type === 'DELETED') throw new Error(event.type);
                expect([last, last + 1]).toContain(Number(event.resourceVersion));
                last = Number(event.resourceVersion);
                there.set(event.name, event.resourceVersion);
                if (Number(event.resume) < last) last -= 1;
              }
              await live.close();
              expect([...there].toSorted()).toEqual(items.map(({ metadata }) => [metadata.name, metadata.resourceVersion]).toSorted());
            },
            { seed, latencyMs: 2 },
          ),
      ),
      { numRuns: 25 },
    );
  });

  it('is told to all its writers at once: none of them acts before the others are known', () =>
    inMemory(async ({ store, source }) => {
      source.failNextCommit(broken, { applied: true });
      const names = Array.from({ length: 5 }, (_, index) => `o${index}`);
      const seen = await Promise.all(
        names.map(async (name) => {
          await store.create('plain', 'prod', name, {});
          // Acknowledged: everything of the same commit is there to be read, at a revision that lists show.
          const read = await Promise.all(names.map((each) => store.get('plain', 'prod', each)));
          return [read.length, (await store.list('plain', 'prod')).items.length];
        }),
      );
      expect(seen).toEqual(names.map(() => [5, 5]));
    }));

  it(
    'on LMDB loses and doubles nothing, and the store goes on by itself',
    onStorage('lmdb', async ({ source }) => {
      let next: { applied: boolean } | undefined;
      const failing: EngineSource = {
        ...source,
        async open(context) {
          const engine = await source.open(context);
          const commit: Engine['commit'] = async (batch, premises) => {
            const fault = next;
            next = undefined;
            if (fault?.applied !== false) {
              const results = await engine.commit(batch, premises);
              if (fault === undefined) return results;
            }
            throw broken;
          };
          return new Proxy(engine, {
            get: (target, name) => (name === 'commit' ? commit : (Reflect.get(target, name, target) as unknown)),
          });
        },
      };
      await using store = await openStore({ engine: failing });
      await store.create('plain', 'prod', 'counter', { n: 0 });
      let acknowledged = 0;
      const writing = Array.from({ length: 6 }, async () => {
        for (let round = 0; round < 10; round += 1) {
          if (round % 3 === 0) next = { applied: round % 2 === 0 };
          await store
            .modify('plain', 'prod', 'counter', (draft) => void (draft['n'] = (draft['n'] as number) + 1))
            .then(
              () => (acknowledged += 1),
              (error: unknown) => expect(error).toMatchObject({ inDoubt: false }),
            );
        }
      });
      await Promise.all(writing);
      expect((await store.get('plain', 'prod', 'counter'))['n']).toBe(acknowledged);
      expect(Number(store.revision)).toBe(acknowledged + 1);
      expect(acknowledged).toBeGreaterThan(10);
      const events = await take(store.watch('plain', 'prod', { since: '1' }), acknowledged);
      expect(events.map((event) => event.type === 'UPDATED' && event.resource['n'])).toEqual(
        Array.from({ length: acknowledged }, (_, index) => index + 1),
      );
      expect((await store.verify()).problems).toEqual([]);
    }),
  );

  it('that cannot be cleared up says so, and stops the store', async () => {
    const source = memoryEngine();
    let opened = 0;
    const store = await openStore({
      engine: {
        name: 'once',
        open: (context) => {
          opened += 1;
          return opened === 1 ? source.open(context) : Promise.reject(new Error('the disk is gone'));
        },
      },
    });
    const watch = store.watch('plain');
    const told = assert.rejects(watch.next(), StatusError);
    source.failNextCommit(broken, { applied: true });
    await expect(store.create('plain', 'prod', 'a', {})).rejects.toMatchObject({ inDoubt: true });
    await told;
    await expect(store.create('plain', 'prod', 'b', {})).rejects.toBeInstanceOf(Error);
    await expect(store.get('plain', 'prod', 'a')).rejects.toBeInstanceOf(Error);
    await store.close();
    await using again = await openStore({ engine: source });
    expect((await again.list('plain')).items).toHaveLength(1);
  });

  it('is told to its writers as such when the log cannot be read after it', async () => {
    const source = memoryEngine();
    let opened = 0;
    const store = await openStore({
      engine: {
        ...source,
        async open(context) {
          const engine = await source.open(context);
          opened += 1;
          const changes = (): never => {
            throw new Error('EIO: the log cannot be read');
          };
          return opened === 1 ? engine : { ...engine, changes };
        },
      },
    });
    source.failNextCommit(broken, { applied: true });
    const outcomes = await Promise.allSettled([store.create('plain', 'prod', 'a', {}), store.create('plain', 'prod', 'b', {})]);
    expect(outcomes).toMatchObject([
      { status: 'rejected', reason: { inDoubt: true } },
      { status: 'rejected', reason: { inDoubt: true } },
    ]);
    await store.close();
  });

  it('does not disturb who only reads', () =>
    inMemory(
      async ({ store, source }) => {
        for (let index = 0; index < 40; index += 1) await store.create('plain', 'prod', `o${index}`, { n: index });
        source.failNextCommit(broken, { applied: false });
        const failing = store.create('plain', 'prod', 'x', {}).catch(() => 'refused');
        const behind = store.watch('plain', 'prod', { since: '0' });
        let reads = 0;
        const reading = (async () => {
          for (let turn = 0; turn < 200; turn += 1) {
            expect((await store.get('plain', 'prod', 'o1'))['n']).toBe(1);
            expect((await store.list('plain', 'prod')).items).toHaveLength(40);
            reads += 1;
            await store.deps.scheduler.turn();
          }
        })();
        expect(await failing).toBe('refused');
        await reading;
        expect(reads).toBe(200);
        expect(await take(behind, 40)).toHaveLength(40);
      },
      { latencyMs: 5 },
    ));
});

describe('a signal', () => {
  it('gives up a write that waits, and says whether it may still happen', () =>
    inMemory(
      async ({ store }) => {
        const before = new AbortController();
        before.abort();
        await expect(store.create('plain', 'prod', 'never', {}, { signal: before.signal })).rejects.toThrow(/nothing was written/);
        const during = new AbortController();
        const writing = store.create('plain', 'prod', 'maybe', {}, { signal: during.signal });
        const aborted = writing.catch((error: unknown) => error);
        await sleep(store.deps, 1);
        during.abort(new Error('enough'));
        const error = await aborted;
        expect(error).toSatisfy(isAborted);
        expect(String(error)).toMatch(/may still happen/);
        expect((error as Error).cause).toBe(during.signal.reason);
        const late = new AbortController();
        await store.transaction((tx) => tx.apply('plain', 'prod', 'whole', {}), { signal: late.signal });
        late.abort();
        expect((await store.list('plain')).items.map(({ metadata }) => metadata.name)).toEqual(['maybe', 'whole']);
      },
      { latencyMs: 5 },
    ));

  it('gives up a write that waits for room, for certain, and the others still get theirs', () =>
    inMemory(
      async ({ store }) => {
        const abort = new AbortController();
        const count = 9000;
        const some = Array.from({ length: count }, (_, index) =>
          store
            .create('plain', 'prod', `o${index}`, {}, index >= 8750 && index < 8950 ? { signal: abort.signal } : {})
            .catch((error: unknown) => error),
        );
        await sleep(store.deps, 1);
        abort.abort();
        const outcomes = await Promise.all(some);
        const refused = outcomes.filter((outcome) => outcome instanceof Error);
        expect(refused).toHaveLength(200);
        expect(refused.every((error) => isAborted(error) && /nothing was written/.test((error as Error).message))).toBe(true);
        expect((await store.stats()).objects).toBe(count - 200);
      },
      { latencyMs: 50 },
    ));
});

describe('waiting writes', () => {
  it('are bounded: the rest waits for room, in turn, and all come through', () =>
    inMemory(
      async ({ store }) => {
        const count = 20_000;
        let most = 0;
        let done = 0;
        const order: number[] = [];
        const writing = Array.from({ length: count }, (_, index) =>
          store.create('plain', 'prod', `o${index}`, {}).then(() => {
            done += 1;
            order.push(index);
          }),
        );
        while (done < count) {
          most = Math.max(most, (await store.stats()).queued);
          await sleep(store.deps, 1);
        }
        await Promise.all(writing);
        expect(most).toBeLessThanOrEqual(8192);
        expect(most).toBeGreaterThan(8000);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
        expect((await store.stats()).queued).toBe(0);
      },
      { latencyMs: 5 },
    ));

  it('are refused with 429 when far too many wait, and those that wait get their turn', async () => {
    const gate = deferred();
    const key = { type: 'plain', namespace: 'prod', name: 'a' };
    const absent = { id: keyId(key), key, origin: 'absent', form: undefined, version: 0, at: 0 } as const;
    const never = (): never => {
      throw new Error('nothing is committed here');
    };
    const queue = new CommitQueue(
      {
        deps: systemDeps(),
        engine: never,
        feed: new Feed(0, { events: 1, bytes: 1 }),
        states: new States(),
        read: () => gate.promise.then(() => absent),
        foreign: never,
        relearn: never,
        reopen: never,
        premises: () => [],
        reload: never,
        failed: never,
        applied: never,
        followed: never,
      },
      { prefix: 'p', limits: { batch: 1, batchBytes: 1, waiting: 2, waitingBytes: 1 } },
    );
    const order: number[] = [];
    const submit = (n: number): Promise<number> =>
      queue.submit({ keys: [key], plan: () => ({ type: 'done', value: () => order.push(n) }) });
    // One is being planned, two are in the queue, thirty-two wait for room.
    const waiting = Array.from({ length: 35 }, (_, n) => submit(n));
    await expect(submit(99)).rejects.toMatchObject({ code: 429, details: { retryAfterSeconds: 1 } });
    expect(queue.size).toBe(2);
    gate.resolve();
    await Promise.all(waiting);
    expect(order).toEqual(Array.from({ length: 35 }, (_, n) => n));
    await queue.drain();
  });
});
