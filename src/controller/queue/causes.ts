/**
 * Why a key is to run, bounded: the first cause, the latest few, and how many between them were dropped.
 *
 * Invariant: one cause alone is stored as itself, without a list around it; most keys never have more.
 */
import { queueDefaults } from './defaults.js';

/** Two causes or more. */
export class CauseList {
  readonly causes: unknown[];
  dropped = 0;

  constructor(first: unknown, second: unknown) {
    this.causes = [first, second];
  }

  push(cause: unknown): void {
    if (this.causes.length >= queueDefaults.causesKept) {
      this.causes.splice(1, 1);
      this.dropped += 1;
    }
    this.causes.push(cause);
  }
}

/** What is stored once `cause` has joined `stored`; `undefined` is no cause. */
export function mergeCause(stored: unknown, cause: unknown): unknown {
  if (stored === undefined) return cause;
  if (stored instanceof CauseList) {
    stored.push(cause);
    return stored;
  }
  return new CauseList(stored, cause);
}

const none: readonly never[] = Object.freeze([]);

/** What is stored, as a list: first cause first. */
export function causesOf<Cause>(stored: unknown): readonly Cause[] {
  if (stored === undefined) return none;
  return (stored instanceof CauseList ? stored.causes : [stored]) as readonly Cause[];
}

/** How many causes are missing from `causesOf(stored)`. */
export function droppedOf(stored: unknown): number {
  return stored instanceof CauseList ? stored.dropped : 0;
}
