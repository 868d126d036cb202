/**
 * Three-way apply: the manifest now, the manifest last time and the live object make the next object.
 *
 * Invariants, field by field:
 * - What the manifest changed since last time is set; what it says as before is left as others made it, a removal included.
 * - What the manifest stopped naming goes; within an object only what it had named goes, and what others set there stays.
 * - What the manifest never named stays. Status and server-set metadata are the live object's.
 * - Lists are replaced whole, but for those whose schema says `x-list-map-keys` (merged by key) or `x-list-type: set`.
 */
import { cloneJson, equalJson } from '../../schemas/index.js';
import { appliedPart, decodeLastApplied, encodeLastApplied, LAST_APPLIED_ANNOTATION } from './last-applied.js';
import type { SensitivePaths } from './last-applied.js';
import { itemSchema, listIdentity, memberSchema, METADATA_SCHEMA, restStandsAlone } from './merge-schema.js';
import type { MergeSchema } from './merge-schema.js';
import { isRecord, setOwn } from './record.js';
import type { JsonRecord } from './record.js';

export interface ThreeWayInput {
  /** The manifest as it was applied last; undefined when it never was. */
  readonly last?: unknown;
  readonly manifest: unknown;
  /** The object as it is; undefined when there is none. */
  readonly live?: unknown;
  /** JSON Schema of the whole object without metadata; tells how lists merge. */
  readonly schema?: unknown;
}

export interface ApplyManifestInput {
  readonly manifest: unknown;
  readonly live?: unknown;
  readonly schema?: unknown;
  /** What must not be kept in the annotation. */
  readonly sensitivePaths?: SensitivePaths | undefined;
}

/** Says that a field is not there. Not null, which a manifest may say. */
const ABSENT: unique symbol = Symbol('absent');
/** A field's value, or `ABSENT`. */
type Maybe = unknown;

/**
 * The object that applying a manifest leads to. Pure: the inputs are not changed, and the result shares nothing with them.
 *
 * @example threeWayApply({ last: { a: 1, b: 1 }, manifest: { a: 2 }, live: { a: 1, b: 1, c: 1 } }) // { a: 2, c: 1 }
 */
export function threeWayApply(input: ThreeWayInput): unknown {
  const manifest = appliedPart(input.manifest);
  // Without a live object there is nothing that others could have changed since the last time.
  const last = isRecord(input.live) && input.last !== undefined ? withoutIdentity(appliedPart(input.last)) : ABSENT;
  const merged = mergeRecord(last, manifest, isRecord(input.live) ? input.live : {}, rootSchema(input.schema));
  return cloneJson(merged);
}

/** Three-way apply that reads what was applied last from the live object's annotation and writes the new text into the result's. */
export function applyManifest(input: ApplyManifestInput): unknown {
  const text = encodeLastApplied(input.manifest, input);
  const next = threeWayApply({ ...input, last: decodeLastApplied(input.live) }) as Record<string, unknown>;
  const metadata = isRecord(next['metadata']) ? next['metadata'] : {};
  const annotations = isRecord(metadata['annotations']) ? metadata['annotations'] : {};
  next['metadata'] = { ...metadata, annotations: { ...annotations, [LAST_APPLIED_ANNOTATION]: text } };
  return next;
}

/** Drops what says which object this is: a manifest that leaves it out (its address tells) does not ask for its removal. */
function withoutIdentity(last: JsonRecord): JsonRecord {
  const { apiVersion: _apiVersion, kind: _kind, ...rest } = last;
  if (!isRecord(rest['metadata'])) return rest;
  const { name: _name, namespace: _namespace, generateName: _generateName, ...metadata } = rest['metadata'];
  return { ...rest, metadata };
}

function rootSchema(schema: unknown): MergeSchema {
  const own = isRecord(schema) ? schema : {};
  return { ...own, properties: { ...(isRecord(own['properties']) ? own['properties'] : {}), metadata: METADATA_SCHEMA } };
}

function member(value: Maybe, key: string): Maybe {
  return isRecord(value) && Object.hasOwn(value, key) && value[key] !== undefined ? value[key] : ABSENT;
}

