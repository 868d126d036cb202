/**
 * Paths into JSON: `.spec.scale`, `status.conditions[0].reason`, `metadata.labels["app/name"]`.
 *
 * Invariant: only own properties are read, and no path reaches a prototype.
 */
import { invalid } from './errors.js';
import { Sealed } from './sealed.js';
import { show } from './text.js';

const PLAIN = /^[A-Za-z_$][A-Za-z0-9_$-]*$/;
const SEGMENT = /\.?([^.[\]"'\s]+)|\[(\d{1,10})\]|\["((?:[^"\\]|\\.)*)"\]|\['([^'\\]*)'\]/y;

/** The path one key further: `spec` and `scale` give `spec.scale`; a number gives `spec[0]`. */
export function joinPath(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`;
  if (!PLAIN.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}

function badPath(path: unknown, message: string): Error {
  return invalid(`path ${show(path)}`, [{ reason: 'FieldValueInvalid', field: 'path', message }]);
}

/**
 * The segments of a path.
 *
 * @throws {InvalidError} when it cannot be read, or names a key that would reach a prototype
 */
export function parsePath(path: string): string[] {
  if (typeof path !== 'string' || path.length > 1024) throw badPath(path, 'must be a text of at most 1024 characters');
  const segments: string[] = [];
  let at = 0;
  while (at < path.length) {
    SEGMENT.lastIndex = at;
    const match = SEGMENT.exec(path);
    if (match === null || (at > 0 && match[1] !== undefined && path[at] !== '.')) {
      throw badPath(path, `cannot be read from character ${at + 1}; write it as spec.ports[0].name or metadata.labels["app/name"]`);
    }
    segments.push(match[1] ?? match[2] ?? match[4] ?? unquote(path, match[3] ?? ''));
    at = SEGMENT.lastIndex;
  }
  if (segments.length === 0) throw badPath(path, 'must name a field, for example spec.scale');
  if (segments.some(isForbiddenKey)) throw badPath(path, 'must not name __proto__, constructor or prototype');
  return segments;
}

function unquote(path: string, text: string): string {
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    throw badPath(path, 'holds a quoted key that is not a JSON text');
  }
}

/** Keys that must never be written: they reach a prototype. */
export function isForbiddenKey(key: string): boolean {
  return key === '__proto__' || key === 'constructor' || key === 'prototype';
}

/** The value at a path (a text, or its segments), or undefined. Seals are not looked into. */
export function getPath(value: unknown, path: string | readonly string[]): unknown {
  let at = value;
  for (const segment of typeof path === 'string' ? parsePath(path) : path) {
    if (typeof at !== 'object' || at === null || Sealed.is(at) || !Object.hasOwn(at, segment)) return undefined;
    at = (at as Record<string, unknown>)[segment];
  }
  return at;
}

/**
 * Sets the value at a path, in place; objects that are missing on the way are made.
 *
 * @throws {InvalidError} when something on the way is not an object or a list, or the path is wrong
 */
export function setPath(value: object, path: string | readonly string[], next: unknown): void {
  const segments = typeof path === 'string' ? parsePath(path) : path;
  if (segments.some(isForbiddenKey)) throw badPath(segments.join('.'), 'must not name __proto__, constructor or prototype');
  let at: object = value;
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i] as string;
    if (Array.isArray(at) && !/^\d{1,10}$/.test(segment))
      throw badPath(segments.join('.'), `names ${show(segment)} in a list; a list has numbers`);
    const bag = at as Record<string, unknown>;
    if (i === segments.length - 1) {
      bag[segment] = next;
      return;
    }
    const child = Object.hasOwn(bag, segment) ? bag[segment] : undefined;
    if (child === undefined) at = bag[segment] = {};
    else if (typeof child === 'object' && child !== null && !Sealed.is(child)) at = child;
    else throw badPath(segments.join('.'), `goes through ${show(segment)}, which is ${show(child)}`);
  }
  throw badPath('', 'must name a field, for example spec.scale');
}

const DEFAULT_LIMIT = 50;

/** The paths at which two JSON values differ, at most `limit` (50): paths only, never values. */
export function diffPaths(a: unknown, b: unknown, limit: number = DEFAULT_LIMIT): string[] {
  const paths: string[] = [];
  collectDiff(a, b, '', paths, limit);
  return paths;
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Sealed.is(value);
}

function collectDiff(a: unknown, b: unknown, path: string, paths: string[], limit: number): void {
  if (a === b || paths.length >= limit) return;
  if (Sealed.is(a) && a.equals(b)) return;
  if (!isContainer(a) || !isContainer(b) || Array.isArray(a) !== Array.isArray(b)) {
    paths.push(path);
    return;
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.max(a.length, b.length); i++) if (a[i] !== b[i]) collectDiff(a[i], b[i], joinPath(path, i), paths, limit);
    return;
  }
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  for (const key of Object.keys(left)) {
    const other = Object.hasOwn(right, key) ? right[key] : undefined;
    if (left[key] !== other) collectDiff(left[key], other, joinPath(path, key), paths, limit);
  }
  for (const key of Object.keys(right)) {
    if (!Object.hasOwn(left, key) && right[key] !== undefined) collectDiff(undefined, right[key], joinPath(path, key), paths, limit);
  }
}
