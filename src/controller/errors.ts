/**
 * What a reconciler throws on purpose, and what thrown values are made into.
 *
 * Invariant: whatever a reconciler throws (a string, `undefined`, a rejected promise) becomes an `Error` before anybody
 * looks at it, with the thrown value as its cause.
 */
import { printable, StatusError } from '../schemas/index.js';
import type { StatusErrorOptions } from '../schemas/index.js';

/**
 * Thrown by a reconciler when trying again is useless until the object changes: counted and logged, never retried.
 *
 * @example
 * if (db.spec.engine === 'mysql' && db.spec.sizeGiB > 1024) throw new TerminalError('mysql tops out at 1 TiB');
 */
export class TerminalError extends StatusError {
  constructor(message: string, options: StatusErrorOptions = {}) {
    super(message, { ...options, code: 422, reason: 'Invalid', name: 'TerminalError' });
  }
}

/** Whether `error` is a `TerminalError`, by name, so that it holds across copies of the package. */
export function isTerminal(error: unknown): boolean {
  return error instanceof Error && error.name === 'TerminalError';
}

/** Throws the one error, or all of them together: the error of a run and that of the stop after it, say. */
export function throwAll(errors: readonly Error[], message: string): void {
  const [first, second] = errors;
  if (first === undefined) return;
  throw second === undefined ? first : new AggregateError(errors, `${message}: ${errors.map((error) => error.message).join('; ')}`);
}

/** The thrown value as an `Error`. */
export function toError(thrown: unknown, what = 'the reconciler'): Error {
  if (thrown instanceof Error) return thrown;
  const shown = typeof thrown === 'string' ? printable(thrown) : typeof thrown === 'symbol' ? thrown.toString() : describe(thrown);
  return new Error(`${what} threw ${shown}, which is no Error: throw an Error, so that the stack is kept`, { cause: thrown });
}

function describe(value: unknown): string {
  if (value === null || typeof value !== 'object') return String(value);
  try {
    return printable(JSON.stringify(value) ?? 'an object');
  } catch {
    return 'an object';
  }
}

/** Whether it is a fault of the program (JavaScript's panic) rather than of the world: no Error at all, or a TypeError and the like. */
export function isPanic(thrown: unknown): boolean {
  return (
    !(thrown instanceof Error) ||
    thrown instanceof TypeError ||
    thrown instanceof ReferenceError ||
    thrown instanceof RangeError ||
    thrown instanceof SyntaxError
  );
}
