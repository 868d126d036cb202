/**
 * Addresses: from what a caller says to the key an engine sees, and back. One parser for scopes, shared by list, watch,
 * delete and indexes, so that `all` means the same everywhere and `prod` never sees `production`.
 */
import { BadRequestError, invalid, nameCauses, namespaceCauses, show, typeNameCauses } from '../schemas/index.js';
import type { Key, Prefix } from './engine.js';

/** A key as one string: a map key. The parts are validated, so the NUL between them is never inside one. */
export function keyId(key: Key): string {
  return `${key.type}\0${key.namespace}\0${key.name}`;
}

/** The id of a set of keys, as `prefixIds` lists those that a key belongs to. */
export function prefixId(prefix: Prefix): string {
  if (prefix.type === undefined) return '';
  return prefix.namespace === undefined ? prefix.type : `${prefix.type}\0${prefix.namespace}`;
}

/** The namespace a list or watch is about; undefined means every one. */
export function scopeNamespace(namespace: string | undefined): string | undefined {
  if (namespace === undefined || namespace === '' || namespace === '*' || namespace === 'all') return undefined;
  const causes = namespaceCauses(namespace, 'namespace');
  if (causes.length > 0) throw invalid('namespace', causes);
  return namespace;
}

/** The key of one object, checked. Cluster-scoped types take no namespace. */
export function addressOf(type: string, namespace: string | undefined, name: string, scope: 'Namespaced' | 'Cluster' | 'Any'): Key {
  const space = namespace ?? '';
  if (scope === 'Namespaced' && space === '') {
    throw new BadRequestError(`${type} "${name}" needs a namespace: pass one as the second argument`, { details: { kind: type, name } });
  }
  if (scope === 'Cluster' && space !== '' && space !== '-') {
    throw new BadRequestError(`${type} is cluster-scoped: pass undefined as its namespace, not "${space}"`, {
      details: { kind: type, name },
    });
  }
  const cluster = scope === 'Cluster' || space === '';
  const wrongName = nameCauses(name, 'metadata.name');
  const wrongSpace = cluster ? [] : namespaceCauses(space, 'metadata.namespace');
  if (wrongName.length + wrongSpace.length > 0)
    throw invalid(type, [...wrongName, ...wrongSpace], { kind: type, name, ...(cluster ? {} : { namespace: space }) });
  return { type, namespace: cluster ? '' : space, name };
}

/** Refuses what could never be a type name before it reaches a key. */
export function checkTypeName(type: string): void {
  const causes = typeNameCauses(type);
  if (causes.length > 0) throw invalid('resource type', causes);
}

/** How errors and logs name an object. */
export function describeKey(key: Key): string {
  return key.namespace === '' ? `${key.type} "${key.name}"` : `${key.type} "${key.namespace}/${key.name}"`;
}

/** A revision as callers write it, parsed; `what` names the option in the error. */
export function parseRevision(text: string, what: string): number {
  const revision = typeof text === 'string' && /^(0|[1-9]\d{0,15})$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(revision)) {
    throw new BadRequestError(`${what} must be a decimal revision as a text, such as "42", not ${show(text)}`);
  }
  return revision;
}
