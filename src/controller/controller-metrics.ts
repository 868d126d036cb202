/**
 * The series of one controller, looked up once: what a run costs is an increment.
 *
 * Invariants: every series is there at zero from the controller's start, so that rates work from the first error; none is
 * there once the controller was removed, so that those that come and go do not fill the registry.
 */
import { controllerMetrics, runtimeMetrics, workqueueMetrics } from './metrics/index.js';
import type { CounterSeries, GaugeSeries, HistogramSeries, MetricDefinition, MetricsRegistry } from './metrics/index.js';
import type { Outcome, ResultLabel } from './outcome.js';
import type { Run } from './run.js';

/** The series of one controller. */
export interface ControllerSeries {
  readonly total: Readonly<Record<ResultLabel, CounterSeries>>;
  readonly errors: CounterSeries;
  readonly terminal: CounterSeries;
  readonly panics: CounterSeries;
  readonly timeouts: CounterSeries;
  readonly seconds: HistogramSeries;
  readonly maxConcurrent: GaugeSeries;
  readonly active: GaugeSeries;
  readonly noops: CounterSeries;
  readonly conflicts: CounterSeries;
  readonly superseded: CounterSeries;
  readonly hotLoops: CounterSeries;
  readonly finalizerPending: GaugeSeries;
  readonly terminating: GaugeSeries;
}

/** Makes the series of a controller, at zero. */
export function controllerSeries(registry: MetricsRegistry, controller: string): ControllerSeries {
  const labels = { controller };
  const total = registry.counter(controllerMetrics.reconcileTotal);
  return {
    total: {
      success: total.with({ controller, result: 'success' }),
      error: total.with({ controller, result: 'error' }),
      requeue: total.with({ controller, result: 'requeue' }),
      requeue_after: total.with({ controller, result: 'requeue_after' }),
    },
    errors: registry.counter(controllerMetrics.reconcileErrors).with(labels),
    terminal: registry.counter(controllerMetrics.terminalErrors).with(labels),
    panics: registry.counter(controllerMetrics.panics).with(labels),
    timeouts: registry.counter(controllerMetrics.timeouts).with(labels),
    seconds: registry.histogram(controllerMetrics.reconcileTime).with(labels),
    maxConcurrent: registry.gauge(controllerMetrics.maxConcurrent).with(labels),
    active: registry.gauge(controllerMetrics.activeWorkers).with(labels),
    noops: registry.counter(runtimeMetrics.reconcileNoopWrites).with(labels),
    conflicts: registry.counter(runtimeMetrics.reconcileConflicts).with(labels),
    superseded: registry.counter(runtimeMetrics.reconcileSuperseded).with(labels),
    hotLoops: registry.counter(runtimeMetrics.hotLoops).with(labels),
    finalizerPending: registry.gauge(runtimeMetrics.finalizerPending).with(labels),
    terminating: registry.gauge(runtimeMetrics.terminating).with(labels),
  };
}

const ofControllers: readonly MetricDefinition[] = [controllerMetrics, workqueueMetrics, runtimeMetrics].flatMap((group) =>
  Object.values<MetricDefinition>(group).filter((definition) => definition.labels.includes('controller')),
);

/** Drops every series of a controller that was removed, those of its queue included. */
export function dropControllerSeries(registry: MetricsRegistry, controller: string): void {
  for (const definition of ofControllers) registry[definition.type](definition).removeMatching({ controller });
}

/** Counts a run; true when it failed in a way that is to be told. */
export function countRun(series: ControllerSeries, run: Run, outcome: Outcome): boolean {
  if (run.noops > 0) series.noops.inc(run.noops);
  if (run.dirtied) series.superseded.inc();
  if (run.heldBack) return false;
  series.total[outcome.result].inc();
  series.seconds.observe(run.tookMs / 1000);
  if (outcome.error === undefined) return false;
  if (outcome.kind === 'conflict') {
    series.conflicts.inc();
    return true;
  }
  series.errors.inc();
  if (outcome.kind === 'terminal') series.terminal.inc();
  return true;
}
