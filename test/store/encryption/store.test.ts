import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, describe, expect, it } from 'vitest';
import { Secret, cloneJson, defineResource, diffPaths } from '../../../src/schemas/index.js';
import { lmdbEngine, memoryEngine } from '../../../src/store/index.js';
import type { Sealed } from '../../../src/schemas/index.js';
import type { EngineSource, Store } from '../../../src/store/index.js';
import { Account, open, tapped } from './support.js';

const directories: string[] = [];
async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'rune-secrets-'));
  directories.push(path);
  return path;
}
afterAll(async () => {
  for (const path of directories) await rm(path, { recursive: true, force: true });
});

const engines: [string, () => Promise<EngineSource>][] = [
  ['memory', async () => memoryEngine()],
  ['memory, bytes only', async () => memoryEngine({ decoded: false })],
  ['lmdb', async () => lmdbEngine({ path: await directory() })],
];

const secret = (data: Record<string, string>, more: object = {}) => ({ data, ...more });

describe.each(engines)('secrets in a store (%s)', (_name, source) => {
  async function withStore(run: (store: Store, engine: ReturnType<typeof tapped>) => Promise<void>): Promise<void> {
    const engine = tapped(await source());
    await using store = await open({ engine, types: [Account] });
    await run(store, engine);
  }

  it('gives plain values to callers and keeps none in the engine', () =>
    withStore(async (store, { engine }) => {
      const created = await store.create(Secret, 'prod', 'db', secret({ password: 'hunter2' }, { binaryData: { raw: 'aHVudGVyMg==' } }));
      expect(created.data).toEqual({ password: 'hunter2' });
      const read = await store.get(Secret, 'prod', 'db');
      expect(read).toEqual(created);
      read.data!['password'] = 'changed by its owner';
      expect((await store.list(Secret, 'prod')).items).toEqual([created]);
      expect(await store.getByUid(Secret, created.metadata.uid)).toEqual(created);
      await store.update(Secret, 'prod', 'db', secret({ password: 'hunter3' }));
      expect((await store.get(Secret, 'prod', 'db', { resourceVersion: created.metadata.resourceVersion })).data).toEqual({
        password: 'hunter2',
      });
      expect((await store.getVersion(Secret, 'prod', 'db', created.metadata.resourceVersion)).binaryData).toEqual({ raw: 'aHVudGVyMg==' });
      const { entries } = await engine().walk({});
      expect(entries).toHaveLength(2);
      for (const { value } of entries) expect(Buffer.from(value!).toString('latin1')).not.toMatch(/hunter|aHVudGVy/);
    }));

  it('seals on every path: create, update, patch, apply, modify, transaction, rollback, status', () =>
    withStore(async (store, { engine }) => {
      await store.create(Account, 'prod', 'a', {
        spec: { password: 'canary-1', keys: [{ name: 'k', pem: 'canary-2' }], tokens: { x: 'canary-3' }, limits: { deep: ['canary-4'] } },
      });
      await store.update(Account, 'prod', 'a', { spec: { password: 'canary-5' } });
      await store.patch(Account, 'prod', 'a', { spec: { tokens: { y: 'canary-6' } } });
      await store.patch(Account, 'prod', 'a', [{ op: 'replace', path: '/spec/password', value: 'canary-7' }]);
      await store.apply(Account, 'prod', 'a', { spec: { password: 'canary-8' } });
      await store.modify(Account, 'prod', 'a', (draft) => {
        draft.spec.pin = 4321;
        draft.spec.password = 'canary-9';
      });
      await store.update(Account, 'prod', 'a', { spec: {}, status: { session: 'canary-10' } }, { subresource: 'status' });
      const version = store.revision;
      await store.transaction(async (tx) => {
        await tx.update(Account, 'prod', 'a', { spec: { password: 'canary-11' } });
        await tx.create(Account, 'prod', 'b', { spec: { password: 'canary-12' } });
      });
      await store.rollback(Account, 'prod', 'a', version);
      const last = await store.get(Account, 'prod', 'a');
      expect(last.spec).toMatchObject({ password: 'canary-9', pin: 4321 });
      expect(last.status).toEqual({ session: 'canary-10' });
      const { entries } = await engine().walk({});
      expect(entries.length).toBeGreaterThan(9);
      for (const { value } of entries) expect(Buffer.from(value!).toString('latin1')).not.toMatch(/canary|4321/);
    }));

  it('makes no revision of a write that changes nothing: plain values are compared', () =>
    withStore(async (store) => {
      const created = await store.create(Secret, 'prod', 'db', secret({ password: 'hunter2', user: 'admin' }));
      const before = store.revision;
      await store.update(Secret, 'prod', 'db', created);
      await store.patch(Secret, 'prod', 'db', { data: { password: 'hunter2' } });
      await store.modify(Secret, 'prod', 'db', () => {});
      await store.transaction((tx) => tx.update(Secret, 'prod', 'db', created));
      expect(store.revision).toBe(before);
      await store.patch(Secret, 'prod', 'db', { data: { password: 'hunter3' } });
      expect(Number(store.revision)).toBe(Number(before) + 1);
    }));

  it('hands out seals in watch events and history, which print as [sealed] and open with reveal', () =>
    withStore(async (store) => {
      const watch = store.watch(Secret, 'prod');
      const created = await store.create(Secret, 'prod', 'db', secret({ password: 'hunter2', user: 'admin' }));
      await store.patch(Secret, 'prod', 'db', { data: { password: 'hunter3' } });
      await store.delete(Secret, 'prod', 'db');
      const events = [];
      for await (const event of watch) {
        events.push(event);
        if (events.length === 3) break;
      }
      const history = await store.getHistory(Secret, 'prod', 'db');
      expect(history).toHaveLength(3);
      await using since = store.watch(Secret, 'prod', { since: '0' });
      const replayed = [];
      for await (const event of since) {
        replayed.push(event);
        if (replayed.length === 3) break;
      }
      const lines: string[] = [];
      const log = pino({}, { write: (line: string) => void lines.push(line) });
      log.info({ events, history }, 'all of it');
      const error = new Error('with context', { cause: events });
      log.error(error);
      for (const shown of [
        JSON.stringify([events, history, replayed]),
        inspect([events, history, replayed, error], { depth: 20, showHidden: true }),
        lines.join(''),
      ]) {
        expect(shown).not.toMatch(/hunter|admin/);
      }
      expect(JSON.stringify(history)).toContain('"password":"[sealed]"');
      const updated = events[1]!;
      if (updated.type !== 'UPDATED') throw new Error('an update was expected');
      const [previous, next] = [updated.previous.data!, updated.resource.data!];
      expect(`${next['password']!.toString()} ${String(next['password'])}`).toBe('[sealed] [sealed]');
      expect(next['password']!.reveal()).toBe('hunter3');
      expect(previous['password']!.reveal()).toBe('hunter2');
      // What changed can be told without opening anything.
      expect(next['user']!.equals(previous['user'])).toBe(true);
      expect(diffPaths(previous, next)).toEqual(['password']);
      expect(Object.isFrozen(updated.resource.data)).toBe(true);
      // Writes accept what was handed out.
      const again = await store.create(Secret, 'prod', 'copy', { data: history[2]!.resource.data });
      expect(again.data).toEqual(created.data);
      await store.patch(Secret, 'prod', 'copy', [{ op: 'replace', path: '/data/user', value: next['password'] }]);
      await store.modify(Secret, 'prod', 'copy', (draft) => ({ ...draft, data: { ...draft.data, third: previous['user'] } }));
      expect((await store.get(Secret, 'prod', 'copy')).data).toEqual({ password: 'hunter2', user: 'hunter3', third: 'admin' });
    }));

  it('refuses the text of a seal, naming the field, and writes nothing', () =>
    withStore(async (store) => {
      await store.create(Secret, 'prod', 'db', secret({ password: 'hunter2', user: 'admin' }));
      await store.create(Account, 'prod', 'a', { spec: { limits: { a: 1 } } });
      const before = store.revision;
      const printed = JSON.parse(JSON.stringify((await store.getHistory(Secret, 'prod', 'db'))[0]!.resource)) as {
        data: Record<string, string>;
      };
      const field = 'data.password: must not be the text [sealed]';
      await expect(store.update(Secret, 'prod', 'db', printed)).rejects.toThrow(field);
      await expect(store.create(Secret, 'prod', 'other', { data: printed.data })).rejects.toThrow(field);
      await expect(store.apply(Secret, 'prod', 'db', { data: { password: '[sealed]' } })).rejects.toThrow(field);
      await expect(store.patch(Secret, 'prod', 'db', { data: { password: '[sealed]' } })).rejects.toThrow(field);
      await expect(store.patch(Secret, 'prod', 'db', [{ op: 'add', path: '/data/password', value: '[sealed]' }])).rejects.toThrow(field);
      await expect(store.patch(Secret, 'prod', 'db', [{ op: 'add', path: '/data', value: { password: '[sealed]' } }])).rejects.toThrow(
        field,
      );
      await expect(store.modify(Secret, 'prod', 'db', (draft) => ({ ...draft, data: printed.data }))).rejects.toThrow(field);
      await expect(store.transaction((tx) => tx.update(Secret, 'prod', 'db', printed))).rejects.toThrow(field);
      await expect(store.patch(Account, 'prod', 'a', { spec: { limits: { deep: ['[sealed]'] } } })).rejects.toThrow(
        'spec.limits: must not hold the text [sealed]',
      );
      // By a detour through a field that is not sensitive.
      await expect(
        store.patch(Account, 'prod', 'a', [
          { op: 'add', path: '/spec/user', value: '[sealed]' },
          { op: 'move', from: '/spec/user', path: '/spec/password' },
        ]),
      ).rejects.toMatchObject({ reason: 'Invalid' });
      expect(store.revision).toBe(before);
      // A seal where no secret belongs is refused too: it would be lost there.
      const { resource } = (await store.getHistory(Secret, 'prod', 'db'))[0]!;
      await expect(
        store.patch(Secret, 'prod', 'db', { metadata: { annotations: { note: resource.data!['password'] } } }),
      ).rejects.toMatchObject({ reason: 'Invalid' });
      // Elsewhere the text is a text like any other.
      await store.patch(Account, 'prod', 'a', { spec: { user: '[sealed]' } });
    }));

  it('changes nothing of a secret but what was changed (property)', () =>
    withStore(async (store) => {
      const name = fc.stringMatching(/^[a-z0-9.]{1,8}$/).filter((text) => text !== '.' && text !== '..');
      const whole = fc.record(
        {
          type: fc.constantFrom('Opaque', 'tls', 'basic-auth'),
          data: fc.dictionary(
            name,
            fc.string().filter((text) => text !== '[sealed]'),
            { maxKeys: 5 },
          ),
          binaryData: fc.dictionary(
            name.map((text) => `b-${text}`),
            fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('base64')),
            { maxKeys: 3 },
          ),
          labels: fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.stringMatching(/^[a-z]{0,5}$/), { maxKeys: 3 }),
        },
        { requiredKeys: ['data'] },
      );
      let round = 0;
      await fc.assert(
        fc.asyncProperty(
          whole,
          name,
          fc.string().filter((text) => text !== '[sealed]'),
          async ({ labels, ...parts }, key, value) => {
            const where = `s${(round += 1)}`;
            const created = await store.create(Secret, 'prod', where, {
              metadata: { ...(labels === undefined ? {} : { labels }), annotations: { keep: 'me' }, finalizers: ['x.dev/f'] },
              ...cloneJson(parts),
            });
            expect(created).toMatchObject(parts);
            const patched = await store.patch(Secret, 'prod', where, { data: { [key]: value } });
            const expected = { ...created, data: { ...created.data, [key]: value } };
            const strip = (object: typeof created): unknown => ({
              ...object,
              metadata: { ...object.metadata, resourceVersion: '', generation: 0 },
            });
            expect(strip(patched)).toEqual(strip(expected));
            const labelled = await store.modify(Secret, 'prod', where, (draft) => {
              draft.metadata.labels = { only: 'this' };
            });
            expect({ ...labelled, metadata: undefined }).toEqual({ ...patched, metadata: undefined });
            expect(await store.get(Secret, 'prod', where)).toEqual(labelled);
            expect(labelled.metadata.uid).toBe(created.metadata.uid);
          },
        ),
        { numRuns: 40 },
      );
    }));

  it('lists the rest when one cannot be opened, tells which, refuses to change it, and deletes it', async () => {
    const where = await source();
    const engine = tapped(where);
    {
      await using store = await open({ engine });
      for (const name of ['a', 'b', 'c', 'd']) await store.create(Secret, 'prod', name, secret({ password: 'hunter2' }));
      const [a, b] = (await engine.engine().walk({})).entries;
      // The content of one object under the name of another.
      expect(await engine.engine().rewrite([{ key: b!.key, revision: b!.revision, expect: b!.value!, value: a!.value! }])).toBe(1);
    }
    await using store = await open({ engine: where });
    const { items, failed } = await store.list(Secret, 'prod');
    expect(items.map((item) => item.metadata.name)).toEqual(['a', 'c', 'd']);
    expect(failed).toMatchObject([
      { namespace: 'prod', name: 'b', error: { reason: 'DecryptionFailed', details: { kind: 'secret', namespace: 'prod', name: 'b' } } },
    ]);
    await expect(store.get(Secret, 'prod', 'b')).rejects.toThrow('secret "prod/b" cannot be opened');
    await expect(store.patch(Secret, 'prod', 'b', { data: { x: 'y' } })).rejects.toMatchObject({ reason: 'DecryptionFailed' });
    await expect(store.transaction((tx) => tx.update(Secret, 'prod', 'b', { data: {} }))).rejects.toMatchObject({
      reason: 'DecryptionFailed',
    });
    const [shown] = await store.getHistory(Secret, 'prod', 'b');
    expect(shown).toMatchObject({ error: { reason: 'DecryptionFailed' }, resource: { metadata: { namespace: 'prod', name: 'b' } } });
    expect(shown!.resource.data).toBeUndefined();
    await using watch = store.watch(Secret, 'prod', { initial: true });
    const names: string[] = [];
    for await (const event of watch) {
      if (event.type === 'BOOKMARK') break;
      names.push(event.name);
    }
    expect(names).toEqual(['a', 'b', 'c', 'd']);
    await store.delete(Secret, 'prod', 'b');
    expect((await store.list(Secret, 'prod')).failed).toEqual([]);
    expect((await store.create(Secret, 'prod', 'b', secret({ password: 'new' }))).data).toEqual({ password: 'new' });
    expect((await store.deleteCollection(Secret, 'prod')).deleted).toBe(4);
  });
});

