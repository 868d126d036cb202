/**
 * How long a failing key waits: backoffs (a function of its failures) and the bucket that all keys share.
 *
 * Invariants: a backoff is never negative, never above its cap, and finite for every number of failures. The bucket is
 * asked when a key's backoff is over, not when it begins: a key that waits for its own backoff spends nothing meanwhile,
 * and yet no more keys come out of backoff than the bucket allows.
 */
import { type Duration, InvalidError, parseDuration } from '../../schemas/index.js';
import type { Random } from '../../store/index.js';
import { queueDefaults } from './defaults.js';

/** The delay in ms after `failures` earlier failures (0 for the first); `random` is for jitter. */
export type Backoff = (failures: number, random: Random) => number;

/** The shape of an exponential backoff. */
export interface ExponentialBackoffOptions {
  /** The first delay. Default 5 ms. */
  readonly baseDelay?: Duration | undefined;
  /** The longest delay, jitter included. Default 1000 s. */
  readonly maxDelay?: Duration | undefined;
  /** Share that chance may add to a delay, 0 to 1. Default 0.1. */
  readonly jitter?: number | undefined;
}

/**
 * Doubles the delay with each failure: `baseDelay * 2^failures`, and up to `jitter` of that on top, at most `maxDelay`.
 *
 * @throws {InvalidError} when an option is out of range.
 */
export function exponentialBackoff(options: ExponentialBackoffOptions = {}): Backoff {
  const base = durationOption(options.baseDelay ?? queueDefaults.baseDelay, 'baseDelay');
  const max = durationOption(options.maxDelay ?? queueDefaults.maxDelay, 'maxDelay');
  const jitter = options.jitter ?? queueDefaults.jitter;
  if (!(jitter >= 0 && jitter <= 1)) throw new InvalidError(`jitter must be a number from 0 to 1, got ${String(jitter)}`);
  return (failures, random) => {
    // 2^1000 times any base is still a number; beyond it, infinity times a base of 0 would not be.
    const delay = base * 2 ** Math.min(failures, 1000);
    return delay >= max ? max : Math.min(max, jitter === 0 ? delay : delay * (1 + jitter * random.next()));
  };
}

/** The shape of a backoff with a few quick tries. */
export interface FastSlowBackoffOptions {
  /** The delay of the first tries. */
  readonly fast: Duration;
  /** The delay after them. */
  readonly slow: Duration;
  /** How many tries are quick. */
  readonly fastAttempts: number;
}

/**
 * Retries quickly a few times, then slowly.
 *
 * @throws {InvalidError} when an option is out of range.
 */
export function fastSlowBackoff(options: FastSlowBackoffOptions): Backoff {
  const fast = durationOption(options.fast, 'fast');
  const slow = durationOption(options.slow, 'slow');
  const { fastAttempts } = options;
  if (!(fastAttempts >= 0)) throw new InvalidError(`fastAttempts must be 0 or more, got ${String(fastAttempts)}`);
  return (failures) => (failures < fastAttempts ? fast : slow);
}

/**
 * Caps another backoff.
 *
 * @throws {InvalidError} when `maxWait` is no duration.
 */
export function cappedBackoff(backoff: Backoff, maxWait: Duration): Backoff {
  const max = durationOption(maxWait, 'maxWait');
  return (failures, random) => Math.min(max, backoff(failures, random));
}

/** A token bucket: `qps` tokens a second, `burst` of them at once. */
export interface BucketOptions {
  /** Tokens that are added a second; above 0, may be a fraction. */
  readonly qps: number;
  /** Tokens that the bucket holds; a whole number from 1. */
  readonly burst: number;
}

/** A bucket on the monotonic clock, kept as one number: the moment at which it will be full again. */
export class Bucket {
  readonly #interval: number;
  readonly #depth: number;
  #fullAt = -Infinity;

  /** @throws {InvalidError} when an option is out of range. */
  constructor(options: BucketOptions) {
    const { qps, burst } = options;
    if (!(qps > 0 && qps < Infinity)) throw new InvalidError(`bucket.qps must be a number above 0, got ${String(qps)}`);
    if (!(Number.isInteger(burst) && burst >= 1))
      throw new InvalidError(`bucket.burst must be a whole number from 1, got ${String(burst)}`);
    this.#interval = 1000 / qps;
    this.#depth = burst * this.#interval;
  }

  /** How many ms from `now` there will be `count` tokens; 0: they are there. */
  wait(now: number, count = 1): number {
    return Math.max(0, Math.max(this.#fullAt, now) + count * this.#interval - this.#depth - now);
  }

  /** Takes a token that is there. */
  take(now: number): void {
    this.#fullAt = Math.max(this.#fullAt, now) + this.#interval;
  }
}

/** A duration option of 0 or more, in ms. */
export function durationOption(value: Duration, name: string): number {
  const ms = parseDuration(value, name);
  if (!(ms >= 0 && ms < Infinity))
    throw new InvalidError(`${name} must be a duration of 0 or more such as 500 or '30s', got ${String(value)}`);
  return ms;
}
