/** All types that every store knows. */
import type { AnyDefinition } from '../definition.js';
import { Config } from './config.js';
import { DeletionOperation } from './deletion-operation.js';
import { Event } from './event.js';
import { Instance } from './instance.js';
import { Lease } from './lease.js';
import { Namespace } from './namespace.js';
import { ScalingOperation } from './scaling-operation.js';
import { Secret } from './secret.js';
import { Service } from './service.js';

export const builtinTypes: readonly AnyDefinition[] = Object.freeze([
  Namespace,
  Service,
  Instance,
  ScalingOperation,
  DeletionOperation,
  Secret,
  Config,
  Lease,
  Event,
]);
