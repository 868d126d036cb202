/**
 * Counts errors and logs them, the first ten always and then at most one a second, with how many were left out.
 *
 * Invariant: never throws. Who reports is in the middle of something that must go on, also where the log is broken.
 */
import type { Clock, Logger } from '../store/index.js';
import { informerDefaults } from './defaults.js';

export class ErrorLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #count = 0;
  #suppressed = 0;
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  get count(): number {
    return this.#count;
  }

  report(message: string, error: unknown, fields: Readonly<Record<string, unknown>>): void {
    this.#count += 1;
    const now = this.#clock.monotonic();
    if (this.#count > 10 && now - this.#loggedAt < informerDefaults.errorLogIntervalMs) {
      this.#suppressed += 1;
      return;
    }
    const suppressed = this.#suppressed === 0 ? {} : { suppressed: this.#suppressed };
    this.#suppressed = 0;
    this.#loggedAt = now;
    try {
      this.#logger.error({ ...fields, ...suppressed, err: error }, message);
    } catch {
      // It is counted; there is nobody else to tell.
    }
  }
}
