/**
 * Durations as people write them, in ms.
 */
import { invalid } from './errors.js';
import { show } from './text.js';

type Unit = 'ms' | 's' | 'm' | 'h' | 'd';

/** ms, or a text such as `'250ms'`, `'30s'`, `'5m'`, `'1h30m'`, `'7d'`. */
export type Duration = number | `${number}${Unit}` | `${number}${Unit}${string}${Unit}`;

const UNIT_MS: Readonly<Record<Unit, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const PART = /(\d{1,15}(?:\.\d{1,9})?)(ms|s|m|h|d)/y;
const LONGEST = 64;

/** ms of a duration's text, or undefined when it is not one. */
export function durationMs(text: string): number | undefined {
  if (text === '' || text.length > LONGEST) return undefined;
  let total = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < text.length) {
    const part = PART.exec(text);
    if (part === null) return undefined;
    total += Number(part[1]) * UNIT_MS[part[2] as Unit];
  }
  return total <= Number.MAX_SAFE_INTEGER ? total : undefined;
}

/**
 * The duration in ms.
 *
 * @param name the option it comes from, for the message
 * @throws {InvalidError} naming the option and the value
 * @example parseDuration('1h30m', 'timeout') // 5400000
 */
export function parseDuration(value: number | string, name: string): number {
  if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) return value;
  const ms = typeof value === 'string' ? durationMs(value) : undefined;
  if (ms !== undefined) return ms;
  throw invalid(`option ${name}`, [
    {
      reason: 'FieldValueInvalid',
      field: name,
      message: `must be ms as a number from 0 on, or a text such as "250ms", "30s", "5m", "1h30m", "7d"; got ${show(value)}`,
    },
  ]);
}
