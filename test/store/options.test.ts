/** What may be asked, and how: an option that is misspelt or has a value it cannot have is refused, and nothing is written. */
import { describe, expect, it } from 'vitest';
import { StatusError, isInvalid } from '../../src/schemas/index.js';
import type { Store } from '../../src/store/index.js';
import { Widget, Zone } from '../../src/testing/conformance/store-widget.js';
import { engines, onStorage } from './on-engines.js';

/** A call as JavaScript may make it. */
type Call = (store: Store, options: never) => unknown;

const one = { spec: { size: 1 } };
const verbs: Readonly<Record<string, Call>> = {
  create: (store, options) => store.create(Widget, 'prod', 'new', one, options),
  'create with generateName': (store, options) =>
    store.create(Widget, 'prod', undefined, { metadata: { generateName: 'g-' }, ...one }, options),
  get: (store, options) => store.get(Widget, 'prod', 'a', options),
  list: (store, options) => store.list(Widget, 'prod', options),
  update: (store, options) => store.update(Widget, 'prod', 'a', { spec: { size: 9 } }, options),
  patch: (store, options) => store.patch(Widget, 'prod', 'a', { spec: { size: 9 } }, options),
  apply: (store, options) => store.apply(Widget, 'prod', 'a', { spec: { size: 9 } }, options),
  modify: (store, options) => store.modify(Widget, 'prod', 'a', (draft) => void (draft.spec.size = 9), options),
  delete: (store, options) => store.delete(Widget, 'prod', 'a', options),
  deleteCollection: (store, options) => store.deleteCollection(Widget, 'prod', options),
  rollback: (store, options) => store.rollback(Widget, 'prod', 'a', '1', options),
  watch: (store, options) => store.watch(Widget, 'prod', options),
  getHistory: (store, options) => store.getHistory(Widget, 'prod', 'a', options),
  transaction: (store, options) => store.transaction(() => undefined, options),
  'list in a transaction': (store, options) => store.transaction((tx) => tx.list(Widget, 'prod', options)),
  'delete in a transaction': (store, options) => store.transaction((tx) => tx.delete(Widget, 'prod', 'a', options)),
};
const writes = ['create', 'create with generateName', 'update', 'patch', 'apply', 'modify', 'delete', 'deleteCollection', 'rollback'];
const wrong: readonly (readonly [options: object, verbs: readonly string[]])[] = [
  [{ dryRun: 'All' }, writes],
  [{ dryRun: 1 }, writes],
  [{ dryrun: true }, writes],
  [{ source: 5 }, [...writes, 'transaction']],
  [{ source: { name: 'me' } }, writes],
  [{ signal: {} }, [...writes, 'list', 'watch', 'transaction']],
  [{ signal: null }, [...writes, 'list', 'watch', 'transaction']],
  [{ subresource: 'scale' }, ['update', 'patch', 'modify']],
  [{ subresource: 'status' }, ['create', 'apply', 'delete']],
  [{ type: 'strategic' }, ['patch']],
  [{ type: 'json' }, ['update']],
  [{ propagation: 'Orphan' }, ['delete', 'deleteCollection', 'delete in a transaction']],
  [{ propagationPolicy: 'Orphan' }, ['delete', 'deleteCollection', 'delete in a transaction']],
  [{ preconditions: 'uid' }, ['delete', 'rollback', 'delete in a transaction']],
  [{ preconditions: { resourceVersion: 5 } }, ['delete', 'rollback']],
  [{ preconditions: { generation: '5' } }, ['delete', 'rollback']],
  [{ preconditions: { uid: 'x' } }, ['deleteCollection']],
  ...[0, -1, 1.5, '2', Number.POSITIVE_INFINITY, Number.NaN, null].map((limit) => [{ limit }, ['list', 'getHistory']] as const),
  [{ filter: 5 }, ['list', 'list in a transaction']],
  ...[null, 5, '', {}, { path: 'spec.size', as: 'size' }, { path: 'spec.size', order: 'down' }, [null], ['spec.size', {}]].map(
    (sortBy) => [{ sortBy }, ['list', 'list in a transaction']] as const,
  ),
  [{ labelSelector: 5 }, ['list', 'watch', 'deleteCollection']],
  [{ fieldSelector: 5 }, ['list', 'watch', 'deleteCollection']],
  [{ ownerUid: '' }, ['list', 'list in a transaction']],
  [{ ownerUID: 'x' }, ['list', 'list in a transaction']],
  [{ ownerUid: 'x' }, ['watch', 'deleteCollection', 'get']],
  [{ initial: 'yes' }, ['watch']],
  [{ bookmarks: 1 }, ['watch']],
  [{ retries: -1 }, ['transaction']],
  [{ retries: '3' }, ['transaction']],
];

