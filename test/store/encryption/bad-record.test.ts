/** Real world: the disk under one of the engines. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Config, Secret, defineResource } from '../../../src/schemas/index.js';
import { createSecretRepo, lmdbEngine, memoryEngine } from '../../../src/store/index.js';
import type { EngineSource, KeyStatus, Store, WatchEvent, WatchOptions } from '../../../src/store/index.js';
import { memoryLogger, open, tapped } from './support.js';

const root = await mkdtemp(join(tmpdir(), 'rune-bad-'));
afterAll(() => rm(root, { recursive: true, force: true }));
let count = 0;
const directory = (): string => join(root, String((count += 1)));

const engines: [string, () => EngineSource][] = [
  ['memory', () => memoryEngine()],
  ['lmdb', () => lmdbEngine({ path: directory() })],
];

const damages: [string, (bytes: Buffer) => Buffer][] = [
  ['its format', (bytes) => Buffer.from(bytes).fill(9, 1, 2)],
  ['its first byte', (bytes) => Buffer.from(bytes).fill(0x41, 0, 1)],
  ['its clear part', (bytes) => Buffer.from(bytes).fill('n', bytes.indexOf('"metadata"') + 1, bytes.indexOf('"metadata"') + 2)],
  ['everything but its beginning', (bytes) => bytes.subarray(0, 40)],
  ['everything but its first byte', (bytes) => bytes.subarray(0, 1)],
];

type Tapped = ReturnType<typeof tapped>;

/** Changes the bytes of the newest version of an object, or of an older one. */
async function damage({ engine }: Tapped, name: string, edit: (bytes: Buffer) => Buffer, back = 0): Promise<void> {
  const { entries } = await engine().walk({ type: 'secret' });
  const entry = entries.filter(({ key, value }) => key.name === name && value !== undefined).at(-1 - back)!;
  const { key, revision, value } = entry;
  expect(await engine().rewrite([{ key, revision, expect: value!, value: edit(Buffer.from(value!)) }])).toBe(1);
}

/** Secrets a, b and c with two versions each; the newest of b is damaged. */
async function damaged(
  source: EngineSource,
  edit: (bytes: Buffer) => Buffer,
  metadata: object = {},
): Promise<Store & { readonly tap: Tapped }> {
  const tap = tapped(source);
  {
    await using store = await open({ engine: tap });
    for (const name of ['a', 'b', 'c']) await store.create(Secret, 'prod', name, { data: { v: '1' }, metadata });
    for (const name of ['a', 'b', 'c']) await store.patch(Secret, 'prod', name, { data: { v: '2' } });
    await damage(tap, 'b', edit);
  }
  return Object.assign(await open({ engine: tap }), { tap });
}

async function watched(store: Store, options: WatchOptions, many: number): Promise<WatchEvent[]> {
  await using watch = store.watch(Secret, 'prod', options);
  const events: WatchEvent[] = [];
  while (events.length < many) events.push((await watch.next()).value as WatchEvent);
  return events;
}

const nameOf = (event: WatchEvent): string =>
  event.type === 'BOOKMARK' ? '-' : `${event.type} ${event.name}${'error' in event ? '!' : ''}`;
const reason = expect.stringMatching(/^(DecryptionFailed|Corrupt)$/) as string;

