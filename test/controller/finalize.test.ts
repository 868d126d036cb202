import { describe, expect, it } from 'vitest';
import { defineController, type ControllerInput } from '../../src/controller/index.js';
import type { Store } from '../../src/store/index.js';
import { openWorld, Widget } from './world.js';

type Input = Pick<ControllerInput<typeof Widget>, 'reconcile' | 'finalize' | 'transactional'>;
const finalizer = 'widgets.rune.dev/finalizer';
const controller = (input: Partial<Input>) =>
  defineController({ name: 'widgets', for: Widget, rateLimiter: { baseDelay: 10, maxDelay: 1000, jitter: 0 }, reconcile() {}, ...input });

for (const transactional of [false, true]) {
  describe(`finalize, ${transactional ? 'transactional' : 'plain'}`, () => {
    it('deleting the object runs finalize, and the object goes when it succeeded', async () => {
      const finalized: string[] = [];
      await using world = await openWorld([
        controller({ transactional, finalize: ({ object }) => void finalized.push(object.metadata.name) }),
      ]);
      await world.widget('a');
      await world.flush();
      expect((await world.get('a')).metadata.finalizers).toEqual([finalizer]);
      await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
      await world.flush();
      expect(finalized).toEqual(['a']);
      expect(await world.find('a')).toBeUndefined();
    });

    it('the finalizer is kept when finalize threw, and goes when a later try succeeds', async () => {
      let broken = true;
      await using world = await openWorld([
        controller({
          transactional,
          finalize() {
            if (broken) throw new Error('cannot clean up yet');
          },
        }),
      ]);
      await world.widget('a');
      await world.flush();
      await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
      await world.advance('1s');
      expect((await world.get('a')).metadata.finalizers).toEqual([finalizer]);
      broken = false;
      await world.advance('1m');
      expect(await world.find('a')).toBeUndefined();
    });

    it('a finalize that asks to come again keeps the finalizer until it does not', async () => {
      let left = 3;
      await using world = await openWorld([
        controller({ transactional, finalize: () => (left-- > 0 ? { requeueAfter: '10s' } : undefined) }),
      ]);
      await world.widget('a');
      await world.flush();
      await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
      await world.advance('29s');
      expect(await world.find('a')).toBeDefined();
      await world.advance('2s');
      expect(await world.find('a')).toBeUndefined();
    });

    it.each([0, '0s', '0ms'])('a finalize that returns requeueAfter of %j is done: 0 means not at all', async (requeueAfter) => {
      let runs = 0;
      await using world = await openWorld([controller({ transactional, finalize: () => ((runs += 1), { requeueAfter }) })]);
      await world.widget('a');
      await world.flush();
      await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
      await world.advance('1h');
      expect(await world.find('a')).toBeUndefined();
      expect(runs).toBe(1);
    });

    it.each([{ requeue: true }, 'later', { requeueAfter: 'soon' }, false])(
      'a finalize that returns what means nothing (%j) keeps the finalizer, and is told so',
      async (result) => {
        await using world = await openWorld([controller({ transactional, finalize: () => result as never })]);
        await world.widget('a');
        await world.flush();
        await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
        await world.advance('10s');
        expect((await world.get('a')).metadata.finalizers).toEqual([finalizer]);
        expect(world.logs('error').length).toBeGreaterThan(1);
        expect(world.manager.explain('widgets', 'prod/a').runs[0]).toMatchObject({ outcome: 'error', phase: 'finalize' });
      },
    );
  });
}

