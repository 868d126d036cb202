/** Real world: several stores on one directory, as processes have it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StoreFailedError, defineResource, isForbidden, isInvalid } from '../../src/schemas/index.js';
import { lmdbEngine, memoryEngine, sleep, systemDeps } from '../../src/store/index.js';
import type { EngineSource, OpenStoreOptions, Store, StoreVerbs } from '../../src/store/index.js';
import { open as openQuiet, tapped } from './encryption/support.js';

const widget = (token: object) =>
  defineResource({
    kind: 'Widget',
    spec: { type: 'object', properties: { token: { type: 'string', ...token }, size: { type: 'integer' } } },
  });
const other = (kind: string) => defineResource({ kind, spec: { type: 'object', properties: {} } });

const deps = systemDeps();
/** As another process would have registered a type. */
const remembered = JSON.stringify({ widget: { scope: 'Namespaced', sensitivePaths: [], history: false, storeIndexes: [] } });
let path: string;
let stores: Store[];
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'rune-premises-'));
  stores = [];
});
afterEach(async () => {
  for (const store of stores) await store.close();
  await rm(path, { recursive: true, force: true });
});

async function open(options: OpenStoreOptions = { path }): Promise<Store> {
  const store = await openQuiet(options);
  stores.push(store);
  return store;
}

const inFile = async (text: string): Promise<boolean> => (await readFile(join(path, 'data.mdb'))).includes(text);

const spec = { token: 'canary' };
const writes: Record<string, (on: StoreVerbs) => Promise<unknown>> = {
  create: (on) => on.create('widget', 'prod', 'new', { spec }),
  'create with a generated name': (on) => on.create('widget', 'prod', undefined, { metadata: { generateName: 'w-' }, spec }),
  update: (on) => on.update('widget', 'prod', 'w', { spec }),
  patch: (on) => on.patch('widget', 'prod', 'w', { spec }),
  apply: (on) => on.apply('widget', 'prod', 'new', { spec }),
  modify: (on) => on.modify('widget', 'prod', 'w', (draft) => void (draft['spec'] = spec)),
  delete: (on) => on.delete('widget', 'prod', 'w'),
};

