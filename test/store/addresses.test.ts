/** Types, namespaces and names: which there must be, that none bleeds into another, and what is refused as one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StatusError, isForbidden } from '../../src/schemas/index.js';
import { deferred, memoryEngine, openStore } from '../../src/store/index.js';
import { brief, engines, onStorage, take } from './on-engines.js';

describe.each(engines)('namespaces on the %s engine', (engine) => {
  it(
    'must exist under strictNamespaces, also when they were made before the store was opened',
    onStorage(engine, async ({ open }) => {
      const first = await open();
      await first.create('namespace', undefined, 'early', {});
      await first.close();
      const store = await open({ strictNamespaces: true });
      await store.create('plain', 'early', 'a', {});
      await expect(store.create('plain', 'prod', 'a', {})).rejects.toSatisfy(isForbidden);
      // Made and used in one breath: what is on its way counts.
      await Promise.all([store.create('namespace', undefined, 'prod', {}), store.create('plain', 'prod', 'a', {})]);
      await store.create('plain', undefined, 'cluster', {});
      await store.delete('namespace', undefined, 'prod');
      await expect(store.create('plain', 'prod', 'b', {})).rejects.toSatisfy(isForbidden);
      await store.update('plain', 'prod', 'a', { still: 'writable' });
    }),
  );

  it(
    'that goes away while a transaction is about to make something in it refuses that, and leaves nothing',
    onStorage(engine, async ({ open }) => {
      const store = await open({ strictNamespaces: true });
      for (const finalizers of [[], ['example.com/hold']]) {
        const name = finalizers.length === 0 ? 'gone' : 'going';
        await store.create('namespace', undefined, name, { metadata: { finalizers } });
        const reached = deferred();
        const gate = deferred();
        const runs: string[] = [];
        const making = store.transaction(async (tx) => {
          runs.push(name);
          await tx.create('plain', name, 'x', {});
          reached.resolve();
          await gate.promise;
        });
        await reached.promise;
        await store.delete('namespace', undefined, name);
        gate.resolve();
        await expect(making).rejects.toSatisfy(isForbidden);
        expect(runs).toHaveLength(2);
        expect((await store.list('plain', name)).items).toEqual([]);
      }
    }),
  );

  it(
    'is as a transaction has made it, for what the transaction makes in it',
    onStorage(engine, async ({ open }) => {
      const store = await open({ strictNamespaces: true });
      await store.transaction(async (tx) => {
        await tx.create('namespace', undefined, 'new', {});
        await tx.create('plain', 'new', 'x', {});
      });
      expect((await store.list('plain', 'new')).items).toHaveLength(1);
      await store.create('namespace', undefined, 'held', { metadata: { finalizers: ['example.com/hold'] } });
      for (const name of ['new', 'held']) {
        const revision = store.revision;
        await expect(
          store.transaction(async (tx) => {
            await tx.delete('namespace', undefined, name);
            await tx.create('plain', name, 'y', {});
          }),
        ).rejects.toSatisfy(isForbidden);
        expect(store.revision).toBe(revision);
      }
      // What is there already stays writable.
      await store.transaction(async (tx) => {
        await tx.delete('namespace', undefined, 'new');
        await tx.update('plain', 'new', 'x', { still: 'writable' });
      });
    }),
  );

  it(
    'and types never bleed into each other by their beginnings',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      const spaces = ['prod', 'production', 'prod-1', 'prod1', 'pro'];
      const types = ['svc', 'svc2', 'sv', 'svc.example.com'];
      const watches = spaces.flatMap((space) => types.map((type) => ({ space, type, watch: store.watch(type, space) })));
      for (const type of types)
        for (const space of spaces) for (const name of ['a', 'a-b', 'a.b', 'ab']) await store.create(type, space, name, { owner: 'x' });
      for (const { space, type, watch } of watches) {
        expect((await store.list(type, space)).items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)).toEqual(
          ['a', 'a-b', 'a.b', 'ab'].map((name) => `${space}/${name}`),
        );
        const events = await take(watch, 4);
        expect(events.every((event) => event.type === 'CREATED' && event.resourceType === type && event.namespace === space)).toBe(true);
        const paged = await store.list(type, space, { limit: 3 });
        expect([paged.items.length, paged.remaining]).toEqual([3, 1]);
        expect((await store.list(type, space, { limit: 3, continue: paged.continue })).items).toHaveLength(1);
      }
      await store.deleteCollection('svc', 'prod');
      expect((await store.list('svc', 'prod')).items).toEqual([]);
      for (const type of types) expect((await store.list(type)).items).toHaveLength(type === 'svc' ? 16 : 20);
      expect(await store.getHistory('svc', 'prod', 'a')).toHaveLength(2);
      expect(await store.getHistory('svc', 'prod', 'a-b')).toHaveLength(2);
    }),
  );
});

describe('a namespace that another process deletes', () => {
  it(
    'takes nothing in any more, though this process has not heard of it yet',
    onStorage('lmdb', async ({ open }) => {
      const mine = await open({ strictNamespaces: true });
      const theirs = await open({ strictNamespaces: true });
      for (let round = 0; round < 5; round += 1) {
        await mine.create('namespace', undefined, 'prod', {});
        await mine.create('plain', 'prod', 'first', {});
        while (theirs.revision !== mine.revision) await theirs.deps.scheduler.turn();
        await theirs.delete('namespace', undefined, 'prod');
        await expect(mine.create('plain', 'prod', `late-${round}`, {})).rejects.toSatisfy(isForbidden);
        await expect(mine.transaction((tx) => tx.create('plain', 'prod', `late-${round}`, {}))).rejects.toSatisfy(isForbidden);
        await mine.delete('plain', 'prod', 'first');
        expect((await mine.list('plain')).items).toEqual([]);
      }
    }),
  );
});

describe('deleteCollection', () => {
  it('takes what somebody else deletes meanwhile for gone', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    for (let index = 0; index < 20; index += 1) await store.create('plain', 'prod', `o${String(index).padStart(2, '0')}`, {});
    const rival = store.delete('plain', 'prod', 'o07');
    const { deleted, resourceVersion } = await store.deleteCollection('plain', 'prod');
    await rival;
    expect(deleted).toBe(19);
    expect((await store.list('plain', 'prod', { resourceVersion })).items).toEqual([]);
  });

  it('leaves alone an object that was made anew under a name it was about to delete', async () => {
    const source = memoryEngine();
    await using store = await openStore({ engine: source });
    await store.create('plain', 'prod', 'a', {});
    // Both are in line before the collection is: its delete finds another object there.
    const remaking = [store.delete('plain', 'prod', 'a'), store.create('plain', 'prod', 'a', { again: true })];
    const { deleted } = await store.deleteCollection('plain', 'prod');
    await Promise.all(remaking);
    expect([deleted, (await store.get('plain', 'prod', 'a'))['again']]).toEqual([0, true]);
  });
});

describe('addresses', () => {
  it('round trip or are refused with a reason, whatever is thrown at them', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    const text = fc.oneof(
      { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          '..',
          '.',
          '',
          '/',
          'a/b',
          'a\0b',
          '\ud800',
          '\u202eabc',
          'constructor',
          '__proto__',
          'toString',
          'NaN',
          '-',
          '*',
          'all',
          'a'.repeat(253),
          'a'.repeat(254),
          'a\n',
        ),
      },
      { weight: 4, arbitrary: fc.stringMatching(/^[a-z][a-z0-9.-]{0,7}$/) },
      { weight: 4, arbitrary: fc.stringMatching(/^[a-z][a-z0-9]{0,7}$/) },
    );
    let made = 0;
    await fc.assert(
      fc.asyncProperty(text, text, text, async (type, namespace, name) => {
        const before = store.revision;
        try {
          await store.apply(type, namespace, name, { at: made });
        } catch (error) {
          expect(error).toBeInstanceOf(StatusError);
          expect([400, 404, 422]).toContain((error as StatusError).code);
          expect(store.revision).toBe(before);
          return;
        }
        made += 1;
        const { metadata } = await store.get(type, namespace, name);
        expect([metadata.namespace ?? '', metadata.name]).toEqual([namespace, name]);
        await store.delete(type, namespace, name);
      }),
      { numRuns: 200 },
    );
    expect(made).toBeGreaterThan(5);
    const events = await take(store.watch('*', undefined, { since: '0' }), made * 2);
    expect(new Set(events.map(brief)).size).toBe(made * 2);
  });
});
