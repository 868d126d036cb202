/** The repo of deletion operations: the general verbs, and those about the operations on one object. */
import { DeletionOperation } from '../../schemas/index.js';
import type { Store, WriteOptions } from '../types.js';
import { activeOf, isFinished } from './operations.js';
import { repo } from './repo.js';
import type { Repo, RepoAddress, RepoOptions } from './types.js';

/** What an operation deletes: an object in the operation's own namespace. */
export interface DeletionTarget {
  readonly namespace: string;
  /** An exact type name. */
  readonly type: string;
  readonly name: string;
}

/** Deletion operations. */
export interface DeletionOperationRepo extends Repo<typeof DeletionOperation> {
  /** All operations on an object, finished ones included. */
  listByTarget(target: DeletionTarget): Promise<DeletionOperation[]>;
  /** The operation whose turn it is: the one in progress, else the oldest that waits; undefined when all have finished. */
  active(target: DeletionTarget): Promise<DeletionOperation | undefined>;
  /** Asks for an operation to stop; what it has deleted stays deleted. One that has finished is left as it is. @throws {NotFoundError} */
  cancel(address: RepoAddress<typeof DeletionOperation>, options?: WriteOptions): Promise<DeletionOperation>;
}

export function createDeletionOperationRepo(store: Store, options?: RepoOptions): DeletionOperationRepo {
  const base = repo(store, DeletionOperation, options);
  const listByTarget = async ({ namespace, type, name }: DeletionTarget): Promise<DeletionOperation[]> => {
    const { items } = await base.list({
      namespace,
      filter: ({ spec }) =>
        spec.service === undefined ? spec.target?.type === type && spec.target.name === name : type === 'service' && spec.service === name,
    });
    return items;
  };
  return Object.freeze({
    ...base,
    listByTarget,
    active: async (target: DeletionTarget) => activeOf(await listByTarget(target)),
    cancel: (address: RepoAddress<typeof DeletionOperation>, write?: WriteOptions) =>
      base.mutate(
        address,
        (operation) => {
          if (!isFinished(operation)) operation.spec.cancelled = true;
        },
        write,
      ),
  });
}