describe.each(engines)('one secret that cannot be opened (%s)', (_engine, source) => {
  it.each(damages)('fails alone in lists, transactions, history and watches, with %s damaged', async (_what, edit) => {
    await using store = await damaged(source(), edit);
    const failed = [{ namespace: 'prod', name: 'b', error: { reason } }];
    const listed = await store.list(Secret, 'prod');
    expect([listed.items.map(({ metadata }) => metadata.name), listed.failed]).toMatchObject([['a', 'c'], failed]);
    const inside = await store.transaction((tx) => tx.list(Secret, 'prod'));
    expect([inside.items.map(({ metadata }) => metadata.name), inside.failed]).toMatchObject([['a', 'c'], failed]);

    const history = await store.getHistory(Secret, 'prod', 'b');
    expect(history).toMatchObject([
      {
        version: '5',
        change: 'updated',
        error: { reason },
        resource: { metadata: { name: 'b', namespace: 'prod', resourceVersion: '5' } },
      },
      { version: '2', change: 'created' },
    ]);
    expect(history[1]).not.toHaveProperty('error');
    expect(history[1]!.resource.data!['v']!.reveal()).toBe('1');
    expect((await store.getVersion(Secret, 'prod', 'b', '2')).data).toEqual({ v: '1' });

    const initial = await watched(store, { initial: true }, 4);
    expect(initial.map(nameOf)).toEqual(['CREATED a', 'CREATED b!', 'CREATED c', '-']);
    expect(initial[1]).toMatchObject({ initial: true, resourceVersion: '5', error: { reason }, resource: { metadata: { name: 'b' } } });
    expect(Object.isFrozen(initial[1])).toBe(true);
    const replayed = await watched(store, { since: '0' }, 6);
    expect(replayed.map(nameOf)).toEqual(['CREATED a', 'CREATED b', 'CREATED c', 'UPDATED a', 'UPDATED b!', 'UPDATED c']);
    expect(replayed[4]).toMatchObject({ resourceVersion: '5', resume: '5', resource: { metadata: { name: 'b', resourceVersion: '5' } } });

    await expect(store.update(Secret, 'prod', 'b', { data: { v: '3' } })).rejects.toMatchObject({ reason });
    await expect(store.create(Secret, 'prod', 'b', { data: { v: '3' } })).rejects.toMatchObject({ reason: 'AlreadyExists' });
    await expect(store.transaction((tx) => tx.update(Secret, 'prod', 'b', { data: {} }))).rejects.toMatchObject({ reason });
    expect(store.revision).toBe('6');
  });

  it.each(damages)('can be deleted, alone and with the rest, and written anew, with %s damaged', async (_what, edit) => {
    {
      await using store = await damaged(source(), edit);
      await using watch = store.watch(Secret, 'prod');
      const last = await store.delete(Secret, 'prod', 'b');
      expect(last.metadata).toMatchObject({ name: 'b', namespace: 'prod' });
      await store.create(Secret, 'prod', 'b', { data: { v: '3' } });
      expect([nameOf((await watch.next()).value), nameOf((await watch.next()).value)]).toEqual(['DELETED b!', 'CREATED b']);
      expect((await store.list(Secret)).failed).toEqual([]);
      // What was deleted is told to who reads the log, too.
      expect((await watched(store, { since: '6' }, 2)).map(nameOf)).toEqual(['DELETED b!', 'CREATED b']);
      expect((await store.verify()).problems).toEqual([]);
    }
    await using store = await damaged(source(), edit);
    expect(await store.deleteCollection(Secret, 'prod')).toEqual({ deleted: 3, resourceVersion: '9' });
    expect(await store.list(Secret)).toMatchObject({ items: [], failed: [] });
  });

  it('can be deleted and made anew in a transaction, which may not read it', async () => {
    await using store = await damaged(source(), damages[0]![1]);
    await store.transaction(async (tx) => {
      await expect(tx.get(Secret, 'prod', 'b')).rejects.toMatchObject({ reason });
      await tx.delete(Secret, 'prod', 'b');
      expect((await tx.list(Secret, 'prod')).failed).toEqual([]);
      await tx.create(Secret, 'prod', 'b', { data: { v: 'new' } });
    });
    expect((await store.get(Secret, 'prod', 'b')).data).toEqual({ v: 'new' });
  });

  it('goes at once when it is deleted, whatever finalizers it has: it cannot be written again', async () => {
    const finalizers = ['example.com/keep'];
    const tap = tapped(source());
    {
      await using store = await open({ engine: tap });
      for (const name of ['fine', 'swapped', 'damaged'])
        await store.create(Secret, 'prod', name, { data: { v: name }, metadata: { finalizers } });
      await damage(tap, 'damaged', damages[0]![1]);
      // The last byte: everything can be seen, and nothing be opened.
      await damage(tap, 'swapped', (bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.of(bytes.at(-1)! ^ 1)]));
    }
    await using store = await open({ engine: tap });
    for (const name of ['swapped', 'damaged']) {
      await store.delete(Secret, 'prod', name);
      await expect(store.get(Secret, 'prod', name)).rejects.toMatchObject({ reason: 'NotFound' });
    }
    await store.delete(Secret, 'prod', 'fine');
    expect((await store.get(Secret, 'prod', 'fine')).metadata.deletionTimestamp).toBeDefined();
  });

  it('holds to preconditions when it is deleted', async () => {
    await using store = await damaged(source(), damages[0]![1]);
    await expect(store.delete(Secret, 'prod', 'b', { preconditions: { uid: 'another' } })).rejects.toMatchObject({ reason: 'Conflict' });
    await expect(store.delete(Secret, 'prod', 'b', { preconditions: { resourceVersion: '2' } })).rejects.toMatchObject({
      reason: 'Conflict',
    });
    await store.delete(Secret, 'prod', 'b', { dryRun: true });
    await store.delete(Secret, 'prod', 'b', { preconditions: { resourceVersion: '5' } });
  });

  it('is told to watches with selectors as long as it may be meant', async () => {
    await using store = await damaged(source(), damages[0]![1]);
    expect((await watched(store, { initial: true, labelSelector: 'x=y' }, 2)).map(nameOf)).toEqual(['CREATED b!', '-']);
    expect((await watched(store, { initial: true, fieldSelector: 'metadata.name=a' }, 2)).map(nameOf)).toEqual(['CREATED a', '-']);
    expect((await watched(store, { since: '3', fieldSelector: 'metadata.name=b' }, 1)).map(nameOf)).toEqual(['UPDATED b!']);
    expect((await watched(store, { since: '3', fieldSelector: 'metadata.name!=b' }, 2)).map(nameOf)).toEqual(['UPDATED a', 'UPDATED c']);
  });

  it('does not hide what came after it: an update over a damaged version shows itself as previous', async () => {
    const tap = tapped(source());
    await using store = await open({ engine: tap });
    await store.create(Secret, 'prod', 'a', { data: { v: '1' } });
    await store.patch(Secret, 'prod', 'a', { data: { v: '2' } });
    await damage(tap, 'a', damages[0]![1], 1);
    const events = await watched(store, { since: '0' }, 2);
    expect(events.map(nameOf)).toEqual(['CREATED a!', 'UPDATED a']);
    const update = events[1] as WatchEvent & { type: 'UPDATED' };
    expect(update.previous).toBe(update.resource);
    expect((await store.get(Secret, 'prod', 'a')).data).toEqual({ v: '2' });
  });

  it('passes for no other object: its content under another name is nobody', async () => {
    const tap = tapped(source());
    {
      await using store = await open({ engine: tap });
      for (const name of ['a', 'b']) await store.create(Secret, 'prod', name, { data: { v: name }, metadata: { labels: { of: name } } });
      const [a, b] = (await tap.engine().walk({ type: 'secret' })).entries;
      await tap.engine().rewrite([{ key: b!.key, revision: b!.revision, expect: b!.value!, value: a!.value! }]);
    }
    await using store = await open({ engine: tap });
    const events = await watched(store, { initial: true }, 3);
    expect(events.map(nameOf)).toEqual(['CREATED a', 'CREATED b!', '-']);
    expect(JSON.stringify(events[1])).not.toContain('"of"');
    const { failed } = await store.transaction((tx) => tx.list(Secret, 'prod'));
    expect(failed.map(({ name }) => name)).toEqual(['b']);
  });
});