describe('finalize', () => {
  it('the finalizer is stored before the first side effect, and storing it is neither a run nor a wake-up', async () => {
    const seen: (readonly string[] | undefined)[] = [];
    const stored: (readonly string[] | undefined)[] = [];
    let finalizes = 0;
    await using world = await openWorld([
      controller({
        async reconcile({ object, store }) {
          seen.push(object.metadata.finalizers);
          stored.push((await store.get(Widget, 'prod', object.metadata.name)).metadata.finalizers);
        },
        finalize: () => void (finalizes += 1),
      }),
    ]);
    await world.widget('a');
    await world.flush();
    expect(seen).toEqual([[finalizer]]);
    expect(stored).toEqual([[finalizer]]);
    expect(finalizes).toBe(0);
  });

  it('the finalizer is stored again, before anything else, when another took it off right after it was stored', async () => {
    const seen: (readonly string[] | undefined)[] = [];
    let strips = 2;
    await using world = await openWorld(
      [controller({ reconcile: ({ object }) => void seen.push(object.metadata.finalizers), finalize() {} })],
      {
        wrap: (store) =>
          new Proxy(store, {
            get(target, property) {
              const value: unknown = Reflect.get(target, property, target);
              if (typeof value !== 'function') return value;
              if (property !== 'patch') return value.bind(target);
              return async (...args: Parameters<Store['patch']>) => {
                const result = await target.patch(...args);
                if (strips-- > 0) {
                  await target.patch(Widget, 'prod', 'a', { metadata: { finalizers: null } });
                  for (let i = 0; i < 5; i += 1) await target.deps.scheduler.turn();
                }
                return result;
              };
            },
          }),
      },
    );
    await world.widget('a');
    await world.advance('1s');
    expect(seen.length).toBeGreaterThan(0);
    expect(seen).toEqual(seen.map(() => [finalizer]));
    expect(world.metric('reconcile_conflicts_total')).toBe(2);
    expect(world.logs('error')).toEqual([]);
  });

  it('other finalizers stay, and with them the object, until they are removed; finalize does not run again', async () => {
    let finalizes = 0;
    await using world = await openWorld([controller({ finalize: () => void (finalizes += 1) })]);
    await world.widget('a', {}, { finalizers: ['example.com/other'] });
    await world.flush();
    expect((await world.get('a')).metadata.finalizers).toEqual(['example.com/other', finalizer]);
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
    await world.flush();
    expect((await world.get('a')).metadata.finalizers).toEqual(['example.com/other']);
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { metadata: { labels: { x: 'y' } } }));
    await world.flush();
    expect(finalizes).toBe(1);
    await world.run(world.repo(Widget).removeFinalizer({ namespace: 'prod', name: 'a' }, 'example.com/other'));
    expect(await world.find('a')).toBeUndefined();
  });

  it('an object that is deleted before its finalizer was stored is left alone', async () => {
    let finalizes = 0;
    let reconciles = 0;
    await using world = await openWorld([controller({ reconcile: () => void (reconciles += 1), finalize: () => void (finalizes += 1) })], {
      before: async ({ widget, run, repo }) => {
        await widget('a', {}, { finalizers: ['example.com/other'] });
        await run(repo(Widget).delete({ namespace: 'prod', name: 'a' }));
      },
    });
    await world.flush();
    expect([reconciles, finalizes]).toEqual([0, 0]);
  });

  it('conditions of a finalize that threw are written', async () => {
    await using world = await openWorld([
      controller({
        finalize({ condition }) {
          condition('Clean', false, { reason: 'Busy', message: 'volume in use' });
          throw new Error('busy');
        },
      }),
    ]);
    await world.widget('a');
    await world.flush();
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
    await world.flush();
    expect((await world.get('a')).status?.conditions).toMatchObject([
      { type: 'Clean', status: 'False', reason: 'Busy', message: 'volume in use' },
    ]);
  });

  it('a finalizer is removed although others keep writing to the object', async () => {
    await using world = await openWorld([
      controller({
        async finalize({ object, store }) {
          await store.patch(Widget, 'prod', object.metadata.name, { metadata: { labels: { touched: 'yes' } } });
        },
      }),
    ]);
    await world.widget('a');
    await world.flush();
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
    await world.flush();
    expect(await world.find('a')).toBeUndefined();
  });

  it('deletion marks pass every predicate', async () => {
    let finalizes = 0;
    await using world = await openWorld([
      defineController({ name: 'widgets', for: Widget, where: () => false, reconcile() {}, finalize: () => void (finalizes += 1) }),
    ]);
    await world.widget('a');
    await world.flush();
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
    await world.flush();
    expect(finalizes).toBe(1);
  });
});
