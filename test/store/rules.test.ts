/** Rules of writing and reading that hold on every engine: bounds, known types, what a writer says of itself. */
import { describe, expect, it } from 'vitest';
import { Config, defineResource, isConflict, isForbidden, isInvalid, isTooLarge } from '../../src/schemas/index.js';
import { jsonCodec, msgpackCodec } from '../../src/store/index.js';
import type { OwnerReference } from '../../src/schemas/index.js';
import type { Store, StoreVerbs } from '../../src/store/index.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import { engines, onStorage, take } from './on-engines.js';

const one = { spec: { size: 1 } };

/** The length of `spec.node` that makes an object exactly `bytes` long as stored. */
async function fitting(store: Store, name: string, bytes: number): Promise<string> {
  const made = await store.create(Widget, 'prod', name, { spec: { size: 1, node: 'x' } });
  const { resourceVersion: _, ...metadata } = made.metadata;
  await store.delete(Widget, 'prod', name);
  return 'x'.repeat(bytes - jsonCodec.encode({ ...made, metadata }).length + 1);
}

describe.each(engines)('limits on the %s engine', (engine) => {
  it(
    'take an object of exactly 1 MiB, and one byte less, and refuse one byte more',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const node = await fitting(store, 'a', 1024 * 1024);
      for (const [text, fits] of [
        [node.slice(1), true],
        [node, true],
        [`${node}x`, false],
      ] as const) {
        const before = store.revision;
        const making = store.create(Widget, 'prod', 'a', { spec: { size: 1, node: text } });
        if (fits) {
          expect((await making).spec.node).toBe(text);
          expect((await store.get(Widget, 'prod', 'a')).spec.node).toBe(text);
          await store.delete(Widget, 'prod', 'a');
        } else {
          await expect(making).rejects.toSatisfy(isTooLarge);
          expect(store.revision).toBe(before);
        }
      }
    }),
  );

  it(
    'take 1,024 writes in a transaction and refuse one more, of any sort, and harm no other writer by it',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const fill = (count: number) =>
        store.transaction(async (tx) => {
          for (let index = 0; index < count; index += 1) await tx.create('plain', 'prod', `o${index}`, {});
        });
      const others = (name: string): Promise<unknown> => store.create('plain', 'other', `${name}${store.revision}`, {});
      const settled = await Promise.allSettled([others('p'), fill(1025), others('q')]);
      expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect((settled[1] as PromiseRejectedResult).reason).toSatisfy(isTooLarge);
      expect((await store.list('plain', 'prod')).items).toEqual([]);
      await fill(1023);
      await store.create('plain', 'prod', 'one-more', {});
      const empty = () =>
        store.transaction(async (tx) => {
          for (const { metadata } of (await tx.list('plain', 'prod')).items) await tx.delete('plain', 'prod', metadata.name);
        });
      await store.create('plain', 'prod', 'too-many', {});
      const again = await Promise.allSettled([others('p'), empty(), others('q')]);
      expect(again.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect((again[1] as PromiseRejectedResult).reason).toSatisfy(isTooLarge);
      await store.delete('plain', 'prod', 'too-many');
      await empty();
      expect((await store.list('plain', 'prod')).items).toEqual([]);
    }),
  );

  it(
    'refuse a transaction of more bytes than fit in one commit, whole, and take one that fits',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const node = 'x'.repeat(1_000_000);
      const write = (count: number) =>
        store.transaction(async (tx) => {
          for (let index = 0; index < count; index += 1) await tx.create(Widget, 'prod', `o${index}`, { spec: { size: index, node } });
        });
      const [beside, refused] = await Promise.allSettled([store.create('plain', 'prod', 'a', {}), write(9)]);
      expect([beside.status, refused.status]).toEqual(['fulfilled', 'rejected']);
      expect((refused as PromiseRejectedResult).reason).toSatisfy(isTooLarge);
      expect((await store.list(Widget, 'prod')).items).toEqual([]);
      await write(8);
      expect((await store.list(Widget, 'prod')).items).toHaveLength(8);
    }),
  );

  it(
    'take maps of configs with 1,024 keys of 256 bytes, and refuse one more of either',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 'v']));
      const config = (data: Readonly<Record<string, string>>) => store.apply(Config, 'prod', 'c', { data });
      await config(keys(1023));
      await config(keys(1024));
      await expect(config(keys(1025))).rejects.toSatisfy(isInvalid);
      await config({ ['k'.repeat(255)]: 'v' });
      await config({ ['k'.repeat(256)]: 'v' });
      await expect(config({ ['k'.repeat(257)]: 'v' })).rejects.toSatisfy(isInvalid);
      expect(Object.keys((await store.get(Config, 'prod', 'c')).data ?? {})[0]).toHaveLength(256);
    }),
  );

  it(
    'take names of 253, labels of 63 and namespaces of 63 characters, and no more',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      for (const [namespace, name, label, fits] of [
        ['n'.repeat(62), 'a'.repeat(252), 'l'.repeat(62), true],
        ['n'.repeat(63), 'a'.repeat(253), 'l'.repeat(63), true],
        ['n'.repeat(64), 'a', 'l', false],
        ['n', 'a'.repeat(254), 'l', false],
        ['n', 'a', 'l'.repeat(64), false],
      ] as const) {
        const making = store.create(Widget, namespace, name, { metadata: { labels: { key: label } }, spec: { size: 1 } });
        if (fits) {
          await making;
          expect((await store.list(Widget, namespace, { labelSelector: { key: label } })).items[0]?.metadata.name).toBe(name);
        } else await expect(making).rejects.toSatisfy(isInvalid);
      }
    }),
  );
});

