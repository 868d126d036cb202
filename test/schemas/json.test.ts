import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cloneJson, equalJson, freezeJson, Sealed } from '../../src/schemas/index.js';
import { plainJson } from './arbitraries.js';

function sealed(id: string): Sealed<string> {
  return new Sealed({ id, open: () => `value of ${id}` });
}

describe('cloneJson', () => {
  it('gives what structuredClone gives, for any JSON', () => {
    fc.assert(fc.property(plainJson, (value) => isDeepStrictEqual(cloneJson(value), structuredClone(value))));
  });

  it('shares no object and no list with what it copies', () => {
    fc.assert(
      fc.property(plainJson, (value) => {
        const originals = new Set(containersOf(value));
        return containersOf(cloneJson(value)).every((container) => !originals.has(container));
      }),
    );
  });

  it('copies frozen values into ones that can be changed', () => {
    const copy = cloneJson(freezeJson({ spec: { list: [{ a: 1 }] } })) as { spec: { list: { a: number }[] } };
    copy.spec.list[0]!.a = 2;
    copy.spec.list.push({ a: 3 });
    expect(copy).toEqual({ spec: { list: [{ a: 2 }, { a: 3 }] } });
  });

  it('drops properties that are undefined, and keeps null', () => {
    const copy = cloneJson({ a: undefined, b: null, c: { d: undefined } });
    expect(Object.keys(copy)).toEqual(['b', 'c']);
    expect(Object.keys(copy.c)).toEqual([]);
  });

  it('keeps the order of keys', () => {
    expect(Object.keys(cloneJson({ z: 1, a: 2, m: 3 }))).toEqual(['z', 'a', 'm']);
  });

  it('keeps an own key __proto__ as an own key and never sets a prototype', () => {
    const copy = cloneJson(JSON.parse('{"a":{"__proto__":{"polluted":true}}}') as { a: object });
    expect(Object.getPrototypeOf(copy.a)).toBe(Object.prototype);
    expect(Object.keys(copy.a)).toEqual(['__proto__']);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('shares seals', () => {
    const seal = sealed('1');
    expect(cloneJson({ data: { password: seal } }).data.password).toBe(seal);
    expect(cloneJson(seal)).toBe(seal);
  });

  it('gives scalars back as they are', () => {
    for (const value of [null, true, 0, 'x', undefined]) expect(cloneJson(value)).toBe(value);
  });
});

describe('equalJson', () => {
  it('agrees with isDeepStrictEqual, for any two JSON values', () => {
    fc.assert(fc.property(plainJson, plainJson, (a, b) => equalJson(a, b) === isDeepStrictEqual(a, b)));
  });

  it('tells any value and its copy equal', () => {
    fc.assert(fc.property(plainJson, (value) => equalJson(value, structuredClone(value))));
  });

  it('tells a value and a copy with one change apart', () => {
    fc.assert(
      fc.property(plainJson, fc.nat(), (value, pick) => {
        const copy = structuredClone({ root: value });
        const containers = containersOf(copy);
        const target = containers[pick % containers.length] as Record<string, unknown>;
        target['an added key'] = 1;
        // A key added to a list is no part of its JSON.
        return Array.isArray(target) || !equalJson({ root: value }, copy);
      }),
    );
  });

  it('does not look at the order of keys', () => {
    expect(equalJson({ a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 })).toBe(true);
  });

  it('takes an undefined property for an absent one, on either side', () => {
    expect(equalJson({ a: 1, b: undefined }, { a: 1 })).toBe(true);
    expect(equalJson({ a: 1 }, { a: 1, b: undefined })).toBe(true);
    expect(equalJson({ a: undefined, b: 1 }, { b: 1, c: undefined })).toBe(true);
    expect(equalJson({ a: undefined }, { a: null })).toBe(false);
    expect(equalJson({ a: 1, b: undefined }, { a: 1, c: 2 })).toBe(false);
  });

  it('does not take inherited names for own ones', () => {
    expect(equalJson({ toString: 1 }, { valueOf: 1 })).toBe(false);
    expect(equalJson(JSON.parse('{"__proto__":{}}'), { a: 1 })).toBe(false);
    expect(equalJson(JSON.parse('{"__proto__":{}}'), {})).toBe(false);
    expect(equalJson(JSON.parse('{"__proto__":{"a":1}}'), JSON.parse('{"__proto__":{"a":1}}'))).toBe(true);
  });

  it('tells lists and objects apart', () => {
    expect(equalJson([], {})).toBe(false);
    expect(equalJson({}, [])).toBe(false);
    expect(equalJson({ 0: 'a' }, ['a'])).toBe(false);
    expect(equalJson([1, 2], [2, 1])).toBe(false);
    expect(equalJson(null, {})).toBe(false);
  });

  it('compares seals by their content, never by opening them', () => {
    const closed = (id: string): Sealed =>
      new Sealed({
        id,
        open: () => {
          throw new Error('opened');
        },
      });
    expect(equalJson({ a: closed('1') }, { a: closed('1') })).toBe(true);
    expect(equalJson({ a: closed('1') }, { a: closed('2') })).toBe(false);
    expect(equalJson({ a: closed('1') }, { a: '1' })).toBe(false);
    expect(equalJson({ a: {} }, { a: closed('1') })).toBe(false);
  });
});

describe('freezeJson', () => {
  it('freezes every object and list, and gives back the same value', () => {
    fc.assert(
      fc.property(plainJson, (value) => {
        const copy = structuredClone(value);
        return freezeJson(copy) === copy && containersOf(copy).every(Object.isFrozen);
      }),
    );
  });

  it('makes a write throw at the writing line', () => {
    const frozen = freezeJson({ spec: { scale: 1 } }) as { spec: { scale: number } };
    expect(() => {
      frozen.spec.scale = 2;
    }).toThrow(TypeError);
  });

  it('does not visit again what is frozen already', () => {
    const inner = { a: { b: 1 } };
    Object.freeze(inner);
    freezeJson({ inner });
    expect(Object.isFrozen(inner.a)).toBe(false);
  });

  it('leaves seals and scalars alone', () => {
    const seal = sealed('1');
    expect(freezeJson({ seal }).seal.reveal()).toBe('value of 1');
    expect(freezeJson(null)).toBeNull();
  });
});

function containersOf(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value, ...Object.values(value).flatMap(containersOf)];
}
