/**
 * Index entries for objects that were written without them, and the end of indexes that nobody keeps any more.
 *
 * Invariants: what an object should have is decided inside the transaction that adds it, from what is there then, so no write
 * comes in between. In small steps, so that other writers have their turn.
 */
import type { EntriesOf, Key, Prefix, Premise } from '../../engine.js';
import { indexText } from '../checks.js';
import { behind, indexKeyText, objectKey, parseKey, prefixRange } from './keys.js';
import { preparePremises, unmetPremise } from './meta.js';
import { decodeRecord } from './record.js';
import { put, remove } from './session.js';
import type { Session } from './session.js';

const OBJECTS_A_STEP = 200;
const DROPPED_A_STEP = 1000;
const NOTHING = Buffer.alloc(0);

export async function reindexLmdb(
  session: Session,
  prefix: Prefix,
  after: Key | undefined,
  { entriesOf, premises = [] }: { readonly entriesOf: EntriesOf; readonly premises?: readonly Premise[] | undefined },
): Promise<Key | undefined | 'unmet'> {
  const { obj, idx } = session.tables;
  const { start, end } = prefixRange(prefix);
  const from = after === undefined ? start : behind(objectKey(after));
  const prepared = preparePremises(premises);
  return session.write(() => {
    if (unmetPremise(session.tables, prepared) !== undefined) return 'unmet' as const;
    const added: Buffer[] = [];
    let last: Buffer | undefined;
    let count = 0;
    for (const { key, value } of obj.getRange({ start: from, end, limit: OBJECTS_A_STEP })) {
      count++;
      last = key;
      for (const each of indexKeys(key, value, entriesOf)) if (idx.getBinary(each) === undefined) added.push(each);
    }
    for (const key of added) put(idx, key, NOTHING);
    return last !== undefined && count === OBJECTS_A_STEP ? parseKey(last) : undefined;
  });
}

/** The keys of what should name an object; none where it cannot be read. */
export function indexKeys(object: Buffer, record: Buffer, entriesOf: EntriesOf): readonly Buffer[] {
  try {
    const text = object.toString();
    return entriesOf(decodeRecord(object, record)).map((entry) => {
      indexText(entry);
      return Buffer.from(indexKeyText(entry, text));
    });
  } catch {
    return [];
  }
}

export async function dropIndexLmdb(session: Session, index: string): Promise<boolean> {
  const start = Buffer.from(`${index}\0`);
  const { idx } = session.tables;
  return session.write(() => {
    const keys = [...idx.getKeys({ start, end: behind(Buffer.from(index)), limit: DROPPED_A_STEP })];
    for (const key of keys) remove(idx, key);
    return keys.length === DROPPED_A_STEP;
  });
}