describe('keys, while something cannot be read', () => {
  it.each(damages.slice(0, 2).concat(damages.slice(3)))(
    'are counted, and none is dropped that it may need, with %s damaged',
    async (_what, edit) => {
      await using store = await damaged(memoryEngine(), edit);
      const [{ id: old }] = (await store.keys()) as [KeyStatus];
      expect(await store.keys()).toMatchObject([{ primary: true, versions: 5, unreadable: 1 }]);
      expect((await store.rotateKeys()).failed).toEqual(['secret "prod/b" at revision 5']);
      expect((await store.keys()).map(({ versions, unreadable }) => [versions, unreadable])).toEqual([
        [0, 1],
        [5, 1],
      ]);
      await expect(store.dropKey(old)).rejects.toThrow(
        '1 kept versions are damaged and may need it (secret "prod/b" at revision 5): restore them from a backup, or delete those objects',
      );
      await store.delete(Secret, 'prod', 'b');
      await expect(store.dropKey(old)).rejects.toMatchObject({ reason: 'Conflict' });
      // When nothing of it is kept any more, nothing can need the key.
      const { key, revision, value } = (await store.tap.engine().walk({ type: 'secret' })).entries.find(({ revision: at }) => at === 5)!;
      const [fine] = (await store.tap.engine().walk({ type: 'secret' })).entries;
      await store.tap.engine().rewrite([{ key, revision, expect: value!, value: fine!.value! }]);
      await store.dropKey(old);
    },
  );

  it('are kept, too, while something names a key that there never was: its name may be damaged', async () => {
    await using store = await damaged(memoryEngine(), (bytes) => Buffer.from(bytes).fill('x', 5, 6));
    const [{ id: old }] = (await store.keys()) as [KeyStatus];
    await store.rotateKeys();
    await expect(store.dropKey(old)).rejects.toThrow('which this store never had');
  });

  it('are none of the business of what never was sealed', async () => {
    await using store = await open({ engine: memoryEngine() });
    await store.create(Config, 'prod', 'c', { data: { a: 'b' } });
    const [{ id }] = (await store.keys()) as [KeyStatus];
    await store.rotateKeys();
    expect((await store.keys()).map(({ unreadable }) => unreadable)).toEqual([0, 0]);
    await store.dropKey(id);
  });
});

