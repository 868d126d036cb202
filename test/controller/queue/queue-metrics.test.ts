/** The workqueue_* series of a queue. */
import { describe, expect, it } from 'vitest';
import { createMetrics, type MetricsRegistry } from '../../../src/controller/metrics/index.js';
import { createWorkQueue } from '../../../src/controller/queue/index.js';
import { virtualDeps } from '../../../src/testing/index.js';

/** The samples of one metric, by what is between the braces, without the name of the queue. */
function samples(metrics: MetricsRegistry, name: string): Record<string, number> {
  const lines = metrics
    .render()
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`));
  return Object.fromEntries(
    lines.map((line) => [
      line
        .slice(name.length + 1, line.indexOf('}'))
        .replace('name="q",controller="q"', '')
        .replace(/^,/, ''),
      Number(line.slice(line.lastIndexOf(' '))),
    ]),
  );
}

describe('metrics of a work queue', () => {
  it("exist at zero from the start, under client-go's names and labels", () => {
    const metrics = createMetrics();
    createWorkQueue({ name: 'q', metrics, deps: virtualDeps() });
    for (const name of [
      'workqueue_adds_total',
      'workqueue_retries_total',
      'workqueue_queue_duration_seconds_count',
      'workqueue_work_duration_seconds_count',
      'workqueue_unfinished_work_seconds',
      'workqueue_longest_running_processor_seconds',
      'queue_oldest_wait_seconds',
    ]) {
      expect([name, samples(metrics, name)]).toEqual([name, { '': 0 }]);
    }
    expect(samples(metrics, 'workqueue_depth')).toEqual({ 'priority="0"': 0 });
  });

  it('are right after each step', async () => {
    const deps = virtualDeps();
    const metrics = createMetrics();
    const queue = createWorkQueue({ name: 'q', metrics, deps, jitter: 0 });
    const value = (name: string): number => samples(metrics, name)[''] ?? NaN;
    queue.add('a');
    queue.add('a');
    queue.add('b', { priority: 5 });
    expect(value('workqueue_adds_total')).toBe(2);
    expect(samples(metrics, 'workqueue_depth')).toEqual({ 'priority="0"': 1, 'priority="5"': 1 });
    await deps.advance(2000);
    expect(value('queue_oldest_wait_seconds')).toBe(2);
    queue.tryGet();
    queue.tryGet();
    expect(samples(metrics, 'workqueue_depth')).toEqual({ 'priority="0"': 0, 'priority="5"': 0 });
    expect(value('workqueue_queue_duration_seconds_count')).toBe(2);
    expect(value('workqueue_queue_duration_seconds_sum')).toBe(4);
    // Added again while it runs: an add, and no depth before done.
    queue.add('a');
    queue.addAfter('b', 1500);
    expect(value('workqueue_adds_total')).toBe(3);
    expect(value('workqueue_retries_total')).toBe(1);
    await deps.advance(500);
    expect(value('workqueue_unfinished_work_seconds')).toBe(1);
    expect(value('workqueue_longest_running_processor_seconds')).toBe(0.5);
    queue.done('a');
    expect(samples(metrics, 'workqueue_depth')['priority="0"']).toBe(1);
    await deps.advance(1000);
    expect(value('workqueue_adds_total')).toBe(4);
    queue.done('b');
    expect(value('workqueue_work_duration_seconds_count')).toBe(2);
    expect(value('workqueue_work_duration_seconds_sum')).toBe(2);
    expect(value('workqueue_unfinished_work_seconds')).toBe(0);
    queue.addRateLimited('c');
    queue.addAfter('d', 0);
    expect(value('workqueue_retries_total')).toBe(2);
  });

  it('count a retry also when its backoff is 0', () => {
    const metrics = createMetrics();
    const queue = createWorkQueue({ name: 'q', metrics, deps: virtualDeps(), baseDelay: 0 });
    queue.addRateLimited('a');
    queue.addRateLimited('b');
    expect(samples(metrics, 'workqueue_retries_total')).toEqual({ '': 2 });
    expect(samples(metrics, 'workqueue_adds_total')).toEqual({ '': 2 });
  });

  it('cap the label priority at 25 values', () => {
    const metrics = createMetrics();
    const queue = createWorkQueue({ name: 'q', metrics, deps: virtualDeps() });
    for (let priority = 0; priority < 40; priority += 1) queue.add(`${priority}`, { priority });
    const depths = samples(metrics, 'workqueue_depth');
    expect(Object.keys(depths)).toHaveLength(26);
    expect(depths['priority="exceeded_cardinality_limit"']).toBe(15);
    expect(Object.values(depths).reduce((sum, depth) => sum + depth, 0)).toBe(40);
  });

  it('let go of the queue when it is disposed of', async () => {
    const metrics = createMetrics();
    const queue = createWorkQueue({ name: 'q', metrics, deps: virtualDeps() });
    queue.add('a');
    expect(samples(metrics, 'workqueue_depth')).toEqual({ 'priority="0"': 1 });
    await queue[Symbol.asyncDispose]();
    expect(samples(metrics, 'workqueue_depth')).toEqual({ 'priority="0"': 0 });
    expect(samples(metrics, 'workqueue_adds_total')).toEqual({ '': 1 });
  });

  it("have controller-runtime's buckets with compat", () => {
    const count = (compat: boolean): number => {
      const metrics = createMetrics({ compat });
      createWorkQueue({ name: 'q', metrics, deps: virtualDeps() });
      return Object.keys(samples(metrics, 'workqueue_queue_duration_seconds_bucket')).length;
    };
    expect([count(false), count(true)]).toEqual([9, 13]);
  });
});
