/** What the planted controllers work on: a garden of widgets, their parts, and a fake cloud beside the store. */
import { defineResource } from '../../../src/schemas/index.js';

export const Widget = defineResource({
  kind: 'Widget',
  spec: {
    type: 'object',
    default: {},
    properties: { size: { type: 'integer', default: 1 }, zone: { type: 'string' }, warmUp: { type: 'string', format: 'rune-duration' } },
  },
  status: {
    type: 'object',
    properties: {
      phase: { type: 'string' },
      parts: { type: 'integer' },
      since: { type: 'string' },
      checkedAt: { type: 'string' },
      zone: { type: 'string' },
    },
  },
  conditions: ['Ready'],
});
export const Part = defineResource({ kind: 'Part', spec: { type: 'object', default: {}, properties: { n: { type: 'integer' } } } });
export const Zone = defineResource({ kind: 'Zone', spec: { type: 'object', default: {}, properties: { region: { type: 'string' } } } });

/** Something outside the store that controllers rent and must give back. */
export class FakeCloud {
  readonly rented = new Set<string>();

  async rent(name: string): Promise<void> {
    await Promise.resolve();
    this.rented.add(name);
  }
  async giveBack(name: string): Promise<void> {
    await Promise.resolve();
    this.rented.delete(name);
  }
}
