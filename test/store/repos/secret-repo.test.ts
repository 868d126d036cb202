/** A SecretRepo gives its caller plain values, and shows seals in whatever is listed for others to look at. */
import { describe, expect, it } from 'vitest';
import { NotFoundError, Sealed } from '../../../src/schemas/index.js';
import { createSecretRepo } from '../../../src/store/repos/index.js';
import { scene } from './setup.js';

const key = { namespace: 'prod', name: 'db' };
const bytes = new Uint8Array([0, 255, 128, 10]);

describe('SecretRepo', () => {
  it(
    'reads single keys, by ref as well, as text and as bytes',
    scene(async ({ store }) => {
      const secrets = createSecretRepo(store, { defaultNamespace: 'prod' });
      const made = await secrets.create({
        metadata: key,
        data: { password: 'hünter2', empty: '' },
        binaryData: { cert: Buffer.from(bytes).toString('base64') },
      });
      expect(made.data).toEqual({ password: 'hünter2', empty: '' });
      expect(await secrets.value('secret:db.prod.rune/password')).toBe('hünter2');
      expect(await secrets.value('secret:db/password')).toBe('hünter2');
      expect(await secrets.value(`rune://secret/prod/id/${made.metadata.uid}/password`)).toBe('hünter2');
      expect(await secrets.value(key, 'password')).toBe('hünter2');
      expect(await secrets.value(made, 'empty')).toBe('');
      expect(await secrets.bytes(key, 'cert')).toEqual(bytes);
      expect(await secrets.bytes('secret:db.prod.rune/cert')).toEqual(bytes);
      expect(await secrets.bytes(key, 'password')).toEqual(new TextEncoder().encode('hünter2'));
    }),
  );

  it(
    'names the keys there are when one is not, and no value',
    scene(async ({ store }) => {
      const secrets = createSecretRepo(store);
      await secrets.create({ metadata: key, data: { password: 'hunter2' } });
      const missing = await secrets.value('secret:db.prod.rune/user').then(
        () => undefined,
        (error: unknown) => error as Error,
      );
      expect(missing).toBeInstanceOf(NotFoundError);
      expect(missing!.message).toBe('secret "prod/db" has no key "user"; it has password');
    }),
  );

  it(
    'sets texts and bytes, removes keys, and leaves the others',
    scene(async ({ store }) => {
      const secrets = createSecretRepo(store);
      await secrets.create({ metadata: key, data: { keep: '1', change: '1' } });
      const set = await secrets.setValues(key, { change: bytes, more: 'text' });
      expect([set.data, set.binaryData]).toEqual([{ keep: '1', more: 'text' }, { change: Buffer.from(bytes).toString('base64') }]);
      expect(await secrets.bytes(key, 'change')).toEqual(bytes);
      await secrets.removeKeys(key, ['change', 'more', 'absent']);
      const { data, binaryData } = await secrets.get(key);
      expect([data, binaryData]).toEqual([{ keep: '1' }, undefined]);
    }),
  );

  it(
    'lists its history sealed, gives a version in the clear, and brings one back',
    scene(async ({ store }) => {
      const secrets = createSecretRepo(store);
      const first = await secrets.create({
        metadata: key,
        data: { password: 'one', gone: 'soon' },
        binaryData: { cert: Buffer.from(bytes).toString('base64') },
      });
      const second = await secrets.setValues(key, { password: 'two', cert: new Uint8Array([7]) });
      const third = await secrets.removeKeys(key, ['gone']);

      const history = await secrets.history(key);
      expect(history.map(({ version, change, error }) => [version, change, error])).toEqual([
        [third.metadata.resourceVersion, 'updated', undefined],
        [second.metadata.resourceVersion, 'updated', undefined],
        [first.metadata.resourceVersion, 'created', undefined],
      ]);
      for (const { resource } of history) {
        const values = [...Object.values(resource.data ?? {}), ...Object.values(resource.binaryData ?? {})];
        expect(values.length).toBeGreaterThan(1);
        expect(values.every((value) => Sealed.is(value))).toBe(true);
      }
      expect(JSON.stringify(history)).not.toMatch(/"one"|"two"|"soon"/);
      expect(history.map(({ resource }) => resource.data!['password']!.reveal())).toEqual(['two', 'two', 'one']);

      const old = await secrets.version(key, first.metadata.resourceVersion);
      expect([old.data, old.binaryData]).toEqual([{ password: 'one', gone: 'soon' }, first.binaryData]);

      const back = await secrets.rollback(key, first.metadata.resourceVersion);
      expect([back.data, back.binaryData, back.metadata.uid]).toEqual([old.data, old.binaryData, first.metadata.uid]);
      expect(await secrets.value('secret:db.prod.rune/password')).toBe('one');
      expect(await secrets.value(key, 'gone')).toBe('soon');
      expect(await secrets.bytes(key, 'cert')).toEqual(bytes);
      const [newest] = await secrets.history(key);
      expect(newest!.version).toBe(back.metadata.resourceVersion);
      expect(newest!.resource.data!['password']).toSatisfy(Sealed.is);
      // The same content as the one it was taken from, as seals tell it.
      expect(newest!.resource.data!['password']!.equals(history.at(-1)!.resource.data!['password'])).toBe(true);
    }),
  );

  it(
    'keeps the type that a secret was made with, Opaque when none was named',
    scene(async ({ store }) => {
      const secrets = createSecretRepo(store);
      expect((await secrets.create({ metadata: key, data: { password: '1' } })).type).toBe('Opaque');
      const made = await secrets.create({ metadata: { ...key, name: 'tls' }, type: 'rune.dev/tls', data: { key: '1' } });
      expect(made.type).toBe('rune.dev/tls');
      expect((await secrets.setValues(made, { key: '2' })).type).toBe('rune.dev/tls');
      expect((await secrets.get(made.metadata)).type).toBe('rune.dev/tls');
      expect((await secrets.history(made.metadata)).map(({ resource }) => resource.type)).toEqual(['rune.dev/tls', 'rune.dev/tls']);
      await expect(secrets.patch(made.metadata, { type: 'Opaque' })).rejects.toThrow('cannot be changed');
      expect((await secrets.list({ fieldSelector: 'metadata.name=tls' })).items.map(({ type, data }) => [type, data])).toEqual([
        ['rune.dev/tls', { key: '2' }],
      ]);
    }),
  );
});
