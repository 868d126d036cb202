/**
 * What becomes of a key after its run: the outcome table, as a pure function.
 *
 * Invariants: an error wins over `requeueAfter`; backoff is reset by success alone; a terminal error waits for a change; a
 * conflict is no failure until it is the sixth in a row. The table is that of controller-runtime's `reconcileHandler`,
 * with conflicts told apart.
 */
import { InvalidError, isConflict, parseDuration } from '../schemas/index.js';
import { controllerDefaults } from './defaults.js';
import { isTerminal, toError } from './errors.js';

/** What `reconcile` may return: nothing when done, or when to look again. */
export type ReconcileResult =
  | void
  | undefined
  | {
      /**
       * Runs the key again after this long (ms, or a text like '30s'), unless a change comes first. 0 means not at all, as in
       * controller-runtime.
       */
      readonly requeueAfter?: number | string | undefined;
      /** Priority of that run. Default: that of this one. */
      readonly priority?: number | undefined;
      readonly requeue?: never;
    };

/** How a run ended. */
export type RunEnd =
  | { readonly ended: 'returned'; readonly result: unknown }
  | { readonly ended: 'threw'; readonly error: unknown }
  | { readonly ended: 'timedOut'; readonly error: Error };

/** What happened to the key before. */
export interface RunPast {
  /** Conflicts in a row before this run. */
  readonly conflicts: number;
  /** Failures in a row before this run. */
  readonly failures: number;
  /** After so many retries it waits for a change; undefined: never. */
  readonly maxRetries: number | undefined;
}

/** The label `result` of `controller_runtime_reconcile_total`. */
export type ResultLabel = 'success' | 'error' | 'requeue' | 'requeue_after';

/** What to do with the key. */
export interface Outcome {
  readonly kind: 'success' | 'requeueAfter' | 'error' | 'terminal' | 'exhausted' | 'conflict' | 'timeout';
  readonly result: ResultLabel;
  /** Resets the backoff. */
  readonly forget: boolean;
  /** `change`: nothing until something changes. `caughtUp`: at once, when the cache shows `revision`. */
  readonly next: 'change' | 'after' | 'backoff' | 'caughtUp';
  readonly delayMs?: number;
  readonly priority?: number;
  readonly error?: Error;
  readonly revision?: string;
  readonly level: 'trace' | 'debug' | 'error';
}

/** The outcome of most runs. */
export const success: Outcome = Object.freeze({ kind: 'success', result: 'success', forget: true, next: 'change', level: 'trace' });

/** Decides what becomes of a key. Pure. */
export function decide(end: RunEnd, past: RunPast): Outcome {
  switch (end.ended) {
    case 'returned':
      return returned(end.result, past);
    case 'threw':
      return failed(toError(end.error), past);
    case 'timedOut':
      return { ...retryOrGiveUp(end.error, past), kind: 'timeout' };
    default:
      return end satisfies never;
  }
}

function returned(result: unknown, past: RunPast): Outcome {
  if (result === undefined || result === null) return success;
  if (typeof result !== 'object' || !onlyKnown(result)) {
    return failed(
      new InvalidError(
        `reconcile returned ${typeof result === 'object' ? `an object with ${Object.keys(result).join(', ')}` : `a ${typeof result}`}: return nothing, or { requeueAfter: '5s' }`,
        { causes: [{ reason: 'FieldValueInvalid', field: 'result', message: 'must be undefined or { requeueAfter, priority? }' }] },
      ),
      past,
    );
  }
  const { requeueAfter, priority } = result as { requeueAfter?: number | string; priority?: number };
  if (requeueAfter === undefined) return success;
  let delayMs: number;
  try {
    delayMs = parseDuration(requeueAfter, 'requeueAfter');
  } catch (error) {
    return failed(toError(error), past);
  }
  if (delayMs === 0) return success;
  return {
    kind: 'requeueAfter',
    result: 'requeue_after',
    forget: true,
    next: 'after',
    delayMs,
    ...(typeof priority === 'number' ? { priority } : {}),
    level: 'trace',
  };
}

function onlyKnown(result: object): boolean {
  for (const key in result) if (key !== 'requeueAfter' && key !== 'priority') return false;
  return true;
}

function failed(error: Error, past: RunPast): Outcome {
  if (isTerminal(error)) return { kind: 'terminal', result: 'error', forget: true, next: 'change', error, level: 'error' };
  if (isConflict(error)) {
    const lost = (error as { currentRevision?: unknown }).currentRevision;
    const common = { kind: 'conflict', result: 'requeue', forget: false, error, level: 'debug' } as const;
    if (past.conflicts >= controllerDefaults.conflictsAtOnce) return { ...common, next: 'backoff' };
    return { ...common, next: 'caughtUp', ...(typeof lost === 'string' ? { revision: lost } : {}) };
  }
  return retryOrGiveUp(error, past);
}

function retryOrGiveUp(error: Error, past: RunPast): Outcome {
  if (past.maxRetries !== undefined && past.failures >= past.maxRetries) {
    return { kind: 'exhausted', result: 'error', forget: true, next: 'change', error, level: 'error' };
  }
  return { kind: 'error', result: 'error', forget: false, next: 'backoff', error, level: 'error' };
}
