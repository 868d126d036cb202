import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseValues, textOf } from '../../../src/store/encryption/sealed-values.js';

describe('sealed values', () => {
  const bytes = (text: string): string => Buffer.from(text).toString('utf8');

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

  it('are refused when the text is cut, longer, or none', () => {
    for (const text of ['T', 'T1', 'T1,', 'T1;a', 'T1,;', 'T1,;ab', 'T-1,2,;a', 'T1x,;a', '', '{', '[']) {
      expect(() => parseValues(text), text).toThrow(SyntaxError);
    }
  });
});
