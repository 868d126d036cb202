/**
 * The change log as bytes. One record holds as many revisions of one batch as fit into half a page, under the key of the
 * last of them: a put costs more than the bytes do, and the log is read in order, never by single revisions.
 *
 *     0 format u8 | 1 unused | 2 count u16 | 4 crc32 of the rest | 8 first revision u64
 *     16 bytes written before f64 | 24 bytes written with it f64 | 32 the revisions, one behind the other
 *     revision: id length u8, id, count of changes u16, changes
 *     change: key length u16, previous revision u64 (0: none), mark of the version u32 (version-mark.ts), key
 *
 * Invariants: revisions are without gaps, within a record and from one to the next. A change names keys only: each body is
 * stored once, in `obj` or `hist`, and the mark tells which one belongs there. The running count of bytes gives the size of any stretch of the log from its two ends.
 */
import { crc32 } from 'node:zlib';
import { CorruptError } from '../../../schemas/index.js';
import type { CommitRequest } from '../../engine.js';
import { readRevision, readUint32, writeRevision } from './keys.js';

const FORMAT = 2;
const HEADER = 32;
/** What a change has before its key. */
const CHANGE_HEADER = 14;
/** Just below what LMDB keeps inside a page of 8 KiB; above it, a record takes pages of its own. */
const GROUP_BYTES = 3900;
const LONGEST_ID = 255;

/** One change as the log tells it. */
export interface LogChange {
  readonly object: Buffer;
  readonly previous: number;
  readonly mark: number;
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
  return 3 + Math.min(id.length * 3, LONGEST_ID) + writes.length * CHANGE_HEADER;
}

/** Writes the front of a request's part of the log; where its changes begin. */
export function encodeLogStart(slab: Buffer, offset: number, request: CommitRequest): number {
  const length = slab.write(request.id, offset + 1, LONGEST_ID);
  slab[offset] = length;
  slab.writeUInt16BE(request.writes.length, offset + 1 + length);
  return offset + 3 + length;
}

/** Writes one change, its previous revision and its mark left open; where it ends. */
export function encodeLogChange(slab: Buffer, offset: number, object: Uint8Array): number {
  slab.writeUInt16BE(object.length, offset);
  slab.set(object, offset + CHANGE_HEADER);
  return offset + CHANGE_HEADER + object.length;
}

export function stampLogChange(slab: Buffer, offset: number, previous: number, mark: number): void {
  writeRevision(slab, previous, offset + 2);
  slab.writeUInt32BE(mark, offset + 10);
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

/** The front of a log record whose checksum fits. @throws {CorruptError} */
function soundHead(record: Buffer, key: Uint8Array): LogHead {
  const head = logHead(record, key);
  if (crc32(record.subarray(8), head.last - head.first + 1) !== readUint32(record, 4)) throw damaged(head.last);
  return head;
}

/** The revisions of a log record above `from`. @throws {CorruptError} */
export function decodeLog(record: Buffer, key: Uint8Array, from = 0): LogRevision[] {
  const { first, last } = soundHead(record, key);
  const revisions: LogRevision[] = [];
  let at = HEADER;
  for (let revision = first; revision <= last; revision++) {
    const idEnd = at + 1 + (record[at] as number);
    const id = record.toString('utf8', at + 1, idEnd);
    const count = record.readUInt16BE(idEnd);
    at = idEnd + 2;
    const changes: LogChange[] = [];
    for (let index = 0; index < count; index++) {
      const start = at + CHANGE_HEADER;
      const end = start + record.readUInt16BE(at);
      if (revision > from)
        changes.push({ object: record.subarray(start, end), previous: readRevision(record, at + 2), mark: readUint32(record, at + 10) });
      at = end;
    }
    if (revision > from) revisions.push({ revision, id, changes });
  }
  return revisions;
}

/** Is told of a change: the revision, the mark, and where in the record its key is. */
export type SeeLogged = (revision: number, mark: number, start: number, end: number) => void;

/** Shows the changes of a log record above `from` whose keys begin with `prefix`; the last revision in it. @throws {CorruptError} */
export function scanLog(record: Buffer, key: Uint8Array, { from, prefix }: { from: number; prefix: Buffer }, see: SeeLogged): number {
  const { first, last } = soundHead(record, key);
  let at = HEADER;
  for (let revision = first; revision <= last; revision++) {
    at += 1 + (record[at] as number);
    const count = record.readUInt16BE(at);
    at += 2;
    for (let index = 0; index < count; index++) {
      const start = at + CHANGE_HEADER;
      const end = start + record.readUInt16BE(at);
      if (revision > from && beginsWith(record, start, end, prefix)) see(revision, readUint32(record, at + 10), start, end);
      at = end;
    }
  }
  return last;
}

function beginsWith(bytes: Uint8Array, start: number, end: number, what: Uint8Array): boolean {
  if (end - start < what.length) return false;
  for (let at = 0; at < what.length; at++) if (bytes[start + at] !== what[at]) return false;
  return true;
}

function damaged(last: number): CorruptError {
  return new CorruptError(`the change log is damaged at revision ${last}: its checksum does not fit; restore from a backup`);
}
