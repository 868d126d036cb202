/**
 * A checked schema in the form a definition keeps: objects closed, `nullable` spelled out, no notes for other tools.
 *
 * Invariant: the result is a copy; what the user holds is left alone.
 */
import { cloneJson } from './json.js';
import type { JsonSchema, JsonType } from './schema.js';

type Draft = { -readonly [K in keyof JsonSchema]: JsonSchema[K] };

/** The closed copy of a schema. */
export function closeSchema(schema: JsonSchema): JsonSchema {
  return close(schema, false);
}

/** `narrowing`: a branch that only narrows an object closed elsewhere. */
function close(schema: JsonSchema, narrowing: boolean): JsonSchema {
  const { $schema: _schema, $comment: _comment, nullable, ...rest } = schema;
  const draft: Draft = { ...rest };
  if (draft.properties !== undefined) {
    const properties: Record<string, JsonSchema> = {};
    for (const [name, child] of Object.entries(draft.properties)) if (child !== undefined) properties[name] = close(child, narrowing);
    draft.properties = properties;
  }
  if (draft.items !== undefined) draft.items = close(draft.items, narrowing);
  if (typeof draft.additionalProperties === 'object') draft.additionalProperties = close(draft.additionalProperties, narrowing);
  for (const keyword of ['oneOf', 'anyOf'] as const) {
    const branches = draft[keyword];
    if (branches !== undefined) draft[keyword] = branches.map((branch) => close(branch, narrowing || draft.properties !== undefined));
  }
  const hasBranches = draft.oneOf !== undefined || draft.anyOf !== undefined;
  const isOpen = narrowing || (hasBranches && draft.properties === undefined);
  if (isObjectSchema(draft) && draft.additionalProperties === undefined && !isOpen) draft.additionalProperties = false;
  return cloneJson(nullable === true ? allowNull(draft) : draft);
}

function isObjectSchema(schema: JsonSchema): boolean {
  return schema.type === 'object' || (Array.isArray(schema.type) && schema.type.includes('object'));
}

function allowNull(schema: Draft): Draft {
  const draft: Draft = { ...schema };
  if (draft.const !== undefined) {
    draft.enum = draft.const === null ? [null] : [draft.const, null];
    delete draft.const;
  } else if (draft.enum !== undefined && !draft.enum.includes(null)) draft.enum = [...draft.enum, null];
  if (draft.type !== undefined) {
    const types: readonly JsonType[] = typeof draft.type === 'string' ? [draft.type] : draft.type;
    if (!types.includes('null')) draft.type = [...types, 'null'];
  }
  if (draft.oneOf !== undefined && draft.type === undefined) draft.oneOf = [...draft.oneOf, { type: 'null' }];
  if (draft.anyOf !== undefined && draft.type === undefined) draft.anyOf = [...draft.anyOf, { type: 'null' }];
  return draft;
}

/** Where a schema says `sensitive`, from its root; `*` stands for every key of a map and every item of a list. */
export function sensitivePathsOf(schema: JsonSchema, path: readonly string[] = []): string[][] {
  if (schema.sensitive === true) return [[...path]];
  const paths: string[][] = [];
  for (const [name, child] of Object.entries(schema.properties ?? {})) paths.push(...sensitivePathsOf(child, [...path, name]));
  if (typeof schema.additionalProperties === 'object') paths.push(...sensitivePathsOf(schema.additionalProperties, [...path, '*']));
  if (schema.items !== undefined) paths.push(...sensitivePathsOf(schema.items, [...path, '*']));
  return paths;
}

/** The schema of the field at a path: `any` where the schema is open, undefined where it has no such field. */
export function schemaAt(schema: JsonSchema, segments: readonly string[]): JsonSchema | 'any' | undefined {
  let at: JsonSchema = schema;
  for (const segment of segments) {
    if (at.properties !== undefined && Object.hasOwn(at.properties, segment)) at = at.properties[segment] as JsonSchema;
    else if (typeof at.additionalProperties === 'object') at = at.additionalProperties;
    else if (at.items !== undefined && /^\d+$/.test(segment)) at = at.items;
    else if (at.additionalProperties === true || at.oneOf !== undefined || at.anyOf !== undefined || at.type === undefined) return 'any';
    else return undefined;
  }
  return at;
}

/** Whether a path leads to, into, or around a sensitive value. */
export function touchesSensitive(paths: readonly (readonly string[])[], segments: readonly string[]): boolean {
  return paths.some((path) => {
    const shared = Math.min(path.length, segments.length);
    for (let i = 0; i < shared; i++) if (path[i] !== '*' && path[i] !== segments[i]) return false;
    return true;
  });
}
