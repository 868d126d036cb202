/**
 * Whether a value is plain JSON that a store can keep and give back as it was.
 *
 * Invariants:
 * - A fine value costs one walk, which makes the copy that is kept of it; only a wrong one is walked again for its paths.
 * - No input, however deep, wide or circular, overflows the stack or runs for long.
 */
import { NO_CAUSES, type Cause } from './errors.js';
import { isForbiddenKey } from './json-path.js';
import { Sealed } from './sealed.js';
import { openly, type Telling } from './telling.js';

/** How deep objects and lists may be nested. */
export const MAX_DEPTH = 200;
const MAX_NODES = 500_000;
const MAX_CAUSES = 20;
/** Longer lists get their room as they are walked: one of holes is any length, and refused at its first. */
const ROOM = 1000;

// In V8 since Node 20, in the compiler's library since ES2024.
const isWellFormed = (String.prototype as unknown as { isWellFormed(this: string): boolean }).isWellFormed;

/** Whether a text has no surrogate without its partner. */
export function isWellFormedText(text: string): boolean {
  return isWellFormed.call(text);
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) return true;
  // That of another realm; what inherits from anything else has members that are not its own.
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf');
}

/** Stands for what is not plain JSON. */
const NOT_PLAIN = Symbol('not plain JSON');

interface Budget {
  nodes: number;
}

/** A copy as JSON writes it (0 for -0); or `NOT_PLAIN`. */
function copyPlain(value: unknown, depth: number, budget: Budget): unknown {
  switch (typeof value) {
    case 'string':
      return isWellFormed.call(value) ? value : NOT_PLAIN;
    case 'boolean':
      return value;
    case 'number':
      return value === 0 ? 0 : Number.isFinite(value) ? value : NOT_PLAIN;
    case 'object':
      break;
    default:
      return NOT_PLAIN;
  }
  if (value === null) return value;
  if (depth >= MAX_DEPTH || --budget.nodes < 0) return NOT_PLAIN;
  if (Array.isArray(value)) {
    const copy: unknown[] = value.length > ROOM ? [] : new Array(value.length);
    for (let i = 0; i < value.length; i++) {
      const item = copyPlain(value[i], depth + 1, budget);
      if (item === NOT_PLAIN) return item;
      copy[i] = item;
    }
    return copy;
  }
  if (!isPlainObject(value)) return NOT_PLAIN;
  const copy: Record<string, unknown> = {};
  // What is not its own is its prototype's, which shows nothing.
  for (const key in value) {
    if (isForbiddenKey(key) || !isWellFormed.call(key)) return NOT_PLAIN;
    const before = (value as Record<string, unknown>)[key];
    if (before === undefined) continue;
    const item = copyPlain(before, depth + 1, budget);
    if (item === NOT_PLAIN) return item;
    copy[key] = item;
  }
  return copy;
}

/**
 * What keeps a value from being plain JSON, at most twenty causes; empty when nothing does.
 *
 * Refused: functions, symbols, bigints, NaN and infinities, class instances (dates, maps, seals), cycles, nesting deeper
 * than 200, undefined in lists, texts with half a surrogate pair, and the keys `__proto__`, `constructor`, `prototype`.
 */
export function checkJson(value: unknown, path = '', telling: Telling = openly): readonly Cause[] {
  return copyPlain(value, 0, { nodes: MAX_NODES }) === NOT_PLAIN ? faults(value, path, telling) : NO_CAUSES;
}

/** What was taken from a caller: a copy of one's own, as JSON writes it (0 for -0); or what keeps it from being plain JSON. */
export type Taken<T> = { readonly copy: T; readonly causes?: undefined } | { readonly causes: readonly Cause[]; readonly copy?: undefined };

/** Checks a value as `checkJson` does, and copies it. */
export function takeJson<T>(value: T, path = '', telling: Telling = openly): Taken<T> {
  const copy = copyPlain(value, 0, { nodes: MAX_NODES });
  return copy === NOT_PLAIN ? { causes: faults(value, path, telling) } : { copy: copy as T };
}

function faults(value: unknown, path: string, telling: Telling): readonly Cause[] {
  const search: Search = { causes: [], above: [], nodes: MAX_NODES, telling };
  explain(value, path, search);
  if (search.causes.length === 0) {
    search.causes.push({ reason: 'FieldValueTooMany', field: path, message: `must hold at most ${MAX_NODES} objects and lists` });
  }
  return search.causes;
}

/** The path of the first own key that would reach a prototype, or undefined. */
export function findForbiddenKey(value: unknown): string | undefined {
  return checkJson(value).find((cause) => cause.reason === 'FieldValueForbidden')?.field;
}

interface Search {
  readonly causes: Cause[];
  /** The containers around the value at hand. */
  readonly above: object[];
  nodes: number;
  readonly telling: Telling;
}

function explain(value: unknown, path: string, search: Search): void {
  if (isExhausted(search)) return;
  if (typeof value === 'string') {
    if (!isWellFormed.call(value))
      fail(search, path, 'must be well-formed Unicode: it holds half of a surrogate pair', 'FieldValueInvalid');
  } else if (typeof value === 'number') {
    if (!Number.isFinite(value)) fail(search, path, `must be a finite number; got ${value}`, 'FieldValueInvalid');
  } else if (typeof value === 'object' && value !== null) {
    explainContainer(value, path, search);
  } else if (value !== null && typeof value !== 'boolean') {
    fail(search, path, `must be a JSON value${search.telling.got(value)}${value === undefined ? ' (use null, or leave it out)' : ''}`);
  }
}

function isExhausted(search: Search): boolean {
  return search.causes.length >= MAX_CAUSES || search.nodes < 0;
}

function fail(search: Search, field: string, message: string, reason: Cause['reason'] = 'FieldValueTypeInvalid'): void {
  search.causes.push({ reason, field, message });
}

function explainContainer(value: object, path: string, search: Search): void {
  search.nodes--;
  if (search.above.includes(value)) return fail(search, path, 'must not contain itself', 'FieldValueInvalid');
  if (search.above.length >= MAX_DEPTH)
    return fail(search, path, `must not be nested deeper than ${MAX_DEPTH} levels`, 'FieldValueInvalid');
  if (Sealed.is(value)) return fail(search, path, 'is sealed: write the value itself, as given by reveal()');
  if (!Array.isArray(value) && !isPlainObject(value))
    return fail(search, path, `must be plain JSON; got ${describeInstance(value, search.telling)}`);
  search.above.push(value);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length && !isExhausted(search); i++) explain(value[i], search.telling.join(path, i), search);
  } else {
    for (const key of Object.keys(value)) {
      if (isExhausted(search)) break;
      explainProperty(key, (value as Record<string, unknown>)[key], path, search);
    }
  }
  search.above.pop();
}

function explainProperty(key: string, value: unknown, path: string, search: Search): void {
  if (isForbiddenKey(key)) {
    fail(search, search.telling.join(path, key), 'must not be used as a key', 'FieldValueForbidden');
  } else if (!isWellFormed.call(key)) {
    fail(search, path, `must not have the key ${search.telling.key(key)}: it holds half of a surrogate pair`, 'FieldValueInvalid');
  } else if (value !== undefined) {
    explain(value, search.telling.join(path, key), search);
  }
}

function describeInstance(value: object, telling: Telling): string {
  if (value instanceof Date) return 'a Date: write it with toISOString()';
  const name: unknown = (value as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof name === 'string' && name !== '' ? `an instance of ${telling.show(name)}` : 'a class instance';
}
