/**
 * CRC-32 of a few bytes inside a buffer, as zlib's `crc32` gives it of a whole one. For a key or a header a view and a native
 * call cost more than the bytes do; for a value they do not.
 */

const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

/** The checksum of `bytes` from `start` to before `end`, going on from another checksum. */
export function crcOf(bytes: Uint8Array, start: number, end: number, before: number): number {
  let crc = ~before;
  for (let at = start; at < end; at++) crc = (TABLE[(crc ^ (bytes[at] as number)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}
