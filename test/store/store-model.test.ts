import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { memoryEngine, openStore } from '../../src/store/index.js';
import { StoreModel } from '../../src/testing/conformance/store-model.js';
import { virtualDeps } from '../../src/testing/index.js';
import type { VirtualDeps } from '../../src/testing/index.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import { compare, runOn, step } from './model.js';
import { onStorage } from './on-engines.js';
import { pumped } from './repos/setup.js';

/** Writers and a watch that begins with a list: what the watch tells must add up to what the store holds. */
async function gapless(deps: VirtualDeps, writes: number): Promise<void> {
  const store = await openStore({ engine: memoryEngine({ latencyMs: 3 }), deps });
  const writing = Array.from({ length: 4 }, async (_, writer) => {
    for (let index = 0; index < writes; index += 1) {
      const name = `w${(index * 7 + writer) % 5}`;
      await store.apply(Widget, 'prod', name, { spec: { size: index * 4 + writer } });
      if (index % 3 === writer % 3) await store.delete(Widget, 'prod', name).catch(() => {});
    }
  });
  await deps.scheduler.turn();
  const found = new Map<string, string>();
  let last = 0;
  const watch = (async () => {
    for await (const event of store.watch(Widget, 'prod', { initial: true })) {
      if (event.type === 'BOOKMARK') {
        last = Number(event.resourceVersion);
        continue;
      }
      if (event.type === 'CREATED') assert.ok(!found.has(event.name), `created twice: ${event.name}`);
      else assert.ok(found.has(event.name), `${event.type} of what was not there: ${event.name}`);
      if (!(event.type === 'CREATED' && event.initial === true)) {
        assert.ok(Number(event.resourceVersion) > last, 'in order and after the list');
        last = Number(event.resourceVersion);
      }
      if (event.type === 'DELETED') found.delete(event.name);
      else found.set(event.name, event.resource.metadata.resourceVersion);
    }
  })();
  const ended = assert.rejects(watch, { name: 'StoreClosedError' });
  await Promise.all(writing);
  await deps.scheduler.turn();
  const now = await store.list(Widget, 'prod');
  assert.deepEqual([...found].sort(), now.items.map(({ metadata }) => [metadata.name, metadata.resourceVersion]).sort());
  await store.close();
  await ended;
}

describe.each([
  ['memory', 1],
  ['lmdb', 8],
] as const)('the store against its model on the %s engine', (engine, fewer) => {
  it('does what the model does in any history, and shows every past state and every event of it', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        await onStorage(engine, async ({ open }) => {
          const store = await open();
          const model = new StoreModel();
          for (const each of steps) assert.equal(await runOn(store, each), model.run(each), JSON.stringify(each));
          await compare(store, model);
        })();
      }),
      { numRuns: Math.ceil(150 / fewer) },
    );
  });

  it(
    'tells the same events from the log as from the ring, and from the log of a store that was opened again',
    { timeout: 60_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
          await onStorage(engine, async ({ open }) => {
            // A ring of one event: everything older is read back from the log.
            const store = await open({ ring: { events: 1 } });
            const model = new StoreModel();
            for (const each of steps) {
              await runOn(store, each);
              model.run(each);
            }
            await compare(store, model);
            await store.close();
            await compare(await open(), model);
          })();
        }),
        { numRuns: Math.ceil(50 / fewer) },
      );
    },
  );
});

describe('a list and the watch that begins with it', () => {
  it('leave no gap and no repeat between them while writers run', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 40 }), async (seed, writes) => {
        const deps = virtualDeps({ seed });
        await pumped(deps, gapless(deps, writes));
      }),
      { numRuns: 25 },
    );
  });
});
