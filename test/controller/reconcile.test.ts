import { describe, expect, it } from 'vitest';
import { deferred } from '../../src/store/index.js';
import { ConflictError } from '../../src/schemas/index.js';
import { createPushSource, defineController, TerminalError } from '../../src/controller/index.js';
import { openWorld, Part, Site, Widget } from './world.js';

const quiet = { baseDelay: 10, maxDelay: 1000, jitter: 0 } as const;

describe('the reconcile loop', () => {
  it('runs each object once at the start, and again when it changes', async () => {
    const seen: string[] = [];
    await using world = await openWorld(
      [
        defineController({
          name: 'widgets',
          for: Widget,
          reconcile: ({ object }) => void seen.push(`${object.metadata.name}:${object.spec.size}`),
        }),
      ],
      { before: async ({ widget }) => void (await widget('a'), await widget('b')) },
    );
    expect(seen.sort()).toEqual(['a:1', 'b:1']);
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 5 } }));
    await world.flush();
    expect(seen.sort()).toEqual(['a:1', 'a:5', 'b:1']);
  });

  it('success forgets: the backoff of a failing key is reset by a run that succeeds and by nothing else', async () => {
    let fail = true;
    const attempts: number[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        rateLimiter: quiet,
        reconcile({ attempt }) {
          attempts.push(attempt);
          if (fail) throw new Error('boom');
        },
      }),
    ]);
    await world.widget('a');
    await world.advance(10 + 20 + 40);
    expect(attempts).toEqual([1, 2, 3, 4]);
    // A change in between runs it at once and does not reset the backoff.
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 2 } }));
    await world.flush();
    expect(attempts).toEqual([1, 2, 3, 4, 5]);
    fail = false;
    await world.advance('1m');
    expect(attempts).toEqual([1, 2, 3, 4, 5, 6]);
    fail = true;
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 3 } }));
    await world.flush();
    expect(attempts.at(-1)).toBe(1);
  });

  it('requeueAfter runs the key again when its time comes, and a change before that cancels it', async () => {
    const at: number[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        reconcile({ object, clock }) {
          at.push(clock.monotonic());
          return object.spec.size === 1 ? { requeueAfter: '5s' } : undefined;
        },
      }),
    ]);
    await world.widget('a');
    await world.advance('4s');
    expect(at).toHaveLength(1);
    await world.advance('1s');
    expect(at).toHaveLength(2);
    expect((at[1] as number) - (at[0] as number)).toBeCloseTo(5000);
    await world.advance('1s');
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 2 } }));
    await world.advance('1m');
    expect(at).toHaveLength(3);
  });

  it('a throw, a rejected promise, a thrown string, undefined: caught, counted, retried; the others go on', async () => {
    const thrown: Record<string, unknown> = { a: new Error('an error'), b: 'a string', c: undefined, d: new TypeError('a fault') };
    const runs: Record<string, number> = {};
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        rateLimiter: quiet,
        reconcile({ object }) {
          const { name } = object.metadata;
          runs[name] = (runs[name] ?? 0) + 1;
          if (runs[name] > 1 || name === 'ok') return undefined;
          if (name === 'a') return Promise.reject(thrown['a'] as Error);
          throw thrown[name];
        },
      }),
    ]);
    for (const name of ['a', 'b', 'c', 'd', 'ok']) await world.widget(name);
    await world.advance('1s');
    expect(runs).toEqual({ a: 2, b: 2, c: 2, d: 2, ok: 1 });
    expect(world.metric('controller_runtime_reconcile_errors_total')).toBe(4);
    expect(world.metric('controller_runtime_reconcile_panics_total')).toBe(3);
    expect(world.metric('controller_runtime_reconcile_total', 'result="success"')).toBe(5);
    const lines = world.logs('error');
    expect(lines).toHaveLength(4);
    for (const line of lines) {
      expect(line.fields).toMatchObject({
        controller: 'widgets',
        key: expect.stringMatching(/^prod\//),
        reconcileID: expect.stringMatching(/-/),
      });
      expect(line.fields['err']).toBeInstanceOf(Error);
    }
  });

  it('a terminal error is counted, logged, and waits for a change', async () => {
    let runs = 0;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        reconcile() {
          runs += 1;
          throw new TerminalError('it will never work');
        },
      }),
    ]);
    await world.widget('a');
    await world.advance('1h');
    expect(runs).toBe(1);
    expect(world.metric('controller_runtime_terminal_reconcile_errors_total')).toBe(1);
    expect(world.metric('controller_runtime_reconcile_errors_total')).toBe(1);
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 2 } }));
    await world.flush();
    expect(runs).toBe(2);
  });

  it('a conflict waits for the revision it lost to, runs again at once, and is not an error line', async () => {
    const sizes: number[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        async reconcile({ object, repo, store }) {
          sizes.push(object.spec.size);
          if (object.spec.size === 1) {
            // Somebody else writes while it works.
            await store.patch(Widget, 'prod', 'a', { spec: { size: 2 } });
            await repo(Widget).update({ ...object, spec: { ...object.spec, note: 'mine' } });
          }
        },
      }),
    ]);
    await world.widget('a');
    await world.flush();
    expect(sizes).toEqual([1, 2]);
    expect(world.logs('error')).toEqual([]);
    expect(world.metric('reconcile_conflicts_total')).toBe(1);
    expect(world.metric('controller_runtime_reconcile_errors_total')).toBe(0);
  });

  it('conflicts are retried at once five times in a row, then back off', async () => {
    const at: number[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        rateLimiter: { ...quiet, baseDelay: 1000, maxDelay: '1m' },
        reconcile({ clock, store }) {
          at.push(clock.monotonic());
          throw new ConflictError('always', { currentRevision: store.revision });
        },
      }),
    ]);
    await world.widget('a');
    await world.flush();
    expect(at).toHaveLength(6);
    await world.advance('999ms');
    expect(at).toHaveLength(6);
    await world.advance('1ms');
    expect(at).toHaveLength(7);
    expect(world.logs('error')).toEqual([]);
    expect(world.manager.explain('widgets', 'prod/a').conflicts).toBe(7);
  });

  it('never two runs of one key at once; up to `concurrency` keys at once, and no more', async () => {
    const running = new Map<string, number>();
    let most = 0;
    const gate = deferred();
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        concurrency: 3,
        async reconcile({ object, deps }) {
          const { name } = object.metadata;
          expect(running.get(name) ?? 0).toBe(0);
          running.set(name, 1);
          most = Math.max(
            most,
            [...running.values()].reduce((a, b) => a + b, 0),
          );
          await new Promise<void>((resolve) => void deps.scheduler.after(5, resolve));
          running.set(name, 0);
        },
      }),
    ]);
    gate.resolve();
    for (let i = 0; i < 10; i += 1) await world.widget(`w${i}`);
    for (let round = 0; round < 5; round += 1) {
      for (let i = 0; i < 10; i += 1) world.manager.enqueue('widgets', `prod/w${i}`);
      await world.advance(3);
    }
    await world.advance('1s');
    expect(most).toBe(3);
    expect(world.metric('controller_runtime_max_concurrent_reconciles')).toBe(3);
  });

  it('errors on one key do not slow another', async () => {
    const runs: string[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        reconcile({ object }) {
          runs.push(object.metadata.name);
          if (object.metadata.name === 'bad') throw new Error('boom');
        },
      }),
    ]);
    await world.widget('bad');
    await world.advance('10m');
    const before = world.deps.clock.monotonic();
    await world.widget('good');
    await world.flush();
    expect(runs).toContain('good');
    expect(world.deps.clock.monotonic()).toBe(before);
  });

  it('after maxRetries a key waits for a change', async () => {
    let runs = 0;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        maxRetries: 2,
        rateLimiter: quiet,
        reconcile() {
          runs += 1;
          throw new Error('boom');
        },
      }),
    ]);
    await world.widget('a');
    await world.advance('1h');
    expect(runs).toBe(3);
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 2 } }));
    await world.advance('1h');
    expect(runs).toBe(6);
  });

  it('an object that is gone is not reconciled', async () => {
    let runs = 0;
    await using world = await openWorld([defineController({ name: 'widgets', for: Widget, reconcile: () => void (runs += 1) })]);
    world.manager.enqueue('widgets', 'prod/nobody');
    await world.flush();
    expect(runs).toBe(0);
    expect(world.manager.explain('widgets', { namespace: 'prod', name: 'nobody' })).toMatchObject({
      state: 'missing',
      runs: [{ outcome: 'gone' }],
    });
  });

  it('members of the context can be taken out of it, and an undeclared type says what to do', async () => {
    const errors: string[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        owns: [Part],
        reads: [Site],
        reconcile({ lister, children, key, reconcileId, causes, attempt, clock, deps, store, log, signal }) {
          expect([key, attempt, signal.aborted, clock.now(), store.id]).toEqual([
            { namespace: 'prod', name: 'a' },
            1,
            false,
            deps.clock.now(),
            expect.any(String),
          ]);
          expect(reconcileId).toMatch(/^[0-9a-f-]{36}$/);
          expect(causes[0]).toMatchObject({ kind: 'change', via: 'for', change: 'created', name: 'a' });
          log.info({ more: 1 }, 'hello');
          expect(lister(Site).size).toBe(0);
          expect(children(Part)).toEqual([]);
          try {
            children(Site);
          } catch (error) {
            errors.push((error as Error).message);
          }
        },
      }),
    ]);
    await world.widget('a');
    await world.flush();
    expect(errors).toEqual([expect.stringContaining('add Site to owns')]);
    expect(world.logs('info').find((line) => line.message === 'hello')?.fields).toMatchObject({
      controller: 'widgets',
      key: 'prod/a',
      reconcileID: expect.any(String),
      more: 1,
    });
    expect(world.logs('error')).toEqual([]);
  });

  it('a pushed key runs, however often it was pushed, and pushing before the start is kept', async () => {
    const source = createPushSource('hooks');
    const causes: unknown[] = [];
    source.push('prod/a', { reason: 'early' });
    source.push({ namespace: 'prod', name: 'a' }, { reason: 'early' });
    let runs = 0;
    await using world = await openWorld(
      [
        defineController({
          name: 'widgets',
          for: Widget,
          sources: [source],
          reconcile: (context) => void ((runs += 1), causes.push(...context.causes)),
        }),
      ],
      { before: async ({ widget }) => void (await widget('a')) },
    );
    expect(runs).toBe(1);
    expect(causes).toContainEqual({ kind: 'push', source: 'hooks', reason: 'early' });
    for (let i = 0; i < 100; i += 1) source.push('prod/a');
    await world.flush();
    expect(runs).toBe(2);
    expect(() => source.push('no-namespace')).toThrow(/namespace\/name/);
    await world.stop();
    expect(source.push('prod/a')).toBe(false);
  });

  it('a push from within a transaction starts no run inside it', async () => {
    const source = createPushSource('hooks');
    const errors: unknown[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        sources: [source],
        async reconcile({ repo }) {
          await repo(Widget)
            .list()
            .catch((error: unknown) => errors.push(error));
        },
      }),
    ]);
    await world.widget('a');
    await world.flush();
    await world.run(
      world.store.transaction(async (tx) => {
        source.push('prod/a');
        await new Promise<void>((resolve) => void world.deps.scheduler.after(0, resolve));
        await tx.get(Widget, 'prod', 'a');
      }),
    );
    await world.flush();
    expect(errors).toEqual([]);
  });
});
