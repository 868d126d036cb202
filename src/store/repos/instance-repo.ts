/** The repo of instances: the general verbs, and the lists that an orchestrator asks for. */
import { Instance, Service } from '../../schemas/index.js';
import type { ListOptions, ListResult, Store, WriteOptions } from '../types.js';
import { bind } from './binding.js';
import { repo } from './repo.js';
import type { Repo, RepoAddress, RepoOptions } from './types.js';

/** Where an instance is in its life. */
export type InstancePhase = NonNullable<NonNullable<Instance['status']>['phase']>;
/** What else of the status is set together with a phase. */
export type InstanceStatusFields = Partial<Omit<NonNullable<Instance['status']>, 'phase' | 'conditions' | 'observedGeneration'>>;

/** Bounds of these lists: everything but the field selector, which they use themselves. */
export type InstanceListOptions = Omit<ListOptions<Instance>, 'fieldSelector'>;

/** Instances. */
export interface InstanceRepo extends Repo<typeof Instance> {
  /**
   * The instances of a service: those in its namespace that name it. Of a service given as a resource, those of an earlier
   * service of the same name are left out.
   */
  listByService(service: RepoAddress<typeof Service>, options?: InstanceListOptions): Promise<ListResult<Instance>>;
  /** The instances in a phase. */
  listByStatus(
    phase: InstancePhase,
    options?: InstanceListOptions & { readonly namespace?: string | undefined },
  ): Promise<ListResult<Instance>>;
  /** The instances on a node. */
  listByNode(node: string, options?: InstanceListOptions & { readonly namespace?: string | undefined }): Promise<ListResult<Instance>>;
  /** Sets the phase, and status fields with it, and leaves the rest of the status. */
  updatePhase(
    address: RepoAddress<typeof Instance>,
    phase: InstancePhase,
    fields?: InstanceStatusFields,
    options?: WriteOptions,
  ): Promise<Instance>;
}

export function createInstanceRepo(store: Store, options: RepoOptions = {}): InstanceRepo {
  const base = repo(store, Instance, options);
  const services = bind(store, Service, options);
  return Object.freeze({
    ...base,
    async listByService(service: RepoAddress<typeof Service>, list: InstanceListOptions = {}) {
      const { namespace, name, uid } = await services.locate(service);
      const { filter } = list;
      const ofThisOne = (instance: Instance): boolean =>
        uid === undefined || instance.spec.serviceUid === undefined || instance.spec.serviceUid === uid;
      return base.list({
        ...list,
        namespace,
        fieldSelector: { 'spec.service': name },
        filter: filter === undefined ? ofThisOne : (instance) => ofThisOne(instance) && filter(instance),
      });
    },
    listByStatus: (phase: InstancePhase, list: InstanceListOptions & { readonly namespace?: string | undefined } = {}) =>
      base.list({ ...list, fieldSelector: { 'status.phase': phase } }),
    listByNode: (node: string, list: InstanceListOptions & { readonly namespace?: string | undefined } = {}) =>
      base.list({ ...list, fieldSelector: { 'spec.node': node } }),
    updatePhase: (
      address: RepoAddress<typeof Instance>,
      phase: InstancePhase,
      fields: InstanceStatusFields = {},
      write: WriteOptions = {},
    ) =>
      base.mutate(
        address,
        (instance) => {
          instance.status = { restarts: 0, ...instance.status, ...fields, phase };
        },
        { ...write, subresource: 'status' },
      ),
  });
}
