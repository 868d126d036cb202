/** The one place that looks at Kubernetes' own types: types only, by the deep path, since the package does not load on Node 20. */
export type { V1Condition } from '@kubernetes/client-node/dist/gen/models/V1Condition.js';
export type { V1ObjectMeta } from '@kubernetes/client-node/dist/gen/models/V1ObjectMeta.js';
export type { V1OwnerReference } from '@kubernetes/client-node/dist/gen/models/V1OwnerReference.js';
