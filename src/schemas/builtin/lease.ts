/** `lease`: who leads, and until when. No history is kept: it changes every few seconds. */
import { defineResource } from '../define.js';
import type { ResourceOf } from '../definition.js';

export const Lease = defineResource({
  kind: 'Lease',
  spec: {
    type: 'object',
    default: {},
    properties: {
      holderIdentity: { type: 'string', maxLength: 512 },
      leaseDurationSeconds: { type: 'integer', minimum: 1 },
      acquireTime: { type: 'string', format: 'date-time' },
      renewTime: { type: 'string', format: 'date-time' },
      leaseTransitions: { type: 'integer', minimum: 0 },
      fencingToken: { type: 'string', maxLength: 256, description: 'Grows with each taking of the lease; writes made under it carry it.' },
    },
  },
  columns: [
    { name: 'Holder', path: '.spec.holderIdentity' },
    { name: 'Renewed', path: '.spec.renewTime' },
  ],
  history: false,
});

/** Who leads, and until when. */
export type Lease = ResourceOf<typeof Lease>;
