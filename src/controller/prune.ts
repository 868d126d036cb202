/**
 * Deletes the children that a successful run no longer declared.
 *
 * Invariants: only children that the object controls, only of types the controller said to prune, only after a run that threw
 * nothing. A delete is conditional on the version that was looked at, so that it is the freshest one that was ours: a child that
 * was handed over or released meanwhile, by this run or by somebody else, stays. Caches show the children of earlier runs,
 * since a key does not run on caches older than its own writes.
 */
import { ConflictError, isConflict, isNotFound } from '../schemas/index.js';
import type { DeepReadonly, UnknownResource } from '../schemas/index.js';
import type { StoreVerbs } from '../store/index.js';
import { controllerDefaults } from './defaults.js';
import { keyOf } from './keys.js';
import { controllerOf } from './owners.js';

/** What is pruned. */
export interface PruneTarget {
  readonly store: StoreVerbs;
  readonly types: readonly string[];
  readonly ensured: ReadonlySet<string> | undefined;
  /** The uid of the object whose children they are. */
  readonly owner: string;
  /** What the cache knows of them. */
  children(type: string): readonly Child[];
}

type Child = DeepReadonly<UnknownResource>;

/** Deletes what was not ensured; resolves to how many. */
export async function pruneChildren({ store, types, ensured, owner, children }: PruneTarget): Promise<number> {
  let deleted = 0;
  for (const type of types) {
    for (const child of children(type)) {
      if (ensured?.has(`${type}/${keyOf(child)}`) !== true && (await pruneChild(store, type, { child, owner }))) deleted += 1;
    }
  }
  return deleted;
}

/** True when the child was deleted; false when there is nothing of ours left to delete. */
async function pruneChild(
  store: StoreVerbs,
  type: string,
  { child, owner }: { readonly child: Child; readonly owner: string },
): Promise<boolean> {
  const { namespace, name, uid } = child.metadata;
  let seen = child;
  for (let tries = 1; ; tries += 1) {
    const { resourceVersion, deletionTimestamp } = seen.metadata;
    if (seen.metadata.uid !== uid || deletionTimestamp !== undefined || controllerOf(seen)?.uid !== owner) return false;
    try {
      await store.delete(type, namespace, name, { preconditions: { uid, resourceVersion } });
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      if (!isConflict(error)) throw error;
      if (tries >= controllerDefaults.writeTries) {
        throw new ConflictError(`${type} ${keyOf(child)} could not be pruned: others kept writing to it; it is tried again`, {
          cause: error,
        });
      }
    }
    // The cache was behind: what counts is what is there now.
    try {
      seen = await store.get(type, namespace, name);
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }
}
