/**
 * What the runtime takes from the world: time, turns, chance, ids, key material, logs.
 *
 * Invariant: nothing outside `system-deps.ts` (real) and `testing/` (virtual) touches `Date`, timers, `setImmediate`,
 * `queueMicrotask`, `performance` or `Math.random`. That one habit lets the whole runtime run in virtual time and replay
 * from a seed.
 */

/** Two readings of time, both in ms. */
export interface Clock {
  /** Wall clock: ms since the Unix epoch. May jump, forwards or back. */
  now(): number;
  /** Monotonic clock: ms since an arbitrary start. Never goes back; use it for durations and deadlines. */
  monotonic(): number;
}

/** A timer that has been set. Cancelling twice, or after it fired, is harmless. */
export interface Timer {
  cancel(): void;
}

/** Where work is put off to. The order of what is due at one moment is the scheduler's to decide: a seed, in tests. */
export interface Scheduler {
  /**
   * Runs `task` once, `delayMs` from now (0 and below: at the next turn). Any length works: a year does not overflow.
   * A timer keeps the process alive unless `unref` is set.
   */
  after(delayMs: number, task: () => void, options?: { readonly unref?: boolean }): Timer;
  /** Runs `task` in a later turn of the event loop, after pending I/O had its go. */
  defer(task: () => void): void;
  /** Resolves in a later turn of the event loop: what a long loop awaits so that it never stalls others. */
  turn(): Promise<void>;
}

/** Chance that need not be secret: jitter, spread, order. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
}

/** Names for new things. */
export interface Ids {
  /** A UUID (RFC 9562) that has not been given before, lower case. */
  uuid(): string;
  /** `length` characters of `[bcdfghjklmnpqrstvwxz2456789]`, Kubernetes' alphabet for generated names. */
  suffix(length: number): string;
}

/** Randomness fit for keys and nonces. */
export interface Entropy {
  bytes(length: number): Uint8Array;
}

/** The part of pino's logger that the runtime uses: fields first, then the sentence. */
export interface Logger {
  trace(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger that adds `bindings` to each of its lines. */
  child(bindings: Record<string, unknown>): Logger;
}

/** All of it in one object. `systemDeps()` gives the real one; the test kit's `virtualDeps()` one that runs from a seed. */
export interface Deps {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly ids: Ids;
  readonly entropy: Entropy;
  readonly logger: Logger;
}
