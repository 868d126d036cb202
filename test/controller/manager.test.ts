import { describe, expect, it } from 'vitest';
import { deferred, type Store } from '../../src/store/index.js';
import {
  createManager,
  defineController,
  PAUSED_ANNOTATION,
  PAUSED_BY_ANNOTATION,
  type ControllerInput,
  type Source,
} from '../../src/controller/index.js';
import { openWorld, Part, Widget } from './world.js';

const counting = (name: string, input: Partial<ControllerInput<typeof Widget>> = {}) => {
  const runs: string[] = [];
  const controller = defineController({ reconcile: ({ object }) => void runs.push(object.metadata.name), ...input, name, for: Widget });
  return { runs, controller };
};

describe('stopping', () => {
  it('no new runs, running ones get the signal and are drained within the grace period; nothing runs after stop resolved', async () => {
    const gate = deferred();
    const started: string[] = [];
    let heard = false;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        async reconcile({ object, signal, status }) {
          started.push(object.metadata.name);
          signal.addEventListener('abort', () => (heard = true));
          await gate.promise;
          status({ phase: 'Drained' });
        },
      }),
    ]);
    await world.widget('a');
    await world.widget('b');
    await world.flush();
    expect(started).toEqual(['a']);
    const stopping = world.manager.stop();
    await world.advance('5s');
    expect(world.manager.state).toBe('stopping');
    expect(heard).toBe(true);
    gate.resolve();
    expect(await world.run(stopping)).toEqual({ unsettled: [] });
    expect((await world.get('a')).status?.phase).toBe('Drained');
    await world.widget('c');
    world.manager.enqueue('widgets', 'prod/b');
    await world.advance('10m');
    expect(started).toEqual(['a']);
  });

  it('keys that never settled are named, and what they do later has no effect', async () => {
    const gate = deferred();
    let refused: unknown;
    await using world = await openWorld(
      [
        defineController({
          name: 'widgets',
          for: Widget,
          timeout: false,
          async reconcile({ object, repo }) {
            await gate.promise;
            await repo(Widget)
              .patch(object, { spec: { note: 'late' } })
              .catch((error: unknown) => (refused = error));
            throw new Error('late');
          },
        }),
      ],
      { gracePeriod: '10s' },
    );
    await world.widget('a');
    await world.flush();
    const stopping = world.manager.stop();
    await world.advance('9s');
    expect(world.manager.state).toBe('stopping');
    await world.advance('1s');
    expect(await world.run(stopping)).toEqual({ unsettled: [{ controller: 'widgets', key: 'prod/a' }] });
    const lines = world.logs().length;
    gate.resolve();
    await world.advance('1m');
    expect(refused).toMatchObject({ code: 403, message: expect.stringContaining('has stopped') });
    expect((await world.get('a')).spec.note).toBeUndefined();
    expect(world.logs().length).toBe(lines);
  });

  it('no timer, handle or listener is left', async () => {
    const signals: AbortSignal[] = [];
    const source: Source = { name: 's', start: (_, { signal }) => void signals.push(signal) };
    const world = await openWorld(
      [
        defineController({
          name: 'widgets',
          for: Widget,
          owns: [Part],
          sources: [source],
          resync: '1m',
          async reconcile({ object, deps, event, status }) {
            event('Normal', 'Ran', 'ran');
            await new Promise<void>((resolve) => void deps.scheduler.after(1, resolve));
            status({ phase: 'x' });
            if (object.metadata.name === 'b') throw new Error('retry me');
            return { requeueAfter: '1h' };
          },
          finalize() {},
        }),
      ],
      { leaderElection: { name: 'l' }, garbageCollection: true },
    );
    const before = (await world.run(world.store.stats())).watchers;
    expect(before).toBeGreaterThan(0);
    await world.widget('a');
    await world.widget('b');
    await world.advance('90s');
    const stopping = world.manager.stop();
    await world.run(stopping);
    expect((await world.run(world.store.stats())).watchers).toBe(0);
    await world.run(world.store.close());
    expect(world.deps.pending()).toMatchObject({ timers: 0, deferred: 0, unref: 0 });
    expect(signals[0]?.aborted).toBe(true);
  });

  it('stopping twice gives the same report', async () => {
    await using world = await openWorld([counting('widgets').controller]);
    const [one, two] = [world.manager.stop(), world.manager.stop()];
    expect(await world.run(one)).toBe(await world.run(two));
  });

  it('stopping while it starts starts nothing', async () => {
    const { runs, controller } = counting('widgets', { sources: [{ name: 'slow', start: () => new Promise(() => {}) }] });
    await using world = await openWorld([controller], { start: false, before: async ({ widget }) => void (await widget('a')) });
    const starting = world.manager.start();
    starting.catch(() => {});
    await world.flush();
    await world.run(world.manager.stop());
    await expect(world.run(starting)).rejects.toThrow();
    expect(world.manager.state).toBe('stopped');
    expect(runs).toEqual([]);
  });
});

