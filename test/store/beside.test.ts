/** Real world: stores of several processes on one directory, on a real disk. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lease, StoreFailedError, defineResource, isExpired, isForbidden, isNotFound, isStoreFailed } from '../../src/schemas/index.js';
import { createInformers } from '../../src/informer/index.js';
import { deferred, lmdbEngine, openStore, sleep, systemDeps } from '../../src/store/index.js';
import type { Engine, EngineSource, OpenStoreOptions, Store, WriteReceipt } from '../../src/store/index.js';
import { memoryLogger } from './encryption/support.js';
import { faultySource } from './faulty-source.js';

const Room = defineResource({ kind: 'Room', type: 'room', schema: { type: 'object', properties: {} } });

let path: string;
let opened: Store[];
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'rune-beside-'));
  opened = [];
});
afterEach(async () => {
  for (const store of opened) await store.close();
  await rm(path, { recursive: true, force: true });
});

async function open(options: OpenStoreOptions = { path }): Promise<Store> {
  const store = await openStore({ deps: systemDeps({ logger: memoryLogger().logger }), ...options });
  opened.push(store);
  return store;
}

/** A source whose engines keep the commits of others to themselves until they are told to hear, as in a process that is held up. */
function heldUp(source: EngineSource): EngineSource & { hear(): Promise<void> } {
  const told = new Set<(revision: number) => void>();
  let engine: Engine | undefined;
  return {
    ...source,
    async open(context) {
      engine = await source.open(context);
      const onForeignCommit: Engine['onForeignCommit'] = (listener) => {
        told.add(listener);
        return () => void told.delete(listener);
      };
      return Object.assign(Object.create(engine) as Engine, { onForeignCommit });
    },
    async hear() {
      await engine?.range({}, { limit: 1 });
      for (const listener of told) listener(engine?.revision().current ?? 0);
    },
  };
}

/** Another process: it writes, and compacts what it has written. */
async function fillAndCompact(other: Store, name: string): Promise<void> {
  for (let index = 0; index < 5; index += 1) await other.create('room', 'x', `${name}-${index}`, {});
  await other.compact(other.revision);
}

const names = async (store: Store): Promise<string[]> => (await store.list('room')).items.map(({ metadata }) => metadata.name);

describe('a store whose log another process compacts to the present, again and again', () => {
  it('goes on: it reads, writes, watches and follows the other', { timeout: 30_000 }, async () => {
    const [own, other] = [await open(), await open()];
    await own.create('room', 'x', 'first', {});
    for (let round = 0; round < 10; round += 1) {
      await fillAndCompact(other, `r${round}`);
      await own.create('room', 'y', `own-${round}`, {});
      expect(await own.get('room', 'x', `r${round}-4`)).toMatchObject({ metadata: { name: `r${round}-4` } });
    }
    expect(own.ended.aborted).toBe(false);
    expect(await names(own)).toHaveLength(1 + 10 * 6);
    const watch = own.watch('room');
    await other.create('room', 'x', 'last', {});
    expect((await watch.next()).value).toMatchObject({ type: 'CREATED', name: 'last' });
    expect((await own.verify()).problems).toEqual([]);
  });
});

