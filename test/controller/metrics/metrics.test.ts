/** The metrics registry and its text formats. */
import { describe, expect, it } from 'vitest';
import {
  controllerMetrics,
  createMetrics,
  leaderElectionMetrics,
  type MetricDefinition,
  reconcileResults,
  runtimeMetrics,
  workqueueMetrics,
} from '../../../src/controller/metrics/index.js';

const requests = { name: 'requests_total', type: 'counter', labels: ['code'], help: 'Requests.' } as const satisfies MetricDefinition;
const level = { name: 'level', type: 'gauge', labels: [], help: 'The level.' } as const satisfies MetricDefinition;
const latency = {
  name: 'latency_seconds',
  type: 'histogram',
  labels: ['verb'],
  help: 'How long.',
  buckets: [0.1, 1, 10],
} as const satisfies MetricDefinition;

describe('metrics registry', () => {
  it('counts, sets and observes', () => {
    const metrics = createMetrics();
    const ok = metrics.counter(requests).with({ code: '200' });
    ok.inc();
    ok.inc(2.5);
    expect(ok.value()).toBe(3.5);
    expect(() => ok.inc(-1)).toThrow(/only grows/);
    expect(() => ok.inc(NaN)).toThrow(/only grows/);
    const gauge = metrics.gauge(level).with({});
    gauge.set(5);
    gauge.add(-7);
    expect(gauge.value()).toBe(-2);
    const histogram = metrics.histogram(latency).with({ verb: 'get' });
    for (const value of [0.05, 0.1, 0.5, 10, 11, NaN]) histogram.observe(value);
    expect([histogram.cumulative(), histogram.count(), histogram.sum()]).toEqual([[2, 3, 4, 5], 5, 21.65]);
  });

  it('finds the bucket among many as among few', () => {
    const metrics = createMetrics();
    const { buckets } = controllerMetrics.reconcileTime;
    const histogram = metrics.histogram(controllerMetrics.reconcileTime).with({ controller: 'c' });
    for (const bound of buckets) {
      histogram.observe(bound);
      histogram.observe(bound + 1e-9);
    }
    expect(histogram.cumulative()).toEqual([...buckets.map((_, index) => 2 * index + 1), 2 * buckets.length]);
  });

  it('gives the same series for the same labels, at zero from the first call', () => {
    const metrics = createMetrics();
    const family = metrics.counter(requests);
    expect(family.with({ code: '200' })).toBe(metrics.counter(requests).with({ code: '200' }));
    expect(metrics.render()).toBe('# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{code="200"} 0\n');
    expect(family.remove({ code: '200' })).toBe(true);
    expect(family.remove({ code: '200' })).toBe(false);
    expect(metrics.render()).not.toContain('200');
  });

  it('drops all series with some label values', () => {
    const metrics = createMetrics();
    const family = metrics.gauge({ name: 'depth', type: 'gauge', labels: ['queue', 'priority'], help: 'Depth.' });
    for (const queue of ['a', 'b']) for (const priority of ['0', '1']) family.with({ queue, priority }).set(1);
    expect(family.removeMatching({ queue: 'a' })).toBe(2);
    expect(family.removeMatching({ queue: 'a' })).toBe(0);
    expect(metrics.render()).not.toContain('queue="a"');
    expect(family.removeMatching({ queue: 'b', priority: '1' })).toBe(1);
    expect(family.with({ queue: 'b', priority: '0' }).value()).toBe(1);
  });

  it('tells apart label values that look alike when joined', () => {
    const metrics = createMetrics();
    const family = metrics.counter({ name: 'pairs_total', type: 'counter', labels: ['a', 'b'], help: 'Pairs.' });
    family.with({ a: 'x,', b: 'y' }).inc();
    expect(family.with({ a: 'x', b: ',y' }).value()).toBe(0);
    expect(family.with({ a: '["x', b: 'y"]' }).value()).toBe(0);
  });

  it('caps the series of a metric, and counts on in one that says so', () => {
    const metrics = createMetrics({ seriesLimit: 3 });
    const family = metrics.counter(requests);
    for (let code = 0; code < 10; code += 1) family.with({ code: `${code}` }).inc();
    family.with({ code: '1' }).inc();
    const lines = metrics
      .render()
      .split('\n')
      .filter((line) => !line.startsWith('#'));
    expect(lines).toEqual([
      'requests_total{code="0"} 1',
      'requests_total{code="1"} 2',
      'requests_total{code="2"} 1',
      'requests_total{code="exceeded_cardinality_limit"} 7',
      '',
    ]);
  });

  it('refuses labels that are missing, unknown or no text', () => {
    const family = createMetrics().counter(requests);
    for (const labels of [{}, { code: 200 }, { code: '1', other: '2' }, { other: '1' }]) {
      expect(() => family.with(labels as { code: string })).toThrow(/requests_total takes a text for each of the labels \[code\]/);
    }
  });

  it('refuses malformed definitions', () => {
    const wrong: [MetricDefinition, RegExp][] = [
      [{ ...requests, name: 'requests' }, /_total/],
      [{ ...requests, name: '1_total' }, /letters/],
      [{ ...requests, labels: ['le'] }, /le/],
      [{ ...requests, labels: ['__x'] }, /__/],
      [{ ...requests, labels: ['a', 'a'] }, /twice/],
      [{ ...requests, type: 'gauge' }, /is a gauge/],
    ];
    for (const [definition, message] of wrong) expect(() => createMetrics().counter(definition)).toThrow(message);
    expect(() => createMetrics().histogram({ ...latency, buckets: [] })).toThrow(/buckets/);
    expect(() => createMetrics().histogram({ ...latency, buckets: [1, 1] })).toThrow(/ascending/);
    expect(() => createMetrics().histogram({ ...latency, compatBuckets: [1, Infinity] })).toThrow(/finite/);
    expect(() => createMetrics({ seriesLimit: 0 })).toThrow(/seriesLimit/);
  });

  it('refuses a second definition under one name', () => {
    const metrics = createMetrics();
    metrics.counter(requests);
    expect(metrics.counter({ ...requests })).toBe(metrics.counter(requests));
    expect(() => metrics.counter({ ...requests, help: 'Other.' })).toThrow(/another definition/);
    expect(() => metrics.gauge(requests)).toThrow(/is a counter/);
  });

  it('keeps registries apart', () => {
    const [one, other] = [createMetrics(), createMetrics()];
    one.counter(requests).with({ code: '200' }).inc();
    expect(other.render()).toBe('');
  });

  it('updates before it renders, until told not to', () => {
    const metrics = createMetrics();
    const gauge = metrics.gauge(level).with({});
    let value = 0;
    const remove = metrics.onCollect(() => gauge.set(++value));
    metrics.render();
    metrics.render();
    remove();
    metrics.render();
    expect(gauge.value()).toBe(2);
  });
});

