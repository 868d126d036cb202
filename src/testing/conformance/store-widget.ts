/**
 * The resource that the store suite works with: a spec with defaults and rules, a status, an index.
 */
import { defineResource } from '../../schemas/index.js';
import type { ResourceOf } from '../../schemas/index.js';

/** A small resource with everything the rules of writing are about. */
export const Widget = defineResource({
  kind: 'Widget',
  group: 'conformance.rune.dev',
  type: 'widget',
  scope: 'Namespaced',
  spec: {
    type: 'object',
    required: ['size'],
    properties: {
      size: { type: 'integer', minimum: 0, maximum: 1_000_000 },
      color: { type: 'string', enum: ['red', 'green', 'blue'], default: 'red' },
      node: { type: 'string' },
      fixed: { type: 'string' },
      tags: { type: 'array', items: { type: 'string' } },
      settings: { type: 'object', additionalProperties: { type: 'string' } },
    },
  },
  status: { type: 'object', properties: { ready: { type: 'boolean' }, seen: { type: 'integer' } } },
  storeIndexes: ['spec.node'],
  validate(next, previous) {
    if (previous?.spec.fixed !== undefined && next.spec.fixed !== previous.spec.fixed) {
      return [{ reason: 'FieldValueForbidden', field: 'spec.fixed', message: 'cannot change once set' }];
    }
    return [];
  },
});
export type Widget = ResourceOf<typeof Widget>;

/** A cluster-scoped one. */
export const Zone = defineResource({
  kind: 'Zone',
  group: 'conformance.rune.dev',
  type: 'zone',
  scope: 'Cluster',
  spec: { type: 'object', properties: { region: { type: 'string' } } },
});
export type Zone = ResourceOf<typeof Zone>;
