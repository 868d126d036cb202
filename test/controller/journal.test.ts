import { describe, expect, it } from 'vitest';
import { controllerDefaults, createPushSource, defineController } from '../../src/controller/index.js';
import type { Cause } from '../../src/controller/index.js';
import { Journal } from '../../src/controller/journal.js';
import { Run, type RunHost } from '../../src/controller/run.js';
import { openWorld, Widget } from './world.js';

const host: RunHost = {
  source: 'controller/x',
  echo: 'none',
  merges: () => 0,
  wakeHeld() {},
  uuid: () => 'u',
  deps: { clock: { monotonic: () => 0 } },
};
const run = (key: string, takenAt: number, causes: readonly Cause[] = []): Run =>
  new Run(host, { key, priority: 0, causes, droppedCauses: 0, waitedMs: 0, attempts: 0, takenAt });
/** When the runs that are kept of a key took place, newest first. */
const times = (journal: Journal, key: string): readonly number[] => journal.entries(key, Infinity).map((each) => each.startedAt);

describe('explain', () => {
  it('still tells the runs of a key after a thousand runs of others, with what had changed', async () => {
    const source = createPushSource('push');
    await using world = await openWorld([
      defineController({ name: 'widgets', for: Widget, concurrency: 16, sources: [source], reconcile() {} }),
    ]);
    await world.widget('a');
    await world.flush();
    await world.run(world.repo(Widget).patch({ namespace: 'prod', name: 'a' }, { spec: { size: 2 } }));
    await world.flush();
    const before = world.manager.explain('widgets', 'prod/a').lines;
    await world.run(
      Promise.all(
        Array.from({ length: controllerDefaults.journalRuns }, (_, i) =>
          world.repo(Widget).create({ metadata: { namespace: 'prod', name: `x${i}` }, spec: {} }),
        ),
      ),
    );
    await world.flush();
    expect(world.manager.explain('widgets', 'prod/a').lines).toEqual(before);
    expect(before[1]).toMatch(/updated widget prod\/a at 2 \(spec\.size\)/);
    expect(world.manager.runs('widgets')).toHaveLength(controllerDefaults.journalRuns);
  });

  it('tells the last 20 runs of a key beside one that runs all the time', async () => {
    const source = createPushSource('push');
    await using world = await openWorld([defineController({ name: 'widgets', for: Widget, sources: [source], reconcile() {} })]);
    await world.widget('hot');
    await world.widget('a');
    await world.flush();
    const push = async (key: string, n: number): Promise<void> => {
      source.push(key, { reason: `${key} ${n}` });
      await world.flush();
    };
    for (let n = 1; n <= 25; n += 1) await push('prod/a', n);
    for (let n = 1; n <= controllerDefaults.journalRuns + 100; n += 1) await push('prod/hot', n);
    const reasons = (key: string): readonly unknown[] =>
      world.manager.explain('widgets', key).runs.map(({ causes: [cause] }) => (cause?.kind === 'push' ? cause.reason : cause?.kind));
    expect(reasons('prod/a')).toEqual(Array.from({ length: 20 }, (_, i) => `prod/a ${25 - i}`));
    expect(reasons('prod/hot')).toHaveLength(20);
  });

  it('tells of an older run what it told before, its error too', async () => {
    let fail = true;
    await using world = await openWorld([
      defineController({
        name: 'widgets',
        for: Widget,
        rateLimiter: { baseDelay: '1s', jitter: 0 },
        reconcile({ object }) {
          if (object.metadata.name !== 'a' || !fail) return;
          fail = false;
          throw new Error('no luck');
        },
      }),
    ]);
    await world.widget('a');
    await world.advance('2s');
    const told = (): string => JSON.stringify(world.manager.explain('widgets', 'prod/a').runs);
    const before = told();
    expect(before).toContain('no luck');
    await world.widget('hot');
    for (let n = 0; n < controllerDefaults.journalRuns; n += 1) {
      world.manager.enqueue('widgets', 'prod/hot');
      await world.flush();
    }
    expect(told()).toBe(before);
  });
});

describe('the journal', () => {
  const limits = { runs: 100, ofKey: 5, older: 200, olderPerSecond: 200 };

  it('keeps the newest runs, and of each key its last ones beyond them', () => {
    const journal = new Journal(limits);
    const keys = Array.from({ length: 10 }, (_, i) => `k${i}`);
    // Seconds: none is left out for coming too fast.
    for (let at = 0; at < 50; at += 1) for (const key of keys) journal.add(run(key, at * 1000));
    for (let at = 50; at < 1000; at += 1) journal.add(run('hot', at * 1000));
    for (const key of keys) expect(times(journal, key).slice(0, 5)).toEqual([49_000, 48_000, 47_000, 46_000, 45_000]);
    const last = (count: number): number[] => Array.from({ length: count }, (_, i) => (999 - i) * 1000);
    expect(times(journal, 'hot').slice(0, 105)).toEqual(last(105));
    expect(journal.entries(undefined, Infinity).map((each) => each.startedAt)).toEqual(last(100));
  });

  it('is bounded whatever the keys, and forgets those that ran longest ago', () => {
    const most = limits.older + 2 * (limits.ofKey + 5);
    for (const keys of [1, 7, 50, 10_000]) {
      const journal = new Journal(limits);
      // A second each: none is left out for coming too fast.
      for (let n = 0; n < 5000; n += 1) journal.add(run(`k${n % keys}`, n * 1000));
      let kept = 0;
      for (let k = 0; k < keys; k += 1) kept += times(journal, `k${k}`).length;
      expect(kept).toBeLessThanOrEqual(limits.runs + most);
      expect(kept).toBeGreaterThanOrEqual(limits.runs + Math.min(limits.older / 2, keys * limits.ofKey));
    }
    const journal = new Journal(limits);
    journal.add(run('first', 0));
    for (let n = 1; n < 1000; n += 1) journal.add(run(`k${n}`, n));
    expect(times(journal, 'first')).toEqual([]);
    expect(times(journal, 'k999')).toEqual([999]);
  });

  it('takes over no more in a second than it holds, so that a flood costs little', () => {
    const journal = new Journal({ ...limits, olderPerSecond: 20 });
    for (let n = 0; n < 10_000; n += 1) journal.add(run(`k${n}`, 5));
    // The newest, and the first twenty that were so no longer.
    const kept = Array.from({ length: 10_000 }, (_, n) => n).filter((n) => times(journal, `k${n}`).length > 0);
    expect(kept).toEqual([...Array.from({ length: 20 }, (_, i) => i), ...Array.from({ length: 100 }, (_, i) => 9900 + i)]);
    for (let n = 0; n < 10; n += 1) journal.add(run('later', 1005));
    expect(times(journal, 'k9909')).toEqual([5]);
  });
});