async function failureOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return error;
  }
}

async function outcome(store: Store, verb: string, options: unknown): Promise<unknown> {
  try {
    return await verbs[verb]!(store, options as never);
  } catch (error) {
    return error;
  }
}

describe.each(engines)('options on the %s engine', (engine) => {
  it(
    'that are misspelt or have a value they cannot have are refused by name, and nothing is written',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await store.create(Widget, 'prod', 'a', one);
      for (const [options, names] of wrong) {
        for (const verb of names) {
          const error = await outcome(store, verb, options);
          const text = `${verb} ${JSON.stringify(options)}: ${String(error)}`;
          expect(isInvalid(error), text).toBe(true);
          const [option] = Object.keys(options);
          expect(
            (error as { causes: readonly { field: string }[] }).causes.every(({ field }) => field.startsWith(option!)),
            text,
          ).toBe(true);
          expect((error as Error).message, text).toContain(option);
        }
      }
      for (const verb of Object.keys(verbs)) expect(isInvalid(await outcome(store, verb, 'text')), verb).toBe(true);
      expect([store.revision, (await store.stats()).watchers]).toEqual(['1', 0]);
    }),
  );

  it(
    'that are undefined are as good as none',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await store.create(Widget, 'prod', 'a', one);
      const nothing = { source: undefined, signal: undefined, limit: undefined, propagation: undefined, anything: undefined };
      for (const verb of ['list', 'watch', 'getHistory', 'update', 'delete']) {
        const result = await outcome(store, verb, nothing);
        expect(result, verb).not.toBeInstanceOf(Error);
        if (verb === 'watch') await (result as { close(): Promise<void> }).close();
      }
    }),
  );

  it(
    'a filter keeps what it says yes to, not what it says nothing about, and is refused when it makes one wait',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      for (const name of ['a', 'b']) await store.create(Widget, 'prod', name, one);
      const count = async (filter: (widget: never) => unknown): Promise<number> =>
        (await store.list(Widget, 'prod', { filter: filter as never })).items.length;
      expect(await count(() => undefined)).toBe(0);
      expect(await count(() => 1)).toBe(2);
      await expect(count(async () => false)).rejects.toSatisfy(isInvalid);
      await expect(store.transaction((tx) => tx.list(Widget, 'prod', { filter: (async () => false) as never }))).rejects.toSatisfy(
        isInvalid,
      );
    }),
  );

  it(
    'and addresses that are no texts, revisions that are none, and functions that are none are refused with a reason',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await store.create(Widget, 'prod', 'a', one);
      const odd = [null, 5, {}, [], true] as never[];
      for (const value of [...odd, -1 as never, '-1' as never, '1e3' as never, '' as never, ' 1' as never]) {
        for (const call of [
          () => store.watch(Widget, 'prod', { since: value }),
          () => store.list(Widget, 'prod', { resourceVersion: value }),
          () => store.get(Widget, 'prod', 'a', { resourceVersion: value }),
          () => store.getHistory(Widget, 'prod', 'a', { before: value }),
          () => store.getVersion(Widget, 'prod', 'a', value),
          () => store.rollback(Widget, 'prod', 'a', value),
          () => store.compact(value),
          () => store.list(Widget, 'prod', { continue: value }),
        ]) {
          expect(await failureOf(call), `${String(call)} of ${JSON.stringify(value)}`).toMatchObject({ code: 400, reason: 'BadRequest' });
        }
      }
      for (const value of odd) {
        for (const call of [
          () => store.get(value, 'prod', 'a'),
          () => store.get(Widget, value, 'a'),
          () => store.get(Widget, 'prod', value),
          () => store.getByUid(Widget, value),
          () => store.modify(Widget, 'prod', 'a', value),
          () => store.transaction(value),
          () => store.create(Widget, 'prod', 'b', (typeof value === 'object' ? 5 : value) as never),
          () => store.patch(Widget, 'prod', 'a', value === null || typeof value !== 'object' ? value : 'text'),
          () => store.deleteCollection(Widget, value === null ? (5 as never) : value),
          () => store.watch(Widget, value === null ? (5 as never) : value),
        ]) {
          expect(await failureOf(call), `${String(call)} of ${JSON.stringify(value)}`).toBeInstanceOf(StatusError);
        }
      }
      expect(store.revision).toBe('1');
    }),
  );
});

