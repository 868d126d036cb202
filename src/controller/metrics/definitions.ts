/**
 * Every metric that the controllers emit. Names, labels and `compatBuckets` of the first three groups are those of
 * controller-runtime and client-go, so that existing dashboards and alerts work; rest_client_* and webhook metrics are
 * left out, since there is no API server to call and none that calls. The last group is our own.
 */
import type { MetricDefinition } from './types.js';

const controller = ['controller'] as const;
const queue = ['name', 'controller'] as const;

/** 100 us to 1000 s. */
const queueBuckets = [1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000] as const;
/** 10 ns to 1000 s: a factor of 10, twelve times. */
const queueCompatBuckets = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000] as const;
const reconcileBuckets = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4.5,
  5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
] as const;

/** Outcomes of a run, the values of the label `result`. */
export const reconcileResults = ['success', 'error', 'requeue', 'requeue_after'] as const;

/** controller_runtime_*: runs and workers. */
export const controllerMetrics = {
  reconcileTotal: {
    name: 'controller_runtime_reconcile_total',
    type: 'counter',
    labels: ['controller', 'result'],
    help: 'Reconciles, by outcome.',
  },
  reconcileErrors: {
    name: 'controller_runtime_reconcile_errors_total',
    type: 'counter',
    labels: controller,
    help: 'Reconciles that failed, terminal errors included.',
  },
  terminalErrors: {
    name: 'controller_runtime_terminal_reconcile_errors_total',
    type: 'counter',
    labels: controller,
    help: 'Reconciles that failed and are not retried.',
  },
  panics: {
    name: 'controller_runtime_reconcile_panics_total',
    type: 'counter',
    labels: controller,
    help: 'Reconciles that threw something other than an Error.',
  },
  timeouts: {
    name: 'controller_runtime_reconcile_timeouts_total',
    type: 'counter',
    labels: controller,
    help: 'Reconciles that passed their timeout.',
  },
  reconcileTime: {
    name: 'controller_runtime_reconcile_time_seconds',
    type: 'histogram',
    labels: controller,
    buckets: reconcileBuckets,
    help: 'How long reconciles take.',
  },
  maxConcurrent: {
    name: 'controller_runtime_max_concurrent_reconciles',
    type: 'gauge',
    labels: controller,
    help: 'Keys that may be reconciled at once.',
  },
  activeWorkers: { name: 'controller_runtime_active_workers', type: 'gauge', labels: controller, help: 'Keys that are being reconciled.' },
} as const satisfies Record<string, MetricDefinition>;

/** workqueue_*: what waits and how long. */
export const workqueueMetrics = {
  depth: { name: 'workqueue_depth', type: 'gauge', labels: ['name', 'controller', 'priority'], help: 'Keys that are ready.' },
  adds: {
    name: 'workqueue_adds_total',
    type: 'counter',
    labels: queue,
    help: 'Adds that asked for a run; one of a key that is ready already does not.',
  },
  queueDuration: {
    name: 'workqueue_queue_duration_seconds',
    type: 'histogram',
    labels: queue,
    buckets: queueBuckets,
    compatBuckets: queueCompatBuckets,
    help: 'How long keys are ready before they are handed out.',
  },
  workDuration: {
    name: 'workqueue_work_duration_seconds',
    type: 'histogram',
    labels: queue,
    buckets: queueBuckets,
    compatBuckets: queueCompatBuckets,
    help: 'How long keys are with a worker.',
  },
  unfinishedWork: {
    name: 'workqueue_unfinished_work_seconds',
    type: 'gauge',
    labels: queue,
    help: 'Sum of the time that keys now with workers have been there; its slope is the number of stuck ones.',
  },
  longestRunning: {
    name: 'workqueue_longest_running_processor_seconds',
    type: 'gauge',
    labels: queue,
    help: 'How long the oldest key with a worker has been there.',
  },
  retries: { name: 'workqueue_retries_total', type: 'counter', labels: queue, help: 'Adds with a delay.' },
  oldestWait: {
    name: 'queue_oldest_wait_seconds',
    type: 'gauge',
    labels: queue,
    help: 'How long the key that is ready for longest has been so.',
  },
} as const satisfies Record<string, MetricDefinition>;

/** leader_election_*: who leads. */
export const leaderElectionMetrics = {
  masterStatus: {
    name: 'leader_election_master_status',
    type: 'gauge',
    labels: ['name'],
    help: '1 in the process that leads, 0 in a standby.',
  },
  slowpath: {
    name: 'leader_election_slowpath_total',
    type: 'counter',
    labels: ['name'],
    help: 'Renewals of a lease that needed to read it first.',
  },
} as const satisfies Record<string, MetricDefinition>;

/** What no other runtime tells. */
export const runtimeMetrics = {
  reconcileNoopWrites: {
    name: 'reconcile_noop_writes_total',
    type: 'counter',
    labels: controller,
    help: 'Writes of reconcilers that changed nothing.',
  },
  reconcileConflicts: {
    name: 'reconcile_conflicts_total',
    type: 'counter',
    labels: controller,
    help: 'Writes of reconcilers that lost to another.',
  },
  reconcileSuperseded: {
    name: 'reconcile_superseded_total',
    type: 'counter',
    labels: controller,
    help: 'Reconciles during which the object changed.',
  },
  hotLoops: { name: 'hot_loop_detected_total', type: 'counter', labels: controller, help: 'Keys found to trigger themselves.' },
  finalizerPending: {
    name: 'finalizer_pending_seconds',
    type: 'gauge',
    labels: controller,
    help: 'How long the oldest object that is being deleted has waited for its finalizers, whoever has to remove them.',
  },
  terminating: {
    name: 'terminating_objects',
    type: 'gauge',
    labels: controller,
    help: 'Objects that are being deleted and wait for their finalizers.',
  },
  eventLoopLag: { name: 'event_loop_lag_seconds', type: 'gauge', labels: [], help: 'How late the event loop runs timers.' },
  storeSize: { name: 'store_size_bytes', type: 'gauge', labels: [], help: 'Size of the store on disk, or of its values in memory.' },
  watchLag: { name: 'watch_lag_revisions', type: 'gauge', labels: ['resource'], help: 'Revisions that an informer is behind the store.' },
  watchRelists: {
    name: 'watch_relists_total',
    type: 'counter',
    labels: ['resource', 'reason'],
    help: 'Lists that an informer had to take again.',
  },
  informerObjects: { name: 'informer_objects', type: 'gauge', labels: ['resource'], help: 'Objects that an informer holds.' },
} as const satisfies Record<string, MetricDefinition>;
