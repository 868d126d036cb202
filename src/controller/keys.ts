/**
 * The keys of the work queue: `namespace/name`, or `name` alone for cluster scope.
 *
 * Invariant: names and namespaces hold no slash, so a key has one reading.
 */
import { InvalidError, printable } from '../schemas/index.js';
import type { ObjectKey } from '../schemas/index.js';

/** What is read of an object for its key. */
export interface Named {
  readonly metadata: { readonly namespace?: string | undefined; readonly name: string };
}

/** The key of an object. */
export function keyOf(object: Named): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}

/** `{ namespace, name }` as a key. */
export function formatKey(key: ObjectKey): string {
  return key.namespace === undefined || key.namespace === '' ? key.name : `${key.namespace}/${key.name}`;
}

/** A key as `{ namespace, name }`; `namespace` is absent for cluster scope. */
export function parseKey(key: string): ObjectKey {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** What a key must look like for a scope, and who asks. */
export interface KeyCheck {
  readonly scope: 'Namespaced' | 'Cluster';
  /** For the message: `map of watches[0] of controller scaling`. */
  readonly what: string;
}

/**
 * A key given by a user, as a string; checked, because a wrong one would wake nobody in silence.
 *
 * @throws {InvalidError} when the key does not fit the scope.
 */
export function checkKey(key: ObjectKey | string, check: KeyCheck): string {
  const text = typeof key === 'string' ? key : isObjectKey(key) ? formatKey(key) : undefined;
  if (text !== undefined && text !== '') {
    const slash = text.indexOf('/');
    const slashes = slash >= 0 && slash === text.lastIndexOf('/') ? 1 : slash < 0 ? 0 : 2;
    if (check.scope === 'Namespaced' ? slashes === 1 && slash > 0 && slash < text.length - 1 : slashes === 0) return text;
  }
  const wanted = check.scope === 'Namespaced' ? "'namespace/name' or { namespace, name }" : "'name' or { name }";
  throw new InvalidError(`${check.what} gave ${printable(JSON.stringify(key) ?? typeof key)}, but a key must be ${wanted}`, {
    causes: [{ reason: 'FieldValueInvalid', field: 'key', message: `must be ${wanted}` }],
  });
}

/**
 * The same where the scope is not known yet: a key of either.
 *
 * @throws {InvalidError} when it is a key of neither.
 */
export function checkAnyKey(key: ObjectKey | string, what: string): string {
  const text = typeof key === 'string' ? key : isObjectKey(key) ? formatKey(key) : '/';
  return checkKey(key, { scope: text.includes('/') ? 'Namespaced' : 'Cluster', what });
}

function isObjectKey(key: unknown): key is ObjectKey {
  return typeof key === 'object' && key !== null && typeof (key as { name?: unknown }).name === 'string';
}
