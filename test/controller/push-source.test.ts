import { describe, expect, it } from 'vitest';
import { createPushSource, defineController } from '../../src/controller/index.js';
import { openWorld, Widget } from './world.js';

describe('a push source', () => {
  it('begins its runs outside the transaction in which their keys are pushed, and so do those that waited for a slot', async () => {
    const source = createPushSource('hooks');
    const errors: unknown[] = [];
    const seen: string[] = [];
    const controller = defineController({
      name: 'widgets',
      for: Widget,
      sources: [source],
      // The start's own runs are let go by.
      async reconcile({ object, causes, repo }) {
        if (causes[0]?.kind !== 'push') return;
        const { namespace, name } = object.metadata;
        await repo(Widget)
          .patch({ namespace, name }, { spec: { size: 7 } })
          .catch((error: unknown) => errors.push(error));
        seen.push(name);
      },
    });
    await using world = await openWorld([controller]);
    await world.widget('a');
    await world.widget('b');
    await world.flush();
    await world.run(
      world.store.transaction(async (tx) => {
        source.push('prod/a');
        source.push({ namespace: 'prod', name: 'b' }, { reason: 'second' });
        await tx.create(Widget, 'prod', 'c', { spec: {} });
      }),
    );
    await world.flush();
    expect(errors).toEqual([]);
    expect(seen.toSorted()).toEqual(['a', 'b']);
    expect((await world.get('a')).spec.size).toBe(7);
  });

  it('runs a key once that is pushed often, keeps what is pushed before the start, and tells each reason', async () => {
    const source = createPushSource('hooks');
    const reasons: unknown[] = [];
    const controller = defineController({
      name: 'widgets',
      for: Widget,
      sources: [source],
      reconcile({ causes }) {
        reasons.push(...causes.filter((cause) => cause.kind === 'push').map((cause) => [cause.source, cause.reason]));
      },
    });
    expect(source.push('prod/a', { reason: 'early' })).toBe(true);
    await using world = await openWorld([controller], { before: async (early) => void (await early.widget('a')) });
    expect(reasons).toEqual([['hooks', 'early']]);
    for (const reason of ['one', 'one', undefined]) source.push('prod/a', reason === undefined ? {} : { reason });
    await world.flush();
    expect(reasons.slice(1)).toEqual([
      ['hooks', 'one'],
      ['hooks', 'one'],
      ['hooks', undefined],
    ]);
    expect(world.metric('controller_runtime_reconcile_total', 'result="success"')).toBe(2);
    expect(() => source.push('a/b/c')).toThrow(/namespace\/name/);
    await world.stop();
    expect(source.push('prod/a')).toBe(false);
  });

  it('gives what was pushed early to each controller that listens, not to the first alone', async () => {
    const source = createPushSource('hooks');
    const runs: string[] = [];
    const controller = (name: string) =>
      defineController({
        name,
        for: Widget,
        sources: [source],
        reconcile: ({ causes }) => void runs.push(`${name}: ${causes.map((cause) => cause.kind).join(' ')}`),
      });
    source.push('prod/a');
    await using world = await openWorld([controller('one'), controller('two')], { before: async ({ widget }) => void (await widget('a')) });
    expect(runs.toSorted()).toEqual(['one: push change', 'two: push change']);
    expect(source.push('prod/a')).toBe(true);
    await world.flush();
    expect(runs.slice(2).toSorted()).toEqual(['one: push', 'two: push']);
  });

  it('refuses an early key that no controller could take, and one that does not fit its controller fails no start', async () => {
    const source = createPushSource('hooks');
    for (const bad of ['', 'a/b/c', '/a', 5 as unknown as string, {} as { name: string }])
      expect(() => source.push(bad)).toThrow(/push source hooks gave/);
    expect(() => source.push('prod/a', { priority: Number.NaN })).toThrow(/priority NaN/);
    // It might be for a controller of a cluster-scoped type: nobody knows yet.
    expect(source.push('no-namespace')).toBe(true);
    expect(source.push('prod/a')).toBe(true);
    const causes: string[] = [];
    const controller = defineController({
      name: 'widgets',
      for: Widget,
      sources: [source],
      reconcile: (context) => void causes.push(...context.causes.map((cause) => cause.kind)),
    });
    await using world = await openWorld([controller], { before: async ({ widget }) => void (await widget('a')) });
    expect(world.manager.state).toBe('running');
    expect(causes).toEqual(['push', 'change']);
    expect(world.logs('error')).toMatchObject([{ message: expect.stringContaining('left out'), fields: { key: 'no-namespace' } }]);
    expect(() => source.push('no-namespace')).toThrow(/controller widgets/);
  });
});