/** Live keys keep their order; what the manifest adds comes after them. */
function mergeRecord(last: Maybe, manifest: JsonRecord, live: JsonRecord, schema: MergeSchema): JsonRecord {
  const result: Record<string, unknown> = {};
  const keys = new Set([...Object.keys(live), ...Object.keys(manifest)]);
  for (const key of keys) {
    const merged = mergeField(member(last, key), member(manifest, key), member(live, key), memberSchema(schema, key));
    if (merged !== ABSENT) setOwn(result, key, merged);
  }
  return result;
}

function mergeField(last: Maybe, manifest: Maybe, live: Maybe, schema: MergeSchema): Maybe {
  if (manifest === ABSENT) return last === ABSENT || last === null ? live : forget(last, live, schema);
  if (last !== ABSENT && equalJson(last, manifest)) return live;
  if (manifest === null) return ABSENT;
  if (isRecord(manifest)) return isRecord(live) ? mergeRecord(last, manifest, live, schema) : fresh(manifest, schema);
  if (Array.isArray(manifest) && Array.isArray(live)) {
    return mergeList(Array.isArray(last) ? last : undefined, manifest, live, schema) ?? fresh(manifest, schema);
  }
  return fresh(manifest, schema);
}

/** A field that the manifest named last time and names no more. */
function forget(last: Maybe, live: Maybe, schema: MergeSchema): Maybe {
  if (isRecord(last) && isRecord(live)) {
    const rest = mergeRecord(last, {}, live, schema);
    return restStandsAlone(rest, schema) ? rest : ABSENT;
  }
  if (Array.isArray(last) && Array.isArray(live)) {
    const rest = mergeList(last, [], live, schema);
    return rest === undefined || rest.length === 0 ? ABSENT : rest;
  }
  return ABSENT;
}

/**
 * A list whose items have an identity, merged by it; undefined when the list has none and is replaced whole. Live items keep
 * their places; when the manifest changed the order of its own, or names them for the first time, these take their places in
 * the manifest's order. New items come last.
 */
function mergeList(
  last: readonly unknown[] | undefined,
  manifest: readonly unknown[],
  live: readonly unknown[],
  schema: MergeSchema,
): readonly unknown[] | undefined {
  const identity = listIdentity(schema);
  if (identity === undefined) return undefined;
  const was = last === undefined ? undefined : identity(last);
  const wanted = identity(manifest);
  const there = identity(live);
  if (wanted === undefined || there === undefined) return undefined;

  const items = itemSchema(schema);
  const merged = new Map<string, unknown>();
  for (const id of new Set([...there.keys(), ...wanted.keys()])) {
    const result = mergeField(item(was, id), item(wanted, id), item(there, id), items);
    // An item stopped being named goes whole: what is left of it without its key would be another item, or none.
    if (result !== ABSENT && (wanted.has(id) || was?.has(id) !== true)) merged.set(id, result);
  }

  const named = [...wanted.keys()].filter((id) => merged.has(id) && there.has(id));
  const moved = was === undefined || named.some((id) => !was.has(id)) || !sameOrder([...was.keys()], [...wanted.keys()]);
  const order: string[] = [];
  for (const id of there.keys()) {
    if (!merged.has(id)) continue;
    order.push(moved && wanted.has(id) ? (named.shift() as string) : id);
  }
  for (const id of wanted.keys()) {
    if (merged.has(id) && !there.has(id)) order.push(id);
  }
  return order.map((id) => merged.get(id));
}

function item(list: ReadonlyMap<string, unknown> | undefined, id: string): Maybe {
  return list?.has(id) === true ? list.get(id) : ABSENT;
}

/** Whether the ids that both lists hold come in the same order in both. */
function sameOrder(before: readonly string[], after: readonly string[]): boolean {
  const kept = new Set(before);
  const shared = after.filter((id) => kept.has(id));
  const sharedSet = new Set(shared);
  return before.filter((id) => sharedSet.has(id)).every((id, index) => id === shared[index]);
}

/** A part of the manifest that is set whole. Nulls of objects say "not there"; those inside a list that is one value are data. */
function fresh(value: unknown, schema: MergeSchema): unknown {
  if (Array.isArray(value)) {
    return listIdentity(schema) === undefined ? value : value.map((entry) => fresh(entry, itemSchema(schema)));
  }
  if (!isRecord(value)) return value;
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    if (value[key] !== null && value[key] !== undefined) setOwn(result, key, fresh(value[key], memberSchema(schema, key)));
  }
  return result;
}
