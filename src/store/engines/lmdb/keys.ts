/**
 * Keys as LMDB holds them: the UTF-8 parts with NUL between them, so that the order of bytes is the order of (type,
 * namespace, name); a revision behind a key or alone is 8 bytes, big-endian.
 *
 * Invariant: a key in a table is one that `checks.ts` let through.
 */
import type { IndexEntry, Key, Prefix } from '../../engine.js';
import { indexText, keyText, prefixText } from '../checks.js';

/** What a version's key has behind the object's: NUL and the revision. */
export const REVISION_SUFFIX = 9;
const TWO_32 = 0x1_0000_0000;

export function objectKey(key: Key): Buffer {
  return Buffer.from(keyText(key));
}

export function writeRevision(target: Buffer, revision: number, offset: number): void {
  target.writeUInt32BE(Math.floor(revision / TWO_32), offset);
  target.writeUInt32BE(revision >>> 0, offset + 4);
}

export function readRevision(bytes: Uint8Array, offset: number): number {
  return readUint32(bytes, offset) * TWO_32 + readUint32(bytes, offset + 4);
}

export function readUint32(bytes: Uint8Array, offset: number): number {
  return (
    (((bytes[offset] as number) << 24) |
      ((bytes[offset + 1] as number) << 16) |
      ((bytes[offset + 2] as number) << 8) |
      (bytes[offset + 3] as number)) >>>
    0
  );
}

export function revisionKey(revision: number): Buffer {
  const key = Buffer.allocUnsafe(8);
  writeRevision(key, revision, 0);
  return key;
}

/** Where the version of an object that a revision wrote is in `hist`. */
export function versionKey(object: Uint8Array, revision: number): Buffer {
  const key = Buffer.allocUnsafe(object.length + REVISION_SUFFIX);
  key.set(object);
  key[object.length] = 0;
  writeRevision(key, revision, object.length + 1);
  return key;
}

/** A range of keys: from `start` on, below `end`. */
export interface KeyRange {
  readonly start: Buffer;
  readonly end: Buffer;
}

/** All keys that begin with a text that ends in NUL. */
function beginningWith(text: string): KeyRange {
  const start = Buffer.from(text);
  const end = Buffer.from(start);
  end[end.length - 1] = 1;
  return { start, end };
}

/** The keys of a prefix, in `obj` and, with revisions behind them, in `hist`. */
export function prefixRange(prefix: Prefix): KeyRange {
  const text = prefixText(prefix);
  return text === '' ? { start: Buffer.of(1), end: Buffer.of(255) } : beginningWith(text);
}

/** The first key behind a key, and behind its versions in `hist`. */
export function behind(object: Uint8Array): Buffer {
  const key = Buffer.allocUnsafe(object.length + 1);
  key.set(object);
  key[object.length] = 1;
  return key;
}

export function indexRange(entry: IndexEntry): KeyRange {
  return beginningWith(`${indexText(entry)}\0`);
}

/** Of an entry that was checked. */
export function indexKeyText({ index, value }: IndexEntry, object: string): string {
  return `${index}\0${value}\0${object}`;
}

/** The object's key as it was given. */
export function parseKey(bytes: Buffer, start = 0, end = bytes.length): Key {
  const text = bytes.toString('utf8', start, end);
  const first = text.indexOf('\0');
  const second = text.indexOf('\0', first + 1);
  return { type: text.slice(0, first), namespace: text.slice(first + 1, second), name: text.slice(second + 1) };
}

/** How errors name a key. */
export function describeBytes(object: Uint8Array): string {
  return JSON.stringify(Buffer.from(object).toString().split('\0').join('/'));
}
