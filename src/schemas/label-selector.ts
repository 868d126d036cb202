/**
 * Label selectors: Kubernetes' text syntax and its object form, as one checked, immutable value.
 *
 * Invariants:
 * - `parseLabelSelector(selector.toString())` selects the same; the text is canonical: sorted, without duplicates.
 * - As in Kubernetes, `!=` and `notin` also match when the label is absent.
 */
import { invalid, type Cause } from './errors.js';
import { isLabelValue, isQualifiedName, labelValueCauses, qualifiedNameCauses } from './names.js';
import { show } from './text.js';

/** How a requirement judges a label. */
export type SelectorOperator = 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';

/** One requirement; a selector matches when all of its own hold. */
export interface Requirement {
  readonly key: string;
  readonly operator: SelectorOperator;
  /** Sorted, without duplicates; empty for `Exists` and `DoesNotExist`. */
  readonly values: readonly string[];
}

/** The object form of a selector, as manifests write it. */
export interface LabelSelectorObject {
  readonly matchLabels?: Readonly<Record<string, string>> | undefined;
  readonly matchExpressions?:
    | readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] | undefined }[]
    | undefined;
}

/** A parsed label selector. */
export interface Selector {
  readonly requirements: readonly Requirement[];
  /** True when it selects everything. */
  readonly empty: boolean;
  matches(labels: Readonly<Record<string, string>> | undefined): boolean;
  /** The canonical text. */
  toString(): string;
}

const OPERATORS: ReadonlySet<string> = new Set<SelectorOperator>(['In', 'NotIn', 'Exists', 'DoesNotExist']);
const FIELD = 'labelSelector';

function fail(input: unknown, message: string, field: string = FIELD): never {
  throw invalid(`label selector ${show(input)}`, [{ reason: 'FieldValueInvalid', field, message }]);
}

/**
 * The selector that a text, an object form, or a plain map of labels describes.
 *
 * @throws {InvalidError} that says where the fault is
 * @example
 * parseLabelSelector('app=web,tier in (a, b),!legacy')
 * parseLabelSelector({ matchLabels: { app: 'web' } })
 * parseLabelSelector({ app: 'web' })
 */
export function parseLabelSelector(input: string | LabelSelectorObject | Readonly<Record<string, string>>): Selector {
  if (typeof input === 'string') return createSelector(new SelectorReader(input).read());
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    return fail(input, `must be a text or an object; got ${show(input)}`);
  return createSelector(isObjectForm(input) ? fromObjectForm(input) : fromLabels(input, FIELD));
}

function isObjectForm(input: object): input is LabelSelectorObject {
  const form = input as LabelSelectorObject;
  return (
    (Object.hasOwn(form, 'matchLabels') && typeof form.matchLabels !== 'string') ||
    (Object.hasOwn(form, 'matchExpressions') && typeof form.matchExpressions !== 'string')
  );
}

function fromLabels(labels: Readonly<Record<string, unknown>>, field: string): Requirement[] {
  return Object.keys(labels)
    .filter((key) => labels[key] !== undefined)
    .map((key) => checked(key, 'In', [labels[key]], field));
}

function fromObjectForm(form: LabelSelectorObject): Requirement[] {
  for (const key of Object.keys(form)) {
    if (key !== 'matchLabels' && key !== 'matchExpressions')
      fail(form, `has the field ${show(key)}; only matchLabels and matchExpressions are known`);
  }
  const { matchLabels, matchExpressions } = form;
  if (matchLabels !== undefined && (typeof matchLabels !== 'object' || matchLabels === null || Array.isArray(matchLabels))) {
    fail(form, `must be an object of texts; got ${show(matchLabels)}`, `${FIELD}.matchLabels`);
  }
  if (matchExpressions !== undefined && !Array.isArray(matchExpressions)) {
    fail(form, `must be a list; got ${show(matchExpressions)}`, `${FIELD}.matchExpressions`);
  }
  const requirements = fromLabels(matchLabels ?? {}, `${FIELD}.matchLabels`);
  for (const [i, expression] of (matchExpressions ?? []).entries())
    requirements.push(fromExpression(expression, `${FIELD}.matchExpressions[${i}]`));
  return requirements;
}

function fromExpression(expression: unknown, field: string): Requirement {
  if (typeof expression !== 'object' || expression === null)
    return fail(expression, `must be { key, operator, values }; got ${show(expression)}`, field);
  const { key, operator, values = [], ...rest } = expression as { key?: unknown; operator?: unknown; values?: unknown };
  if (Object.keys(rest).length > 0)
    fail(expression, `has the field ${show(Object.keys(rest)[0])}; only key, operator and values are known`, field);
  if (typeof operator !== 'string' || !OPERATORS.has(operator))
    return fail(expression, `must be In, NotIn, Exists or DoesNotExist; got ${show(operator)}`, `${field}.operator`);
  if (!Array.isArray(values)) return fail(expression, `must be a list of texts; got ${show(values)}`, `${field}.values`);
  return checked(key, operator as SelectorOperator, values, field);
}

