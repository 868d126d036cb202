/** Real world: real keys, files and pages. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect, promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { createManager, defineController } from '../../../src/controller/index.js';
import { createInformers } from '../../../src/informer/index.js';
import { Secret } from '../../../src/schemas/index.js';
import { createSecretRepo, jsonCodec, lmdbEngine, memoryEngine, msgpackCodec } from '../../../src/store/index.js';
import { dataPath } from '../../../src/store/engines/lmdb/directory.js';
import { objectKey, versionKey } from '../../../src/store/engines/lmdb/keys.js';
import { openTables } from '../../../src/store/engines/lmdb/tables.js';
import { Account, filesOf, hitsIn, memoryLogger, open, tapped } from './support.js';

const root = await mkdtemp(join(tmpdir(), 'rune-leaks-'));
afterAll(() => rm(root, { recursive: true, force: true }));
let count = 0;
const directory = (): string => join(root, String((count += 1)));

describe('a canary', () => {
  it('is found in a file when it is not sealed: the search itself works', async () => {
    const path = directory();
    const canary = randomBytes(16).toString('hex');
    {
      await using store = await open({ path });
      await store.create('config', 'prod', 'c', { data: { plain: canary, based: Buffer.from(`ab${canary}`).toString('base64') } });
    }
    expect([...(await filesOf(path))].flatMap(([name, bytes]) => hitsIn(name, bytes, [canary])).length).toBeGreaterThan(1);
  });

  it.each([jsonCodec, msgpackCodec])(
    'is found nowhere ($name): data files, free pages, copies, logs, stats, errors, watches, metrics, explanations',
    async (codec) => {
      const path = directory();
      const canaries: string[] = [];
      const canary = (): string => {
        // Text, and bytes that a string holds as base64.
        canaries.push(randomBytes(16).toString('base64url'));
        return canaries.at(-1)!;
      };
      const { logger, lines } = memoryLogger();
      const shown: string[] = [];
      const failed = async (what: Promise<unknown>): Promise<void> => {
        const error = await what.then(
          () => undefined,
          (thrown: unknown) => thrown as Error,
        );
        expect(error).toBeInstanceOf(Error);
        shown.push(
          String(error),
          error!.stack ?? '',
          inspect(error, { depth: 10 }),
          JSON.stringify(error),
          JSON.stringify((error as { toStatus?(): unknown }).toStatus?.()),
        );
      };
      {
        await using store = await open({ path, codec, types: [Account] }, logger);
        await using watch = store.watch('*');
        const repo = createSecretRepo(store);
        // Says whatever it can get hold of, in every way there is, and fails over it.
        const controllers = [Secret, Account].map((definition) =>
          defineController({
            name: definition.type,
            for: definition,
            async reconcile({ object, causes, log, event, repo: repoOf }) {
              log.info({ object, causes }, inspect(object, { depth: 20 }));
              event('Warning', 'Looked', `at ${JSON.stringify(object)} because of ${JSON.stringify(causes)}`);
              await repoOf(definition).get(object);
              throw Object.assign(new Error(`cannot use ${JSON.stringify(object)}`), { object });
            },
          }),
        );
        const informers = createInformers({ store, logger });
        await using manager = createManager({ store, informers, controllers, logger });
        await manager.start();
        for (let round = 0; round < 60; round += 1) {
          const name = `s${round % 12}`;
          await store.apply(Secret, 'prod', name, {
            data: { text: canary(), [`k${round}`]: canary() },
            binaryData: { raw: Buffer.from(canary()).toString('base64') },
          });
          await repo.setValues({ namespace: 'prod', name }, { more: canary(), bytes: Buffer.from(canary()) });
          await store.apply(Account, 'prod', name, {
            spec: { password: canary(), keys: [{ name: 'a', pem: canary() }], limits: { deep: [canary()] } },
          });
          await store.update(Account, 'prod', name, { spec: {}, status: { session: canary() } }, { subresource: 'status' });
          // Deleted and compacted: what was there lies in free pages now.
          if (round % 3 === 0) await store.delete(Secret, 'prod', name);
          if (round % 20 === 19) await store.compact(store.revision);
        }
        const one = canary();
        await store.create(Secret, 'prod', 'one', { type: 'a', data: { value: one } });
        await failed(store.create(Secret, 'prod', 'one', { data: { value: one } }));
        await failed(store.update(Secret, 'prod', 'one', { metadata: { resourceVersion: '1' }, data: { value: canary() } }));
        await failed(store.update(Secret, 'prod', 'one', { type: 'b', data: { value: canary() } }));
        await failed(store.create(Secret, 'prod', 'two', { data: { value: { [canary()]: canary() } as unknown as string } }));
        await failed(
          store.create(Secret, 'prod', 'two', { data: { value: 42 as unknown as string }, binaryData: { raw: `not base64 ${canary()}` } }),
        );
        await failed(store.create(Account, 'prod', 'two', { spec: { pin: canary() as unknown as number } }));
        await failed(store.create(Account, 'prod', 'two', { spec: { tokens: canary() as unknown as Record<string, string> } }));
        await failed(store.patch(Secret, 'prod', 'one', [{ op: 'test', path: '/data/value', value: canary() }]));
        await failed(store.patch(Secret, 'prod', 'one', [{ op: 'replace', path: '/data/value/x/y', value: canary() }]));
        await failed(store.patch(Secret, 'prod', 'one', [{ op: 'nope', path: '/data/value', value: canary() }]));
        await failed(
          store.transaction(async (tx) => {
            await tx.update(Secret, 'prod', 'one', { data: { value: canary() } });
            throw new Error('given up');
          }),
        );
        await failed(repo.value('secret:one.prod.rune/missing'));
        await store.rotateKeys();
        let seen = 0;
        for await (const event of watch) {
          shown.push(JSON.stringify(event), inspect(event, { depth: 20 }));
          if ((seen += 1) === 200) break;
        }
        // Both controllers have been told of what was written last, and failed over it.
        await expect.poll(() => manager.explain('secret', 'prod/one').lines.join('\n'), { timeout: 20_000 }).toContain('cannot use');
        await expect.poll(() => manager.explain('account', 'prod/s11').lines.join('\n'), { timeout: 20_000 }).toContain('cannot use');
        const metrics = manager.metrics.render();
        expect(metrics).toMatch(/^controller_runtime_reconcile_total\{controller="secret",result="error"\} [1-9]/m);
        expect(metrics).toMatch(/^informer_objects\{resource="secret"\} [1-9]/m);
        shown.push(metrics, JSON.stringify(manager.readyz()), JSON.stringify(manager.healthz()));
        for (const informer of informers.list)
          shown.push(JSON.stringify(informer.stats()), JSON.stringify(informer.list()), inspect(informer.list(), { depth: 20 }));
        for (const controller of ['secret', 'account']) {
          shown.push(JSON.stringify(manager.runs(controller)), inspect(manager.runs(controller), { depth: 20 }));
          for (const name of ['one', ...Array.from({ length: 12 }, (_, index) => `s${index}`)]) {
            const explained = manager.explain(controller, `prod/${name}`);
            shown.push(JSON.stringify(explained), inspect(explained, { depth: 20 }), explained.lines.join('\n'));
          }
        }
        const events = await store.list('event');
        expect(events.items.length).toBeGreaterThan(0);
        shown.push(JSON.stringify(events));
        await manager.stop();
        await informers.stop();
        shown.push(
          JSON.stringify(await store.stats()),
          JSON.stringify(await store.keys()),
          JSON.stringify(await store.getHistory(Secret, 'prod', 'one')),
          JSON.stringify(await store.verify()),
        );
        // A copy of the file while it is in use, as a backup tool makes it.
        await mkdir(join(path, 'copy'));
        await copyFile(join(path, 'data.mdb'), join(path, 'copy', 'data.mdb'));
      }
      const files = await filesOf(path);
      expect([...files.keys()].filter((name) => name.endsWith('data.mdb'))).toHaveLength(2);
      const texts = canaries.flatMap((text) => [text, Buffer.from(text).toString('base64').replace(/=+$/, '')]);
      expect([...files].flatMap(([name, bytes]) => hitsIn(name, bytes, texts))).toEqual([]);
      expect(hitsIn('shown', Buffer.from(shown.join('\n')), texts)).toEqual([]);
      expect(hitsIn('logs', Buffer.from(lines.join('\n')), texts)).toEqual([]);
      // Nor is a master key in anything but its own file.
      for (const [name, key] of files) {
        if (!name.endsWith('.key')) continue;
        const text = key.toString('utf8').trim();
        for (const [other, bytes] of files) {
          if (other !== name) expect(bytes.includes(text) || bytes.includes(Buffer.from(text, 'base64')), other).toBe(false);
        }
        expect(lines.join('')).not.toContain(text);
      }
    },
    60_000,
  );

  it('is found in no snapshot of the heap once nobody holds it, whatever the store, its watches and informers have done with it', async () => {
    const script = fileURLToPath(new URL('heap.process.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--import', 'tsx', script, directory()]);
    const { hits, control, canaries, held } = JSON.parse(stdout) as { hits: string[]; control: string[]; canaries: number; held: number };
    expect([canaries, held, control.length]).toEqual([300, 2, 2]);
    expect(hits).toEqual([]);
  }, 120_000);

  it('is found in no backup that is made of a memory engine either', async () => {
    const engine = tapped(memoryEngine());
    const canary = randomBytes(16).toString('base64url');
    await using store = await open({ engine });
    await store.create(Secret, 'prod', 'a', { data: { value: canary } });
    const { entries } = await engine.engine().walk({});
    for (const entry of entries)
      expect(
        hitsIn(
          'entry',
          Buffer.from(
            `${Buffer.from(entry.value!).toString('latin1')}${JSON.stringify(entry)}${inspect(entry, { depth: 20, showHidden: true })}`,
          ),
          [canary],
        ),
      ).toEqual([]);
  });
});

describe.each([
  ['memory', () => memoryEngine()],
  ['lmdb', () => lmdbEngine({ path: directory() })],
] as const)('sealed content (%s)', (_name, source) => {
  it('is refused under any other object, version or uid: every swap', async () => {
    const engine = tapped(source());
    await using store = await open({ engine, types: [Account] });
    for (const [namespace, name] of [
      ['prod', 'a'],
      ['prod', 'b'],
      ['stage', 'a'],
    ] as const) {
      await store.create(Secret, namespace, name, { data: { value: 'one', other: 'two' } });
      await store.patch(Secret, namespace, name, { data: { value: 'three' } });
    }
    await store.create(Account, 'prod', 'a', { spec: { password: 'one' } });
    // The same name again: another uid.
    await store.delete(Secret, 'stage', 'a');
    await store.create(Secret, 'stage', 'a', { data: { value: 'one', other: 'two' } });
    const { entries } = await engine.engine().walk({});
    const sealed = entries.filter(({ value }) => value !== undefined);
    expect(sealed).toHaveLength(8);
    let swaps = 0;
    for (const into of sealed) {
      for (const from of sealed) {
        if (into === from) continue;
        swaps += 1;
        const { key, revision } = into;
        expect(await engine.engine().rewrite([{ key, revision, expect: into.value!, value: from.value! }])).toBe(1);
        const type = key.type === 'secret' ? Secret : Account;
        const where = `${from.key.type} ${from.key.namespace}/${from.key.name} ${from.version} in ${key.type} ${key.namespace}/${key.name} ${into.version}`;
        await expect(store.getVersion(type, key.namespace, key.name, String(revision)), where).rejects.toMatchObject({
          reason: 'DecryptionFailed',
          details: { name: key.name },
        });
        expect(await engine.engine().rewrite([{ key, revision, expect: from.value!, value: into.value! }])).toBe(1);
      }
    }
    expect(swaps).toBe(56);
    expect((await store.list(Secret)).failed).toEqual([]);
    // The last one was put back as well: all of them open again.
    for (const { key, revision } of sealed)
      await store.getVersion(key.type === 'secret' ? Secret : Account, key.namespace, key.name, String(revision));
  });
});

describe('sealed content', () => {
  it('is refused when an old record is put back as the current one, by reads, lists and writes', async () => {
    const path = directory();
    const key = { type: 'secret', namespace: 'prod', name: 'db' };
    let first: string;
    {
      await using store = await open({ path });
      first = (await store.create(Secret, 'prod', 'db', { data: { password: 'old' } })).metadata.resourceVersion;
      await store.patch(Secret, 'prod', 'db', { data: { password: 'newer' } });
      await store.patch(Secret, 'prod', 'db', { data: { password: 'newest' } });
      await store.create(Secret, 'prod', 'other', { data: { password: 'fine' } });
    }
    // Past the store: the record of the first version, whole and with its checksum, in the place of the current one.
    const tables = openTables(dataPath(path));
    const object = objectKey(key);
    const old = Buffer.from(tables.hist.getBinary(versionKey(object, Number(first)))!);
    await tables.obj.put(object, old);
    await tables.root.close();
    await using store = await open({ path });
    await expect(store.get(Secret, 'prod', 'db')).rejects.toThrow(
      'secret "prod/db" cannot be opened: it shows version 1 of revision 1, and revision 3 wrote a newer one',
    );
    const { items, failed } = await store.list(Secret, 'prod');
    expect(items.map(({ metadata }) => metadata.name)).toEqual(['other']);
    expect(failed).toMatchObject([{ name: 'db', error: { reason: 'DecryptionFailed' } }]);
    await expect(store.patch(Secret, 'prod', 'db', { data: { x: 'y' } })).rejects.toMatchObject({ reason: 'DecryptionFailed' });
    await using watch = store.watch(Secret, 'prod', { initial: true });
    for await (const event of watch) {
      if (event.type === 'BOOKMARK') break;
      if (event.name === 'db') expect(event.error).toMatchObject({ reason: 'DecryptionFailed' });
    }
    expect((await store.verify()).ok).toBe(false);
  });

  it('is refused with any of its bytes flipped, and others are unharmed', async () => {
    const engine = tapped(lmdbEngine({ path: directory() }));
    await using store = await open({ engine });
    for (const name of ['a', 'b']) await store.create(Secret, 'prod', name, { data: { password: `of-${name}` } });
    const [entry] = (await engine.engine().walk({})).entries;
    const { key, revision } = entry!;
    let value = Buffer.from(entry!.value!);
    const right = Buffer.from(value);
    // Every seventh byte here; every bit in the tests of the envelope.
    for (let at = 0; at < right.length; at += 7) {
      const flipped = Buffer.from(right);
      flipped[at]! ^= 0x10;
      await engine.engine().rewrite([{ key, revision, expect: value, value: flipped }]);
      value = flipped;
      await expect(store.get(Secret, 'prod', 'a'), `byte ${at}`).rejects.toMatchObject({
        reason: expect.stringMatching(/^(DecryptionFailed|Corrupt)$/) as string,
      });
    }
    const { items, failed } = await store.list(Secret, 'prod');
    expect([items.map(({ metadata }) => metadata.name), failed.map(({ name }) => name)]).toEqual([['b'], ['a']]);
  });
});
