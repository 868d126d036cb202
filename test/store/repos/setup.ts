/** A store in memory and in virtual time, and a type of its own, for the repos' tests. */
import { defineResource } from '../../../src/schemas/index.js';
import { memoryEngine, openStore } from '../../../src/store/index.js';
import type { Store } from '../../../src/store/index.js';
import { virtualDeps } from '../../../src/testing/index.js';
import type { VirtualDeps } from '../../../src/testing/index.js';

export const Widget = defineResource({
  kind: 'Widget',
  spec: {
    type: 'object',
    properties: {
      size: { type: 'integer', default: 1 },
      color: { type: 'string' },
      tags: { type: 'array', items: { type: 'string' } },
      options: { type: 'object', additionalProperties: { type: 'string' } },
      parts: {
        type: 'array',
        'x-list-map-keys': ['name'],
        items: { type: 'object', required: ['name'], properties: { name: { type: 'string' }, count: { type: 'integer', default: 1 } } },
      },
    },
  },
  status: { type: 'object', properties: { seen: { type: 'integer' } } },
  conditions: ['Ready', 'Broken'],
});

export interface Scene {
  readonly store: Store;
  readonly deps: VirtualDeps;
}

/**
 * Runs a test's body against a store of its own. The body awaits as usual: what is due is run, and time moves on to the next
 * timer only when nothing else is left to do.
 */
export function scene(body: (scene: Scene) => Promise<void>): () => Promise<void> {
  return async () => {
    const deps = virtualDeps({ seed: 1 });
    const run = async (): Promise<void> => {
      await using store = await openStore({ engine: memoryEngine(), deps, types: [Widget] });
      await body({ store, deps });
    };
    await pumped(deps, run());
  };
}

/** Awaits `promise` while virtual time runs as far as it is needed. */
export async function pumped<T>(deps: VirtualDeps, promise: Promise<T>): Promise<T> {
  let done = false;
  const mark = (): void => {
    done = true;
  };
  promise.then(mark, mark);
  while (!done) {
    await deps.flush();
    const due = deps.nextDue();
    if (done) break;
    if (due === undefined) throw new Error('the test waits for something that will never come');
    await deps.advanceTo(due);
  }
  return promise;
}