describe('metrics as text', () => {
  function filled(): ReturnType<typeof createMetrics> {
    const metrics = createMetrics();
    metrics
      .counter({ ...requests, help: 'Back\\slash,\nnew "line".' })
      .with({ code: 'a"b\\c\nd' })
      .inc(3, { trace_id: 'abc' });
    metrics.gauge(level).with({}).set(-Infinity);
    const histogram = metrics.histogram(latency).with({ verb: 'get' });
    histogram.observe(0.5, { trace_id: 'x"y' });
    histogram.observe(99, { trace_id: 'z'.repeat(200) });
    return metrics;
  }

  it('follows the Prometheus format 0.0.4', () => {
    const metrics = filled();
    expect(metrics.contentType()).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(metrics.render().split('\n')).toEqual([
      '# HELP requests_total Back\\\\slash,\\nnew "line".',
      '# TYPE requests_total counter',
      'requests_total{code="a\\"b\\\\c\\nd"} 3',
      '# HELP level The level.',
      '# TYPE level gauge',
      'level -Inf',
      '# HELP latency_seconds How long.',
      '# TYPE latency_seconds histogram',
      'latency_seconds_bucket{verb="get",le="0.1"} 0',
      'latency_seconds_bucket{verb="get",le="1"} 1',
      'latency_seconds_bucket{verb="get",le="10"} 1',
      'latency_seconds_bucket{verb="get",le="+Inf"} 2',
      'latency_seconds_sum{verb="get"} 99.5',
      'latency_seconds_count{verb="get"} 2',
      '',
    ]);
  });

  it('follows OpenMetrics 1.0, with exemplars that fit', () => {
    const metrics = filled();
    expect(metrics.contentType('openmetrics')).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    expect(metrics.render('openmetrics').split('\n')).toEqual([
      '# HELP requests Back\\\\slash,\\nnew \\"line\\".',
      '# TYPE requests counter',
      'requests_total{code="a\\"b\\\\c\\nd"} 3 # {trace_id="abc"} 3',
      '# HELP level The level.',
      '# TYPE level gauge',
      'level -Inf',
      '# HELP latency_seconds How long.',
      '# TYPE latency_seconds histogram',
      'latency_seconds_bucket{verb="get",le="0.1"} 0',
      'latency_seconds_bucket{verb="get",le="1.0"} 1 # {trace_id="x\\"y"} 0.5',
      'latency_seconds_bucket{verb="get",le="10.0"} 1',
      'latency_seconds_bucket{verb="get",le="+Inf"} 2',
      'latency_seconds_sum{verb="get"} 99.5',
      'latency_seconds_count{verb="get"} 2',
      '# EOF',
      '',
    ]);
  });
});