describe('secrets and definitions', () => {
  it('lets a process without the definition read seals, and write nothing', async () => {
    const path = await directory();
    const Widget = defineResource({
      kind: 'Widget',
      spec: { type: 'object', properties: { token: { type: 'string', sensitive: true }, size: { type: 'integer' } } },
    });
    {
      await using store = await open({ path });
      await store.create(Widget, 'prod', 'w', { spec: { token: 'hunter2', size: 1 } });
    }
    await using store = await open({ path });
    const read = (await store.get('widget', 'prod', 'w')) as unknown as { spec: { token: Sealed<string>; size: number } };
    expect(JSON.stringify(read.spec)).toBe('{"token":"[sealed]","size":1}');
    expect(read.spec.token.reveal()).toBe('hunter2');
    for (const write of [
      () => store.create('widget', 'prod', 'x', { spec: {} }),
      () => store.update('widget', 'prod', 'w', { spec: { token: 'plain' } }),
      () => store.patch('widget', 'prod', 'w', { spec: { size: 2 } }),
      () => store.apply('widget', 'prod', 'w', { spec: {} }),
      () => store.modify('widget', 'prod', 'w', () => {}),
      () => store.transaction((tx) => tx.update('widget', 'prod', 'w', { spec: {} })),
    ]) {
      await expect(write()).rejects.toThrow('has a definition that this process did not bring');
    }
    // Nor may a definition that forgot what was secret.
    const Careless = defineResource({
      kind: 'Widget',
      spec: { type: 'object', properties: { token: { type: 'string' }, size: { type: 'integer' } } },
    });
    await expect(store.update(Careless, 'prod', 'w', { spec: { token: 'plain' } })).rejects.toThrow('sealed spec.token until now');
  });

  it('keeps a field sealed that the definition no longer has', async () => {
    const path = await directory();
    const before = defineResource({
      kind: 'Widget',
      spec: { type: 'object', properties: { token: { type: 'string', sensitive: true }, size: { type: 'integer' } } },
    });
    const after = defineResource({ kind: 'Widget', spec: { type: 'object', properties: { size: { type: 'integer' } } } });
    {
      await using store = await open({ path });
      await store.create(before, 'prod', 'w', { spec: { token: 'hunter2', size: 1 } });
    }
    await using store = await open({ path });
    expect((await store.get(after, 'prod', 'w')).spec).toEqual({ token: 'hunter2', size: 1 });
    expect(JSON.stringify((await store.getHistory(after, 'prod', 'w'))[0]!.resource.spec)).toBe('{"token":"[sealed]","size":1}');
    expect((await store.update(after, 'prod', 'w', { spec: { size: 2 } })).spec).toEqual({ size: 2 });
  });

  it('refuses values that lie in the clear since before they were marked, until they are read on purpose and sealed by a rotation', async () => {
    const path = await directory();
    const before = defineResource({
      kind: 'Widget',
      spec: { type: 'object', properties: { token: { type: 'string' }, size: { type: 'integer' } } },
    });
    const after = defineResource({
      kind: 'Widget',
      spec: { type: 'object', properties: { token: { type: 'string', sensitive: true }, size: { type: 'integer' } } },
    });
    {
      await using store = await open({ path });
      await store.create(before, 'prod', 'w', { spec: { token: 'hunter2' } });
      await store.create(before, 'prod', 'none', { spec: { size: 1 } });
    }
    {
      await using store = await open({ path, types: [after] });
      await expect(store.get(after, 'prod', 'w')).rejects.toThrow('spec.token lies in the clear');
      expect((await store.list(after)).items).toHaveLength(1);
      // Sealing it would vouch for it.
      expect((await store.rotateKeys()).failed).toHaveLength(1);
    }
    const engine = tapped(lmdbEngine({ path }));
    await using store = await open({ engine, types: [after], secrets: { plaintext: 'read' } });
    expect((await store.get(after, 'prod', 'w')).spec.token).toBe('hunter2');
    expect(JSON.stringify((await store.getHistory(after, 'prod', 'w'))[0]!.resource.spec)).toBe('{"token":"[sealed]"}');
    expect((await store.rotateKeys()).failed).toEqual([]);
    for (const { value } of (await engine.engine().walk({})).entries) expect(value![0]).toBe(0xc1);
    expect((await store.get(after, 'prod', 'w')).spec.token).toBe('hunter2');
  });

  it('holds its limits: bytes of the encoded object, number and length of keys', async () => {
    await using store = await open({ engine: memoryEngine() });
    const before = store.revision;
    await expect(store.create(Secret, 'prod', 'big', secret({ a: 'x'.repeat(1024 * 1024) }))).rejects.toMatchObject({
      reason: 'RequestEntityTooLarge',
    });
    await expect(store.create(Secret, 'prod', 'long', secret({ ['k'.repeat(257)]: 'x' }))).rejects.toThrow('at most 256');
    await expect(
      store.create(Secret, 'prod', 'many', secret(Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [`k${i}`, ''])))),
    ).rejects.toThrow('at most 1024');
    await expect(store.create('config', 'prod', 'big', { data: { a: 'x'.repeat(1024 * 1024) } })).rejects.toMatchObject({
      reason: 'RequestEntityTooLarge',
    });
    expect(store.revision).toBe(before);
    const most = Object.fromEntries(Array.from({ length: 1024 }, (_, i) => [`k${i}`.padEnd(256, 'x'), 'v']));
    expect((await store.create(Secret, 'prod', 'most', secret(most))).data).toEqual(most);
  });

  it('measures an object as it is sealed: at the limit it is taken, one byte above it is not', async () => {
    const limit = Secret.limits.objectBytes!;
    const engine = tapped(memoryEngine());
    await using store = await open({ engine });
    const stored = async (name: string): Promise<number> =>
      (await engine.engine().walk({})).entries.find(({ key }) => key.name === name)!.value!.length;
    // What is around the values takes as many bytes whatever their length, as long as that is written in as many.
    const probe = 'x'.repeat(limit - 4096);
    await store.create(Secret, 'prod', 'p', secret({ a: probe }));
    const around = (await stored('p')) - probe.length;
    // The same object in the clear has fewer, even with the metadata: what is measured cannot be that.
    const clear = Buffer.byteLength(JSON.stringify(await store.get(Secret, 'prod', 'p')));
    expect((await stored('p')) - clear).toBeGreaterThan(1);
    for (const [name, bytes] of [
      ['o', limit - 1],
      ['e', limit],
    ] as const) {
      await store.create(Secret, 'prod', name, secret({ a: 'x'.repeat(bytes - around) }));
      expect(await stored(name)).toBe(bytes);
    }
    const { revision } = store;
    const above = secret({ a: 'x'.repeat(limit + 1 - around) });
    const refused = {
      reason: 'RequestEntityTooLarge',
      message: expect.stringContaining(`is ${limit + 1} bytes encoded, more than the ${limit} allowed`) as string,
    };
    await expect(store.create(Secret, 'prod', 'a', above)).rejects.toMatchObject(refused);
    await expect(store.update(Secret, 'prod', 'e', above)).rejects.toMatchObject(refused);
    await expect(store.patch(Secret, 'prod', 'e', { data: above.data })).rejects.toMatchObject(refused);
    expect(store.revision).toBe(revision);
    expect(await stored('e')).toBe(limit);
  });
});
