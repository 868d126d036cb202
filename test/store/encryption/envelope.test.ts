/** Real world: real keys and nonces, so that nothing rests on a seed. */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cloneJson, isCorrupt, isDecryption } from '../../../src/schemas/index.js';
import { jsonCodec } from '../../../src/store/codecs/json.js';
import { isEnvelope, keyIdOf, parseEnvelope } from '../../../src/store/encryption/envelope.js';
import { Keyring, masterKey } from '../../../src/store/encryption/keyring.js';
import { createSealer } from '../../../src/store/encryption/sealer.js';
import type { SealIdentity } from '../../../src/store/object-codec.js';
import type { Stored } from '../../../src/store/write/rules.js';

const PATHS = [
  ['data', '*'],
  ['binaryData', '*'],
];
const key = { type: 'secret', namespace: 'prod', name: 'db' };
const identity: SealIdentity = { key, uid: 'u-1', version: 3 };
const object = {
  kind: 'Secret',
  metadata: { name: 'db', namespace: 'prod', uid: 'u-1', generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' },
  type: 'Opaque',
  data: { user: 'admin', password: 'hunter2' },
} as unknown as Stored;

function sealerOf(storeId = 'store-1', bytes: Uint8Array = randomBytes(32)) {
  const keyring = new Keyring();
  const master = masterKey(bytes, storeId);
  keyring.add(master);
  keyring.seal(master.id);
  return createSealer({ storeId, keyring, entropy: { bytes: (length) => randomBytes(length) }, readPlaintext: false });
}

/** A small generator of whole numbers below a bound. */
function mulberry(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const sealer = sealerOf();
const value = Buffer.from(sealer.seal(PATHS, identity, object, jsonCodec).value);

function outcome(bytes: Uint8Array, as: SealIdentity = identity): 'opened' | 'refused' {
  try {
    sealer.openPlain(as, bytes, jsonCodec);
    return 'opened';
  } catch (error) {
    if (isCorrupt(error) || isDecryption(error)) return 'refused';
    throw error;
  }
}

describe('envelope', () => {
  // A hundred thousand errors are made here; their stacks would take most of the time.
  const { stackTraceLimit } = Error;
  beforeAll(() => void (Error.stackTraceLimit = 0));
  afterAll(() => void (Error.stackTraceLimit = stackTraceLimit));

  it('opens under the identity it was sealed for, and gives back the object', () => {
    expect(sealer.openPlain(identity, value, jsonCodec)).toEqual(object);
  });

  it('is refused with any of its bits flipped', () => {
    for (let at = 0; at < value.length * 8; at += 1) {
      const bytes = Buffer.from(value);
      bytes[at >> 3]! ^= 1 << (at & 7);
      if (!sealer.owns(bytes)) {
        // Then it is taken for what the codec writes, and is not that.
        expect(() => jsonCodec.decode(bytes)).toThrow();
        continue;
      }
      expect(outcome(bytes), `bit ${at}`).toBe('refused');
    }
  });

  it('is refused when it is cut, or longer', () => {
    for (let length = 1; length < value.length; length += 1) expect(outcome(value.subarray(0, length))).toBe('refused');
    expect(outcome(Buffer.concat([value, Buffer.from([0])]))).toBe('refused');
  });

  it('is refused for another type, namespace, name, uid, version or store', () => {
    for (const other of [
      { ...identity, key: { ...key, type: 'config' } },
      { ...identity, key: { ...key, namespace: 'production' } },
      { ...identity, key: { ...key, name: 'db2' } },
      // The same letters, divided otherwise.
      { ...identity, key: { ...key, namespace: 'pro', name: 'ddb' } },
      { ...identity, uid: 'u-2' },
      { ...identity, version: 2 },
      { ...identity, version: 4 },
    ]) {
      expect(outcome(value, other)).toBe('refused');
    }
    const bytes = randomBytes(32);
    const mine = sealerOf('store-1', bytes).seal(PATHS, identity, object, jsonCodec).value;
    expect(() => sealerOf('store-2', bytes).openPlain(identity, mine, jsonCodec)).toThrow(/cannot be opened/);
  });

  it('is refused with the wrapped key, the body or the clear part of another version', () => {
    const next = sealer.seal(
      PATHS,
      { ...identity, version: 4 },
      { ...object, type: 'Secret', data: { user: 'admin', password: 'hunter3' } },
      jsonCodec,
    ).value;
    expect(next.length).toBe(value.length);
    const head = 4 + keyIdOf(value, key).length;
    const { authenticated } = parseEnvelope(value, key);
    const bodyAt = head + 44 + authenticated.length;
    for (const [from, to] of [
      [head, head + 32],
      [head + 32, head + 44],
      [head + 44, bodyAt],
      [bodyAt, bodyAt + 16],
      [bodyAt + 16, value.length],
      [head, bodyAt],
    ] as const) {
      const mixed = Buffer.from(value);
      mixed.set(next.subarray(from, to), from);
      expect(outcome(mixed), `${from}-${to}`).toBe('refused');
    }
  });

  it('is never taken for JSON or msgpack, nor these for an envelope', () => {
    expect(isEnvelope(value)).toBe(true);
    // RFC 3629: 0xC1 is in no UTF-8 text; msgpack's specification: 0xC1 is never used.
    expect(value[0]).toBe(0xc1);
    fc.assert(fc.property(fc.jsonValue(), (json) => !isEnvelope(jsonCodec.encode({ json }))));
  });

  it('fails with typed errors alone, whatever the bytes', () => {
    let random = 0;
    const typed = (bytes: Uint8Array): void => {
      random += 1;
      // OpenSSL takes its time to say no: it is asked for a tenth of them, the parser for all.
      if (random % 10 === 0) outcome(bytes);
      try {
        sealer.open(PATHS, identity, bytes, jsonCodec);
        if (random % 10 === 0) sealer.rewrap(bytes, key);
      } catch (error) {
        if (!isCorrupt(error) && !isDecryption(error)) throw error;
      }
    };
    // Real ones with bytes replaced, cut or continued by anything, and anything that begins as one does. Seeds instead of
    // arrays: fast-check would take half a minute to make 100,000 of them.
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const next = mulberry(seed);
        for (let each = 0; each < 1000; each += 1) {
          const bytes = Buffer.concat([
            value.subarray(0, each % 3 === 0 ? 2 + next(8) : each % 3 === 1 ? next(value.length + 1) : value.length),
            Buffer.alloc(each % 3 === 2 ? 0 : next(200)),
          ]);
          for (let edits = each % 3 === 2 ? 1 + next(8) : 0; edits > 0; edits -= 1) bytes[next(bytes.length)] = next(256);
          if (each % 3 !== 2)
            for (let at = Math.min(2, bytes.length); at < bytes.length; at += 1 + next(each % 3 === 0 ? 1 : 20)) bytes[at] = next(256);
          typed(bytes);
        }
      }),
      { numRuns: 100 },
    );
    expect(random).toBe(100_000);
  });

  it('fails with typed errors when an authentic-looking clear part lies', () => {
    // The clear part is read before anything is authenticated: whatever stands there must not do harm.
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (data, patterns) => {
        const parts = parseEnvelope(value, key);
        const text = Buffer.from(JSON.stringify(patterns));
        const clear = Buffer.from(JSON.stringify({ metadata: {}, data }));
        const u32 = (length: number): Buffer => {
          const bytes = Buffer.alloc(4);
          bytes.writeUInt32BE(length);
          return bytes;
        };
        const head = value.subarray(0, 4 + parts.keyId.length + 44);
        const bytes = Buffer.concat([head, u32(text.length), text, u32(clear.length), clear, u32(2), parts.tag, parts.body]);
        expect(outcome(bytes)).toBe('refused');
        try {
          sealer.open(PATHS, identity, bytes, jsonCodec);
        } catch (error) {
          if (!isCorrupt(error) && !isDecryption(error)) throw error;
        }
      }),
      { numRuns: 500 },
    );
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('is taken over by another master key with all but its head as it was, and refused again wherever it was changed', () => {
    const keyring = new Keyring();
    const [before, after] = [masterKey(randomBytes(32), 'store-1'), masterKey(randomBytes(32), 'store-1')];
    keyring.add(before);
    keyring.add(after);
    keyring.seal(before.id);
    const both = createSealer({ storeId: 'store-1', keyring, entropy: { bytes: (length) => randomBytes(length) }, readPlaintext: false });
    const old = both.seal(PATHS, identity, object, jsonCodec).value;
    expect(both.rewrap(old, key)).toBeUndefined();
    keyring.seal(after.id);
    const next = Buffer.from(both.rewrap(old, key)!);
    expect(keyIdOf(next, key)).toBe(after.id);
    expect(parseEnvelope(next, key).authenticated).toEqual(parseEnvelope(old, key).authenticated);
    expect(parseEnvelope(next, key).body).toEqual(parseEnvelope(old, key).body);
    expect(both.rewrap(next, key)).toBeUndefined();
    const alone = new Keyring();
    alone.add(after);
    const later = createSealer({
      storeId: 'store-1',
      keyring: alone,
      entropy: { bytes: (length) => randomBytes(length) },
      readPlaintext: false,
    });
    expect(later.openPlain(identity, next, jsonCodec)).toEqual(object);
    expect(() => later.openPlain(identity, old, jsonCodec)).toThrow('which this process does not have');
    for (let at = 1; at < next.length; at += 1) {
      const bytes = Buffer.from(next);
      bytes[at]! ^= 1 << (at & 7);
      expect(() => later.openPlain(identity, bytes, jsonCodec), `byte ${at}`).toThrow(/damaged|cannot be opened/);
    }
    // Back to the first key, and away again.
    keyring.seal(before.id);
    expect(both.openPlain(identity, both.rewrap(next, key)!, jsonCodec)).toEqual(object);
  });

  it('takes a new data key and nonce for each version', () => {
    const seen = new Set<string>();
    for (let round = 0; round < 200; round += 1) {
      const { nonce, dataKey, body } = parseEnvelope(sealer.seal(PATHS, identity, object, jsonCodec).value, key);
      for (const part of [nonce, dataKey, body]) seen.add(part.toString('hex'));
    }
    expect(seen.size).toBe(600);
  });
});

