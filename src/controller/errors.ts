/**
 * What a reconciler throws on purpose, and what thrown values are made into.
 *
 * Invariants: whatever a reconciler throws (a string, `undefined`, a rejected promise) becomes an `Error` before anybody
 * looks at it, with a plain value as its cause. An object is told by its class and message alone, and not kept: its properties may be
 * the plain text of secrets, and errors go to logs and to `explain`.
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
  const message = `${what} threw ${describe(thrown)}, which is no Error: throw an Error, so that the stack is kept`;
  return isContainer(thrown) ? new Error(message) : new Error(message, { cause: thrown });
}

function isContainer(value: unknown): boolean {
  return typeof value === 'function' || (typeof value === 'object' && value !== null);
}

function describe(value: unknown): string {
  if (typeof value === 'string') return printable(value);
  if (typeof value === 'symbol') return value.toString();
  if (typeof value === 'function') return 'a function';
  return typeof value === 'object' && value !== null ? describeObject(value) : String(value);
}

function describeObject(value: object): string {
  try {
    const { message, constructor } = value as { readonly message?: unknown; readonly constructor?: { readonly name?: unknown } };
    const name = constructor?.name;
    const shown = typeof name === 'string' && name !== '' && name !== 'Object' ? `an object of class ${printable(name)}` : 'an object';
    return typeof message === 'string' ? `${shown} (${printable(message)})` : shown;
  } catch {
    // What it says of itself may throw.
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
