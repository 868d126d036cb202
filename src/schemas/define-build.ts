/**
 * What `defineResource` does: check everything, fill in what follows from the kind, close the schema, freeze the result.
 */
import type { AnyDefinition, Column, HistoryPolicy, ResourceLimits, Subresources } from './definition.js';
import { durationMs } from './duration.js';
import { invalid, type Cause } from './errors.js';
import { checkJson } from './json-check.js';
import { joinPath, parsePath } from './json-path.js';
import { freezeJson } from './json.js';
import { dnsLabelCauses, isName, typeNameCauses } from './names.js';
import { schemaCauses } from './schema-check.js';
import { closeSchema, schemaAt, sensitivePathsOf, touchesSensitive } from './schema-close.js';
import type { JsonSchema } from './schema.js';
import { show } from './text.js';

/** The group of the built-in types, and of those that name none. */
export const DEFAULT_GROUP = 'rune.dev';

const KNOWN_OPTIONS: ReadonlySet<string> = new Set([
  'kind', 'type', 'plural', 'group', 'version', 'scope', 'shortNames', 'spec', 'status', 'schema', 'conditions', 'indexes',
  'storeIndexes', 'columns', 'subresources', 'history', 'limits', 'validate',
]); // prettier-ignore
const KIND = /^[A-Z][A-Za-z0-9]*$/;
const VERSION = /^v[1-9][0-9]*(?:(?:alpha|beta)[1-9][0-9]*)?$/;
const CONDITION = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?$/;
const RESERVED = ['apiVersion', 'kind', 'metadata'];

type Options = Readonly<Record<string, unknown>>;

/** Gathers what is wrong; a getter gives a usable stand-in after a fault, so that one run finds them all. */
class Checker {
  readonly causes: Cause[] = [];

  add(field: string, message: string, reason: Cause['reason'] = 'FieldValueInvalid'): void {
    this.causes.push({ reason, field, message });
  }

  text(options: Options, field: string, fallback: string, fault: (value: string) => readonly Cause[] | string | undefined): string {
    const value = options[field] ?? fallback;
    if (typeof value !== 'string') {
      this.add(field, `must be a text; got ${show(value)}`, 'FieldValueTypeInvalid');
      return fallback;
    }
    const found = fault(value);
    if (typeof found === 'string') this.add(field, `${found}; got ${show(value)}`);
    else if (found !== undefined) this.causes.push(...found);
    return value;
  }

  texts(options: Options, field: string): readonly string[] {
    const value = options[field];
    if (value === undefined) return [];
    if (Array.isArray(value) && value.every((item) => typeof item === 'string') && new Set(value).size === value.length) return [...value];
    this.add(field, 'must be a list of different texts', 'FieldValueTypeInvalid');
    return [];
  }

  object(options: Options, field: string, known?: readonly string[]): Options {
    const value = options[field];
    if (value === undefined) return {};
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.add(field, `must be an object; got ${show(value)}`, 'FieldValueTypeInvalid');
      return {};
    }
    for (const key of Object.keys(value)) {
      if (known !== undefined && !known.includes(key))
        this.add(joinPath(field, key), `is not known; known are ${known.join(', ')}`, 'FieldValueForbidden');
    }
    return value as Options;
  }
}

