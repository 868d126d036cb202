/** Random histories are linearizable and their watches keep every promise; and the checkers can tell when they do not. */
import { describe, expect, it } from 'vitest';
import { memoryEngine, openStore } from '../../src/store/index.js';
import { virtualDeps } from '../../src/testing/index.js';
import { faultySource } from './faulty-source.js';
import { History } from './histories.js';
import { checkTransactions } from './history-checks.js';
import type { Written } from './history-checks.js';
import { findViolation } from './linearizability.js';
import type { Operation } from './linearizability.js';
import { onStorage } from './on-engines.js';
import { placeOf } from './random-transactions.js';
import type { View } from './random-transactions.js';
import { pumped } from './repos/setup.js';
import { atomic, bookmarkable, filterable, listed, ordered, previousValue, reliable, unique } from './watch-validators.js';
import type { Change, Event, Stream } from './watch-validators.js';

const SEEDS = 12;

async function checkInMemory(seed: number, faults: boolean): Promise<void> {
  const deps = virtualDeps({ seed });
  const source = memoryEngine({ latencyMs: 2 });
  await pumped(
    deps,
    (async () => {
      await using store = await openStore({ engine: source, deps, ring: { events: seed % 2 === 0 ? 20 : 10_000 } });
      const history = new History(store, {
        seed,
        operations: 250,
        aborts: faults,
        trouble: faults ? (random) => source.failNextCommit(new Error('EIO'), { applied: random.below(2) === 0 }) : undefined,
      });
      await history.run();
      await history.check();
      expect((await store.verify()).problems).toEqual([]);
    })(),
  );
}

describe('single keys, transactions and lists', () => {
  it.each(Array.from({ length: SEEDS }, (_, index) => index + 1))('are linearizable in memory, seed %i', async (seed) => {
    await checkInMemory(seed, false);
  });
  it.each(Array.from({ length: SEEDS }, (_, index) => index + 101))(
    'are linearizable when commits fail and clients give up, seed %i',
    async (seed) => {
      await checkInMemory(seed, true);
    },
  );
  it.each([3, 4])(
    'are linearizable on LMDB when commits fail and clients give up, and after it was opened again, seed %i',
    { timeout: 60_000 },
    (seed) =>
      onStorage('lmdb', async ({ source: inner }) => {
        const source = faultySource(inner);
        await using store = await openStore({ engine: source, ring: { events: 50 } });
        const history = new History(store, {
          seed,
          operations: 400,
          aborts: true,
          trouble: (random) => source.failNext('commit', new Error('EIO'), { applied: random.below(2) === 0 }),
        });
        await history.run();
        await history.check();
        expect(source.opened).toBeGreaterThan(2);
        await store.close();
        await using again = await openStore({ engine: inner });
        await history.check(again);
      })(),
  );
});

