/**
 * How messages tell of what was given: openly, or (for types with sensitive values) without quoting anything.
 *
 * Invariant: `Discreet` names no value at all, because a patch or a function may have copied a secret to any place; and of
 * keys only those that the schema, or an object as it lies in the clear, has. What it needs for that is gathered when something
 * is told.
 */
import type { JsonSchema } from './schema.js';
import { joinPath } from './json-path.js';
import { Sealed } from './sealed.js';
import { show } from './text.js';

/** How a message says what it is about. */
export interface Telling {
  /** The value in the middle of a sentence. */
  show(value: unknown): string;
  /** A key of an object, there. */
  key(key: string): string;
  /** The end of a sentence that says what there is instead; `size` where that is what is wrong. */
  got(value: unknown, size?: number): string;
  /** The path of a field one key further. */
  join(path: string, key: string | number): string;
  /** Words that the author of a definition has chosen. */
  words(text: string): string;
}

/** Values are quoted, keys are named. */
export const openly: Telling = Object.freeze<Telling>({
  show,
  key: show,
  got: (value, size) => (size === undefined ? `; got ${show(value)}` : `; got ${size}: ${show(value)}`),
  join: joinPath,
  words: (text) => text,
});

/** What a discreet telling goes by. */
export interface Discretion {
  readonly schema: JsonSchema | undefined;
  readonly sensitivePaths: readonly (readonly string[])[];
  /** Objects whose keys may be named as far as they lie in the clear. */
  readonly clear?: readonly unknown[];
  /** Objects with the values that must not be quoted, not even by others. */
  readonly holders?: readonly unknown[];
}

const HIDDEN = '[not shown]';
const WITHHELD = `is refused by a rule of the type, in words that are ${HIDDEN} because they quote a sensitive value`;
/** Keys of objects that no schema describes. */
const METADATA = [
  ...['apiVersion', 'kind', 'metadata', 'name', 'namespace', 'generateName', 'uid', 'resourceVersion', 'generation', 'labels'],
  ...['annotations', 'finalizers', 'ownerReferences', 'controller', 'blockOwnerDeletion', 'creationTimestamp'],
  ...['deletionTimestamp', 'deletionGracePeriodSeconds', 'op', 'path', 'from', 'value'],
];
/** How much of an object is looked at: input may be of any size, or contain itself. */
const MOST_NODES = 20_000;
const DEEPEST = 64;
/** So many characters in common are a quotation; a shorter text is one as a whole, if it is not too short to be told from others. */
const QUOTATION = 8;
const SHORTEST = 4;

/** The telling of a type: open unless it has sensitive values. */
export function tellingOf(discretion: Discretion): Telling {
  return discretion.sensitivePaths.length === 0 ? openly : new Discreet(discretion);
}

/** One is made for each write of a type with sensitive values, and hardly ever asked. */
class Discreet implements Telling {
  readonly #discretion: Discretion;
  #names: Set<string> | undefined;

  constructor(discretion: Discretion) {
    this.#discretion = discretion;
  }

  show(): string {
    return HIDDEN;
  }
  key(key: string): string {
    return this.#namesThere.has(key) ? show(key) : HIDDEN;
  }
  got(): string {
    return '';
  }
  join(path: string, key: string | number): string {
    if (typeof key === 'number' || this.#namesThere.has(key)) return joinPath(path, key);
    return path === '' ? '*' : `${path}.*`;
  }
  words(text: string): string {
    const { holders = [], sensitivePaths } = this.#discretion;
    return quotesAny(text, holders, sensitivePaths) ? WITHHELD : text;
  }

  get #namesThere(): Set<string> {
    if (this.#names !== undefined) return this.#names;
    const { schema, sensitivePaths, clear = [] } = this.#discretion;
    const found = (this.#names = new Set(METADATA));
    if (schema !== undefined) addProperties(schema, found);
    for (const object of clear) walk(object, sensitivePaths, { key: (key) => found.add(key), sensitive: () => {} });
    return found;
  }
}

function addProperties(schema: JsonSchema, names: Set<string>): void {
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    names.add(name);
    addProperties(child, names);
  }
  for (const child of [schema.items, schema.additionalProperties, ...(schema.oneOf ?? []), ...(schema.anyOf ?? [])])
    if (typeof child === 'object') addProperties(child, names);
}

interface Visitor {
  /** A key that lies in the clear. */
  key(key: string): void;
  /** A value that does not. */
  sensitive(value: unknown): void;
}

/** Goes over an object as far as it can be gone over. */
function walk(root: unknown, paths: readonly (readonly string[])[], visitor: Visitor): void {
  let nodes = MOST_NODES;
  const visit = (value: unknown, below: readonly (readonly string[])[], depth: number): void => {
    if (below.some((path) => path.length === 0)) {
      visitor.sensitive(value);
      return;
    }
    if (typeof value !== 'object' || value === null || Sealed.is(value) || depth > DEEPEST) return;
    for (const key of Object.keys(value)) {
      if (--nodes < 0) return;
      if (!Array.isArray(value)) visitor.key(key);
      const next = below.filter(([segment]) => segment === '*' || segment === key).map((path) => path.slice(1));
      visit((value as Readonly<Record<string, unknown>>)[key], next, depth + 1);
    }
  };
  visit(root, paths, 0);
}

/** Whether a text quotes a sensitive value of an object, or a key inside one. */
function quotesAny(text: string, holders: readonly unknown[], paths: readonly (readonly string[])[]): boolean {
  const pieces = new Set<string>();
  for (let at = 0; at + QUOTATION <= text.length; at++) pieces.add(text.slice(at, at + QUOTATION));
  const quotes = (secret: string): boolean => {
    if (secret.length < QUOTATION) return secret.length >= SHORTEST && text.includes(secret);
    for (let at = 0; at + QUOTATION <= secret.length; at++) if (pieces.has(secret.slice(at, at + QUOTATION))) return true;
    return false;
  };
  let isQuoted = false;
  for (const holder of holders) {
    walk(holder, paths, {
      key: () => {},
      sensitive: (value) => {
        for (const secret of textsIn(value)) isQuoted ||= quotes(secret);
      },
    });
  }
  return isQuoted;
}

/** The texts, numbers and keys of a value. */
function textsIn(root: unknown): readonly string[] {
  const texts: string[] = [];
  const visit = (value: unknown, depth: number): void => {
    if (typeof value === 'string') texts.push(value);
    else if (typeof value === 'number') texts.push(String(value));
    else if (typeof value === 'object' && value !== null && !Sealed.is(value) && depth < DEEPEST) {
      for (const [key, child] of Object.entries(value)) {
        if (texts.length >= MOST_NODES) return;
        if (!Array.isArray(value)) texts.push(key);
        visit(child, depth + 1);
      }
    }
  };
  visit(root, 0);
  return texts;
}
