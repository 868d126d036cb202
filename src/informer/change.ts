/**
 * One change as handlers are told it. A change is made once and shared by all handlers, waiting or not; it is never altered.
 */

/** What is told of a deletion. */
export interface Deletion {
  readonly finalStateUnknown: boolean;
  /** The revision of the deletion; undefined: it was not seen. */
  readonly resourceVersion: string | undefined;
}

/** A deletion that was found by listing again. */
export const unseenDeletion: Deletion = Object.freeze({ finalStateUnknown: true, resourceVersion: undefined });

/** A deletion that a watch told of, or the object that came after it. Shared by all handlers, so frozen. */
export function seenDeletion(finalStateUnknown: boolean, resourceVersion: string | undefined): Deletion {
  return Object.freeze({ finalStateUnknown, resourceVersion });
}

export type Change<T> =
  | { readonly type: 'add'; readonly object: T; readonly initial: boolean }
  | { readonly type: 'update'; readonly object: T; readonly previous: T }
  | { readonly type: 'delete'; readonly object: T; readonly deletion: Deletion };

/** What waits for a handler: changes, and marks between them. */
export type Item<T> =
  | Change<T>
  | { readonly type: 'bookmark'; readonly resourceVersion: string }
  /** Everything that was there at the start lies before this mark. */
  | { readonly type: 'synced' };
