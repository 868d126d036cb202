/**
 * Conformance of selection: selectors in all their forms, orders, pages, and what stands for every namespace.
 */
import assert from 'node:assert/strict';
import { isInvalid, isNotFound } from '../../schemas/index.js';
import type { OwnerReference } from '../../schemas/index.js';
import { deferred } from '../../store/index.js';
import type { ListOptions, Store } from '../../store/index.js';
import { brief, fill, names, take } from './store-kit.js';
import type { Case } from './store-kit.js';
import { Widget, Zone } from './store-widget.js';
import type { Runner } from './suite.js';

type Options = ListOptions<Widget>;

const isBad = (error: unknown): boolean => (error as { reason?: string }).reason === 'BadRequest';

/** All pages of a list, one behind the other. */
async function paged(store: Store, namespace: string | undefined, options: Options & { limit: number }): Promise<string[]> {
  const found: string[] = [];
  let token: string | undefined;
  do {
    const page = await store.list(Widget, namespace, { ...options, ...(token === undefined ? {} : { continue: token }) });
    assert.ok(page.items.length <= options.limit, 'no page is longer than its limit');
    found.push(...names(page.items));
    token = page.continue;
  } while (token !== undefined);
  return found;
}

const referenceTo = (name: string, uid: string): OwnerReference => ({ apiVersion: 'conformance.rune.dev/v1', kind: 'Zone', name, uid });

/** Two owners, and in each of two namespaces what belongs to one of them, to both, to none. Gives their uids. */
async function owned(store: Store): Promise<{ readonly a: string; readonly b: string }> {
  const [a, b] = [await store.create(Zone, undefined, 'a', { spec: {} }), await store.create(Zone, undefined, 'b', { spec: {} })].map(
    ({ metadata }) => metadata.uid,
  ) as [string, string];
  const ofA = referenceTo('a', a);
  const ofB = referenceTo('b', b);
  for (const namespace of ['prod', 'dev']) {
    await store.create(Widget, namespace, 'of-a', { metadata: { ownerReferences: [ofA] }, spec: { size: 1, node: 'n1' } });
    await store.create(Widget, namespace, 'of-b', { metadata: { labels: { of: 'b' }, ownerReferences: [ofB] }, spec: { size: 1 } });
    await store.create(Widget, namespace, 'both', { metadata: { labels: { of: 'b' }, ownerReferences: [ofB, ofA] }, spec: { size: 2 } });
    await store.create(Widget, namespace, 'none', { spec: { size: 1, node: 'n1' } });
  }
  await store.create(Widget, 'prod', 'of-a-too', { metadata: { ownerReferences: [ofA] }, spec: { size: 3, node: 'n1' } });
  return { a, b };
}

