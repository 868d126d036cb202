/** The types that are always known. */
export { Config } from './config.js';
export { DeletionOperation } from './deletion-operation.js';
export { Event, Event as RuneEvent } from './event.js';
export { Instance } from './instance.js';
export { Lease } from './lease.js';
export { Namespace } from './namespace.js';
export { ScalingOperation } from './scaling-operation.js';
export { Secret } from './secret.js';
export { Service } from './service.js';
export { builtinTypes } from './types.js';
