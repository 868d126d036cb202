/** Input that cannot be kept: it is refused where it is given, or kept in another form, and harms nobody's writes but its own. */
import { describe, expect, it } from 'vitest';
import { BadRequestError, defineResource, isInvalid, isNotFound } from '../../src/schemas/index.js';
import { openStore } from '../../src/store/index.js';
import type { CommitResult, Engine, EngineSource, Store } from '../../src/store/index.js';
import { faultySource } from './faulty-source.js';
import { engines, onStorage } from './on-engines.js';

const Box = defineResource({
  kind: 'Box',
  group: 'test.dev',
  spec: { type: 'object', properties: { node: { type: 'string' }, size: { type: 'integer' } } },
  storeIndexes: ['spec.node'],
});

/** Runs `act` among writes that share its commit: all of them must succeed, on the engine that was there. */
function among(engine: (typeof engines)[number], act: (store: Store) => Promise<void>): () => Promise<void> {
  return onStorage(engine, async ({ source: inner }) => {
    const source = faultySource(inner);
    await using store = await openStore({ engine: source, types: [Box] });
    const neighbour = (name: string): Promise<unknown> => store.create(Box, 'a', name, { spec: {} });
    const before = ['n1', 'n2', 'n3'].map(neighbour);
    const acting = act(store);
    const behind = ['n4', 'n5'].map(neighbour);
    await Promise.all([...before, acting, ...behind]);
    expect(source.opened).toBe(1);
    expect((await store.verify()).problems).toEqual([]);
  });
}

