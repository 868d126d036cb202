export { repo } from './repo.js';
export type {
  Change,
  ConditionInput,
  Ensured,
  EnsureOptions,
  MutateOptions,
  Repo,
  RepoAddress,
  RepoOptions,
  RepoVerbs,
  WaitOptions,
  WaitPredicate,
} from './types.js';
export { setConditionIn } from './set-condition.js';
export type { ConditionMoment } from './set-condition.js';
export type { DataDefinition, DataRepo } from './data-repo.js';
export { createConfigRepo } from './config-repo.js';
export type { ConfigRepo } from './config-repo.js';
export { createDeletionOperationRepo } from './deletion-operation-repo.js';
export type { DeletionOperationRepo, DeletionTarget } from './deletion-operation-repo.js';
export { createInstanceRepo } from './instance-repo.js';
export type { InstanceListOptions, InstancePhase, InstanceRepo, InstanceStatusFields } from './instance-repo.js';
export { createNamespaceRepo } from './namespace-repo.js';
export type { NamespaceRepo, NamespaceState } from './namespace-repo.js';
export { createScalingOperationRepo } from './scaling-operation-repo.js';
export type { ScalingOperationRepo } from './scaling-operation-repo.js';
export { createSecretRepo } from './secret-repo.js';
export type { SecretRepo } from './secret-repo.js';
export { createServiceRepo } from './service-repo.js';
export type { ServiceRepo, ServiceScale, UpdateScaleOptions } from './service-repo.js';