describe.each(engines)('types on the %s engine', (engine) => {
  it(
    'are refused under strictTypes when nobody defined them, by every verb, and nothing is written',
    onStorage(engine, async ({ open }) => {
      const store = await open({ types: [Widget] });
      const before = store.revision;
      const unknown = /"widgets" is not known.*exact names/s;
      await expect(store.create('widgets', 'prod', 'a', one)).rejects.toThrow(unknown);
      await expect(store.get('widgets', 'prod', 'a')).rejects.toThrow(unknown);
      await expect(store.list('widgets')).rejects.toThrow(unknown);
      await expect(store.delete('widgets', 'prod', 'a')).rejects.toThrow(unknown);
      await expect(store.transaction((tx) => tx.create('widgets', 'prod', 'a', one))).rejects.toThrow(unknown);
      expect(() => store.watch('widgets')).toThrow(unknown);
      expect(store.revision).toBe(before);
      await store.create('widget', 'prod', 'a', one);
      await store.create('service', 'prod', 'a', { spec: { image: 'x' } });
    }),
  );

  it(
    'are remembered: a process without the definition reads, and is refused to write',
    onStorage(engine, async ({ open }) => {
      const first = await open({ types: [Widget] });
      await first.create(Widget, 'prod', 'a', { spec: { size: 1, node: 'n1' } });
      await first.close();
      const second = await open();
      const read = await second.get('widget', 'prod', 'a');
      expect(read['spec']).toEqual({ size: 1, node: 'n1', color: 'red' });
      expect((await second.list('widget', undefined, { fieldSelector: 'spec.node=n1' })).items).toHaveLength(1);
      const before = second.revision;
      const verbs: ((on: StoreVerbs) => Promise<unknown>)[] = [
        (on) => on.create('widget', 'prod', 'b', one),
        (on) => on.update('widget', 'prod', 'a', { spec: { size: 2 } }),
        (on) => on.patch('widget', 'prod', 'a', { spec: { size: 2 } }),
        (on) => on.apply('widget', 'prod', 'a', { spec: { size: 2 } }),
        (on) => on.modify('widget', 'prod', 'a', (draft) => void (draft['spec'] = { size: -1 })),
        (on) => on.delete('widget', 'prod', 'a'),
      ];
      for (const verb of verbs) {
        await expect(verb(second)).rejects.toSatisfy(isForbidden);
        await expect(second.transaction((tx) => verb(tx))).rejects.toSatisfy(isForbidden);
      }
      await expect(second.rollback('widget', 'prod', 'a', before)).rejects.toSatisfy(isForbidden);
      await expect(second.deleteCollection('widget', 'prod')).rejects.toSatisfy(isForbidden);
      expect(second.revision).toBe(before);
      second.register(Widget);
      await second.update('widget', 'prod', 'a', { spec: { size: 2 } });
    }),
  );

  it(
    'cannot be defined twice under one name, and cannot change their scope',
    onStorage(engine, async ({ open }) => {
      const store = await open({ types: [Widget] });
      const Other = defineResource({
        kind: 'Widget',
        group: 'conformance.rune.dev',
        type: 'widget',
        spec: { type: 'object', properties: { size: { type: 'integer' } } },
      });
      expect(() => store.register(Other)).toThrow(/already defined differently/);
      await store.create(Widget, 'prod', 'a', one);
      await store.close();
      const Cluster = defineResource({
        kind: 'Widget',
        group: 'conformance.rune.dev',
        type: 'widget',
        scope: 'Cluster',
        spec: { type: 'object', properties: { size: { type: 'integer' } } },
      });
      await expect(open({ types: [Cluster] })).rejects.toThrow(/cannot become Cluster/);
    }),
  );

  it(
    'fill their defaults in when an object is read that an older schema stored, and change nothing by it',
    onStorage(engine, async ({ open }) => {
      const Old = defineResource({ kind: 'Gadget', spec: { type: 'object', properties: { size: { type: 'integer' } } } });
      const New = defineResource({
        kind: 'Gadget',
        spec: {
          type: 'object',
          properties: {
            size: { type: 'integer' },
            color: { type: 'string', default: 'red' },
            place: { type: 'object', default: {}, properties: { floor: { type: 'integer', default: 1 } } },
          },
        },
      });
      const first = await open({ types: [Old] });
      const made = await first.create(Old, 'prod', 'a', { spec: { size: 1 } });
      await first.update(Old, 'prod', 'a', { spec: { size: 2 } });
      await first.close();
      const store = await open({ types: [New] });
      const filled = { size: 2, color: 'red', place: { floor: 1 } };
      expect((await store.get(New, 'prod', 'a')).spec).toEqual(filled);
      expect((await store.list(New)).items[0]?.spec).toEqual(filled);
      expect((await store.list(New, 'prod', { fieldSelector: 'spec.color=red' })).items).toHaveLength(1);
      expect((await store.getVersion(New, 'prod', 'a', made.metadata.resourceVersion)).spec).toEqual({ ...filled, size: 1 });
      const [initial] = await take(store.watch(New, 'prod', { initial: true }), 1);
      expect(initial?.type === 'CREATED' && initial.resource.spec).toEqual(filled);
      const [, update] = await take(store.watch(New, 'prod', { since: '0' }), 2);
      expect(update?.type === 'UPDATED' && [update.previous.spec, update.resource.spec]).toEqual([{ ...filled, size: 1 }, filled]);
      await store.transaction(async (tx) => expect((await tx.get(New, 'prod', 'a')).spec).toEqual(filled));
      const before = store.revision;
      await store.patch(New, 'prod', 'a', { spec: { color: 'red' } });
      expect(store.revision, 'what a reader sees already is no change').toBe(before);
      const next = await store.patch(New, 'prod', 'a', { spec: { color: 'blue' } });
      expect([next.metadata.generation, next.spec]).toEqual([3, { ...filled, color: 'blue' }]);
    }),
  );
});

