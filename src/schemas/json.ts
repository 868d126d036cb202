/**
 * Plain JSON values: their types, and the clone, comparison and freeze that every read and write goes through.
 *
 * Invariants:
 * - Nothing here ever sets a prototype: an own key `__proto__` stays an own key.
 * - A property that is undefined counts as absent, as it does once written.
 * - `Sealed` values are leaves: shared by a clone, compared by their own `equals`, frozen already.
 */
import { Sealed } from './sealed.js';

/** Any JSON value. A property may be undefined, which means absent. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

type Leaf = string | number | boolean | bigint | symbol | null | undefined | ((...args: never[]) => unknown) | Sealed;

/** `T` with every property read-only, all the way down; functions and seals untouched. */
export type DeepReadonly<T> = unknown extends T ? T : T extends Leaf ? T : { readonly [K in keyof T]: DeepReadonly<T[K]> };

type NonJson = ((...args: never[]) => unknown) | symbol;

/** `T` as it looks after a trip through JSON: dates are RFC 3339 texts, functions and symbols are gone. */
export type Jsonify<T> = unknown extends T
  ? T
  : T extends Date
    ? string
    : T extends string | number | boolean | null | undefined
      ? T
      : T extends { toJSON(): infer R }
        ? R
        : T extends readonly unknown[]
          ? { [K in keyof T]: Jsonify<T[K]> }
          : { [K in keyof T as K extends symbol ? never : T[K] extends NonJson ? never : K]: Jsonify<T[K]> };

type Bag = Record<string, unknown>;

/** Defines an own property named `__proto__`, where an assignment would set the prototype. */
export function defineOwn(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}

/**
 * A deep copy of plain JSON: the caller owns all of it. Properties that are undefined are dropped.
 *
 * Give it only what `checkJson` accepts (it recurses, and copies class instances as plain objects).
 */
export function cloneJson<T>(value: T): T {
  return (typeof value === 'object' && value !== null ? cloneObject(value) : value) as T;
}

function cloneObject(value: object): unknown {
  if (Array.isArray(value)) {
    const length = value.length;
    const copy: unknown[] = new Array(length);
    for (let i = 0; i < length; i++) {
      const item: unknown = value[i];
      copy[i] = typeof item === 'object' && item !== null ? cloneObject(item) : item;
    }
    return copy;
  }
  if (value instanceof Sealed) return value;
  const copy: Bag = {};
  // for-in is twice as fast as Object.keys, and a plain object inherits nothing that it would show.
  for (const key in value) {
    const item = (value as Bag)[key];
    if (item === undefined) continue;
    const own = typeof item === 'object' && item !== null ? cloneObject(item) : item;
    if (key === '__proto__') defineOwn(copy, key, own);
    else copy[key] = own;
  }
  return copy;
}

/** Whether two JSON values say the same. Key order does not matter; an undefined property equals an absent one; 0 equals -0. */
export function equalJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return a !== a && b !== b; // NaN, which never gets into a store
  }
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!equalJson(a[i], b[i])) return false;
    return true;
  }
  if (Array.isArray(b)) return false;
  if (a instanceof Sealed) return a.equals(b);
  if (b instanceof Sealed) return false;
  return equalObjects(a as Bag, b as Bag);
}

function equalObjects(a: Bag, b: Bag): boolean {
  let more = 0;
  for (const key in a) {
    const value = a[key];
    if (value === undefined) continue;
    more++;
    // What b inherits is never JSON, but for what its prototype is itself.
    if (key === '__proto__' && !Object.hasOwn(b, key)) return false;
    const other = b[key];
    if (value !== other && !equalJson(value, other)) return false;
  }
  for (const key in b) if (b[key] !== undefined) more--;
  return more === 0;
}

/**
 * Freezes a JSON value in place, all the way down, and returns it.
 *
 * What is frozen already is taken to be frozen all the way: give it values that you own (a clone), or that came from here.
 */
export function freezeJson<T>(value: T): DeepReadonly<T> {
  if (typeof value === 'object' && value !== null) freezeObject(value);
  return value as DeepReadonly<T>;
}

function freezeObject(value: object): void {
  if (Object.isFrozen(value)) return;
  Object.freeze(value);
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) if (typeof item === 'object' && item !== null) freezeObject(item);
    return;
  }
  for (const key in value) {
    const item = (value as Bag)[key];
    if (typeof item === 'object' && item !== null) freezeObject(item);
  }
}
