/**
 * What every engine refuses, and in which words: keys that cannot be ordered, requests beyond the limits, revisions that
 * are gone or not there yet.
 *
 * Invariant: keys are ordered by the UTF-8 bytes of type, namespace and name, part by part. With NUL between the parts,
 * and none inside, that is the order of the joined bytes.
 */
import { BadRequestError, ExpiredError, TooLargeError, isStatusError, isWellFormedText, show } from '../../schemas/index.js';
import type {
  CommitRequest,
  CommitResult,
  Engine,
  Entry,
  IndexEntry,
  Key,
  Precondition,
  Prefix,
  Premise,
  Refusal,
  RevisionRef,
  Verb,
  WriteMeta,
} from '../engine.js';
import { MAX_SOURCE_BYTES } from '../source.js';

/** The longest key, `type NUL namespace NUL name` in UTF-8, and the longest `index NUL value`. */
export const MAX_KEY_BYTES = 1000;
const MAX_UID_BYTES = 255;
export const VERBS: readonly Verb[] = ['create', 'update', 'delete'];

/** A key as one text. @throws {BadRequestError} */
export function keyText(key: Key): string {
  const text = `${key.type}\0${key.namespace}\0${key.name}`;
  const first = key.type.length;
  const second = first + 1 + key.namespace.length;
  const isApart = text.indexOf('\0') === first && text.indexOf('\0', first + 1) === second && !text.includes('\0', second + 1);
  if (!isApart || first === 0 || key.name.length === 0) throw badKey(key, 'type and name may not be empty, and no part may contain a NUL');
  checkText(text, () => describeParts(key));
  return text;
}

/** The start of all index entries under one value. @throws {BadRequestError} */
export function indexText(entry: IndexEntry): string {
  checkIndexEntry(entry);
  return `${entry.index}\0${entry.value}`;
}

function checkIndexEntry({ index, value }: IndexEntry): void {
  if (index.length === 0 || index.includes('\0') || value.includes('\0')) {
    throw new BadRequestError(`index entry of ${show(index)}: the index may not be empty, and neither it nor the value may contain a NUL`);
  }
  // Each of the two is short as a rule, and of one byte a character: then nothing has to be counted.
  const bytes = (index.length + value.length + 1) * 3 > MAX_KEY_BYTES ? Buffer.byteLength(index) + Buffer.byteLength(value) + 1 : 0;
  checkLength(bytes, () => `index entry of ${show(index)}`);
  if (!isWellFormedText(index) || !isWellFormedText(value))
    throw new BadRequestError(`index entry of ${show(index)}: half a surrogate pair cannot be stored`);
}

function checkLength(bytes: number, describe: () => string): void {
  if (bytes > MAX_KEY_BYTES) throw new BadRequestError(`${describe()}: ${bytes} bytes, at most ${MAX_KEY_BYTES} are possible`);
}

function checkText(text: string, describe: () => string): void {
  // At most three bytes a character: most texts need no counting.
  if (text.length * 3 > MAX_KEY_BYTES) checkLength(Buffer.byteLength(text), describe);
  if (!isWellFormedText(text)) throw new BadRequestError(`${describe()}: half a surrogate pair cannot be stored`);
}

function badKey(key: Key, why: string): BadRequestError {
  return new BadRequestError(`key ${describeParts(key)}: ${why}`);
}

function describeParts(key: Key): string {
  return JSON.stringify([key.type, key.namespace, key.name]);
}

/** The start of all keys of a prefix as one text; `''` for everything. @throws {BadRequestError} */
export function prefixText(prefix: Prefix): string {
  if (prefix.type === undefined) {
    if (prefix.namespace !== undefined) throw new BadRequestError('a prefix with a namespace needs a type');
    return '';
  }
  const text = prefix.namespace === undefined ? `${prefix.type}\0` : `${prefix.type}\0${prefix.namespace}\0`;
  const parts = prefix.namespace === undefined ? 2 : 3;
  if (prefix.type === '' || text.split('\0').length !== parts) {
    throw new BadRequestError(`prefix ${JSON.stringify(prefix)}: the type may not be empty, and no part may contain a NUL`);
  }
  checkText(text, () => `prefix ${JSON.stringify(prefix)}`);
  return text;
}

/** What checking a request gave: the texts of its keys, or why it cannot be carried out. */
export type Checked = readonly string[] | Refusal;

/** Holds each request of a batch against what no engine can carry out. A request that is refused keeps its place. */
export function checkBatch(batch: readonly CommitRequest[], limits: Engine['limits']): readonly Checked[] {
  return batch.map((request, index) => {
    try {
      return checkRequest(request, index, limits);
    } catch (error) {
      return { ok: false, refused: isStatusError(error) ? error : unreadable(request, index, error) };
    }
  });
}

/** What a batch gets whose premise does not hold. */
export function refusedBatch(batch: readonly unknown[], failed: Premise): CommitResult[] {
  return batch.map(() => ({ ok: false, failed }));
}

