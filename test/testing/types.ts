/** What most rigs of these tests hold: a widget, and the parts it owns. */
import { defineResource } from '../../src/schemas/index.js';

export const Widget = defineResource({
  kind: 'Widget',
  spec: { type: 'object', default: {}, properties: { size: { type: 'integer', default: 1 }, note: { type: 'string' } } },
  status: { type: 'object', properties: { seen: { type: 'integer' }, phase: { type: 'string' }, runs: { type: 'integer' } } },
  conditions: ['Ready'],
});
export const Part = defineResource({
  kind: 'Part',
  spec: { type: 'object', default: {}, properties: { n: { type: 'integer' } } },
});
