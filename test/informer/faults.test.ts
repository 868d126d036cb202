/** One bad function harms nobody else: the object is reported and counted, cache and other handlers go on, nothing is lost. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createInformers, type InformerMetrics } from '../../src/informer/index.js';
import type { CachedOf } from '../../src/schemas/index.js';
import type { Logger } from '../../src/store/index.js';
import { openWorld, Widget, Witness, type World } from './world.js';

type Kept = Pick<CachedOf<typeof Widget>, 'metadata'>;

describe('Informer with a faulty function', () => {
  let world: World;
  beforeEach(async () => {
    world = await openWorld();
  });
  afterEach(() => world.close());

  it('puts an object under no value, and loses nothing, when an index function gives what is no value', async () => {
    const { deps, informers, put } = world;
    const wrong = [null, 7, true, {}, [7], ['fine', null], () => 'x'];
    const indexes = Object.fromEntries(
      wrong.map((value, i) => [`index${i}`, (w: Widget) => (w.spec.node === 'bad' ? (value as string) : w.spec.node)]),
    );
    const widgets = informers.for(Widget, { indexes });
    const { witness } = Witness.on(widgets, { inOrder: true });
    informers.start();
    await put('good', { node: 'n1' });
    await put('bad', { node: 'bad' });
    await put('after', { node: 'n1' });
    await deps.advance('10m');
    expect(witness.calls).toEqual(['add good', 'add bad', 'add after']);
    for (const i of wrong.keys()) expect(widgets.byIndex(`index${i}`, 'n1')).toHaveLength(2);
    expect(widgets.byIndex('index5', 'fine')).toEqual([]);
    expect(widgets.stats()).toMatchObject({ functionErrors: wrong.length, relists: 0, lastError: undefined });
    const line = deps.logs.find(({ level }) => level === 'error');
    expect(line?.fields).toMatchObject({
      key: 'prod/bad',
      err: { message: expect.stringMatching(/an index function must give .* not null/) },
    });
    // And found again when it is well.
    await put('bad', { node: 'n1' });
    await deps.flush();
    expect(widgets.byIndex('index0', 'n1')).toHaveLength(3);
  });

  it('leaves an object out, and loses nothing, when a transform gives no object with metadata', async () => {
    const wrong = [undefined, null, 5, 'text', {}, { metadata: {} }, { metadata: { name: 'bad', namespace: 'prod' } }];
    const { deps, informers, put } = world;
    const told: string[][] = [];
    const all = wrong.map((junk, i) => {
      const kept = informers.for(Widget, {
        transform: (w): Kept => (w.spec.node === 'bad' ? (junk as unknown as Kept) : { metadata: w.metadata }),
      });
      const calls: string[] = (told[i] = []);
      kept.addHandler({
        onAdd: (w) => void calls.push(`add ${w.metadata.name}`),
        onUpdate: (w) => void calls.push(`update ${w.metadata.name}`),
        onDelete: (w) => void calls.push(`delete ${w.metadata.name}`),
      });
      return kept;
    });
    informers.start();
    await put('a');
    await put('bad', { node: 'bad' });
    await put('a', { node: 'bad' });
    await put('after');
    await deps.advance('10m');
    for (const [i, kept] of all.entries()) {
      expect([i, told[i]]).toEqual([i, ['add a', 'delete a', 'add after']]);
      expect(kept.list().map((w) => w.metadata.name)).toEqual(['after']);
      expect(kept.stats()).toMatchObject({ functionErrors: 2, relists: 0, lastError: undefined });
    }
  });

  it('harms no other handler when the result of one has a then that throws', async () => {
    const { deps, informers, put } = world;
    const widgets = informers.for(Widget);
    const fail = (what: string): never => {
      throw new Error(what);
    };
    const results = [
      new Proxy({}, { get: (_, property) => (property === 'then' ? fail('got') : undefined) }),
      new Proxy({}, { get: (_, property) => (property === 'then' ? () => fail('called') : undefined) }),
      Object.defineProperty(Promise.resolve(), 'constructor', { get: () => fail('constructor') }),
    ];
    const handles = results.map((result) => widgets.addHandler({ onAdd: () => result as Promise<void> }));
    const { witness } = Witness.on(widgets, { inOrder: true });
    informers.start();
    await put('a');
    await put('b');
    await deps.advance('10m');
    expect(witness.calls).toEqual(['add a', 'add b']);
    for (const handle of handles) expect(handle).toMatchObject({ errors: 2, lag: 0 });
    expect(widgets.stats()).toMatchObject({ objects: 2, relists: 0, lastError: undefined });
  });

  it('tells every handler every change when a metrics function throws', async () => {
    for (const what of ['events', 'relist', 'missed', 'handlerError'] as const) {
      const { deps, put, remove, store } = world;
      let reports = 0;
      const metrics: InformerMetrics = {
        [what]: () => {
          reports += 1;
          throw new Error('metrics');
        },
      };
      await using informers = createInformers({ store, metrics });
      const widgets = informers.for(Widget);
      const bad = widgets.addHandler({
        onAdd: () => {
          throw new Error('handler');
        },
      });
      const slow = Witness.on(
        widgets,
        { pace: () => new Promise((resolve) => void deps.scheduler.after(50, resolve)) },
        { pendingLimit: 1 },
      );
      const { witness } = Witness.on(widgets);
      informers.start();
      await deps.flush();
      await put('a');
      for (let n = 0; n < 4; n++) await put('b', { n });
      await deps.advance('1m');
      await world.run(informers.stop());
      await put('c');
      await world.run(store.compact(store.revision));
      informers.start();
      await deps.advance('10m');
      expect(witness.calls).toEqual(['add a', 'add b', 'update b', 'update b', 'update b', 'add c']);
      expect(slow.witness.view).toEqual(witness.view);
      expect(bad).toMatchObject({ errors: 3, lag: 0 });
      expect(reports).toBeGreaterThan(0);
      expect(widgets.stats()).toMatchObject({ running: true, relists: 1, functionErrors: reports, lastError: undefined });
      for (const name of ['a', 'b', 'c']) await remove(name);
      await world.run(informers[Symbol.asyncDispose]());
    }
  });

  it('tells every handler every change when nothing can be logged', async () => {
    const { deps, put, store } = world;
    const logger: Logger = {
      ...deps.logger,
      child: () => logger,
      error: () => {
        throw new Error('no log');
      },
    };
    await using informers = createInformers({ store, logger });
    const widgets = informers.for(Widget, {
      indexes: {
        faulty: (): string => {
          throw new Error('index');
        },
      },
    });
    const bad = widgets.addHandler({ onAdd: () => Promise.reject(new Error('handler')) });
    const { witness } = Witness.on(widgets, { inOrder: true });
    informers.start();
    await put('a');
    await put('b');
    await deps.advance('10m');
    expect(witness.calls).toEqual(['add a', 'add b']);
    expect(bad.errors).toBe(2);
    expect(widgets.stats()).toMatchObject({ functionErrors: 2, relists: 0 });
    await world.run(informers[Symbol.asyncDispose]());
  });
});