function unreadable({ id }: CommitRequest, index: number, cause: unknown): BadRequestError {
  return new BadRequestError(`request ${index} (${id}) cannot be read: ${(cause as Error).message}`, { cause });
}

function checkRequest(request: CommitRequest, index: number, limits: Engine['limits']): readonly string[] {
  const { writes, expect } = request;
  if (writes.length === 0) throw new BadRequestError(`request ${index} (${request.id}) writes nothing`);
  if (writes.length > limits.operations) {
    throw new TooLargeError(
      `request ${index} (${request.id}) has ${writes.length} writes, at most ${limits.operations} fit in one: split it`,
    );
  }
  let bytes = 0;
  const texts = writes.map(({ key, value, meta, addIndex, removeIndex }) => {
    bytes += value?.byteLength ?? 0;
    checkMeta(meta);
    if (addIndex !== undefined) for (const entry of addIndex) checkIndexEntry(entry);
    if (removeIndex !== undefined) for (const entry of removeIndex) checkIndexEntry(entry);
    return keyText(key);
  });
  if (bytes > limits.bytes) {
    throw new TooLargeError(`request ${index} (${request.id}) has ${bytes} bytes, at most ${limits.bytes} fit in one: split it`);
  }
  if (texts.length > 1) checkDistinct(request, index, texts);
  for (const condition of expect) checkPrecondition(condition, index, request);
  return texts;
}

function checkMeta({ verb, uid, generation, source }: WriteMeta): void {
  if (typeof uid !== 'string' || exceeds(uid, MAX_UID_BYTES))
    throw new BadRequestError(`uid ${show(uid)}: a text of at most ${MAX_UID_BYTES} bytes is needed`);
  if (source !== undefined && (typeof source !== 'string' || exceeds(source, MAX_SOURCE_BYTES)))
    throw new BadRequestError(`source ${show(source)}: a text of at most ${MAX_SOURCE_BYTES} bytes is needed`);
  if (!Number.isSafeInteger(generation) || generation < 0)
    throw new BadRequestError(`generation ${generation}: a whole number from 0 on is needed`);
  if (!VERBS.includes(verb)) throw new BadRequestError(`verb ${show(verb)}: create, update or delete is needed`);
}

/** Whether a text has more bytes than that in UTF-8. */
function exceeds(text: string, most: number): boolean {
  return text.length * 3 > most && Buffer.byteLength(text) > most;
}

function checkDistinct(request: CommitRequest, index: number, texts: readonly string[]): void {
  const seen = new Set<string>();
  texts.forEach((text, at) => {
    if (seen.has(text)) throw badKey(request.writes[at]!.key, `request ${index} (${request.id}) writes it twice`);
    seen.add(text);
  });
}

function checkPrecondition(condition: Precondition, index: number, { writes }: CommitRequest): void {
  if ('prefix' in condition) prefixText(condition.prefix);
  // Most conditions are about what is written, under the very same key.
  else if (condition.key !== writes[0]!.key) keyText(condition.key);
  const ref = 'key' in condition ? condition.revision : condition.unchangedSince;
  if (ref === 'absent') return;
  const fits = typeof ref === 'number' ? isRevision(ref) : Number.isInteger(ref.request) && ref.request >= 0 && ref.request < index;
  if (!fits)
    throw new BadRequestError(`request ${index} expects ${JSON.stringify(ref)}: a revision or an earlier request of the batch is needed`);
}

/** The revision that a reference stands for, or undefined when the request it names got none. */
export function resolveRef(ref: RevisionRef, revisions: readonly (number | undefined)[]): number | undefined {
  return typeof ref === 'number' ? ref : revisions[ref.request];
}

export function isRevision(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/**
 * Refuses to read at a revision that is gone or has not come yet.
 * @throws {ExpiredError} below the compaction revision
 * @throws {BadRequestError} above the present
 */
export function checkReadable(at: number, current: number, compacted: number): void {
  if (!isRevision(at)) throw new BadRequestError(`${at} is not a revision: a whole number from 0 on is needed`);
  if (at < compacted) throw expired(at, current, compacted);
  if (at > current) throw new BadRequestError(`revision ${at} has not been written yet; the newest is ${current}`);
}

/** The error for reads and replays below the compaction revision. */
export function expired(from: number, current: number, compacted: number): ExpiredError {
  return new ExpiredError(
    `revision ${from} has been compacted: the oldest that can be read is ${compacted}, the newest ${current}; list again and go on from there`,
    {
      compactedRevision: String(compacted),
      currentRevision: String(current),
    },
  );
}

/** A page size as given. @throws {BadRequestError} */
export function checkLimit(limit: number | undefined): number {
  if (limit === undefined) return Infinity;
  if (!Number.isInteger(limit) || limit < 1) throw new BadRequestError(`limit ${limit}: a whole number from 1 on is needed`);
  return limit;
}

/** Whether two kept versions of a key can have come in this order: an object counts its versions, and a deletion ends it. */
export function isRising(older: Entry, newer: Entry): boolean {
  return older.value === undefined || older.meta.uid !== newer.meta.uid || older.version < newer.version;
}
