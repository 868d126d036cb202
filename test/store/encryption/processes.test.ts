/** Real world: several stores on one directory, as processes have it, and services that are slow in real time. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret, isForbidden } from '../../../src/schemas/index.js';
import { fileKeys, kmsKeys, sleep, systemDeps } from '../../../src/store/index.js';
import type { OpenStoreOptions, Store } from '../../../src/store/index.js';
import { open as openQuiet } from './support.js';

const deps = systemDeps();
let path: string;
let stores: Store[];
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'rune-processes-'));
  stores = [];
});
afterEach(async () => {
  for (const store of stores) await store.close();
  await rm(path, { recursive: true, force: true });
});

async function open(options: Partial<OpenStoreOptions> = {}): Promise<Store> {
  const store = await openQuiet({ path, ...options });
  stores.push(store);
  return store;
}

async function keyFile(name: string): Promise<string> {
  await mkdir(join(path, 'own'), { recursive: true, mode: 0o700 });
  await writeFile(join(path, 'own', name), randomBytes(32).toString('base64'), { mode: 0o600 });
  return join(path, 'own', name);
}

const value = async (store: Store, name: string): Promise<string | undefined> => (await store.get(Secret, 'prod', name)).data?.['value'];
const keyOf = async (store: Store): Promise<unknown> => (await store.stats())['secretsKey'];

async function dropOld(store: Store): Promise<void> {
  for (const { id, primary, versions } of await store.keys()) if (!primary && versions === 0) await store.dropKey(id);
}

describe('a key that one process drops', () => {
  it('seals nothing more of another that has not looked since: what is acknowledged stays readable', async () => {
    const [one, two] = [await open(), await open()];
    await one.create(Secret, 'prod', 'a', { data: { value: 'of one' } });
    const old = await keyOf(one);
    await one.rotateKeys();
    await one.dropKey(String(old));
    await two.create(Secret, 'prod', 'b', { data: { value: 'of two' } });
    await two.transaction((tx) => tx.create(Secret, 'prod', 'c', { data: { value: 'of two' } }));
    expect(await keyOf(two)).toBe(await keyOf(one));
    expect(await one.keys()).toMatchObject([{ primary: true, versions: 3 }]);
    expect(await value(one, 'b')).toBe('of two');
    await one.close();
    await two.close();
    const again = await open();
    expect((await again.list(Secret)).failed).toEqual([]);
    expect((await again.list(Secret)).items.map(({ data }) => data!['value'])).toEqual(['of one', 'of two', 'of two']);
  });

  it('seals nothing more under load, over rotation after rotation', { timeout: 60_000 }, async () => {
    const [one, two, three] = [await open(), await open(), await open()];
    let isOver = false;
    const acknowledged = new Map<string, string>();
    const writers = [one, two, three].flatMap((store, process) =>
      Array.from({ length: 4 }, async (_, writer) => {
        for (let round = 0; !isOver; round += 1) {
          const name = `s${process}-${writer}-${round % 10}`;
          await store.apply(Secret, 'prod', name, { data: { value: String(round) } });
          acknowledged.set(name, String(round));
        }
      }),
    );
    for (let round = 0; round < 4; round += 1) {
      for (const store of [one, two]) {
        await store.rotateKeys();
        await dropOld(store);
      }
    }
    isOver = true;
    await Promise.all(writers);
    await dropOld(three);
    expect(await one.keys()).toMatchObject([{ primary: true }]);
    for (const store of [one, two, three]) await store.close();
    const again = await open();
    const { items, failed } = await again.list(Secret);
    expect(failed).toEqual([]);
    expect(Object.fromEntries(items.map(({ metadata, data }) => [metadata.name, data!['value']]))).toEqual(
      Object.fromEntries(acknowledged),
    );
    expect(acknowledged.size).toBe(120);
    // In the history too.
    for (const [name] of acknowledged)
      for (const { resource } of await again.getHistory(Secret, 'prod', name, { limit: 5 }))
        expect(resource.data!['value']!.reveal()).toMatch(/^\d+$/);
  });

  it('is refused to be dropped as long as a version is sealed with it, whoever wrote that', async () => {
    const [one, two] = [await open(), await open()];
    await two.create(Secret, 'prod', 'a', { data: { value: '1' } });
    const old = String(await keyOf(two));
    await expect(one.dropKey(old)).rejects.toMatchObject({ reason: 'Conflict' });
    expect(await value(one, 'a')).toBe('1');
  });
});

describe('rotateKeys in two processes', () => {
  it('at once goes one after the other: everything is under the last key, and no key is lost', async () => {
    const [one, two] = [await open(), await open()];
    for (let i = 0; i < 30; i += 1) await one.create(Secret, 'prod', `s${i}`, { data: { value: `${i}` } });
    const before = await keyOf(one);
    const reports = await Promise.all([one.rotateKeys(), two.rotateKeys(), one.rotateKeys()]);
    expect(new Set([before, ...reports.map(({ key }) => key)]).size).toBe(4);
    for (const report of reports) expect(report).toMatchObject({ rewrapped: 30, failed: [] });
    const [keys, same] = [await one.keys(), await two.keys()];
    expect(keys).toEqual(same);
    expect(keys.filter(({ versions }) => versions > 0)).toMatchObject([{ primary: true, versions: 30 }]);
    await dropOld(two);
    expect(await readdir(join(path, 'keys'))).toHaveLength(1);
    await one.create(Secret, 'prod', 'by-one', { data: { value: '1' } });
    await two.create(Secret, 'prod', 'by-two', { data: { value: '2' } });
    await one.close();
    await two.close();
    const again = await open();
    const { items, failed } = await again.list(Secret);
    expect([items.length, failed]).toEqual([32, []]);
  });

  it('waits until it is stopped', async () => {
    const slow = kmsKeys({ wrap: async (seed) => seed, unwrap: async (wrapped) => wrapped });
    const [one, two] = [await open({ secrets: { keys: slow } }), await open({ secrets: { keys: slow } })];
    const rotating = one.rotateKeys();
    await sleep(deps, 300);
    const controller = new AbortController();
    const waiting = two.rotateKeys({ signal: controller.signal });
    await sleep(deps, 300);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError', message: expect.stringContaining('another process') as string });
    await rotating;
    expect(await two.keys()).toHaveLength(2);
  });
});

describe('a process that does not have the key that another put first', () => {
  it('is refused to seal, and told which key it lacks; the rest works, and the key before may go', async () => {
    const [a, b] = [await keyFile('a.key'), await keyFile('b.key')];
    const two = await open({ secrets: { keys: fileKeys({ path: a }) } });
    await two.create(Secret, 'prod', 'x', { data: { value: '1' } });
    const one = await open({ secrets: { keys: fileKeys({ path: b, previous: [a] }) } });
    await one.rotateKeys();
    await dropOld(one);
    const key = String(await keyOf(one));
    const error: unknown = await two.create(Secret, 'prod', 'y', { data: { value: '2' } }).catch((thrown: unknown) => thrown);
    expect(error).toSatisfy(isForbidden);
    expect((error as Error).message).toContain(`with key ${key}, and this process does not have it`);
    await expect(two.rotateKeys()).rejects.toThrow(`with key ${key}, which this process does not have`);
    await two.create('config', 'prod', 'c', { data: { a: 'b' } });
    await one.create(Secret, 'prod', 'z', { data: { value: '3' } });
    await expect(two.get(Secret, 'prod', 'z')).rejects.toMatchObject({ reason: 'DecryptionFailed' });
  });
});

describe('a key service that is slow', () => {
  it('is asked by other processes before a new key seals: their reads, watches and writes go on', { timeout: 30_000 }, async () => {
    const slowly = () =>
      kmsKeys({
        wrap: async (seed) => seed.map((byte) => byte ^ 1),
        unwrap: async (wrapped) => {
          await sleep(deps, 500);
          return wrapped.map((byte) => byte ^ 1);
        },
      });
    const [one, two] = [await open({ secrets: { keys: slowly() } }), await open({ secrets: { keys: slowly() } })];
    await one.create(Secret, 'prod', 'a', { data: { value: '1' } });
    await using watch = two.watch(Secret, 'prod', { since: one.revision });
    await one.rotateKeys();
    expect(await value(two, 'a')).toBe('1');
    await one.patch(Secret, 'prod', 'a', { data: { value: '2' } });
    const { value: event } = await watch.next();
    if (event?.type !== 'UPDATED') throw new Error('an update was expected');
    expect(event.resource.data!['value']!.reveal()).toBe('2');
    await two.patch(Secret, 'prod', 'a', { data: { value: '3' } });
    expect(await keyOf(two)).toBe(await keyOf(one));
    expect(await value(one, 'a')).toBe('3');
  });

  it('that is down for one process for a while keeps it from sealing no longer than that', { timeout: 30_000 }, async () => {
    let isDown = false;
    const service = (mine: () => boolean) =>
      kmsKeys({
        attempts: 1,
        wrap: async (seed) => seed.map((byte) => byte ^ 1),
        unwrap: async (wrapped) => {
          if (mine()) throw new Error('503');
          return wrapped.map((byte) => byte ^ 1);
        },
      });
    const one = await open({ secrets: { keys: service(() => false) } });
    const two = await open({ secrets: { keys: service(() => isDown) } });
    isDown = true;
    await one.rotateKeys();
    await expect(two.create(Secret, 'prod', 'a', { data: { value: '1' } })).rejects.toSatisfy(isForbidden);
    // What holds no secret does not wait for the service.
    await two.create('config', 'prod', 'c', { data: { a: 'b' } });
    isDown = false;
    await expect
      .poll(() => two.apply(Secret, 'prod', 'a', { data: { value: '1' } }).catch(isForbidden), { timeout: 15_000, interval: 200 })
      .toMatchObject({ data: { value: '1' } });
    expect(await value(one, 'a')).toBe('1');
  });
});
