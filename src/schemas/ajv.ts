/**
 * The one place that knows ajv: how a definition's schema becomes a checking function.
 *
 * Invariants: nothing is compiled before it is first needed (the first compilation costs tens of ms); a pattern is never
 * run on a text long enough to make it slow.
 */
import { Ajv, type AnySchema, type ErrorObject, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import { durationMs } from './duration.js';
import { isDnsLabel, isName } from './names.js';
import { isLinearPattern } from './pattern.js';
import type { JsonSchema } from './schema.js';

export type { ErrorObject };

/** Gives the faults of a value; undefined when there are none. */
export type SchemaCheck = (value: unknown) => readonly ErrorObject[] | undefined;

/** The longest text that a pattern is run on, unless it is linear. */
export const PATTERN_MAX_LENGTH = 4096;

/** Stands for `uniqueItems`. */
export const DISTINCT = 'x-distinct-items';

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && BASE64.test(text);
}

const boundedRegExp = Object.assign(
  (pattern: string, flags: string): { test(text: string): boolean; toString(): string } => {
    const expression = new RegExp(pattern, flags);
    if (isLinearPattern(pattern)) return expression;
    return { test: (text) => text.length <= PATTERN_MAX_LENGTH && expression.test(text), toString: () => String(expression) };
  },
  { code: 'boundedRegExp' },
);

function createAjv(): Ajv {
  const ajv = new Ajv({
    allErrors: true,
    strict: true,
    strictTypes: false,
    strictRequired: false,
    allowUnionTypes: true,
    verbose: true,
    ownProperties: true,
    validateSchema: false,
    addUsedSchema: false,
    // Its optimizer takes a third of the time that compiling takes, and what it leaves runs no faster: V8 does the same.
    code: { regExp: boundedRegExp, optimize: false },
  });
  // nodenext sees the CommonJS default as a namespace.
  (addFormats as unknown as typeof addFormats.default)(ajv, [
    'date-time',
    'date',
    'time',
    'duration',
    'uri',
    'uri-reference',
    'email',
    'hostname',
    'ipv4',
    'ipv6',
    'uuid',
    'json-pointer',
    'int32',
    'int64',
    'float',
    'double',
  ]);
  ajv.addFormat('byte', isBase64);
  ajv.addFormat('rune-duration', (text) => durationMs(text) !== undefined);
  ajv.addFormat('dns-name', isName);
  ajv.addFormat('dns-label', isDnsLabel);
  ajv.addKeyword({ keyword: 'x-list-map-keys', type: 'array', schemaType: 'array', validate: hasDistinctKeys, errors: false });
  ajv.addKeyword({ keyword: DISTINCT, type: 'array', schemaType: 'boolean', validate: hasDistinctItems, errors: false });
  return ajv;
}

/** Whether no two items agree in all of the fields that tell them apart. */
function hasDistinctKeys(keys: readonly string[], items: readonly unknown[]): boolean {
  if (items.length < 2) return true;
  const objects = items.filter((item) => typeof item === 'object' && item !== null) as Record<string, unknown>[];
  return hasNoTwins(objects.map((item) => keys.map((key) => item[key])));
}

/** In linear time, where ajv's own uniqueItems compares each pair: a list of 1 MiB would stop the process for minutes. */
function hasDistinctItems(wanted: boolean, items: readonly unknown[]): boolean {
  return !wanted || hasNoTwins(items);
}

function hasNoTwins(values: readonly unknown[]): boolean {
  return values.length < 2 || new Set(values.map(stableText)).size === values.length;
}

/** A text that is the same for equal JSON values and different for others. */
function stableText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(stableText).join()}]`;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return `{${entries
    .map(([key, item]) => `${JSON.stringify(key)}:${stableText(item)}`)
    .toSorted()
    .join()}}`;
}

/** Only what ajv must see: no defaults, no seals, no notes. */
function toAjv(schema: JsonSchema): Record<string, unknown> {
  const {
    default: _default,
    sensitive: _sensitive,
    title: _title,
    description: _description,
    examples: _examples,
    deprecated: _deprecated,
    ...rest
  } = schema;
  const result: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(rest)) {
    if (keyword === 'readOnly' || keyword === 'writeOnly' || (keyword.startsWith('x-') && keyword !== 'x-list-map-keys')) continue;
    result[keyword === 'uniqueItems' ? DISTINCT : keyword] = value;
  }
  if (schema.properties !== undefined)
    result['properties'] = Object.fromEntries(Object.entries(schema.properties).map(([name, child]) => [name, toAjv(child)]));
  for (const keyword of ['items', 'additionalProperties', 'propertyNames'] as const) {
    const child = schema[keyword];
    if (typeof child === 'object') result[keyword] = toAjv(child);
  }
  for (const keyword of ['oneOf', 'anyOf'] as const) {
    const branches = schema[keyword];
    if (branches !== undefined) result[keyword] = branches.map(toAjv);
  }
  return result;
}

/** Makes checks that share one ajv, made at the first check that runs. */
export function createSchemaCompiler(): (schema: JsonSchema) => SchemaCheck {
  let ajv: Ajv | undefined;
  return (schema) => {
    let validate: ValidateFunction | undefined;
    return (value) => {
      if (validate === undefined) {
        ajv ??= createAjv();
        const prepared = toAjv(schema) as AnySchema;
        validate = ajv.compile(prepared);
        // ajv would keep every schema it has seen; the function is all that is needed.
        ajv.removeSchema(prepared);
      }
      if (validate(value)) return undefined;
      const errors = validate.errors ?? [];
      // They hold the values that are wrong, and the function would hold them until it is called again.
      validate.errors = null;
      return errors;
    };
  };
}