describe('a store that fell behind the compaction of another process', () => {
  async function behind(
    options: Omit<OpenStoreOptions, 'path'> = {},
  ): Promise<{ own: Store; other: Store; source: ReturnType<typeof heldUp> }> {
    const source = heldUp(lmdbEngine({ path }));
    const own = await open({ ...options, engine: source });
    return { own, other: await open(), source };
  }

  it('jumps to the present when it writes, and plans on what is there now', async () => {
    const { own, other } = await behind();
    await own.create('room', 'x', 'both', { size: 1 });
    await other.update('room', 'x', 'both', { size: 2 });
    await other.create('room', 'x', 'theirs', { size: 1 });
    await other.compact(other.revision);
    const [updated, made, conflict] = await Promise.all([
      own.modify('room', 'x', 'both', (draft) => void (draft['size'] = Number(draft['size']) + 1)),
      own.patch('room', 'x', 'theirs', { size: 5 }),
      own.update('room', 'x', 'both', { metadata: { resourceVersion: '1' }, size: 0 }).catch((error: unknown) => error),
    ]);
    expect([updated['size'], made['size']]).toEqual([3, 5]);
    expect(conflict).toMatchObject({ reason: 'Conflict' });
    expect(own.revision).toBe('5');
    expect(own.ended.aborted).toBe(false);
    expect(await names(own)).toEqual(['both', 'theirs']);
  });

  it('tells its watchers that they have missed something, whether they wait or not, and lets those go on that have not', async () => {
    const { own, other, source } = await behind();
    await own.create('room', 'x', 'first', {});
    const waiting = own.watch('room');
    const next = waiting.next().catch((error: unknown) => error);
    const idle = own.watch('other');
    const ahead = own.watch('room', undefined, { since: '6' });
    const said = ahead.next();
    await fillAndCompact(other, 'a');
    await source.hear();
    expect(await next).toSatisfy(isExpired);
    expect(await next).toMatchObject({ compactedRevision: '6', currentRevision: '6' });
    expect(await idle.next().catch((error: unknown) => error)).toSatisfy(isExpired);
    await own.create('room', 'y', 'own', {});
    expect((await said).value).toMatchObject({ type: 'CREATED', name: 'own', resourceVersion: '7' });
    const anew = own.watch('room');
    await own.create('room', 'y', 'next', {});
    expect((await anew.next()).value).toMatchObject({ name: 'next', resourceVersion: '8' });
  });

  it('has its informers list again', async () => {
    const { own, other, source } = await behind({ types: [Room], strictTypes: false });
    other.register(Room);
    await own.create('room', 'x', 'first', {});
    await using informers = createInformers({ store: own });
    const rooms = informers.for(Room);
    informers.start();
    await rooms.whenSynced({ timeout: 2000 });
    await other.delete('room', 'x', 'first');
    await fillAndCompact(other, 'a');
    await source.hear();
    await rooms.caughtUp('7', { timeout: 5000 });
    expect(rooms.list().map(({ metadata }) => metadata.name)).toEqual(['a-0', 'a-1', 'a-2', 'a-3', 'a-4']);
  });

  it('knows by then what was defined and which namespaces went', async () => {
    const { own, other, source } = await behind({ strictNamespaces: true, strictTypes: false });
    const Fresh = defineResource({ kind: 'Fresh', type: 'fresh', spec: { type: 'object', properties: {} } });
    await own.create('namespace', undefined, 'x', {});
    await own.create('namespace', undefined, 'old', {});
    await other.delete('namespace', undefined, 'old');
    await other.create('namespace', undefined, 'new', {});
    await other.create(Fresh, 'x', 'a', { spec: {} });
    await other.compact(other.revision);
    await source.hear();
    await sleep(own.deps, 50);
    await own.create('room', 'new', 'a', {});
    expect(await own.create('room', 'old', 'a', {}).catch((error: unknown) => error)).toSatisfy(isForbidden);
    expect(await own.create('fresh', 'x', 'b', {}).catch((error: unknown) => error)).toSatisfy(isForbidden);
  });

  it('runs a transaction again that had read before, and none of its runs sees two states', async () => {
    const { own, other, source } = await behind();
    for (const name of ['a', 'b']) await own.create('account', 'bank', name, { money: 50 });
    let runs = 0;
    const sum = await own.transaction(async (tx) => {
      runs += 1;
      const a = Number((await tx.get('account', 'bank', 'a'))['money']);
      if (runs === 1) {
        await other.transaction(async (move) => {
          await move.patch('account', 'bank', 'a', { money: 0 });
          await move.patch('account', 'bank', 'b', { money: 100 });
        });
        await fillAndCompact(other, 'a');
        await source.hear();
        await sleep(own.deps, 50);
      }
      return a + Number((await tx.get('account', 'bank', 'b'))['money']);
    });
    expect([sum, runs]).toEqual([100, 2]);
  });

  it('says of a failed commit that nothing tells any more what became of it, and goes on', async () => {
    const source = faultySource(heldUp(lmdbEngine({ path })));
    const [own, other] = [await open({ engine: source }), await open()];
    await own.create('room', 'x', 'first', {});
    source.failNext('commit', new StoreFailedError('EIO: the disk says no', { inDoubt: true }), { applied: true });
    const reopening = source.hold('open');
    const writing = own.create('room', 'x', 'doubtful', {}).catch((error: unknown) => error);
    await source.reached('open');
    await fillAndCompact(other, 'a');
    reopening();
    const failure = await writing;
    expect(failure).toSatisfy(isStoreFailed);
    expect(failure).toMatchObject({ inDoubt: true });
    expect(await own.get('room', 'x', 'doubtful')).toMatchObject({ metadata: { name: 'doubtful' } });
    await own.create('room', 'x', 'more', {});
    expect(await names(own)).toHaveLength(8);
  });
});

