/**
 * Whether a schema is one of the subset: known keywords with right values, on types they apply to, with one place for each
 * default and each seal.
 *
 * Invariant: everything wrong is found here, when the type is defined, without compiling anything.
 */
import type { Cause, CauseReason } from './errors.js';
import { isForbiddenKey, joinPath } from './json-path.js';
import { patternFault } from './pattern.js';
import type { JsonSchema, JsonType } from './schema.js';
import { fitFault } from './schema-fit.js';
import { FORMATS } from './formats.js';
import { show } from './text.js';

const TYPES: readonly JsonType[] = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];
const MAX_DEPTH = 50;

/** What is known about where a schema stands. */
interface Place {
  readonly depth: number;
  /** Inside oneOf or anyOf: no default and no seal has one place there. */
  readonly branch: boolean;
  /** The properties of the object that a branch narrows; undefined when it is no such branch. */
  readonly narrows: ReadonlySet<string> | undefined;
}

type ValueCheck = (value: unknown) => string | undefined;

const isCount: ValueCheck = (value) =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? undefined : `must be a whole number from 0 on; got ${show(value)}`;
const isNumber: ValueCheck = (value) =>
  typeof value === 'number' && Number.isFinite(value) ? undefined : `must be a number; got ${show(value)}`;
const isPositive: ValueCheck = (value) =>
  typeof value === 'number' && value > 0 && Number.isFinite(value) ? undefined : `must be a number above 0; got ${show(value)}`;
const isFlag: ValueCheck = (value) => (typeof value === 'boolean' ? undefined : `must be true or false; got ${show(value)}`);
const isText: ValueCheck = (value) => (typeof value === 'string' ? undefined : `must be a text; got ${show(value)}`);
const isList: ValueCheck = (value) => (Array.isArray(value) ? undefined : `must be a list; got ${show(value)}`);
const isTexts: ValueCheck = (value) =>
  Array.isArray(value) && value.every((item) => typeof item === 'string') && new Set(value).size === value.length
    ? undefined
    : 'must be a list of different texts';
const isValues: ValueCheck = (value) => {
  if (!Array.isArray(value) || value.length === 0) return 'must be a list of at least one value';
  return new Set(value.map((item) => JSON.stringify(item))).size === value.length ? undefined : 'must not name a value twice';
};
const isMap: ValueCheck = (value) => (isObject(value) ? undefined : `must be an object; got ${show(value)}`);
const isPattern: ValueCheck = (value) => (typeof value === 'string' ? patternFault(value) : `must be a text; got ${show(value)}`);
const isFormat: ValueCheck = (value) =>
  typeof value === 'string' && FORMATS.includes(value) ? undefined : `must be one of ${FORMATS.join(', ')}; got ${show(value)}`;
const isAnything: ValueCheck = () => undefined;
const isSchema: ValueCheck = (value) => (isObject(value) ? undefined : `must be a schema; got ${show(value)}`);
const isType: ValueCheck = (value) => {
  const types: unknown = Array.isArray(value) ? value : [value];
  const given = types as unknown[];
  if (given.length > 0 && given.every((type) => TYPES.includes(type as JsonType)) && new Set(given).size === given.length) return undefined;
  return `must be one of ${TYPES.join(', ')}, or a list of them; got ${show(value)}`;
};

type Group = 'object' | 'array' | 'string' | 'number';

