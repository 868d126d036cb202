/** `scaling_operation`: take a service to another scale, at once or step by step. It can be cancelled and nothing else. */
import { defineResource } from '../define.js';
import type { ResourceOf } from '../definition.js';
import { onlyCancelled } from './operation-rules.js';

export const ScalingOperation = defineResource({
  kind: 'ScalingOperation',
  type: 'scaling_operation',
  shortNames: ['scale'],
  spec: {
    type: 'object',
    required: ['service', 'target'],
    properties: {
      service: { type: 'string', format: 'dns-name', description: 'The name of the service, in the same namespace.' },
      target: { type: 'integer', minimum: 0, maximum: 100000 },
      mode: { type: 'string', enum: ['immediate', 'gradual'], default: 'immediate' },
      step: { type: 'integer', minimum: 1, default: 1, description: 'How many copies a gradual step adds or removes.' },
      interval: { type: 'string', format: 'rune-duration', default: '5s', description: 'The time between gradual steps.' },
      cancelled: { type: 'boolean', default: false, description: 'Set it to stop where the service is.' },
    },
  },
  status: {
    type: 'object',
    properties: {
      phase: { type: 'string', enum: ['pending', 'in_progress', 'completed', 'failed', 'cancelled'] },
      from: { type: 'integer', minimum: 0 },
      current: { type: 'integer', minimum: 0 },
      startedAt: { type: 'string', format: 'date-time' },
      completedAt: { type: 'string', format: 'date-time' },
      lastStepAt: { type: 'string', format: 'date-time' },
      message: { type: 'string' },
    },
  },
  conditions: ['Complete', 'Failed'],
  indexes: { byService: (operation) => operation.spec.service, byPhase: (operation) => operation.status?.phase ?? 'pending' },
  storeIndexes: ['spec.service'],
  columns: [
    { name: 'Service', path: '.spec.service' },
    { name: 'Target', path: '.spec.target' },
    { name: 'Phase', path: '.status.phase' },
  ],
  validate: (next, previous) => onlyCancelled(next.spec, previous?.spec),
});

/** Takes a service to another scale. */
export type ScalingOperation = ResourceOf<typeof ScalingOperation>;
