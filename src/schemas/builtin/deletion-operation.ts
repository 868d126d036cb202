/** `deletion_operation`: delete an object and what hangs on it, and show how far that is. */
import { defineResource } from '../define.js';
import type { ResourceOf } from '../definition.js';
import { onlyCancelled } from './operation-rules.js';

export const DeletionOperation = defineResource({
  kind: 'DeletionOperation',
  type: 'deletion_operation',
  spec: {
    type: 'object',
    properties: {
      service: {
        type: 'string',
        format: 'dns-name',
        description: 'The name of a service, in the same namespace. Short for a target of that type.',
      },
      target: {
        type: 'object',
        required: ['type', 'name'],
        properties: {
          type: { type: 'string', minLength: 1, maxLength: 128 },
          name: { type: 'string', format: 'dns-name' },
          uid: { type: 'string', maxLength: 128, description: 'Only this one, not a later one of the same name.' },
        },
      },
      propagation: { type: 'string', enum: ['background', 'foreground', 'orphan'], default: 'foreground' },
      dryRun: { type: 'boolean', default: false, description: 'Count only.' },
      timeout: { type: 'string', format: 'rune-duration' },
      cancelled: { type: 'boolean', default: false },
    },
  },
  status: {
    type: 'object',
    properties: {
      phase: { type: 'string', enum: ['pending', 'in_progress', 'completed', 'failed', 'cancelled'] },
      total: { type: 'integer', minimum: 0 },
      deleted: { type: 'integer', minimum: 0 },
      failed: { type: 'integer', minimum: 0 },
      startedAt: { type: 'string', format: 'date-time' },
      completedAt: { type: 'string', format: 'date-time' },
      message: { type: 'string' },
    },
  },
  conditions: ['Complete', 'Failed'],
  indexes: { byService: (operation) => operation.spec.service, byPhase: (operation) => operation.status?.phase ?? 'pending' },
  columns: [
    { name: 'Service', path: '.spec.service' },
    { name: 'Deleted', path: '.status.deleted' },
    { name: 'Phase', path: '.status.phase' },
  ],
  validate(next, previous) {
    const { service, target } = next.spec;
    if ((service === undefined) === (target === undefined)) {
      return [{ field: 'spec', reason: 'FieldValueRequired', message: 'must name either a service or a target' }];
    }
    return onlyCancelled(next.spec, previous?.spec);
  },
});

/** Deletes an object and what hangs on it. */
export type DeletionOperation = ResourceOf<typeof DeletionOperation>;
