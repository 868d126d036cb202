import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SharedStrings } from '../../src/store/shared-strings.js';

describe('SharedStrings', () => {
  it('only ever gives a text that is equal to the one asked for (P)', () => {
    const strings = new SharedStrings();
    const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.stringMatching(/^registry\.example\/team-[0-3]\/app-[0-3]$/));
    fc.assert(
      fc.property(text, (given) => {
        const found = strings.find(given);
        return found === undefined || found === given;
      }),
      { numRuns: 2_000 },
    );
  });

  it('finds a text that was asked for before, and leaves alone what is too short or too long to be worth it', () => {
    const strings = new SharedStrings();
    for (const text of ['0123456789', 'x'.repeat(257)]) {
      expect(strings.find(text)).toBeUndefined();
      expect(strings.find(text)).toBeUndefined();
    }
    for (const text of ['rune.dev/v1', 'y'.repeat(256)]) {
      expect(strings.find(text)).toBeUndefined();
      expect(strings.find(text)).toBe(text);
    }
  });
});
