import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crcOf } from '../../../src/store/engines/lmdb/crc.js';

describe('crcOf', () => {
  it('gives what zlib gives of the same bytes, wherever they lie and whatever it goes on from (property)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), fc.nat(300), fc.nat(0xffff_ffff), (bytes, from, to, before) => {
        const start = Math.min(from, to, bytes.length);
        const end = Math.min(Math.max(from, to), bytes.length);
        // Of nothing at all zlib gives 0.
        expect(crcOf(bytes, start, end, before)).toBe(start === end ? before : crc32(bytes.subarray(start, end), before));
      }),
    );
  });
});