describe.each(engines)('a write that the %s engine cannot keep as it is', (engine) => {
  it.each([
    ['a NUL', 'a\0b'],
    ['a surrogate pair at the place where it is cut', `${'a'.repeat(255)}\u{1f600}`],
    ['more than a key can hold', '\u{1f600}'.repeat(5000)],
    ['three bytes a character', '\uffff'.repeat(256)],
  ])('is found by a declared field that holds %s, and harms no neighbour', (_, node) =>
    among(engine, async (store) => {
      await Promise.all([
        store.create(Box, 'a', 'odd', { spec: { node } }),
        store.create(Box, 'a', 'begins-alike', { spec: { node: `${node}!` } }),
      ]);
      const find = async (value: string): Promise<string[]> =>
        (await store.list(Box, 'a', { fieldSelector: { 'spec.node': value } })).items.map(({ metadata }) => metadata.name);
      expect(await find(node)).toEqual(['odd']);
      await store.update(Box, 'a', 'odd', { spec: { node: 'plain' } });
      expect([await find(node), await find(`${node}!`), await find('plain')]).toEqual([[], ['begins-alike'], ['odd']]);
      await store.delete(Box, 'a', 'begins-alike');
      expect(await find(`${node}!`)).toEqual([]);
    })(),
  );

  it.each([
    ['a NUL', 'a\0b'],
    ['a space', 'a b'],
    ['129 characters', 'u'.repeat(129)],
  ])('is refused for an owner whose uid holds %s, and harms no neighbour', (_, uid) =>
    among(engine, async (store) => {
      const ownerReferences = [{ apiVersion: 'v1', kind: 'Box', name: 'owner', uid }];
      const failure = await store.create(Box, 'a', 'bad', { metadata: { ownerReferences }, spec: {} }).catch((error: unknown) => error);
      expect(failure).toSatisfy(isInvalid);
      expect(failure).toMatchObject({ causes: [{ field: 'metadata.ownerReferences[0].uid' }] });
    })(),
  );

  it.each([
    ['longer than 1,024 bytes', 's'.repeat(1025)],
    ['longer than 1,024 bytes in UTF-8', '\uffff'.repeat(342)],
    ['an object', {}],
    ['a number', 5],
    ['null', null],
    ['half a surrogate pair', 'half \ud800'],
  ])('is refused for a source that is %s, on each way to write, and harms no neighbour', (_, given) =>
    among(engine, async (store) => {
      const options = { source: given as string };
      const made = await store.create(Box, 'b', 'x', { spec: {} }, { source: 's'.repeat(1024) });
      const tries: (() => Promise<unknown>)[] = [
        () => store.create(Box, 'a', 'bad', { spec: {} }, options),
        () => store.create(Box, 'a', undefined, { metadata: { generateName: 'bad-' }, spec: {} }, options),
        () => store.update(Box, 'b', 'x', { spec: { size: 1 } }, options),
        () => store.patch(Box, 'b', 'x', { spec: { size: 1 } }, options),
        () => store.apply(Box, 'b', 'x', { spec: { size: 1 } }, options),
        () => store.modify(Box, 'b', 'x', (draft) => void (draft.spec.size = 1), options),
        () => store.delete(Box, 'b', 'x', options),
        () => store.rollback(Box, 'b', 'x', made.metadata.resourceVersion, options),
        () => store.deleteCollection(Box, 'b', options),
        () => store.transaction((tx) => tx.patch(Box, 'b', 'x', { spec: { size: 1 } }), options),
        () => store.create(Box, 'a', 'bad', { spec: {} }, { ...options, dryRun: true }),
      ];
      for (const attempt of tries) {
        const failure = await attempt().catch((error: unknown) => error);
        expect(failure).toSatisfy(isInvalid);
        expect(failure).toMatchObject({ causes: [{ field: 'source' }] });
      }
      expect((await store.get(Box, 'b', 'x')).metadata.resourceVersion).toBe(made.metadata.resourceVersion);
      expect((await store.getHistory(Box, 'b', 'x'))[0]?.source).toHaveLength(1024);
      expect(await store.get(Box, 'a', 'bad').catch((error: unknown) => error)).toSatisfy(isNotFound);
    })(),
  );

  it('fails alone when the engine refuses it, and what was planned on top of it is planned anew', () =>
    onStorage(engine, async ({ source }) => {
      await using store = await openStore({ engine: refusing(source, 'bad'), types: [Box] });
      const made = store.create(Box, 'a', 'bad', { spec: {} }).catch((error: unknown) => error);
      const outcomes = await Promise.all([
        store.create(Box, 'a', 'before', { spec: {} }).then(({ metadata }) => metadata.name),
        store.patch(Box, 'a', 'bad', { spec: { size: 1 } }).catch((error: unknown) => error),
        store.transaction(async (tx) => (await tx.list(Box, 'a')).items.map(({ metadata }) => metadata.name)),
        store.create(Box, 'a', 'behind', { spec: {} }).then(({ metadata }) => metadata.name),
      ]);
      expect(await made).toBeInstanceOf(BadRequestError);
      expect(outcomes[0]).toBe('before');
      expect(outcomes[1]).toSatisfy(isNotFound);
      expect(outcomes[2]).not.toContain('bad');
      expect(outcomes[3]).toBe('behind');
      expect((await store.list(Box, 'a')).items.map(({ metadata }) => metadata.name)).toEqual(['before', 'behind']);
      expect((await store.verify()).problems).toEqual([]);
    })());
});

/** A source whose engines refuse to create one name, as they would one that they cannot keep. */
function refusing(source: EngineSource, name: string): EngineSource {
  return {
    ...source,
    async open(context) {
      const engine = await source.open(context);
      const commit: Engine['commit'] = async (batch) => {
        const bad = batch.map(({ writes }) => writes.some(({ key, meta }) => key.name === name && meta.verb === 'create'));
        // In its place: others of the batch name requests by theirs.
        const results = await engine.commit(batch.map((request, index) => (bad[index] === true ? { ...request, writes: [] } : request)));
        return results.map((result, index): CommitResult =>
          bad[index] === true ? { ok: false, refused: new BadRequestError('cannot be kept') } : result,
        );
      };
      return Object.assign(Object.create(engine) as Engine, { commit });
    },
  };
}
