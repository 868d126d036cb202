/**
 * The timeouts of a controller's runs.
 *
 * Invariant: one timer for all of them. Runs start in order and have the same time, so the oldest that has not settled is
 * due first; a run that settles in time costs nothing.
 */
import type { Deps, Timer } from '../store/index.js';
import type { Run } from './run.js';

/** What deadlines need. */
export interface DeadlinesOptions {
  /** ms; undefined: none. */
  readonly timeout: number | undefined;
  readonly deps: Pick<Deps, 'clock' | 'scheduler'>;
  /** Runs that have not been released, oldest first. */
  readonly runs: () => Iterable<Run>;
  readonly onTimeout: (run: Run, timeout: number) => void;
}

export class Deadlines {
  readonly #options: DeadlinesOptions;
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: DeadlinesOptions) {
    this.#options = options;
  }

  /** A run has become asynchronous: it may take too long. */
  watch(): void {
    const { timeout } = this.#options;
    if (this.#timer === undefined && timeout !== undefined) this.#arm(timeout);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(delayMs: number): void {
    if (this.#closed) return;
    this.#timer = this.#options.deps.scheduler.after(delayMs, () => this.#check(), { unref: true });
  }

  #check(): void {
    this.#timer = undefined;
    const timeout = this.#options.timeout as number;
    const now = this.#options.deps.clock.monotonic();
    for (const run of this.#options.runs()) {
      if (run.settled || run.timedOut) continue;
      const left = run.startedAt + timeout - now;
      // Sums of fractions are not exact: what is due in less than this is due.
      if (left > 0.01) {
        this.#arm(left);
        return;
      }
      this.#options.onTimeout(run, timeout);
    }
  }
}
