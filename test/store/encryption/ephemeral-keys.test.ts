/** Keys that live in one process: what they seal is gone with it, and no store takes them unasked. Real world: a disk. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/schemas/index.js';
import { ephemeralKeys, lmdbEngine, memoryEngine } from '../../../src/store/index.js';
import type { Store } from '../../../src/store/index.js';
import { open } from './support.js';

let path: string;
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'rune-ephemeral-'));
});
afterEach(() => rm(path, { recursive: true, force: true }));

const password = async (store: Store): Promise<unknown> => (await store.get(Secret, 'prod', 'db')).data?.['password'];

describe('ephemeral keys', () => {
  it.each([
    ['memory', () => memoryEngine()],
    ['lmdb', () => lmdbEngine({ path: join(path, 'data') })],
  ] as const)('seal as any other as long as they are there, and are gone with whoever made them (%s)', async (_name, source) => {
    const engine = source();
    const keys = ephemeralKeys();
    {
      await using store = await open({ engine, secrets: { keys } });
      await store.create(Secret, 'prod', 'db', { data: { password: 'hunter2' } });
      expect(await password(store)).toBe('hunter2');
      await store.rotateKeys();
      const [old, now] = await store.keys();
      expect([old, now]).toMatchObject([
        { provider: 'ephemeral', primary: false, present: true, versions: 0 },
        { provider: 'ephemeral', primary: true, present: true, versions: 1 },
      ]);
      await store.dropKey(old!.id);
      await store.create('config', 'prod', 'c', { data: { a: 'b' } });
    }
    let id = '';
    {
      // The same ones, in the process that made them.
      await using store = await open({ engine, secrets: { keys } });
      expect(await password(store)).toBe('hunter2');
      id = (await store.keys())[0]!.id;
    }
    await expect(readdir(join(path, 'data', 'keys'))).rejects.toMatchObject({ code: 'ENOENT' });
    // Another process calls ephemeralKeys() as this one did, and gets others.
    await expect(open({ engine, secrets: { keys: ephemeralKeys() } })).rejects.toMatchObject({
      reason: 'DecryptionFailed',
      message: expect.stringContaining(
        `the ephemeral key that this store was sealed with (key ${id}) went with the process that made it`,
      ) as string,
    });
    await using locked = await open({ engine, secrets: { keys: ephemeralKeys(), missing: 'lock' } });
    await expect(locked.get(Secret, 'prod', 'db')).rejects.toMatchObject({
      reason: 'DecryptionFailed',
      message: expect.stringContaining(id) as string,
    });
    expect((await locked.get('config', 'prod', 'c'))['data']).toEqual({ a: 'b' });
  });

  it('are the default of no store that outlives its process', async () => {
    for (const [name, options] of [
      ['by path', () => ({ path: join(path, 'by-path') })],
      ['by engine', () => ({ engine: lmdbEngine({ path: join(path, 'by-engine') }) })],
      ['with options', () => ({ path: join(path, 'with-options'), secrets: { missing: 'lock' as const } })],
    ] as const) {
      {
        await using store = await open(options());
        await store.create(Secret, 'prod', 'db', { data: { password: 'hunter2' } });
        expect(await store.keys(), name).toMatchObject([{ provider: 'generated', primary: true, versions: 1 }]);
      }
      // Nothing is handed over but what lies on the disk.
      await using store = await open(options());
      expect(await password(store), name).toBe('hunter2');
    }
  });
});