export function selectionCases({ describe, it }: Runner, on: Case): void {
  describe('selectors', () => {
    it(
      'by label select the same as a text, as a map and as an object, with every operator',
      on(async (store) => {
        await fill(store, 12);
        await store.create(Widget, 'prod', 'bare', { spec: { size: 99 } });
        const selected = async (labelSelector: Options['labelSelector']): Promise<string[]> =>
          names((await store.list(Widget, 'prod', { labelSelector })).items);
        const expression = (key: string, operator: string, ...values: string[]): Options['labelSelector'] => ({
          matchExpressions: [{ key, operator, ...(values.length === 0 ? {} : { values }) }],
        });
        for (const [text, object, count] of [
          ['even=true', { even: 'true' }, 6],
          ['even==true', { matchLabels: { even: 'true' } }, 6],
          ['even!=true', expression('even', 'NotIn', 'true'), 7],
          ['group in (g0,g2)', expression('group', 'In', 'g0', 'g2'), 8],
          ['group notin (g0,g2)', expression('group', 'NotIn', 'g2', 'g0'), 5],
          ['group', expression('group', 'Exists'), 12],
          ['!group', expression('group', 'DoesNotExist'), 1],
          [
            'even=true,group!=g1, group',
            { matchLabels: { even: 'true' }, matchExpressions: [{ key: 'group', operator: 'In', values: ['g0', 'g2'] }] },
            4,
          ],
          ['', {}, 13],
        ] as const) {
          const found = await selected(text);
          assert.equal(found.length, count, text);
          assert.deepEqual(await selected(object), found, text);
        }
      }),
    );
    it(
      'that are malformed are refused, by list, watch and deleteCollection alike',
      on(async (store) => {
        await fill(store, 2);
        for (const labelSelector of ['a=b=c', 'a in b', '(', 'a,', '-bad=1', { matchExpressions: [{ key: 'a', operator: 'Like' }] }, 5])
          for (const call of [
            () => store.list(Widget, 'prod', { labelSelector: labelSelector as never }),
            async () => store.watch(Widget, 'prod', { labelSelector: labelSelector as never }),
            () => store.deleteCollection(Widget, 'prod', { labelSelector: labelSelector as never }),
          ])
            await assert.rejects(call, isInvalid, JSON.stringify(labelSelector));
        for (const fieldSelector of ['spec.node', 'spec.node=a=b', '=a', '__proto__.x=1', { 'spec.node': 5 }])
          await assert.rejects(
            store.list(Widget, 'prod', { fieldSelector: fieldSelector as never }),
            isInvalid,
            JSON.stringify(fieldSelector),
          );
        assert.equal((await store.list(Widget, 'prod')).items.length, 2);
      }),
    );
    it(
      'by field compare texts, take an absent field for the empty one, and go together with labels and a filter',
      on(async (store) => {
        await fill(store, 12);
        await store.create(Widget, 'prod', 'bare', { spec: { size: 99 } });
        await store.create(Widget, 'prod', 'odd', { spec: { size: 1, node: 'a,b=c' } });
        const count = async (options: Options): Promise<number> => (await store.list(Widget, 'prod', options)).items.length;
        assert.equal(await count({ fieldSelector: 'spec.node=n1' }), 3);
        assert.equal(await count({ fieldSelector: 'spec.node==n1' }), 3);
        assert.equal(await count({ fieldSelector: 'spec.node!=n1' }), 11);
        assert.equal(await count({ fieldSelector: 'spec.node=' }), 1);
        assert.equal(await count({ fieldSelector: 'spec.node!=' }), 13);
        assert.equal(await count({ fieldSelector: 'spec.size=3' }), 1);
        assert.equal(await count({ fieldSelector: 'metadata.name=w0003,metadata.namespace=prod' }), 1);
        assert.equal(await count({ fieldSelector: { 'spec.node': 'a,b=c' } }), 1);
        assert.equal(await count({ fieldSelector: 'spec.node=a\\,b\\=c' }), 1);
        assert.equal(await count({ fieldSelector: 'spec.node=n1', labelSelector: 'even=true' }), 0);
        assert.equal(await count({ fieldSelector: 'spec.node=n1', labelSelector: 'even=false', filter: ({ spec }) => spec.size > 1 }), 2);
      }),
    );
    it(
      'by a declared field cross no type, no namespace and no value that only begins alike',
      on(async (store) => {
        const nodes = ['n', 'n1', 'n10', 'n1.', 'N1'];
        const spaces = ['pro', 'prod', 'production', 'prod-1'];
        for (const namespace of spaces)
          for (const [index, node] of nodes.entries()) {
            await store.create(Widget, namespace, `x${index}`, { spec: { size: index, node } });
            await store.create('widget2', namespace, `x${index}`, { spec: { node } });
          }
        for (const namespace of [undefined, ...spaces])
          for (const [index, node] of nodes.entries()) {
            const { items } = await store.list(Widget, namespace, { fieldSelector: { 'spec.node': node } });
            assert.deepEqual(
              names(items).sort(),
              (namespace === undefined ? spaces : [namespace]).map((space) => `${space}/x${index}`).sort(),
              `${namespace} ${node}`,
            );
          }
      }),
    );
    it(
      'by a declared field find what a scan finds after updates, transactions, deletes and new beginnings',
      on(async (store) => {
        await fill(store, 8);
        await store.transaction(async (tx) => {
          await tx.patch(Widget, 'prod', 'w0000', { spec: { node: 'n1' } });
          await tx.delete(Widget, 'prod', 'w0001');
          await tx.create(Widget, 'prod', 'w0001', { spec: { size: 1, node: 'n2' } });
          await tx.create(Widget, 'prod', 'passing', { spec: { size: 1, node: 'n2' } });
          await tx.delete(Widget, 'prod', 'passing');
        });
        await assert.rejects(
          store.transaction(async (tx) => {
            await tx.patch(Widget, 'prod', 'w0002', { spec: { node: 'n3' } });
            throw new Error('no');
          }),
        );
        await store.delete(Widget, 'prod', 'w0003');
        await store.apply(Widget, 'prod', 'w0003', { spec: { size: 3, node: 'n0' } });
        for (const node of ['n0', 'n1', 'n2', 'n3'])
          assert.deepEqual(
            names((await store.list(Widget, undefined, { fieldSelector: `spec.node=${node}` })).items).sort(),
            names((await store.list(Widget, undefined, { filter: ({ spec }) => spec.node === node })).items),
            node,
          );
      }),
    );
  });

  describe('lists by owner', () => {
    it(
      'hold what has the uid among its owners, and go together with namespaces, selectors, a filter and an order',
      on(async (store) => {
        const { a, b } = await owned(store);
        const list = async (ownerUid: string, namespace: string | undefined, options: Options = {}): Promise<string> =>
          names((await store.list(Widget, namespace, { ...options, ownerUid })).items).join();
        assert.equal(await list(a, undefined), 'dev/both,dev/of-a,prod/both,prod/of-a,prod/of-a-too');
        assert.equal(await list(b, undefined), 'dev/both,dev/of-b,prod/both,prod/of-b');
        assert.equal(await list(a, 'prod'), 'prod/both,prod/of-a,prod/of-a-too');
        assert.equal(await list(a, 'prod', { fieldSelector: 'spec.node=n1' }), 'prod/of-a,prod/of-a-too');
        assert.equal(await list(a, undefined, { labelSelector: 'of=b' }), 'dev/both,prod/both');
        assert.equal(await list(a, 'prod', { filter: ({ spec }) => spec.size > 1 }), 'prod/both,prod/of-a-too');
        const sortBy = { path: 'spec.size', as: 'number', order: 'desc' } as const;
        assert.equal(await list(a, 'prod', { sortBy }), 'prod/of-a-too,prod/both,prod/of-a');
        for (const other of [a.slice(0, -1), `${a}0`, a.toUpperCase(), 'none']) assert.equal(await list(other, undefined), '', other);
        assert.deepEqual((await store.list('plain', undefined, { ownerUid: a })).items, []);
      }),
    );
    it(
      'forget what has lost the owner, was deleted, or was made anew without it',
      on(async (store) => {
        const { a, b } = await owned(store);
        const list = async (ownerUid: string): Promise<string> => names((await store.list(Widget, 'prod', { ownerUid })).items).join();
        await store.patch(Widget, 'prod', 'both', { metadata: { ownerReferences: [referenceTo('b', b)] } });
        assert.equal(await list(a), 'prod/of-a,prod/of-a-too');
        assert.equal(await list(b), 'prod/both,prod/of-b');
        await store.delete(Widget, 'prod', 'of-a');
        await store.create(Widget, 'prod', 'of-a', { spec: { size: 1 } });
        assert.equal(await list(a), 'prod/of-a-too');
        await store.patch(Widget, 'prod', 'of-a-too', { metadata: { ownerReferences: null } });
        assert.equal(await list(a), '');
        await store.patch(Widget, 'prod', 'of-a', { metadata: { ownerReferences: [referenceTo('a', a)] } });
        assert.equal(await list(a), 'prod/of-a');
        assert.deepEqual((await store.verify()).problems, []);
      }),
    );
    it(
      'show a past revision, and pages of one, as they were',
      on(async (store) => {
        const { a, b } = await owned(store);
        const { revision } = store;
        const first = await store.list(Widget, undefined, { ownerUid: a, limit: 2 });
        await store.patch(Widget, 'prod', 'both', { metadata: { ownerReferences: null } });
        await store.patch(Widget, 'prod', 'of-b', { metadata: { ownerReferences: [referenceTo('a', a)] } });
        await store.delete(Widget, 'prod', 'of-a');
        await store.create(Widget, 'dev', 'new', { metadata: { ownerReferences: [referenceTo('a', a)] }, spec: { size: 1 } });
        const were = ['dev/both', 'dev/of-a', 'prod/both', 'prod/of-a', 'prod/of-a-too'];
        const at = { ownerUid: a, resourceVersion: revision };
        assert.deepEqual(names((await store.list(Widget, undefined, at)).items), were);
        const rest = await store.list(Widget, undefined, { ownerUid: a, continue: first.continue });
        assert.deepEqual(names([...first.items, ...rest.items]), were);
        assert.deepEqual([first.resourceVersion, rest.resourceVersion, first.remaining], [revision, revision, undefined]);
        for (const limit of [1, 2, 4, 5, 6]) {
          assert.deepEqual(await paged(store, undefined, { ...at, limit }), were, `by ${limit}`);
          assert.deepEqual(await paged(store, 'prod', { ...at, limit, labelSelector: 'of=b' }), ['prod/both'], `by ${limit}`);
        }
        assert.deepEqual(await paged(store, undefined, { ownerUid: a, limit: 2 }), [
          'dev/both',
          'dev/new',
          'dev/of-a',
          'prod/of-a-too',
          'prod/of-b',
        ]);
        for (const ownerUid of [b, undefined])
          await assert.rejects(store.list(Widget, undefined, { ownerUid, limit: 2, continue: first.continue }), isBad);
      }),
    );
    it(
      'inside a transaction hold its own writes, and what another adds meanwhile makes it run again',
      on(async (store) => {
        const { a } = await owned(store);
        const seen = await store.transaction(async (tx) => {
          const list = async (): Promise<string> => names((await tx.list(Widget, 'prod', { ownerUid: a })).items).join();
          const before = await list();
          await tx.delete(Widget, 'prod', 'of-a');
          await tx.create(Widget, 'prod', 'mine', { metadata: { ownerReferences: [referenceTo('a', a)] }, spec: { size: 1 } });
          await tx.patch(Widget, 'prod', 'both', { metadata: { ownerReferences: null } });
          return [before, await list()];
        });
        assert.deepEqual(seen, ['prod/both,prod/of-a,prod/of-a-too', 'prod/mine,prod/of-a-too']);
        assert.equal(names((await store.list(Widget, 'prod', { ownerUid: a })).items).join(), seen[1]);
        const listed = deferred();
        const meanwhile = listed.promise.then(() =>
          store.create(Widget, 'prod', 'another', { metadata: { ownerReferences: [referenceTo('a', a)] }, spec: { size: 1 } }),
        );
        const count = await store.transaction(async (tx) => {
          const { items } = await tx.list(Widget, 'prod', { ownerUid: a });
          listed.resolve();
          await meanwhile;
          await tx.create('plain', 'prod', 'count', { owned: items.length });
          return items.length;
        });
        assert.equal(count, 3);
        assert.equal((await store.get('plain', 'prod', 'count'))['owned'], 3);
      }),
    );
    it(
      'are refused for what is no uid',
      on(async (store) => {
        await owned(store);
        for (const ownerUid of ['', 'a b', 'a\0b', '*', 'u'.repeat(129), 5, null, {}])
          for (const call of [
            () => store.list(Widget, 'prod', { ownerUid: ownerUid as never }),
            () => store.transaction((tx) => tx.list(Widget, 'prod', { ownerUid: ownerUid as never })),
          ])
            await assert.rejects(call, isInvalid, JSON.stringify(ownerUid));
      }),
    );
  });

  describe('orders', () => {
    it(
      'are by text, by number and by date, up and down, absent last, stable, one behind the other',
      on(async (store) => {
        const objects: Record<string, { readonly d?: string; readonly n?: number | string; readonly t?: string }> = {
          a: { d: '2026-01-02T00:00:00+05:00', n: 10, t: 'x' },
          b: { d: '2026-01-01T20:00:00Z', n: 9, t: 'x' },
          c: { d: '2025-12-31T23:00:00-05:00', n: '-1', t: 'X' },
          d: { d: 'some day', n: 'many', t: 'y' },
          e: {},
        };
        for (const [name, object] of Object.entries(objects)) await store.create('plain', 'prod', name, object);
        const sorted = async (sortBy: ListOptions['sortBy']): Promise<string> =>
          (await store.list('plain', 'prod', { sortBy })).items.map(({ metadata }) => metadata.name).join('');
        assert.equal(await sorted({ path: 'd', as: 'date' }), 'cabde');
        assert.equal(await sorted({ path: 'd', as: 'date', order: 'desc' }), 'bacde');
        assert.equal(await sorted({ path: 'n', as: 'number' }), 'cbade');
        assert.equal(await sorted({ path: 'n', as: 'number', order: 'desc' }), 'abcde');
        assert.equal(await sorted('n'), 'cabde');
        assert.equal(await sorted('t'), 'cabde');
        assert.equal(await sorted({ path: 't', order: 'desc' }), 'dabce');
        assert.equal(await sorted(['t', { path: 'n', as: 'number' }]), 'cbade');
        assert.equal(await sorted([]), 'abcde');
        const inside = await store.transaction(async (tx) => (await tx.list('plain', 'prod', { sortBy: { path: 'd', as: 'date' } })).items);
        assert.equal(inside.map(({ metadata }) => metadata.name).join(''), 'cabde');
      }),
    );
    it(
      'are cut into pages only where they are the order of the keys',
      on(async (store) => {
        await store.create(Widget, 'a', 'z', { spec: { size: 1 } });
        await store.create(Widget, 'b', 'a', { spec: { size: 2 } });
        await store.create(Widget, 'b', 'c', { spec: { size: 0 } });
        for (const sortBy of [['metadata.namespace', 'metadata.name'], 'metadata.namespace'] as const)
          assert.deepEqual(await paged(store, undefined, { sortBy, limit: 1 }), ['a/z', 'b/a', 'b/c']);
        assert.deepEqual(await paged(store, 'b', { sortBy: 'metadata.name', limit: 1 }), ['b/a', 'b/c']);
        assert.deepEqual(names((await store.list(Widget, undefined, { sortBy: 'metadata.name' })).items), ['b/a', 'b/c', 'a/z']);
        for (const sortBy of ['metadata.name', 'spec.size', { path: 'metadata.namespace', order: 'desc' }] as const)
          await assert.rejects(store.list(Widget, undefined, { sortBy, limit: 1 }), isInvalid);
        await assert.rejects(store.list(Widget, 'b', { sortBy: { path: 'metadata.name', order: 'desc' }, limit: 1 }), isInvalid);
      }),
    );
  });

  describe('pages', () => {
    it(
      'of any length hold each item once, in the order of the keys, and end where the list does',
      on(async (store) => {
        await fill(store, 7);
        await fill(store, 3, 'dev');
        for (const namespace of [undefined, 'prod', 'none']) {
          const whole = await store.list(Widget, namespace);
          assert.equal(whole.continue, undefined);
          for (const limit of [1, 2, 3, whole.items.length, whole.items.length + 1].filter((each) => each > 0))
            assert.deepEqual(await paged(store, namespace, { limit }), names(whole.items), `${namespace} by ${limit}`);
          if (whole.items.length === 0) continue;
          const full = await store.list(Widget, namespace, { limit: whole.items.length });
          assert.deepEqual([full.continue, full.remaining], [undefined, undefined]);
          const short = await store.list(Widget, namespace, { limit: whole.items.length - 1 });
          assert.equal(short.remaining, 1);
        }
      }),
    );
    it(
      'of a selection hold what is selected, and only that',
      on(async (store) => {
        await fill(store, 12);
        for (const options of [
          { labelSelector: 'even=true' },
          { fieldSelector: 'spec.node=n1' },
          { filter: ({ spec }: { spec: { size: number } }) => spec.size > 6 },
          { labelSelector: 'even=true', fieldSelector: 'spec.node!=n2', filter: ({ spec }: { spec: { size: number } }) => spec.size < 9 },
          { labelSelector: 'none' },
        ])
          for (const limit of [1, 3, 12])
            assert.deepEqual(
              await paged(store, 'prod', { ...options, limit }),
              names((await store.list(Widget, 'prod', options)).items),
              JSON.stringify(options),
            );
      }),
    );
    it(
      'are refused for a token that belongs to another question, or to none',
      on(async (store) => {
        await fill(store, 4);
        const { continue: token } = await store.list(Widget, 'prod', { limit: 1, labelSelector: 'group' });
        for (const [namespace, options] of [
          ['dev', { labelSelector: 'group' }],
          [undefined, { labelSelector: 'group' }],
          ['prod', {}],
          ['prod', { labelSelector: 'even' }],
          ['prod', { labelSelector: 'group', fieldSelector: 'spec.node=n1' }],
        ] as const)
          await assert.rejects(store.list(Widget, namespace, { ...options, limit: 1, continue: token }), isBad);
        for (const wrong of ['', 'nonsense', `${token}x`, token!.slice(2), token!.toLowerCase()])
          await assert.rejects(store.list(Widget, 'prod', { labelSelector: 'group', limit: 1, continue: wrong }), isBad);
        assert.equal((await store.list(Widget, 'prod', { labelSelector: 'group', continue: token })).items.length, 3);
      }),
    );
  });

  describe('namespaces', () => {
    it(
      'that stand for all of them are no place to write in, and mean all of them to list, watch and deleteCollection',
      on(async (store) => {
        for (const word of ['all', '*', '']) await assert.rejects(store.create(Widget, word, 'a', { spec: { size: 1 } }), word);
        for (const word of ['all', '*', 'a.b']) await assert.rejects(store.create('namespace', undefined, word, {}), isInvalid, word);
        for (const word of [undefined, '', '*', 'all']) {
          const watch = store.watch(Widget, word);
          for (const namespace of ['prod', 'dev']) await store.create(Widget, namespace, 'a', { spec: { size: 1 } });
          assert.deepEqual((await take(watch, 2)).map(brief).length, 2, `watch of ${word}`);
          await watch.close();
          const initial = store.watch(Widget, word, { initial: true });
          assert.equal((await take(initial, 3)).filter(({ type }) => type === 'CREATED').length, 2, `initial watch of ${word}`);
          await initial.close();
          assert.equal((await store.list(Widget, word)).items.length, 2);
          assert.equal((await store.deleteCollection(Widget, word)).deleted, 2);
        }
      }),
    );
    it(
      'of a cluster-scoped type are none, whatever stands for that',
      on(async (store) => {
        const made = await store.create(Zone, undefined, 'eu', { spec: { region: 'x' } });
        assert.equal('namespace' in made.metadata, false);
        for (const none of [undefined, '', '-']) assert.deepEqual(await store.get(Zone, none, 'eu'), made);
        assert.deepEqual((await store.list(Zone)).items, [made]);
        await assert.rejects(store.get(Zone, 'prod', 'eu'), isBad);
        await assert.rejects(store.get(Widget, undefined, 'eu'), isBad);
        await assert.rejects(store.get(Zone, undefined, 'us'), isNotFound);
      }),
    );
  });
}