function checked(key: unknown, operator: SelectorOperator, values: readonly unknown[], field: string): Requirement {
  const causes: Cause[] = [];
  if (!isQualifiedName(key))
    causes.push(...qualifiedNameCauses(key, field).map((cause) => ({ ...cause, message: `key ${cause.message}` })));
  for (const value of values) {
    if (!isLabelValue(value))
      causes.push(...labelValueCauses(value, field).map((cause) => ({ ...cause, message: `value of ${show(key)} ${cause.message}` })));
  }
  const wantsValues = operator === 'In' || operator === 'NotIn';
  if (wantsValues && values.length === 0)
    causes.push({ reason: 'FieldValueRequired', field, message: `${operator} needs at least one value for ${show(key)}` });
  if (!wantsValues && values.length > 0)
    causes.push({ reason: 'FieldValueForbidden', field, message: `${operator} takes no values for ${show(key)}` });
  if (causes.length > 0) throw invalid('label selector', causes);
  return { key: key as string, operator, values: [...new Set(values as readonly string[])].sort() };
}

/** The selector of requirements that are checked already. */
export function createSelector(parsed: readonly Requirement[]): Selector {
  const byText = new Map(parsed.map((requirement) => [formatRequirement(requirement), requirement]));
  const entries = [...byText].sort(
    ([, a], [, b]) => compare(a.key, b.key) || compare(a.operator, b.operator) || compare(a.values.join(), b.values.join()),
  );
  const requirements = Object.freeze(
    entries.map(([, requirement]) => Object.freeze({ ...requirement, values: Object.freeze([...requirement.values]) })),
  );
  const text = entries.map(([line]) => line).join(',');
  return Object.freeze({
    requirements,
    empty: requirements.length === 0,
    matches(labels: Readonly<Record<string, string>> | undefined): boolean {
      for (const requirement of requirements) if (!holds(requirement, labels)) return false;
      return true;
    },
    toString: () => text,
  });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function holds(requirement: Requirement, labels: Readonly<Record<string, string>> | undefined): boolean {
  // What a record inherits (`toString`, ...) is never a text.
  const value: unknown = labels?.[requirement.key];
  switch (requirement.operator) {
    case 'In':
      return typeof value === 'string' && requirement.values.includes(value);
    case 'NotIn':
      return typeof value !== 'string' || !requirement.values.includes(value);
    case 'Exists':
      return typeof value === 'string';
    case 'DoesNotExist':
      return typeof value !== 'string';
    default:
      return requirement.operator satisfies never;
  }
}

function formatRequirement({ key, operator, values }: Requirement): string {
  switch (operator) {
    case 'In':
      return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(',')})`;
    case 'NotIn':
      return values.length === 1 ? `${key}!=${values[0]}` : `${key} notin (${values.join(',')})`;
    case 'Exists':
      return key;
    case 'DoesNotExist':
      return `!${key}`;
    default:
      return operator satisfies never;
  }
}

const SPACE = /\s/;
const WORD_END = /[\s,()=!<>]/;

/** Reads the text form, a character at a time. */
class SelectorReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): Requirement[] {
    const requirements: Requirement[] = [];
    this.#skipSpace();
    if (this.#at >= this.#text.length) return requirements;
    for (;;) {
      requirements.push(this.#requirement());
      this.#skipSpace();
      if (this.#at >= this.#text.length) return requirements;
      if (!this.#take(',')) this.#fail('expected "," or the end');
    }
  }

  #requirement(): Requirement {
    this.#skipSpace();
    const absent = this.#take('!');
    this.#skipSpace();
    const keyAt = this.#at;
    const key = this.#word();
    if (!isQualifiedName(key)) {
      this.#at = keyAt;
      this.#fail(key === '' ? 'expected a label key' : `${show(key)} is not a label key`);
    }
    if (absent) return { key, operator: 'DoesNotExist', values: [] };
    this.#skipSpace();
    if (this.#take('!=')) return { key, operator: 'NotIn', values: [this.#value()] };
    if (this.#take('==') || this.#take('=')) return { key, operator: 'In', values: [this.#value()] };
    const operatorAt = this.#at;
    const operator = this.#word();
    if (operator === '') return { key, operator: 'Exists', values: [] };
    if (operator === 'in') return { key, operator: 'In', values: this.#values() };
    if (operator === 'notin') return { key, operator: 'NotIn', values: this.#values() };
    this.#at = operatorAt;
    return this.#fail(`expected =, ==, !=, in, notin, "," or the end; found ${show(operator)}`);
  }

  #value(): string {
    this.#skipSpace();
    const start = this.#at;
    const value = this.#word();
    if (!isLabelValue(value)) {
      this.#at = start;
      this.#fail(`${show(value)} is not a label value: at most 63 letters, digits, "-", "_" and ".", with a letter or digit at both ends`);
    }
    return value;
  }

  #values(): string[] {
    this.#skipSpace();
    if (!this.#take('(')) this.#fail('expected "("');
    const values = new Set<string>();
    do values.add(this.#value());
    while ((this.#skipSpace(), this.#take(',')));
    if (!this.#take(')')) this.#fail('expected "," or ")"');
    return [...values].sort();
  }

  #word(): string {
    const start = this.#at;
    while (this.#at < this.#text.length && !WORD_END.test(this.#text[this.#at] as string)) this.#at++;
    return this.#text.slice(start, this.#at);
  }

  #skipSpace(): void {
    while (this.#at < this.#text.length && SPACE.test(this.#text[this.#at] as string)) this.#at++;
  }

  #take(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #fail(message: string): never {
    return fail(this.#text, `at character ${this.#at + 1}: ${message}`);
  }
}
