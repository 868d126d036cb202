import { describe, expect, it } from 'vitest';
import { Lease } from '../../src/schemas/index.js';
import { memoryEngine, openStore } from '../../src/store/index.js';
import type { Store } from '../../src/store/index.js';

const fence = { namespace: 'default', name: 'leader', token: '1' };
const take = (store: Store, fencingToken: string): Promise<unknown> =>
  store.apply(Lease, 'default', 'leader', { spec: { holderIdentity: `holder ${fencingToken}`, fencingToken } });
const refused = expect.objectContaining({ reason: 'Forbidden' }) as Error;

describe('a fenced store', () => {
  it('writes while the token is the newest, and not after another taking of the lease', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    await take(store, '1');
    const leader = store.fenced(fence);
    await leader.create('thing', 'default', 'a', { n: 1 });
    await leader.transaction(async (tx) => tx.update('thing', 'default', 'a', { n: 2 }));
    await take(store, '2');
    const before = store.revision;
    await expect(leader.create('thing', 'default', 'b', {})).rejects.toEqual(refused);
    await expect(leader.update('thing', 'default', 'a', { n: 3 })).rejects.toEqual(refused);
    await expect(leader.delete('thing', 'default', 'a')).rejects.toEqual(refused);
    await expect(leader.transaction((tx) => tx.create('thing', 'default', 'b', {}))).rejects.toEqual(refused);
    await expect(leader.deleteCollection('thing', 'default')).rejects.toEqual(refused);
    expect(store.revision).toBe(before);
    expect((await leader.get('thing', 'default', 'a'))['n']).toBe(2);
    await store.update('thing', 'default', 'a', { n: 4 });
  });

  it('goes on writing while the lease is renewed', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    await take(store, '1');
    const leader = store.fenced(fence);
    const renewing = (async () => {
      for (let index = 0; index < 50; index += 1)
        await store.patch(Lease, 'default', 'leader', { spec: { renewTime: new Date(1_700_000_000_000 + index * 1000).toISOString() } });
    })();
    await Promise.all(Array.from({ length: 100 }, (_, index) => leader.create('thing', 'default', `t${index}`, {})));
    await renewing;
    expect((await store.list('thing')).items).toHaveLength(100);
  });

  it('refuses a write that was lined up behind the taking, in the same commit', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    await take(store, '1');
    const leader = store.fenced(fence);
    const taking = take(store, '2');
    const writing = leader.create('thing', 'default', 'late', {});
    await expect(writing).rejects.toEqual(refused);
    await taking;
  });

  it('refuses everything once the lease is gone, and closing the view closes nothing', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    const leader = store.fenced(fence);
    await expect(leader.create('thing', 'default', 'a', {})).rejects.toEqual(refused);
    await leader.close();
    await store.create('thing', 'default', 'a', {});
  });

  it('refuses the verbs of the view and of the store inside its transactions', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    await take(store, '1');
    const leader = store.fenced(fence);
    for (const around of [leader, store]) {
      await expect(leader.transaction(() => around.create('thing', 'default', 'inner', {}))).rejects.toEqual(refused);
    }
    expect((await store.list('thing')).items).toEqual([]);
  });

  it('keeps its fence where another is asked of it: a view of a view is refused by either', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    await take(store, '1');
    await store.apply(Lease, 'default', 'other', { spec: { holderIdentity: 'me', fencingToken: '9' } });
    const both = store.fenced(fence).fenced({ namespace: 'default', name: 'other', token: '9' });
    await both.create('thing', 'default', 'a', {});
    await both.transaction((tx) => tx.create('thing', 'default', 'b', {}));
    await take(store, '2');
    const before = store.revision;
    await expect(both.create('thing', 'default', 'c', {})).rejects.toMatchObject({ message: expect.stringContaining('default/leader') });
    await expect(both.transaction((tx) => tx.create('thing', 'default', 'c', {}))).rejects.toEqual(refused);
    await expect(both.deleteCollection('thing', 'default')).rejects.toEqual(refused);
    await take(store, '1');
    await store.apply(Lease, 'default', 'other', { spec: { holderIdentity: 'you', fencingToken: '10' } });
    await expect(both.delete('thing', 'default', 'a')).rejects.toMatchObject({ message: expect.stringContaining('default/other') });
    expect(Number(store.revision)).toBe(Number(before) + 2);
  });

  it('stands behind one lease twice, and writes that very lease', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    await take(store, '1');
    const twice = store.fenced(fence).fenced(fence);
    await twice.patch(Lease, 'default', 'leader', { spec: { renewTime: '2026-01-01T00:00:00.000Z' } });
    await twice.create('thing', 'default', 'a', {});
    await take(store, '2');
    await expect(twice.create('thing', 'default', 'b', {})).rejects.toEqual(refused);
  });
});
