/**
 * From ajv's errors to Kubernetes' causes: one for each field, in words that say what to do.
 *
 * Invariant: values and keys are told as the telling allows, containers never; all else comes from the schema.
 */
import { DISTINCT, type ErrorObject } from './ajv.js';
import type { Cause, CauseReason } from './errors.js';
import type { JsonSchema } from './schema.js';
import type { Telling } from './telling.js';
import { alternatives, show } from './text.js';

const MAX_CAUSES = 100;

interface Context {
  readonly root: unknown;
  /** The path of `root` in the whole object. */
  readonly base: readonly string[];
  readonly telling: Telling;
}

/** The causes that ajv's errors stand for. */
export function toCauses(errors: readonly ErrorObject[], context: Context): Cause[] {
  const causes: Cause[] = [];
  const seen = new Set<string>();
  for (const error of errors) {
    // A branch's errors are told by the oneOf or anyOf around it; a key's by its propertyNames.
    if (/\/(?:oneOf|anyOf)\/\d+\//.test(error.schemaPath) || error.propertyName !== undefined) continue;
    const cause = toCause(error, errors, context);
    const identity = `${cause.field}\n${cause.message}`;
    if (seen.has(identity)) continue;
    seen.add(identity);
    causes.push(cause);
    if (causes.length >= MAX_CAUSES) break;
  }
  return causes;
}

function segmentsOf(pointer: string): string[] {
  return pointer === ''
    ? []
    : pointer
        .slice(1)
        .split('/')
        .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** A JSON pointer as a field path: only the value tells whether `0` is an index or a key. */
function fieldOf(pointer: string, context: Context): string {
  const { telling } = context;
  let path = '';
  for (const segment of context.base) path = telling.join(path, segment);
  let at = context.root;
  for (const segment of segmentsOf(pointer)) {
    path = telling.join(path, Array.isArray(at) ? Number(segment) : segment);
    at = typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[segment] : undefined;
  }
  return path;
}

function toCause(error: ErrorObject, errors: readonly ErrorObject[], context: Context): Cause {
  const { telling } = context;
  const got = typeof error.data === 'object' ? '' : telling.got(error.data);
  const field = fieldOf(error.instancePath, context);
  const params = error.params as Record<string, unknown>;
  const schema = (error.parentSchema ?? {}) as JsonSchema;
  const cause = (reason: CauseReason, message: string, at: string = field): Cause => ({ reason, field: at, message });
  switch (error.keyword) {
    case 'required':
      return cause('FieldValueRequired', 'is required', telling.join(field, String(params['missingProperty'])));
    case 'additionalProperties':
      return cause(
        'FieldValueForbidden',
        unknownField(String(params['additionalProperty']), schema),
        telling.join(field, String(params['additionalProperty'])),
      );
    case 'propertyNames':
      return cause('FieldValueInvalid', `has the key ${telling.key(String(params['propertyName']))}, which ${keyFault(error, errors)}`);
    case 'type':
      return cause('FieldValueTypeInvalid', `must be ${typeWords(params['type'])}${telling.got(error.data)}`);
    case 'enum':
      return cause('FieldValueNotSupported', `must be ${alternatives(params['allowedValues'] as readonly unknown[])}${got}`);
    case 'const':
      return cause('FieldValueNotSupported', `must be ${show(params['allowedValue'])}${got}`);
    case 'oneOf':
    case 'anyOf':
      return cause('FieldValueInvalid', branchMessage(error, errors, context));
    case 'x-list-map-keys':
      return cause('FieldValueDuplicate', `must not have two items with the same ${(error.schema as readonly string[]).join(' and ')}`);
    default:
      return cause(reasonOf(error.keyword), `${limitMessage(error.keyword, params, schema)}${got}`);
  }
}

function reasonOf(keyword: string): CauseReason {
  switch (keyword) {
    case 'maxLength':
      return 'FieldValueTooLong';
    case 'maxItems':
    case 'maxProperties':
      return 'FieldValueTooMany';
    case DISTINCT:
      return 'FieldValueDuplicate';
    default:
      return 'FieldValueInvalid';
  }
}

function limitMessage(keyword: string, params: Record<string, unknown>, schema: JsonSchema): string {
  const limit = String(params['limit']);
  switch (keyword) {
    case 'minimum':
      return `must be at least ${limit}`;
    case 'maximum':
      return `must be at most ${limit}`;
    case 'exclusiveMinimum':
      return `must be above ${limit}`;
    case 'exclusiveMaximum':
      return `must be below ${limit}`;
    case 'multipleOf':
      return `must be a multiple of ${String(params['multipleOf'])}`;
    case 'minLength':
      return `must be at least ${limit} characters`;
    case 'maxLength':
      return `must be at most ${limit} characters`;
    case 'minItems':
      return `must have at least ${limit} items`;
    case 'maxItems':
      return `must have at most ${limit} items`;
    case 'minProperties':
      return `must have at least ${limit} keys`;
    case 'maxProperties':
      return `must have at most ${limit} keys`;
    case DISTINCT:
      return 'must not have the same item twice';
    case 'pattern':
      return `must match ${show(schema.pattern)}`;
    case 'format':
      return `must be ${FORMAT_WORDS.get(String(params['format'])) ?? `a ${String(params['format'])}`}`;
    default:
      return `breaks the rule ${show(keyword)}`;
  }
}

const FORMAT_WORDS: ReadonlyMap<string, string> = new Map([
  ['date-time', 'an RFC 3339 timestamp such as "2026-01-31T12:00:00Z"'],
  ['byte', 'base64'],
  ['rune-duration', 'a duration such as "30s" or "1h30m"'],
  ['dns-name', 'a DNS-1123 subdomain: lower case letters, digits, "-" and ".", at most 253 characters'],
  ['dns-label', 'a DNS-1123 label: lower case letters, digits and "-", at most 63 characters'],
]);

function typeWords(type: unknown): string {
  const words: Readonly<Record<string, string>> = {
    object: 'an object',
    array: 'a list',
    string: 'a text',
    integer: 'a whole number',
    number: 'a number',
    boolean: 'true or false',
    null: 'null',
  };
  const types = Array.isArray(type) ? (type as unknown[]) : String(type).split(',');
  return types.map((one) => words[String(one)] ?? String(one)).join(' or ');
}

function unknownField(name: string, schema: JsonSchema): string {
  const known = Object.keys(schema.properties ?? {});
  const meant = known.find((other) => isNear(other.toLowerCase(), name.toLowerCase()));
  if (meant !== undefined) return `unknown field; did you mean ${show(meant)}?`;
  return known.length === 0 ? 'unknown field: none is allowed here' : `unknown field: known are ${alternatives(known, 12)}`;
}

/** Whether two names of three letters or more are at most one edit apart. */
function isNear(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1 || Math.min(a.length, b.length) < 3) return false;
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  const restA = a.slice(start);
  const restB = b.slice(start);
  return restA.slice(1) === restB.slice(1) || restA.slice(1) === restB || restA === restB.slice(1);
}

function keyFault(error: ErrorObject, errors: readonly ErrorObject[]): string {
  const name: unknown = (error.params as Record<string, unknown>)['propertyName'];
  const inner = errors.find((other) => other.propertyName === name && other.schemaPath.startsWith(error.schemaPath));
  return inner === undefined
    ? 'is not allowed'
    : limitMessage(inner.keyword, inner.params as Record<string, unknown>, inner.parentSchema ?? {});
}

/** What each branch would have wanted, by its first fault. */
function branchMessage(error: ErrorObject, errors: readonly ErrorObject[], context: Context): string {
  const branches = error.schema as readonly JsonSchema[];
  const passing: unknown = (error.params as Record<string, unknown>)['passingSchemas'];
  if (Array.isArray(passing)) return 'matches more than one of the allowed forms; it must match exactly one';
  const field = fieldOf(error.instancePath, context);
  const wants = branches.map((branch, i) => {
    const prefix = `${error.schemaPath}/${i}/`;
    const first = errors.find(
      (other) =>
        other.schemaPath.startsWith(prefix) &&
        (other.instancePath === error.instancePath || other.instancePath.startsWith(`${error.instancePath}/`)) &&
        !/\/(?:oneOf|anyOf)\/\d+\//.test(other.schemaPath.slice(prefix.length - 1)),
    );
    if (first === undefined) return branch.title ?? 'another form';
    const cause = toCause(first, errors, context);
    return cause.field === field ? cause.message : `${cause.field.slice(field.length).replace(/^\./, '')} ${cause.message}`;
  });
  return `must have one of ${branches.length} forms: ${wants.map((want, i) => `(${i + 1}) ${want}`).join(', ')}`;
}