describe('a list beside another process', () => {
  it('begins again when the other compacts under it what it shows, and so does one in a transaction', { timeout: 30_000 }, async () => {
    const deps = systemDeps({ logger: memoryLogger().logger });
    let turns = deferred();
    turns.resolve();
    const turn = async (): Promise<void> => {
      await turns.promise;
      return deps.scheduler.turn();
    };
    const own = await open({ path, deps: { ...deps, scheduler: { ...deps.scheduler, turn } } });
    const other = await open();
    await Promise.all(Array.from({ length: 1200 }, (_, index) => own.create('room', 'a', `x${index}`, { size: 0 })));
    for (const list of [
      async () => (await own.list('room', 'a')).items,
      async () => own.transaction(async (tx) => (await tx.list('room', 'a')).items),
    ]) {
      // Held up behind its first slice.
      turns = deferred();
      const listing = list();
      await other.modify('room', 'a', 'x999', (draft) => void (draft['size'] = Number(draft['size']) + 1));
      await other.compact(other.revision);
      turns.resolve();
      const items = await listing;
      expect(items).toHaveLength(1200);
      expect(items.find(({ metadata }) => metadata.name === 'x999')).toMatchObject(await other.get('room', 'a', 'x999'));
    }
  });

  it('that goes by an index shows one revision whole, while the other moves all of it at once', { timeout: 30_000 }, async () => {
    const Box = defineResource({
      kind: 'Box',
      type: 'box',
      spec: { type: 'object', properties: { node: { type: 'string' }, size: { type: 'integer' } } },
      storeIndexes: ['spec.node'],
    });
    const [own, other] = [await open({ path, types: [Box] }), await open({ path, types: [Box] })];
    const boxes = Array.from({ length: 40 }, (_, index) => `b${index}`);
    for (const name of boxes) await own.create(Box, 'a', name, { spec: { node: 'n0', size: 0 } });
    let moving = true;
    const mover = (async () => {
      for (let size = 1; size <= 60; size += 1) {
        await other.transaction(async (tx) => {
          // Half of them change sides with each step: as many as before are found on either.
          for (const [index, name] of boxes.entries()) await tx.patch(Box, 'a', name, { spec: { size, node: `n${(index + size) % 2}` } });
        });
      }
      moving = false;
    })();
    let lists = 0;
    for (; moving; lists += 1) {
      const { items, resourceVersion } = await own.list(Box, 'a', { fieldSelector: 'spec.node=n0' });
      expect(new Set(items.map(({ spec }) => spec.size)).size).toBe(1);
      expect(items).toHaveLength(items[0]?.spec.size === 0 ? 40 : 20);
      for (const { metadata } of items) expect(Number(metadata.resourceVersion)).toBeLessThanOrEqual(Number(resourceVersion));
      await own.deps.scheduler.turn();
    }
    await mover;
    expect(lists).toBeGreaterThan(20);
  });

  it('is never older than what was read before it, be it there or gone', { timeout: 30_000 }, async () => {
    const source = heldUp(lmdbEngine({ path }));
    const [own, other] = [await open({ engine: source }), await open()];
    await own.create('room', 'a', 'x', { size: 0 });
    await own.create('room', 'a', 'y', { size: 0 });
    for (let size = 1; size <= 20; size += 1) {
      await other.update('room', 'a', 'x', { size });
      expect((await own.get('room', 'a', 'x'))['size']).toBe(size);
      const { items, resourceVersion } = await own.list('room', 'a');
      expect(items[0]).toMatchObject({ size, metadata: { resourceVersion } });
    }
    await other.delete('room', 'a', 'y');
    await expect(own.get('room', 'a', 'y')).rejects.toMatchObject({ reason: 'NotFound' });
    const { items, resourceVersion } = await own.list('room', 'a');
    expect(items.map(({ metadata }) => metadata.name)).toEqual(['x']);
    // The token of such a list works at once, and so does a compaction up to it.
    const watch = own.watch('room', 'a', { since: resourceVersion });
    await source.hear();
    await own.compact(resourceVersion);
    await other.update('room', 'a', 'x', { size: 100 });
    await source.hear();
    expect((await watch.next()).value).toMatchObject({ type: 'UPDATED', resource: { size: 100 } });
  });
});

