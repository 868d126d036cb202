import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cloneJson, ConflictError, InvalidError } from '../../../src/schemas/index.js';
import { applyJsonPatch, MAX_JSON_PATCH_COPY, MAX_JSON_PATCH_OPERATIONS } from '../../../src/store/patch/index.js';
import { anyJsonPatch } from './any-patch.js';

type Outcome = { readonly expected: unknown } | { readonly fails: 'conflict' | 'invalid' };
type Vector = { readonly title: string; readonly document: unknown; readonly patch: unknown } & Outcome;

/** RFC 6902, appendix A. A.13 repeats a member of one object, which a parsed patch cannot show. */
const appendixA: readonly Vector[] = [
  {
    title: 'A.1 adds an object member',
    document: { foo: 'bar' },
    patch: [{ op: 'add', path: '/baz', value: 'qux' }],
    expected: { baz: 'qux', foo: 'bar' },
  },
  {
    title: 'A.2 adds an array element',
    document: { foo: ['bar', 'baz'] },
    patch: [{ op: 'add', path: '/foo/1', value: 'qux' }],
    expected: { foo: ['bar', 'qux', 'baz'] },
  },
  {
    title: 'A.3 removes an object member',
    document: { baz: 'qux', foo: 'bar' },
    patch: [{ op: 'remove', path: '/baz' }],
    expected: { foo: 'bar' },
  },
  {
    title: 'A.4 removes an array element',
    document: { foo: ['bar', 'qux', 'baz'] },
    patch: [{ op: 'remove', path: '/foo/1' }],
    expected: { foo: ['bar', 'baz'] },
  },
  {
    title: 'A.5 replaces a value',
    document: { baz: 'qux', foo: 'bar' },
    patch: [{ op: 'replace', path: '/baz', value: 'boo' }],
    expected: { baz: 'boo', foo: 'bar' },
  },
  {
    title: 'A.6 moves a value',
    document: { foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
    patch: [{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }],
    expected: { foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } },
  },
  {
    title: 'A.7 moves an array element',
    document: { foo: ['all', 'grass', 'cows', 'eat'] },
    patch: [{ op: 'move', from: '/foo/1', path: '/foo/3' }],
    expected: { foo: ['all', 'cows', 'eat', 'grass'] },
  },
  {
    title: 'A.8 tests a value: success',
    document: { baz: 'qux', foo: ['a', 2, 'c'] },
    patch: [
      { op: 'test', path: '/baz', value: 'qux' },
      { op: 'test', path: '/foo/1', value: 2 },
    ],
    expected: { baz: 'qux', foo: ['a', 2, 'c'] },
  },
  {
    title: 'A.9 tests a value: error',
    document: { baz: 'qux' },
    patch: [{ op: 'test', path: '/baz', value: 'bar' }],
    fails: 'conflict',
  },
  {
    title: 'A.10 adds a nested member object',
    document: { foo: 'bar' },
    patch: [{ op: 'add', path: '/child', value: { grandchild: {} } }],
    expected: { foo: 'bar', child: { grandchild: {} } },
  },
  {
    title: 'A.11 ignores unrecognized elements',
    document: { foo: 'bar' },
    patch: [{ op: 'add', path: '/baz', value: 'qux', xyz: 123 }],
    expected: { foo: 'bar', baz: 'qux' },
  },
  {
    title: 'A.12 refuses to add to a target that is not there',
    document: { foo: 'bar' },
    patch: [{ op: 'add', path: '/baz/bat', value: 'qux' }],
    fails: 'invalid',
  },
  {
    title: 'A.14 unescapes ~ in the right order',
    document: { '/': 9, '~1': 10 },
    patch: [{ op: 'test', path: '/~01', value: 10 }],
    expected: { '/': 9, '~1': 10 },
  },
  {
    title: 'A.15 tells strings and numbers apart',
    document: { '/': 9, '~1': 10 },
    patch: [{ op: 'test', path: '/~01', value: '10' }],
    fails: 'conflict',
  },
  {
    title: 'A.16 adds an array value',
    document: { foo: ['bar'] },
    patch: [{ op: 'add', path: '/foo/-', value: ['abc', 'def'] }],
    expected: { foo: ['bar', ['abc', 'def']] },
  },
];