describe('sealer', () => {
  const json = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(
        fc.string().filter((name) => name !== '__proto__'),
        tie('value'),
        { maxKeys: 3 },
      ),
    ),
  })).value;

  it('gives back what was sealed, wherever it lies, and changes neither input', () => {
    const anywhere = [['a'], ['b', '*'], ['b', 'c', 'd'], ['list', '*', 'x'], ['list', '*', 'y', '*'], ['*', 'z']];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('a', 'b', 'list', 'other', 'z'), json, { maxKeys: 5 }), (rest) => {
        const input = { ...rest, metadata: object.metadata } as unknown as Stored;
        const before = cloneJson(input);
        const marked = JSON.stringify(input).includes('[sealed]');
        if (marked) return;
        const sealed = sealer.seal(anywhere, identity, input, jsonCodec);
        expect(input).toEqual(before);
        expect(sealer.openPlain(identity, sealed.value, jsonCodec)).toEqual(before);
        expect(sealer.reveal(anywhere, sealed.cached(input))).toEqual(before);
        const opened = sealer.open(anywhere, identity, sealed.value, jsonCodec);
        const frozen = JSON.stringify(opened);
        expect(sealer.reveal(anywhere, opened)).toEqual(before);
        expect(JSON.stringify(opened)).toBe(frozen);
        expect(JSON.stringify(sealed.cached(input))).toBe(frozen);
      }),
    );
  });

  it('names equal contents equally, and others differently', () => {
    const data = (version: number, password: string) => {
      const plain = { ...object, data: { user: 'hunter2', password } };
      const sealed = sealer.seal(PATHS, { ...identity, version }, plain, jsonCodec).cached(plain);
      return sealed['data'] as Record<string, { equals(other: unknown): boolean }>;
    };
    const first = data(3, 'hunter2');
    expect(first['password']!.equals(data(4, 'hunter2')['password'])).toBe(true);
    expect(first['password']!.equals(data(4, 'hunter3')['password'])).toBe(false);
    expect(first['password']!.equals(first['user'])).toBe(true);
    expect(first['password']!.equals('hunter2')).toBe(false);
    // Names come from the key: nobody without it can try values.
    const other = sealerOf().seal(PATHS, identity, object, jsonCodec).cached(object)['data'] as typeof first;
    expect(first['password']!.equals(other['password'])).toBe(false);
  });

  it('opens what was sealed when fields were marked otherwise only where the type still says so', () => {
    const older = sealer.seal([['data', '*'], ['note']], identity, { ...object, note: 'n' }, jsonCodec).value;
    expect(() => sealer.open(PATHS, identity, older, jsonCodec)).toThrow(/note is sealed/);
    expect(JSON.stringify(sealer.open([...PATHS, ['note']], identity, older, jsonCodec)['note'])).toBe('"[sealed]"');
  });
});
