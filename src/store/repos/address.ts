/**
 * From what a caller gives as an address to the object it means.
 *
 * Invariant: whatever cannot be an address of the repo's type is an error that says which part is wrong; nothing is read.
 */
import { InvalidError, InvalidRefError, isNamespace, parseRef, show } from '../../schemas/index.js';
import type { AnyDefinition, Ref } from '../../schemas/index.js';

/** An object's place, and its uid when one very object is meant. */
export interface Target {
  readonly namespace: string | undefined;
  readonly name: string;
  readonly uid?: string | undefined;
}

/** An object known by its uid alone: its name must be looked up. */
export interface UidTarget {
  readonly namespace: string | undefined;
  readonly name?: undefined;
  readonly uid: string;
}

interface MetadataLike {
  readonly name?: unknown;
  readonly namespace?: unknown;
  readonly uid?: unknown;
}

/**
 * What an address means.
 *
 * @throws {InvalidRefError} for a ref that is wrong, or of another type.
 * @throws {InvalidError} for a key or resource that names nothing.
 */
export function targetOf(definition: AnyDefinition, address: unknown, defaultNamespace?: string): Target | UidTarget {
  if (typeof address === 'string') return refTarget(definition, parseAddress(definition, address, defaultNamespace), address);
  if (typeof address !== 'object' || address === null) {
    throw new InvalidError(`an address of a ${definition.type} is { namespace, name }, a resource or a ref, not ${show(address)}`);
  }
  const { metadata } = address as { metadata?: unknown };
  if (typeof metadata === 'object' && metadata !== null) {
    checkKind(definition, address);
    return place(definition, metadata, 'metadata.', defaultNamespace);
  }
  return place(definition, address, '', defaultNamespace);
}

/** The place that a resource's metadata names; without a name when the store is to make one from `generateName`. */
export function placeOf(
  definition: AnyDefinition,
  resource: unknown,
  defaultNamespace?: string,
): { readonly namespace: string | undefined; readonly name: string | undefined } {
  if (typeof resource !== 'object' || resource === null) {
    throw new InvalidError(`a ${definition.type} must be an object, not ${show(resource)}`);
  }
  const { metadata } = resource as { metadata?: unknown };
  const meta = (typeof metadata === 'object' && metadata !== null ? metadata : {}) as MetadataLike & { readonly generateName?: unknown };
  if (meta.name === undefined && meta.generateName !== undefined) {
    return { namespace: namespaceIn(definition, meta, 'metadata.', defaultNamespace), name: undefined };
  }
  return place(definition, meta, 'metadata.', defaultNamespace);
}

/** A ref of the repo's type, with the key of its data that it may name. */
export function parseAddress(definition: AnyDefinition, text: string, defaultNamespace?: string): Ref {
  const ref = parseRef(text, defaultNamespace === undefined ? {} : { defaultNamespace });
  if (ref.type !== definition.type) {
    throw new InvalidRefError(`reference ${show(text)} is of type ${show(ref.type)}; this repo holds ${show(definition.type)}`, {
      part: 'type',
    });
  }
  return ref;
}

/** The object that a parsed ref names; a key makes it the address of a value, which is refused. */
export function refTarget(definition: AnyDefinition, ref: Ref, text: string): Target | UidTarget {
  if (ref.key !== undefined) {
    throw new InvalidRefError(
      `reference ${show(text)} names a key; an object's address has none: leave "/${show(ref.key).slice(1, -1)}" out`,
      { part: 'key' },
    );
  }
  if (definition.scope === 'Cluster' && ref.namespace !== undefined) {
    throw new InvalidRefError(
      `reference ${show(text)} has a namespace, but ${definition.type} is cluster-scoped: write rune://${definition.type}/-/...`,
      { part: 'namespace' },
    );
  }
  if (ref.uid !== undefined) return { namespace: ref.namespace, uid: ref.uid };
  if (definition.scope === 'Namespaced' && ref.namespace === undefined) {
    throw new InvalidRefError(
      `reference ${show(text)} leaves its namespace out: write ${definition.type}:<name>.<namespace>.rune or rune://...`,
      { part: 'namespace' },
    );
  }
  return { namespace: ref.namespace, name: ref.name as string };
}

function place(definition: AnyDefinition, meta: MetadataLike, path: string, defaultNamespace: string | undefined): Target {
  const { name, uid } = meta;
  if (typeof name !== 'string' || name === '') {
    throw new InvalidError(`a ${definition.type} is addressed by its name: give ${path}name`, {
      causes: [{ reason: 'FieldValueRequired', field: `${path}name`, message: 'must be given' }],
    });
  }
  const namespace = namespaceIn(definition, meta, path, defaultNamespace);
  return { namespace, name, ...(path !== '' && typeof uid === 'string' && uid !== '' ? { uid } : {}) };
}

function namespaceIn(
  definition: AnyDefinition,
  meta: MetadataLike,
  path: string,
  defaultNamespace: string | undefined,
): string | undefined {
  const given = meta.namespace === '' ? undefined : meta.namespace;
  const field = `${path}namespace`;
  if (definition.scope === 'Cluster') {
    if (given === undefined) return undefined;
    throw new InvalidError(`${definition.type} is cluster-scoped: leave ${field} out`, {
      causes: [{ reason: 'FieldValueForbidden', field, message: 'must not be set on a cluster-scoped object' }],
    });
  }
  const namespace = given ?? defaultNamespace;
  if (isNamespace(namespace)) return namespace;
  throw new InvalidError(
    namespace === undefined
      ? `a ${definition.type} lives in a namespace: give ${field}`
      : `${field} ${show(namespace)} is no namespace: a DNS-1123 label of at most 63 characters, other than "all"`,
    { causes: [{ reason: namespace === undefined ? 'FieldValueRequired' : 'FieldValueInvalid', field, message: 'must be a namespace' }] },
  );
}

function checkKind(definition: AnyDefinition, resource: { readonly kind?: unknown }): void {
  if (resource.kind !== undefined && resource.kind !== definition.kind) {
    throw new InvalidError(`an object of kind ${show(resource.kind)} cannot address a ${definition.kind}`, {
      causes: [{ reason: 'FieldValueInvalid', field: 'kind', message: `must be ${definition.kind}` }],
    });
  }
}
