/** The codecs that there are and somebody else's, each under the whole store. Real world: one of them on a disk as well. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Secret, checkJson, isInvalid } from '../../src/schemas/index.js';
import { jsonCodec, lmdbEngine, memoryEngine, msgpackCodec, openStore, systemDeps } from '../../src/store/index.js';
import type { Codec } from '../../src/store/index.js';
import { storeConformance } from '../../src/testing/conformance/store-suite.js';
import { virtualDeps } from '../../src/testing/index.js';

/** Somebody else's: JSON with every byte inverted. */
const third: Codec = {
  name: 'inverted',
  encode: (object) => jsonCodec.encode(object).map((byte) => byte ^ 0xff),
  decode: (bytes) => jsonCodec.decode(bytes.map((byte) => byte ^ 0xff)),
};

for (const codec of [msgpackCodec, third]) {
  describe(`the store with the codec ${codec.name}`, () => {
    storeConformance({
      describe,
      it,
      open: async () => ({ store: await openStore({ engine: plainMemory(), codec }), dispose: async () => {} }),
    });
  });
}

describe('the store with the codec msgpack on the LMDB engine', () => {
  storeConformance({
    describe,
    it,
    open: async () => {
      const path = await mkdtemp(join(tmpdir(), 'rune-codec-'));
      const deps = systemDeps({ logger: virtualDeps().logger });
      const store = await openStore({ engine: lmdbEngine({ path }), codec: msgpackCodec, deps });
      return { store, dispose: () => rm(path, { recursive: true, force: true }) };
    },
  });
});

/** A memory engine that does not hand decoded objects back, so that the codec has to work. */
function plainMemory(): ReturnType<typeof memoryEngine> {
  return memoryEngine({ decoded: false });
}

describe('codecs', () => {
  it('give back what they were given', () => {
    for (const codec of [jsonCodec, msgpackCodec, third]) {
      fc.assert(
        fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
          const plain = JSON.parse(JSON.stringify(object)) as object;
          // What the store refuses never reaches a codec.
          fc.pre(checkJson(plain).length === 0);
          expect(JSON.stringify(codec.decode(codec.encode(plain)))).toBe(JSON.stringify(plain));
        }),
      );
    }
  });

  it.each([jsonCodec, msgpackCodec])('never come to see a -0, which not all of them know: $name', async (codec) => {
    await using store = await openStore({ engine: memoryEngine(), codec });
    const deep = { list: [-0, 1, { deep: -0 }], zero: -0, text: 'x', minus: -0.5 };
    const written = [
      await store.create('plain', 'prod', 'a', { v: deep, top: -0 }),
      await store.update('plain', 'prod', 'a', { v: { ...deep, text: 'y' }, top: -0 }),
      await store.patch('plain', 'prod', 'a', { v: { text: 'z', zero: -0 } }),
      await store.patch('plain', 'prod', 'a', [{ op: 'add', path: '/v/more', value: -0 }]),
      await store.apply('plain', 'prod', 'b', { v: deep, top: -0 }),
      await store.modify('plain', 'prod', 'a', (draft) => void (draft['top'] = -0)),
    ];
    written.push(await store.get('plain', 'prod', 'a'), ...(await store.list('plain')).items);
    for (const object of written) {
      expect(object['v']).toMatchObject({ list: [0, 1, { deep: 0 }], zero: 0, minus: -0.5 });
      expect(object['top'] ?? 0).toBe(0);
    }
    // The caller's own object stays as it was.
    expect(Object.is(deep.zero, -0)).toBe(true);
  });

  it('that begin an object with the byte of a seal are refused it: an acknowledged write was unreadable from then on', async () => {
    /** Marks in its own way, and what is called bad with 0xC1. */
    const marking: Codec = {
      name: 'marking',
      encode: (object) => {
        const bad = (object as { metadata: { name: string } }).metadata.name.startsWith('bad');
        return Buffer.concat([Buffer.of(bad ? 0xc1 : 0xc2), jsonCodec.encode(object)]);
      },
      decode: (bytes) => jsonCodec.decode(bytes.subarray(1)),
    };
    await using store = await openStore({ engine: plainMemory(), codec: marking });
    const refused = (error: unknown): unknown => {
      expect(error).toSatisfy(isInvalid);
      expect(error).toMatchObject({ causes: [{ field: 'codec' }], details: { kind: 'plain', namespace: 'prod' } });
      expect(String(error)).toMatch(/plain.*bad.*codec "marking".*0xC1/);
      return 'refused';
    };
    const outcomes = await Promise.all([
      store.create('plain', 'prod', 'a', { v: 1 }).then(({ metadata }) => metadata.resourceVersion),
      store.create('plain', 'prod', 'bad', { v: 1 }).catch(refused),
      store.create('plain', 'prod', 'b', { v: 1 }).then(({ metadata }) => metadata.resourceVersion),
      store.create('plain', 'prod', 'bad', { v: 1 }, { dryRun: true }).catch(refused),
      store
        .transaction(async (tx) => {
          await tx.create('plain', 'prod', 'c', {});
          await tx.create('plain', 'prod', 'bad', {});
        })
        .catch(refused),
    ]);
    expect(outcomes).toEqual(['1', 'refused', '2', 'refused', 'refused']);
    expect(store.revision).toBe('2');
    expect((await store.list('plain')).items.map(({ metadata }) => metadata.name)).toEqual(['a', 'b']);
    expect((await store.get('plain', 'prod', 'b'))['v']).toBe(1);
    expect((await store.verify()).problems).toEqual([]);
  });

  it('may begin what is in a seal with any byte', async () => {
    const marking: Codec = {
      name: 'marking',
      encode: (object) => Buffer.concat([Buffer.of(0xc1), jsonCodec.encode(object)]),
      decode: (bytes) => jsonCodec.decode(bytes.subarray(1)),
    };
    await using store = await openStore({ engine: plainMemory(), codec: marking });
    await store.create(Secret, 'prod', 'a', { data: { key: 'plain' } });
    expect((await store.get(Secret, 'prod', 'a')).data).toEqual({ key: 'plain' });
  });

  it('are part of the store: another one is refused', async () => {
    const source = memoryEngine();
    await (await openStore({ engine: source })).close();
    await expect(openStore({ engine: source, codec: msgpackCodec })).rejects.toThrow(/codec "json".*"msgpack"/);
  });
});
