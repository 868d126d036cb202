/** Real world: real keys, files and permissions. */
import { hash, randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/schemas/index.js';
import { environmentKeys, ephemeralKeys, fileKeys, generatedKeys, kmsKeys, memoryEngine, systemDeps } from '../../../src/store/index.js';
import type { KeyProvider, MemorySource, ProvidedKey, Store } from '../../../src/store/index.js';
import { jsonCodec } from '../../../src/store/codecs/json.js';
import { checkKeyFile } from '../../../src/store/encryption/key-files.js';
import { parseKey } from '../../../src/store/encryption/key-provider.js';
import { Keyring, masterKey, masterKeyId } from '../../../src/store/encryption/keyring.js';
import { createSealer } from '../../../src/store/encryption/sealer.js';
import type { Stored } from '../../../src/store/write/rules.js';
import { virtualDeps } from '../../../src/testing/index.js';
import { memoryLogger, open } from './support.js';

const root = await mkdtemp(join(tmpdir(), 'rune-keys-'));
afterAll(() => rm(root, { recursive: true, force: true }));
let count = 0;
let path: string;
beforeEach(() => {
  path = join(root, String((count += 1)));
});

const deps = systemDeps({ logger: memoryLogger().logger });
const request = (known: readonly string[] = [], primary?: string) => ({ storeId: 's', deps, known: known.map((id) => ({ id })), primary });
const owner = { storeId: 's' };
const tag = hash('sha256', 's').slice(0, 16);
/** As a store does: what is not there is an error. */
async function load(
  keys: KeyProvider,
  ...known: Parameters<typeof request>
): Promise<{ primary: ProvidedKey; previous: readonly ProvidedKey[] }> {
  const { primary, previous, failures } = await keys.load(request(...known));
  if (primary === undefined) throw failures?.[0] ?? new Error('no key');
  return { primary, previous };
}
const newKey = (): string => randomBytes(32).toString('base64');

async function keyFile(name = 'a.key', text = newKey(), mode = 0o600): Promise<string> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await writeFile(join(path, name), text, { mode });
  await chmod(join(path, name), mode);
  return join(path, name);
}

/** A store with one secret, sealed with the keys given, closed again. */
async function sealedWith(keys: KeyProvider | undefined): Promise<MemorySource> {
  const engine = memoryEngine();
  await using store = await open({ engine, ...(keys === undefined ? {} : { secrets: { keys } }) });
  await store.create(Secret, 'prod', 'db', { data: { password: 'hunter2' } });
  await store
    .create('service', 'prod', 'web', { spec: { image: 'i', scale: 1 } })
    .catch(() => store.create('config', 'prod', 'web', { data: { a: 'b' } }));
  return engine;
}

const password = async (store: Store): Promise<string | undefined> => (await store.get(Secret, 'prod', 'db')).data?.['password'];

describe('master keys', () => {
  it('have an id that follows from their bytes, and another use for each store', () => {
    const bytes = randomBytes(32);
    const [one, two] = [masterKey(bytes, 'one'), masterKey(bytes, 'two')];
    expect(one.id).toBe(two.id);
    expect(one.check).not.toBe(two.check);
    const dataKey = randomBytes(32);
    expect(one.unwrap(one.wrap(dataKey))).toEqual(dataKey);
    expect(two.unwrap(one.wrap(dataKey))).toBeUndefined();
    expect(masterKeyId(randomBytes(32))).not.toBe(one.id);
    expect(() => masterKey(randomBytes(31), 'one')).toThrow('32 bytes');
  });

  it('are read as base64 of 32 bytes and nothing else, and never shown in an error', () => {
    const bytes = randomBytes(32);
    const text = bytes.toString('base64');
    for (const good of [text, `${text}\n`, ` ${text}\r\n`, text.replace(/=$/, '')]) expect(parseKey(good, 'k')).toEqual(bytes);
    for (const wrong of [
      '',
      text.slice(0, -4),
      `${text}AAAA`,
      `${text.slice(0, 20)}!${text.slice(21)}`,
      bytes.toString('hex'),
      `${text}\n${text}`,
      randomBytes(33).toString('base64'),
    ]) {
      const error = (() => {
        try {
          parseKey(wrong, 'the key file k');
        } catch (thrown) {
          return thrown as Error;
        }
        return undefined;
      })();
      expect(error?.message).toMatch(/^the key file k holds no key/);
      if (wrong.length > 8) expect(error?.message).not.toContain(wrong.slice(0, 8));
    }
  });
});

