/** `namespace`: a room for objects. It need not exist before it is used, unless the store says so. */
import { defineResource } from '../define.js';
import type { ResourceOf } from '../definition.js';
import { NO_CAUSES } from '../errors.js';
import { namespaceCauses } from '../names.js';

export const Namespace = defineResource({
  kind: 'Namespace',
  scope: 'Cluster',
  shortNames: ['ns'],
  spec: {
    type: 'object',
    default: {},
    properties: { description: { type: 'string', maxLength: 1024 } },
  },
  status: {
    type: 'object',
    properties: { phase: { type: 'string', enum: ['Active', 'Terminating'] } },
  },
  columns: [{ name: 'Status', path: '.status.phase' }],
  // Nothing could ever lie in a room called `all`, or `a.b`.
  validate: ({ metadata }, previous) => (previous === undefined ? namespaceCauses(metadata.name, 'metadata.name') : NO_CAUSES),
});

/** A room for objects. */
export type Namespace = ResourceOf<typeof Namespace>;
