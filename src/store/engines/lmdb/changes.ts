/**
 * Replays the log: each change with the version it wrote and the one it replaced.
 *
 * Invariants: read in slices with a turn between, each from a snapshot of its own; a revision comes once, in order, whole.
 * Everything above the compaction revision is there: what is missing is damage, never silence.
 */
import { AbortedError } from '../../../schemas/index.js';
import type { ChangeBatch, Entry, InPlaceBatch, LoggedWrite } from '../../engine.js';
import { checkLimit, expired, isRevision, prefixText } from '../checks.js';
import { parseKey, revisionKey } from './keys.js';
import { decodeLog, scanLog } from './log.js';
import { keep, versionAt } from './reads.js';
import { RecordEntry } from './record.js';
import type { Session } from './session.js';

const SLICE_REVISIONS = 256;
const SLICE_BYTES = 2 * 1024 * 1024;
/** Log records looked through in one go when no version is read. */
const SLICE_RECORDS = 512;

export async function* readChanges(
  session: Session,
  from: number,
  options: { readonly limit?: number | undefined; readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<ChangeBatch> {
  const { signal } = options;
  let left = checkLimit(options.limit);
  let last = from;
  while (left > 0) {
    throwIfAborted(signal);
    const slice = changesInPlace(session, last, left, keep);
    if (slice.length === 0) return;
    for (const batch of slice) {
      throwIfAborted(signal);
      yield batch;
    }
    left -= slice.length;
    last += slice.length;
    await session.deps.scheduler.turn();
  }
}

/** A slice of the log behind a revision, in one snapshot. */
export function changesInPlace<T>(session: Session, from: number, limit: number, use: (entry: Entry) => T): LoggedBatch<T>[] {
  return session.read(({ current, compacted }) => {
    if (!isRevision(from) || from < compacted) throw expired(from, current, compacted);
    return readSlice(session, from, Math.min(current, from + Math.min(limit, SLICE_REVISIONS)), use);
  });
}

interface LoggedBatch<T> extends InPlaceBatch<T> {
  readonly id: string;
}

function readSlice<T>({ tables }: Session, from: number, upTo: number, use: (entry: Entry) => T): LoggedBatch<T>[] {
  const slice: LoggedBatch<T>[] = [];
  if (from >= upTo) return slice;
  const shown = new RecordEntry();
  let bytes = 0;
  for (const { key, value } of tables.log.getRange({ start: revisionKey(from + 1) })) {
    for (const { revision, id, changes } of decodeLog(value, key, from)) {
      if (revision > upTo || bytes >= SLICE_BYTES) return slice;
      slice.push({
        revision,
        id,
        changes: changes.map(({ object, previous }) => {
          const entry = versionAt(tables, shown, object, revision, use);
          bytes += shown.value?.byteLength ?? 0;
          return { entry, previous: previous === 0 ? undefined : versionAt(tables, shown, object, previous, use) };
        }),
      });
    }
  }
  return slice;
}

/** What the log says was written to a type behind a revision, a slice of it. */
export function readLogged(session: Session, type: string, from: number): { writes: LoggedWrite[]; upTo: number } {
  const prefix = Buffer.from(prefixText({ type }));
  return session.read(({ current, compacted }) => {
    if (!isRevision(from) || from < compacted) throw expired(from, current, compacted);
    const writes: LoggedWrite[] = [];
    let upTo = from;
    for (const { key, value } of session.tables.log.getRange({ start: revisionKey(from + 1), limit: SLICE_RECORDS })) {
      if (upTo >= current) break;
      const last = scanLog(value, key, { from, prefix }, (revision, mark, start, end) => {
        if (revision <= current) writes.push({ key: parseKey(value, start, end), revision, mark });
      });
      upTo = Math.min(last, current);
    }
    return { writes, upTo };
  });
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortedError('reading changes was aborted', { cause: signal.reason });
}
