/**
 * Ordering of lists by field values: stable, absent values last, by text, number or date.
 */
import { BadRequestError, fieldText, getPath } from '../../schemas/index.js';
import type { SortBy } from '../types.js';

type Order = string | SortBy | readonly (string | SortBy)[];

/** A stably sorted copy of `items`. @throws {BadRequestError} for an unknown way to compare */
export function sortItems<T>(items: readonly T[], by: Order): T[] {
  const fields = (Array.isArray(by) ? (by as readonly (string | SortBy)[]) : [by as string | SortBy]).map((field) =>
    typeof field === 'string' ? { path: field } : field,
  );
  for (const field of fields) {
    if (typeof field?.path !== 'string' || field.path === '') throw new BadRequestError('sortBy needs a path such as "spec.scale"');
    if (!['text', 'number', 'date', undefined].includes(field.as))
      throw new BadRequestError(`sortBy.as must be text, number or date, not "${String(field.as)}"`);
    if (!['asc', 'desc', undefined].includes(field.order))
      throw new BadRequestError(`sortBy.order must be asc or desc, not "${String(field.order)}"`);
  }
  const keyed = items.map((item) => ({ item, values: fields.map((field) => comparable(getPath(item, field.path), field.as)) }));
  keyed.sort((a, b) => {
    for (let index = 0; index < fields.length; index += 1) {
      const left = a.values[index];
      const right = b.values[index];
      if (left === right) continue;
      if (left === undefined) return 1;
      if (right === undefined) return -1;
      const order = left < right ? -1 : 1;
      return fields[index]!.order === 'desc' ? -order : order;
    }
    return 0;
  });
  return keyed.map(({ item }) => item);
}

/** The fields an order looks at. */
export function sortPaths(by: Order | undefined): readonly string[] {
  if (by === undefined) return [];
  const fields = Array.isArray(by) ? (by as readonly (string | SortBy)[]) : [by as string | SortBy];
  return fields.map((field) => (typeof field === 'string' ? field : field.path));
}

/** True when an order is by key only, which pages can keep. */
export function isKeyOrder(by: Order): boolean {
  const fields = Array.isArray(by) ? (by as readonly (string | SortBy)[]) : [by as string | SortBy];
  return fields.every((field) => {
    const { path, order, as } = typeof field === 'string' ? { path: field, order: undefined, as: undefined } : field;
    return (path === 'metadata.name' || path === 'metadata.namespace') && order !== 'desc' && (as === undefined || as === 'text');
  });
}

function comparable(value: unknown, as: SortBy['as']): string | number | undefined {
  if (value === undefined || value === null) return undefined;
  switch (as) {
    case undefined:
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
