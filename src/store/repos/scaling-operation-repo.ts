/** The repo of scaling operations: the general verbs, and those about the operations of one service. */
import { ScalingOperation, Service } from '../../schemas/index.js';
import type { ListResult, Store, WriteOptions } from '../types.js';
import { bind } from './binding.js';
import { activeOf, isFinished } from './operations.js';
import { repo } from './repo.js';
import type { Repo, RepoAddress, RepoOptions } from './types.js';

/** Scaling operations. */
export interface ScalingOperationRepo extends Repo<typeof ScalingOperation> {
  /** All operations of a service, finished ones included. */
  listByService(service: RepoAddress<typeof Service>): Promise<ListResult<ScalingOperation>>;
  /** The operation whose turn it is: the one in progress, else the oldest that waits; undefined when all have finished. */
  active(service: RepoAddress<typeof Service>): Promise<ScalingOperation | undefined>;
  /** Asks for an operation to stop where it is. One that has finished is left as it is. @throws {NotFoundError} */
  cancel(address: RepoAddress<typeof ScalingOperation>, options?: WriteOptions): Promise<ScalingOperation>;
}

export function createScalingOperationRepo(store: Store, options: RepoOptions = {}): ScalingOperationRepo {
  const base = repo(store, ScalingOperation, options);
  const services = bind(store, Service, options);
  const listByService = async (service: RepoAddress<typeof Service>): Promise<ListResult<ScalingOperation>> => {
    const { namespace, name } = await services.locate(service);
    return base.list({ namespace, fieldSelector: { 'spec.service': name } });
  };
  return Object.freeze({
    ...base,
    listByService,
    active: async (service: RepoAddress<typeof Service>) => activeOf(await listByService(service)),
    cancel: (address: RepoAddress<typeof ScalingOperation>, write?: WriteOptions) =>
      base.mutate(
        address,
        (operation) => {
          if (!isFinished(operation)) operation.spec.cancelled = true;
        },
        write,
      ),
  });
}
