import { describe, expect, it } from 'vitest';
import { defineController, generationChanged } from '../../src/controller/index.js';
import { openWorld, Widget } from './world.js';

const a = { namespace: 'prod', name: 'a' };

describe('a pause by selector', () => {
  it('ends for an object whose label goes, though where would pass that update over: what changed meanwhile runs', async () => {
    const sizes: number[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        where: generationChanged(),
        reconcile({ object, causes }) {
          sizes.push(object.spec.size);
          if (object.spec.size === 2) expect(causes.map((cause) => cause.kind)).toEqual(['resume']);
        },
      }),
    ]);
    await world.widget('a', {}, { labels: { tier: 'web' } });
    await world.flush();
    const pause = world.manager.pause('widgets', { reason: 'frozen', labelSelector: 'tier=web' });
    await world.run(world.repo(Widget).patch(a, { spec: { size: 2 } }));
    await world.flush();
    // Another label, and it is still covered.
    await world.run(world.repo(Widget).patch(a, { metadata: { labels: { note: 'x' } } }));
    await world.flush();
    expect(sizes).toEqual([1]);
    await world.run(world.repo(Widget).patch(a, { metadata: { labels: { tier: null } } }));
    await world.flush();
    expect(sizes).toEqual([1, 2]);
    // Nothing is left that its end would run.
    pause.resume();
    await world.advance('1m');
    expect(sizes).toEqual([1, 2]);
    expect(world.logs('error')).toEqual([]);
  });

  it('leaves an object alone whose label goes and that did not want to run', async () => {
    let runs = 0;
    await using world = await openWorld([
      defineController({ name: 'widgets', for: Widget, where: generationChanged(), reconcile: () => void (runs += 1) }),
    ]);
    await world.widget('a', {}, { labels: { tier: 'web' } });
    await world.flush();
    world.manager.pause('widgets', { reason: 'frozen', labelSelector: 'tier=web' });
    await world.run(world.repo(Widget).patch(a, { metadata: { labels: { tier: null } } }));
    await world.advance('1m');
    expect(runs).toBe(1);
  });
});

describe('backoff', () => {
  it('is kept by a pause: only success resets it', async () => {
    const attempts: number[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        rateLimiter: { baseDelay: '1s', jitter: 0 },
        reconcile({ attempt }) {
          attempts.push(attempt);
          throw new Error('no');
        },
      }),
    ]);
    await world.widget('a');
    await world.advance('20s');
    expect(attempts).toEqual([1, 2, 3, 4, 5]);
    const pause = world.manager.pause('widgets', { reason: 'x' });
    await world.advance('1m');
    pause.resume();
    await world.flush();
    expect(attempts).toEqual([1, 2, 3, 4, 5, 6]);
    expect(world.manager.explain('widgets', a)).toMatchObject({ failures: 6, nextRunInMs: 32_000 });
  });

  it('is kept by a key that is slowed because it causes its own runs', async () => {
    let runs = 0;
    const attempts: number[] = [];
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        rateLimiter: { baseDelay: '1ms', maxDelay: '1ms', jitter: 0 },
        async reconcile({ repo, attempt }) {
          runs += 1;
          attempts.push(attempt);
          await repo(Widget).patch(a, { spec: { note: `${runs}` } });
          throw new Error('no');
        },
      }),
    ]);
    await world.widget('a');
    await world.advance('30s');
    expect(world.metric('hot_loop_detected_total')).toBe(1);
    expect(attempts).toEqual(attempts.map((_, i) => i + 1));
  });
});
