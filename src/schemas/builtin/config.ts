/** `config`: small data that is not sensitive. */
import { defineResource } from '../define.js';
import type { ResourceOf } from '../definition.js';
import { DATA_KEY, DATA_LIMITS, dataRules } from './data-rules.js';

export const Config = defineResource({
  kind: 'Config',
  shortNames: ['cm'],
  schema: {
    type: 'object',
    properties: {
      immutable: { type: 'boolean' },
      data: {
        type: 'object',
        propertyNames: { type: 'string', pattern: DATA_KEY },
        additionalProperties: { type: 'string' },
        description: 'Texts.',
      },
      binaryData: {
        type: 'object',
        propertyNames: { type: 'string', pattern: DATA_KEY },
        additionalProperties: { type: 'string', format: 'byte' },
        description: 'Bytes, in base64.',
      },
    },
  },
  limits: DATA_LIMITS,
  validate: dataRules,
});

/** Small data that is not sensitive. */
export type Config = ResourceOf<typeof Config>;
