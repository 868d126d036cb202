/**
 * Ordering of lists by field values: stable, absent values last, by text, number or date.
 *
 * Invariant: an order is parsed once, at the edge; only one that is the order of keys may be cut into pages.
 */
import { fieldText, getPath, invalid, parsePath, show } from '../../schemas/index.js';
import type { Cause } from '../../schemas/index.js';
import type { SortBy } from '../types.js';

export interface SortField {
  /** As it was written. */
  readonly text: string;
  readonly path: readonly string[];
  readonly descending: boolean;
  readonly as: 'text' | 'number' | 'date';
}

const NONE: readonly SortField[] = Object.freeze([]);

/** An order as a caller says it; empty: as the keys are. @throws {InvalidError} */
export function parseSort(by: string | SortBy | readonly (string | SortBy)[] | undefined): readonly SortField[] {
  if (by === undefined) return NONE;
  const given: readonly unknown[] = Array.isArray(by) ? by : [by];
  return given.map((field, index) => parseField(field, Array.isArray(by) ? `sortBy[${index}]` : 'sortBy'));
}

function parseField(given: unknown, name: string): SortField {
  const { path, as = 'text', order = 'asc' } = (typeof given === 'string' ? { path: given } : (given ?? {})) as Partial<SortBy>;
  const causes: Cause[] = [];
  if (typeof path !== 'string' || path === '')
    causes.push({
      reason: 'FieldValueRequired',
      field: name,
      message: `must be a path such as "spec.scale", or an object with one; got ${show(given)}`,
    });
  if (as !== 'text' && as !== 'number' && as !== 'date')
    causes.push({ reason: 'FieldValueNotSupported', field: `${name}.as`, message: `must be text, number or date; got ${show(as)}` });
  if (order !== 'asc' && order !== 'desc')
    causes.push({ reason: 'FieldValueNotSupported', field: `${name}.order`, message: `must be asc or desc; got ${show(order)}` });
  if (causes.length > 0) throw invalid('the order of a list', causes);
  return { text: path!, path: parsePath(path!), descending: order === 'desc', as };
}

/** A stably sorted copy of `items`. */
export function sortItems<T>(items: readonly T[], fields: readonly SortField[]): T[] {
  const keyed = items.map((item) => ({ item, values: fields.map((field) => comparable(getPath(item, field.path), field.as)) }));
  keyed.sort((a, b) => {
    for (let index = 0; index < fields.length; index += 1) {
      const left = a.values[index];
      const right = b.values[index];
      if (left === right) continue;
      if (left === undefined) return 1;
      if (right === undefined) return -1;
      const order = left < right ? -1 : 1;
      return fields[index]!.descending ? -order : order;
    }
    return 0;
  });
  return keyed.map(({ item }) => item);
}

/**
 * True when an order is that of the keys, which pages come in: by namespace, then by name. `spaces`: whether what is sorted
 * lies in one namespace, or in several, or some of it in none (which comes first among the keys, and last where it is sorted).
 */
export function isKeyOrder(fields: readonly SortField[], spaces: 'one' | 'several' | 'mixed'): boolean {
  // Of what has the same namespace anyway, that says nothing.
  let bySpace = spaces === 'one';
  for (const { path, descending, as } of fields) {
    const field = path.join('.');
    if (field === 'metadata.namespace' && bySpace) continue;
    if (descending || as !== 'text') return false;
    // Nothing that comes behind the name can matter.
    if (field === 'metadata.name') return bySpace;
    if (field !== 'metadata.namespace' || spaces === 'mixed') return false;
    bySpace = true;
  }
  return true;
}

function comparable(value: unknown, as: SortField['as']): string | number | undefined {
  if (value === undefined || value === null) return undefined;
  switch (as) {
    case 'text':
      return fieldText(value) ?? JSON.stringify(value);
    case 'number': {
      const number = Number(value);
      return Number.isNaN(number) ? undefined : number;
    }
    case 'date': {
      const time = Date.parse(fieldText(value) ?? '');
      return Number.isNaN(time) ? undefined : time;
    }
    default:
      throw new Error(`unknown order ${String(as satisfies never)}`);
  }
}
