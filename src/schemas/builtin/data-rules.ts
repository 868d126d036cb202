/** What secrets and configs share: limits, what a key looks like, and `immutable`. */
import type { ResourceLimits, RuleCause } from '../definition.js';
import { equalJson } from '../json.js';

/** Bounds on an object with data: 1 MiB, 1024 keys, 256 bytes a key. */
export const DATA_LIMITS: ResourceLimits = Object.freeze({ objectBytes: 1024 * 1024, keyBytes: 256, keys: 1024 });

/** Keys that can be a file's name. */
export const DATA_KEY = '^[-._a-zA-Z0-9]+$';

interface DataObject {
  readonly data?: object | undefined;
  readonly binaryData?: object | undefined;
  readonly type?: string | undefined;
  readonly immutable?: boolean | undefined;
}

/** Causes for a key in both maps, and for a change of what was declared immutable. */
export function dataRules(next: DataObject, previous: DataObject | undefined): readonly RuleCause[] {
  const causes: RuleCause[] = [];
  for (const key of Object.keys(next.binaryData ?? {})) {
    if (next.data !== undefined && Object.hasOwn(next.data, key)) {
      causes.push({ field: `binaryData["${key}"]`, reason: 'FieldValueDuplicate', message: 'must not be in data too' });
    }
  }
  if (previous?.immutable !== true) return causes;
  const forbid = (field: string, message: string): void => void causes.push({ field, reason: 'FieldValueForbidden', message });
  if (next.immutable !== true) forbid('immutable', 'cannot be unset: delete the object and create it again');
  for (const field of ['data', 'binaryData', 'type'] as const) {
    if (!equalJson(next[field], previous[field]))
      forbid(field, 'cannot be changed: the object is immutable; delete it and create it again');
  }
  return causes;
}