describe('fileKeys', () => {
  it('makes the file when told to, 0600 in a directory of 0700, and never replaces one', async () => {
    const file = join(path, 'deep', 'secrets.key');
    await expect(load(fileKeys({ path: file }))).rejects.toThrow('does not exist');
    const { primary } = await load(fileKeys({ path: file, create: true }));
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(join(path, 'deep'))).mode & 0o777).toBe(0o700);
    expect(await readdir(join(path, 'deep'))).toEqual(['secrets.key']);
    expect((await load(fileKeys({ path: file, create: true }))).primary).toEqual(primary);
    expect(Buffer.from(await readFile(file, 'utf8'), 'base64')).toEqual(Buffer.from(primary.bytes));
  });

  it('makes one key when many begin together', async () => {
    const file = join(path, 'secrets.key');
    const all = await Promise.all(Array.from({ length: 16 }, () => load(fileKeys({ path: file, create: true }))));
    expect(new Set(all.map(({ primary }) => Buffer.from(primary.bytes).toString('hex'))).size).toBe(1);
    expect(await readdir(path)).toEqual(['secrets.key']);
  });

  it('makes no new key for a store that has sealed with one', async () => {
    const file = join(path, 'secrets.key');
    await expect(load(fileKeys({ path: file, create: true }), ['k1'])).rejects.toMatchObject({
      reason: 'DecryptionFailed',
      message: expect.stringContaining('sealed with key k1') as string,
    });
    await expect(readdir(path)).rejects.toThrow('ENOENT');
  });

  it('refuses a file that others can reach', async () => {
    for (const mode of [0o640, 0o604, 0o620, 0o602, 0o644, 0o666, 0o610, 0o601]) {
      await expect(load(fileKeys({ path: await keyFile('a.key', newKey(), mode) })), mode.toString(8)).rejects.toMatchObject({
        reason: 'Forbidden',
        message: expect.stringContaining('chmod 600') as string,
      });
    }
    const mounted = await keyFile('b.key', newKey(), 0o440);
    await expect(load(fileKeys({ path: mounted }))).rejects.toMatchObject({ reason: 'Forbidden' });
    await expect(load(fileKeys({ path: mounted, groupReadable: true }))).resolves.toBeDefined();
    // Secrets are mounted as links.
    await symlink(await keyFile('c.key'), join(path, 'link'));
    await expect(load(fileKeys({ path: join(path, 'link') }))).resolves.toBeDefined();
  });

  it("refuses another user's file, a directory, and what is no key", async () => {
    const facts = { mode: 0o100600, uid: 4242, size: 45, isFile: () => true };
    expect(() => checkKeyFile(facts, 'f', { groupReadable: false, uid: 1000 })).toThrow('belongs to user 4242');
    expect(() => checkKeyFile({ ...facts, uid: 0 }, 'f', { groupReadable: false, uid: 1000 })).not.toThrow();
    expect(() => checkKeyFile({ ...facts, uid: 1000, size: 5000 }, 'f', { groupReadable: false, uid: 1000 })).toThrow('no key file');
    await mkdir(join(path, 'd'), { recursive: true, mode: 0o700 });
    await expect(load(fileKeys({ path: join(path, 'd') }))).rejects.toThrow('not a regular file');
    await expect(load(fileKeys({ path: await keyFile('a.key', 'hello') }))).rejects.toThrow('holds no key');
    expect(() => fileKeys({ path: '' })).toThrow('needs path');
  });
});

describe('environmentKeys', () => {
  it('reads the variables it is told', async () => {
    const [now, before] = [newKey(), newKey()];
    const keys = environmentKeys({ previous: ['OLD'], environment: { RUNE_SECRETS_KEY: ` ${now}\n`, OLD: before } });
    const { primary, previous } = await load(keys);
    expect(Buffer.from(primary.bytes).toString('base64')).toBe(now);
    expect(previous.map(({ bytes }) => Buffer.from(bytes).toString('base64'))).toEqual([before]);
    await expect(load(environmentKeys({ environment: {} }))).rejects.toThrow('RUNE_SECRETS_KEY is not set');
    await expect(load(environmentKeys({ variable: 'K', environment: { K: 'x' } }))).rejects.toThrow('variable K holds no key');
  });
});