const further: readonly Vector[] = [
  { title: 'replaces the whole document', document: { a: 1 }, patch: [{ op: 'replace', path: '', value: [2] }], expected: [2] },
  { title: 'tests the whole document', document: { a: [1] }, patch: [{ op: 'test', path: '', value: { a: [1] } }], expected: { a: [1] } },
  { title: 'sets a member to null', document: {}, patch: [{ op: 'add', path: '/a', value: null }], expected: { a: null } },
  { title: 'replaces a null', document: { a: null }, patch: [{ op: 'replace', path: '/a', value: 1 }], expected: { a: 1 } },
  { title: 'copies a null', document: { a: null }, patch: [{ op: 'copy', from: '/a', path: '/b' }], expected: { a: null, b: null } },
  { title: 'removes a member with an empty name', document: { '': 1, a: 2 }, patch: [{ op: 'remove', path: '/' }], expected: { a: 2 } },
  {
    title: 'takes a number as a member name',
    document: { 1: 'a' },
    patch: [{ op: 'add', path: '/01', value: 'b' }],
    expected: { 1: 'a', '01': 'b' },
  },
  { title: 'moves to the same place', document: { a: [1] }, patch: [{ op: 'move', from: '/a/0', path: '/a/0' }], expected: { a: [1] } },
  {
    title: 'reads the target of a move after the removal',
    document: [{ n: 0 }, { n: 1 }, { n: 2 }],
    patch: [{ op: 'move', from: '/0', path: '/1/x' }],
    expected: [{ n: 1 }, { n: 2, x: { n: 0 } }],
  },
  {
    title: 'compares objects whatever the order of their keys',
    document: { o: { a: 1, b: 2 } },
    patch: [{ op: 'test', path: '/o', value: { b: 2, a: 1 } }],
    expected: { o: { a: 1, b: 2 } },
  },
  { title: 'fails a test of a missing member', document: {}, patch: [{ op: 'test', path: '/a', value: null }], fails: 'conflict' },
  {
    title: 'fails a test of lists in another order',
    document: { a: [1, 2] },
    patch: [{ op: 'test', path: '/a', value: [2, 1] }],
    fails: 'conflict',
  },
  { title: 'refuses a test without a value', document: {}, patch: [{ op: 'test', path: '/a' }], fails: 'invalid' },
  { title: 'refuses an add without a value', document: {}, patch: [{ op: 'add', path: '/a' }], fails: 'invalid' },
  { title: 'refuses an unknown operation', document: {}, patch: [{ op: 'merge', path: '/a', value: 1 }], fails: 'invalid' },
  { title: 'refuses an operation that is no object', document: {}, patch: ['add'], fails: 'invalid' },
  { title: 'refuses a missing path', document: {}, patch: [{ op: 'add', value: 1 }], fails: 'invalid' },
  { title: 'refuses a missing from', document: { a: 1 }, patch: [{ op: 'copy', path: '/b' }], fails: 'invalid' },
  { title: 'refuses a pointer without a leading slash', document: { a: 1 }, patch: [{ op: 'remove', path: 'a' }], fails: 'invalid' },
  { title: 'refuses a wrong escape', document: { '~2': 1 }, patch: [{ op: 'remove', path: '/~2' }], fails: 'invalid' },
  { title: 'refuses to remove what is not there', document: {}, patch: [{ op: 'remove', path: '/a' }], fails: 'invalid' },
  { title: 'refuses to remove the whole document', document: {}, patch: [{ op: 'remove', path: '' }], fails: 'invalid' },
  { title: 'refuses to replace what is not there', document: {}, patch: [{ op: 'replace', path: '/a', value: 1 }], fails: 'invalid' },
  { title: 'refuses an index with a leading zero', document: [1, 2], patch: [{ op: 'replace', path: '/01', value: 3 }], fails: 'invalid' },
  { title: 'refuses an index that is a word', document: [1, 2], patch: [{ op: 'replace', path: '/first', value: 3 }], fails: 'invalid' },
  { title: 'refuses an index below zero', document: [1, 2], patch: [{ op: 'remove', path: '/-1' }], fails: 'invalid' },
  { title: 'refuses an index past the end', document: [1], patch: [{ op: 'add', path: '/2', value: 3 }], fails: 'invalid' },
  { title: 'refuses to copy past the end', document: [1], patch: [{ op: 'copy', from: '/0', path: '/5' }], fails: 'invalid' },
  { title: 'refuses to remove the element after the last', document: [1], patch: [{ op: 'remove', path: '/-' }], fails: 'invalid' },
  { title: 'refuses the length of an array', document: [1, 2], patch: [{ op: 'remove', path: '/length' }], fails: 'invalid' },
  {
    title: 'refuses to move an object into itself',
    document: { a: { b: 1 } },
    patch: [{ op: 'move', from: '/a', path: '/a/b/c' }],
    fails: 'invalid',
  },
  {
    title: 'refuses to move an element into the one that takes its place',
    document: [{}, {}],
    patch: [{ op: 'move', from: '/0', path: '/0/x' }],
    fails: 'invalid',
  },
  {
    title: 'refuses to set a prototype',
    document: {},
    patch: [{ op: 'add', path: '/__proto__', value: { polluted: 1 } }],
    fails: 'invalid',
  },
  { title: 'refuses to add below a text', document: { a: 'text' }, patch: [{ op: 'add', path: '/a/b', value: 1 }], fails: 'invalid' },
  { title: 'refuses inherited members', document: {}, patch: [{ op: 'copy', from: '/toString', path: '/a' }], fails: 'invalid' },
  {
    title: 'refuses a path into the prototype',
    document: {},
    patch: [{ op: 'add', path: '/__proto__/polluted', value: 1 }],
    fails: 'invalid',
  },
  {
    title: 'refuses a path into the constructor',
    document: {},
    patch: [{ op: 'add', path: '/constructor/prototype/polluted', value: 1 }],
    fails: 'invalid',
  },
  {
    title: 'refuses a value with a key __proto__',
    document: {},
    patch: [{ op: 'add', path: '/a', value: JSON.parse('{"__proto__":{"polluted":1}}') as unknown }],
    fails: 'invalid',
  },
  { title: 'refuses a value that is no JSON', document: {}, patch: [{ op: 'add', path: '/a', value: () => 1 }], fails: 'invalid' },
  { title: 'refuses a patch that is no array', document: {}, patch: { op: 'add', path: '/a', value: 1 }, fails: 'invalid' },
];