/** Each keyword: what its value must be, and the types it applies to. */
const KEYWORDS: ReadonlyMap<string, readonly [ValueCheck, Group?]> = new Map<string, readonly [ValueCheck, Group?]>([
  ['type', [isType]],
  ['properties', [isMap, 'object']],
  ['required', [isTexts, 'object']],
  [
    'additionalProperties',
    [
      (value) => (typeof value === 'boolean' || isObject(value) ? undefined : `must be true, false or a schema; got ${show(value)}`),
      'object',
    ],
  ],
  ['propertyNames', [isSchema, 'object']],
  ['minProperties', [isCount, 'object']],
  ['maxProperties', [isCount, 'object']],
  ['items', [isSchema, 'array']],
  ['minItems', [isCount, 'array']],
  ['maxItems', [isCount, 'array']],
  ['uniqueItems', [isFlag, 'array']],
  ['x-list-map-keys', [isTexts, 'array']],
  ['minLength', [isCount, 'string']],
  ['maxLength', [isCount, 'string']],
  ['pattern', [isPattern, 'string']],
  ['format', [isFormat]],
  ['minimum', [isNumber, 'number']],
  ['maximum', [isNumber, 'number']],
  ['exclusiveMinimum', [isNumber, 'number']],
  ['exclusiveMaximum', [isNumber, 'number']],
  ['multipleOf', [isPositive, 'number']],
  ['enum', [isValues]],
  ['const', [isAnything]],
  ['oneOf', [isValues]],
  ['anyOf', [isValues]],
  ['default', [isAnything]],
  ['nullable', [isFlag]],
  ['sensitive', [isFlag]],
  ['title', [isText]],
  ['description', [isText]],
  ['examples', [isList]],
  ['deprecated', [isFlag]],
  ['readOnly', [isFlag]],
  ['writeOnly', [isFlag]],
  ['$schema', [isText]],
  ['$comment', [isText]],
]);

const HINTS: ReadonlyMap<string, string> = new Map([
  ['$ref', 'is not taken: write the schema out where it is used'],
  ['$defs', 'is not taken: write the schema out where it is used'],
  ['definitions', 'is not taken: write the schema out where it is used'],
  ['allOf', 'is not taken: write one schema with all of the properties'],
  ['not', 'is not taken: say it in validate()'],
  ['if', 'is not taken: say it in validate()'],
  ['patternProperties', 'is not taken: use additionalProperties with propertyNames'],
  ['prefixItems', 'is not taken: use an object with named properties'],
]);

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function typesOf(schema: JsonSchema): readonly JsonType[] {
  return schema.type === undefined ? [] : typeof schema.type === 'string' ? [schema.type] : schema.type;
}

/** What is wrong with a schema; `path` is where it stands in the definition, for example `spec`. */
export function schemaCauses(schema: unknown, path: string): Cause[] {
  const causes: Cause[] = [];
  checkNode(schema, path, { depth: 0, branch: false, narrows: undefined }, causes);
  return causes;
}

function checkNode(schema: unknown, path: string, place: Place, causes: Cause[]): void {
  const add = (field: string, message: string, reason: CauseReason = 'FieldValueInvalid'): void =>
    void causes.push({ reason, field, message });
  if (!isObject(schema)) return add(path, `must be a schema; got ${show(schema)}`, 'FieldValueTypeInvalid');
  if (place.depth > MAX_DEPTH) return add(path, `must not be nested deeper than ${MAX_DEPTH} schemas`);
  const before = causes.length;
  for (const keyword of Object.keys(schema)) {
    if (schema[keyword] === undefined) continue;
    const known = KEYWORDS.get(keyword);
    const field = joinPath(path, keyword);
    if (known !== undefined) {
      const fault = known[0](schema[keyword]);
      if (fault !== undefined) add(field, fault);
    } else if (!keyword.startsWith('x-')) {
      add(field, HINTS.get(keyword) ?? 'is not a keyword that definitions take', 'FieldValueNotSupported');
    }
  }
  // Keywords with wrong values would only be reported once more by what follows.
  if (causes.length > before) return;
  const node = schema as JsonSchema;
  checkTypes(node, path, place, add);
  checkPlace(node, path, place, add);
  checkObject(node, path, place, causes);
  checkRest(node, path, place, causes);
  if (node.default !== undefined && causes.length === before) {
    const fault = fitFault(node, node.default, '');
    if (fault !== undefined) add(joinPath(path, 'default'), `does not fit its own schema: ${fault}`);
  }
}

type Add = (field: string, message: string, reason?: CauseReason) => void;

