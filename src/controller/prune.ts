/**
 * Deletes the children that a successful run no longer declared.
 *
 * Invariants: only children that the object controls (by uid), only of types the controller said to prune, only after a run
 * that threw nothing; each delete is conditional on the child's uid. Caches show the children of earlier runs, since a key
 * does not run on caches older than its own writes.
 */
import { isConflict, isNotFound } from '../schemas/index.js';
import type { DeepReadonly, UnknownResource } from '../schemas/index.js';
import type { StoreVerbs } from '../store/index.js';
import { keyOf } from './keys.js';

/** What is pruned. */
export interface PruneTarget {
  readonly store: StoreVerbs;
  readonly types: readonly string[];
  readonly ensured: ReadonlySet<string> | undefined;
  children(type: string): readonly DeepReadonly<UnknownResource>[];
}

/** Deletes what was not ensured; resolves to how many. */
export async function pruneChildren({ store, types, ensured, children }: PruneTarget): Promise<number> {
  let deleted = 0;
  for (const type of types) {
    for (const child of children(type)) {
      const { namespace, name, uid, deletionTimestamp } = child.metadata;
      if (deletionTimestamp !== undefined || ensured?.has(`${type}/${keyOf(child)}`) === true) continue;
      try {
        await store.delete(type, namespace, name, { preconditions: { uid } });
        deleted += 1;
      } catch (error) {
        // Gone, or made anew by another: both leave nothing to prune.
        if (!isNotFound(error) && !isConflict(error)) throw error;
      }
    }
  }
  return deleted;
}
