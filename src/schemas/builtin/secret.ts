/** `secret`: small sensitive data, sealed before it reaches a disk. */
import { defineResource } from '../define.js';
import type { ResourceOf } from '../definition.js';
import { DATA_KEY, DATA_LIMITS, dataRules } from './data-rules.js';

export const Secret = defineResource({
  kind: 'Secret',
  schema: {
    type: 'object',
    properties: {
      type: {
        type: 'string',
        default: 'Opaque',
        minLength: 1,
        maxLength: 253,
        description: 'What kind of secret this is; cannot be changed.',
      },
      immutable: { type: 'boolean' },
      data: {
        type: 'object',
        propertyNames: { type: 'string', pattern: DATA_KEY },
        additionalProperties: { type: 'string', sensitive: true },
        description: 'Texts.',
      },
      binaryData: {
        type: 'object',
        propertyNames: { type: 'string', pattern: DATA_KEY },
        additionalProperties: { type: 'string', format: 'byte', sensitive: true },
        description: 'Bytes, in base64.',
      },
    },
  },
  columns: [{ name: 'Type', path: '.type' }],
  limits: DATA_LIMITS,
  validate(next, previous) {
    if (previous !== undefined && previous.immutable !== true && next.type !== previous.type) {
      return [{ field: 'type', reason: 'FieldValueForbidden', message: 'cannot be changed: delete the object and create it again' }];
    }
    return dataRules(next, previous);
  },
});

/** Small sensitive data. */
export type Secret = ResourceOf<typeof Secret>;
