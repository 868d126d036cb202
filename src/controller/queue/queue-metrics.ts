/**
 * The workqueue_* series of one queue.
 *
 * Invariants: all series exist at zero from the start; adding, taking and finishing a key only count; depths and ages are
 * read from the queue when the metrics are. The label `priority` takes 25 values, later ones share one.
 */
import type { Clock } from '../../store/index.js';
import { exceededCardinalityLimit, type GaugeSeries, type MetricsRegistry, workqueueMetrics } from '../metrics/index.js';
import type { KeyTable } from './key-table.js';
import { NONE } from './no-row.js';
import type { PriorityBands } from './priority-bands.js';
import { states } from './state-table.js';

const PRIORITIES = 25;

/** What the queue tells its metrics. */
export interface QueueMetrics {
  added(): void;
  retried(): void;
  taken(waitedMs: number): void;
  done(workedMs: number): void;
  /** Sets what is read from the queue one last time, and lets go of the queue. */
  close(): void;
}

/** Registers the series of the queue `name`. */
export function createQueueMetrics(
  registry: MetricsRegistry,
  name: string,
  clock: Clock,
  table: KeyTable,
  bands: PriorityBands,
): QueueMetrics {
  const labels = { name, controller: name };
  const adds = registry.counter(workqueueMetrics.adds).with(labels);
  const retries = registry.counter(workqueueMetrics.retries).with(labels);
  const queueDuration = registry.histogram(workqueueMetrics.queueDuration).with(labels);
  const workDuration = registry.histogram(workqueueMetrics.workDuration).with(labels);
  const unfinished = registry.gauge(workqueueMetrics.unfinishedWork).with(labels);
  const longest = registry.gauge(workqueueMetrics.longestRunning).with(labels);
  const oldestWait = registry.gauge(workqueueMetrics.oldestWait).with(labels);
  const depth = registry.gauge(workqueueMetrics.depth);
  const depths = new Map<number, GaugeSeries>([[0, depth.with({ ...labels, priority: '0' })]]);
  let others: GaugeSeries | undefined;

  const depthOf = (priority: number): GaugeSeries => {
    const known = depths.get(priority);
    if (known !== undefined) return known;
    if (depths.size >= PRIORITIES) return (others ??= depth.with({ ...labels, priority: exceededCardinalityLimit }));
    const series = depth.with({ ...labels, priority: String(priority) });
    depths.set(priority, series);
    return series;
  };

  const update = (): void => {
    for (const series of depths.values()) series.set(0);
    others?.set(0);
    bands.forEachBand((priority, size) => {
      if (size > 0) depthOf(priority).add(size);
    });
    const now = clock.monotonic();
    let sum = 0;
    let running = 0;
    for (const state of [states.processing, states.processingDelayed, states.dirty]) {
      // A search in bytes: a million waiting keys cost microseconds, not a look at each.
      for (let row = table.state.indexOf(state); row !== NONE; row = table.state.indexOf(state, row + 1)) {
        const age = now - (table.since[row] as number);
        sum += age;
        running = Math.max(running, age);
      }
    }
    unfinished.set(sum / 1000);
    longest.set(running / 1000);
    oldestWait.set(Math.max(0, now - bands.oldestHead()) / 1000);
  };
  const stopCollecting = registry.onCollect(update);

  return {
    added: () => adds.inc(),
    retried: () => retries.inc(),
    taken: (waitedMs) => queueDuration.observe(waitedMs / 1000),
    done: (workedMs) => workDuration.observe(workedMs / 1000),
    close: () => {
      update();
      stopCollecting();
    },
  };
}
