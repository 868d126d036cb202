/** Declared indexes over the life of a store: declared late, changed, dropped, kept by some and not by others. */
import { describe, expect, it } from 'vitest';
import { Secret, defineResource } from '../../src/schemas/index.js';
import { jsonCodec, memoryEngine, openStore, repo } from '../../src/store/index.js';
import type { Codec, EngineSource, ListOptions, Store } from '../../src/store/index.js';
import { faultySource } from './faulty-source.js';
import { engines, onStorage } from './on-engines.js';

/** The same type each time, as releases of a program define it. */
function box(options: { readonly indexed?: boolean; readonly standard?: string } = {}) {
  const node = { type: 'string', ...(options.standard === undefined ? {} : { default: options.standard }) } as const;
  return defineResource({
    kind: 'Box',
    type: 'box',
    spec: { type: 'object', properties: { node, size: { type: 'integer' } } },
    storeIndexes: options.indexed === false ? [] : ['spec.node'],
  });
}

/** Resolves when every declared index names every object. */
async function built(store: Store): Promise<void> {
  while ((await store.stats())['indexesBuilding'] !== 0) await store.deps.scheduler.turn();
}

async function found(store: Store, node: string): Promise<string[]> {
  const { items } = await store.list('box', 'a', { fieldSelector: { 'spec.node': node } });
  return items.map(({ metadata }) => metadata.name);
}

/** What is under a build of the index on the engine itself, with no store open. */
async function entries(source: EngineSource, store: Store, at: { readonly build: number; readonly value: string }): Promise<string[]> {
  const engine = await source.open({ deps: store.deps });
  const keys = await engine.lookup({ index: `field:box:${at.build}`, value: at.value });
  await engine.close();
  return keys.map(({ name }) => name);
}

