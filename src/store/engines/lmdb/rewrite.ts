/**
 * New bytes for kept versions, in place: no revision, no log entry, the rest of the header stays.
 *
 * Invariant: a version that is gone, damaged, or no longer what was expected is left alone.
 */
import type { Premise, Rewrite } from '../../engine.js';
import { objectKey, versionKey } from './keys.js';
import { preparePremises, unmetPremise } from './meta.js';
import { decodeRecord, looksSound, revisionOfRecord, withValue } from './record.js';
import { put } from './session.js';
import type { Session } from './session.js';
import type { Table, Tables } from './tables.js';

const A_STEP = 256;

interface Replacement {
  readonly table: Table;
  readonly key: Buffer;
  readonly record: Buffer;
}

export async function rewriteLmdb(
  session: Session,
  versions: readonly Rewrite[],
  premises: readonly Premise[] = [],
): Promise<number | undefined> {
  session.check();
  const prepared = preparePremises(premises);
  let count = 0;
  for (let at = 0; at < versions.length; at += A_STEP) {
    const step = versions.slice(at, at + A_STEP).map((rewrite) => ({ rewrite, object: objectKey(rewrite.key) }));
    const replaced = await session.write(() => {
      if (unmetPremise(session.tables, prepared) !== undefined) return undefined;
      const replacements = step
        .map(({ rewrite, object }) => replacement(session.tables, object, rewrite))
        .filter((each) => each !== undefined);
      for (const { table, key, record } of replacements) put(table, key, record);
      return replacements.length;
    });
    if (replaced === undefined) return undefined;
    count += replaced;
  }
  return count;
}

function replacement({ obj, hist }: Tables, object: Buffer, { revision, expect, value }: Rewrite): Replacement | undefined {
  const current = obj.getBinary(object);
  const inObj = current !== undefined && looksSound(current) && revisionOfRecord(current) === revision;
  const key = inObj ? object : versionKey(object, revision);
  const record = inObj ? current : hist.getBinary(key);
  if (record === undefined) return undefined;
  try {
    const { value: old } = decodeRecord(object, record);
    if (old === undefined || Buffer.compare(old, expect) !== 0) return undefined;
  } catch {
    return undefined;
  }
  return { table: inObj ? obj : hist, key, record: withValue(object, record, value) };
}