function checkTypes(node: JsonSchema, path: string, place: Place, add: Add): void {
  const types = typesOf(node);
  for (const keyword of Object.keys(node)) {
    const group = KEYWORDS.get(keyword)?.[1];
    if (group === undefined || (node as Record<string, unknown>)[keyword] === undefined) continue;
    if (types.length === 0 && place.narrows !== undefined) continue;
    if (!types.some((type) => type === group || (group === 'number' && type === 'integer'))) {
      add(
        joinPath(path, keyword),
        `applies to type ${show(group)} only; the type here is ${types.length === 0 ? 'not given' : show(types.join(', '))}`,
      );
    }
  }
  if (
    node.nullable === true &&
    types.length === 0 &&
    node.enum === undefined &&
    node.const === undefined &&
    node.oneOf === undefined &&
    node.anyOf === undefined
  ) {
    add(joinPath(path, 'nullable'), 'needs a type, an enum, a const, oneOf or anyOf beside it');
  }
  if (node.oneOf !== undefined && node.anyOf !== undefined) add(path, 'must not have both oneOf and anyOf');
}

function checkPlace(node: JsonSchema, path: string, place: Place, add: Add): void {
  if (!place.branch) return;
  if (node.default !== undefined)
    add(joinPath(path, 'default'), 'must not stand inside oneOf or anyOf: which branch applies is known only after defaults are filled in');
  if (node.sensitive === true)
    add(joinPath(path, 'sensitive'), 'must not stand inside oneOf or anyOf: what is sealed must not depend on the value');
}

function checkObject(node: JsonSchema, path: string, place: Place, causes: Cause[]): void {
  const add: Add = (field, message, reason = 'FieldValueInvalid') => void causes.push({ reason, field, message });
  const { properties, additionalProperties } = node;
  const hasBranches = node.oneOf !== undefined || node.anyOf !== undefined;
  if (
    typesOf(node).includes('object') &&
    properties === undefined &&
    additionalProperties === undefined &&
    !hasBranches &&
    place.narrows === undefined
  ) {
    add(
      path,
      'takes no field at all: name its properties, or say additionalProperties: true for any, or additionalProperties: { type: ... } for a map',
    );
  }
  const names = new Set(Object.keys(properties ?? {}));
  for (const name of names) {
    const field = joinPath(joinPath(path, 'properties'), name);
    if (isForbiddenKey(name)) add(field, 'must not be used as a name', 'FieldValueForbidden');
    else if (name === '') add(field, 'must have a name');
    else if (place.narrows !== undefined && !place.narrows.has(name))
      add(field, 'is not a property of the object that this branch narrows');
    else
      checkNode(
        properties?.[name],
        field,
        { depth: place.depth + 1, branch: place.branch, narrows: place.narrows === undefined ? undefined : new Set() },
        causes,
      );
  }
  for (const name of node.required ?? []) {
    const known = place.narrows ?? names;
    if (
      !known.has(name) &&
      !names.has(name) &&
      (additionalProperties === undefined || additionalProperties === false) &&
      !(hasBranches && properties === undefined)
    ) {
      add(joinPath(path, 'required'), `names ${show(name)}, which is not one of the properties`);
    }
  }
  if (isObject(additionalProperties)) {
    checkNode(
      additionalProperties,
      joinPath(path, 'additionalProperties'),
      { ...place, depth: place.depth + 1, narrows: undefined },
      causes,
    );
  }
  if (node.propertyNames !== undefined) {
    checkNode(
      { type: 'string', ...node.propertyNames },
      joinPath(path, 'propertyNames'),
      { depth: place.depth + 1, branch: true, narrows: undefined },
      causes,
    );
  }
}

function checkRest(node: JsonSchema, path: string, place: Place, causes: Cause[]): void {
  if (node.items !== undefined)
    checkNode(node.items, joinPath(path, 'items'), { ...place, depth: place.depth + 1, narrows: undefined }, causes);
  const narrows = node.properties === undefined ? undefined : new Set(Object.keys(node.properties));
  for (const keyword of ['oneOf', 'anyOf'] as const) {
    for (const [i, branch] of (node[keyword] ?? []).entries()) {
      checkNode(branch, joinPath(joinPath(path, keyword), i), { depth: place.depth + 1, branch: true, narrows }, causes);
    }
  }
  const keys = node['x-list-map-keys'];
  for (const key of keys ?? []) {
    if (node.items?.properties === undefined || !Object.hasOwn(node.items.properties, key)) {
      causes.push({
        reason: 'FieldValueInvalid',
        field: joinPath(path, 'x-list-map-keys'),
        message: `names ${show(key)}, which is not a property of the items`,
      });
    }
  }
}
