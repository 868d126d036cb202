/**
 * What a JSON Schema says about merging: where its fields lead, which lists have items with an identity.
 *
 * Invariant: a schema is read with care (it may be anything) and a missing one means "objects merge, lists are replaced whole".
 */
import { equalJson } from '../../schemas/index.js';
import { isRecord } from './record.js';
import type { JsonRecord } from './record.js';

/** A JSON Schema as merging reads it; `{}` where there is none. */
export type MergeSchema = JsonRecord;

const NOTHING: MergeSchema = Object.freeze({});

/** How metadata merges: finalizers as a set and owners by uid, so that a manifest never drops a controller's. */
export const METADATA_SCHEMA: MergeSchema = {
  type: 'object',
  properties: {
    finalizers: { type: 'array', 'x-list-type': 'set' },
    ownerReferences: { type: 'array', 'x-list-map-keys': ['uid'] },
  },
};

/** The schema of a member: by its name, or that of all further members of a map. */
export function memberSchema(schema: MergeSchema, key: string): MergeSchema {
  const properties = schema['properties'];
  if (isRecord(properties) && Object.hasOwn(properties, key)) return asSchema(properties[key]);
  return asSchema(schema['additionalProperties']);
}

/** The schema of a list's items. */
export function itemSchema(schema: MergeSchema): MergeSchema {
  return asSchema(schema['items']);
}

function asSchema(value: unknown): MergeSchema {
  return isRecord(value) ? value : NOTHING;
}

/** Items by their identity, in their order; undefined when an item has none or two have the same. */
export type ListIdentity = (list: readonly unknown[]) => ReadonlyMap<string, unknown> | undefined;

/** How the items of a list are told apart; undefined when the list is one value. A key left out counts with its default. */
export function listIdentity(schema: MergeSchema): ListIdentity | undefined {
  const keys = schema['x-list-map-keys'];
  if (Array.isArray(keys) && keys.length > 0 && keys.every((key) => typeof key === 'string')) {
    const names = keys as readonly string[];
    const items = itemSchema(schema);
    return (list) => identify(list, (entry) => keyOf(entry, names, items));
  }
  if (schema['x-list-type'] === 'set') return (list) => identify(list, scalar);
  return undefined;
}

function identify(list: readonly unknown[], id: (entry: unknown) => string | undefined): ReadonlyMap<string, unknown> | undefined {
  const found = new Map<string, unknown>();
  for (const entry of list) {
    const key = id(entry);
    if (key === undefined || found.has(key)) return undefined;
    found.set(key, entry);
  }
  return found;
}

function keyOf(entry: unknown, names: readonly string[], items: MergeSchema): string | undefined {
  if (!isRecord(entry)) return undefined;
  const parts: unknown[] = [];
  for (const name of names) {
    const given = Object.hasOwn(entry, name) ? entry[name] : undefined;
    const value = given ?? memberSchema(items, name)['default'];
    if (scalar(value) === undefined) return undefined;
    parts.push(value);
  }
  return JSON.stringify(parts);
}

function scalar(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? JSON.stringify(value) : undefined;
}

/**
 * Whether what others set in an object that the manifest no longer names is worth keeping: not when nothing is left, when
 * only defaults are left, or when a field is missing that the schema requires (the rest would be refused).
 */
export function restStandsAlone(rest: JsonRecord, schema: MergeSchema): boolean {
  const keys = Object.keys(rest);
  if (keys.length === 0) return false;
  const required = schema['required'];
  if (Array.isArray(required)) {
    for (const name of required as readonly string[]) {
      if (!Object.hasOwn(rest, name) && memberSchema(schema, name)['default'] === undefined) return false;
    }
  }
  return !keys.every((key) => {
    const value = memberSchema(schema, key)['default'];
    return value !== undefined && equalJson(value, rest[key]);
  });
}
