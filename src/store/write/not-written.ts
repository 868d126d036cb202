/**
 * What writers are told whose write is not there, or not known to be: of a failed commit, and of a closed store.
 */
import { StoreClosedError, StoreFailedError, StoreFullError, isStatusError, isStoreFailed, isStoreFull } from '../../schemas/index.js';

/** Certain: nothing was written, and the store goes on. An engine's own error says as much as it could know then, which was less. */
export function notWritten(cause: unknown): Error {
  if (isStoreFull(cause))
    return new StoreFullError(`the disk is full (${reasonOf(cause)}): nothing was written; make room, then write again`, { cause });
  if (isStatusError(cause) && !isStoreFailed(cause) && cause.reason !== 'InternalError') return cause;
  return new StoreFailedError(
    `the commit failed (${reasonOf(cause)}); the store was opened again and the write is not there: nothing was written`,
    { cause, inDoubt: false },
  );
}

/** Nobody can tell: the log could not be read. */
export function unknownOutcome(what: string, cause: unknown): StoreFailedError {
  return new StoreFailedError(`${what}: whether the write happened is not known`, { cause, inDoubt: true });
}

/** In doubt for good, though the store goes on: the log that would have told was compacted by another process. */
export function compactedSince(cause: unknown): Error {
  return new StoreFailedError(
    `the commit failed (${reasonOf(cause)}), and another process has compacted what was written since: whether the write happened is not known; read, then decide`,
    { cause, inDoubt: true },
  );
}

function reasonOf(error: unknown): string {
  const reason = isStatusError(error) && error.cause instanceof Error ? error.cause : error;
  return reason instanceof Error ? reason.message : String(reason);
}

/** The closed store's answer to whatever still waits. */
export function closedError(): StoreClosedError {
  return new StoreClosedError('the store is closed: open it again to use it');
}