describe('the manager', () => {
  it('run starts, waits for the signal, and stops', async () => {
    const { runs, controller } = counting('widgets');
    await using world = await openWorld([controller], { start: false });
    const abort = new AbortController();
    const running = world.manager.run({ signal: abort.signal });
    await world.widget('a');
    await world.flush();
    expect(runs).toEqual(['a']);
    abort.abort();
    await world.run(running);
    expect(world.manager.state).toBe('stopped');
  });

  it('run with a signal that has aborted starts nothing and is no failure', async () => {
    const { runs, controller } = counting('widgets');
    await using world = await openWorld([controller], { start: false, before: async ({ widget }) => void (await widget('a')) });
    await world.run(world.manager.run({ signal: AbortSignal.abort() }));
    expect(runs).toEqual([]);
  });

  it('run fails with the keys that did not settle', async () => {
    await using world = await openWorld([counting('widgets', { timeout: false, reconcile: () => new Promise(() => {}) }).controller], {
      start: false,
      gracePeriod: '5s',
    });
    const abort = new AbortController();
    const running = world.manager.run({ signal: abort.signal });
    running.catch(() => {});
    await world.widget('a');
    await world.flush();
    abort.abort();
    await world.advance('5s');
    await expect(world.run(running)).rejects.toMatchObject({ name: 'TimeoutError', message: expect.stringContaining('widgets prod/a') });
  });

  it('both the run error and the stop error are reported', async () => {
    await using world = await openWorld(
      [counting('widgets', { timeout: false, sources: [], reconcile: () => new Promise(() => {}) }).controller],
      { start: false, gracePeriod: '5s', leaderElection: { name: 'l' } },
    );
    const running = world.manager.run();
    running.catch(() => {});
    await world.widget('a');
    await world.advance('3s');
    // Somebody takes the lease away: its run ends with that, and the reconcile that hangs with another.
    await world.run(world.store.patch('lease', 'default', 'l', { spec: { holderIdentity: 'thief' } }));
    await world.advance('1m');
    const error = await world.run(
      running.then(
        () => undefined,
        (reason: unknown) => reason,
      ),
    );
    expect(error).toBeInstanceOf(AggregateError);
    expect((error as AggregateError).errors.map((each: Error) => each.message)).toEqual([
      expect.stringMatching(/leadership lost/),
      expect.stringMatching(/did not settle/),
    ]);
  });

  it('starting twice is an error', async () => {
    await using world = await openWorld([counting('widgets').controller]);
    await expect(world.run(world.manager.start())).rejects.toThrow(/can be started once/);
  });

  it('two controllers of one name are refused', async () => {
    await using world = await openWorld([counting('widgets').controller]);
    expect(() => createManager({ store: world.store, controllers: [counting('x').controller, counting('x').controller] })).toThrow(
      /two controllers are called x/,
    );
    await expect(world.run(world.manager.add(counting('widgets').controller))).rejects.toThrow(/two controllers/);
  });

  it('controllers are added and removed while it runs; adding while stopping is refused', async () => {
    const one = counting('one');
    const two = counting('two');
    await using world = await openWorld([one.controller]);
    await world.widget('a');
    await world.run(world.manager.add(two.controller));
    await world.flush();
    expect([one.runs, two.runs]).toEqual([['a'], ['a']]);
    expect(world.manager.controllers).toEqual(['one', 'two']);
    expect(await world.run(world.manager.remove('one'))).toEqual({ unsettled: [] });
    expect(await world.run(world.manager.remove('one'))).toBeUndefined();
    await world.widget('b');
    await world.flush();
    expect([one.runs, two.runs]).toEqual([['a'], ['a', 'b']]);
    expect(() => world.manager.enqueue('one', 'prod/a')).toThrow(/not known/);
    const stopping = world.manager.stop();
    await expect(world.run(world.manager.add(one.controller))).rejects.toMatchObject({ code: 403 });
    await world.run(stopping);
  });

  it('a controller whose sources do not sync is not added', async () => {
    const bad = counting('bad', { cacheSyncTimeout: '10s', sources: [{ name: 'slow', start: () => new Promise(() => {}) }] });
    await using world = await openWorld([]);
    const adding = world.manager.add(bad.controller);
    adding.catch(() => {});
    await world.advance('11s');
    await expect(world.run(adding)).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(world.manager.controllers).toEqual([]);
  });

  it('informers are shared by its controllers and released at the end', async () => {
    await using world = await openWorld([counting('one').controller, counting('two', { owns: [Part] }).controller]);
    expect(world.manager.informers.list.map((informer) => informer.definition.type).sort()).toEqual(['part', 'widget']);
  });

  it('every log line of a run carries controller, key and reconcileID', async () => {
    await using world = await openWorld([
      counting('widgets', {
        reconcile({ log }) {
          log.info({}, 'from the reconciler');
          throw new Error('boom');
        },
      }).controller,
    ]);
    await world.widget('a');
    await world.flush();
    const lines = world.logs().filter((line) => line.fields['key'] === 'prod/a');
    expect(lines.map((line) => line.message)).toEqual(['from the reconciler', 'reconcile failed; it is tried again']);
    expect(new Set(lines.map((line) => line.fields['reconcileID'])).size).toBe(1);
    for (const line of lines)
      expect(line.fields).toMatchObject({ controller: 'widgets', controllerKind: 'Widget', controllerGroup: 'rune.dev' });
  });
});

