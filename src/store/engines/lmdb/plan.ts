/**
 * A batch made ready: everything that can be encoded is encoded before the write transaction begins. What was refused stays
 * in its place: requests name each other by their places.
 *
 * Invariant: keys, records and log parts of a plan lie in one slab that the next plan takes over. LMDB copies them inside
 * the transaction, and nothing else may hold on to them.
 */
import type { CommitRequest, IndexEntry, Precondition, Refusal } from '../../engine.js';
import { keyText, prefixText } from '../checks.js';
import type { Checked } from '../checks.js';
import { indexKeyText, REVISION_SUFFIX } from './keys.js';
import { encodeLogChange, encodeLogStart, logBound } from './log.js';
import { bodyChecksum, encodeRecord, recordBound } from './record.js';

/** A slab larger than this is not kept for the next batch. */
const KEEP_BYTES = 4 * 1024 * 1024;

export interface PlannedWrite {
  /** The key as text: what it is known by within the batch. */
  readonly text: string;
  readonly object: Buffer;
  /** The key with room behind it for a revision, in `slab`: where the version that this write supersedes goes. */
  readonly slab: Buffer;
  readonly objectAt: number;
  readonly record: Buffer;
  /** The checksum of key and value. */
  readonly body: number;
  readonly deletes: boolean;
  /** Where the change is, in the request's log part. */
  readonly logAt: number;
  readonly prefixes: readonly [string, string];
  readonly addIndex: readonly Buffer[];
  readonly removeIndex: readonly Buffer[];
}

export type PlannedCondition =
  | { readonly condition: Precondition & { readonly key: unknown }; readonly text: string; readonly object: Buffer }
  | { readonly condition: Precondition & { readonly prefix: unknown }; readonly text: string };

export interface PlannedRequest {
  readonly writes: readonly PlannedWrite[];
  readonly conditions: readonly PlannedCondition[];
  readonly log: Buffer;
}

const NO_KEYS: readonly Buffer[] = [];

export class Planner {
  #slab: Buffer = Buffer.alloc(0);

  plan(batch: readonly CommitRequest[], checked: readonly Checked[]): (PlannedRequest | Refusal)[] {
    let bound = 0;
    batch.forEach((request, at) => {
      const texts = checked[at] as Checked;
      if ('refused' in texts) return;
      bound += logBound(request);
      request.writes.forEach((write, index) => {
        const text = texts[index] as string;
        bound +=
          text.length * 6 + REVISION_SUFFIX + recordBound(write) + indexBound(write.addIndex, text) + indexBound(write.removeIndex, text);
      });
    });
    const slab = this.#room(bound);
    let indexEnd = 0;
    const indexKeys = (entries: readonly IndexEntry[] | undefined, text: string): readonly Buffer[] => {
      if (entries === undefined || entries.length === 0) return NO_KEYS;
      return entries.map((entry) => {
        const start = indexEnd;
        indexEnd += slab.write(indexKeyText(entry, text), start);
        return slab.subarray(start, indexEnd);
      });
    };
    let offset = 0;
    let lastType = '';
    let lastNamespace = '';
    let prefixes: readonly [string, string] = ['', ''];
    return batch.map((request, at) => {
      const texts = checked[at] as Checked;
      if ('refused' in texts) return texts;
      const writes: PlannedWrite[] = [];
      request.writes.forEach((write, index) => {
        const text = texts[index] as string;
        const keyEnd = offset + slab.write(text, offset);
        const object = slab.subarray(offset, keyEnd);
        slab[keyEnd] = 0;
        const start = keyEnd + REVISION_SUFFIX;
        const end = encodeRecord(slab, start, write);
        const record = slab.subarray(start, end);
        indexEnd = end;
        const { type, namespace } = write.key;
        // Most writes of a batch are neighbours: the texts are made, and hashed, once.
        if (type !== lastType || namespace !== lastNamespace) {
          lastType = type;
          lastNamespace = namespace;
          prefixes = [`${type}\0`, `${type}\0${namespace}\0`];
        }
        writes.push({
          text,
          object,
          slab,
          objectAt: offset,
          record,
          body: bodyChecksum(object, record, write.value),
          deletes: write.value === undefined,
          logAt: 0,
          prefixes,
          addIndex: indexKeys(write.addIndex, text),
          removeIndex: indexKeys(write.removeIndex, text),
        });
        offset = indexEnd;
      });
      const logStart = offset;
      offset = encodeLogStart(slab, offset, request);
      for (const write of writes) {
        (write as { logAt: number }).logAt = offset - logStart;
        offset = encodeLogChange(slab, offset, write.object);
      }
      const conditions = request.expect.map((condition) => planCondition(condition, writes, request.writes));
      return { writes, conditions, log: slab.subarray(logStart, offset) };
    });
  }

  #room(bytes: number): Buffer {
    if (this.#slab.length >= bytes) return this.#slab;
    const slab = Buffer.allocUnsafeSlow(Math.max(64 * 1024, 2 ** Math.ceil(Math.log2(bytes))));
    if (slab.length <= KEEP_BYTES) this.#slab = slab;
    return slab;
  }
}

/** An upper bound for the bytes of index keys. */
function indexBound(entries: readonly IndexEntry[] | undefined, text: string): number {
  let bound = 0;
  if (entries !== undefined) for (const { index, value } of entries) bound += (index.length + value.length + text.length + 2) * 3;
  return bound;
}

function planCondition(condition: Precondition, writes: readonly PlannedWrite[], keys: CommitRequest['writes']): PlannedCondition {
  if (!('key' in condition)) return { condition, text: prefixText(condition.prefix) };
  // Most conditions are about what is written, under the very same key.
  if (writes.length === 1 && keys[0]!.key === condition.key) return { condition, text: writes[0]!.text, object: writes[0]!.object };
  const text = keyText(condition.key);
  const write = writes.find((each) => each.text === text);
  return { condition, text, object: write?.object ?? Buffer.from(text) };
}
