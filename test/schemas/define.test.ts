import { describe, expect, it } from 'vitest';
import { cloneJson, defineResource, InvalidError, validatorOf, type AnyDefinition, type JsonSchema } from '../../src/schemas/index.js';

type Options = Parameters<typeof defineResource>[0];

const spec = {
  type: 'object',
  required: ['size'],
  properties: { size: { type: 'integer' }, node: { type: 'string' }, token: { type: 'string', sensitive: true } },
} as const;

function define(options: object): AnyDefinition {
  return defineResource(options as Options);
}

function faultsOf(options: object): string[] {
  try {
    define({ kind: 'Widget', ...options });
  } catch (error) {
    if (error instanceof InvalidError) return error.causes.map((cause) => `${cause.field}: ${cause.message}`);
    throw error;
  }
  return [];
}

describe('defineResource', () => {
  it('fills in what follows from the kind', () => {
    expect(define({ kind: 'Widget' })).toEqual({
      kind: 'Widget',
      type: 'widget',
      plural: 'widgets',
      group: 'rune.dev',
      version: 'v1',
      apiVersion: 'rune.dev/v1',
      scope: 'Namespaced',
      shortNames: [],
      schema: { type: 'object', properties: {}, required: [], additionalProperties: false },
      subresources: { status: false },
      conditions: undefined,
      indexes: {},
      storeIndexes: [],
      columns: [],
      history: { maxVersions: 50 },
      limits: {},
      sensitivePaths: [],
      validate: undefined,
    });
  });

  it.each([
    ['Widget', 'widgets'],
    ['Policy', 'policies'],
    ['Gateway', 'gateways'],
    ['Ingress', 'ingresses'],
    ['Box', 'boxes'],
    ['Batch', 'batches'],
    ['ScalingOperation', 'scalingoperations'],
  ])('calls many a %s %s', (kind, plural) => {
    expect(define({ kind })).toMatchObject({ plural });
  });

  it('calls a type outside rune.dev by its plural and group', () => {
    expect(define({ kind: 'Widget', group: 'example.com', version: 'v2beta1' })).toMatchObject({
      type: 'widgets.example.com',
      apiVersion: 'example.com/v2beta1',
    });
    expect(define({ kind: 'Widget', group: 'example.com', type: 'widget' })).toMatchObject({ type: 'widget' });
    expect(define({ kind: 'Foo', group: 'example.com', plural: 'foos-all' })).toMatchObject({ type: 'foos-all.example.com' });
  });

  it('takes everything that can be set', () => {
    const byNode = (): string => 'x';
    const validate = (): [] => [];
    expect(
      define({
        kind: 'Widget',
        type: 'wid_get',
        plural: 'wids',
        scope: 'Cluster',
        shortNames: ['wd'],
        spec,
        status: { type: 'object', properties: { count: { type: 'integer' } } },
        conditions: ['Ready'],
        indexes: { byNode },
        storeIndexes: ['spec.node', 'metadata.name'],
        columns: [{ name: 'Size', path: '.spec.size' }],
        subresources: { scale: { spec: '.spec.size', status: '.status.count' } },
        history: { maxVersions: 5, maxAge: '7d' },
        limits: { objectBytes: 1000 },
        validate,
      }),
    ).toMatchObject({
      type: 'wid_get',
      plural: 'wids',
      scope: 'Cluster',
      shortNames: ['wd'],
      conditions: ['Ready'],
      indexes: { byNode },
      storeIndexes: ['spec.node', 'metadata.name'],
      columns: [{ name: 'Size', path: '.spec.size' }],
      subresources: { status: true, scale: { spec: '.spec.size', status: '.status.count' } },
      history: { maxVersions: 5, maxAgeMs: 604_800_000 },
      limits: { objectBytes: 1000 },
      sensitivePaths: [['spec', 'token']],
      validate,
    });
    expect(define({ kind: 'Widget', history: false }).history).toBe(false);
  });

  it('is frozen all the way, and leaves the schema it was given alone', () => {
    const given = cloneJson(spec) as unknown as JsonSchema;
    const before = JSON.stringify(given);
    const made = define({ kind: 'Widget', spec: given });
    expect(Object.isFrozen(made) && Object.isFrozen(made.schema.properties?.['spec']?.properties?.['size'])).toBe(true);
    expect(JSON.stringify(given)).toBe(before);
    expect(Object.isFrozen(given)).toBe(false);
  });

  it('closes every object that does not say otherwise', () => {
    const made = define({
      kind: 'Widget',
      spec: {
        type: 'object',
        properties: {
          closed: { type: 'object', properties: { a: { type: 'string' } } },
          open: { type: 'object', additionalProperties: true },
          map: { type: 'object', additionalProperties: { type: 'object', properties: { b: { type: 'string' } } } },
          list: { type: 'array', items: { type: 'object', properties: {} } },
          either: { oneOf: [{ type: 'object', properties: { c: { type: 'string' } } }, { type: 'null' }] },
        },
      },
    });
    const properties = made.schema.properties?.['spec']?.properties ?? {};
    expect(made.schema.additionalProperties).toBe(false);
    expect(made.schema.properties?.['spec']?.additionalProperties).toBe(false);
    expect(properties['closed']?.additionalProperties).toBe(false);
    expect(properties['open']?.additionalProperties).toBe(true);
    expect(properties['map']?.additionalProperties).toMatchObject({ additionalProperties: false });
    expect(properties['list']?.items?.additionalProperties).toBe(false);
    expect(properties['either']?.oneOf?.[0]?.additionalProperties).toBe(false);
  });

  it('adds conditions of the declared types to the status', () => {
    const status = define({ kind: 'Widget', conditions: ['Ready', 'Degraded'] }).schema.properties?.['status'];
    expect(status?.properties?.['conditions']?.items?.properties?.['type']).toEqual({ type: 'string', enum: ['Ready', 'Degraded'] });
    expect(status?.properties?.['observedGeneration']).toEqual({ type: 'integer', minimum: 0 });
  });

  it('finds where sensitive values are', () => {
    const made = define({
      kind: 'Widget',
      schema: {
        type: 'object',
        properties: {
          data: { type: 'object', additionalProperties: { type: 'string', sensitive: true } },
          users: { type: 'array', items: { type: 'object', properties: { 'pass.word': { type: 'string', sensitive: true } } } },
          all: { type: 'object', sensitive: true, properties: { inner: { type: 'string', sensitive: true } } },
        },
      },
    });
    expect(made.sensitivePaths).toEqual([['data', '*'], ['users', '*', 'pass.word'], ['all']]);
  });

  it('takes any top-level shape as schema', () => {
    const made = define({
      kind: 'Widget',
      schema: { type: 'object', required: ['data'], properties: { data: { type: 'object', additionalProperties: { type: 'string' } } } },
      conditions: ['Ready'],
    });
    expect(made.schema.required).toEqual(['data']);
    expect(Object.keys(made.schema.properties ?? {})).toEqual(['data', 'status']);
  });

  it.each<[string, object, string]>([
    ['no kind', { kind: undefined }, 'kind: '],
    ['a kind in lower case', { kind: 'widget' }, 'kind: must be CamelCase'],
    ['a group that is no name', { group: 'Example' }, 'group: '],
    ['a version that is none', { version: '1' }, 'version: '],
    ['a plural with dots', { plural: 'a.b' }, 'plural: '],
    ['a type in upper case', { type: 'Widget' }, 'type: '],
    ['a scope that is none', { scope: 'Global' }, 'scope: '],
    ['short names that are one', { shortNames: 'wd' }, 'shortNames: '],
    ['a short name that is none', { shortNames: ['W'] }, 'shortNames[0]: '],
    ['an option that is not known', { specs: {} }, 'specs: is not an option'],
    ['a spec that is no object', { spec: { type: 'string' } }, 'spec.type: must be "object"'],
    ['a spec that is no schema', { spec: 'x' }, 'spec: must be a schema'],
    [
      'a spec with a function in it',
      { spec: { type: 'object', properties: { a: { default: () => 1 } } } },
      'spec.properties.a.default: must be a JSON value',
    ],
    ['a spec that is sensitive as a whole', { spec: { ...spec, sensitive: true } }, 'spec.sensitive: '],
    ['spec beside schema', { spec, schema: { type: 'object', properties: { data: {} } } }, 'schema: must not stand beside spec'],
    [
      'metadata in a schema',
      { schema: { type: 'object', properties: { metadata: {} } } },
      'schema.properties.metadata: is described elsewhere',
    ],
    [
      'a status described twice',
      { schema: { type: 'object', properties: { status: {} } }, conditions: ['Ready'] },
      'schema.properties.status: is described elsewhere',
    ],
    ['a status with a default', { status: { type: 'object', properties: {}, default: {} } }, 'status.default: '],
    [
      'conditions described twice',
      { status: { type: 'object', properties: { conditions: {} } }, conditions: ['Ready'] },
      'status.properties.conditions: follows from',
    ],
    ['a condition that is none', { conditions: ['not ready'] }, 'conditions[0]: '],
    ['a condition twice', { conditions: ['Ready', 'Ready'] }, 'conditions: must be a list of different texts'],
    ['an index that is no function', { indexes: { a: 'spec.node' } }, 'indexes.a: must be a function'],
    ['indexes that are a list', { indexes: [] }, 'indexes: must be an object'],
    ['a store index on nothing', { spec, storeIndexes: ['spec.nodes'] }, 'storeIndexes[0]: leads to no field'],
    ['a store index that is no path', { spec, storeIndexes: ['spec..x'] }, 'storeIndexes[0]: must be a path'],
    ['a store index on a secret', { spec, storeIndexes: ['spec.token'] }, 'storeIndexes[0]: must not lead to a sensitive field'],
    ['a column on nothing', { spec, columns: [{ name: 'X', path: '.spec.x' }] }, 'columns[0].path: leads to no field'],
    [
      'a column on a secret',
      { spec, columns: [{ name: 'X', path: '.spec.token' }] },
      'columns[0].path: must not lead to a sensitive field',
    ],
    ['a column without a name', { spec, columns: [{ path: '.spec.size' }] }, 'columns[0].name: '],
    ['columns that are a map', { columns: {} }, 'columns: must be a list'],
    ['a status subresource without a status', { subresources: { status: true } }, 'subresources.status: must not be true'],
    ['a subresource that is not known', { subresources: { exec: true } }, 'subresources.exec: is not known'],
    [
      'a scale that leads elsewhere',
      {
        spec,
        status: { type: 'object', properties: { n: { type: 'integer' } } },
        subresources: { scale: { spec: '.status.n', status: '.status.n' } },
      },
      'subresources.scale.spec: must lead into spec',
    ],
    ['a scale without a path', { spec, subresources: { scale: { spec: '.spec.size' } } }, 'subresources.scale.status: must be a path'],
    ['no versions', { history: { maxVersions: 0 } }, 'history.maxVersions: '],
    ['an age that is none', { history: { maxAge: 'long' } }, 'history.maxAge: '],
    ['a history option that is not known', { history: { keep: 1 } }, 'history.keep: is not known'],
    ['a limit that is none', { limits: { keys: -1 } }, 'limits.keys: '],
    ['a limit that is not known', { limits: { bytes: 1 } }, 'limits.bytes: is not known'],
    ['a rule that is no function', { validate: true }, 'validate: must be a function'],
  ])('refuses %s', (_, options, fault) => {
    expect(faultsOf(options)).toEqual(expect.arrayContaining([expect.stringContaining(fault)]));
  });

  it('names everything that is wrong at once', () => {
    expect(faultsOf({ scope: 'x', version: 'y', history: { maxVersions: -1 }, validate: 1 })).toHaveLength(4);
    expect(() => define({ kind: 'Widget', scope: 'x' })).toThrow(
      'definition of Widget is invalid: scope: must be "Namespaced" or "Cluster"; got "x"',
    );
  });

  it('refuses what is no object', () => {
    for (const options of [null, undefined, 'x']) expect(() => define(options as unknown as object)).toThrow(InvalidError);
  });
});