describe('health', () => {
  it('a wedged controller (work waiting, nothing finished for N s) fails readiness and is named; a slow one does not', async () => {
    const slow = counting('slow', {
      timeout: false,
      reconcile: ({ deps }) => new Promise<void>((resolve) => void deps.scheduler.after(20_000, resolve)),
    });
    const wedged = counting('wedged', { timeout: false, reconcile: () => new Promise(() => {}) });
    await using world = await openWorld([slow.controller, wedged.controller], { wedgedAfter: '60s' });
    for (let i = 0; i < 12; i += 1) await world.widget(`w${i}`);
    await world.advance('59s');
    expect(world.manager.readyz().ok).toBe(true);
    await world.advance('2s');
    const report = world.manager.readyz();
    expect(report.ok).toBe(false);
    expect(report.checks.filter((check) => !check.ok)).toEqual([
      { name: 'controller-wedged', ok: false, message: expect.stringMatching(/wedged: 11 keys wait.*prod\/w0/) },
    ]);
    expect(world.manager.healthz().ok).toBe(true);
  });

  it('an idle controller is not wedged, and work that comes after a long rest is not either', async () => {
    const { controller } = counting('widgets');
    await using world = await openWorld([controller], { wedgedAfter: '60s' });
    await world.advance('1h');
    await world.widget('a');
    expect(world.manager.readyz().ok).toBe(true);
  });

  it('a store that fails, does not answer a read in time, or has ended fails readiness, not liveness', async () => {
    let how: 'answers' | 'fails' | 'hangs' = 'answers';
    const wrap = (store: Store): Store =>
      new Proxy(store, {
        get(target, property) {
          const value: unknown = Reflect.get(target, property, target);
          if (typeof value !== 'function') return value;
          return (...args: unknown[]): unknown => {
            if (property === 'get' && how === 'fails') return Promise.reject(new Error('the disk is on fire'));
            if (property === 'get' && how === 'hangs') return new Promise(() => {});
            return (value as (...all: unknown[]) => unknown).apply(target, args);
          };
        },
      });
    await using world = await openWorld([counting('widgets').controller], { wrap, storeTimeout: '2s' });
    const ask = async () => {
      world.manager.readyz();
      await world.flush();
      return world.manager.readyz().checks.find((check) => check.name === 'store');
    };
    expect(await ask()).toEqual({ name: 'store', ok: true, message: undefined });
    how = 'fails';
    await ask();
    expect(await ask()).toEqual({ name: 'store', ok: false, message: 'a read failed: the disk is on fire' });
    how = 'answers';
    await ask();
    expect(world.manager.readyz().ok).toBe(true);
    how = 'hangs';
    await ask();
    await world.advance('1900ms');
    expect(world.manager.readyz().ok).toBe(true);
    await world.advance('3s');
    expect(await ask()).toEqual({ name: 'store', ok: false, message: 'it has not answered a read for 5 s' });
    expect(world.manager.healthz().ok).toBe(true);
    how = 'answers';
    await world.run(world.store.close());
    expect(await ask()).toMatchObject({ ok: false, message: expect.stringMatching(/^it has ended: the store is closed/) });
  });

  it('a stopped manager is not ready', async () => {
    await using world = await openWorld([counting('widgets').controller]);
    await world.stop();
    expect(world.manager.readyz().checks[0]).toEqual({ name: 'manager', ok: false, message: 'it is stopped' });
  });
});

