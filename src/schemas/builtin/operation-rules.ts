/** Rules that operations share: what was asked for stands, but for calling it off. */
import type { RuleCause } from '../definition.js';
import { diffPaths } from '../json-path.js';

/** Causes for every change of an operation's spec but `cancelled` from false to true. */
export function onlyCancelled(
  next: { readonly cancelled: boolean },
  previous: { readonly cancelled: boolean } | undefined,
): readonly RuleCause[] {
  if (previous === undefined) return [];
  return diffPaths(previous, next)
    .filter((path) => path !== 'cancelled' || !next.cancelled)
    .map((path) => ({
      field: `spec.${path}`,
      reason: 'FieldValueForbidden',
      message:
        path === 'cancelled'
          ? 'cannot be taken back: create another operation'
          : 'cannot be changed once the operation exists: cancel it and create another',
    }));
}