describe('a schema of another library', () => {
  function standard(jsonSchema: unknown): object {
    return { '~standard': { version: 1, vendor: 'test', validate: () => ({ value: 1 }), jsonSchema } };
  }

  it('comes in through Standard JSON Schema, with what its notes are stripped', () => {
    const asked: unknown[] = [];
    const made = define({
      kind: 'Widget',
      spec: standard({
        input: (options: unknown) => {
          asked.push(options);
          return {
            $schema: 'https://json-schema.org/draft/2020-12/schema',
            type: 'object',
            required: ['a'],
            properties: { a: { type: 'string' }, b: { type: 'number', default: 2 } },
          };
        },
      }),
    });
    expect(asked).toEqual([{ target: 'draft-2020-12' }]);
    expect(made.schema.properties?.['spec']).toEqual({
      type: 'object',
      required: ['a'],
      properties: { a: { type: 'string' }, b: { type: 'number', default: 2 } },
      additionalProperties: false,
    });
    const object = { spec: { a: 'x' } };
    validatorOf(made).applyDefaults(object);
    expect(object).toEqual({ spec: { a: 'x', b: 2 } });
  });

  it('may be a function, as some libraries have it', () => {
    const schema = Object.assign(() => 1, standard({ input: () => ({ type: 'object', properties: {} }) }));
    expect(faultsOf({ spec: schema })).toEqual([]);
  });

  it.each<[string, unknown, string]>([
    ['has no JSON Schema', undefined, 'spec: has no JSON Schema'],
    [
      'cannot be converted',
      {
        input: () => {
          throw new Error('transforms cannot be represented');
        },
      },
      'spec: cannot be turned into JSON Schema: transforms cannot be represented',
    ],
    ['gives no schema', { input: () => 5 }, 'spec: must be a schema'],
    [
      'uses what is outside the subset',
      { input: () => ({ type: 'object', properties: { a: { allOf: [{}] } } }) },
      'spec.properties.a.allOf: is not taken',
    ],
    [
      'marks something as sensitive',
      { input: () => ({ type: 'object', properties: { a: { type: 'string', sensitive: true } } }) },
      'spec: says sensitive',
    ],
  ])('is refused when it %s', (_, jsonSchema, fault) => {
    expect(faultsOf({ spec: standard(jsonSchema) })).toEqual([expect.stringContaining(fault)]);
  });
});
