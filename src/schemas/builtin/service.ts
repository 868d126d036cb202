/** `service`: what runs, and how many copies of it. */
import { defineResource } from '../define.js';
import type { ResourceOf } from '../definition.js';

export const Service = defineResource({
  kind: 'Service',
  shortNames: ['svc'],
  spec: {
    type: 'object',
    required: ['image'],
    properties: {
      image: { type: 'string', minLength: 1, maxLength: 1024, description: 'What to run.' },
      scale: { type: 'integer', minimum: 0, maximum: 100000, default: 1, description: 'How many copies to keep running.' },
      ports: {
        type: 'array',
        maxItems: 256,
        'x-list-map-keys': ['port', 'protocol'],
        items: {
          type: 'object',
          required: ['port'],
          properties: {
            name: { type: 'string', format: 'dns-label' },
            port: { type: 'integer', minimum: 1, maximum: 65535 },
            targetPort: { type: 'integer', minimum: 1, maximum: 65535 },
            protocol: { type: 'string', enum: ['TCP', 'UDP'], default: 'TCP' },
          },
        },
      },
      env: { type: 'object', additionalProperties: { type: 'string' }, description: 'Environment of each copy.' },
      command: { type: 'array', items: { type: 'string' }, description: 'Instead of what the image runs.' },
      args: { type: 'array', items: { type: 'string' } },
      node: { type: 'string', format: 'dns-name', description: 'Run on this node only.' },
      startupTime: { type: 'string', format: 'rune-duration', description: 'How long a copy takes to become ready.' },
      stopTime: { type: 'string', format: 'rune-duration', description: 'How long a copy may take to stop.' },
      restartPolicy: { type: 'string', enum: ['Always', 'OnFailure', 'Never'], default: 'Always' },
    },
  },
  status: {
    type: 'object',
    properties: {
      phase: { type: 'string', enum: ['Pending', 'Running', 'Scaling', 'Degraded', 'Stopped'] },
      instances: { type: 'integer', minimum: 0 },
      readyInstances: { type: 'integer', minimum: 0 },
    },
  },
  conditions: ['Ready', 'Progressing'],
  indexes: { byNode: (service) => service.spec.node, byImage: (service) => service.spec.image },
  subresources: { scale: { spec: '.spec.scale', status: '.status.instances' } },
  columns: [
    { name: 'Scale', path: '.spec.scale' },
    { name: 'Ready', path: '.status.readyInstances' },
    { name: 'Image', path: '.spec.image' },
  ],
});

/** What runs, and how many copies of it. */
export type Service = ResourceOf<typeof Service>;