describe.each(engines)('an index on the %s engine', (engine) => {
  it('that is declared later finds what was there before, at once and for good, also what was written again meanwhile', () =>
    onStorage(engine, async ({ open, source }) => {
      const plain = box({ indexed: false });
      let store = await open({ types: [plain] });
      for (const name of ['old', 'older', 'other'])
        await store.create(plain, 'a', name, { spec: { node: name === 'other' ? 'n2' : 'n1', size: 1 } });
      await store.close();
      const Box = box();
      store = await open({ types: [Box] });
      expect(await found(store, 'n1')).toEqual(['old', 'older']);
      await store.patch(Box, 'a', 'old', { spec: { size: 5 } });
      await store.create(Box, 'a', 'new', { spec: { node: 'n1' } });
      expect(await found(store, 'n1')).toEqual(['new', 'old', 'older']);
      await built(store);
      await store.patch(Box, 'a', 'older', { spec: { size: 6 } });
      await store.patch(Box, 'a', 'other', { spec: { node: 'n1' } });
      expect(await found(store, 'n1')).toEqual(['new', 'old', 'older', 'other']);
      expect(await found(store, 'n2')).toEqual([]);
      expect((await store.verify()).problems).toEqual([]);
      await store.close();
      expect(await entries(source, store, { build: 1, value: 'n1' })).toEqual(['new', 'old', 'older', 'other']);
      store = await open({ types: [Box] });
      expect((await store.stats())['indexesBuilding']).toBe(0);
      expect(await found(store, 'n1')).toEqual(['new', 'old', 'older', 'other']);
    })());

  it('finds by a default that the field was given later what was stored without it', () =>
    onStorage(engine, async ({ open, source }) => {
      const before = box();
      let store = await open({ types: [before] });
      await store.create(before, 'a', 'without', { spec: {} });
      await store.create(before, 'a', 'with', { spec: { node: 'n2' } });
      await built(store);
      await store.close();
      for (const [standard, build] of [
        ['n1', 2],
        ['n3', 3],
      ] as const) {
        const Box = box({ standard });
        store = await open({ types: [Box] });
        for (const phase of ['building', 'built']) {
          expect([phase, await found(store, standard)]).toEqual([phase, ['without']]);
          expect(await found(store, 'n2')).toEqual(['with']);
          await built(store);
        }
        expect((await store.verify()).problems).toEqual([]);
        await store.close();
        expect(await entries(source, store, { build, value: standard })).toEqual(['without']);
        expect(await entries(source, store, { build: build - 1, value: 'n2' })).toEqual([]);
      }
    })());

  it('that was dropped and declared again has forgotten nothing, and keeps nothing of what was before', () =>
    onStorage(engine, async ({ open, source }) => {
      const Box = box();
      const plain = box({ indexed: false });
      let store = await open({ types: [Box] });
      for (const name of ['moved', 'deleted', 'stays']) await store.create(Box, 'a', name, { spec: { node: 'n1' } });
      await built(store);
      await store.close();
      store = await open({ types: [plain] });
      await store.update(plain, 'a', 'moved', { spec: { node: 'n2' } });
      await store.delete(plain, 'a', 'deleted');
      await store.create(plain, 'a', 'made', { spec: { node: 'n1' } });
      while ((await store.verify()).problems.length > 0) await store.deps.scheduler.turn();
      await store.close();
      expect(await entries(source, store, { build: 1, value: 'n1' })).toEqual([]);
      store = await open({ types: [Box] });
      for (const phase of ['building', 'built']) {
        expect([phase, await found(store, 'n1'), await found(store, 'n2')]).toEqual([phase, ['made', 'stays'], ['moved']]);
        await built(store);
      }
      expect((await store.verify()).problems).toEqual([]);
    })());

  it('is built while writers run, and names what each of them came to', () =>
    onStorage(engine, async ({ open }) => {
      const plain = box({ indexed: false });
      let store = await open({ types: [plain] });
      await Promise.all(
        Array.from({ length: 1500 }, (_, index) => store.create(plain, 'a', `b${index}`, { spec: { node: `n${index % 3}` } })),
      );
      await store.close();
      const Box = box();
      store = await open({ types: [Box] });
      let building = true;
      const writers = Array.from({ length: 4 }, async (_, writer) => {
        for (let round = writer; building; round += 4) {
          const name = `b${(round * 7) % 1500}`;
          await store.patch(Box, 'a', name, { spec: { node: `n${round % 4}`, size: round } }).catch(() => undefined);
          if (round % 5 === 0) await store.delete(Box, 'a', `b${(round * 11) % 1500}`).catch(() => undefined);
          if (round % 3 === 0) await store.create(Box, 'a', `x${round}`, { spec: { node: 'n1' } });
        }
      });
      await built(store);
      building = false;
      await Promise.all(writers);
      expect((await store.verify()).problems).toEqual([]);
      const { items } = await store.list(Box, 'a');
      for (const node of ['n0', 'n1', 'n2', 'n3'])
        expect(await found(store, node)).toEqual(items.filter(({ spec }) => spec.node === node).map(({ metadata }) => metadata.name));
    })());

  it('that misses an object is told of by verify', () =>
    onStorage(engine, async ({ open, source }) => {
      const Box = box();
      let store = await open({ types: [Box] });
      await store.create(Box, 'a', 'x', { spec: { node: 'n1' } });
      await built(store);
      expect((await store.verify()).ok).toBe(true);
      await store.close();
      const raw = await source.open({ deps: store.deps });
      await raw.dropIndex('field:box:1');
      await raw.dropIndex('uid');
      await raw.close();
      store = await open({ types: [Box] });
      const { ok, problems } = await store.verify();
      expect(ok).toBe(false);
      expect(problems.filter((problem) => problem.includes('does not name'))).toHaveLength(2);
      expect(problems.join()).toMatch(/field:box:1 = "n1" does not name .*box.*x/);
    })());

  it('of a built-in type is kept from its first write on', () =>
    onStorage(engine, async ({ open }) => {
      const store = await open();
      for (const service of ['web', 'db']) await store.create('instance', 'a', `of-${service}`, { spec: { service, image: 'x' } });
      await built(store);
      const { items } = await store.list('instance', 'a', { fieldSelector: 'spec.service=web' });
      expect(items.map(({ metadata }) => metadata.name)).toEqual(['of-web']);
      expect((await store.stats())['indexesBuilding']).toBe(0);
      expect((await store.verify()).problems).toEqual([]);
    })());
});

