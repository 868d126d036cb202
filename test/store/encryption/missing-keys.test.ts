/** Real world: real keys, files and permissions. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/schemas/index.js';
import { environmentKeys, ephemeralKeys, fileKeys, generatedKeys, kmsKeys, memoryEngine } from '../../../src/store/index.js';
import type { KeyProvider, MemorySource, Store } from '../../../src/store/index.js';
import { open } from './support.js';

const root = await mkdtemp(join(tmpdir(), 'rune-missing-keys-'));
afterAll(() => rm(root, { recursive: true, force: true }));
let count = 0;
let path: string;
beforeEach(() => {
  path = join(root, String((count += 1)));
});

const newKey = (): string => randomBytes(32).toString('base64');

async function keyFile(name: string): Promise<string> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await writeFile(join(path, name), newKey(), { mode: 0o600 });
  return join(path, name);
}

async function sealedWith(keys: KeyProvider): Promise<MemorySource> {
  const engine = memoryEngine();
  await using store = await open({ engine, secrets: { keys } });
  await store.create(Secret, 'prod', 'db', { data: { password: 'hunter2' } });
  return engine;
}

const password = async (store: Store): Promise<string | undefined> => (await store.get(Secret, 'prod', 'db')).data?.['password'];

describe('opening a store with a key that cannot be had', () => {
  /** A service whose seeds can be revoked. */
  const service = () => {
    const revoked = new Set<string>();
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
    const wrapped: string[] = [];
    const keys = (): KeyProvider =>
      kmsKeys({
        attempts: 1,
        wrap: async (seed) => {
          const bytes = seed.map((byte) => byte ^ 1);
          wrapped.push(text(bytes));
          return bytes;
        },
        unwrap: async (bytes) => {
          if (revoked.has(text(bytes))) throw new Error('AccessDenied: the key version was destroyed');
          return bytes.map((byte) => byte ^ 1);
        },
      });
    return { keys, wrapped, revoke: (index: number) => revoked.add(wrapped[index]!) };
  };
  /** Two ways to have an old and a new key, and to lose one of them: what is sealed with the other is not touched by that. */
  const ways: [
    string,
    () => Promise<{
      readonly both: () => KeyProvider;
      readonly lose: (which: 'old' | 'new') => Promise<unknown>;
      readonly rotate: boolean;
    }>,
  ][] = [
    [
      'a seed of a service',
      async () => {
        const { keys, revoke } = service();
        return { both: keys, lose: async (which) => revoke(which === 'old' ? 0 : 1), rotate: true };
      },
    ],
    [
      'a generated key',
      async () => {
        const files = async (): Promise<string[]> => (await readdir(path)).toSorted().map((name) => join(path, name));
        return {
          both: () => generatedKeys({ directory: path }),
          lose: async (which) => rm((await files())[which === 'old' ? 0 : 1]!),
          rotate: true,
        };
      },
    ],
    [
      'a generated key that others may read',
      async () => {
        const files = async (): Promise<string[]> => (await readdir(path)).toSorted().map((name) => join(path, name));
        return {
          both: () => generatedKeys({ directory: path }),
          lose: async (which) => chmod((await files())[which === 'old' ? 0 : 1]!, 0o644),
          rotate: true,
        };
      },
    ],
    [
      'a key file',
      async () => {
        const [old, now] = [await keyFile('old.key'), join(path, 'now.key')];
        let hasBoth = false;
        return {
          both: () => {
            const keys = hasBoth ? fileKeys({ path: now, previous: [old] }) : fileKeys({ path: old });
            hasBoth = true;
            return keys;
          },
          lose: async (which) => rm(which === 'old' ? old : now),
          rotate: false,
        };
      },
    ],
    [
      'an environment variable',
      async () => {
        const environment: Record<string, string> = { OLD: newKey() };
        let hasBoth = false;
        return {
          both: () => {
            const keys = environmentKeys(hasBoth ? { variable: 'NEW', previous: ['OLD'], environment } : { variable: 'OLD', environment });
            environment['NEW'] ??= newKey();
            hasBoth = true;
            return keys;
          },
          lose: async (which) => delete environment[which === 'old' ? 'OLD' : 'NEW'],
          rotate: false,
        };
      },
    ],
  ];

  describe.each(ways)('%s', (name, way) => {
    const isUsed = name === 'a key file' || name === 'an environment variable';

    /** `old` is sealed with the old key, `db` with the new one; each has a version of its own only. */
    async function sealed(left: boolean) {
      const { both, lose, rotate } = await way();
      const engine = memoryEngine();
      const first = await open({ engine, secrets: { keys: both() } });
      if (left) await first.create(Secret, 'prod', 'old', { data: { password: 'before' } });
      if (name === 'a key file') await keyFile('now.key');
      if (!rotate) await first.close();
      const second = rotate ? first : await open({ engine, secrets: { keys: both() } });
      if (rotate) await second.rotateKeys();
      await second.create(Secret, 'prod', 'db', { data: { password: 'hunter2' } });
      await second.close();
      return { engine, both, lose };
    }

    it('under lock: keeps what the others sealed readable, and seals as long as the one that seals is there', async () => {
      const { engine, both, lose } = await sealed(true);
      await lose('old');
      await using store = await open({ engine, secrets: { keys: both(), missing: 'lock' } });
      expect(await password(store)).toBe('hunter2');
      const { items, failed } = await store.list(Secret);
      // Where keys are made, a rotation brought both to the new one.
      expect([items.length, failed.map((item) => item.name)]).toEqual(isUsed ? [1, ['old']] : [2, []]);
      await store.create(Secret, 'prod', 'more', { data: { password: 'x' } });
      expect((await store.keys()).map(({ primary, present }) => [primary, present])).toEqual([
        [false, false],
        [true, true],
      ]);
    });

    it('under lock: seals nothing when the one that seals is gone, and opens what the others sealed', async () => {
      const { engine, both, lose } = await sealed(false);
      await lose('new');
      await using store = await open({ engine, secrets: { keys: both(), missing: 'lock' } });
      await expect(password(store)).rejects.toMatchObject({ reason: 'DecryptionFailed' });
      await expect(store.create(Secret, 'prod', 'more', { data: {} })).rejects.toMatchObject({ reason: 'Forbidden' });
      await store.create('config', 'prod', 'c', { data: { a: 'b' } });
      expect((await store.keys()).map(({ primary, present }) => [primary, present])).toEqual([
        [false, true],
        [true, false],
      ]);
    });

    it('is refused when it is the one that seals', async () => {
      const { engine, both, lose } = await sealed(true);
      await lose('new');
      await expect(open({ engine, secrets: { keys: both() } })).rejects.toMatchObject({
        reason: name.endsWith('others may read') ? 'Forbidden' : 'DecryptionFailed',
      });
    });

    it('is refused when something is sealed with it, and not missed when nothing is', async () => {
      const { engine, both, lose } = await sealed(true);
      await lose('old');
      if (isUsed) {
        await expect(open({ engine, secrets: { keys: both() } })).rejects.toThrow(/sealed with key .* pass every key/);
      } else if (name.endsWith('others may read')) {
        await expect(open({ engine, secrets: { keys: both() } })).rejects.toMatchObject({ reason: 'Forbidden' });
      } else {
        await using store = await open({ engine, secrets: { keys: both() } });
        expect(await password(store)).toBe('hunter2');
        await store.create(Secret, 'prod', 'more', { data: {} });
        await store.rotateKeys();
        for (const { id, primary } of await store.keys()) if (!primary) await store.dropKey(id);
      }
    });
  });
});

