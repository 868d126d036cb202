/** `event`: something that happened to an object, told once and counted. No history is kept. */
import { defineResource } from '../define.js';
import type { ResourceOf } from '../definition.js';

export const Event = defineResource({
  kind: 'Event',
  shortNames: ['ev'],
  schema: {
    type: 'object',
    required: ['regarding', 'type', 'reason'],
    properties: {
      regarding: {
        type: 'object',
        required: ['name'],
        description: 'What it happened to.',
        properties: {
          apiVersion: { type: 'string', maxLength: 317 },
          kind: { type: 'string', maxLength: 63 },
          type: { type: 'string', maxLength: 128 },
          namespace: { type: 'string', maxLength: 63 },
          name: { type: 'string', minLength: 1, maxLength: 253 },
          uid: { type: 'string', maxLength: 128 },
          resourceVersion: { type: 'string', maxLength: 32 },
          fieldPath: { type: 'string', maxLength: 1024 },
        },
      },
      type: { type: 'string', enum: ['Normal', 'Warning'] },
      reason: { type: 'string', minLength: 1, maxLength: 128, description: 'A word for machines.' },
      note: { type: 'string', maxLength: 1024, description: 'A sentence for people.' },
      action: { type: 'string', maxLength: 128 },
      reportingController: { type: 'string', maxLength: 253 },
      reportingInstance: { type: 'string', maxLength: 253 },
      count: { type: 'integer', minimum: 1, default: 1 },
      firstTimestamp: { type: 'string', format: 'date-time' },
      lastTimestamp: { type: 'string', format: 'date-time' },
      series: {
        type: 'object',
        required: ['count', 'lastObservedTime'],
        properties: { count: { type: 'integer', minimum: 1 }, lastObservedTime: { type: 'string', format: 'date-time' } },
      },
    },
  },
  indexes: {
    byRegarding: (event) => event.regarding.uid,
    byReason: (event) => event.reason,
  },
  columns: [
    { name: 'Type', path: '.type' },
    { name: 'Reason', path: '.reason' },
    { name: 'Object', path: '.regarding.name' },
    { name: 'Count', path: '.count' },
    { name: 'Note', path: '.note' },
  ],
  history: false,
});

/** Something that happened to an object. */
export type Event = ResourceOf<typeof Event>;
