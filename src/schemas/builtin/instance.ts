/** `instance`: one running copy of a service. */
import { defineResource } from '../define.js';
import type { ResourceOf } from '../definition.js';

export const Instance = defineResource({
  kind: 'Instance',
  shortNames: ['inst'],
  spec: {
    type: 'object',
    required: ['service', 'image'],
    properties: {
      service: { type: 'string', format: 'dns-name', description: 'The name of the service, in the same namespace.' },
      serviceUid: { type: 'string', maxLength: 128 },
      image: { type: 'string', minLength: 1, maxLength: 1024 },
      node: { type: 'string', format: 'dns-name' },
      index: { type: 'integer', minimum: 0, description: 'Which copy this is.' },
      env: { type: 'object', additionalProperties: { type: 'string' } },
      command: { type: 'array', items: { type: 'string' } },
      args: { type: 'array', items: { type: 'string' } },
      startupTime: { type: 'string', format: 'rune-duration' },
      stopTime: { type: 'string', format: 'rune-duration' },
    },
  },
  status: {
    type: 'object',
    properties: {
      phase: { type: 'string', enum: ['Pending', 'Starting', 'Running', 'Stopping', 'Stopped', 'Failed'] },
      startedAt: { type: 'string', format: 'date-time' },
      readyAt: { type: 'string', format: 'date-time' },
      stoppedAt: { type: 'string', format: 'date-time' },
      message: { type: 'string' },
      pid: { type: 'integer', minimum: 0 },
      ip: { type: 'string', maxLength: 64 },
      containerId: { type: 'string', maxLength: 256 },
      exitCode: { type: 'integer' },
      restarts: { type: 'integer', minimum: 0, default: 0 },
    },
  },
  conditions: ['Ready'],
  indexes: {
    byService: (instance) => instance.spec.service,
    byNode: (instance) => instance.spec.node,
    byPhase: (instance) => instance.status?.phase,
  },
  storeIndexes: ['spec.service'],
  columns: [
    { name: 'Service', path: '.spec.service' },
    { name: 'Phase', path: '.status.phase' },
    { name: 'Node', path: '.spec.node' },
  ],
  history: false,
});

/** One running copy of a service. */
export type Instance = ResourceOf<typeof Instance>;
