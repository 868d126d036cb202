/**
 * Replays the log: each change with the version it wrote and the one it replaced.
 *
 * Invariants: read in slices with a turn between, each from a snapshot of its own; a revision comes once, in order, whole.
 * Everything above the compaction revision is there: what is missing is damage, never silence.
 */
import { AbortedError } from '../../../schemas/index.js';
import type { Change, ChangeBatch } from '../../engine.js';
import { checkLimit, expired, isRevision } from '../checks.js';
import { revisionKey } from './keys.js';
import { decodeLog } from './log.js';
import { versionAt } from './reads.js';
import type { Session } from './session.js';

const SLICE_REVISIONS = 256;
const SLICE_BYTES = 2 * 1024 * 1024;

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
    const slice = session.read(({ current, compacted }) => {
      if (!isRevision(last) || last < compacted) throw expired(last, current, compacted);
      return readSlice(session, last, Math.min(current, last + Math.min(left, SLICE_REVISIONS)));
    });
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

function readSlice({ tables }: Session, from: number, upTo: number): ChangeBatch[] {
  const slice: ChangeBatch[] = [];
  if (from >= upTo) return slice;
  let bytes = 0;
  for (const { key, value } of tables.log.getRange({ start: revisionKey(from + 1) })) {
    for (const { revision, id, changes } of decodeLog(value, key, from)) {
      if (revision > upTo || bytes >= SLICE_BYTES) return slice;
      slice.push({
        revision,
        id,
        changes: changes.map(({ object, previous }): Change => {
          const entry = versionAt(tables, object, revision);
          bytes += entry.value?.byteLength ?? 0;
          return { entry, previous: previous === 0 ? undefined : versionAt(tables, object, previous) };
        }),
      });
    }
  }
  return slice;
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortedError('reading changes was aborted', { cause: signal.reason });
}