describe.each(engines)('a list by owner on the %s engine', (engine) => {
  it('shows what is sealed as any list does, and what was put into the namespaces by a transaction', () =>
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const owner = await store.create('plain', 'a', 'owner', {});
      const ownerReferences = [{ apiVersion: 'v1', kind: 'plain', name: 'owner', uid: owner.metadata.uid }];
      await store.transaction(async (tx) => {
        for (const namespace of ['a', 'b']) {
          await tx.create(Secret, namespace, 'of', { metadata: { ownerReferences }, data: { key: namespace } });
          await tx.create(Secret, namespace, 'other', { data: { key: 'x' } });
        }
      });
      const options = { ownerUid: owner.metadata.uid };
      const { items, continue: token } = await store.list(Secret, undefined, { ...options, limit: 1 });
      const rest = await repo(store, Secret).list({ ...options, continue: token });
      expect([...items, ...rest.items].map(({ data }) => data)).toEqual([{ key: 'a' }, { key: 'b' }]);
      expect((await repo(store, Secret).list({ ...options, namespace: 'b' })).items).toEqual(rest.items);
    })());

  it('reads what the owner owns and what was written since, and none of the others', () =>
    onStorage(engine, async ({ source }) => {
      let decoded = 0;
      const codec: Codec = { ...jsonCodec, decode: (bytes) => ((decoded += 1), jsonCodec.decode(bytes)) };
      await using store = await openStore({ engine: engine === 'memory' ? memoryEngine({ decoded: false }) : source, codec });
      const owner = await store.create('plain', 'a', 'owner', {});
      const ownerReferences = [{ apiVersion: 'v1', kind: 'plain', name: 'owner', uid: owner.metadata.uid }];
      await Promise.all(Array.from({ length: 700 }, (_, index) => store.create('plain', 'a', `other${index}`, {})));
      const names = ['x', 'y', 'z'];
      for (const name of names) await store.create('plain', 'a', name, { metadata: { ownerReferences } });
      const { revision } = store;
      const reading = async (options: ListOptions): Promise<readonly [names: readonly string[], decoded: number]> => {
        decoded = 0;
        const { items } = await store.list('plain', 'a', { ownerUid: owner.metadata.uid, ...options });
        return [items.map(({ metadata }) => metadata.name), decoded];
      };
      expect(await reading({})).toEqual([names, 3]);
      expect(await reading({ labelSelector: 'none' })).toEqual([[], 3]);
      expect(await reading({ limit: 5 })).toEqual([names, 3]);
      expect(await reading({ limit: 1 })).toEqual([['x'], 3]);
      await store.delete('plain', 'a', 'y');
      await store.update('plain', 'a', 'other7', { v: 1 });
      expect(await reading({ resourceVersion: revision })).toEqual([names, 4]);
      expect(await reading({ resourceVersion: revision, limit: 5 })).toEqual([names, 4]);
      expect(await reading({})).toEqual([['x', 'z'], 2]);
    })());
});

describe('a build of an index that was cut off', () => {
  it('goes on where it was', async () => {
    const source = faultySource(memoryEngine());
    const plain = box({ indexed: false });
    let store = await openStore({ engine: source, types: [plain] });
    // 25 steps; the place reached is noted behind the 16th.
    const count = 5000;
    await Promise.all(Array.from({ length: count }, (_, index) => store.create(plain, 'a', `b${index}`, { spec: { node: 'n1' } })));
    await store.close();
    const Box = box();
    store = await openStore({ engine: source, types: [Box] });
    while (source.calls('reindex') < 20) await store.deps.scheduler.turn();
    await store.close();
    const before = source.calls('reindex');
    expect(before).toBeLessThan(25);
    store = await openStore({ engine: source, types: [Box] });
    await built(store);
    expect(source.calls('reindex') - before).toBeLessThan(12);
    expect(await found(store, 'n1')).toHaveLength(count);
    expect((await store.verify()).problems).toEqual([]);
    await store.close();
  });
});
