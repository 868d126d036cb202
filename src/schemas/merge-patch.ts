/**
 * JSON merge patch, RFC 7386.
 *
 * Invariant: pure; the result shares no part with the patch or the target, and no key ever sets a prototype.
 */
import { cloneJson, defineOwn } from './json.js';
import { Sealed } from './sealed.js';

type Bag = Record<string, unknown>;

function isObject(value: unknown): value is Bag {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !Sealed.is(value);
}

/**
 * `target` with `patch` applied: null removes, an object merges, anything else replaces.
 *
 * @example mergePatch({ a: 1, b: 2 }, { b: null, c: 3 }) // { a: 1, c: 3 }
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return cloneJson(patch);
  const result: Bag = {};
  const before: Bag = isObject(target) ? target : {};
  for (const key of Object.keys(before)) {
    const change = Object.hasOwn(patch, key) ? patch[key] : undefined;
    if (before[key] === undefined || change === null) continue;
    put(result, key, change === undefined ? cloneJson(before[key]) : mergePatch(before[key], change));
  }
  for (const key of Object.keys(patch)) {
    const change = patch[key];
    if (change === undefined || change === null || (Object.hasOwn(before, key) && before[key] !== undefined)) continue;
    put(result, key, mergePatch(undefined, change));
  }
  return result;
}

function put(result: Bag, key: string, value: unknown): void {
  if (key === '__proto__') defineOwn(result, key, value);
  else result[key] = value;
}
