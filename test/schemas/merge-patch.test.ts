import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { equalJson, mergePatch, Sealed } from '../../src/schemas/index.js';
import { plainJson } from './arbitraries.js';

// The table of RFC 7386, appendix A, row by row.
const VECTORS: readonly (readonly [original: string, patch: string, result: string])[] = [
  ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
  ['{"a":"b"}', '{"a":null}', '{}'],
  ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
  ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
  ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
  ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
  ['["a","b"]', '["c","d"]', '["c","d"]'],
  ['{"a":"b"}', '["c"]', '["c"]'],
  ['{"a":"foo"}', 'null', 'null'],
  ['{"a":"foo"}', '"bar"', '"bar"'],
  ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
  ['[1,2]', '{"a":"b","c":null}', '{"a":"b"}'],
  ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
];

describe('mergePatch', () => {
  it.each(VECTORS)('turns %s with %s into %s', (original, patch, result) => {
    expect(JSON.stringify(mergePatch(JSON.parse(original), JSON.parse(patch)))).toBe(result);
  });

  it('gives the example of RFC 7386, section 3', () => {
    const target = {
      title: 'Goodbye!',
      author: { givenName: 'John', familyName: 'Doe' },
      tags: ['example', 'sample'],
      content: 'This will be unchanged',
    };
    const patch = { title: 'Hello!', phoneNumber: '+01-123-456-7890', author: { familyName: null }, tags: ['example'] };
    expect(mergePatch(target, patch)).toEqual({
      title: 'Hello!',
      author: { givenName: 'John' },
      tags: ['example'],
      content: 'This will be unchanged',
      phoneNumber: '+01-123-456-7890',
    });
  });

  it('follows the algorithm of the RFC, for any target and patch', () => {
    fc.assert(
      fc.property(plainJson, plainJson, (target, patch) => equalJson(mergePatch(target, patch), byTheBook(structuredClone(target), patch))),
    );
  });

  it('changes nothing a second time', () => {
    fc.assert(
      fc.property(plainJson, plainJson, (target, patch) => {
        const once = mergePatch(target, patch);
        return equalJson(mergePatch(once, patch), once);
      }),
    );
  });

  it('leaves target and patch as they were, and shares nothing with them', () => {
    fc.assert(
      fc.property(plainJson, plainJson, (target, patch) => {
        const before = JSON.stringify([target, patch]);
        scribble(mergePatch(target, patch));
        return JSON.stringify([target, patch]) === before;
      }),
    );
  });

  it('keeps the order of the target’s keys', () => {
    expect(Object.keys(mergePatch({ a: 1, b: 2, c: 3 }, { c: 4, d: 5, a: 6 }) as object)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('takes undefined in a patch for absent', () => {
    expect(mergePatch({ a: 1 }, { a: undefined, b: undefined })).toEqual({ a: 1 });
  });

  it('sets no prototype, whatever the keys', () => {
    const result = mergePatch({}, JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}')) as object;
    expect(Object.getPrototypeOf(result)).toBe(Object.prototype);
    expect(Object.keys(result)).toEqual(['__proto__', 'constructor']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('replaces a seal and keeps the ones beside it', () => {
    const seal = new Sealed({ id: '1', open: () => 'x' });
    const result = mergePatch({ data: { a: seal, b: seal } }, { data: { a: 'new' } }) as { data: { a: unknown; b: unknown } };
    expect(result.data.a).toBe('new');
    expect(result.data.b).toBe(seal);
  });
});

function byTheBook(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result = (typeof target === 'object' && target !== null && !Array.isArray(target) ? target : {}) as Record<string, unknown>;
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = byTheBook(Object.hasOwn(result, name) ? result[name] : undefined, value);
  }
  return result;
}

function scribble(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  Object.values(value).forEach(scribble);
  if (Array.isArray(value)) value.push('scribbled');
  else (value as Record<string, unknown>)['scribbled'] = true;
}
