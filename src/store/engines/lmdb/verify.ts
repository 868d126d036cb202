/**
 * Reads everything and holds it against itself: checksums, the log against objects and versions, indexes against objects.
 *
 * Invariant: in slices, with turns between; each comparison is made within one snapshot, so that writers do not disturb.
 */
import type { EntriesOf, Entry, Key } from '../../engine.js';
import { versionMark } from '../../version-mark.js';
import { isRising } from '../checks.js';
import { describeBytes, parseKey, readRevision, REVISION_SUFFIX, versionKey } from './keys.js';
import { decodeLog } from './log.js';
import { versionAt } from './reads.js';
import { decodeRecord, looksSound, RecordEntry } from './record.js';
import { indexKeys } from './reindex.js';
import type { Session, Snapshot } from './session.js';
import { first } from './tables.js';
import type { Table } from './tables.js';

const SLICE = 256;
const MOST_PROBLEMS = 100;
const nothing = (): void => undefined;

export interface VerifyReport {
  readonly ok: boolean;
  readonly checked: number;
  readonly problems: readonly string[];
}

export async function verifyLmdb(session: Session, entriesOf: EntriesOf = () => []): Promise<VerifyReport> {
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
      for (const { object, previous, mark } of changes) {
        if (revision > begin.compacted) told++;
        guard(() =>
          versionAt(session.tables, entry, object, revision, ({ meta, version }) => {
            if (versionMark(meta.uid, version) !== mark)
              problems.push(`${describeBytes(object)}: what is kept of revision ${revision} is not the version that the log tells of`);
          }),
        );
        if (previous > 0) guard(() => versionAt(session.tables, entry, object, previous, nothing));
      }
    }
  });
  /** `older`: the version before it, if one is kept. */
  const version = (object: Buffer, value: Buffer, newest: number, older: Entry | undefined, named?: number): Entry => {
    const found = decodeRecord(object, value);
    const { revision } = found;
    if (older !== undefined && !isRising(older, found)) {
      problems.push(
        `${describeBytes(object)}: revision ${revision} keeps version ${found.version} of the object, and revision ${older.revision} before it version ${older.version}`,
      );
    }
    if (revision > newest) problems.push(`${describeBytes(object)}: revision ${revision} is newer than the log, which ends at ${newest}`);
    if (named !== undefined && named !== revision) problems.push(`${describeBytes(object)}: revision ${revision} is kept as ${named}`);
    if (revision > begin.compacted) there++;
    return found;
  };
  await scan(obj, (key, value, { newest }) => {
    const older = first(hist, { start: versionKey(key, Number.MAX_SAFE_INTEGER), end: versionKey(key, 0), reverse: true });
    version(key, value, newest, older && looksSound(older.value) ? decodeRecord(key, older.value) : undefined);
    for (const each of indexKeys(key, value, entriesOf))
      if (idx.getBinary(each) === undefined) problems.push(`${describeEntry(each).text} does not name ${describeBytes(key)}`);
  });
  let before: { readonly object: Buffer; readonly entry: Entry } | undefined;
  await scan(hist, (key, value, { newest }) => {
    const object = key.subarray(0, key.length - REVISION_SUFFIX);
    const older = before?.object.equals(object) === true ? before.entry : undefined;
    before = undefined;
    before = { object, entry: version(object, value, newest, older, readRevision(key, key.length - REVISION_SUFFIX + 1)) };
  });
  await scan(idx, (key) => {
    const { text, object } = describeEntry(key);
    const record = obj.getBinary(key.subarray(object));
    if (record === undefined) problems.push(`${text} names ${describeKey(parseKey(key, object))}, which is not there`);
  });
  const end = session.read((snapshot) => snapshot);
  const still = end.newest === begin.newest && end.compacted === begin.compacted;
  if (still && problems.length === 0 && there !== told) problems.push(`${there} versions are inside the window, the log tells of ${told}`);
  return { ok: problems.length === 0, checked, problems };
}

/** How an index entry is named, and where in its key the object's begins. */
function describeEntry(key: Buffer): { readonly text: string; readonly object: number } {
  const value = key.indexOf(0) + 1;
  const object = key.indexOf(0, value) + 1;
  return { text: `index ${key.toString('utf8', 0, value - 1)} = ${JSON.stringify(key.toString('utf8', value, object - 1))}`, object };
}

function describeKey({ type, namespace, name }: Key): string {
  return `${type}/${namespace}/${name}`;
}
