import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cloneJson, diffPaths, equalJson, getPath, isInvalid, joinPath, parsePath, Sealed, setPath } from '../../src/schemas/index.js';
import { hostileText, plainJson } from './arbitraries.js';

const object = {
  metadata: { labels: { 'app.kubernetes.io/name': 'web' } },
  spec: { scale: 3, ports: [{ name: 'http' }, { name: 'https' }] },
};

describe('parsePath', () => {
  it.each([
    ['.spec.scale', ['spec', 'scale']],
    ['spec.scale', ['spec', 'scale']],
    ['spec.ports[1].name', ['spec', 'ports', '1', 'name']],
    ['metadata.labels["app.kubernetes.io/name"]', ['metadata', 'labels', 'app.kubernetes.io/name']],
    ["metadata.labels['app.kubernetes.io/name']", ['metadata', 'labels', 'app.kubernetes.io/name']],
    ['data["a\\"b"]', ['data', 'a"b']],
    ['[0]', ['0']],
    ['status.ready-instances', ['status', 'ready-instances']],
  ])('reads %s', (path, segments) => {
    expect(parsePath(path)).toEqual(segments);
  });

  it.each([
    '',
    '.',
    'a..b',
    'a[',
    'a[x]',
    'a["b',
    'a]',
    'a b',
    'spec[0]x',
    '__proto__.x',
    'a.constructor',
    'a["prototype"]',
    'a["\\x"]',
    'a'.repeat(1025),
  ])('refuses %j with an InvalidError', (path) => {
    expect(() => parsePath(path)).toThrow(expect.objectContaining({ reason: 'Invalid' }));
  });

  it('gives segments or an InvalidError for any text', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        try {
          return parsePath(text).every((segment) => typeof segment === 'string');
        } catch (error) {
          return isInvalid(error);
        }
      }),
    );
  });

  it('reads what joinPath writes, for any keys', () => {
    const key = fc
      .oneof(fc.string({ unit: 'grapheme' }), fc.nat(1000))
      .filter((one) => one !== 'constructor' && one !== 'prototype' && one !== '__proto__');
    fc.assert(
      fc.property(fc.array(key, { minLength: 1, maxLength: 5 }), (keys) => {
        const path = keys.reduce<string>((before, next) => joinPath(before, next), '');
        if (path.length <= 1024) expect(parsePath(path)).toEqual(keys.map(String));
      }),
    );
  });
});

describe('getPath', () => {
  it('reads fields, items and quoted keys', () => {
    expect(getPath(object, '.spec.scale')).toBe(3);
    expect(getPath(object, 'spec.ports[1].name')).toBe('https');
    expect(getPath(object, 'metadata.labels["app.kubernetes.io/name"]')).toBe('web');
    expect(getPath(object, ['spec', 'ports', '0'])).toEqual({ name: 'http' });
  });

  it('gives undefined for what is not there, and for what is inherited', () => {
    for (const path of ['spec.x', 'spec.scale.x', 'spec.ports[7]', 'spec.toString', 'spec.ports.push', 'a.b.c']) {
      expect(getPath(object, path)).toBeUndefined();
    }
    expect(getPath(undefined, 'a')).toBeUndefined();
  });

  it('does not look into a seal', () => {
    expect(getPath({ data: new Sealed({ id: 'x', open: () => 'y' }) }, 'data.id')).toBeUndefined();
  });
});

describe('setPath', () => {
  it('sets fields, items and quoted keys, and makes what is missing', () => {
    const draft: Record<string, unknown> = cloneJson(object);
    setPath(draft, '.spec.scale', 5);
    setPath(draft, 'spec.ports[0].name', 'web');
    setPath(draft, 'status.a.b', true);
    setPath(draft, 'metadata.labels["x/y"]', '1');
    expect(draft).toEqual({
      metadata: { labels: { 'app.kubernetes.io/name': 'web', 'x/y': '1' } },
      spec: { scale: 5, ports: [{ name: 'web' }, { name: 'https' }] },
      status: { a: { b: true } },
    });
  });

  it('reads back what it set', () => {
    const key = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((one) => one !== 'constructor' && one !== 'prototype' && one !== '__proto__');
    fc.assert(
      fc.property(fc.array(key, { minLength: 1, maxLength: 4 }), plainJson, (keys, value) => {
        const draft = {};
        setPath(draft, keys, value);
        return getPath(draft, keys) === value;
      }),
    );
  });

  it.each([['spec.scale.x'], ['spec.ports.x'], ['__proto__.x'], ['a.__proto__'], ['constructor.prototype.x']])('refuses %s', (path) => {
    expect(() => setPath(cloneJson(object), path, 1)).toThrow(expect.objectContaining({ reason: 'Invalid' }));
  });

  it('never reaches a prototype, whether by text or by segments', () => {
    for (const path of [
      ['__proto__', 'polluted'],
      ['constructor', 'prototype', 'polluted'],
    ]) {
      expect(() => setPath({}, path, 1)).toThrow(expect.objectContaining({ reason: 'Invalid' }));
    }
    setPath({}, 'toString.polluted', 1);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect((Object.prototype.toString as unknown as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('diffPaths', () => {
  it('names the fields that differ, never the values', () => {
    const next = cloneJson(object) as typeof object & { status?: object };
    next.spec.scale = 4;
    next.spec.ports[1]!.name = 'tls';
    next.metadata.labels['app.kubernetes.io/name'] = 'api';
    next.status = { a: 1 };
    expect(diffPaths(object, next)).toEqual(['metadata.labels["app.kubernetes.io/name"]', 'spec.scale', 'spec.ports[1].name', 'status']);
  });

  it('is empty exactly when the values are equal', () => {
    fc.assert(fc.property(plainJson, plainJson, (a, b) => (diffPaths(a, b).length === 0) === equalJson(a, b)));
    fc.assert(fc.property(plainJson, (a) => diffPaths(a, structuredClone(a)).length === 0));
  });

  it('names items that a list gained or lost', () => {
    expect(diffPaths({ l: [1] }, { l: [1, 2] })).toEqual(['l[1]']);
    expect(diffPaths({ l: [1, 2, 3] }, { l: [1] })).toEqual(['l[1]', 'l[2]']);
  });

  it('stops at the limit', () => {
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, i]));
    expect(diffPaths({}, many)).toHaveLength(50);
    expect(diffPaths({}, many, 3)).toEqual(['k0', 'k1', 'k2']);
  });

  it('compares seals by their content', () => {
    const seal = (id: string): Sealed => new Sealed({ id, open: () => id });
    expect(diffPaths({ data: { a: seal('1'), b: seal('1') } }, { data: { a: seal('1'), b: seal('2') } })).toEqual(['data.b']);
  });
});
