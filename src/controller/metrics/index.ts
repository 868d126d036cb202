export { contentTypes } from './exposition.js';
export { controllerMetrics, leaderElectionMetrics, reconcileResults, runtimeMetrics, workqueueMetrics } from './definitions.js';
export { exceededCardinalityLimit } from './family.js';
export { createMetrics, type MetricsOptions } from './registry.js';
export type {
  CounterSeries,
  Exemplar,
  GaugeSeries,
  HistogramSeries,
  Labels,
  MetricDefinition,
  MetricFamily,
  MetricsFormat,
  MetricsRegistry,
} from './types.js';