/** The checked, frozen definition. @throws {InvalidError} */
export function buildDefinition(options: object): AnyDefinition {
  const given = options as Options;
  const check = new Checker();
  if (typeof given !== 'object' || given === null)
    throw invalid('definition', [{ reason: 'FieldValueTypeInvalid', field: '', message: `must be an object; got ${show(given)}` }]);
  for (const key of Object.keys(given))
    if (!KNOWN_OPTIONS.has(key)) check.add(key, `is not an option of defineResource`, 'FieldValueForbidden');
  const kind = check.text(given, 'kind', '', (value) =>
    KIND.test(value) && value.length <= 63 ? undefined : 'must be CamelCase, at most 63 letters and digits, for example "Widget"',
  );
  const lower = kind.toLowerCase();
  const group = check.text(given, 'group', DEFAULT_GROUP, (value) =>
    isName(value) ? undefined : 'must be a DNS-1123 subdomain, for example "example.com"',
  );
  const version = check.text(given, 'version', 'v1', (value) =>
    VERSION.test(value) ? undefined : 'must be a version such as "v1" or "v1beta2"',
  );
  const plural = check.text(given, 'plural', pluralOf(lower), (value) => (kind === '' ? undefined : dnsLabelCauses(value, 'plural')));
  const type = check.text(given, 'type', group === DEFAULT_GROUP ? lower : `${plural}.${group}`, (value) =>
    kind === '' ? undefined : typeNameCauses(value),
  );
  const scope = check.text(given, 'scope', 'Namespaced', (value) =>
    value === 'Namespaced' || value === 'Cluster' ? undefined : 'must be "Namespaced" or "Cluster"',
  );
  const shortNames = check.texts(given, 'shortNames');
  for (const [i, name] of shortNames.entries()) check.causes.push(...dnsLabelCauses(name, joinPath('shortNames', i)));

  const conditions = given['conditions'] === undefined ? undefined : check.texts(given, 'conditions');
  for (const [i, condition] of (conditions ?? []).entries()) {
    if (!CONDITION.test(condition) || condition.length > 316)
      check.add(joinPath('conditions', i), `must be CamelCase, for example "Ready"; got ${show(condition)}`);
  }
  const schema = buildSchema(given, conditions, check);
  const sensitivePaths = sensitivePathsOf(schema);
  const subresources = buildSubresources(given, schema, check);
  const storeIndexes = check
    .texts(given, 'storeIndexes')
    .map((path, i) => checkPath(path, joinPath('storeIndexes', i), schema, sensitivePaths, check));
  const columns = buildColumns(given, schema, sensitivePaths, check);
  const indexes = check.object(given, 'indexes');
  for (const name of Object.keys(indexes)) {
    if (typeof indexes[name] !== 'function')
      check.add(joinPath('indexes', name), `must be a function of the object; got ${show(indexes[name])}`, 'FieldValueTypeInvalid');
  }
  const history = buildHistory(given, check);
  const limits = buildLimits(given, check);
  const validate = given['validate'];
  if (validate !== undefined && typeof validate !== 'function')
    check.add('validate', `must be a function; got ${show(validate)}`, 'FieldValueTypeInvalid');
  if (check.causes.length > 0) throw invalid(kind === '' ? 'definition' : `definition of ${kind}`, check.causes);
  const definition: AnyDefinition = {
    kind,
    type,
    plural,
    group,
    version,
    apiVersion: `${group}/${version}`,
    scope: scope as AnyDefinition['scope'],
    shortNames,
    schema,
    subresources,
    conditions,
    indexes: { ...indexes } as AnyDefinition['indexes'],
    storeIndexes,
    columns,
    history,
    limits,
    sensitivePaths,
    validate: validate as AnyDefinition['validate'],
  };
  return freezeJson(definition) as AnyDefinition;
}

/** The English plural of a lower-case kind: `service` gives `services`, `policy` gives `policies`. */
export function pluralOf(lower: string): string {
  if (/[^aeiou]y$/.test(lower)) return `${lower.slice(0, -1)}ies`;
  return /(?:s|x|z|ch|sh)$/.test(lower) ? `${lower}es` : `${lower}s`;
}

function buildSchema(given: Options, conditions: readonly string[] | undefined, check: Checker): JsonSchema {
  const { spec, status, schema } = given;
  const properties: Record<string, JsonSchema> = {};
  const required: string[] = [];
  if (spec !== undefined && schema !== undefined)
    check.add('schema', 'must not stand beside spec: name the spec among its properties, or leave one of them out', 'FieldValueForbidden');
  let extra: JsonSchema = {};
  const whole = schema === undefined ? undefined : readSchema(schema, 'schema', check);
  if (whole !== undefined) {
    const { properties: own = {}, required: needed = [], ...rest } = whole;
    for (const name of Object.keys(own)) {
      const taken = RESERVED.includes(name) || (name === 'status' && (status !== undefined || conditions !== undefined));
      if (taken) check.add(joinPath('schema.properties', name), 'is described elsewhere: remove it', 'FieldValueForbidden');
    }
    if (whole.oneOf !== undefined || whole.anyOf !== undefined) check.add('schema', 'must not have oneOf or anyOf at the top');
    extra = rest;
    Object.assign(properties, own);
    required.push(...needed);
  }
  const specSchema = spec === undefined ? undefined : readSchema(spec, 'spec', check);
  if (specSchema !== undefined) {
    properties['spec'] = specSchema;
    required.push('spec');
  }
  const statusSchema = buildStatus(status, conditions, check);
  if (statusSchema !== undefined) properties['status'] = statusSchema;
  if (check.causes.length > 0) return { type: 'object', properties: {} };
  return closeSchema({ ...extra, type: 'object', properties, required });
}

