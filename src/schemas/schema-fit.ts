/**
 * Whether a value written into a schema (a default) fits that schema, told without compiling it.
 */
import { equalJson } from './json.js';
import { joinPath } from './json-path.js';
import type { JsonSchema, JsonType } from './schema.js';
import { show } from './text.js';

function typeOf(value: unknown): JsonType {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value as JsonType;
}

/** Why a value does not fit, or undefined when it does. Formats and oneOf/anyOf are left to the validator. */
export function fitFault(schema: JsonSchema, value: unknown, path: string): string | undefined {
  const where = path === '' ? '' : `${path}: `;
  if (value === null && schema.nullable === true) return undefined;
  if (schema.const !== undefined && !equalJson(schema.const, value)) return `${where}must be ${show(schema.const)}; got ${show(value)}`;
  if (schema.enum !== undefined && !schema.enum.some((allowed) => equalJson(allowed, value)))
    return `${where}must be one of its enum; got ${show(value)}`;
  const types = schema.type === undefined ? [] : typeof schema.type === 'string' ? [schema.type] : schema.type;
  const type = typeOf(value);
  if (types.length > 0 && !types.includes(type) && !(type === 'integer' && types.includes('number')))
    return `${where}must be ${types.join(' or ')}; got ${show(value)}`;
  const fault = typeof value === 'string' ? textFault(schema, value) : typeof value === 'number' ? numberFault(schema, value) : undefined;
  if (fault !== undefined) return `${where}${fault}; got ${show(value)}`;
  return Array.isArray(value)
    ? listFault(schema, value, path)
    : typeof value === 'object' && value !== null
      ? objectFault(schema, value, path)
      : undefined;
}

function textFault(schema: JsonSchema, value: string): string | undefined {
  const length = Array.from(value).length;
  if (schema.minLength !== undefined && length < schema.minLength) return `must be at least ${schema.minLength} characters`;
  if (schema.maxLength !== undefined && length > schema.maxLength) return `must be at most ${schema.maxLength} characters`;
  if (schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(value)) return `must match ${schema.pattern}`;
  return undefined;
}

function numberFault(schema: JsonSchema, value: number): string | undefined {
  if (schema.minimum !== undefined && value < schema.minimum) return `must be at least ${schema.minimum}`;
  if (schema.maximum !== undefined && value > schema.maximum) return `must be at most ${schema.maximum}`;
  if (schema.exclusiveMinimum !== undefined && value <= schema.exclusiveMinimum) return `must be above ${schema.exclusiveMinimum}`;
  if (schema.exclusiveMaximum !== undefined && value >= schema.exclusiveMaximum) return `must be below ${schema.exclusiveMaximum}`;
  return undefined;
}

function listFault(schema: JsonSchema, value: readonly unknown[], path: string): string | undefined {
  if (schema.minItems !== undefined && value.length < schema.minItems) return `must have at least ${schema.minItems} items`;
  if (schema.maxItems !== undefined && value.length > schema.maxItems) return `must have at most ${schema.maxItems} items`;
  if (schema.items === undefined) return undefined;
  for (const [i, item] of value.entries()) {
    const fault = fitFault(schema.items, item, joinPath(path, i));
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function objectFault(schema: JsonSchema, value: object, path: string): string | undefined {
  const properties = schema.properties ?? {};
  for (const name of schema.required ?? []) {
    // What has a default of its own is filled in after this one.
    if (!Object.hasOwn(value, name) && properties[name]?.default === undefined) return `${joinPath(path, name)} is required`;
  }
  const others = schema.additionalProperties;
  for (const [name, item] of Object.entries(value)) {
    const own = Object.hasOwn(properties, name) ? properties[name] : typeof others === 'object' ? others : undefined;
    if (own === undefined && others !== true && schema.properties !== undefined)
      return `${joinPath(path, name)} is not one of its properties`;
    const fault = own === undefined ? undefined : fitFault(own, item, joinPath(path, name));
    if (fault !== undefined) return fault;
  }
  return undefined;
}