describe('the checker of linearizability', () => {
  let order = 0;
  const op = (kind: Operation['kind'], rest: object, span?: [number, number]): Operation => {
    const [called, returned] = span ?? [(order += 1), (order += 1)];
    return { id: called, client: 1, key: 'k', called, returned, kind, outcome: 'ok', ...rest } as Operation;
  };
  const fits = (...operations: Operation[]): boolean => findViolation(operations) === undefined;

  it('accepts what has an order', () => {
    expect(fits(op('create', { value: 1 }), op('get', { read: 1 }), op('delete', { read: 1 }), op('get', { read: 0 }))).toBe(true);
    // Two writers at once, and readers that see them in one order.
    expect(
      fits(
        op('create', { value: 1 }, [1, 2]),
        op('put', { value: 2 }, [3, 10]),
        op('put', { value: 3 }, [4, 11]),
        op('get', { read: 3 }, [12, 13]),
      ),
    ).toBe(true);
    expect(
      fits(
        op('create', { value: 1 }, [1, 2]),
        op('put', { value: 2 }, [3, 10]),
        op('get', { read: 1 }, [4, 5]),
        op('get', { read: 2 }, [6, 7]),
      ),
    ).toBe(true);
    // What is in doubt may have happened late, or never.
    expect(
      fits(op('create', { value: 1, outcome: 'unknown' }, [1, Infinity]), op('get', { read: 0 }, [2, 3]), op('get', { read: 1 }, [4, 5])),
    ).toBe(true);
    expect(fits(op('create', { value: 1, outcome: 'unknown' }, [1, Infinity]), op('get', { read: 0 }, [2, 3]))).toBe(true);
    expect(fits(op('set', { value: 1 }), op('set', { value: 2 }), op('get', { read: 2 }))).toBe(true);
    expect(fits(op('create', { value: 1 }, [1, 2]), op('cas', { expected: 9, value: 2, outcome: 'conflict' }, [3, 4]))).toBe(true);
  });

  it.each<[string, () => Operation[]]>([
    ['a blind write that nobody sees', () => [op('create', { value: 1 }), op('set', { value: 2 }), op('get', { read: 1 })]],
    ['a stale read', () => [op('create', { value: 1 }), op('put', { value: 2 }), op('get', { read: 1 })]],
    ['a lost update', () => [op('create', { value: 1 }), op('cas', { expected: 1, value: 2 }), op('cas', { expected: 1, value: 3 })]],
    ['a write that was refused and happened', () => [op('create', { value: 1 }), op('get', { read: 7 })]],
    ['two creates of one object', () => [op('create', { value: 1 }), op('create', { value: 2 })]],
    ['a delete that came back', () => [op('create', { value: 1 }), op('delete', { read: 1 }), op('get', { read: 1 })]],
    [
      'a value that flickers',
      () => [
        op('create', { value: 1 }, [1, 2]),
        op('put', { value: 2 }, [3, 20]),
        op('get', { read: 2 }, [4, 5]),
        op('get', { read: 1 }, [6, 7]),
      ],
    ],
    ['a conflict with nobody', () => [op('create', { value: 1 }), op('cas', { expected: 1, value: 2, outcome: 'conflict' })]],
    ['an object that is missing while it is there', () => [op('create', { value: 1 }), op('put', { value: 2, outcome: 'missing' })]],
    [
      'what is in doubt seen, then not',
      () => [op('create', { value: 1, outcome: 'unknown' }, [1, Infinity]), op('get', { read: 1 }, [2, 3]), op('get', { read: 0 }, [4, 5])],
    ],
  ])('finds %s', (_, operations) => {
    expect(fits(...operations())).toBe(false);
  });
});