describe('what else cannot be opened', () => {
  it('ends the wait for a state of it, and of nothing else', async () => {
    await using store = await damaged(memoryEngine(), damages[0]![1]);
    const secrets = createSecretRepo(store);
    await expect(secrets.waitFor({ namespace: 'prod', name: 'b' }, (found) => found?.type === 'x')).rejects.toMatchObject({
      reason: 'Corrupt',
    });
    expect((await secrets.waitFor({ namespace: 'prod', name: 'c' }, (found) => found !== undefined))?.data).toEqual({ v: '2' });
  });

  it('fails alone when it lies in the clear since before its field was marked: watches, history, deletes', async () => {
    const widget = (sensitive: boolean) =>
      defineResource({
        kind: 'Widget',
        spec: { type: 'object', properties: { token: { type: 'string', ...(sensitive ? { sensitive } : {}) }, size: { type: 'integer' } } },
      });
    const engine = memoryEngine();
    {
      const before = widget(false);
      await using store = await open({ engine, types: [before] });
      await store.create(before, 'prod', 'clear', { spec: { token: 'hunter2' } });
      await store.create(before, 'prod', 'fine', { spec: { size: 1 } });
    }
    const after = widget(true);
    await using store = await open({ engine, types: [after] });
    await using watch = store.watch(after, 'prod', { initial: true });
    const events = [await watch.next(), await watch.next(), await watch.next()].map(({ value }) => value as WatchEvent);
    expect(events.map(nameOf)).toEqual(['CREATED clear!', 'CREATED fine', '-']);
    expect(JSON.stringify(events)).not.toContain('hunter2');
    const [version] = await store.getHistory(after, 'prod', 'clear');
    expect(version).toMatchObject({ version: '1', error: { reason: 'DecryptionFailed' } });
    await expect(store.update(after, 'prod', 'clear', { spec: { token: 'new' } })).rejects.toThrow('spec.token lies in the clear');
    expect((await store.deleteCollection(after, 'prod')).deleted).toBe(2);
    expect(await store.list(after)).toMatchObject({ items: [], failed: [] });
  });

  it('keeps no store from opening: a namespace', async () => {
    const tap = tapped(memoryEngine({ decoded: false }));
    {
      await using store = await open({ engine: tap, strictNamespaces: true });
      for (const name of ['one', 'two']) await store.create('namespace', undefined, name, {});
      const [one] = (await tap.engine().walk({ type: 'namespace' })).entries;
      await tap.engine().rewrite([{ key: one!.key, revision: one!.revision, expect: one!.value!, value: Buffer.from('{"meta') }]);
    }
    const { logger, lines } = memoryLogger();
    await using store = await open({ engine: tap, strictNamespaces: true }, logger);
    for (const name of ['one', 'two']) await store.create(Secret, name, 's', { data: {} });
    expect(lines.join()).toContain('a namespace cannot be opened; it counts as active');
  });

  it('fails alone in types without secrets as well', async () => {
    const tap = tapped(memoryEngine({ decoded: false }));
    {
      await using store = await open({ engine: tap });
      for (const name of ['a', 'b', 'c']) await store.create(Config, 'prod', name, { data: { v: name } });
      const [, b] = (await tap.engine().walk({ type: 'config' })).entries;
      await tap.engine().rewrite([{ key: b!.key, revision: b!.revision, expect: b!.value!, value: Buffer.from('{"meta') }]);
    }
    await using store = await open({ engine: tap });
    await using watch = store.watch(Config, 'prod', { initial: true });
    const events = [await watch.next(), await watch.next(), await watch.next()].map(({ value }) => value as WatchEvent);
    expect(events.map(nameOf)).toEqual(['CREATED a', 'CREATED b!', 'CREATED c']);
    expect((await store.transaction((tx) => tx.list(Config, 'prod'))).failed).toMatchObject([{ name: 'b', error: { reason: 'Corrupt' } }]);
    expect((await store.getHistory(Config, 'prod', 'b'))[0]).toMatchObject({ error: { reason: 'Corrupt' } });
    await store.delete(Config, 'prod', 'b');
    expect((await store.list(Config)).failed).toEqual([]);
  });
});
