/**
 * The values of one seal as text, and back.
 *
 * Invariant: `parseValues(textOf(values))` equals the values as JSON gives them. Secrets are mostly texts: those are put one
 * behind the other with their lengths (UTF-16 units) in front, which costs a quarter of quoting them; anything else is JSON.
 */

/** Begins a list of texts; JSON of a list begins with a bracket. */
const TEXTS = 'T';
const LENGTHS = /^T((?:\d+,)*);/;

export function textOf(values: readonly unknown[]): string {
  let lengths = TEXTS;
  let texts = '';
  for (const value of values) {
    // A lone surrogate has no UTF-8; JSON escapes it.
    if (typeof value !== 'string' || !isWellFormed(value)) return JSON.stringify(values);
    lengths += `${value.length},`;
    texts += value;
  }
  return `${lengths};${texts}`;
}

/** @throws {SyntaxError} when the text is none that `textOf` gave */
export function parseValues(text: string): unknown[] {
  if (!text.startsWith(TEXTS)) return JSON.parse(text) as unknown[];
  const lengths = LENGTHS.exec(text)?.[1];
  if (lengths === undefined) throw new SyntaxError('a list of texts does not begin with their lengths');
  let at = TEXTS.length + lengths.length + 1;
  const values = lengths
    .split(',')
    .slice(0, -1)
    .map((length) => text.slice(at, (at += Number(length))));
  if (at !== text.length) throw new SyntaxError('the lengths of a list of texts are not those of the texts');
  return values;
}

/** `String.prototype.isWellFormed` of ES2024, which Node 20 has and the compiler's library does not. */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}
