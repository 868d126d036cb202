/**
 * The change log as bytes. One record holds as many revisions of one batch as fit into half a page, under the key of the
 * last of them: a put costs more than the bytes do, and the log is read in order, never by single revisions.
 *
 *     0 format u8 | 1 unused | 2 count u16 | 4 crc32 of the rest | 8 first revision u64
 *     16 bytes written before f64 | 24 bytes written with it f64 | 32 the revisions, one behind the other
 *     revision: id length u8, id, count of changes u16, changes
 *     change: key length u16, previous revision u64 (0: none), key
 *
 * Invariants: revisions are without gaps, within a record and from one to the next. A change names keys only: each body is
 * stored once, in `obj` or `hist`. The running count of bytes gives the size of any stretch of the log from its two ends.
 */
import { crc32 } from 'node:zlib';
import { CorruptError } from '../../../schemas/index.js';
import type { CommitRequest } from '../../engine.js';
import { readRevision, readUint32, writeRevision } from './keys.js';

const FORMAT = 1;
const HEADER = 32;
/** Just below what LMDB keeps inside a page of 8 KiB; above it, a record takes pages of its own. */
const GROUP_BYTES = 3900;
const LONGEST_ID = 255;

/** One change as the log tells it. */
export interface LogChange {
  readonly object: Buffer;
  readonly previous: number;
}

export interface LogRevision {
  readonly revision: number;
  readonly id: string;
  readonly changes: readonly LogChange[];
}

/** What is known from the front of a record. */
export interface LogHead {
  readonly first: number;
  readonly last: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** An upper bound for the bytes of a request in the log, its keys aside. */
export function logBound({ id, writes }: CommitRequest): number {
  return 3 + Math.min(id.length * 3, LONGEST_ID) + writes.length * 10;
}

/** Writes the front of a request's part of the log; where its changes begin. */
export function encodeLogStart(slab: Buffer, offset: number, request: CommitRequest): number {
  const length = slab.write(request.id, offset + 1, LONGEST_ID);
  slab[offset] = length;
  slab.writeUInt16BE(request.writes.length, offset + 1 + length);
  return offset + 3 + length;
}

/** Writes one change, its previous revision left open; where it ends. */
export function encodeLogChange(slab: Buffer, offset: number, object: Uint8Array): number {
  slab.writeUInt16BE(object.length, offset);
  slab.set(object, offset + 10);
  return offset + 10 + object.length;
}

export function stampLogChange(slab: Buffer, offset: number, previous: number): void {
  writeRevision(slab, previous, offset + 2);
}

/** A log record being filled. */
export class LogGroup {
  #bytes = Buffer.allocUnsafeSlow(8192);
  #length = HEADER;
  #count = 0;
  #first = 0;

  get count(): number {
    return this.#count;
  }

  /** Whether another part fits in; a first one always does. */
  fits(part: Buffer): boolean {
    return this.#count === 0 || this.#length + part.length <= GROUP_BYTES;
  }

  add(revision: number, part: Buffer): void {
    if (this.#count === 0) this.#first = revision;
    if (this.#length + part.length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow((this.#length + part.length) * 2);
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(part, this.#length);
    this.#length += part.length;
    this.#count++;
  }

  /** The record, valid until the next `add`, and the last revision in it. The group is empty again. */
  finish(bytesBefore: number, bytesAfter: number): { record: Buffer; last: number } {
    const record = this.#bytes.subarray(0, this.#length);
    const last = this.#first + this.#count - 1;
    record[0] = FORMAT;
    record[1] = 0;
    record.writeUInt16BE(this.#count, 2);
    writeRevision(record, this.#first, 8);
    record.writeDoubleBE(bytesBefore, 16);
    record.writeDoubleBE(bytesAfter, 24);
    record.writeUInt32BE(crc32(record.subarray(8), this.#count), 4);
    this.#length = HEADER;
    this.#count = 0;
    return { record, last };
  }
}

/** The front of a log record. @throws {CorruptError} */
export function logHead(record: Buffer, key: Uint8Array): LogHead {
  const last = readRevision(key, 0);
  const first = record.length < HEADER ? 0 : readRevision(record, 8);
  if (record.length < HEADER || record[0] !== FORMAT || last - first + 1 !== record.readUInt16BE(2)) throw damaged(last);
  return { first, last, bytesBefore: record.readDoubleBE(16), bytesAfter: record.readDoubleBE(24) };
}

/** The revisions of a log record above `from`. @throws {CorruptError} */
export function decodeLog(record: Buffer, key: Uint8Array, from = 0): LogRevision[] {
  const { first, last } = logHead(record, key);
  if (crc32(record.subarray(8), last - first + 1) !== readUint32(record, 4)) throw damaged(last);
  const revisions: LogRevision[] = [];
  let at = HEADER;
  for (let revision = first; revision <= last; revision++) {
    const idEnd = at + 1 + (record[at] as number);
    const id = record.toString('utf8', at + 1, idEnd);
    const count = record.readUInt16BE(idEnd);
    at = idEnd + 2;
    const changes: LogChange[] = [];
    for (let index = 0; index < count; index++) {
      const end = at + 10 + record.readUInt16BE(at);
      if (revision > from) changes.push({ object: record.subarray(at + 10, end), previous: readRevision(record, at + 2) });
      at = end;
    }
    if (revision > from) revisions.push({ revision, id, changes });
  }
  return revisions;
}

function damaged(last: number): CorruptError {
  return new CorruptError(`the change log is damaged at revision ${last}: its checksum does not fit; restore from a backup`);
}