describe('the checker of transactions', () => {
  /** A write of `values`, at a revision of its own, called and returned at the same moment unless told otherwise. */
  const write = (id: number, values: Record<string, number>, rest: Partial<Written> = {}): Written => ({
    id,
    called: id * 10,
    returned: id * 10 + 1,
    outcome: 'ok',
    revision: undefined,
    values: new Map(Object.entries(values)),
    ...rest,
  });
  const view = (place: View['place'], items: Record<string, number>, behind = false): View => ({
    place,
    behind,
    items: Object.entries(items),
  });
  /** The log in which those that wrote were committed in the order of the list. */
  const logOf = (writes: readonly Written[]): Change[] => {
    let revision = 0;
    return writes.flatMap(({ id, values }) => {
      if (values.size > 0) revision += 1;
      return [...values].map(([key, size]): Change => {
        const [namespace, name] = placeOf(key);
        const shared = { resourceType: 'widget', namespace, name, resourceVersion: `${revision}`, resume: `${revision}`, source: `w${id}` };
        const metadata = { namespace, name, uid: name, resourceVersion: `${revision}`, labels: { l: `l${size % 3}` } };
        return { type: size === 0 ? 'DELETED' : 'CREATED', ...shared, resource: { metadata, spec: { size } } };
      });
    });
  };
  const check = (...writes: Written[]): void => checkTransactions({ writes }, logOf(writes));
  const a = { key: 'prod/a' };
  const b = { key: 'prod/b' };
  const prod = { namespace: 'prod' };
  const first = write(1, { 'prod/a': 1, 'prod/b': 2 });

  it('accepts what has seen one state', () => {
    const looked = [view(a, { 'prod/a': 1 }), view(prod, { 'prod/a': 1, 'prod/b': 2 }), view({ labelSelector: 'l=l2' }, { 'prod/b': 2 })];
    check(first, write(2, { 'dev/c': 3 }, { views: looked }));
    check(first, write(2, { 'prod/a': 0 }, { views: [view(a, { 'prod/a': 1 }), view(a, {}, true), view(prod, { 'prod/b': 2 }, true)] }));
    check(first, write(2, {}, { views: looked }), write(3, { 'prod/a': 4 }));
    // Under way while another one was committed: the state before it is as good as the one behind it.
    for (const seen of [1, 4])
      check(first, write(2, {}, { called: 25, returned: 45, views: [view(a, { 'prod/a': seen })] }), write(3, { 'prod/a': 4 }));
    // What lost to others, or never happened, may have seen anything.
    for (const outcome of ['conflict', 'refused', 'unknown'] as const)
      check(first, write(2, {}, { outcome, views: [view(a, { 'prod/a': 9 })] }));
  });

  it.each<[string, () => void]>([
    [
      'write skew: each of two read what the other wrote, as it was before',
      () =>
        check(
          first,
          write(2, { 'prod/a': 3 }, { called: 20, returned: 40, views: [view(a, { 'prod/a': 1 }), view(b, { 'prod/b': 2 })] }),
          write(3, { 'prod/b': 4 }, { called: 21, returned: 41, views: [view(a, { 'prod/a': 1 }), view(b, { 'prod/b': 2 })] }),
        ),
    ],
    [
      'a phantom: a list without what was created before the commit',
      () =>
        check(
          first,
          write(2, { 'prod/c': 3 }, { called: 20, returned: 40 }),
          write(3, { 'dev/d': 4 }, { called: 21, returned: 41, views: [view(prod, { 'prod/a': 1, 'prod/b': 2 })] }),
        ),
    ],
    [
      'a phantom: an absent object that was created before the commit',
      () => check(first, write(2, { 'dev/d': 3 }, { views: [view(a, {})] })),
    ],
    [
      'a phantom: a list by label without what came to match',
      () =>
        check(first, write(2, { 'prod/a': 5 }), write(3, { 'dev/d': 4 }, { views: [view({ labelSelector: 'l=l2' }, { 'prod/b': 2 })] })),
    ],
    [
      'a list with what was removed before the commit',
      () =>
        check(
          first,
          write(2, { 'prod/b': 0 }, { called: 20, returned: 40 }),
          write(3, { 'dev/d': 4 }, { called: 21, returned: 41, views: [view(prod, { 'prod/a': 1, 'prod/b': 2 })] }),
        ),
    ],
    [
      'a mixed snapshot: one object before another transaction and one behind it',
      () =>
        check(
          first,
          write(2, { 'prod/a': 3, 'prod/b': 4 }, { called: 20, returned: 40 }),
          write(3, { 'dev/d': 5 }, { called: 21, returned: 41, views: [view(a, { 'prod/a': 1 }), view(b, { 'prod/b': 4 })] }),
        ),
    ],
    [
      'a mixed snapshot in what only reads',
      () =>
        check(
          first,
          write(2, { 'prod/a': 3, 'prod/b': 4 }, { called: 20, returned: 40 }),
          write(3, {}, { called: 21, returned: 41, views: [view(a, { 'prod/a': 1 }), view(b, { 'prod/b': 4 })] }),
        ),
    ],
    [
      'a mixed snapshot of an object and a list',
      () =>
        check(
          first,
          write(2, { 'prod/a': 3 }, { called: 20, returned: 40 }),
          write(3, {}, { called: 21, returned: 41, views: [view(a, { 'prod/a': 1 }), view(prod, { 'prod/a': 3, 'prod/b': 2 })] }),
        ),
    ],
    [
      'a state that was over before what only reads was called',
      () => check(first, write(2, { 'prod/a': 3 }), write(3, {}, { views: [view(a, { 'prod/a': 1 })] })),
    ],
    [
      'a state that came after what only reads had returned',
      () => check(first, write(2, {}, { views: [view(a, { 'prod/a': 3 })] }), write(3, { 'prod/a': 3 })),
    ],
    ['a value that never was', () => check(first, write(2, { 'dev/d': 3 }, { views: [view(a, { 'prod/a': 9 })] }))],
    ['own writes that were not seen', () => check(first, write(2, { 'prod/a': 3 }, { views: [view(a, { 'prod/a': 1 }, true)] }))],
    ['own writes seen before they were made', () => check(first, write(2, { 'prod/a': 3 }, { views: [view(a, { 'prod/a': 3 })] }))],
    [
      'a mixed snapshot in what was in doubt and happened',
      () => check(first, write(2, { 'dev/d': 3 }, { outcome: 'unknown', returned: Infinity, views: [view(a, { 'prod/a': 9 })] })),
    ],
  ])('finds %s', (_, found) => {
    expect(found).toThrow(/w\d/);
  });
});

