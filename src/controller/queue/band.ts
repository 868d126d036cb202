/**
 * One priority's list of waiting keys.
 */
import { RowList } from './row-list.js';

/** The keys that wait with one priority, oldest entry first. */
export class Band extends RowList {
  readonly priority: number;

  constructor(priority: number) {
    super();
    this.priority = priority;
  }
}
