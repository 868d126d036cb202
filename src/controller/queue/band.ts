/**
 * One priority's list of waiting keys.
 */
import { NONE } from './key-table.js';

/** The keys that wait with one priority, oldest entry first. */
export class Band {
  readonly priority: number;
  head = NONE;
  tail = NONE;
  size = 0;

  constructor(priority: number) {
    this.priority = priority;
  }
}
