/**
 * What callers hand in for sensitive places: plain values, seals, and by mistake the text that a seal prints as.
 *
 * Invariant: the input is never changed; what holds no seal is shared with the result.
 */
import { MAX_DEPTH, SEALED_TEXT, Sealed, joinPath } from '../../schemas/index.js';
import type { Cause } from '../../schemas/index.js';
import { childOf, mapLeaves } from './sensitive-paths.js';
import type { LeafVisitor, PathNode } from './sensitive-paths.js';

/** False for what `taking` certainly leaves as it is, and says nothing about. */
export function needsTaking(value: unknown): boolean {
  return value === SEALED_TEXT || (typeof value === 'object' && value !== null);
}

/** Plain values of what a caller hands in; the text of a seal among them is noted. */
export function taking(causes: Cause[]): LeafVisitor {
  return (value, trail) => {
    findMarks(value, trail, causes);
    return plainOf(value);
  };
}

export function reveal(value: unknown): unknown {
  return plainOf(value);
}

/** Seals replaced by what they hold, also inside a value that is sensitive as a whole. */
export function plainOf(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Sealed.is(value)) return value.reveal();
  // What is nested deeper, or contains itself, is refused by the check of the input, which comes after this.
  if (depth > MAX_DEPTH) return value;
  if (Array.isArray(value)) {
    let items: unknown[] | undefined;
    value.forEach((item, index) => {
      const next = plainOf(item, depth + 1);
      if (next !== item) (items ??= value.slice())[index] = next;
    });
    return items ?? value;
  }
  let copy: Record<string, unknown> | undefined;
  for (const key of Object.keys(value)) {
    const before = (value as Record<string, unknown>)[key];
    const next = plainOf(before, depth + 1);
    if (next !== before && key !== '__proto__') (copy ??= { ...value })[key] = next;
  }
  return copy ?? value;
}

/** The text of a seal in the place of a value, or inside it: somebody wrote back what was printed. */
export function findMarks(value: unknown, trail: readonly (string | number)[], causes: Cause[]): void {
  if (!holdsMark(value)) return;
  const be = value === SEALED_TEXT ? 'be' : 'hold';
  causes.push({
    reason: 'FieldValueInvalid',
    field: fieldOf(trail),
    message: `must not ${be} the text ${SEALED_TEXT}, which stands for a value that was not shown: write the value, its seal, or leave the field out`,
  });
}

function holdsMark(value: unknown, depth = 0): boolean {
  if (typeof value === 'string') return value === SEALED_TEXT;
  if (typeof value !== 'object' || value === null || Sealed.is(value) || depth > MAX_DEPTH) return false;
  return Object.values(value).some((item) => holdsMark(item, depth + 1));
}

/** The values of a JSON patch, each seen from the place that its operation names. */
export function acceptOperations(
  root: PathNode,
  operations: readonly unknown[],
  visit: (value: unknown, trail: readonly (string | number)[]) => unknown,
): unknown[] {
  return operations.map((operation) => {
    if (typeof operation !== 'object' || operation === null) return operation;
    const { path, value } = operation as { path?: unknown; value?: unknown };
    if (typeof path !== 'string' || value === undefined || !path.startsWith('/')) return operation;
    const trail = path
      .slice(1)
      .split('/')
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
    let node: PathNode | undefined = root;
    for (const segment of trail) {
      if (node === undefined || node.leaf) break;
      node = childOf(node, segment);
    }
    if (node === undefined) return operation;
    const next = mapLeaves(node, value, visit, [...trail]);
    return next === value ? operation : { ...operation, value: next };
  });
}

export function fieldOf(trail: readonly (string | number)[]): string {
  let field = '';
  for (const segment of trail) field = joinPath(field, segment);
  return field;
}
