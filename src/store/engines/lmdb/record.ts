/**
 * A version as bytes: a header, then the value as it was given.
 *
 *     0 format u8 | 1 flags u8 | 2 header length u16 | 4 crc32 | 8 revision u64 | 16 created u64 | 24 version u32
 *     28 generation u64 | 36 time f64 | 44 uid length u8 | 45 source length u16 | 47 unused | 48 uid, source, value
 *
 * Invariants: the checksum covers key, value and header, so that a record in the wrong place is found as well as a wrong
 * bit. Its first part, over key and value, is known before the revision is; `stamp` finishes it.
 */
import { crc32 } from 'node:zlib';
import { CorruptError } from '../../../schemas/index.js';
import type { Entry, Key, Verb, VersionInfo, Write, WriteMeta } from '../../engine.js';
import { VERBS } from '../checks.js';
import { crcOf } from './crc.js';
import { describeBytes, parseKey, readRevision, readUint32, writeRevision } from './keys.js';

const FORMAT = 1;
export const FIXED_HEADER = 48;
const TOMBSTONE = 4;
const SOURCE = 8;
const NOTHING = Buffer.alloc(0);

/** An upper bound for the bytes of a record. */
export function recordBound(write: Write): number {
  return FIXED_HEADER + (write.meta.uid.length + (write.meta.source?.length ?? 0)) * 3 + (write.value?.byteLength ?? 0);
}

/** Writes all of a record but revision, created, version and checksum; where it ends. */
export function encodeRecord(slab: Buffer, offset: number, { meta, value }: Write): number {
  const { uid, source } = meta;
  const uidLength = slab.write(uid, offset + FIXED_HEADER);
  const sourceLength = source === undefined ? 0 : slab.write(source, offset + FIXED_HEADER + uidLength);
  const header = FIXED_HEADER + uidLength + sourceLength;
  slab[offset] = FORMAT;
  slab[offset + 1] = VERBS.indexOf(meta.verb) | (value === undefined ? TOMBSTONE : 0) | (source === undefined ? 0 : SOURCE);
  slab[offset + 2] = header >> 8;
  slab[offset + 3] = header & 0xff;
  writeRevision(slab, meta.generation, offset + 28);
  slab.writeDoubleBE(meta.time, offset + 36);
  slab[offset + 44] = uidLength;
  slab[offset + 45] = sourceLength >> 8;
  slab[offset + 46] = sourceLength & 0xff;
  slab[offset + 47] = 0;
  if (value === undefined) return offset + header;
  slab.set(value, offset + header);
  return offset + header + value.byteLength;
}

/** The checksum over the key and the value of a record whose header is written. */
export function bodyChecksum(key: Uint8Array, record: Buffer, value: Uint8Array | undefined): number {
  const start = crcOf(key, 0, key.length, readUint32(record, 0));
  return value === undefined || value.length === 0 ? start : crc32(value, start);
}

/** Puts in what is known inside the transaction only. */
export function stamp(record: Buffer, body: number, revision: number, created: number, version: number): void {
  writeRevision(record, revision, 8);
  writeRevision(record, created, 16);
  record.writeUInt32BE(version, 24);
  record.writeUInt32BE(crcOf(record, 8, headerLength(record), body), 4);
}

function headerLength(bytes: Uint8Array): number {
  return ((bytes[2] as number) << 8) | (bytes[3] as number);
}

export function revisionOfRecord(bytes: Uint8Array): number {
  return readRevision(bytes, 8);
}

export function createdOfRecord(bytes: Uint8Array): number {
  return readRevision(bytes, 16);
}

export function versionOfRecord(bytes: Uint8Array): number {
  return readUint32(bytes, 24);
}

/** What a retention policy sees of a record; not checked. */
export function infoOfRecord(record: Buffer): VersionInfo {
  const { generation, time, uid, verb } = new RecordMeta(() => record);
  return { revision: revisionOfRecord(record), generation, time, uid, verb };
}

/** What `versionMark` gives for the version that a record says it is. */
export function markOfRecord(bytes: Uint8Array): number {
  return crcOf(bytes, FIXED_HEADER, FIXED_HEADER + (bytes[44] as number), versionOfRecord(bytes));
}

export function isTombstone(bytes: Uint8Array): boolean {
  return ((bytes[1] as number) & TOMBSTONE) !== 0;
}

/** Whether a record could be one at all: enough to trust the numbers in its header with where they are used. */
export function looksSound(bytes: Uint8Array): boolean {
  return bytes.length >= FIXED_HEADER && bytes[0] === FORMAT && headerLength(bytes) <= bytes.length;
}

/**
 * A record as an entry, checked. `record` belongs to the entry from here on.
 * @throws {CorruptError} naming the key
 */
