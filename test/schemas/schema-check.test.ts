import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defineResource, InvalidError, validatorOf, type AnyDefinition } from '../../src/schemas/index.js';
import { hostileText } from './arbitraries.js';

type Options = Parameters<typeof defineResource>[0];

function define(x: unknown): AnyDefinition {
  return defineResource({ kind: 'Widget', spec: { type: 'object', properties: { x } } } as Options);
}

/** What is wrong with the schema of `spec.x`; the paths begin at that schema. */
function faultsOf(x: unknown): string[] {
  try {
    define(x);
  } catch (error) {
    if (error instanceof InvalidError)
      return error.causes.map((cause) => `${cause.field.replace(/^spec\.properties\.x\.?/, '')}: ${cause.message}`);
    throw error;
  }
  return [];
}

describe('a schema', () => {
  it.each<[string, unknown]>([
    ['anything', {}],
    ['a text', { type: 'string', minLength: 1, maxLength: 5, pattern: '^a', format: 'date-time' }],
    ['a number', { type: 'number', minimum: 0, maximum: 1, exclusiveMinimum: -1, exclusiveMaximum: 2, multipleOf: 0.5 }],
    ['an integer with a default', { type: 'integer', default: 3 }],
    ['a list', { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 2, uniqueItems: true }],
    ['a list of anything', { type: 'array' }],
    ['a keyed list', { type: 'array', 'x-list-map-keys': ['k'], items: { type: 'object', properties: { k: { type: 'string' } } } }],
    [
      'a map',
      {
        type: 'object',
        additionalProperties: { type: 'integer' },
        propertyNames: { pattern: '^[a-z]+$' },
        minProperties: 1,
        maxProperties: 3,
      },
    ],
    ['an open object', { type: 'object', additionalProperties: true }],
    ['an enum', { enum: ['a', 1, null, { b: 1 }] }],
    ['a const', { const: 'a' }],
    ['several types', { type: ['string', 'null'] }],
    ['nullable', { type: 'string', nullable: true, default: null }],
    ['nullable oneOf', { oneOf: [{ type: 'string' }], nullable: true }],
    ['forms', { anyOf: [{ type: 'string' }, { type: 'object', properties: { a: { type: 'string' } } }] }],
    [
      'forms that narrow',
      {
        type: 'object',
        properties: { a: { type: 'string' }, b: { type: 'string' } },
        oneOf: [{ required: ['a'] }, { required: ['b'], properties: { b: { minLength: 2 } } }],
      },
    ],
    [
      'notes',
      {
        type: 'string',
        title: 't',
        description: 'd',
        examples: ['e'],
        deprecated: true,
        readOnly: true,
        writeOnly: false,
        $comment: 'c',
        'x-anything': { a: 1 },
      },
    ],
    [
      'a default that its own defaults complete',
      { type: 'object', default: {}, required: ['a'], properties: { a: { type: 'string', default: 'x' } } },
    ],
  ])('may be %s', (_, schema) => {
    expect(faultsOf(schema)).toEqual([]);
    expect(() => validatorOf(define(schema)).causes({ spec: {} })).not.toThrow();
  });

  it.each<[string, unknown, string]>([
    ['null', null, ': must be a schema'],
    ['a list', [], ': must be a schema'],
    ['an unknown keyword', { typ: 'string' }, 'typ: is not a keyword'],
    ['$ref', { $ref: '#/x' }, '$ref: is not taken: write the schema out'],
    ['allOf', { allOf: [{}] }, 'allOf: is not taken'],
    ['not', { not: {} }, 'not: is not taken: say it in validate()'],
    ['patternProperties', { type: 'object', patternProperties: {} }, 'patternProperties: is not taken'],
    ['an unknown type', { type: 'text' }, 'type: must be one of'],
    ['no type', { type: [] }, 'type: must be one of'],
    ['a type twice', { type: ['string', 'string'] }, 'type: must be one of'],
    ['a keyword of another type', { type: 'string', minimum: 1 }, 'minimum: applies to type "number" only; the type here is "string"'],
    ['a keyword without a type', { properties: { a: {} } }, 'properties: applies to type "object" only; the type here is not given'],
    ['a negative length', { type: 'string', minLength: -1 }, 'minLength: must be a whole number'],
    ['a fractional count', { type: 'array', maxItems: 1.5 }, 'maxItems: must be a whole number'],
    ['a text for a number', { type: 'number', minimum: '1' }, 'minimum: must be a number'],
    ['multipleOf zero', { type: 'number', multipleOf: 0 }, 'multipleOf: must be a number above 0'],
    ['an empty enum', { enum: [] }, 'enum: must be a list of at least one value'],
    ['an enum that repeats itself', { enum: ['a', 'a'] }, 'enum: must not name a value twice'],
    ['a flag that is none', { type: 'string', sensitive: 'yes' }, 'sensitive: must be true or false'],
    ['an unknown format', { type: 'string', format: 'phone' }, 'format: must be one of'],
    ['a broken pattern', { type: 'string', pattern: '(' }, 'pattern: is not a regular expression'],
    ['a pattern that blows up', { type: 'string', pattern: '^(a+)+$' }, 'pattern: repeats a group'],
    ['an object that takes nothing', { type: 'object' }, ': takes no field at all'],
    ['a required property that is none', { type: 'object', properties: { a: {} }, required: ['b'] }, 'required: names "b"'],
    ['required twice', { type: 'object', properties: { a: {} }, required: ['a', 'a'] }, 'required: must be a list of different texts'],
    [
      'a property that reaches a prototype',
      { type: 'object', properties: { constructor: {} } },
      'properties.constructor: must not be used',
    ],
    ['a property without a name', { type: 'object', properties: { '': {} } }, 'properties[""]: must have a name'],
    [
      'a wrong schema further down',
      { type: 'object', properties: { a: { type: 'array', items: { type: 'x' } } } },
      'properties.a.items.type: must be one of',
    ],
    ['a wrong schema in a form', { oneOf: [{ type: 'string' }, { type: 'x' }] }, 'oneOf[1].type: must be one of'],
    [
      'a default in a form',
      { oneOf: [{ type: 'object', properties: { a: { type: 'string', default: 'x' } } }] },
      'oneOf[0].properties.a.default: must not stand inside oneOf',
    ],
    ['a seal in a form', { anyOf: [{ type: 'string', sensitive: true }] }, 'anyOf[0].sensitive: must not stand inside oneOf'],
    ['oneOf and anyOf', { oneOf: [{ type: 'string' }], anyOf: [{ type: 'string' }] }, ': must not have both'],
    [
      'a form that adds a property',
      { type: 'object', properties: { a: {} }, oneOf: [{ properties: { b: {} } }] },
      'oneOf[0].properties.b: is not a property of the object that this branch narrows',
    ],
    [
      'a form that requires what is not there',
      { type: 'object', properties: { a: {} }, oneOf: [{ required: ['b'] }] },
      'oneOf[0].required: names "b"',
    ],
    ['nullable on nothing', { nullable: true }, 'nullable: needs a type'],
    [
      'list keys that are no properties',
      { type: 'array', 'x-list-map-keys': ['k'], items: { type: 'object', properties: {} } },
      'x-list-map-keys: names "k"',
    ],
    ['a default of the wrong type', { type: 'integer', default: '1' }, 'default: does not fit its own schema: must be integer; got "1"'],
    ['a default outside the enum', { enum: ['a'], default: 'b' }, 'default: does not fit its own schema: must be one of its enum'],
    ['a default over the maximum', { type: 'integer', maximum: 3, default: 4 }, 'default: does not fit its own schema: must be at most 3'],
    [
      'a default that is too short',
      { type: 'string', minLength: 3, default: 'ab' },
      'default: does not fit its own schema: must be at least 3 characters',
    ],
    [
      'a default that does not match',
      { type: 'string', pattern: '^a', default: 'b' },
      'default: does not fit its own schema: must match ^a',
    ],
    [
      'a default with too many items',
      { type: 'array', maxItems: 0, default: [1] },
      'default: does not fit its own schema: must have at most 0 items',
    ],
    [
      'a default with a wrong item',
      { type: 'array', items: { type: 'string' }, default: ['a', 1] },
      'default: does not fit its own schema: [1]: must be string',
    ],
    [
      'a default that lacks a field',
      { type: 'object', properties: { a: { type: 'string' } }, required: ['a'], default: {} },
      'default: does not fit its own schema: a is required',
    ],
    [
      'a default with a field too many',
      { type: 'object', properties: { a: {} }, default: { b: 1 } },
      'default: does not fit its own schema: b is not one of its properties',
    ],
    ['a const and another default', { const: 'a', default: 'b' }, 'default: does not fit its own schema: must be "a"'],
  ])('may not have %s', (_, schema, fault) => {
    expect(faultsOf(schema)).toEqual([expect.stringContaining(fault)]);
  });

  it('may not be nested without end', () => {
    let schema: unknown = { type: 'string' };
    for (let i = 0; i < 60; i++) schema = { type: 'array', items: schema };
    expect(faultsOf(schema)).toEqual([expect.stringContaining('must not be nested deeper than 50 schemas')]);
    const round: { type: string; items?: unknown } = { type: 'array' };
    round.items = round;
    expect(faultsOf(round)).toEqual([expect.stringContaining('must not contain itself')]);
  });

  it('names everything that is wrong at once', () => {
    expect(faultsOf({ type: 'object', properties: { a: { type: 'x' }, b: { enum: [] }, c: { foo: 1 } } })).toHaveLength(3);
  });

  it('is taken or refused with an InvalidError, whatever it is, and what is taken compiles', () => {
    const keyword = fc.constantFrom(
      'type',
      'properties',
      'required',
      'items',
      'enum',
      'const',
      'default',
      'pattern',
      'format',
      'minimum',
      'nullable',
      'sensitive',
      'oneOf',
      'anyOf',
      'additionalProperties',
      'x-foo',
      'x-list-map-keys',
      'uniqueItems',
      'maxLength',
    );
    const schema = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom<unknown>(
          { type: 'string' },
          { type: 'integer', default: 1 },
          { type: 'object', additionalProperties: true },
          { enum: ['a'] },
        ),
        fc.dictionary(
          keyword,
          fc.oneof(
            tie('node'),
            fc.array(tie('node'), { maxLength: 3 }),
            fc.constantFrom<unknown>('string', 'object', 'array', ['string', 'null'], true, false, 1, 'a'),
            hostileText,
          ),
          { maxKeys: 4, noNullPrototype: true },
        ),
        fc.record({
          type: fc.constant('object'),
          properties: fc.dictionary(fc.constantFrom('a', 'b', 'toString'), tie('node'), { noNullPrototype: true }),
        }),
      ),
    })).node;
    let taken = 0;
    fc.assert(
      fc.property(schema, fc.anything(), (node, value) => {
        if (faultsOf(node).length > 0) return;
        taken++;
        const validator = validatorOf(define(node));
        const object = { spec: { x: value } };
        validator.applyDefaults(object);
        for (const cause of validator.causes(object)) expect(cause.field).toMatch(/^spec/);
      }),
      { numRuns: 100 },
    );
    expect(taken).toBeGreaterThan(5);
  });
});