describe('applyJsonPatch', () => {
  for (const [group, vectors] of [
    ['RFC 6902 appendix A', appendixA],
    ['further cases', further],
  ] as const) {
    describe(group, () => {
      for (const vector of vectors) {
        it(vector.title, () => {
          const before = JSON.stringify(vector.document);
          if ('expected' in vector) {
            expect(applyJsonPatch(vector.document, vector.patch)).toEqual(vector.expected);
          } else {
            expect(() => applyJsonPatch(vector.document, vector.patch)).toThrow(vector.fails === 'conflict' ? ConflictError : InvalidError);
          }
          expect(JSON.stringify(vector.document)).toBe(before);
          expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
        });
      }
    });
  }

  it('changes nothing of the document when its last operation fails', () => {
    const document = { list: [1, 2], name: 'a' };
    const patch = [
      { op: 'add', path: '/list/-', value: 3 },
      { op: 'remove', path: '/name' },
      { op: 'test', path: '/list', value: [] },
    ];
    expect(() => applyJsonPatch(document, patch)).toThrow(ConflictError);
    expect(document).toEqual({ list: [1, 2], name: 'a' });
  });

  it('works on a frozen document and gives one that the caller may change', () => {
    const document = Object.freeze({ list: Object.freeze([1]) });
    const result = applyJsonPatch(document, [{ op: 'add', path: '/other', value: 1 }]) as { list: number[] };
    result.list.push(2);
    expect(document.list).toEqual([1]);
  });

  it('shares nothing with the patch', () => {
    const value = { deep: [1] };
    const result = applyJsonPatch({}, [{ op: 'add', path: '/a', value }]) as { a: { deep: number[] } };
    result.a.deep.push(2);
    expect(value.deep).toEqual([1]);
  });

  it('names the index and the path of the operation that is wrong', () => {
    const patch = [
      { op: 'add', path: '/a', value: 1 },
      { op: 'remove', path: '/spec/missing' },
    ];
    const error = thrown(() => applyJsonPatch({}, patch));
    expect(error).toBeInstanceOf(InvalidError);
    expect((error as InvalidError).message).toContain('operation 1 (remove /spec/missing)');
    expect((error as InvalidError).causes).toEqual([
      { reason: 'FieldValueInvalid', field: 'patch[1]', message: expect.stringContaining('/spec/missing') as string },
    ]);
  });

  it('tells no value in its errors, which may be secrets', () => {
    for (const patch of [
      [{ op: 'test', path: '/data/password', value: 'hunter2' }],
      [{ op: 'add', path: '/data/password/deeper', value: 'hunter2' }],
      [{ op: 'move', from: '/data/password', path: '/nowhere/else' }],
    ]) {
      const error = thrown(() => applyJsonPatch({ data: { password: 'correct horse' } }, patch)) as InvalidError;
      const told = `${error.message} ${JSON.stringify(error.toStatus())}`;
      expect(told).not.toContain('hunter2');
      expect(told).not.toContain('correct horse');
    }
  });

  it('keeps control characters and long pointers out of its messages', () => {
    const error = thrown(() => applyJsonPatch({}, [{ op: 'remove', path: `/a\n\u001b[31m${'x'.repeat(10_000)}` }])) as Error;
    expect(error.message).not.toMatch(/[\u0000-\u001f]/);
    expect(error.message.length).toBeLessThan(300);
  });

  it('bounds the number of operations', () => {
    const operation = { op: 'test', path: '', value: 1 };
    expect(
      applyJsonPatch(
        1,
        Array.from({ length: MAX_JSON_PATCH_OPERATIONS }, () => operation),
      ),
    ).toBe(1);
    expect(() =>
      applyJsonPatch(
        1,
        Array.from({ length: MAX_JSON_PATCH_OPERATIONS + 1 }, () => operation),
      ),
    ).toThrow(InvalidError);
  });

  it('bounds what copies add up to, so that doubling a list does not fill the memory', () => {
    const patch = Array.from({ length: 60 }, () => ({ op: 'copy', from: '/a', path: '/a/-' }));
    expect(() => applyJsonPatch({ a: ['x'.repeat(100)] }, patch)).toThrow(String(MAX_JSON_PATCH_COPY));
  });

  it('gives back the document when what was added is removed again (property)', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.string(), fc.jsonValue(), (entries, key, value) => {
        const document = cloneJson(entries) as Record<string, unknown>;
        fc.pre(!Object.hasOwn(document, key) && !['__proto__', 'constructor', 'prototype'].includes(key));
        fc.pre(!/"(?:__proto__|constructor|prototype)"/.test(JSON.stringify([document, value])));
        const path = `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
        const result = applyJsonPatch(document, [
          { op: 'add', path, value },
          { op: 'test', path, value },
          { op: 'remove', path },
        ]);
        expect(result).toEqual(document);
      }),
      { numRuns: 300 },
    );
  });

  it('throws nothing but its two errors, whatever it is given, and never pollutes a prototype (property)', () => {
    expect(() => anyJsonPatch(1000)).not.toThrow();
  });
});

function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