export function decodeRecord(object: Buffer, record: Buffer, known?: Key): Entry {
  const entry = new RecordEntry();
  entry.show(object, 0, object.length, record, record.length, known);
  return detached(entry, entry.value);
}

/** An entry that outlives the record it was read from, if its value does. */
export function detached({ key, meta, revision, created, version }: Entry, value: Uint8Array | undefined): Entry {
  const { verb, uid, generation, time, source } = meta;
  return { key, value, meta: { verb, uid, generation, time, source }, revision, created, version };
}

/**
 * A record as an entry that reads its parts only when asked for them: for looking at many, one behind the other. Key and
 * record may lie anywhere in larger buffers, and are not copied.
 */
export class RecordEntry implements Entry {
  #object: Buffer = NOTHING;
  #start = 0;
  #end = 0;
  #known: Key | undefined;
  #record: Buffer = NOTHING;
  /** The last key that was read and how its bytes begin: what follows is mostly of the same type and namespace. */
  #space: { readonly bytes: Buffer; readonly type: string; readonly namespace: string } | undefined;
  readonly meta: WriteMeta = new RecordMeta(() => this.#record);
  value: Buffer | undefined;

  /** Takes up a record, checked. @throws {CorruptError} naming the key */
  show(object: Buffer, start: number, end: number, record: Buffer, length: number, known: Key | undefined): void {
    const header = length >= FIXED_HEADER && record[0] === FORMAT ? headerLength(record) : 0;
    const value = record.subarray(header, length);
    if (header === 0 || header > length || checksum(object, start, end, record, header, value) !== readUint32(record, 4)) {
      throw new CorruptError(
        `the record of ${describeBytes(object.subarray(start, end))} is damaged: its checksum does not fit; restore it from a backup, or write the object anew`,
      );
    }
    this.#object = object;
    this.#start = start;
    this.#end = end;
    this.#known = known;
    this.#record = record;
    this.value = isTombstone(record) ? undefined : value;
  }

  get key(): Key {
    return (this.#known ??= this.#readKey());
  }
  get revision(): number {
    return revisionOfRecord(this.#record);
  }
  get created(): number {
    return createdOfRecord(this.#record);
  }
  get version(): number {
    return versionOfRecord(this.#record);
  }

  #readKey(): Key {
    const object = this.#object;
    const start = this.#start;
    const space = this.#space;
    if (space !== undefined && beginsWith(object, start, this.#end, space.bytes)) {
      const name = object.toString('utf8', start + space.bytes.length, this.#end);
      return { type: space.type, namespace: space.namespace, name };
    }
    const key = parseKey(object, start, this.#end);
    this.#space = { bytes: Buffer.from(`${key.type}\0${key.namespace}\0`), type: key.type, namespace: key.namespace };
    return key;
  }
}

function beginsWith(bytes: Uint8Array, start: number, end: number, what: Uint8Array): boolean {
  if (end - start <= what.length) return false;
  // From behind: the last bytes differ more often than the first.
  for (let at = what.length - 1; at >= 0; at--) if (bytes[start + at] !== what[at]) return false;
  return true;
}

/** What is written about a version, read from its record when asked for. */
class RecordMeta implements WriteMeta {
  readonly #record: () => Buffer;

  constructor(record: () => Buffer) {
    this.#record = record;
  }

  get verb(): Verb {
    return VERBS[(this.#record()[1] as number) & 3] as Verb;
  }
  get uid(): string {
    const record = this.#record();
    return record.toString('utf8', FIXED_HEADER, FIXED_HEADER + (record[44] as number));
  }
  get generation(): number {
    return readRevision(this.#record(), 28);
  }
  get time(): number {
    return this.#record().readDoubleBE(36);
  }
  get source(): string | undefined {
    const record = this.#record();
    if (((record[1] as number) & SOURCE) === 0) return undefined;
    const start = FIXED_HEADER + (record[44] as number);
    return record.toString('utf8', start, start + (((record[45] as number) << 8) | (record[46] as number)));
  }
}

function checksum(object: Uint8Array, start: number, end: number, record: Buffer, header: number, value: Uint8Array): number {
  const key = crcOf(object, start, end, readUint32(record, 0));
  return crcOf(record, 8, header, value.length === 0 ? key : crc32(value, key));
}

/** A record with another value in the place of its own: the rest of the header stays. */
export function withValue(object: Uint8Array, record: Buffer, value: Uint8Array): Buffer {
  const header = headerLength(record);
  const copy = Buffer.concat([record.subarray(0, header), value]);
  copy.writeUInt32BE(checksum(object, 0, object.length, copy, header, copy.subarray(header)), 4);
  return copy;
}
