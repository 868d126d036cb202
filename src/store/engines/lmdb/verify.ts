/**
 * Reads everything and holds it against itself: checksums, the log against objects and versions, indexes against objects.
 *
 * Invariant: in slices, with turns between; each comparison is made within one snapshot, so that writers do not disturb.
 */
import type { Key } from '../../engine.js';
import { describeBytes, parseKey, readRevision, REVISION_SUFFIX } from './keys.js';
import { decodeLog } from './log.js';
import { versionAt } from './reads.js';
import { decodeRecord, RecordEntry } from './record.js';
import type { Session, Snapshot } from './session.js';
import type { Table } from './tables.js';

const SLICE = 256;
const MOST_PROBLEMS = 100;
const nothing = (): void => undefined;

export interface VerifyReport {
  readonly ok: boolean;
  readonly checked: number;
  readonly problems: readonly string[];
}

export async function verifyLmdb(session: Session): Promise<VerifyReport> {
  const { obj, hist, log, idx } = session.tables;
  const problems: string[] = [];
  let checked = 0;
  /** Versions inside the window, as the tables have them and as the log tells them. */
  let there = 0;
  let told = 0;
  const entry = new RecordEntry();
  const begin = session.read((snapshot) => snapshot);

  const guard = (check: () => void): void => {
    checked++;
    try {
      check();
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  };
  const scan = async (table: Table, visit: (key: Buffer, value: Buffer, snapshot: Snapshot) => void): Promise<void> => {
    let after: Buffer | undefined;
    for (let more = true; more && problems.length < MOST_PROBLEMS;) {
      more = session.read((snapshot) => {
        let count = 0;
        for (const { key, value } of table.getRange(
          after === undefined ? { limit: SLICE } : { start: after, exclusiveStart: true, limit: SLICE },
        )) {
          guard(() => visit(key, value, snapshot));
          after = key;
          count++;
        }
        return count === SLICE;
      });
      await session.deps.scheduler.turn();
    }
  };

  let last: number | undefined;
  await scan(log, (key, value, { compacted }) => {
    const revisions = decodeLog(value, key);
    if (last !== undefined && revisions[0]?.revision !== last + 1) problems.push(`the log has a gap behind revision ${last}`);
    last = revisions.at(-1)?.revision;
    for (const { revision, changes } of revisions) {
      if (revision <= compacted) continue;
      for (const { object, previous } of changes) {
        if (revision > begin.compacted) told++;
        guard(() => versionAt(session.tables, entry, object, revision, nothing));
        if (previous > 0) guard(() => versionAt(session.tables, entry, object, previous, nothing));
      }
    }
  });
  const version = (object: Buffer, value: Buffer, newest: number, named?: number): void => {
    const { revision } = decodeRecord(object, value);
    if (revision > newest) problems.push(`${describeBytes(object)}: revision ${revision} is newer than the log, which ends at ${newest}`);
    if (named !== undefined && named !== revision) problems.push(`${describeBytes(object)}: revision ${revision} is kept as ${named}`);
    if (revision > begin.compacted) there++;
  };
  await scan(obj, (key, value, { newest }) => version(key, value, newest));
  await scan(hist, (key, value, { newest }) => {
    version(key.subarray(0, key.length - REVISION_SUFFIX), value, newest, readRevision(key, key.length - REVISION_SUFFIX + 1));
  });
  await scan(idx, (key) => {
    const value = key.indexOf(0) + 1;
    const object = key.indexOf(0, value) + 1;
    const text = `index ${key.toString('utf8', 0, value - 1)} = ${JSON.stringify(key.toString('utf8', value, object - 1))}`;
    const record = obj.getBinary(key.subarray(object));
    if (record === undefined) problems.push(`${text} names ${describeKey(parseKey(key, object))}, which is not there`);
  });
  const end = session.read((snapshot) => snapshot);
  const still = end.newest === begin.newest && end.compacted === begin.compacted;
  if (still && problems.length === 0 && there !== told) problems.push(`${there} versions are inside the window, the log tells of ${told}`);
  return { ok: problems.length === 0, checked, problems };
}

function describeKey({ type, namespace, name }: Key): string {
  return `${type}/${namespace}/${name}`;
}
