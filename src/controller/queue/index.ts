export { queueDefaults } from './defaults.js';
export {
  type Backoff,
  type BucketOptions,
  cappedBackoff,
  exponentialBackoff,
  type ExponentialBackoffOptions,
  fastSlowBackoff,
  type FastSlowBackoffOptions,
} from './rate-limiters.js';
export { createSlots, type Slots, type SlotsOptions } from './slots.js';
export type { AddAfterOptions, AddOptions, DelayPolicy, InspectedKey, Item, QueueDeps, WorkQueue, WorkQueueOptions } from './types.js';
export { createWorkQueue } from './work-queue.js';
export { runWorkers, type Worker, type WorkerOptions, type Workers } from './workers.js';