/** A schema in either form as a checked JSON Schema of an object; undefined after a fault. */
function readSchema(input: unknown, path: string, check: Checker): JsonSchema | undefined {
  const schema = isStandard(input) ? fromStandard(input, path, check) : input;
  if (schema === undefined) return undefined;
  const before = check.causes.length;
  check.causes.push(...checkJson(schema, path));
  if (check.causes.length === before) check.causes.push(...schemaCauses(schema, path));
  if (check.causes.length > before) return undefined;
  const node = schema as JsonSchema;
  if (node.type !== 'object') check.add(joinPath(path, 'type'), `must be "object"; got ${show(node.type)}`);
  if (node.sensitive === true) check.add(joinPath(path, 'sensitive'), 'must stand on the fields that hold secrets, not on all of it');
  return node;
}

interface Standard {
  readonly '~standard': { readonly jsonSchema?: { readonly input?: unknown } | undefined };
}

function isStandard(input: unknown): input is Standard {
  return (
    (typeof input === 'object' || typeof input === 'function') &&
    input !== null &&
    typeof (input as Partial<Standard>)['~standard'] === 'object'
  );
}

function fromStandard(input: Standard, path: string, check: Checker): unknown {
  const convert = input['~standard'].jsonSchema?.input;
  if (typeof convert !== 'function') {
    check.add(
      path,
      'has no JSON Schema: its library does not support Standard JSON Schema (~standard.jsonSchema.input)',
      'FieldValueNotSupported',
    );
    return undefined;
  }
  let schema: unknown;
  try {
    schema = (convert as (options: object) => unknown)({ target: 'draft-2020-12' });
  } catch (error) {
    check.add(path, `cannot be turned into JSON Schema: ${(error as Error).message}`, 'FieldValueNotSupported');
    return undefined;
  }
  if (typeof schema === 'object' && schema !== null && sensitivePathsOf(schema as JsonSchema).length > 0) {
    check.add(
      path,
      'says sensitive in a schema of another library, whose types do not know about seals: write this schema as JSON Schema',
      'FieldValueNotSupported',
    );
    return undefined;
  }
  return schema;
}

function conditionsSchema(types: readonly string[]): JsonSchema {
  return {
    type: 'array',
    'x-list-map-keys': ['type'],
    items: {
      type: 'object',
      required: ['type', 'status', 'reason', 'message', 'lastTransitionTime'],
      properties: {
        type: types.length === 0 ? { type: 'string' } : { type: 'string', enum: types },
        status: { type: 'string', enum: ['True', 'False', 'Unknown'] },
        reason: { type: 'string', minLength: 1, maxLength: 1024 },
        message: { type: 'string', maxLength: 32768 },
        lastTransitionTime: { type: 'string', format: 'date-time' },
        observedGeneration: { type: 'integer', minimum: 0 },
      },
    },
  };
}

function buildStatus(status: unknown, conditions: readonly string[] | undefined, check: Checker): JsonSchema | undefined {
  const own = status === undefined ? undefined : readSchema(status, 'status', check);
  if (own?.default !== undefined) check.add('status.default', 'must not be given: a status is there once somebody has observed something');
  if (conditions === undefined) return own;
  if (status !== undefined && own === undefined) return undefined;
  const properties = own?.properties ?? {};
  for (const name of ['conditions', 'observedGeneration']) {
    if (Object.hasOwn(properties, name))
      check.add(joinPath('status.properties', name), 'follows from the option conditions: remove it', 'FieldValueForbidden');
  }
  return {
    ...own,
    type: 'object',
    properties: { ...properties, conditions: conditionsSchema(conditions), observedGeneration: { type: 'integer', minimum: 0 } },
  };
}

