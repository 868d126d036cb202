import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkJson, findForbiddenKey, MAX_DEPTH, Sealed, takeJson } from '../../src/schemas/index.js';
import { plainJson } from './arbitraries.js';

function fieldsOf(value: unknown): string[] {
  return checkJson(value).map((cause) => cause.field);
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? { a: value } : [value];
  return value;
}

class Point {
  readonly x = 1;
}

describe('checkJson', () => {
  it('finds nothing in any JSON', () => {
    fc.assert(fc.property(plainJson, (value) => checkJson(value).length === 0));
  });

  it('takes what it accepts unchanged through JSON', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withSparseArray: true, withNullPrototype: true }),
        (value) => {
          if (checkJson(value).length > 0 || value === undefined) return;
          expect(JSON.parse(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(JSON.parse(JSON.stringify(value)))));
          expect(checkJson(JSON.parse(JSON.stringify(value)))).toEqual([]);
        },
      ),
    );
  });

  it('makes no room for a list of holes, however long', () => {
    const list: unknown[] = [];
    list.length = 20_000_000;
    // Room for each level of this would be 30 GB.
    list[0] = list;
    expect(takeJson({ spec: list }).causes?.[0]).toMatchObject({ field: 'spec[0]', message: 'must not contain itself' });
    const { external, heapUsed } = process.memoryUsage();
    expect(external + heapUsed).toBeLessThan(1e9);
  });

  it('costs no list for a value that is fine', () => {
    expect(checkJson({ a: 1 })).toBe(checkJson([1, 2]));
  });

  it.each([
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a bigint', 1n],
    ['NaN', Number.NaN],
    ['an infinity', -Infinity],
    ['a date', new Date(0)],
    ['a map', new Map()],
    ['a class instance', new Point()],
    ['a boxed text', new String('x')],
    ['a regular expression', /x/],
    ['a promise', Promise.resolve()],
    ['bytes', new Uint8Array(1)],
    ['a seal', new Sealed({ id: '1', open: () => 'x' })],
    ['half a surrogate pair', 'a\ud800b'],
  ])('refuses %s and names where it is', (_, value) => {
    expect(fieldsOf({ spec: { list: [{ ok: 1 }, { bad: value }] } })).toEqual(['spec.list[1].bad']);
    expect(checkJson(value, 'spec')).toMatchObject([{ field: 'spec' }]);
  });

  it('refuses undefined in a list, and holes, but not in an object', () => {
    expect(fieldsOf({ a: undefined, b: [undefined] })).toEqual(['b[0]']);
    expect(fieldsOf(Object.assign(new Array<number>(3), { 0: 1, 2: 2 }))).toEqual(['[1]']);
  });

  it('says to write a date as a text', () => {
    expect(checkJson({ at: new Date(0) })[0]?.message).toContain('toISOString');
  });

  it('says to reveal a seal', () => {
    expect(checkJson({ data: { k: new Sealed({ id: '1', open: () => 'x' }) } })[0]?.message).toContain('reveal()');
  });

  it('refuses the keys that reach a prototype, at any depth', () => {
    const value: unknown = JSON.parse('{"spec":{"__proto__":{"x":1},"list":[{"constructor":{"prototype":1}}],"prototype":1}}');
    expect(checkJson(value)).toEqual([
      { reason: 'FieldValueForbidden', field: 'spec.__proto__', message: 'must not be used as a key' },
      { reason: 'FieldValueForbidden', field: 'spec.list[0].constructor', message: 'must not be used as a key' },
      { reason: 'FieldValueForbidden', field: 'spec.prototype', message: 'must not be used as a key' },
    ]);
    expect(findForbiddenKey(value)).toBe('spec.__proto__');
    expect(findForbiddenKey({ spec: 1 })).toBeUndefined();
  });

  it('refuses half a surrogate pair in a key', () => {
    expect(checkJson({ a: { 'x\ud800': 1 } })).toMatchObject([{ field: 'a', reason: 'FieldValueInvalid' }]);
  });

  it('accepts objects without a prototype, and those of another realm', () => {
    expect(checkJson(Object.assign(Object.create(null) as object, { a: 1 }))).toEqual([]);
    expect(checkJson(runInNewContext('({ a: [1, { b: 2 }] })'))).toEqual([]);
    expect(checkJson(runInNewContext('new Date(0)'))).toHaveLength(1);
  });

  it('refuses what has members that are not its own', () => {
    const bare = Object.assign(Object.create(null) as object, { a: 1 });
    for (const parent of [bare, { a: 1 }, Object.create(bare) as object])
      expect(checkJson({ spec: Object.create(parent) as object })).toMatchObject([{ field: 'spec' }]);
  });

  it('accepts nesting up to the limit and refuses it beyond', () => {
    expect(checkJson(nested(MAX_DEPTH))).toEqual([]);
    expect(checkJson(nested(MAX_DEPTH + 1))).toMatchObject([{ message: `must not be nested deeper than ${MAX_DEPTH} levels` }]);
  });

  it('does not overflow on ten thousand levels', () => {
    expect(checkJson(nested(10_000))).toHaveLength(1);
  });

  it('refuses a value that contains itself', () => {
    const value: { self?: unknown; list: unknown[] } = { list: [] };
    value.list.push(value);
    expect(checkJson(value)).toMatchObject([{ field: 'list[0]', message: 'must not contain itself' }]);
  });

  it('ends soon on a value that shares its parts exponentially', () => {
    let value: unknown = 1;
    for (let i = 0; i < 100; i++) value = { a: value, b: value };
    expect(checkJson(value)).toMatchObject([{ reason: 'FieldValueTooMany' }]);
  });

  it('names at most twenty causes', () => {
    expect(checkJson(Array.from({ length: 1000 }, () => 1n))).toHaveLength(20);
  });

  it('answers anything with causes, never with a throw', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true, withObjectString: true }),
        (value) => {
          for (const cause of checkJson(value))
            expect(cause).toMatchObject({ reason: expect.stringMatching(/^FieldValue/), field: expect.any(String) });
        },
      ),
    );
  });
});