describe('an index beside another process that does not keep it', () => {
  const box = (storeIndexes: readonly string[]) =>
    defineResource({ kind: 'Box', type: 'box', spec: { type: 'object', properties: { node: { type: 'string' } } }, storeIndexes });
  const built = async (store: Store): Promise<void> => {
    while ((await store.stats())['indexesBuilding'] !== 0) await store.deps.scheduler.turn();
  };
  const find = async (store: Store): Promise<string[]> =>
    (await store.list('box', 'a', { fieldSelector: 'spec.node=n1' })).items.map(({ metadata }) => metadata.name);

  it.each(['before', 'behind'])(
    'loses nothing when the other came %s it was built, and is complete again when it is declared anew',
    async (came) => {
      const [Box, plain] = [box(['spec.node']), box([])];
      let other = came === 'before' ? await open({ path, types: [plain] }) : undefined;
      await other?.create(plain, 'a', 'b0', { spec: { node: 'n1' } });
      const own = await open({ path, types: [Box] });
      await own.create(Box, 'a', 'b1', { spec: { node: 'n1' } });
      await built(own);
      other ??= await open({ path, types: [plain] });
      const expected = came === 'before' ? ['b0', 'b1'] : ['b1'];
      for (let round = 2; round < 12; round += 1) {
        await Promise.all([
          other.create(plain, 'a', `b${round}`, { spec: { node: 'n1' } }),
          other.patch(plain, 'a', 'b1', { spec: { node: `n${round % 2}` } }),
          own.create(Box, 'a', `c${round}`, { spec: { node: 'n1' } }),
        ]);
        expected.push(`b${round}`, `c${round}`);
        // What a list has to show: a process hears of another's commits a moment later, unless it looks.
        for (const store of [own, other]) for (const name of [`b${round}`, 'b1', `c${round}`]) await store.get('box', 'a', name);
        const odd = round % 2 === 1;
        const wanted = expected.filter((name) => odd || name !== 'b1').toSorted();
        expect(await find(own)).toEqual(wanted);
        expect(await find(other)).toEqual(wanted);
      }
      expect((await own.verify()).problems).toEqual([]);
      await other.close();
      await own.close();
      const anew = await open({ path, types: [Box] });
      await built(anew);
      expect((await anew.verify()).problems).toEqual([]);
      expect(await find(anew)).toEqual(expected.toSorted());
    },
  );
});

