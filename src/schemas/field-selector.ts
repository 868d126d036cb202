/**
 * Field selectors: `metadata.name=a,spec.node!=n1`, over any path.
 *
 * Invariants:
 * - `parseFieldSelector(selector.toString())` selects the same; `\`, `,` and `=` in a value are written with a `\` before.
 * - A field that is absent or null compares as the empty text, as in Kubernetes; an object, a list and a seal equal no text.
 */
import { invalid } from './errors.js';
import { getPath, parsePath } from './json-path.js';
import { show } from './text.js';

/** One requirement on one field. */
export interface FieldRequirement {
  /** For example `spec.node`. */
  readonly path: string;
  readonly operator: '=' | '!=';
  readonly value: string;
}

/** A parsed field selector. */
export interface FieldSelector {
  readonly requirements: readonly FieldRequirement[];
  /** True when it selects everything. */
  readonly empty: boolean;
  matches(object: object): boolean;
  /** The canonical text. */
  toString(): string;
}

function fail(input: unknown, message: string): never {
  throw invalid(`field selector ${show(input)}`, [{ reason: 'FieldValueInvalid', field: 'fieldSelector', message }]);
}

/**
 * The selector that a text, or a map from path to value, describes.
 *
 * @throws {InvalidError} that says where the fault is
 * @example parseFieldSelector('metadata.name=a,spec.node!=n1')
 */
export function parseFieldSelector(input: string | Readonly<Record<string, string>>): FieldSelector {
  if (typeof input === 'string') return createFieldSelector(readTerms(input));
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    return fail(input, `must be a text or an object; got ${show(input)}`);
  const requirements: FieldRequirement[] = [];
  for (const path of Object.keys(input)) {
    const value: unknown = input[path];
    if (value === undefined) continue;
    if (typeof value !== 'string') fail(input, `must be a text for ${show(path)}; got ${show(value)}`);
    requirements.push({ path: canonicalPath(path, 1, input), operator: '=', value });
  }
  return createFieldSelector(requirements);
}

function readTerms(text: string): FieldRequirement[] {
  const requirements: FieldRequirement[] = [];
  if (text.trim() === '') return requirements;
  let at = 0;
  while (at <= text.length) {
    const term = readTerm(text, at);
    requirements.push(term.requirement);
    at = term.end + 1;
  }
  return requirements;
}

function readTerm(text: string, start: number): { requirement: FieldRequirement; end: number } {
  const operatorAt = findOperator(text, start);
  if (operatorAt === -1) return fail(text, `at character ${start + 1}: expected path=value, path==value or path!=value`);
  const operator = text[operatorAt] === '!' ? '!=' : '=';
  const valueAt = operatorAt + (operator === '!=' || text[operatorAt + 1] === '=' ? 2 : 1);
  const path = canonicalPath(text.slice(start, operatorAt).trim(), start + 1, text);
  let value = '';
  let end = valueAt;
  for (; end < text.length && text[end] !== ','; end++) {
    const character = text[end] as string;
    if (character === '=') fail(text, `at character ${end + 1}: write "=" inside a value as \\=`);
    if (character !== '\\') {
      value += character;
      continue;
    }
    const escaped = text[++end];
    if (escaped !== '\\' && escaped !== ',' && escaped !== '=')
      fail(text, `at character ${end}: "\\" must be followed by "\\", "," or "="`);
    value += escaped;
  }
  return { requirement: { path, operator, value }, end };
}

/** Where the operator of the term begins, brackets in its path skipped; -1 when it has none. */
function findOperator(text: string, start: number): number {
  let quote = '';
  for (let i = start; i < text.length; i++) {
    const character = text[i] as string;
    if (quote !== '') {
      if (character === '\\' && quote === '"') i++;
      else if (character === quote) quote = '';
    } else if ((character === '"' || character === "'") && text[i - 1] === '[') quote = character;
    else if (character === '=' || (character === '!' && text[i + 1] === '=')) return i;
    else if (character === ',') return -1;
  }
  return -1;
}

function canonicalPath(path: string, position: number, input: unknown): string {
  try {
    parsePath(path);
    return path.startsWith('.') ? path.slice(1) : path;
  } catch (error) {
    return fail(input, `at character ${position}: ${show(path)} is not a path such as spec.node (${(error as Error).message})`);
  }
}

function createFieldSelector(parsed: readonly FieldRequirement[]): FieldSelector {
  const byText = new Map(parsed.map((requirement) => [formatTerm(requirement), Object.freeze({ ...requirement })]));
  const entries = [...byText].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const requirements = Object.freeze(entries.map(([, requirement]) => requirement));
  const paths = requirements.map((requirement) => parsePath(requirement.path));
  const text = entries.map(([line]) => line).join(',');
  return Object.freeze({
    requirements,
    empty: requirements.length === 0,
    matches(object: object): boolean {
      for (let i = 0; i < requirements.length; i++) {
        const { operator, value } = requirements[i] as FieldRequirement;
        if ((fieldText(getPath(object, paths[i] as string[])) === value) !== (operator === '=')) return false;
      }
      return true;
    },
    toString: () => text,
  });
}

/** How a field compares: a scalar as its text, absent and null as the empty text; undefined for what equals no text. */
export function fieldText(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
    case 'boolean':
      return String(value);
    case 'undefined':
      return '';
    default:
      return value === null ? '' : undefined;
  }
}

function formatTerm({ path, operator, value }: FieldRequirement): string {
  return `${path}${operator}${value.replace(/[\\,=]/g, '\\$&')}`;
}
