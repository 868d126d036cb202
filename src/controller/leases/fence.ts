/**
 * Writes of a leader carry its fencing token, and the store checks it inside the commit.
 *
 * Invariant: a leader that was frozen past its lease cannot write, because a later taking of the lease has moved the fence.
 */
import { ForbiddenError, isNotFound, Lease } from '../../schemas/index.js';
import type { Fence, Store, Transaction } from '../../store/index.js';
import type { Leadership } from './elector.js';

/** The store as a leader writes to it. */
export function fencedStore(store: Store, leadership: Leadership): Store {
  return store.fenced({ namespace: leadership.namespace, name: leadership.name, token: leadership.token });
}

/**
 * A transaction as who stands behind a fence writes in it. The lease is among what the transaction has read by then, so that the
 * commit holds it against what is there: a taking in between undoes it all, as a renewal does.
 */
export function fencedTransaction(tx: Transaction, fence: Fence): Transaction {
  const stands = (): Promise<void> => assertStands(tx, fence);
  return Object.freeze<Transaction>({
    attempt: tx.attempt,
    get: (type, namespace, name, options) => tx.get(type, namespace, name, options),
    getByUid: (type, uid) => tx.getByUid(type, uid),
    list: (type, namespace, options) => tx.list(type, namespace, options),
    create: async (type, namespace, name, resource, options) => (await stands(), tx.create(type, namespace, name, resource, options)),
    update: async (type, namespace, name, resource, options) => (await stands(), tx.update(type, namespace, name, resource, options)),
    patch: async (type, namespace, name, patch, options) => (await stands(), tx.patch(type, namespace, name, patch, options)),
    apply: async (type, namespace, name, manifest, options) => (await stands(), tx.apply(type, namespace, name, manifest, options)),
    modify: async (type, namespace, name, change, options) => (await stands(), tx.modify(type, namespace, name, change, options)),
    delete: async (type, namespace, name, options) => (await stands(), tx.delete(type, namespace, name, options)),
  });
}

async function assertStands(tx: Transaction, { namespace, name, token }: Fence): Promise<void> {
  const lease = await tx.get(Lease, namespace, name).catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
  const present = lease?.spec.fencingToken;
  if (present === token) return;
  throw new ForbiddenError(
    `the write was refused: lease ${namespace}/${name} was taken by another since (its fencing token is ${present ?? 'gone'}, not ${token}). Stop what runs under it`,
    { details: { type: Lease.type, namespace, name } },
  );
}