describe('the validators of watches', () => {
  const object = (name: string, revision: number, size: number) => ({
    metadata: { namespace: 'prod', name, uid: `u-${name}`, resourceVersion: String(revision), labels: { l: `l${size % 3}` } },
    spec: { size },
  });
  const base = (name: string, revision: number, resume = revision) => ({
    resourceType: 'widget',
    namespace: 'prod',
    name,
    resourceVersion: String(revision),
    resume: String(resume),
    source: 'w1',
  });
  const a1: Change = { type: 'CREATED', ...base('a', 1), resource: object('a', 1, 1) };
  const b2: Change = { type: 'CREATED', ...base('b', 2, 1), resource: object('b', 2, 2) };
  const a2: Change = { type: 'UPDATED', ...base('a', 2), resource: object('a', 2, 4), previous: object('a', 1, 1) };
  const a3: Change = { type: 'DELETED', ...base('a', 3), resource: object('a', 2, 4) };
  const log = [a1, b2, a2, a3];
  const mark = (revision: number): Event => ({
    type: 'BOOKMARK',
    resourceType: 'widget',
    resourceVersion: String(revision),
    resume: String(revision),
  });
  const stream = (...events: Event[]): Stream => ({ name: 'it', since: 0, events, cuts: [] });

  it('accept what is right', () => {
    for (const events of [log, [mark(0), a1, mark(1), b2, a2, a3, mark(3)], [a1, b2, a2]]) {
      const whole = stream(...events);
      for (const check of [filterable, ordered, unique, atomic]) check(whole);
      reliable(whole, log);
      bookmarkable(whole, log);
      listed(whole, log);
    }
    previousValue(log);
    const initial: Stream = { name: 'initial', since: undefined, events: [{ ...a1, initial: true }, mark(1), b2, a2], cuts: [] };
    listed(initial, log);
    bookmarkable(initial, log);
  });

  it.each<[string, () => void]>([
    ['another namespace', () => filterable({ ...stream(a1), namespace: 'dev' })],
    ['what does not match', () => filterable({ ...stream(a1), labelSelector: 'l=l0' })],
    ['a step back', () => ordered(stream(a1, a3, a2))],
    ['a repeat', () => unique(stream(a1, a1))],
    ['a token inside a transaction', () => atomic(stream(a1, { ...b2, resume: '2' }, a2, a3))],
    ['a token that runs ahead', () => atomic(stream({ ...a1, resume: '2' }, b2, a2))],
    ['a gap', () => reliable(stream(a1, a2, a3), log)],
    ['a wrong object', () => reliable(stream({ ...a1, resource: object('a', 1, 9) }), log)],
    ['a bookmark ahead of its events', () => bookmarkable(stream(a1, mark(2), b2, a2), log)],
    ['a bookmark inside a transaction', () => bookmarkable(stream(a1, b2, mark(2), a2), log)],
    ['a bookmark that goes back', () => bookmarkable(stream(a1, b2, a2, mark(2), mark(1)), log)],
    ['an initial list without its bookmark', () => bookmarkable({ ...stream({ ...a1, initial: true }), since: undefined }, log)],
    ['an initial list that is not whole', () => listed({ ...stream(mark(1)), since: undefined }, log)],
    ['a create of what was there', () => previousValue([a1, a1])],
    ['a previous that was not', () => previousValue([a1, { ...a2, previous: object('a', 1, 3) }])],
    ['a delete of what was not there', () => previousValue([a3])],
  ])('find %s', (_, check) => {
    expect(check).toThrow();
  });
});