describe.each(engines)('pages that are sorted, on the %s engine', (engine) => {
  const orders = [
    ['metadata.name'],
    ['metadata.namespace'],
    ['metadata.namespace', 'metadata.name'],
    ['metadata.name', 'metadata.namespace'],
    ['metadata.namespace', 'metadata.name', 'spec.size'],
    ['metadata.namespace', 'spec.size'],
    ['metadata.name', 'spec.size'],
    ['.metadata.name'],
    [{ path: 'metadata.name', order: 'asc', as: 'text' }],
    [{ path: 'metadata.name', order: 'desc' }],
    [{ path: 'metadata.name', as: 'number' }],
    ['spec.size'],
    ['metadata.uid'],
    [],
  ] as const;

  it(
    'come one behind the other as the whole list does, or are refused',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      for (const [index, place] of ['b/a', 'a/z', 'a/c', 'c/b', 'b/d'].entries()) {
        const [namespace, name] = place.split('/') as [string, string];
        await store.create(Widget, namespace, name, { spec: { size: 10 - index } });
        await store.create('plain', namespace, name, { spec: { size: 10 - index } });
        await store.create(Zone, undefined, name, { spec: { region: String(index) } });
      }
      await store.create('plain', undefined, 'cluster', { spec: { size: 3 } });
      const paged = async (type: never, namespace: string | undefined, sortBy: never): Promise<string[] | undefined> => {
        const found: string[] = [];
        let token: string | undefined;
        try {
          do {
            const page = await store.list(type, namespace, { sortBy, limit: 2, ...(token === undefined ? {} : { continue: token }) });
            for (const { metadata } of page.items as { metadata: { namespace?: string; name: string } }[])
              found.push(`${metadata.namespace}/${metadata.name}`);
            token = page.continue;
          } while (token !== undefined);
        } catch (error) {
          expect(isInvalid(error), String(error)).toBe(true);
          return undefined;
        }
        return found;
      };
      const taken: Record<string, number> = {};
      for (const [label, type, namespace] of [
        ['every namespace', Widget, undefined],
        ['one namespace', Widget, 'a'],
        ['cluster-scoped', Zone, undefined],
        ['with and without a namespace', 'plain', undefined],
        ['schemaless, one namespace', 'plain', 'a'],
      ] as const) {
        taken[label] = 0;
        for (const order of orders) {
          const sortBy = order as never;
          const pages = await paged(type as never, namespace, sortBy);
          if (pages === undefined) continue;
          taken[label] += 1;
          const whole = (await store.list(type, namespace, { sortBy })).items as { metadata: { namespace?: string; name: string } }[];
          expect(pages, `${label} by ${JSON.stringify(order)}`).toEqual(
            whole.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
          );
        }
      }
      expect(taken).toEqual({
        'every namespace': 4,
        'one namespace': 9,
        'cluster-scoped': 9,
        'with and without a namespace': 1,
        'schemaless, one namespace': 9,
      });
      const page = await store.list(Widget, undefined, { limit: 2 });
      await expect(store.list(Widget, undefined, { continue: page.continue, sortBy: 'spec.size' })).rejects.toSatisfy(isInvalid);
    }),
  );
});
