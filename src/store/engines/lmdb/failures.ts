/**
 * What LMDB's errors mean. A failed commit leaves its writers in doubt; a full disk is told apart from a broken one.
 *
 * lmdb-js rejects a failed commit with an error that carries a second promise, `commitError`, for the reason. Left alone,
 * that one ends the process as an unhandled rejection: it is always taken up here, and nothing else is silenced.
 */
import { CorruptError, StoreError, StoreFailedError, StoreFullError } from '../../../schemas/index.js';
import type { Scheduler } from '../../deps.js';

const MAP_FULL = -30_792;
const TXN_FULL = -30_788;
const CORRUPTED = -30_796;
const PAGE_NOT_FOUND = -30_797;
const PANIC = -30_795;
const INVALID = -30_793;
const VERSION_MISMATCH = -30_794;
const READERS_FULL = -30_790;
const FULL: ReadonlySet<unknown> = new Set([MAP_FULL, TXN_FULL, 28, 27, 122, 'ENOSPC', 'EFBIG', 'EDQUOT']);
const DAMAGED: ReadonlySet<unknown> = new Set([CORRUPTED, PAGE_NOT_FOUND, INVALID, VERSION_MISMATCH]);
/** How long the reason of a failed commit may take: it comes in the turn of the failure. */
const REASON_MS = 1000;

/** Why a commit failed: the error behind lmdb-js's "see commitError". */
export async function commitReason(error: unknown, scheduler: Scheduler): Promise<unknown> {
  const reason = (error as { commitError?: Promise<unknown> } | undefined)?.commitError;
  if (reason === undefined) return error;
  return new Promise((resolve) => {
    const timer = scheduler.after(REASON_MS, () => resolve(error), { unref: true });
    const settle = (why: unknown): void => {
      timer.cancel();
      resolve(why);
    };
    reason.then(() => settle(error), settle);
  });
}

/** What the writers of a failed commit are told. */
export function commitFailure(reason: unknown): Error {
  const code = codeOf(reason);
  if (FULL.has(code)) {
    return new StoreFullError(
      `the disk is full (${text(reason)}): make room, then close the store and open it again to see what was written`,
      {
        cause: reason,
      },
    );
  }
  return new StoreFailedError(`a commit failed (${text(reason)}): whether it was written shows when the store is opened again`, {
    inDoubt: true,
    cause: reason,
  });
}

/** What a reader is told when LMDB refuses. */
export function readFailure(error: unknown): Error {
  const code = codeOf(error);
  if (DAMAGED.has(code)) return new CorruptError(`the data file is damaged (${text(error)}): restore it from a backup`, { cause: error });
  if (code === PANIC)
    return new StoreFailedError('the data file had a fatal error: close the store and open it again', { inDoubt: false, cause: error });
  if (code === READERS_FULL) return new StoreError('no reader slot is free: too many processes read this store at once', { cause: error });
  return error instanceof Error ? error : new StoreError(text(error), { cause: error });
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