describe('a type that another process registers', () => {
  // Each is the first write after the registration: nothing else can have told of it.
  it.each(Object.keys(writes))('is refused at once to a process without the definition: %s', async (name) => {
    for (const inTransaction of [false, true]) {
      const two = await open();
      if ((await two.list('widget')).items.length === 0) await two.create('widget', 'prod', 'w', { spec: { size: 1 } });
      const one = await open({ path, types: [widget({ sensitive: true })] });
      const write = writes[name]!;
      await expect(inTransaction ? two.transaction(write) : write(two)).rejects.toSatisfy(isForbidden);
      expect(await inFile('canary')).toBe(false);
      // Whatever else is written goes on.
      await two.apply('plain', 'prod', 'p', { n: 1 });
      await one.close();
      await two.close();
    }
  });

  it('is refused also to a rollback', async () => {
    const two = await open();
    const { metadata } = await two.create('widget', 'prod', 'w', { spec: { size: 1 } });
    await two.patch('widget', 'prod', 'w', { spec: { size: 2 } });
    await open({ path, types: [widget({ sensitive: true })] });
    await expect(two.rollback('widget', 'prod', 'w', metadata.resourceVersion)).rejects.toSatisfy(isForbidden);
  });

  it('is refused while writes are in flight: from the registration on none is in the clear', async () => {
    const engine = tapped(lmdbEngine({ path }));
    const two = await open({ engine });
    let isOver = false;
    let number = 0;
    const outcomes: boolean[] = [];
    const writers = Array.from({ length: 20 }, async () => {
      while (!isOver) {
        const name = `w${(number += 1)}`;
        await two.create('widget', 'prod', name, { spec }).then(
          () => outcomes.push(true),
          (error: unknown) => {
            expect(error).toSatisfy(isForbidden);
            outcomes.push(false);
          },
        );
        await sleep(deps, 0);
      }
    });
    await expect.poll(() => outcomes.length).toBeGreaterThan(100);
    const one = await open({ path, types: [widget({ sensitive: true })] });
    const since = (await one.create('widget', 'prod', 'sealed', { spec })).metadata.resourceVersion;
    const refused = outcomes.length + 100;
    await expect.poll(() => outcomes.length).toBeGreaterThan(refused);
    isOver = true;
    await Promise.all(writers);
    expect(outcomes.at(-1)).toBe(false);
    const { entries } = await engine.engine().walk({ type: 'widget' });
    expect(entries.filter(({ revision, value }) => revision >= Number(since) && Buffer.from(value!).includes('canary'))).toEqual([]);
    expect(entries.filter(({ revision }) => revision > Number(since))).toEqual([]);
  });

  it('with a field that is sensitive by now is refused to a process whose definition would write it in the clear', async () => {
    const [careless, careful] = [widget({}), widget({ sensitive: true })];
    const two = await open({ path, types: [careless] });
    await two.create(careless, 'prod', 'w', { spec: { size: 1 } });
    const one = await open({ path, types: [careful] });
    await one.create(careful, 'prod', 'sealed', { spec: { token: 'hunter2', size: 1 } });
    for (const [name, write] of Object.entries(writes)) {
      await expect(write(two), name).rejects.toSatisfy(isInvalid);
      await expect(two.transaction(write), name).rejects.toSatisfy(isInvalid);
    }
    await expect(two.patch(careless, 'prod', 'sealed', { spec: { size: 9 } })).rejects.toThrow('sealed spec.token until now');
    expect(await inFile('canary')).toBe(false);
    expect(await inFile('hunter2')).toBe(false);
    // What it reads is what there is.
    expect((await two.get(careless, 'prod', 'sealed')).spec).toEqual({ token: 'hunter2', size: 1 });
    expect((await one.get(careful, 'prod', 'sealed')).spec).toEqual({ token: 'hunter2', size: 1 });
  });

  it('with a field that is sensitive by now is sealed by a process whose definition does not name it', async () => {
    const older = defineResource({ kind: 'Widget', spec: { type: 'object', additionalProperties: true, properties: {} } });
    const newer = defineResource({
      kind: 'Widget',
      spec: { type: 'object', additionalProperties: true, properties: { token: { type: 'string', sensitive: true } } },
    });
    const two = await open({ path, types: [older] });
    await two.create(older, 'prod', 'w', { spec: { size: 1 } });
    const one = await open({ path, types: [newer] });
    const [created] = await Promise.all([two.create(older, 'prod', 'new', { spec }), two.patch(older, 'prod', 'w', { spec })]);
    expect(created.spec).toEqual(spec);
    await two.transaction((tx) => tx.update(older, 'prod', 'new', { spec: { token: 'canary-2' } }));
    expect(await inFile('canary')).toBe(false);
    expect((await one.get(newer, 'prod', 'new')).spec).toEqual({ token: 'canary-2' });
    expect((await one.get(newer, 'prod', 'w')).spec).toEqual({ token: 'canary', size: 1 });
    expect((await two.get(older, 'prod', 'new')).spec).toEqual({ token: 'canary-2' });
  });

  it('goes on to be written by a process that brings a definition that fits', async () => {
    const [mine, theirs] = [widget({ sensitive: true }), widget({ sensitive: true })];
    const two = await open({ path, types: [mine] });
    const one = await open({ path, types: [theirs, other('Gadget')] });
    await two.create(mine, 'prod', 'w', { spec });
    await one.patch(theirs, 'prod', 'w', { spec: { size: 2 } });
    await two.patch(mine, 'prod', 'w', { spec: { size: 3 } });
    expect((await one.get(theirs, 'prod', 'w')).spec).toEqual({ token: 'canary', size: 3 });
    expect(await inFile('canary')).toBe(false);
  });
});