describe('generatedKeys', () => {
  it('generates once, keeps, and agrees with whoever begins at the same time', async () => {
    const keys = () => generatedKeys({ directory: path });
    const all = await Promise.all(Array.from({ length: 12 }, () => load(keys())));
    const ids = new Set(all.map(({ primary }) => masterKeyId(primary.bytes)));
    expect(ids.size).toBe(1);
    const [id] = ids;
    expect(await readdir(path)).toEqual([`${tag}-0001.key`]);
    expect((await stat(join(path, `${tag}-0001.key`))).mode & 0o777).toBe(0o600);
    const next = await keys().create!(request([id!], id));
    expect((await load(keys(), [id!], id)).primary.bytes).toEqual(all[0]!.primary.bytes);
    expect(keys().find!(masterKeyId(next.bytes), owner)).toEqual(next);
    expect(keys().find!('k0', owner)).toBeUndefined();
    await keys().destroy!(id!, owner);
    expect(await readdir(path)).toEqual([`${tag}-0002.key`]);
    expect((await load(keys(), [masterKeyId(next.bytes)], masterKeyId(next.bytes))).primary.bytes).toEqual(next.bytes);
  });

  it('keeps the keys of stores that share a directory apart: what one drops the other still has', async () => {
    const keys = generatedKeys({ directory: path });
    const [one, two] = [memoryEngine(), memoryEngine()];
    const a = await open({ engine: one, secrets: { keys } });
    const b = await open({ engine: two, secrets: { keys } });
    await a.create(Secret, 'prod', 'db', { data: { password: 'of a' } });
    await b.create(Secret, 'prod', 'db', { data: { password: 'of b' } });
    const [old] = await a.keys();
    await a.rotateKeys();
    await a.dropKey(old!.id);
    await a.close();
    await b.close();
    await using again = await open({ engine: two, secrets: { keys } });
    expect(await password(again)).toBe('of b');
    await using first = await open({ engine: one, secrets: { keys } });
    expect(await password(first)).toBe('of a');
    expect(await readdir(path)).toHaveLength(2);
  });

  it('generates none for a store whose key is gone', async () => {
    await expect(load(generatedKeys({ directory: path }), ['k1'])).rejects.toThrow(/holds no key of this store .*sealed with key k1/);
    await load(generatedKeys({ directory: path }));
    await chmod(join(path, `${tag}-0001.key`), 0o644);
    await expect(load(generatedKeys({ directory: path }))).rejects.toMatchObject({ reason: 'Forbidden' });
  });
});

