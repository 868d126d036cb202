/**
 * Deletes whatever a selector finds, object by object: each delete is a write of its own, as in Kubernetes.
 */
import { isConflict, isNotFound } from '../schemas/index.js';
import type { TypeRegistry } from './registry.js';
import type { CollectionOptions, ListResult, Store, TypeRef } from './types.js';
import { checkOptions } from './verb-options.js';
import type { Stored } from './write/rules.js';

/** How many deletes are under way at once. */
const SLICE = 256;

export async function deleteCollection<T extends TypeRef>(
  { store, registry }: { readonly store: Store; readonly registry: Pick<TypeRegistry, 'resolve'> },
  type: T,
  namespace: string | undefined,
  options: CollectionOptions = {},
): Promise<{ readonly deleted: number; readonly resourceVersion: string }> {
  checkOptions('deleteCollection', options);
  // The list is a read, and would have a definition that came with it remembered.
  if (options.dryRun === true) registry.resolve(type, { remember: 'once written' });
  const { labelSelector, fieldSelector, ...rest } = options;
  const found = (await store.list(type, namespace, { labelSelector, fieldSelector, signal: rest.signal })) as unknown as ListResult<Stored>;
  // What cannot be opened cannot be selected either; without a selector it goes with the rest.
  const locked =
    labelSelector === undefined && fieldSelector === undefined
      ? found.failed.map((each) => ({ metadata: { namespace: each.namespace, name: each.name, uid: undefined } }))
      : [];
  const targets = [...found.items, ...locked];
  let deleted = 0;
  for (let index = 0; index < targets.length; index += SLICE) {
    const outcomes = await Promise.all(
      targets.slice(index, index + SLICE).map(({ metadata }) =>
        store.delete(type, metadata.namespace, metadata.name, { ...rest, preconditions: { uid: metadata.uid } }).then(
          () => 1,
          (error: unknown) => {
            // Gone already is what was asked for, and what was made anew under its name was not.
            if (isNotFound(error) || isConflict(error)) return 0;
            throw error;
          },
        ),
      ),
    );
    for (const outcome of outcomes) deleted += outcome;
  }
  return { deleted, resourceVersion: store.revision };
}
