import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cloneJson, defineResource, freezeJson, Sealed, Service, validatorOf, type AnyDefinition } from '../../src/schemas/index.js';
import { hostileText, plainJson } from './arbitraries.js';

type Options = Parameters<typeof defineResource>[0];

const Widget = defineResource({
  kind: 'Widget',
  spec: {
    type: 'object',
    required: ['size', 'owner'],
    properties: {
      size: { type: 'integer', minimum: 1, maximum: 10, multipleOf: 1 },
      owner: { type: 'string', minLength: 2, maxLength: 8, pattern: '^[a-z]+$' },
      tier: { type: 'string', enum: ['gold', 'silver'], default: 'silver' },
      ratio: { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 },
      tags: { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 2, uniqueItems: true },
      ports: {
        type: 'array',
        'x-list-map-keys': ['port'],
        items: {
          type: 'object',
          required: ['port'],
          properties: { port: { type: 'integer' }, protocol: { type: 'string', default: 'TCP' } },
        },
      },
      env: {
        type: 'object',
        additionalProperties: { type: 'object', properties: { value: { type: 'string' }, count: { type: 'integer', default: 1 } } },
        maxProperties: 2,
        propertyNames: { pattern: '^[A-Z]+$' },
      },
      source: { oneOf: [{ type: 'string' }, { type: 'object', required: ['git'], properties: { git: { type: 'string' } } }] },
      flag: { const: true },
      at: { type: 'string', format: 'date-time' },
      every: { type: 'string', format: 'rune-duration' },
      blob: { type: 'string', format: 'byte' },
      note: { type: 'string', nullable: true },
      limits: { type: 'object', default: { cpu: 1 }, properties: { cpu: { type: 'number' }, memory: { type: 'string', default: '1Gi' } } },
      pair: {
        type: 'object',
        properties: { a: { type: 'string' }, b: { type: 'string' } },
        oneOf: [{ required: ['a'] }, { required: ['b'] }],
      },
    },
  },
  status: { type: 'object', properties: { phase: { type: 'string', enum: ['Up', 'Down'] }, restarts: { type: 'integer', default: 0 } } },
  conditions: ['Ready'],
  validate(next, previous) {
    if (next.spec.tier === 'gold' && next.spec.size < 3) return [{ field: 'spec.size', message: 'must be at least 3 for gold' }];
    if (previous !== undefined && previous.spec.owner !== next.spec.owner)
      return [{ field: 'spec.owner', reason: 'FieldValueForbidden', message: 'cannot be changed' }];
    return [];
  },
});
const Vault = defineResource({
  kind: 'Vault',
  spec: {
    type: 'object',
    properties: {
      password: { type: 'string', sensitive: true, minLength: 12, pattern: '^[a-z]+$' },
      keys: { type: 'object', additionalProperties: { type: 'string', enum: ['open', 'sesame'], sensitive: true } },
      whole: { type: 'object', sensitive: true, properties: { a: { type: 'string', enum: ['x'] } } },
      owner: { type: 'string', maxLength: 4 },
      labels: { type: 'object', additionalProperties: { type: 'integer' }, propertyNames: { type: 'string', pattern: '^[a-z]+$' } },
      source: { oneOf: [{ type: 'string' }, { type: 'object', required: ['git'], properties: { git: { type: 'string' } } }] },
    },
  },
  validate: (next) =>
    next.spec.owner === 'wide' ? [{ field: `spec.${next.spec.password ?? ''}`, message: `not ${next.spec.password ?? ''}!` }] : [],
});
const validator = validatorOf(Widget);
const good = { apiVersion: 'rune.dev/v1', kind: 'Widget', metadata: { anything: 'goes' }, spec: { size: 1, owner: 'me' } };

function faultsOf(spec: object): string[] {
  return validator.causes({ spec: { ...good.spec, ...spec } }).map(({ reason, field, message }) => `${reason} ${field}: ${message}`);
}

function vaultFaults(spec: object, previous?: object): string[] {
  return validatorOf(Vault)
    .causes({ spec }, previous)
    .map(({ reason, field, message }) => `${reason} ${field}: ${message}`);
}

