/**
 * The values of one seal as text, and back.
 *
 * Invariants: `parseValues` of the bytes of `textOf(values)` equals the values as JSON gives them. Secrets are mostly texts: those
 * are put one behind the other with their lengths (UTF-16 units) in front, which costs a quarter of quoting them; anything else is
 * JSON. What is parsed is held by nobody: each text is a copy (a slice of V8 holds the whole), and no pattern, whose last subject
 * anybody can ask for, sees any of it.
 */
import { isAscii } from 'node:buffer';
import { isWellFormedText } from '../../schemas/index.js';

/** Begins a list of texts; JSON of a list begins with a bracket. */
const TEXTS = 'T';
const BEGIN = 0x54;
const ZERO = 0x30;
const COMMA = 0x2c;
const END = 0x3b;

export function textOf(values: readonly unknown[]): string {
  let lengths = TEXTS;
  let texts = '';
  for (const value of values) {
    // A lone surrogate has no UTF-8; JSON escapes it.
    if (typeof value !== 'string' || !isWellFormedText(value)) return JSON.stringify(values);
    lengths += `${value.length},`;
    texts += value;
  }
  return `${lengths};${texts}`;
}

/** @throws {SyntaxError} when the bytes are not of a text that `textOf` gave; it may quote them */
export function parseValues(bytes: Buffer): unknown[] {
  if (bytes[0] !== BEGIN) return JSON.parse(bytes.toString('utf8')) as unknown[];
  const { lengths, end } = readLengths(bytes);
  const values: string[] = [];
  let byte = end;
  if (isAscii(bytes)) {
    for (const length of lengths) values.push(bytes.toString('latin1', byte, (byte += length)));
  } else {
    const text = bytes.toString('utf8', end);
    let unit = 0;
    for (const length of lengths) {
      const from = byte;
      byte += Buffer.byteLength(text.slice(unit, (unit += length)));
      values.push(bytes.toString('utf8', from, byte));
    }
  }
  if (byte !== bytes.length) throw new SyntaxError('the lengths of a list of texts are not those of the texts');
  return values;
}

/** Where the lengths end, and what they are. Byte by byte: it is all that is looked at of most that is opened. */
function readLengths(bytes: Buffer): { readonly lengths: readonly number[]; readonly end: number } {
  const lengths: number[] = [];
  let at = 1;
  for (; bytes[at] !== END; at += 1) {
    let length = 0;
    const from = at;
    for (; isDigit(bytes[at]); at += 1) length = length * 10 + (bytes[at]! - ZERO);
    if (at === from || bytes[at] !== COMMA) throw new SyntaxError('a list of texts does not begin with their lengths');
    lengths.push(length);
  }
  return { lengths, end: at + 1 };
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= ZERO + 9;
}