describe('metric definitions', () => {
  it("carry controller-runtime's and client-go's names and labels", () => {
    const shape = (group: Record<string, MetricDefinition>): string[] =>
      Object.values(group).map(({ name, type, labels }) => `${type} ${name}{${labels.join(',')}}`);
    expect(shape(controllerMetrics)).toEqual([
      'counter controller_runtime_reconcile_total{controller,result}',
      'counter controller_runtime_reconcile_errors_total{controller}',
      'counter controller_runtime_terminal_reconcile_errors_total{controller}',
      'counter controller_runtime_reconcile_panics_total{controller}',
      'counter controller_runtime_reconcile_timeouts_total{controller}',
      'histogram controller_runtime_reconcile_time_seconds{controller}',
      'gauge controller_runtime_max_concurrent_reconciles{controller}',
      'gauge controller_runtime_active_workers{controller}',
    ]);
    expect(shape(workqueueMetrics)).toEqual([
      'gauge workqueue_depth{name,controller,priority}',
      'counter workqueue_adds_total{name,controller}',
      'histogram workqueue_queue_duration_seconds{name,controller}',
      'histogram workqueue_work_duration_seconds{name,controller}',
      'gauge workqueue_unfinished_work_seconds{name,controller}',
      'gauge workqueue_longest_running_processor_seconds{name,controller}',
      'counter workqueue_retries_total{name,controller}',
      'gauge queue_oldest_wait_seconds{name,controller}',
    ]);
    expect(shape(leaderElectionMetrics)).toEqual([
      'gauge leader_election_master_status{name}',
      'counter leader_election_slowpath_total{name}',
    ]);
    expect(reconcileResults).toEqual(['success', 'error', 'requeue', 'requeue_after']);
    expect(workqueueMetrics.queueDuration.compatBuckets).toEqual(Array.from({ length: 12 }, (_, index) => Number(`1e${index - 8}`)));
  });

  it('can all be registered together', () => {
    const metrics = createMetrics();
    const all: MetricDefinition[] = [controllerMetrics, workqueueMetrics, leaderElectionMetrics, runtimeMetrics].flatMap((group) =>
      Object.values(group),
    );
    for (const definition of all) metrics[definition.type](definition);
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  });
});