describe('opening a store and moving its keys', () => {
  it('takes no older key in the place of one that its service does not open at the moment', async () => {
    const engine = memoryEngine();
    let isDown = false;
    let wraps = 0;
    const keys = () =>
      kmsKeys({
        attempts: 1,
        wrap: async (seed) => {
          wraps += 1;
          return Uint8Array.from([wraps, ...seed]);
        },
        unwrap: async (wrapped) => {
          if (isDown && wrapped[0] === 2) throw new Error('503');
          return wrapped.subarray(1);
        },
      });
    {
      await using store = await open({ engine, secrets: { keys: keys() } });
      await store.create(Secret, 'prod', 'db', { data: { password: 'hunter2' } });
      await store.rotateKeys();
    }
    isDown = true;
    await expect(open({ engine, secrets: { keys: keys() } })).rejects.toThrow('could not unwrap the seed of key');
    await (await open({ engine, secrets: { keys: keys(), missing: 'lock' } })).close();
    isDown = false;
    await using store = await open({ engine, secrets: { keys: keys() } });
    expect(wraps).toBe(2);
    expect((await store.keys()).map(({ primary }) => primary)).toEqual([false, true]);
  });

  it('moves from one service to another, whatever they are called', async () => {
    const mark = (letter: string, name?: string) => () =>
      kmsKeys({
        attempts: 1,
        ...(name === undefined ? {} : { name }),
        wrap: async (seed) => Buffer.concat([Buffer.from(letter), seed]),
        unwrap: async (wrapped) => {
          if (String.fromCharCode(wrapped[0]!) !== letter) throw new Error(`not wrapped by ${letter}`);
          return wrapped.subarray(1);
        },
      });
    for (const names of [
      [undefined, undefined],
      ['aws', 'gcp'],
      ['aws', undefined],
    ] as const) {
      const [a, b] = [mark('A', names[0]), mark('B', names[1])];
      const engine = await sealedWith(a());
      for (const round of [1, 2]) {
        await using store = await open({ engine, secrets: { keys: b(), previous: [a()] } });
        expect(await password(store)).toBe('hunter2');
        await store.apply(Secret, 'prod', 'more', { data: { password: String(round) } });
        expect((await store.keys()).map(({ primary, present }) => [primary, present])).toEqual([
          [false, true],
          [true, true],
        ]);
        if (round === 1) continue;
        expect((await store.rotateKeys()).failed).toEqual([]);
        for (const { id, primary } of await store.keys()) if (!primary) await store.dropKey(id);
      }
      await using store = await open({ engine, secrets: { keys: b() } });
      expect(await password(store)).toBe('hunter2');
      await store.close();
      // Called otherwise from now on, it is the same service.
      await using renamed = await open({ engine, secrets: { keys: mark('B', 'renamed')() } });
      expect(await password(renamed)).toBe('hunter2');
      expect(await renamed.keys()).toHaveLength(1);
    }
  });

  it('goes on as it was when another provider is to take over and does not have what is needed', async () => {
    const right = await keyFile('right.key');
    const engine = await sealedWith(fileKeys({ path: right }));
    const wrong = fileKeys({ path: await keyFile('wrong.key') });
    {
      await using store = await open({ engine, secrets: { keys: wrong, missing: 'lock' } });
      const other = fileKeys({ path: await keyFile('other.key') });
      for (const keys of [other, fileKeys({ path: join(path, 'gone.key') }), ephemeralKeys(), environmentKeys({ environment: {} })]) {
        await expect(store.rotateKeys({ keys })).rejects.toMatchObject({ reason: 'DecryptionFailed' });
      }
      await expect(store.rotateKeys()).rejects.toMatchObject({
        reason: 'Forbidden',
        message: expect.stringContaining('does not have') as string,
      });
      await store.rotateKeys({ keys: fileKeys({ path: right }) });
      expect(await password(store)).toBe('hunter2');
    }
    await using store = await open({ engine, secrets: { keys: fileKeys({ path: right }) } });
    expect(await password(store)).toBe('hunter2');
    await expect(store.rotateKeys({ keys: fileKeys({ path: join(path, 'gone.key') }) })).rejects.toThrow('gone.key does not exist');
    await store.create(Secret, 'prod', 'still', { data: { password: 'sealed' } });
    expect(await store.keys()).toMatchObject([{ primary: true, versions: 2 }]);
  });
});
