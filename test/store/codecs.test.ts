import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkJson } from '../../src/schemas/index.js';
import { jsonCodec, memoryEngine, msgpackCodec, openStore } from '../../src/store/index.js';
import type { Codec } from '../../src/store/index.js';
import { storeConformance } from '../../src/testing/conformance/store-suite.js';

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

  it('are part of the store: another one is refused', async () => {
    const source = memoryEngine();
    await (await openStore({ engine: source })).close();
    await expect(openStore({ engine: source, codec: msgpackCodec })).rejects.toThrow(/codec "json".*"msgpack"/);
  });
});
