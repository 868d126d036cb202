/**
 * Values made fit for messages: control characters escaped, long texts cut, never more than one line.
 */

const LONGEST = 80;
// C0, DEL, C1, line and paragraph separators, bidirectional overrides, surrogates without a partner, byte order mark.
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;

function escapeOne(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** `text` with what would break a log line or a terminal escaped, cut after `longest` characters. */
export function printable(text: string, longest: number = LONGEST): string {
  const cut = text.length > longest ? `${text.slice(0, longest)}...` : text;
  return cut.replace(UNPRINTABLE, escapeOne);
}

/** How a value is shown in a message: texts quoted, containers by their kind, never their content. */
export function show(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return `"${printable(value).replaceAll('"', '\\"')}"`;
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'bigint':
      return 'a bigint';
    case 'function':
      return 'a function';
    case 'symbol':
      return 'a symbol';
    case 'object':
      return value === null ? 'null' : Array.isArray(value) ? 'an array' : 'an object';
  }
}

/** `a`, `a or b`, `a, b or c`; cut after `limit` entries. */
export function alternatives(values: readonly unknown[], limit = 20): string {
  const shown = values.slice(0, limit).map(show);
  if (values.length > limit) return `${shown.join(', ')} or ${values.length - limit} more`;
  const last = shown.pop();
  return shown.length === 0 ? (last ?? '') : `${shown.join(', ')} or ${last}`;
}
