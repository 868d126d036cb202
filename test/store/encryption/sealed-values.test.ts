import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseValues, textOf } from '../../../src/store/encryption/sealed-values.js';

describe('sealed values', () => {
  const bytes = (text: string): Buffer => Buffer.from(text);

  it('come back as JSON gives them, whatever they are', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (values) => {
        expect(parseValues(bytes(textOf(values)))).toEqual(JSON.parse(JSON.stringify(values)));
      }),
    );
  });

  it('come back when they are all texts: empty, with the marks of the list in them, outside the basic plane, with lone surrogates', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('', ';', ',', 'T1,;', '[', '\ufeff', '\ud800', 'a\udc00'),
    );
    fc.assert(
      fc.property(fc.array(text), (values) => {
        expect(parseValues(bytes(textOf(values)))).toEqual(values);
      }),
    );
  });

  it('are held by nobody who has one of them', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const kept: unknown[] = [];
    const used = (): number => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = used();
    // Of two bytes a character where they are not ASCII.
    for (let count = 0; count < 100; count += 1)
      kept.push(
        parseValues(bytes(textOf([`a short one of some length ${count}`, 'k'.repeat(500_000), count % 2 === 0 ? 'ß' : '\u20ac'])))[0],
      );
    expect(used() - before).toBeLessThan(10_000_000);
    expect(kept).toHaveLength(100);
  });

  it('are not the last thing that a pattern has looked at, for which anybody can ask', () => {
    parseValues(bytes(textOf(['hunter2', 'secret'])));
    const { input } = RegExp as unknown as { readonly input: string };
    expect(input).not.toContain('hunter2');
  });

  it('are refused when the text is cut, longer, or none', () => {
    for (const text of ['T', 'T1', 'T1,', 'T1;a', 'T1,;', 'T1,;ab', 'T-1,2,;a', 'T1x,;a', '', '{', '[']) {
      expect(() => parseValues(bytes(text)), text).toThrow(SyntaxError);
    }
  });
});
