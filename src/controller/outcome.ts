/**
 * What becomes of a key after its run: the outcome table, as a pure function.
 *
 * Invariants: an error wins over `requeueAfter`; backoff is reset by success alone; a terminal error waits for a change; a
 * conflict is no failure until it is the sixth in a row. The table is that of controller-runtime's `reconcileHandler`,
 * with conflicts told apart.
 */
import { InvalidError, isConflict, parseDuration, show } from '../schemas/index.js';
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

/** Of a key that was handed out and not reconciled (paused, slowed): whatever is known of it stays as it is. */
export const untouched: Outcome = Object.freeze({ ...success, forget: false });

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
  try {
    return asked(result);
  } catch (error) {
    // What means nothing is a fault of the reconciler, and so is a result that cannot even be looked at.
    return failed(toError(error, 'the result of the reconciler'), past);
  }
}

/** What a result asks for. @throws {InvalidError} when it means nothing. */
function asked(result: unknown): Outcome {
  if (!isPlain(result)) throw meansNothing(typeof result === 'object' ? `an object that is no plain one` : `a ${typeof result}`);
  const unknown = Object.keys(result).filter((key) => key !== 'requeueAfter' && key !== 'priority');
  if (unknown.length > 0) throw meansNothing(`an object with ${unknown.join(', ')}`);
  const { requeueAfter, priority } = result as { requeueAfter?: number | string; priority?: unknown };
  if (priority !== undefined && !isPriority(priority)) {
    throw new InvalidError(`reconcile returned the priority ${show(priority)}: give a finite number, or leave it out`, {
      causes: [{ reason: 'FieldValueInvalid', field: 'priority', message: 'must be a finite number' }],
    });
  }
  if (requeueAfter === undefined) return success;
  const delayMs = parseDuration(requeueAfter, 'requeueAfter');
  if (delayMs === 0) return success;
  return {
    kind: 'requeueAfter',
    result: 'requeue_after',
    forget: true,
    next: 'after',
    delayMs,
    ...(priority === undefined ? {} : { priority }),
    level: 'trace',
  };
}

function meansNothing(what: string): InvalidError {
  return new InvalidError(`reconcile returned ${what}: return nothing, or { requeueAfter: '5s' }`, {
    causes: [{ reason: 'FieldValueInvalid', field: 'result', message: 'must be undefined or { requeueAfter, priority? }' }],
  });
}

/** Of any realm; lists, maps, dates and errors have been returned by mistake. */
function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || (Object.getPrototypeOf(prototype) === null && !Array.isArray(value));
}

function isPriority(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
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
