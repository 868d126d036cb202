/** The tokens between pages: good for the question they were given for, unchanged, wherever the store is opened; for nothing else. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { UnknownResource } from '../../src/schemas/index.js';
import { memoryEngine, openStore } from '../../src/store/index.js';
import type { ListOptions, Store } from '../../src/store/index.js';
import { engines, onStorage } from './on-engines.js';

async function filled(store: Store): Promise<Store> {
  for (const type of ['aaa', 'plain', 'zzz'])
    for (const namespace of ['a', 'b']) for (let n = 0; n < 6; n += 1) await store.create(type, namespace, `o${n}`, { n });
  return store;
}

const names = async (store: Store, options: ListOptions<UnknownResource>): Promise<string[]> =>
  (await store.list('plain', 'a', options)).items.map(({ metadata }) => metadata.name);
const bad = { code: 400, reason: 'BadRequest' };
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

describe.each(engines)('a continue token on the %s engine', (engine) => {
  it(
    'is refused when anything in it was changed, and when it is of another store or question',
    onStorage(engine, async ({ open }) => {
      const store = await filled(await open());
      const { continue: token } = await store.list('plain', 'a', { limit: 2 });
      const bytes = Buffer.from(token!, 'base64url');
      const start = bytes.indexOf('{"v"');
      const body = JSON.parse(bytes.toString('utf8', start)) as Record<string, unknown>;
      const forged = (change: object): string =>
        text(Buffer.concat([bytes.subarray(0, start), Buffer.from(JSON.stringify({ ...body, ...change }))]));
      expect(await names(store, { limit: 2, continue: forged({}) })).toEqual(['o2', 'o3']);
      for (const change of [{ r: 0 }, { r: 1 }, { r: 1e9 }, { t: 'aaa' }, { n: 'b' }, { o: 'o0' }, { o: '' }, { q: 'x' }, { v: 1 }])
        await expect(names(store, { limit: 2, continue: forged(change) }), JSON.stringify(change)).rejects.toMatchObject(bad);
      for (const wrong of ['', 'x', text(bytes.subarray(start)), `${token}A`, `${token}=`, ` ${token}`, token!.slice(0, -1)])
        await expect(names(store, { limit: 2, continue: wrong }), wrong).rejects.toMatchObject(bad);
      await using other = await filled(await openStore({ engine: memoryEngine() }));
      await expect(names(other, { limit: 2, continue: token })).rejects.toMatchObject(bad);
      for (const [type, namespace, options] of [
        ['aaa', 'a', {}],
        ['plain', 'b', {}],
        ['plain', undefined, {}],
        ['plain', 'a', { labelSelector: 'a=b' }],
        ['plain', 'a', { fieldSelector: 'n=1' }],
        ['plain', 'a', { resourceVersion: '1' }],
      ] as const)
        await expect(store.list(type, namespace, { ...options, continue: token })).rejects.toMatchObject(bad);
    }),
  );

  it(
    'goes on where the page before ended after the store was opened again',
    onStorage(engine, async ({ open }) => {
      const first = await filled(await open());
      const page = await first.list('plain', 'a', { limit: 2 });
      await first.delete('plain', 'a', 'o3');
      await first.close();
      const store = await open();
      const next = await store.list('plain', 'a', { limit: 3, continue: page.continue });
      expect([next.items.map(({ metadata }) => metadata.name), next.resourceVersion]).toEqual([['o2', 'o3', 'o4'], page.resourceVersion]);
      expect(await names(store, { continue: next.continue })).toEqual(['o5']);
    }),
  );
});

describe('whatever is given as a continue token', () => {
  it('is a page that follows or a refusal, never another page', async () => {
    await using store = await filled(await openStore({ engine: memoryEngine() }));
    const { continue: token } = await store.list('plain', 'a', { limit: 2 });
    const bytes = Buffer.from(token!, 'base64url');
    const flipped = fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, by]) => {
      const copy = Buffer.from(bytes);
      copy[at]! ^= by;
      return text(copy);
    });
    await fc.assert(
      fc.asyncProperty(fc.oneof(flipped, fc.string(), fc.base64String(), fc.json()), async (given) => {
        await expect(names(store, { limit: 2, continue: given })).rejects.toMatchObject(bad);
      }),
      { numRuns: 200 },
    );
    expect(await names(store, { limit: 2, continue: token })).toEqual(['o2', 'o3']);
  });
});

describe('the whole of a list that is paged on two stores of one directory', () => {
  it(
    'comes from either of them',
    onStorage('lmdb', async ({ open }) => {
      const stores = [await filled(await open()), await open()];
      while (stores[1]!.revision !== stores[0]!.revision) await stores[1]!.deps.scheduler.turn();
      const found: string[] = [];
      let token: string | undefined;
      let turn = 0;
      do {
        const page = await stores[turn++ % 2]!.list('plain', 'a', { limit: 1, ...(token === undefined ? {} : { continue: token }) });
        found.push(...page.items.map(({ metadata }) => metadata.name));
        token = page.continue;
      } while (token !== undefined);
      expect(found).toEqual(['o0', 'o1', 'o2', 'o3', 'o4', 'o5']);
    }),
  );
});
