/**
 * What the writers of a failed commit are told once the log was read and their write is not in it.
 */
import { StoreFailedError, StoreFullError, isStatusError, isStoreFailed, isStoreFull } from '../../schemas/index.js';

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

function reasonOf(error: unknown): string {
  const reason = isStatusError(error) && error.cause instanceof Error ? error.cause : error;
  return reason instanceof Error ? reason.message : String(reason);
}
