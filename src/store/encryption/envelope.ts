/**
 * The bytes of a sealed version. One envelope a version, not one a field: a field cannot be moved to another field of the
 * object, the clear part is authenticated with it, and it costs one key and one cipher whatever the number of fields.
 *
 *   0xC1 | 1 | u8 n, key id | u8 n, salt or wrapped data key | nonce, 12 | u32 n, patterns | u32 n, clear part | u32, sealed values | tag, 16 | ciphertext
 *
 * The data key is derived from the master key and a salt of 32 bytes, or (40 bytes, after a rotation) wrapped by it.
 *
 * Invariants: 0xC1 begins no UTF-8 text and no msgpack value, so an envelope is never taken for either. From the patterns to
 * the clear part all is associated data; what gives the data key is not, so that a new master key leaves the rest as it is. Parsing
 * reads nothing outside the bytes and fails with a `CorruptError` alone.
 */
import { CorruptError } from '../../schemas/index.js';
import type { Key } from '../engine.js';
import { describeKey } from '../keys.js';

/** What a data key is derived from. */
export const SALT_BYTES = 32;
/** AES key wrap (RFC 3394) of 32 bytes. */
export const WRAPPED_BYTES = 40;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
const MARK = 0xc1;
const FORMAT = 1;
const KEY_ID = /^[!-~]{1,64}$/;

/** Where the parts of an envelope begin. */
interface Layout {
  readonly dataKey: number;
  readonly nonce: number;
  readonly start: number;
  readonly clear: number;
  readonly end: number;
  /** How many values are sealed. */
  readonly count: number;
}

/** An envelope taken apart; the parts are views of its bytes. */
export class Envelope {
  readonly keyId: string;
  /** How many values are sealed. */
  readonly count: number;
  readonly #bytes: Buffer;
  readonly #at: Layout;

  constructor(bytes: Buffer, keyId: string, at: Layout) {
    this.keyId = keyId;
    this.count = at.count;
    this.#bytes = bytes;
    this.#at = at;
  }

  /** A salt, or a wrapped data key; the length tells which. */
  get dataKey(): Buffer {
    return this.#bytes.subarray(this.#at.dataKey, this.#at.nonce);
  }
  get nonce(): Buffer {
    return this.#bytes.subarray(this.#at.nonce, this.#at.start);
  }
  /** What was sealed, as the sensitive paths of the type at that time: JSON. */
  get patterns(): string {
    return this.#bytes.toString('utf8', this.#at.start + 4, this.#at.clear - 4);
  }
  get clear(): Buffer {
    return this.#bytes.subarray(this.#at.clear, this.#at.end - 4);
  }
  /** All that is authenticated and not encrypted. */
  get authenticated(): Buffer {
    return this.#bytes.subarray(this.#at.start, this.#at.end);
  }
  get tag(): Buffer {
    return this.#bytes.subarray(this.#at.end, this.#at.end + TAG_BYTES);
  }
  get body(): Buffer {
    return this.#bytes.subarray(this.#at.end + TAG_BYTES);
  }
}

/** What a new envelope is made of. */
export interface EnvelopeParts {
  readonly keyId: string;
  readonly salt: Uint8Array;
  readonly nonce: Uint8Array;
  readonly patterns: Uint8Array;
  readonly count: number;
  readonly clear: Uint8Array;
  readonly bodyBytes: number;
}

/** True for bytes that begin as an envelope does. */
export function isEnvelope(value: Uint8Array): boolean {
  return value[0] === MARK;
}

/** An envelope whose tag (at `end`) and body (behind it) are to be put in; from `start` to `end` it is authenticated. */
export function draftEnvelope(parts: EnvelopeParts): { readonly bytes: Buffer; readonly start: number; readonly end: number } {
  const { keyId, salt, nonce, patterns, count, clear, bodyBytes } = parts;
  const start = 4 + keyId.length + SALT_BYTES + NONCE_BYTES;
  const end = start + 12 + patterns.length + clear.length;
  const bytes = Buffer.allocUnsafe(end + TAG_BYTES + bodyBytes);
  bytes[0] = MARK;
  bytes[1] = FORMAT;
  bytes[2] = keyId.length;
  bytes.write(keyId, 3, 'latin1');
  bytes[3 + keyId.length] = SALT_BYTES;
  bytes.set(salt, 4 + keyId.length);
  bytes.set(nonce, start - NONCE_BYTES);
  let at = bytes.writeUInt32BE(patterns.length, start);
  bytes.set(patterns, at);
  at = bytes.writeUInt32BE(clear.length, at + patterns.length);
  bytes.set(clear, at);
  bytes.writeUInt32BE(count, at + clear.length);
  return { bytes, start, end };
}

/** Takes an envelope apart. @throws {CorruptError} when the bytes are none; `key` names the object in it. */
export function parseEnvelope(value: Uint8Array, key: Key): Envelope {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length < 3 || bytes[0] !== MARK) throw damaged(key, 'it does not begin as one');
  if (bytes[1] !== FORMAT) throw damaged(key, `its format is ${String(bytes[1])}, and this version knows ${FORMAT}`);
  /** Where a part ends that begins at `from`. */
  const end = (from: number, length: number): number => {
    if (length > bytes.length - from) throw damaged(key, 'it is cut short');
    return from + length;
  };
  const kindAt = end(3, bytes[2] as number);
  const keyId = bytes.toString('latin1', 3, kindAt);
  if (!KEY_ID.test(keyId)) throw damaged(key, 'its key id is no key id');
  const dataKey = end(kindAt, 1);
  const kind = bytes[kindAt];
  if (kind !== SALT_BYTES && kind !== WRAPPED_BYTES) throw damaged(key, 'it has no data key');
  const nonce = end(dataKey, kind);
  const start = end(nonce, NONCE_BYTES);
  const patterns = end(start, 4);
  const clearLength = end(patterns, bytes.readUInt32BE(start));
  const clear = end(clearLength, 4);
  const countAt = end(clear, bytes.readUInt32BE(clearLength));
  const tag = end(countAt, 4);
  end(tag, TAG_BYTES);
  return new Envelope(bytes, keyId, { dataKey, nonce, start, clear, end: tag, count: bytes.readUInt32BE(countAt) });
}

/** The id of the master key that an envelope names, mostly without looking at the rest. */
export function keyIdOf(value: Uint8Array, key: Key): string {
  const end = 3 + (value[2] ?? 0);
  if (value[0] !== MARK || value[1] !== FORMAT || end > value.length) return parseEnvelope(value, key).keyId;
  return Buffer.from(value.buffer, value.byteOffset + 3, end - 3).toString('latin1');
}

/** The same envelope under another master key: the data key wrapped anew, everything else byte for byte. */
export function withWrappedKey(envelope: Envelope, keyId: string, wrapped: Uint8Array): Buffer {
  const { nonce, authenticated, tag, body } = envelope;
  const head = Buffer.allocUnsafe(4 + keyId.length);
  head[0] = MARK;
  head[1] = FORMAT;
  head[2] = keyId.length;
  head.write(keyId, 3, 'latin1');
  head[3 + keyId.length] = WRAPPED_BYTES;
  return Buffer.concat([head, wrapped, nonce, authenticated, tag, body]);
}

function damaged(key: Key, why: string): CorruptError {
  return new CorruptError(`the sealed content of ${describeKey(key)} is damaged: ${why}`, {
    details: { kind: key.type, name: key.name, ...(key.namespace === '' ? {} : { namespace: key.namespace }) },
  });
}