describe('causes', () => {
  it('finds nothing in what is right, and costs no list', () => {
    expect(validator.causes(good)).toEqual([]);
    expect(validator.causes(good)).toBe(validator.causes({ spec: good.spec }));
  });

  it('leaves metadata to its own check', () => {
    expect(validator.causes({ ...good, metadata: 5 })).toEqual([]);
  });

  it.each<[string, object, string]>([
    ['a type', { size: '1' }, 'FieldValueTypeInvalid spec.size: must be a whole number; got "1"'],
    ['a minimum', { size: 0 }, 'FieldValueInvalid spec.size: must be at least 1; got 0'],
    ['a maximum', { size: 11 }, 'FieldValueInvalid spec.size: must be at most 10; got 11'],
    ['an exclusive minimum', { ratio: 0 }, 'FieldValueInvalid spec.ratio: must be above 0; got 0'],
    ['an exclusive maximum', { ratio: 1 }, 'FieldValueInvalid spec.ratio: must be below 1; got 1'],
    ['a shortest length', { owner: 'a' }, 'FieldValueInvalid spec.owner: must be at least 2 characters; got "a"'],
    ['a longest length', { owner: 'abcdefghi' }, 'FieldValueTooLong spec.owner: must be at most 8 characters; got "abcdefghi"'],
    ['a pattern', { owner: 'ME' }, 'FieldValueInvalid spec.owner: must match "^[a-z]+$"; got "ME"'],
    ['an enum', { tier: 'bronze' }, 'FieldValueNotSupported spec.tier: must be "gold" or "silver"; got "bronze"'],
    ['a const', { flag: false }, 'FieldValueNotSupported spec.flag: must be true; got false'],
    ['a format', { at: 'noon' }, 'FieldValueInvalid spec.at: must be an RFC 3339 timestamp such as "2026-01-31T12:00:00Z"; got "noon"'],
    ['a duration', { every: '5 s' }, 'FieldValueInvalid spec.every: must be a duration such as "30s" or "1h30m"; got "5 s"'],
    ['base64', { blob: 'abc' }, 'FieldValueInvalid spec.blob: must be base64; got "abc"'],
    ['fewest items', { tags: [] }, 'FieldValueInvalid spec.tags: must have at least 1 items'],
    ['most items', { tags: ['a', 'b', 'c'] }, 'FieldValueTooMany spec.tags: must have at most 2 items'],
    ['different items', { tags: ['a', 'a'] }, 'FieldValueDuplicate spec.tags: must not have the same item twice'],
    ['an item', { tags: ['a', 5] }, 'FieldValueTypeInvalid spec.tags[1]: must be a text; got 5'],
    [
      'a keyed list',
      { ports: [{ port: 1 }, { port: 2 }, { port: 1 }] },
      'FieldValueDuplicate spec.ports: must not have two items with the same port',
    ],
    ['a field inside an item', { ports: [{ port: 1 }, {}] }, 'FieldValueRequired spec.ports[1].port: is required'],
    ['most keys', { env: { A: {}, B: {}, C: {} } }, 'FieldValueTooMany spec.env: must have at most 2 keys'],
    ['a key', { env: { a: {} } }, 'FieldValueInvalid spec.env: has the key "a", which must match "^[A-Z]+$"'],
    ['a value of a map', { env: { A: { value: 1 } } }, 'FieldValueTypeInvalid spec.env.A.value: must be a text; got 1'],
    ['an unknown field', { color: 'red' }, 'FieldValueForbidden spec.color: unknown field: known are'],
    ['a misspelt field', { siez: 1, sise: 2 }, 'FieldValueForbidden spec.sise: unknown field; did you mean "size"?'],
    ['a null', { tier: null }, 'FieldValueTypeInvalid spec.tier: must be a text; got null'],
    ['narrowing forms', { pair: { a: 'x', b: 'y' } }, 'FieldValueInvalid spec.pair: matches more than one of the allowed forms'],
  ])('tells %s in Kubernetes’ words', (_, spec, fault) => {
    expect(faultsOf(spec)).toEqual(expect.arrayContaining([expect.stringContaining(fault)]));
  });

  it('tells one cause for a value that has none of several forms, and what each wants', () => {
    expect(faultsOf({ source: { hg: 'x' } })).toEqual([
      'FieldValueInvalid spec.source: must have one of 2 forms: (1) must be a text; got an object, (2) git is required',
    ]);
    expect(faultsOf({ source: 5 })).toEqual([
      'FieldValueInvalid spec.source: must have one of 2 forms: (1) must be a text; got 5, (2) must be an object; got 5',
    ]);
    expect(faultsOf({ source: { git: 'x' } })).toEqual([]);
  });

  it('accepts null where nullable', () => {
    expect(faultsOf({ note: null })).toEqual([]);
    expect(faultsOf({ note: 5 })).toHaveLength(1);
  });

  it('names every field that is wrong', () => {
    expect(
      validator
        .causes({ spec: { size: 'x', tags: [1, 2, 3], nope: 1 }, status: { phase: 'Gone' }, extra: 1 })
        .map((cause) => cause.field)
        .toSorted(),
    ).toEqual([
      'extra',
      'spec.nope',
      'spec.owner',
      'spec.size',
      'spec.tags',
      'spec.tags[0]',
      'spec.tags[1]',
      'spec.tags[2]',
      'status.phase',
    ]);
  });

  it('requires the spec', () => {
    expect(validator.causes({})).toEqual([{ reason: 'FieldValueRequired', field: 'spec', message: 'is required' }]);
  });

  it('refuses another apiVersion or kind, and takes none', () => {
    expect(validator.causes({ ...good, apiVersion: 'rune.dev/v2', kind: 'Gadget' })).toEqual([
      { reason: 'FieldValueNotSupported', field: 'apiVersion', message: 'must be "rune.dev/v1"; got "rune.dev/v2"' },
      { reason: 'FieldValueNotSupported', field: 'kind', message: 'must be "Widget"; got "Gadget"' },
    ]);
  });

  it('asks the definition’s own rules, with the previous object, once the shape is right', () => {
    expect(faultsOf({ tier: 'gold' })).toEqual(['FieldValueInvalid spec.size: must be at least 3 for gold']);
    expect(faultsOf({ tier: 'gold', owner: 5 })).toEqual([expect.stringContaining('spec.owner: must be a text')]);
    expect(validator.causes({ spec: { size: 1, owner: 'you' } }, good)).toEqual([
      { reason: 'FieldValueForbidden', field: 'spec.owner', message: 'cannot be changed' },
    ]);
  });

  it('never shows a sensitive value', () => {
    const secret = 'Hunter2';
    const faults = vaultFaults({ password: secret, keys: { a: secret } });
    expect(faults).toEqual([
      'FieldValueInvalid spec.password: must be at least 12 characters',
      'FieldValueInvalid spec.password: must match "^[a-z]+$"',
      'FieldValueNotSupported spec.keys.a: must be "open" or "sesame"',
    ]);
    const types = [12345.678, true, secret, [secret], { a: secret }, null];
    for (const value of types) expect(vaultFaults({ password: value, keys: { a: value } }).join()).not.toMatch(/Hunter2|12345/);
    fc.assert(
      fc.property(
        fc.oneof(plainJson, hostileText),
        (value) =>
          !vaultFaults({ password: { needle: value, x: 'Hunter2' } })
            .join()
            .includes('Hunter2'),
      ),
    );
  });

  it('quotes nothing at all where a type has sensitive values: they may have been copied anywhere', () => {
    const secret = 'Hunter2';
    const previous = { spec: { keys: { known: 'open' } } };
    expect(
      vaultFaults({ owner: secret, labels: { known: secret, [secret]: 1 }, source: [secret], [secret]: secret }, previous).sort(),
    ).toEqual([
      'FieldValueForbidden spec.*: unknown field: known are "password", "keys", "whole", "owner", "labels" or "source"',
      'FieldValueInvalid spec.labels: has the key [not shown], which must match "^[a-z]+$"',
      'FieldValueInvalid spec.source: must have one of 2 forms: (1) must be a text, (2) must be an object',
      'FieldValueTooLong spec.owner: must be at most 4 characters',
      'FieldValueTypeInvalid spec.labels.known: must be a whole number',
    ]);
    // Keys are named as far as they lie in the clear, and none from inside a sensitive value.
    expect(vaultFaults({ keys: { mine: 1 }, labels: { OURS: 1 }, whole: { a: 'y', [secret]: 1 } }).sort()).toEqual([
      'FieldValueForbidden spec.whole.*: unknown field: known are "a"',
      'FieldValueInvalid spec.labels: has the key "OURS", which must match "^[a-z]+$"',
      'FieldValueNotSupported spec.keys.mine: must be "open" or "sesame"',
      'FieldValueNotSupported spec.whole.a: must be "x"',
      'FieldValueTypeInvalid spec.keys.mine: must be a text',
    ]);
  });

  it('withholds what the author of a rule says when that quotes a sensitive value, of now or of before', () => {
    const withheld = 'is refused by a rule of the type, in words that are [not shown] because they quote a sensitive value';
    expect(vaultFaults({ password: 'abcdefghijklm', owner: 'wide' })).toEqual([`FieldValueInvalid : ${withheld}`]);
    expect(vaultFaults({ owner: 'wide' })).toEqual(['FieldValueInvalid spec.: not !']);
  });

  it('refuses a seal, and the text of one, in place of a sensitive value', () => {
    const seal = new Sealed({ id: '1', open: () => 'open' });
    for (const value of [seal, '[sealed]']) {
      expect(vaultFaults({ password: value, keys: { a: value, b: 'open' } })).toEqual([
        expect.stringContaining('FieldValueInvalid spec.password: is sealed: write the value itself'),
        expect.stringContaining('FieldValueInvalid spec.keys.a: is sealed: write the value itself'),
      ]);
    }
    expect(vaultFaults({ source: '[sealed]' })).toEqual([]);
  });

  it('escapes and cuts what it shows', () => {
    expect(faultsOf({ tier: `\u001b[31m${'x'.repeat(500)}` })[0]).toMatch(/got "\\u001b\[31mx{75}\.\.\."$/);
  });

  it('takes a key that looks like an index for what the value makes it', () => {
    expect(validator.causes({ spec: { ...good.spec, env: { 0: {} } } })[0]?.field).toBe('spec.env');
    expect(faultsOf({ ports: [{ port: 'x' }] })).toEqual([expect.stringContaining('spec.ports[0].port')]);
  });

  it('finds fields whose names hold slashes, dots and tildes', () => {
    const map = defineResource({ kind: 'Map', spec: { type: 'object', additionalProperties: { type: 'integer' } } });
    expect(validatorOf(map).causes({ spec: { 'a/b~c.d': 'x' } })[0]?.field).toBe('spec["a/b~c.d"]');
  });

  it('does not take an inherited property for one that is there', () => {
    const strict = defineResource({
      kind: 'Strict',
      spec: { type: 'object', required: ['toString'], properties: { toString: { type: 'string' } } },
    } as Options);
    expect(validatorOf(strict as unknown as AnyDefinition).causes({ spec: {} })).toEqual([
      { reason: 'FieldValueRequired', field: 'spec.toString', message: 'is required' },
    ]);
  });

  it('compares the items of a long list in no time', () => {
    const list = defineResource({
      kind: 'List',
      spec: {
        type: 'object',
        properties: { items: { type: 'array', uniqueItems: true, items: { type: 'object', additionalProperties: true } } },
      },
    });
    const items = Array.from({ length: 50_000 }, (_, i) => ({ a: i, b: [i] }));
    expect(validatorOf(list).causes({ spec: { items } })).toEqual([]);
    expect(validatorOf(list).causes({ spec: { items: [...items, { b: [7], a: 7 }] } })).toMatchObject([
      { field: 'spec.items', reason: 'FieldValueDuplicate' },
    ]);
  });

  it('changes nothing, and may be given frozen objects', () => {
    const frozen = freezeJson(cloneJson(good));
    expect(validator.causes(frozen)).toEqual([]);
  });

  it('answers any object with causes, the same each time', () => {
    fc.assert(
      fc.property(plainJson, plainJson, (spec, status) => {
        const object = { spec, status };
        const first = validator.causes(object);
        expect(validator.causes(cloneJson(object))).toEqual(first);
        expect(first.length).toBeGreaterThan(0);
      }),
    );
  });

  it('bounds how much it says', () => {
    expect(
      validator.causes({ spec: { ...good.spec, ...Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`k${i}`, i])) } }),
    ).toHaveLength(100);
  });
});