describe('pause', () => {
  it('by annotation: changes are remembered, deletion still runs, un-pausing triggers a run', async () => {
    let finalized = 0;
    const { runs, controller } = counting('widgets', {
      where: ({ object, previous }) => object.spec.size !== previous?.spec.size,
      finalize: () => void (finalized += 1),
    });
    await using world = await openWorld([controller]);
    await world.widget('a', {}, { annotations: { [PAUSED_ANNOTATION]: 'database is being moved', [PAUSED_BY_ANNOTATION]: 'kim' } });
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 2 } }));
    await world.flush();
    expect(runs).toEqual([]);
    expect(world.manager.explain('widgets', 'prod/a')).toMatchObject({
      state: 'paused',
      paused: { reason: 'database is being moved', by: 'kim', scope: 'object' },
    });
    await world.run(
      world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { metadata: { annotations: { [PAUSED_ANNOTATION]: null } } }),
    );
    await world.flush();
    expect(runs).toEqual(['a']);
    await world.run(
      world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { metadata: { annotations: { [PAUSED_ANNOTATION]: 'true' } } }),
    );
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
    await world.flush();
    expect(finalized).toBe(1);
    expect(await world.find('a')).toBeUndefined();
  });

  it('by controller and by selector: says why and who, ends by hand or by itself, and runs once what changed meanwhile', async () => {
    const { runs, controller } = counting('widgets');
    await using world = await openWorld([controller]);
    const all = world.manager.pause('widgets', { reason: 'incident 7', by: 'sam' });
    await world.widget('a', {}, { labels: { tier: 'web' } });
    await world.widget('b');
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'b' }, { spec: { size: 2 } }));
    await world.flush();
    expect(runs).toEqual([]);
    expect(world.manager.pauses('widgets')).toEqual([{ reason: 'incident 7', by: 'sam', scope: 'controller', selector: undefined }]);
    world.manager.pause('widgets', { reason: 'web is frozen', labelSelector: 'tier=web', for: '1h' });
    all.resume();
    all.resume();
    await world.flush();
    expect(runs).toEqual(['b']);
    expect(world.manager.explain('widgets', 'prod/a').paused).toMatchObject({ scope: 'selector', selector: 'tier=web' });
    await world.advance('1h');
    expect(runs).toEqual(['b', 'a']);
    expect(world.manager.pauses('widgets')).toEqual([]);
  });
});