describe.each(engines)('writes on the %s engine', (engine) => {
  it(
    'carry their source into every event, the history and the log',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const writes: ((source: string) => Promise<unknown>)[] = [
        (source) => store.create(Widget, 'prod', 'a', one, { source }),
        (source) => store.update(Widget, 'prod', 'a', { spec: { size: 2 } }, { source }),
        (source) => store.update(Widget, 'prod', 'a', { spec: { size: 2 }, status: { ready: true } }, { source, subresource: 'status' }),
        (source) => store.patch(Widget, 'prod', 'a', { spec: { size: 3 } }, { source }),
        (source) => store.patch(Widget, 'prod', 'a', [{ op: 'replace', path: '/spec/size', value: 4 }], { source }),
        (source) => store.apply(Widget, 'prod', 'a', { spec: { size: 5 } }, { source }),
        (source) => store.modify(Widget, 'prod', 'a', (draft) => void (draft.spec.size = 6), { source }),
        (source) => store.rollback(Widget, 'prod', 'a', '1', { source }),
        (source) => store.transaction((tx) => tx.patch(Widget, 'prod', 'a', { spec: { size: 8 } }), { source }),
        (source) => store.patch(Widget, 'prod', 'a', { metadata: { finalizers: ['example.com/hold'] } }, { source }),
        (source) => store.delete(Widget, 'prod', 'a', { source }),
        (source) => store.patch(Widget, 'prod', 'a', { metadata: { finalizers: null } }, { source }),
        (source) => store.create(Widget, 'prod', undefined, { metadata: { generateName: 'b-' }, ...one }, { source }),
        (source) => store.deleteCollection(Widget, 'prod', { source }),
      ];
      const live = store.watch(Widget);
      for (const [index, write] of writes.entries()) await write(`writer ${index}`);
      const sources = writes.map((_, index) => `writer ${index}`);
      expect(Number(store.revision)).toBe(writes.length);
      for (const watch of [live, store.watch(Widget, undefined, { since: '0' })]) {
        const events = await take(watch, writes.length);
        expect(events.map((event) => event.type !== 'BOOKMARK' && event.source)).toEqual(sources);
      }
      expect((await store.getHistory(Widget, 'prod', 'a')).map(({ source }) => source).toReversed()).toEqual(sources.slice(0, -2));
      await store.close();
      const again = await open();
      const events = await take(again.watch(Widget, undefined, { since: '0' }), writes.length);
      expect(events.map((event) => event.type !== 'BOOKMARK' && event.source)).toEqual(sources);
    }),
  );

  it(
    'leave the marks of propagation that the garbage collector reads',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      for (const [propagation, finalizers] of [
        ['foreground', ['foregroundDeletion']],
        ['orphan', ['orphan']],
      ] as const) {
        await store.create(Widget, 'prod', propagation, one);
        const marked = await store.delete(Widget, 'prod', propagation, { propagation });
        expect(marked.metadata.finalizers).toEqual(finalizers);
        expect(marked.metadata.deletionTimestamp).toBeDefined();
        const before = store.revision;
        await store.delete(Widget, 'prod', propagation, { propagation });
        expect(store.revision, 'a second delete changes nothing').toBe(before);
        await store.patch(Widget, 'prod', propagation, { metadata: { finalizers: null } });
      }
      await store.create(Widget, 'prod', 'held', { metadata: { finalizers: ['example.com/hold'] }, ...one });
      expect((await store.delete(Widget, 'prod', 'held', { propagation: 'foreground' })).metadata.finalizers).toEqual([
        'example.com/hold',
        'foregroundDeletion',
      ]);
      await store.create(Widget, 'prod', 'plain', one);
      await store.delete(Widget, 'prod', 'plain', { propagation: 'background' });
      expect((await store.list(Widget)).items.map(({ metadata }) => metadata.name)).toEqual(['held']);
    }),
  );

  it(
    'conflict when the object was deleted and made again in between, whatever guard is used',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const made = await store.create(Widget, 'prod', 'a', one);
      await store.delete(Widget, 'prod', 'a');
      const next = await store.create(Widget, 'prod', 'a', one);
      const { uid, resourceVersion } = made.metadata;
      const stale: Promise<unknown>[] = [
        store.update(Widget, 'prod', 'a', { ...made, spec: { size: 2 } }),
        store.update(Widget, 'prod', 'a', { metadata: { uid }, spec: { size: 2 } }),
        store.update(Widget, 'prod', 'a', { metadata: { resourceVersion }, spec: { size: 2 } }),
        store.patch(Widget, 'prod', 'a', { metadata: { uid }, spec: { size: 2 } }),
        store.patch(Widget, 'prod', 'a', { metadata: { resourceVersion }, spec: { size: 2 } }),
        store.patch(Widget, 'prod', 'a', [
          { op: 'test', path: '/metadata/uid', value: uid },
          { op: 'replace', path: '/spec/size', value: 2 },
        ]),
        store.apply(Widget, 'prod', 'a', { metadata: { uid }, spec: { size: 2 } }),
        store.delete(Widget, 'prod', 'a', { preconditions: { uid } }),
        store.delete(Widget, 'prod', 'a', { preconditions: { resourceVersion } }),
        store.rollback(Widget, 'prod', 'a', resourceVersion, { preconditions: { uid } }),
        store.modify(Widget, 'prod', 'a', () => ({ ...made, spec: { size: 2 } })),
      ];
      const guards = await Promise.allSettled(stale);
      expect(guards.map((guard) => guard.status === 'rejected' && isConflict(guard.reason))).toEqual(guards.map(() => true));
      expect(await store.get(Widget, 'prod', 'a')).toEqual(next);
      // The same object again, though its content went there and back: the revision tells.
      await store.update(Widget, 'prod', 'a', { spec: { size: 2 } });
      await store.update(Widget, 'prod', 'a', { spec: { size: 1 } });
      await expect(store.update(Widget, 'prod', 'a', { ...next, spec: { size: 3 } })).rejects.toSatisfy(isConflict);
    }),
  );

  it(
    'of modify must be plain JSON, and a whole object where one is returned',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const made = await store.create('plain', 'prod', 'a', { n: 1, list: [1] });
      const wrong: ((draft: Record<string, unknown>) => unknown)[] = [
        (draft) => (draft['n'] = 2),
        (draft) => (draft['inner'] = { n: 2 }),
        (draft) => (draft['list'] as number[]).push(2),
        (draft) => void (draft['n'] = Number.NaN),
        (draft) => void (draft['n'] = 1n),
        (draft) => void (draft['n'] = new Date(0)),
        (draft) => void (draft['n'] = new Map()),
        (draft) => void (draft['self'] = draft),
        async (draft) => void (draft['n'] = 2),
      ];
      const settled = await Promise.allSettled(wrong.map((change) => store.modify('plain', 'prod', 'a', change)));
      expect(settled.map((each) => each.status === 'rejected' && isInvalid(each.reason))).toEqual(wrong.map(() => true));
      expect(await store.get('plain', 'prod', 'a')).toEqual(made);
      expect((await store.modify('plain', 'prod', 'a', (draft) => ({ ...draft, n: 3 })))['n']).toBe(3);
    }),
  );

  it(
    'cannot reach a prototype by any way in',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await store.create(Widget, 'prod', 'a', { spec: { size: 1, settings: { k: 'v' } } });
      await store.create('plain', 'prod', 'a', { deep: { k: 'v' } });
      const before = store.revision;
      const polluting = (text: string): never => JSON.parse(text) as never;
      const hostile: Promise<unknown>[] = [
        store.create('plain', 'prod', 'b', polluting('{"__proto__":{"polluted":1}}')),
        store.create('plain', 'prod', 'b', polluting('{"deep":{"__proto__":{"polluted":1}}}')),
        store.create(Widget, 'prod', 'b', polluting('{"metadata":{"labels":{"__proto__":"x"}},"spec":{"size":1}}')),
        store.create(Widget, 'prod', 'b', polluting('{"metadata":{"annotations":{"__proto__":"x"}},"spec":{"size":1}}')),
        store.update('plain', 'prod', 'a', polluting('{"__proto__":{"polluted":1}}')),
        store.patch('plain', 'prod', 'a', polluting('{"__proto__":{"polluted":1}}')),
        store.patch('plain', 'prod', 'a', polluting('{"deep":{"__proto__":{"polluted":1}}}')),
        store.patch('plain', 'prod', 'a', [{ op: 'add', path: '/__proto__/polluted', value: 1 }]),
        store.patch('plain', 'prod', 'a', [{ op: 'add', path: '/constructor/prototype/polluted', value: 1 }]),
        store.patch('plain', 'prod', 'a', [{ op: 'add', path: '/deep', value: polluting('{"__proto__":{"polluted":1}}') }]),
        store.apply('plain', 'prod', 'a', polluting('{"__proto__":{"polluted":1}}')),
        store.modify('plain', 'prod', 'a', (draft) =>
          Object.defineProperty(draft, '__proto__', { value: { polluted: 1 }, enumerable: true }),
        ),
        store.transaction((tx) => tx.patch('plain', 'prod', 'a', polluting('{"__proto__":{"polluted":1}}'))),
      ];
      const ways = await Promise.allSettled(hostile);
      expect(ways.map((way) => way.status === 'rejected' && isInvalid(way.reason))).toEqual(ways.map(() => true));
      expect(store.revision).toBe(before);
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
      // Names that only look dangerous are data like any other.
      await store.patch('plain', 'prod', 'a', { hasOwnProperty: 'x', toString: 'text' });
      const read = await store.get('plain', 'prod', 'a');
      expect([Object.hasOwn(read, 'hasOwnProperty'), read['toString']]).toEqual([true, 'text']);
      await expect(store.list('plain', 'prod', { fieldSelector: '__proto__.polluted=1' })).rejects.toSatisfy(isInvalid);
    }),
  );

  it(
    'are refused by a store that was written with another codec, and nothing is harmed',
    onStorage(engine, async ({ open }) => {
      const first = await open();
      await first.create(Widget, 'prod', 'a', one);
      const { id } = first;
      await first.close();
      await expect(open({ codec: msgpackCodec })).rejects.toThrow(/codec "json".*"msgpack"/);
      const again = await open();
      expect([again.id, (await again.get(Widget, 'prod', 'a')).spec.size]).toEqual([id, 1]);
    }),
  );
});

