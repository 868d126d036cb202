import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Store, Watch } from '../../src/store/index.js';
import { defineController } from '../../src/controller/index.js';
import { openWorld, Part, Widget } from './world.js';

/** A store whose watches are slow: each batch comes a while after its commit. */
function slowWatches(store: Store, delay: () => number): Store {
  return new Proxy(store, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      if (property !== 'watch') return value.bind(target);
      return (...args: Parameters<Store['watch']>) => slow(target, target.watch(...args), delay);
    },
  });
}
function slow(store: Store, watch: Watch, delay: () => number): Watch {
  let given = '0';
  return new Proxy(watch, {
    get(target, property) {
      if (property === 'progress') return given;
      if (property === 'onProgress') return () => () => {};
      if (property === 'batches') {
        return async function* () {
          for await (const batch of target.batches()) {
            const ms = delay();
            if (ms > 0) await new Promise<void>((resolve) => void store.deps.scheduler.after(ms, resolve));
            given = batch.resourceVersion;
            yield batch;
          }
        };
      }
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

describe('read your own writes', () => {
  it('after a write, the next run of that key sees it or newer, always, with a slow watch too', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          seed: fc.integer({ min: 0, max: 1_000_000 }),
          delays: fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 8 }),
          pushes: fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 12 }),
        }),
        async ({ seed, delays, pushes }) => {
          let i = 0;
          const last = new Map<string, { own: number; parts: number }>();
          await using world = await openWorld(
            [
              defineController({
                name: 'widgets',
                for: Widget,
                owns: [Part],
                concurrency: 2,
                async reconcile({ object, children, repo, ensure, status }) {
                  const { name } = object.metadata;
                  const before = last.get(name);
                  const parts = children(Part).length;
                  if (before !== undefined) {
                    expect(object.spec.size).toBeGreaterThanOrEqual(before.own);
                    expect(parts).toBeGreaterThanOrEqual(before.parts);
                  }
                  const size = object.spec.size + 1;
                  last.set(name, { own: size, parts: parts + 1 });
                  // Would make the same part twice, and fail, on an old cache.
                  await repo(Part).create({
                    metadata: {
                      namespace: 'prod',
                      name: `${name}-${parts}`,
                      ownerReferences: [
                        { apiVersion: object.apiVersion, kind: object.kind, name, uid: object.metadata.uid, controller: true },
                      ],
                    },
                    spec: {},
                  });
                  await repo(Widget).update({ ...object, spec: { ...object.spec, size } });
                  await ensure(Part, { metadata: { name: `${name}-${parts}` }, spec: { n: size } });
                  status({ seen: size });
                },
              }),
            ],
            { seed, wrap: (store) => slowWatches(store, () => delays[i++ % delays.length] as number), start: false },
          );
          const starting = world.manager.start();
          await world.advance('1s');
          await starting;
          await world.widget('a');
          await world.widget('b');
          for (const after of pushes) {
            await world.advance(after);
            world.manager.enqueue('widgets', 'prod/a');
            world.manager.enqueue('widgets', 'prod/b');
          }
          await world.advance('100ms');
          expect(world.logs('error').map((line) => line.fields['err'])).toEqual([]);
          expect((await world.get('a')).spec.size).toBeGreaterThan(1);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('writes that were not awaited are waited for before the key runs again', async () => {
    let runs = 0;
    const seen: number[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        reconcile({ object, repo }) {
          runs += 1;
          seen.push(object.spec.size);
          if (runs === 1) {
            const write = repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 7 } });
            write.catch(() => {});
            throw new Error('one of several failed');
          }
        },
      }),
    ]);
    await world.widget('a');
    await world.advance('1s');
    expect(seen[0]).toBe(1);
    expect(seen.slice(1).every((size) => size === 7)).toBe(true);
  });
});

