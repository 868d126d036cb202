/** The repo of services: the general verbs, and the scale. */
import { Service } from '../../schemas/index.js';
import type { Store, WriteOptions } from '../types.js';
import { repo } from './repo.js';
import type { Repo, RepoAddress, RepoOptions } from './types.js';

/** How many instances a service should have, and has. */
export interface ServiceScale {
  readonly desired: number;
  /** As the status says; 0 before it says anything. */
  readonly current: number;
  readonly ready: number;
  /** Of the service: pass it to `updateScale` to change only what was read. */
  readonly resourceVersion: string;
}

export interface UpdateScaleOptions extends WriteOptions {
  /** Only if this is still the service's resourceVersion. */
  readonly resourceVersion?: string | undefined;
}

/** Services. */
export interface ServiceRepo extends Repo<typeof Service> {
  /** @throws {NotFoundError} */
  getScale(address: RepoAddress<typeof Service>): Promise<ServiceScale>;
  /**
   * Sets how many instances are wanted, and nothing else.
   * @throws {InvalidError} for anything but a whole number, 0 or more. @throws {ConflictError} @throws {NotFoundError}
   */
  updateScale(address: RepoAddress<typeof Service>, scale: number, options?: UpdateScaleOptions): Promise<Service>;
}

export function createServiceRepo(store: Store, options?: RepoOptions): ServiceRepo {
  const base = repo(store, Service, options);
  return Object.freeze({
    ...base,
    async getScale(address: RepoAddress<typeof Service>) {
      const { spec, status, metadata } = await base.get(address);
      return {
        desired: spec.scale,
        current: status?.instances ?? 0,
        ready: status?.readyInstances ?? 0,
        resourceVersion: metadata.resourceVersion,
      };
    },
    updateScale(address: RepoAddress<typeof Service>, scale: number, write: UpdateScaleOptions = {}) {
      const { resourceVersion, ...rest } = write;
      const patch = { spec: { scale }, ...(resourceVersion === undefined ? {} : { metadata: { resourceVersion } }) };
      return base.patch(address, patch, { ...rest, type: 'merge' });
    },
  });
}