describe('a process that stood still while another wrote into a list that it had read, and compacted', () => {
  it('runs its transaction again, and goes on', { timeout: 60_000 }, async () => {
    const store = await open();
    await store.create('room', 'y', 'first', {});
    let runs = 0;
    const counted = await store.transaction(async (tx) => {
      runs += 1;
      const { items } = await tx.list('room', 'x');
      if (runs === 1)
        execFileSync(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'children', 'fills-and-compacts.ts'), path]);
      if (items.length === 0) await tx.create('room', 'x', 'mine', {});
      return items.length;
    });
    expect(counted).toBe(1);
    expect(runs).toBeGreaterThan(1);
    expect((await store.list('room', 'x')).items.map(({ metadata }) => metadata.name)).toEqual(['intruder']);
    expect(store.ended.aborted).toBe(false);
    await store.create('room', 'x', 'again', {});
    expect((await store.verify()).problems).toEqual([]);
  });
});

describe('a read', () => {
  it('shows what another process has committed, also where nothing but waiting for that process lies between it and the read before', async () => {
    const store = await open();
    await store.create('room', 'x', 'mine', {});
    const before = store.get('room', 'x', 'intruder').catch((error: unknown) => error);
    execFileSync(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'children', 'fills-and-compacts.ts'), path]);
    const after = store.get('room', 'x', 'intruder');
    expect(await before).toSatisfy(isNotFound);
    expect((await after).metadata.name).toBe('intruder');
  });
});

describe('a leader that wakes after its lease was taken in another process', () => {
  const fence = { namespace: 'default', name: 'leader', token: '1' };
  const take = (store: Store, fencingToken: string): Promise<unknown> =>
    store.apply(Lease, 'default', 'leader', { spec: { holderIdentity: `holder ${fencingToken}`, fencingToken } });

  async function frozen(): Promise<{ leader: Store; own: Store; other: Store }> {
    const own = await open({ engine: heldUp(lmdbEngine({ path })) });
    await take(own, '1');
    const leader = own.fenced(fence);
    await leader.create('room', 'x', 'a', { size: 1 });
    return { leader, own, other: await open() };
  }

  it.each([
    ['taken', (other: Store) => take(other, '2')],
    ['deleted', (other: Store) => other.delete(Lease, 'default', 'leader')],
    ['deleted and compacted', (other: Store) => other.delete(Lease, 'default', 'leader').then(() => other.compact(other.revision))],
  ])('is refused where it would change nothing, too: %s', async (_, lose) => {
    const { leader, own, other } = await frozen();
    expect(await leader.patch('room', 'x', 'a', { size: 1 })).toMatchObject({ size: 1 });
    await lose(other);
    const receipt: WriteReceipt = {};
    await expect(leader.patch('room', 'x', 'a', { size: 1 }, { receipt })).rejects.toSatisfy(isForbidden);
    expect(receipt).toEqual({});
    await expect(leader.transaction((tx) => tx.patch('room', 'x', 'a', { size: 1 }))).rejects.toSatisfy(isForbidden);
    expect(await own.patch('room', 'x', 'a', { size: 1 })).toMatchObject({ size: 1 });
  });

  it('is refused while a commit of its own is under way', async () => {
    const { leader, own, other } = await frozen();
    await take(other, '2');
    const commits = Array.from({ length: 50 }, (_, index) => own.create('room', 'y', `n${index}`, {}));
    await sleep(own.deps, 0);
    await expect(leader.patch('room', 'x', 'a', { size: 1 })).rejects.toSatisfy(isForbidden);
    await Promise.all(commits);
  });

  it('is answered when the lease was only renewed', async () => {
    const { leader, other } = await frozen();
    for (let index = 0; index < 5; index += 1)
      await other.patch(Lease, 'default', 'leader', { spec: { renewTime: new Date(1_700_000_000_000 + index * 1000).toISOString() } });
    expect(await leader.patch('room', 'x', 'a', { size: 1 })).toMatchObject({ size: 1 });
  });
});