describe('statusCauses', () => {
  it('looks at the status only', () => {
    expect(validator.statusCauses({ spec: 'of an older schema', status: { phase: 'Up' } })).toEqual([]);
    expect(validator.statusCauses({ spec: 1 })).toEqual([]);
  });

  it('names the field from the root of the object', () => {
    expect(
      validator
        .statusCauses({
          status: { phase: 'Gone', conditions: [{ type: 'Reddy', status: 'True', reason: 'x', message: '', lastTransitionTime: 'now' }] },
        })
        .map(({ field, reason }) => `${field} ${reason}`),
    ).toEqual([
      'status.phase FieldValueNotSupported',
      'status.conditions[0].type FieldValueNotSupported',
      'status.conditions[0].lastTransitionTime FieldValueInvalid',
    ]);
    expect(validator.statusCauses({ status: 5 })).toMatchObject([{ field: 'status', reason: 'FieldValueTypeInvalid' }]);
  });

  it('refuses two conditions of one type', () => {
    const condition = { type: 'Ready', status: 'True', reason: 'x', message: '', lastTransitionTime: '2026-01-31T12:00:00Z' };
    expect(validator.statusCauses({ status: { conditions: [condition] } })).toEqual([]);
    expect(validator.statusCauses({ status: { conditions: [condition, condition] } })).toMatchObject([
      { field: 'status.conditions', reason: 'FieldValueDuplicate' },
    ]);
  });

  it('refuses a status where there is none', () => {
    const bare = defineResource({ kind: 'Bare' });
    expect(validatorOf(bare).statusCauses({ status: {} })).toMatchObject([{ field: 'status', reason: 'FieldValueForbidden' }]);
    expect(validatorOf(bare).statusCauses({})).toEqual([]);
  });
});