describe('kmsKeys', () => {
  /** A service that adds to each byte, slowly. */
  const service = (log: string[], fail: { times: number } = { times: 0 }) => ({
    wrap: async (seed: Uint8Array) => {
      log.push('wrap');
      await virtual.scheduler.turn();
      if (fail.times-- > 0) throw new Error('503');
      const wrapped = seed.map((byte) => byte + 1);
      seed.fill(0);
      return wrapped;
    },
    unwrap: async (wrapped: Uint8Array) => {
      log.push('unwrap');
      await new Promise<void>((resolve) => virtual.scheduler.after(3000, resolve));
      if (fail.times-- > 0) throw new Error('503');
      return wrapped.map((byte) => byte - 1);
    },
  });
  let virtual = virtualDeps({ seed: 1 });
  beforeEach(() => {
    virtual = virtualDeps({ seed: 1 });
  });
  async function settled<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const done = promise.finally(() => {
      over = true;
    });
    done.catch(() => {});
    while (!over) await virtual.advance(1000);
    return done;
  }

  const settledSoon = async <T>(promise: Promise<T>): Promise<T> => {
    promise.catch(() => {});
    await virtual.advance(20);
    return promise;
  };

  it('calls the service when a store opens, and never when something is read or written', async () => {
    const log: string[] = [];
    const engine = memoryEngine();
    const secrets = { keys: kmsKeys(service(log)) };
    const first = await settled(open({ engine, secrets, deps: virtual }));
    expect(log).toEqual(['wrap', 'unwrap']);
    for (let i = 0; i < 20; i += 1) await settled(first.create(Secret, 'prod', `s${i}`, { data: { password: 'hunter2' } }));
    await settled(first.get(Secret, 'prod', 's1'));
    expect(log).toHaveLength(2);
    await settled(first.close());
    const second = await settled(open({ engine, secrets: { keys: kmsKeys(service(log)) }, deps: virtual }));
    expect(log).toEqual(['wrap', 'unwrap', 'unwrap']);
    expect((await settled(second.get(Secret, 'prod', 's7'))).data).toEqual({ password: 'hunter2' });
    const [old] = await settled(second.keys());
    const report = await settled(second.rotateKeys());
    expect(report).toMatchObject({ rewrapped: 20, failed: [] });
    expect(log.slice(3)).toEqual(['wrap', 'unwrap']);
    await settled(second.dropKey(old!.id));
    await settled(second.close());
    log.length = 0;
    const third = await settled(open({ engine, secrets: { keys: kmsKeys(service(log)) }, deps: virtual }));
    expect(log).toEqual(['unwrap']);
    expect((await settled(third.get(Secret, 'prod', 's7'))).data).toEqual({ password: 'hunter2' });
    await settled(third.close());
  });

  it('asks again when the service fails, and gives up in the end', async () => {
    const fail = { times: 3 };
    const store = await settled(open({ engine: memoryEngine(), secrets: { keys: kmsKeys(service([], fail)) }, deps: virtual }));
    await settled(store.close());
    fail.times = 100;
    await expect(settled(open({ engine: memoryEngine(), secrets: { keys: kmsKeys(service([], fail)) }, deps: virtual }))).rejects.toThrow(
      'could not wrap a new seed after 5 attempts',
    );
    const never = kmsKeys({ name: 'slow', wrap: () => new Promise(() => {}), unwrap: async (bytes) => bytes, timeout: '1s', attempts: 2 });
    await expect(settled(open({ engine: memoryEngine(), secrets: { keys: never }, deps: virtual }))).rejects.toThrow(
      'slow could not wrap a new seed',
    );
  });

  it('holds up neither the end of a store nor of a rotation when the service does not answer', async () => {
    for (const how of ['hangs', 'fails'] as const) {
      for (const end of ['close', 'abort'] as const) {
        let isDown = false;
        const down = (): Promise<never> => (how === 'hangs' ? new Promise(() => {}) : Promise.reject(new Error('503')));
        const keys = kmsKeys({ wrap: async (seed) => (isDown ? down() : seed), unwrap: async (wrapped) => wrapped });
        const store = await settled(open({ engine: memoryEngine(), secrets: { keys }, deps: virtual }));
        isDown = true;
        const controller = new AbortController();
        const rotating = store.rotateKeys({ signal: controller.signal });
        rotating.catch(() => {});
        await virtual.advance(250);
        const began = virtual.clock.monotonic();
        if (end === 'abort') controller.abort(new Error('enough'));
        else await settledSoon(store.close());
        await expect(settledSoon(rotating), `${how}, ${end}`).rejects.toMatchObject({ name: 'AbortError' });
        expect(virtual.clock.monotonic() - began, `${how}, ${end}`).toBeLessThan(100);
        isDown = false;
        if (end === 'abort') {
          const [before] = await settled(store.keys());
          expect((await settled(store.rotateKeys())).key).not.toBe(before!.id);
        }
        await settled(store.close());
        // Nothing goes on behind the store's back.
        expect(virtual.pending()).toEqual({ timers: 0, deferred: 0, unref: 0 });
      }
    }
  });

  it('refuses a service that does not give back what it was given', async () => {
    const broken = kmsKeys({ wrap: async (seed) => seed, unwrap: async () => new Uint8Array(32) });
    await expect(settled(open({ engine: memoryEngine(), secrets: { keys: broken }, deps: virtual }))).rejects.toThrow(
      'does not unwrap to the same bytes',
    );
  });
});