function buildSubresources(given: Options, schema: JsonSchema, check: Checker): Subresources {
  const options = check.object(given, 'subresources', ['status', 'scale']);
  const hasStatus = schema.properties?.['status'] !== undefined;
  const status = options['status'] ?? hasStatus;
  if (typeof status !== 'boolean') check.add('subresources.status', `must be true or false; got ${show(status)}`, 'FieldValueTypeInvalid');
  else if (status && !hasStatus && check.causes.length === 0) check.add('subresources.status', 'must not be true: there is no status');
  if (options['scale'] === undefined) return { status: status === true };
  const scale = check.object(options, 'scale', ['spec', 'status']);
  for (const part of ['spec', 'status'] as const) {
    const path = scale[part];
    const field = `subresources.scale.${part}`;
    if (typeof path !== 'string') {
      check.add(field, `must be a path such as ".spec.scale"; got ${show(path)}`, 'FieldValueTypeInvalid');
      continue;
    }
    checkPath(path, field, schema, [], check);
    if (!path.replace(/^\./, '').startsWith(`${part}.`)) check.add(field, `must lead into ${part}; got ${show(path)}`);
  }
  return { status: status === true, scale: { spec: String(scale['spec']), status: String(scale['status']) } };
}

/** A path that must lead to a field of the schema (or of metadata) that is not sensitive. */
function checkPath(path: string, field: string, schema: JsonSchema, sensitive: readonly (readonly string[])[], check: Checker): string {
  let segments: string[];
  try {
    segments = parsePath(path);
  } catch {
    check.add(field, `must be a path such as "spec.node"; got ${show(path)}`);
    return path;
  }
  const [head = ''] = segments;
  // With a wrong schema nothing can be said about paths into it.
  if (check.causes.length > 0 || RESERVED.includes(head)) return path;
  if (schemaAt(schema, segments) === undefined)
    check.add(field, `leads to no field of the schema; got ${show(path)}`, 'FieldValueNotFound');
  else if (touchesSensitive(sensitive, segments))
    check.add(
      field,
      `must not lead to a sensitive field: it would be shown or stored in the clear; got ${show(path)}`,
      'FieldValueForbidden',
    );
  return path;
}

function buildColumns(given: Options, schema: JsonSchema, sensitive: readonly (readonly string[])[], check: Checker): readonly Column[] {
  const columns = given['columns'];
  if (columns === undefined) return [];
  if (!Array.isArray(columns)) {
    check.add('columns', `must be a list; got ${show(columns)}`, 'FieldValueTypeInvalid');
    return [];
  }
  return columns.map((column: unknown, i) => {
    const { name, path } = (typeof column === 'object' && column !== null ? column : {}) as Partial<Column>;
    const field = joinPath('columns', i);
    if (typeof name !== 'string' || name === '') check.add(`${field}.name`, `must be a text; got ${show(name)}`, 'FieldValueRequired');
    if (typeof path !== 'string')
      check.add(`${field}.path`, `must be a path such as ".spec.scale"; got ${show(path)}`, 'FieldValueRequired');
    else checkPath(path, `${field}.path`, schema, sensitive, check);
    return { name: String(name), path: String(path) };
  });
}

const DEFAULT_VERSIONS = 50;

function buildHistory(given: Options, check: Checker): false | HistoryPolicy {
  if (given['history'] === false) return false;
  if (given['history'] === undefined || given['history'] === true) return { maxVersions: DEFAULT_VERSIONS };
  const { maxVersions = DEFAULT_VERSIONS, maxAge } = check.object(given, 'history', ['maxVersions', 'maxAge']);
  if (!Number.isSafeInteger(maxVersions) || (maxVersions as number) < 1)
    check.add('history.maxVersions', `must be a whole number from 1 on (or history: false); got ${show(maxVersions)}`);
  if (maxAge === undefined) return { maxVersions: maxVersions as number };
  const maxAgeMs = typeof maxAge === 'number' ? maxAge : typeof maxAge === 'string' ? durationMs(maxAge) : undefined;
  if (maxAgeMs === undefined || !(maxAgeMs > 0) || !Number.isFinite(maxAgeMs))
    check.add('history.maxAge', `must be ms above 0, or a text such as "7d"; got ${show(maxAge)}`);
  return { maxVersions: maxVersions as number, maxAgeMs: maxAgeMs ?? 0 };
}

function buildLimits(given: Options, check: Checker): ResourceLimits {
  const limits = check.object(given, 'limits', ['objectBytes', 'keyBytes', 'keys']);
  for (const [name, value] of Object.entries(limits)) {
    if (value !== undefined && (!Number.isSafeInteger(value) || (value as number) < 1))
      check.add(joinPath('limits', name), `must be a whole number from 1 on; got ${show(value)}`);
  }
  return { ...limits };
}
