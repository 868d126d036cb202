/** What a manager says of itself: metrics, liveness, ages, and what it never says. */
import { describe, expect, it } from 'vitest';
import { Secret } from '../../src/schemas/index.js';
import { systemDeps } from '../../src/store/index.js';
import { createManager, defineController } from '../../src/controller/index.js';
import { memoryEngine, openStore } from '../../src/store/index.js';
import { hitsIn } from '../store/encryption/support.js';
import { openWorld, Widget } from './world.js';

/** controller-runtime's and client-go's names, with the labels each has. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  controller_runtime_reconcile_total: ['controller', 'result'],
  controller_runtime_reconcile_errors_total: ['controller'],
  controller_runtime_terminal_reconcile_errors_total: ['controller'],
  controller_runtime_reconcile_panics_total: ['controller'],
  controller_runtime_reconcile_timeouts_total: ['controller'],
  controller_runtime_reconcile_time_seconds_count: ['controller'],
  controller_runtime_max_concurrent_reconciles: ['controller'],
  controller_runtime_active_workers: ['controller'],
  workqueue_depth: ['name', 'controller', 'priority'],
  workqueue_adds_total: ['name', 'controller'],
  workqueue_queue_duration_seconds_count: ['name', 'controller'],
  workqueue_work_duration_seconds_count: ['name', 'controller'],
  workqueue_unfinished_work_seconds: ['name', 'controller'],
  workqueue_longest_running_processor_seconds: ['name', 'controller'],
  workqueue_retries_total: ['name', 'controller'],
};

describe('metrics', () => {
  it("have controller-runtime's names and labels, every series at zero from the start", async () => {
    const controller = defineController({ name: 'widgets', for: Widget, reconcile() {} });
    await using world = await openWorld([controller]);
    const lines = world.manager.metrics.render().split('\n');
    for (const [name, labels] of Object.entries(NAMES)) {
      const series = lines.filter((line) => line.startsWith(`${name}{`));
      expect(series.length, name).toBe(labels.includes('result') ? 4 : 1);
      for (const line of series) {
        const [, inner = '', value] = /\{(.*)\} (.*)$/.exec(line) ?? [];
        expect([...inner.matchAll(/(\w+)="/g)].map((match) => match[1])).toEqual(labels);
        expect([name, Number(value)]).toEqual([name, name.includes('max_concurrent') ? 1 : 0]);
      }
    }
    for (const result of ['success', 'error', 'requeue', 'requeue_after']) {
      expect(world.metric('controller_runtime_reconcile_total', `result="${result}"`)).toBe(0);
    }
  });

  it('tell how long the oldest object has waited for its finalizer', async () => {
    const controller = defineController({
      name: 'widgets',
      for: Widget,
      reconcile() {},
      finalize() {
        throw new Error('cannot clean up');
      },
    });
    await using world = await openWorld([controller]);
    const age = (): number => world.metric('finalizer_pending_seconds');
    await world.widget('a');
    await world.widget('b');
    await world.flush();
    expect(age()).toBe(0);
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'a' }));
    await world.advance('90s');
    await world.run(world.repo(Widget).delete({ namespace: 'prod', name: 'b' }));
    await world.advance('30s');
    expect(Math.round(age())).toBe(120);
  });
});

describe('the rate limiter of a controller', () => {
  it('is an overall bucket beside the backoff of each key, when asked for', async () => {
    let tries = 0;
    const controller = defineController({
      name: 'widgets',
      for: Widget,
      rateLimiter: { baseDelay: 1, maxDelay: 1, jitter: 0, bucket: { qps: 2, burst: 3 } },
      reconcile() {
        tries += 1;
        throw new Error('always');
      },
    });
    await using world = await openWorld([controller]);
    for (let i = 0; i < 5; i += 1) await world.widget(`w${i}`);
    await world.flush();
    const first = tries;
    await world.advance('10s');
    // Three at once, then two each second, whatever the backoffs of five keys would allow.
    expect(tries - first).toBeGreaterThanOrEqual(20);
    expect(tries - first).toBeLessThanOrEqual(23);
  });
});

describe('liveness', () => {
  it('fails while the event loop is late by the limit, and says so; readiness does not mind', async () => {
    let skew = 0;
    const real = systemDeps();
    const deps = { ...real, clock: { now: real.clock.now, monotonic: () => real.clock.monotonic() + skew } };
    await using store = await openStore({ engine: memoryEngine(), deps });
    await using manager = createManager({ store, loopLagLimit: '5s' });
    await manager.start();
    expect(manager.healthz()).toMatchObject({ ok: true });
    // As seen from here nothing ran for twenty seconds.
    skew = 20_000;
    const report = manager.healthz();
    expect(report.ok).toBe(false);
    expect(report.checks.find((check) => !check.ok)).toMatchObject({
      name: 'event-loop',
      message: expect.stringMatching(/^the event loop is 1\d{4} ms late/),
    });
    expect(manager.readyz().ok).toBe(true);
  });
});

describe('secrets', () => {
  it('are in no log line, event, explanation, metric or report, also when a reconciler fails over them', async () => {
    const text = 'hunter2-is-the-word';
    const controller = defineController({
      name: 'secrets',
      for: Secret,
      async reconcile({ object, log, event, causes, repo }) {
        log.info({ object, causes }, 'looked at');
        event('Warning', 'Looked', `at ${JSON.stringify(object)}`);
        const { data } = await repo(Secret).get({ namespace: 'prod', name: 'db' });
        if (data?.['password'] === undefined) throw new Error('no password');
        throw Object.assign(new Error(`cannot use ${JSON.stringify(object)}`), { object });
      },
    });
    await using world = await openWorld([controller]);
    await world.run(world.repo(Secret).create({ metadata: { namespace: 'prod', name: 'db' }, data: { password: text } }));
    await world.advance('10s');
    await world.run(world.repo(Secret).patch({ namespace: 'prod', name: 'db' }, { data: { password: `${text}-2` } }));
    await world.advance('1m');
    const { items: events } = await world.run(world.store.list('event'));
    const said = JSON.stringify({
      logs: world.logs(),
      events,
      explained: world.manager.explain('secrets', 'prod/db'),
      runs: world.manager.runs('secrets'),
      metrics: world.manager.metrics.render(),
      ready: world.manager.readyz(),
    });
    expect(world.logs().length).toBeGreaterThan(2);
    expect(events.length).toBeGreaterThan(0);
    expect(world.manager.explain('secrets', 'prod/db').lines.join('\n')).toContain('data.password');
    expect(hitsIn('said', Buffer.from(said), [text, Buffer.from(text).toString('base64')])).toEqual([]);
  });
});
