/**
 * What stands between a write and the store: defaults, and everything the definition says must hold.
 *
 * Invariants: metadata is not its business; the same object always gets the same defaults and the same causes; of a type with
 * sensitive values no message quotes any value, since it may have been copied from there.
 */
import { createSchemaCompiler, type SchemaCheck } from './ajv.js';
import { createFiller } from './defaults.js';
import type { AnyDefinition, RuleCause } from './definition.js';
import { NO_CAUSES, type Cause } from './errors.js';
import type { JsonSchema } from './schema.js';
import { sealedCauses } from './sensitive.js';
import { openly, tellingOf, type Telling } from './telling.js';
import { toCauses } from './validation-causes.js';

/** Checks and completes objects of one type. */
export interface ResourceValidator {
  /** Fills in defaults, in place; of the status only when it is there. The same input always gives the same output. */
  applyDefaults(object: object): void;
  /** Everything that is wrong outside metadata: the schema first, then the definition's own rules. */
  causes(object: object, previous?: object, telling?: Telling): readonly Cause[];
  /** What is wrong with the status; the rest of the object is not looked at. */
  statusCauses(object: object, previous?: object, telling?: Telling): readonly Cause[];
}

const compile = createSchemaCompiler();
const validators = new WeakMap<AnyDefinition, ResourceValidator>();

/** The validator of a definition; made once, compiled at its first use. */
export function validatorOf(definition: AnyDefinition): ResourceValidator {
  let validator = validators.get(definition);
  if (validator === undefined) {
    validator = createValidator(definition);
    validators.set(definition, validator);
  }
  return validator;
}

function createValidator(definition: AnyDefinition): ResourceValidator {
  const { schema, sensitivePaths: sensitive } = definition;
  const fill = createFiller(schema);
  const checkWhole = compile(wholeSchema(definition));
  const statusSchema = schema.properties?.['status'];
  const checkStatus: SchemaCheck | undefined = statusSchema === undefined ? undefined : compile(statusSchema);
  const checkLimits = createLimitCheck(definition);
  const tellingFor = (object: object, previous: object | undefined): Telling =>
    sensitive.length === 0
      ? openly
      : tellingOf({ schema, sensitivePaths: sensitive, clear: [previous ?? object], holders: [object, previous] });
  return Object.freeze({
    applyDefaults(object: object): void {
      fill?.(object);
    },
    causes(object: object, previous?: object, telling: Telling = tellingFor(object, previous)): readonly Cause[] {
      // A seal has the wrong type too: it is told once, in words that help.
      const sealed = sensitive.length === 0 ? NO_CAUSES : sealedCauses(object, sensitive);
      if (sealed.length > 0) return sealed;
      const errors = checkWhole(object);
      const broken = checkLimits?.(object, telling) ?? NO_CAUSES;
      if (errors !== undefined || broken.length > 0) return [...toCauses(errors ?? [], { root: object, base: [], telling }), ...broken];
      // A rule may rely on the shape, so it only sees objects whose shape is right.
      const complaints = definition.validate?.(object as never, previous as never);
      return complaints === undefined || complaints.length === 0
        ? NO_CAUSES
        : complaints.map((complaint) => toRuleCause(complaint, telling));
    },
    statusCauses(object: object, previous?: object, telling: Telling = tellingFor(object, previous)): readonly Cause[] {
      const status: unknown = (object as { status?: unknown }).status;
      if (status === undefined) return NO_CAUSES;
      if (checkStatus === undefined)
        return [{ reason: 'FieldValueForbidden', field: 'status', message: `unknown field: ${definition.kind} has no status` }];
      const sealed = sensitive.length === 0 ? NO_CAUSES : sealedCauses({ status }, sensitive);
      if (sealed.length > 0) return sealed;
      const errors = checkStatus(status);
      return errors === undefined ? NO_CAUSES : toCauses(errors, { root: status, base: ['status'], telling });
    },
  });
}

function toRuleCause({ field, message, reason = 'FieldValueInvalid' }: RuleCause, telling: Telling): Cause {
  return { reason, field: telling.words(field) === field ? field : '', message: telling.words(message) };
}

function wholeSchema({ schema, apiVersion, kind }: AnyDefinition): JsonSchema {
  return { ...schema, properties: { apiVersion: { const: apiVersion }, kind: { const: kind }, metadata: {}, ...schema.properties } };
}

/** Counts the keys of top-level maps such as `data`, and measures them. */
function createLimitCheck({ schema, limits }: AnyDefinition): ((object: object, telling: Telling) => readonly Cause[]) | undefined {
  const { keyBytes, keys: maxKeys } = limits;
  const maps = Object.entries(schema.properties ?? {}).filter(([, child]) => typeof child.additionalProperties === 'object');
  if ((keyBytes === undefined && maxKeys === undefined) || maps.length === 0) return undefined;
  return (object, telling) => {
    let causes: Cause[] | undefined;
    for (const [name] of maps) {
      const map: unknown = (object as Record<string, unknown>)[name];
      if (typeof map !== 'object' || map === null) continue;
      const keys = Object.keys(map);
      if (maxKeys !== undefined && keys.length > maxKeys) {
        (causes ??= []).push({
          reason: 'FieldValueTooMany',
          field: name,
          message: `must have at most ${maxKeys} keys; got ${keys.length}`,
        });
      }
      for (const key of keys) {
        // A key has at most three bytes a character: most need no measuring.
        if (keyBytes === undefined || key.length * 3 <= keyBytes || Buffer.byteLength(key) <= keyBytes) continue;
        (causes ??= []).push({
          reason: 'FieldValueTooLong',
          field: telling.join(name, key.slice(0, 40)),
          message: `must have a key of at most ${keyBytes} bytes${telling.got(key, Buffer.byteLength(key))}`,
        });
        if (causes.length >= 20) return causes;
      }
    }
    return causes ?? NO_CAUSES;
  };
}