describe('opening a store', () => {
  it('is refused with another key, a missing key, no key, and the key of another store', async () => {
    const right = await keyFile('right.key');
    const engine = await sealedWith(fileKeys({ path: right }));
    const wrong = fileKeys({ path: await keyFile('wrong.key') });
    const foreign = memoryEngine();
    await (await open({ engine: foreign, secrets: { keys: wrong } })).close();
    for (const keys of [wrong, environmentKeys({ environment: { RUNE_SECRETS_KEY: newKey() } }), ephemeralKeys()]) {
      await expect(open({ engine, secrets: { keys } })).rejects.toMatchObject({
        reason: 'DecryptionFailed',
        message: expect.stringMatching(/sealed with/) as string,
      });
    }
    await expect(open({ engine, secrets: { keys: fileKeys({ path: join(path, 'gone.key'), create: true }) } })).rejects.toMatchObject({
      reason: 'DecryptionFailed',
    });
    await expect(open({ engine: { name: 'bare', open: (context) => engine.open(context) } })).rejects.toThrow('no key provider was given');
    // The default makes no key for a store that has one.
    await expect(open({ engine })).rejects.toMatchObject({ reason: 'DecryptionFailed' });
    await using store = await open({ engine, secrets: { keys: fileKeys({ path: right }) } });
    expect(await password(store)).toBe('hunter2');
  });

  it('may lock secrets whose key is missing and leave the rest usable', async () => {
    const right = await keyFile('right.key');
    const engine = await sealedWith(fileKeys({ path: right }));
    for (const keys of [fileKeys({ path: await keyFile('wrong.key') }), fileKeys({ path: join(path, 'gone.key') })]) {
      await using store = await open({ engine, secrets: { keys, missing: 'lock' } });
      const { items, failed } = await store.list(Secret);
      expect(items).toEqual([]);
      expect(failed).toMatchObject([{ name: 'db', error: { reason: 'DecryptionFailed' } }]);
      await expect(store.get(Secret, 'prod', 'db')).rejects.toThrow('which this process does not have');
      // Nothing is sealed with a key that may be the wrong one.
      await expect(store.create(Secret, 'prod', 'new', { data: {} })).rejects.toMatchObject({ reason: 'Forbidden' });
      await store.create('config', 'prod', `c${count++}`, { data: { a: 'b' } });
    }
    await using store = await open({ engine, secrets: { keys: fileKeys({ path: right }) } });
    expect(await password(store)).toBe('hunter2');
    expect(await store.keys()).toHaveLength(1);
  });

  it('works out of the box: the key is generated once and kept beside the data', async () => {
    const { logger, lines } = memoryLogger();
    {
      await using store = await open({ path }, logger);
      await store.create(Secret, 'prod', 'db', { data: { password: 'hunter2' } });
    }
    expect((await stat(join(path, 'keys'))).mode & 0o777).toBe(0o700);
    expect(lines.filter((line) => line.includes('a key for secrets was generated'))).toHaveLength(1);
    {
      await using store = await open({ path }, logger);
      expect(await password(store)).toBe('hunter2');
    }
    expect(lines.filter((line) => line.includes('a key for secrets was generated'))).toHaveLength(1);
    const [file] = await readdir(join(path, 'keys'));
    const bytes = await readFile(join(path, 'keys', file!), 'utf8');
    await rm(join(path, 'keys'), { recursive: true });
    await expect(open({ path }, logger)).rejects.toThrow('restore the directory');
    await mkdir(join(path, 'keys'), { mode: 0o700 });
    await writeFile(join(path, 'keys', file!), bytes, { mode: 0o600 });
    await using store = await open({ path }, logger);
    expect(await password(store)).toBe('hunter2');
    expect(lines.join('')).not.toContain(bytes.trim());
  });

  it('moves from one provider to another', async () => {
    const engine = await sealedWith(undefined);
    const file = join(path, 'new.key');
    {
      await using store = await open({ engine });
      await load(fileKeys({ path: file, create: true }));
      const [old] = await store.keys();
      await store.rotateKeys({ keys: fileKeys({ path: file }) });
      await store.dropKey(old!.id);
    }
    await using store = await open({ engine, secrets: { keys: fileKeys({ path: file }) } });
    expect(await password(store)).toBe('hunter2');
    expect(await store.keys()).toMatchObject([{ provider: 'file', primary: true, present: true, versions: 1 }]);
  });

  it('takes earlier keys beside a new one', async () => {
    const [a, b] = [await keyFile('a.key'), await keyFile('b.key')];
    const engine = await sealedWith(fileKeys({ path: a }));
    await expect(open({ engine, secrets: { keys: fileKeys({ path: b }) } })).rejects.toMatchObject({ reason: 'DecryptionFailed' });
    {
      await using store = await open({ engine, secrets: { keys: fileKeys({ path: b, previous: [a] }) } });
      expect(await password(store)).toBe('hunter2');
      await store.create(Secret, 'prod', 'new', { data: {} });
      expect((await store.keys()).map(({ primary, versions }) => [primary, versions])).toEqual([
        [false, 1],
        [true, 1],
      ]);
      await expect(store.dropKey((await store.keys())[0]!.id)).rejects.toThrow('still seals 1 kept versions');
      await expect(store.dropKey((await store.keys())[1]!.id)).rejects.toThrow('seals what is written now');
      await expect(store.dropKey('k0')).rejects.toMatchObject({ reason: 'NotFound' });
      await store.rotateKeys();
      await store.dropKey((await store.keys())[0]!.id);
    }
    await using store = await open({ engine, secrets: { keys: fileKeys({ path: b }) } });
    expect(await password(store)).toBe('hunter2');
    // By another way: moving with the provider of before.
    const c = kmsKeys({ wrap: async (seed) => seed, unwrap: async (wrapped) => wrapped });
    await store.close();
    await using moved = await open({ engine, secrets: { keys: c, previous: [fileKeys({ path: b })] } });
    expect(await password(moved)).toBe('hunter2');
    expect((await moved.rotateKeys()).rewrapped).toBe(2);
  });

  it('refuses wrong options', async () => {
    const engine = memoryEngine();
    await expect(open({ engine, secrets: { keys: {} as KeyProvider } })).rejects.toThrow('secrets.keys must be a key provider');
    await expect(open({ engine, secrets: { missing: 'maybe' as 'lock' } })).rejects.toThrow('secrets.missing');
    await expect(open({ engine, secrets: { plaintext: 'maybe' as 'read' } })).rejects.toThrow('secrets.plaintext');
  });

  it('refuses secrets, and nothing else, where no key is to be had', async () => {
    const memory = memoryEngine();
    await using store = await open({ engine: { name: 'bare', open: (context) => memory.open(context) } });
    await expect(store.create(Secret, 'prod', 'db', { data: {} })).rejects.toThrow('this store has no key to seal them with');
    await expect(store.rotateKeys()).rejects.toMatchObject({ reason: 'Forbidden' });
    await store.create('config', 'prod', 'c', { data: { a: 'b' } });
  });
});

