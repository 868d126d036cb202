/**
 * Writes of a leader carry its fencing token, and the store checks it inside the commit.
 *
 * Invariant: a leader that was frozen past its lease cannot write, because a later taking of the lease has moved the fence.
 */
import type { Store } from '../../store/index.js';
import type { Leadership } from './elector.js';

/** The store as a leader writes to it. */
export function fencedStore(store: Store, leadership: Leadership): Store {
  return store.fenced({ namespace: leadership.namespace, name: leadership.name, token: leadership.token });
}
