/**
 * The finalizer of a controller: stored before its first side effect, removed after its cleanup succeeded.
 *
 * Invariants: each write is conditional on the version it was computed from and on nothing else; other finalizers keep
 * their order; an object that is gone, or was made anew, needs nothing.
 */
import { ConflictError, isConflict, isNotFound } from '../schemas/index.js';
import type { AnyDefinition, DeepReadonly, UnknownResource } from '../schemas/index.js';
import type { StoreVerbs } from '../store/index.js';
import { controllerDefaults } from './defaults.js';
import type { Run } from './run.js';

/** What is written, and where. */
export interface FinalizerTarget {
  readonly store: StoreVerbs;
  readonly definition: AnyDefinition;
  readonly finalizer: string;
}

type Seen = DeepReadonly<UnknownResource>;

/** Whether the object carries the finalizer. */
export function hasFinalizer(object: Seen, finalizer: string): boolean {
  return object.metadata.finalizers?.includes(finalizer) === true;
}

/**
 * Stores the finalizer on the object as the run sees it; resolves to the revision to wait for.
 *
 * @throws {ConflictError} when the object changed: the run begins again on what is there now.
 */
export async function addFinalizer(run: Run, { store, definition, finalizer }: FinalizerTarget): Promise<string> {
  const { namespace, name, resourceVersion, finalizers = [] } = (run.object as Seen).metadata;
  const written = await run.ownWrite({ type: definition.type, version: resourceVersion }, (receipt) =>
    store.patch(
      definition,
      namespace,
      name,
      { metadata: { resourceVersion, finalizers: [...finalizers, finalizer] } },
      { type: 'merge', source: run.source, receipt },
    ),
  );
  return written.metadata.resourceVersion;
}

/** Removes the finalizer, whatever else changed on the object meanwhile. */
export async function removeFinalizer(run: Run, { store, definition, finalizer }: FinalizerTarget): Promise<void> {
  const seen = run.object as Seen;
  const { namespace, name, uid } = seen.metadata;
  let live: Seen | undefined = !run.wrote ? seen : undefined;
  for (let tries = 1; ; tries += 1) {
    try {
      live ??= await store.get(definition, namespace, name);
      if (live.metadata.uid !== uid || !hasFinalizer(live, finalizer)) return;
      const { resourceVersion } = live.metadata;
      const finalizers = live.metadata.finalizers?.filter((other) => other !== finalizer) ?? [];
      await run.ownWrite({ type: definition.type, version: resourceVersion }, (receipt) =>
        store.patch(
          definition,
          namespace,
          name,
          { metadata: { resourceVersion, finalizers: finalizers.length === 0 ? null : finalizers } },
          { type: 'merge', source: run.source, receipt },
        ),
      );
      return;
    } catch (error) {
      if (isNotFound(error)) return;
      if (!isConflict(error)) throw error;
      if (tries >= controllerDefaults.writeTries) {
        throw new ConflictError(
          `finalizer ${finalizer} could not be removed from ${definition.type} ${run.key}: others kept writing to it; it is tried again`,
          { cause: error },
        );
      }
      live = undefined;
    }
  }
}
