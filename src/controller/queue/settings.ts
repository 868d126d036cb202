/** What callers say, checked once: the options of a queue, of an add. Invariant: what comes out needs no further check. */
import { InvalidError } from '../../schemas/index.js';
import { systemDeps } from '../../store/index.js';
import { queueDefaults } from './defaults.js';
import { type Backoff, Bucket, durationOption, exponentialBackoff } from './rate-limiters.js';
import type { AddAfterOptions, AddOptions, DelayPolicy, QueueDeps, WorkQueueOptions } from './types.js';

/** The options of a queue with nothing left open. */
export interface QueueSettings {
  readonly name: string;
  readonly deps: QueueDeps;
  readonly backoff: Backoff;
  readonly bucket: Bucket | undefined;
  /** ms; 0 for none. */
  readonly minInterval: number;
  /** ms; Infinity for strict priorities. */
  readonly ageing: number;
}

/** @throws {InvalidError} naming the option that is out of range. */
export function resolveSettings(options: WorkQueueOptions): QueueSettings {
  const { backoff, baseDelay, maxDelay, jitter, bucket, ageing = queueDefaults.ageing } = options;
  if (backoff !== undefined && (baseDelay ?? maxDelay ?? jitter) !== undefined) {
    throw new InvalidError('backoff replaces baseDelay, maxDelay and jitter: give one or the others');
  }
  const ageingMs = ageing === false ? Infinity : durationOption(ageing, 'ageing');
  if (ageingMs === 0) throw new InvalidError('ageing must be above 0, or false for strict priorities');
  return {
    name: options.name ?? 'default',
    deps: options.deps ?? systemDeps(),
    backoff: backoff ?? exponentialBackoff(options),
    bucket: bucket === undefined ? undefined : new Bucket(bucket),
    minInterval: durationOption(options.minInterval ?? queueDefaults.minInterval, 'minInterval'),
    ageing: ageingMs,
  };
}

/** @throws {InvalidError} when the priority is no finite number. */
export function priorityOf(options: AddOptions): number {
  const { priority = queueDefaults.priority } = options;
  if (!Number.isFinite(priority)) throw new InvalidError(`priority must be a finite number, got ${String(priority)}`);
  return priority;
}

/** @throws {InvalidError} when the policy is none of the three. */
export function policyOf(options: AddAfterOptions): DelayPolicy {
  const { policy = 'earliest' } = options;
  if (policy !== 'earliest' && policy !== 'latest' && policy !== 'replace') {
    throw new InvalidError(`policy must be 'earliest', 'latest' or 'replace', got ${String(policy)}`);
  }
  return policy;
}