describe('a pause', () => {
  it('that cannot be is refused whole: nothing is paused by what threw', async () => {
    const { runs, controller } = counting('widgets');
    await using world = await openWorld([controller]);
    for (const wrong of [{ for: 'soon' as '1s' }, { labelSelector: '((' }, { for: -1 }])
      expect(() => world.manager.pause('widgets', { reason: 'x', ...wrong })).toThrow(/is invalid/);
    expect(world.manager.pauses('widgets')).toEqual([]);
    await world.widget('a');
    await world.flush();
    expect(runs).toEqual(['a']);
  });

  it('leaves no timer when it is ended by hand, and that twice', async () => {
    const { controller } = counting('widgets');
    await using world = await openWorld([controller]);
    const { timers } = world.deps.pending();
    {
      using pause = world.manager.pause('widgets', { reason: 'x', for: '1d' });
      pause.resume();
    }
    expect(world.deps.pending().timers).toBe(timers);
    expect(world.manager.pauses('widgets')).toEqual([]);
  });
});

describe('explain', () => {
  it('tells trigger, revision, field diff, wait, attempts, outcome, next run, writes', async () => {
    let step = 0;
    await using world = await openWorld([
      counting('widgets', {
        rateLimiter: { baseDelay: '1m', jitter: 0 },
        async reconcile({ object, repo, deps }) {
          step += 1;
          if (step === 1) {
            await repo(Part).create({ metadata: { namespace: 'prod', name: 'p' }, spec: {} });
            await new Promise<void>((resolve) => void deps.scheduler.after(250, resolve));
            return { requeueAfter: '1h' };
          }
          throw new Error(`size ${object.spec.size} is too much`);
        },
      }).controller,
    ]);
    await world.widget('a');
    await world.flush();
    expect(world.manager.explain('widgets', 'prod/a')).toMatchObject({ state: 'running', running: { outcome: 'running', attempt: 1 } });
    await world.advance('1s');
    expect(world.manager.explain('widgets', 'prod/a')).toMatchObject({
      state: 'delayed',
      nextRunInMs: 3_600_000 - 750,
      pending: [{ kind: 'timer', afterMs: 3_600_000 }],
      runs: [
        {
          outcome: 'requeueAfter',
          requeueAfterMs: 3_600_000,
          durationMs: 250,
          waitedMs: 0,
          writes: 1,
          lastRevision: '2',
          attempt: 1,
          causes: [{ kind: 'change', change: 'created', revision: '1' }],
        },
      ],
    });
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 99 } }));
    await world.flush();
    const told = world.manager.explain('widgets', { namespace: 'prod', name: 'a' });
    expect(told).toMatchObject({
      state: 'delayed',
      failures: 1,
      nextRunInMs: 60_000,
      resourceVersion: '3',
      runs: [{ outcome: 'error', error: 'size 99 is too much' }, {}],
    });
    expect(told.runs[0]?.causes).toMatchObject([{ kind: 'change', change: 'updated', revision: '3', fields: ['spec.size'] }]);
    expect(told.lines.join('\n')).toMatch(/updated widget prod\/a at 3 \(spec.size\)/);
    expect(world.manager.runs('widgets')).toHaveLength(2);
    expect(world.manager.runs('widgets', 'prod/other')).toEqual([]);
    expect(JSON.stringify(told)).toContain('spec.size');
  });

  it('keeps a bounded number of runs', async () => {
    await using world = await openWorld([counting('widgets').controller]);
    await world.widget('a');
    for (let i = 0; i < 1100; i += 1) {
      world.manager.enqueue('widgets', 'prod/a');
      await world.flush();
    }
    expect(world.manager.runs('widgets').length).toBe(1000);
  });
});
