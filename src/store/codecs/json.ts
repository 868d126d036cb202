/**
 * How objects become bytes. A codec is pure: the same object gives the same bytes, and decode(encode(x)) equals x for
 * plain JSON. Its name is part of the store's fingerprint, so that no process reads with another codec than the writer's.
 */

/**
 * A way to write objects down. `decode` gives a fresh object each time. What `encode` gives may not begin with the byte 0xC1,
 * which marks what the store seals (no UTF-8 text and no MessagePack begins so): such a write is refused with an `InvalidError`.
 */
export interface Codec {
  readonly name: string;
  encode(object: object): Uint8Array;
  decode(bytes: Uint8Array): object;
}

/** UTF-8 JSON: what is on disk can be read with any tool. The default. */
export const jsonCodec: Codec = Object.freeze({
  name: 'json',
  encode: (object: object): Uint8Array => Buffer.from(JSON.stringify(object)),
  decode: (bytes: Uint8Array): object => {
    // Buffer's utf8Slice is several times faster than TextDecoder for objects of a few kB.
    const text = Buffer.isBuffer(bytes)
      ? bytes.toString('utf8')
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
    return JSON.parse(text) as object;
  },
});
