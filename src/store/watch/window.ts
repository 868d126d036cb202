/**
 * The edge of what is kept: reads and watches that begin below it are refused, with the revision from which they can.
 */
import { ExpiredError } from '../../schemas/index.js';

/** @throws {ExpiredError} when revision `since` lies below what is kept. */
export function checkWindow(since: number, compacted: number, current: number): void {
  if (since >= compacted) return;
  throw new ExpiredError(`revision ${since} is older than what is kept (from ${compacted} on): list again and watch from there`, {
    compactedRevision: String(compacted),
    currentRevision: String(current),
  });
}