describe('applyDefaults', () => {
  function filled(object: object): unknown {
    const copy = cloneJson(object);
    validator.applyDefaults(copy);
    return copy;
  }

  it('fills in what is absent, at any depth, and keeps what is there', () => {
    expect(filled({ spec: { size: 1, ports: [{ port: 1 }, { port: 2, protocol: 'UDP' }], env: { A: {}, B: { count: 7 } } } })).toEqual({
      spec: {
        size: 1,
        tier: 'silver',
        limits: { cpu: 1, memory: '1Gi' },
        ports: [
          { port: 1, protocol: 'TCP' },
          { port: 2, protocol: 'UDP' },
        ],
        env: { A: { count: 1 }, B: { count: 7 } },
      },
    });
    expect(filled({ spec: { tier: 'gold', limits: { cpu: 2 } } })).toEqual({ spec: { tier: 'gold', limits: { cpu: 2, memory: '1Gi' } } });
  });

  it('fills in a status only when it is there', () => {
    expect(filled({ spec: {}, status: { phase: 'Up' } })).toMatchObject({ status: { phase: 'Up', restarts: 0 } });
    expect(filled({ spec: {} })).not.toHaveProperty('status');
  });

  it('keeps null, 0, false and the empty text', () => {
    for (const tier of [null, 0, false, '']) expect(filled({ spec: { tier } })).toMatchObject({ spec: { tier } });
  });

  it('takes undefined for absent', () => {
    const object = { spec: { tier: undefined as string | undefined } };
    validator.applyDefaults(object);
    expect(object.spec.tier).toBe('silver');
  });

  it('gives each object its own copy', () => {
    const [a, b] = [{ spec: {} }, { spec: {} }] as { spec: { limits?: { cpu: number } } }[];
    validator.applyDefaults(a!);
    a!.spec.limits!.cpu = 99;
    validator.applyDefaults(b!);
    expect(b!.spec.limits).toEqual({ cpu: 1, memory: '1Gi' });
    expect(Object.isFrozen(b!.spec.limits)).toBe(false);
  });

  it('adds nothing the second time', () => {
    fc.assert(
      fc.property(plainJson, (spec) => {
        const once = filled({ spec });
        expect(filled(once as object)).toEqual(once);
      }),
    );
  });

  it('leaves what has the wrong shape to the check', () => {
    for (const spec of ['x', 5, null, [1], { ports: 'x', env: [], limits: 3 }, { ports: [null, 5, [{}]] }])
      expect(() => filled({ spec })).not.toThrow();
  });

  it('does not touch seals', () => {
    const seal = new Sealed({ id: '1', open: () => 'x' });
    const object = { spec: { password: seal, limits: seal } };
    validator.applyDefaults(object);
    expect(object.spec.limits).toBe(seal);
  });

  it('fills in a property that the prototype has under the same name', () => {
    const odd = defineResource({
      kind: 'Odd',
      spec: { type: 'object', properties: { toString: { type: 'string', default: 'x' } } },
    } as Options);
    const object = { spec: {} };
    validatorOf(odd).applyDefaults(object);
    expect(Object.entries(object.spec)).toEqual([['toString', 'x']]);
  });
});

describe('validatorOf', () => {
  it('gives one validator for one definition', () => {
    expect(validatorOf(Service)).toBe(validatorOf(Service));
    expect(validatorOf(Service)).not.toBe(validator);
  });

  it('keeps two definitions of the same shape apart', () => {
    const options = { spec: { type: 'object', properties: { a: { type: 'string' } } } } as const;
    const [one, two] = [defineResource({ kind: 'One', ...options }), defineResource({ kind: 'Two', ...options })];
    expect(validatorOf(one).causes({ kind: 'Two', spec: {} })).toHaveLength(1);
    expect(validatorOf(two).causes({ kind: 'Two', spec: {} })).toEqual([]);
  });
});