describe('writes under way while another process registers types', () => {
  it('all happen, in their order, and transactions see no mix', async () => {
    const two = await open();
    const store = await open();
    await store.create('plain', 'prod', 'counter', { n: 0 });
    let isOver = false;
    const registering = (async () => {
      for (let round = 0; round < 25 && !isOver; round += 1) {
        two.register(other(`Kind${round}`));
        await two.apply('other', 'prod', `o${round}`, { round });
      }
    })();
    const told: number[] = [];
    let expected = 0;
    for (let round = 0; round < 30; round += 1) {
      // Not waited for: each rests on the one before.
      const burst = [
        store.create('plain', 'prod', `p${round}`, { n: 0 }),
        ...Array.from({ length: 5 }, () =>
          store.modify('plain', 'prod', `p${round}`, (draft) => void (draft['n'] = (draft['n'] as number) + 1)),
        ),
        store.modify('plain', 'prod', 'counter', (draft) => void (draft['n'] = (draft['n'] as number) + 1)),
        // Each registration may cost one a run, and all of them may fall into one burst.
        store.transaction(
          async (tx) => {
            const counter = await tx.get('plain', 'prod', 'counter');
            await tx.update('plain', 'prod', 'counter', { ...counter, n: (counter['n'] as number) + 1 });
          },
          { retries: 50 },
        ),
      ];
      expected += 2;
      const results = (await Promise.all(burst)) as { n?: number }[];
      told.push(...results.slice(0, 6).map((result) => result.n!));
    }
    isOver = true;
    await registering;
    expect(told).toEqual(Array.from({ length: 30 }, () => [0, 1, 2, 3, 4, 5]).flat());
    expect((await store.get('plain', 'prod', 'counter'))['n']).toBe(expected);
    expect((await store.verify()).problems).toEqual([]);
  });

  it('are planned anew in the order they came in, with those that change nothing among them', async () => {
    const engine = tapped(memoryEngine());
    const store = await open({ engine });
    await store.create('plain', 'prod', 'first', { n: 1 });
    await engine.engine().meta.set('types', remembered);
    const [created, same, removed, again] = await Promise.all([
      store.create('plain', 'prod', 'a', { n: 1 }),
      store.patch('plain', 'prod', 'a', { n: 1 }),
      store.delete('plain', 'prod', 'a'),
      store.create('plain', 'prod', 'a', { n: 2 }),
    ]);
    expect(same.metadata).toEqual(created.metadata);
    expect(removed.metadata.uid).toBe(created.metadata.uid);
    expect(again.metadata.uid).not.toBe(created.metadata.uid);
    expect(store.revision).toBe('4');
  });

  it('happen, when reading what was registered fails with the engine', async () => {
    const memory = memoryEngine();
    let failing = 0;
    const engine: EngineSource = {
      ...memory,
      open: async (context) => {
        const opened = await memory.open(context);
        const meta: typeof opened.meta = {
          get: async (name) => {
            if (failing-- > 0) throw new StoreFailedError('the engine is gone', { inDoubt: false });
            return opened.meta.get(name);
          },
          set: (...args) => opened.meta.set(...args),
        };
        return Object.assign(Object.create(opened) as typeof opened, { meta });
      },
    };
    const tap = tapped(engine);
    const store = await open({ engine: tap });
    await store.create('plain', 'prod', 'a', { n: 1 });
    await tap.engine().meta.set('types', remembered);
    failing = 1;
    const [b, w] = await Promise.allSettled([store.create('plain', 'prod', 'b', { n: 1 }), store.create('widget', 'prod', 'w', {})]);
    expect(b.status).toBe('fulfilled');
    expect(w).toMatchObject({ status: 'rejected', reason: { reason: 'Forbidden' } });
    expect(failing).toBeLessThan(1);
  });
});
