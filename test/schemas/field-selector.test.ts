import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fieldText, getPath, parseFieldSelector, parsePath, Sealed, type FieldRequirement } from '../../src/schemas/index.js';
import { anyFieldSelector } from './any-input.js';
import { hostileText } from './arbitraries.js';

const object = {
  metadata: { name: 'web', namespace: 'prod', labels: { 'app.io/x': 'y' } },
  spec: { node: 'n1', scale: 3, paused: false, empty: '', none: null, ports: [{ name: 'http' }], map: { a: 1 } },
};

describe('parseFieldSelector', () => {
  it.each([
    ['metadata.name=a,spec.node!=n1', 'metadata.name=a,spec.node!=n1'],
    ['spec.node==n1', 'spec.node=n1'],
    ['.spec.node=n1', 'spec.node=n1'],
    ['spec.node=', 'spec.node='],
    ['b=1,a=1,b=1', 'a=1,b=1'],
    ['a=x y', 'a=x y'],
    ['a=\\,\\=\\\\', 'a=\\,\\=\\\\'],
    ['metadata.labels["a=b,c"]=x', 'metadata.labels["a=b,c"]=x'],
    ['', ''],
    [' ', ''],
  ])('reads %j as %j', (input, canonical) => {
    expect(parseFieldSelector(input).toString()).toBe(canonical);
    expect(parseFieldSelector(canonical).toString()).toBe(canonical);
  });

  it('reads a map from path to value', () => {
    expect(parseFieldSelector({ '.spec.node': 'a=b', 'metadata.name': 'x' }).toString()).toBe('metadata.name=x,spec.node=a\\=b');
  });

  it.each([
    ['a', 1],
    ['a=1,', 5],
    ['a=1,b', 5],
    ['=1', 1],
    ['a=b=c', 4],
    ['a=b\\x', 4],
    ['a=b\\', 4],
    ['a..b=1', 1],
    ['x=1,__proto__.y=1', 5],
    ['a>1', 1],
  ])('refuses %j and says that it is wrong at character %d', (input, position) => {
    expect(() => parseFieldSelector(input)).toThrow(
      expect.objectContaining({ reason: 'Invalid', message: expect.stringContaining(`at character ${position}:`) }),
    );
  });

  it.each([null, [], 5, { a: 1 }, { 'a b': 'x' }])('refuses %j', (input) => {
    expect(() => parseFieldSelector(input as unknown as string)).toThrow(expect.objectContaining({ reason: 'Invalid' }));
  });

  it('gives back the same selector from its text, for any value', () => {
    const path = fc.array(fc.constantFrom('spec', 'a', 'b-c', 'x_y'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('.'));
    const term = fc.record({ path, operator: fc.constantFrom('=' as const, '!=' as const), value: fc.oneof(hostileText, fc.string()) });
    fc.assert(
      fc.property(fc.array(term, { maxLength: 4 }), (terms: FieldRequirement[]) => {
        const text = terms.map(({ path: at, operator, value }) => `${at}${operator}${value.replace(/[\\,=]/g, '\\$&')}`).join(',');
        const selector = parseFieldSelector(text);
        const unique = new Map(terms.map((one) => [JSON.stringify(one), one]));
        expect(
          new Set(selector.requirements.map((one) => JSON.stringify({ path: one.path, operator: one.operator, value: one.value }))),
        ).toEqual(new Set([...unique.values()].map((one) => JSON.stringify({ path: one.path, operator: one.operator, value: one.value }))));
        expect(parseFieldSelector(selector.toString()).toString()).toBe(selector.toString());
      }),
    );
  });

  it('matches as a naive evaluator does', () => {
    const value = fc.constantFrom<unknown>('a', '', '1', 1, true, null, undefined, {}, []);
    const term = fc.record({
      path: fc.constantFrom('spec.x', 'spec.y', 'z'),
      operator: fc.constantFrom('=' as const, '!=' as const),
      value: fc.constantFrom('a', '', '1', 'true'),
    });
    fc.assert(
      fc.property(fc.array(term, { maxLength: 3 }), fc.record({ spec: fc.record({ x: value, y: value }), z: value }), (terms, target) => {
        const expected = terms.every((one) => {
          const found = getPath(target, parsePath(one.path));
          const same =
            found === null || found === undefined
              ? one.value === ''
              : typeof found !== 'object' && JSON.stringify(found).replaceAll('"', '') === one.value;
          return same === (one.operator === '=');
        });
        return parseFieldSelector(terms.map((one) => `${one.path}${one.operator}${one.value}`).join(',')).matches(target) === expected;
      }),
    );
  });

  it('answers any text with a selector or an InvalidError', () => {
    expect(() => anyFieldSelector(object, 1000)).not.toThrow();
  });
});

describe('FieldSelector', () => {
  it.each([
    ['metadata.name=web', true],
    ['metadata.name!=web', false],
    ['spec.scale=3', true],
    ['spec.paused=false', true],
    ['spec.ports[0].name=http', true],
    ['metadata.labels["app.io/x"]=y', true],
    ['spec.missing=', true],
    ['spec.none=', true],
    ['spec.empty=', true],
    ['spec.missing!=x', true],
    ['spec.map=', false],
    ['spec.map!=x', true],
    ['spec.toString=', true],
    ['metadata.name=web,spec.node=n2', false],
    ['', true],
  ])('%s matches: %s', (input, expected) => {
    expect(parseFieldSelector(input).matches(object)).toBe(expected);
  });

  it('never equals what is sealed', () => {
    const sealed = { data: { k: new Sealed({ id: '1', open: () => 'x' }) } };
    for (const value of ['x', '', '[sealed]']) expect(parseFieldSelector(`data.k=${value}`).matches(sealed)).toBe(false);
    expect(fieldText(sealed.data.k)).toBeUndefined();
  });

  it('tells whether it selects everything, and cannot be changed', () => {
    expect(parseFieldSelector('').empty).toBe(true);
    expect(parseFieldSelector('a=1').empty).toBe(false);
    expect(Object.isFrozen(parseFieldSelector('a=1').requirements[0])).toBe(true);
  });
});