describe('a data key', () => {
  it('is the same for the same salt, another for another, and lies nowhere where buffers of others do', () => {
    const master = masterKey(randomBytes(32), 'store');
    const salts = Array.from({ length: 100 }, () => randomBytes(32));
    const keys = salts.map((salt) => master.derive(salt).toString('hex'));
    expect(new Set(keys).size).toBe(100);
    expect(salts.map((salt) => master.derive(salt).toString('hex'))).toEqual(keys);
    const key = master.derive(salts[0]!);
    expect(key.buffer.byteLength).toBe(key.length);
  });

  it('is wiped once something was sealed or opened with it', () => {
    const master = masterKey(randomBytes(32), 'store');
    let given: Buffer | undefined;
    const ring = new Keyring();
    ring.add({
      id: master.id,
      check: master.check,
      derive: (salt) => (given = master.derive(salt)),
      wrap: (dataKey) => master.wrap(dataKey),
      unwrap: (wrapped) => master.unwrap(wrapped),
    });
    ring.seal(master.id);
    const sealer = createSealer({ storeId: 'store', keyring: ring, entropy: { bytes: randomBytes }, readPlaintext: false });
    const identity = { key: { type: 'secret', namespace: 'prod', name: 'db' }, uid: 'u', version: 1 };
    const object = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'db', namespace: 'prod', uid: 'u' },
      data: { a: 'b' },
    } as unknown as Stored;
    const { value } = sealer.seal([['data', '*']], identity, object, jsonCodec);
    expect(given).toEqual(Buffer.alloc(32));
    given = undefined;
    expect(sealer.openPlain(identity, value, jsonCodec)['data']).toEqual({ a: 'b' });
    expect(given).toEqual(Buffer.alloc(32));
  });
});