describe('hot loops', () => {
  it('a key that keeps triggering itself is slowed and reported with the path that flips', async () => {
    let runs = 0;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        async reconcile({ object, repo, clock }) {
          runs += 1;
          await repo(Widget).patch(object, { spec: { note: `seen at ${clock.monotonic()} for the ${runs}th time` } });
        },
      }),
    ]);
    await world.widget('a');
    await world.flush();
    expect(runs).toBe(11);
    expect(world.metric('hot_loop_detected_total')).toBe(1);
    const line = world.logs('warn').find((each) => each.message.includes('causes its own runs'));
    expect(line?.message).toMatch(/spec\.note/);
    expect(line?.fields).toMatchObject({ key: 'prod/a', fields: ['spec.note'] });
    await world.advance('1h');
    expect(runs).toBeLessThan(11 + 70);
    expect(runs).toBeGreaterThan(11 + 50);
    const before = runs;
    // What somebody else changes is not slowed.
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 2 } }));
    await world.flush();
    expect(runs).toBeGreaterThan(before);
    expect(world.metric('hot_loop_detected_total')).toBe(1);
  });

  it('a key that makes and deletes a child in turn is slowed and reported', async () => {
    let runs = 0;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        owns: [Part],
        async reconcile({ repo, ensure, children }) {
          runs += 1;
          const [part] = children(Part);
          if (part === undefined) await ensure(Part, { metadata: { name: 'p' }, spec: {} });
          else await repo(Part).delete(part);
        },
      }),
    ]);
    await world.widget('a');
    await world.advance('1m');
    expect(runs).toBeLessThan(20);
    expect(world.metric('hot_loop_detected_total')).toBe(1);
    expect(world.manager.explain('widgets', 'prod/a').ownRuns).toBeGreaterThan(10);
  });

  it('a child that somebody else deletes again and again, and that is made anew each time, is none', async () => {
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        owns: [Part],
        reconcile: async ({ ensure }) => void (await ensure(Part, { metadata: { name: 'p' }, spec: {} })),
      }),
    ]);
    await world.widget('a');
    await world.flush();
    for (let round = 0; round < 30; round += 1) {
      await world.run(world.repo(Part).delete({ namespace: 'prod', name: 'p' }));
      await world.flush();
    }
    expect((await world.run(world.repo(Part).list())).items).toHaveLength(1);
    expect(world.metric('hot_loop_detected_total')).toBe(0);
  });

  it('a chain of a few own writes that comes to rest is none', async () => {
    let runs = 0;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        async reconcile({ object, repo }) {
          runs += 1;
          if (object.spec.size < 8) await repo(Widget).patch(object, { spec: { size: object.spec.size + 1 } });
        },
      }),
    ]);
    for (let round = 0; round < 3; round += 1) {
      await world.widget(`w${round}`);
      await world.advance('1s');
    }
    expect(runs).toBe(24);
    expect(world.metric('hot_loop_detected_total')).toBe(0);
    expect(world.manager.explain('widgets', 'prod/w0').ownRuns).toBe(0);
  });
});

describe('ensure and pruning', () => {
  it('children that a successful run no longer ensured are deleted when the controller says so, and only its own', async () => {
    for (const prune of [true, false]) {
      await using world = await openWorld([
        defineController({
          name: 'widgets',
          for: Widget,
          owns: [Part],
          prune,
          async reconcile({ object, ensure }) {
            for (let n = 0; n < object.spec.size; n += 1)
              await ensure(Part, { metadata: { name: `${object.metadata.name}-${n}` }, spec: { n } });
            if (object.spec.note === 'throw') throw new Error('half way');
          },
        }),
      ]);
      await world.run(world.repo(Part).create({ metadata: { namespace: 'prod', name: 'stranger' }, spec: {} }));
      await world.widget('a', { size: 3 });
      await world.widget('b', { size: 1 });
      await world.flush();
      const names = async (): Promise<string[]> => (await world.run(world.repo(Part).list())).items.map((part) => part.metadata.name);
      expect(await names()).toEqual(['a-0', 'a-1', 'a-2', 'b-0', 'stranger']);
      await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 1, note: 'throw' } }));
      await world.flush();
      expect(await names()).toHaveLength(5);
      await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { note: 'fine' } }));
      await world.flush();
      expect(await names()).toEqual(prune ? ['a-0', 'b-0', 'stranger'] : ['a-0', 'a-1', 'a-2', 'b-0', 'stranger']);
    }
  });

  it('ensure needs a name', async () => {
    const errors: string[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        owns: [Part],
        reconcile: ({ ensure }) =>
          ensure(Part, { metadata: { generateName: 'p-' }, spec: {} }).then(
            () => {},
            (error: unknown) => void errors.push((error as Error).message),
          ),
      }),
    ]);
    await world.widget('a');
    await world.flush();
    expect(errors[0]).toMatch(/needs metadata.name/);
  });
});
