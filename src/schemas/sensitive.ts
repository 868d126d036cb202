/**
 * Sensitive values inside an object: finding them, and refusing what must not be written in their place.
 */
import type { Cause } from './errors.js';
import { joinPath } from './json-path.js';
import { Sealed, SEALED_TEXT } from './sealed.js';

/** Told of each sensitive value that is there: the object or list that holds it, its key there, and its field path. */
export type SensitiveVisitor = (value: unknown, holder: Record<string, unknown>, key: string, field: string) => void;

/** Calls `visit` for each value of `object` that a definition's `sensitivePaths` lead to. */
export function visitSensitive(object: unknown, paths: readonly (readonly string[])[], visit: SensitiveVisitor): void {
  for (const path of paths) visitAt(object, path, 0, '', visit);
}

function visitAt(holder: unknown, path: readonly string[], at: number, field: string, visit: SensitiveVisitor): void {
  if (typeof holder !== 'object' || holder === null || Sealed.is(holder)) return;
  const segment = path[at] as string;
  const isList = Array.isArray(holder);
  const keys = segment === '*' ? Object.keys(holder) : Object.hasOwn(holder, segment) ? [segment] : [];
  for (const key of keys) {
    const bag = holder as Record<string, unknown>;
    const value = bag[key];
    if (value === undefined) continue;
    const next = joinPath(field, isList ? Number(key) : key);
    if (at === path.length - 1) visit(value, bag, key, next);
    else visitAt(value, path, at + 1, next, visit);
  }
}

/** Causes for each sensitive value that is a seal, or the text of one, instead of the value itself. */
export function sealedCauses(object: unknown, paths: readonly (readonly string[])[]): Cause[] {
  const causes: Cause[] = [];
  // Of what is as it should be no paths are made: each write comes here.
  if (!paths.some((path) => holdsSeal(object, path, 0))) return causes;
  visitSensitive(object, paths, (value, _holder, _key, field) => {
    if (!isSeal(value)) return;
    causes.push({
      reason: 'FieldValueInvalid',
      field,
      message: 'is sealed: write the value itself, as a read from the store or reveal() gives it',
    });
  });
  return causes;
}

function isSeal(value: unknown): boolean {
  return value === SEALED_TEXT || Sealed.is(value);
}

function holdsSeal(holder: unknown, path: readonly string[], at: number): boolean {
  if (at === path.length) return isSeal(holder);
  if (typeof holder !== 'object' || holder === null || Sealed.is(holder)) return false;
  const segment = path[at] as string;
  const bag = holder as Readonly<Record<string, unknown>>;
  if (segment !== '*') return Object.hasOwn(bag, segment) && holdsSeal(bag[segment], path, at + 1);
  for (const key in bag) if (holdsSeal(bag[key], path, at + 1)) return true;
  return false;
}
