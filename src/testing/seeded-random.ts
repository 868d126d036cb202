/**
 * Chance that repeats: a xoshiro128** generator whose start is derived from a seed and the name of a stream.
 *
 * Invariants: the same seed and stream give the same numbers on every machine; streams of one seed are independent, so
 * that drawing more from one never shifts another. Not fit for keys outside tests.
 */
import { InvalidError } from '../schemas/index.js';
import type { Random } from '../store/index.js';

/** A repeatable source of numbers and bytes. */
export interface SeededRandom extends Random {
  /** An integer in [0, 2^32). */
  uint32(): number;
  /** An integer in [0, limit); `limit` is at least 1. */
  below(limit: number): number;
  /** `length` bytes. */
  bytes(length: number): Uint8Array;
}

/** Spreads one 32-bit value over all its bits (murmur3's finalizer). */
function mix(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/**
 * Makes the generator of one stream of a seed.
 *
 * @param seed any safe integer.
 * @throws {InvalidError} when the seed is not a safe integer.
 */
export function seededRandom(seed: number, stream = ''): SeededRandom {
  if (!Number.isSafeInteger(seed)) {
    throw new InvalidError(`seed must be a safe integer, but is ${String(seed)}; take a whole number such as 42`);
  }
  let origin = mix(seed >>> 0) ^ mix(Math.floor(seed / 0x1_0000_0000) + 0x9e3779b9);
  for (let i = 0; i < stream.length; i++) origin = mix(Math.imul(origin, 31) + stream.charCodeAt(i) + 1);

  // Four steps of a Weyl sequence through the mixer: at most one of the four words is zero, which is all xoshiro asks.
  const word = (): number => {
    origin = (origin + 0x9e3779b9) >>> 0;
    return mix(origin);
  };
  let a = word();
  let b = word();
  let c = word();
  let d = word();

  const uint32 = (): number => {
    const scrambled = Math.imul(b, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  // 53 bits, as many as a double holds.
  const next = (): number => ((uint32() >>> 5) * 0x400_0000 + (uint32() >>> 6)) / 0x20_0000_0000_0000;

  return {
    next,
    uint32,
    below: (limit) => Math.floor(next() * limit),
    bytes: (length) => {
      const out = new Uint8Array(length);
      let drawn = 0;
      for (let i = 0; i < length; i++) {
        if (i % 4 === 0) drawn = uint32();
        out[i] = drawn & 0xff;
        drawn >>>= 8;
      }
      return out;
    },
  };
}
