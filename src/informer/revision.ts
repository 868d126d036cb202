/** Revisions as text: decimal, no leading zeros, compared without parsing them. */
import { InvalidError } from '../schemas/index.js';

/** Whether revision `a` is later than `b`. */
export function isLater(a: string, b: string): boolean {
  return a.length === b.length ? a > b : a.length > b.length;
}

/** @throws {InvalidError} when `text` is no revision. */
export function revisionNumber(text: string): number {
  const revision = /^(0|[1-9]\d{0,15})$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(revision)) return revision;
  const message = `must be a decimal revision such as "42", not "${text.slice(0, 40)}"`;
  throw new InvalidError(`resourceVersion ${message}`, {
    causes: [{ reason: 'FieldValueInvalid', field: 'resourceVersion', message }],
  });
}
