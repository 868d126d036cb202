/** JSON patches of any kind, for as many as the caller wants: nothing but the two errors, no harm to the document or to a prototype. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ConflictError, InvalidError } from '../../../src/schemas/index.js';
import { applyJsonPatch } from '../../../src/store/patch/index.js';

export function anyJsonPatch(numRuns: number): void {
  const token = fc.constantFrom(
    '',
    'a',
    'b',
    '0',
    '1',
    '-',
    '01',
    '~0',
    '~',
    '__proto__',
    'constructor',
    'prototype',
    'length',
    'toString',
  );
  const path = fc.oneof(
    fc.array(token, { maxLength: 4 }).map((tokens) => tokens.map((each) => `/${each}`).join('')),
    fc.string(),
    fc.constant(undefined),
  );
  const operation = fc.record(
    {
      op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'other'),
      path,
      from: path,
      value: fc.jsonValue(),
    },
    { requiredKeys: ['op'] },
  );
  const document = fc.oneof(fc.jsonValue(), fc.constant({ a: [{ b: 1 }, [2]], b: { a: null, '': 'x' } }));
  fc.assert(
    fc.property(document, fc.oneof(fc.array(operation, { maxLength: 5 }), fc.anything()), (start, patch) => {
      const before = JSON.stringify(start);
      try {
        applyJsonPatch(start, patch);
      } catch (error) {
        assert.ok(error instanceof InvalidError || error instanceof ConflictError, String(error));
      }
      assert.equal(JSON.stringify(start), before);
      assert.deepEqual(Object.keys(Object.prototype), []);
    }),
    { numRuns },
  );
}
