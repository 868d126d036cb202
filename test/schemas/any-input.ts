/**
 * What is asked of every parser: whatever text it is given, it answers with something that holds together or with its own error.
 * One function for each, for as many inputs as the caller wants.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { InvalidRefError, formatRef, isInvalid, parseFieldSelector, parseLabelSelector, parseRef } from '../../src/schemas/index.js';
import { hostileText } from './arbitraries.js';

const CONTROL = /[\u0000-\u001f]/;

/** References: any text is one that formats and is read back the same, or an InvalidRefError. */
export function anyRef(numRuns: number): void {
  const pieces = fc
    .array(fc.oneof(hostileText, fc.constantFrom('secret', 'prod', 'db', 'id', '-')))
    .map((parts) => `rune://${parts.join('/')}`);
  const holds = (text: string): void => {
    try {
      const ref = parseRef(text);
      assert.deepEqual(parseRef(formatRef(ref)), ref);
    } catch (error) {
      assert.ok(error instanceof InvalidRefError, String(error));
      assert.doesNotMatch(error.message, CONTROL);
    }
  };
  fc.assert(fc.property(fc.oneof(hostileText, pieces), holds), { numRuns });
}

/** Label selectors, and the label values in them: any text has a canonical form, or an InvalidError. */
export function anyLabelSelector(numRuns: number): void {
  const canonical = (input: string): string => parseLabelSelector(input).toString();
  const holds = (input: string): void => {
    try {
      const text = canonical(input);
      assert.equal(canonical(text), text);
    } catch (error) {
      assert.ok(isInvalid(error), String(error));
      assert.doesNotMatch(error.message, CONTROL);
    }
  };
  fc.assert(fc.property(hostileText, holds), { numRuns });
}

/** Field selectors: any text matches `object` or not, or is an InvalidError. */
export function anyFieldSelector(object: object, numRuns: number): void {
  const holds = (input: string): void => {
    try {
      assert.equal(typeof parseFieldSelector(input).matches(object), 'boolean');
    } catch (error) {
      assert.ok(isInvalid(error), String(error));
    }
  };
  fc.assert(fc.property(hostileText, holds), { numRuns });
}