describe.each(engines)('owners of a cluster-scoped object on the %s engine', (engine) => {
  const Site = defineResource({
    kind: 'Site',
    scope: 'Cluster',
    spec: { type: 'object', default: {}, properties: { n: { type: 'integer' } } },
  });
  const owner = (kind: string, group = 'rune.dev'): OwnerReference => ({
    apiVersion: `${group}/v9`,
    kind,
    name: 'o',
    uid: `uid-of-${kind}-${group}`,
  });

  it(
    'live outside namespaces: one of a kind that is known to live inside is refused, on every way in',
    onStorage(engine, async ({ open }) => {
      const store = await open({ types: [Site], strictTypes: false });
      const wrong = { metadata: { ownerReferences: [owner('Site'), owner('Config')] }, spec: {} };
      const refused = expect.objectContaining({
        reason: 'Invalid',
        causes: [expect.objectContaining({ reason: 'FieldValueForbidden', field: 'metadata.ownerReferences[1].kind' })],
      }) as Error;
      await expect(store.create(Site, undefined, 's', wrong)).rejects.toEqual(refused);
      await expect(store.apply(Site, undefined, 's', wrong)).rejects.toEqual(refused);
      await expect(store.create('schemaless', undefined, 's', wrong)).rejects.toEqual(refused);
      await expect(store.transaction((tx) => tx.create(Site, undefined, 's', wrong))).rejects.toEqual(refused);
      await store.create(Site, undefined, 's', { spec: {} });
      await expect(store.patch(Site, undefined, 's', wrong)).rejects.toEqual(refused);
      await expect(store.update(Site, undefined, 's', wrong)).rejects.toEqual(refused);
      expect((await store.get(Site, undefined, 's')).metadata.ownerReferences).toBeUndefined();
      const right = [owner('Site'), owner('Config', 'example.com'), owner('Unheard')];
      await store.patch(Site, undefined, 's', { metadata: { ownerReferences: right } });
      expect((await store.get(Site, undefined, 's')).metadata.ownerReferences).toEqual(right);
    }),
  );

  it(
    'that are there already stay where another change is made, whatever became known of their kind',
    onStorage(engine, async ({ open }) => {
      const store = await open({ types: [Site] });
      const references = [owner('Late')];
      await store.create(Site, undefined, 's', { metadata: { ownerReferences: references }, spec: {} });
      store.register(defineResource({ kind: 'Late', spec: { type: 'object', additionalProperties: true } }));
      await store.patch(Site, undefined, 's', { metadata: { labels: { a: 'b' } } });
      expect((await store.get(Site, undefined, 's')).metadata).toMatchObject({ labels: { a: 'b' }, ownerReferences: references });
      await expect(store.patch(Site, undefined, 's', { metadata: { ownerReferences: [...references, owner('Site')] } })).rejects.toSatisfy(
        isInvalid,
      );
    }),
  );
});
