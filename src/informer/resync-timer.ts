/**
 * When a handler is told everything again: once a period, stretched or shrunk at random so that handlers do not meet.
 *
 * Invariant: a timer is set exactly while this is started.
 */
import type { Deps, Timer } from '../store/index.js';
import { informerDefaults } from './defaults.js';

export class ResyncTimer {
  readonly #deps: Pick<Deps, 'random' | 'scheduler'>;
  readonly #periodMs: number;
  readonly #onDue: () => void;
  #timer: Timer | undefined;

  constructor(deps: Pick<Deps, 'random' | 'scheduler'>, periodMs: number, onDue: () => void) {
    this.#deps = deps;
    this.#periodMs = periodMs;
    this.#onDue = onDue;
  }

  /** Does nothing when it is started already. */
  start(): void {
    if (this.#timer !== undefined) return;
    const { random, scheduler } = this.#deps;
    const spread = 1 + informerDefaults.resyncJitter * (2 * random.next() - 1);
    const due = (): void => {
      this.#timer = undefined;
      this.start();
      this.#onDue();
    };
    this.#timer = scheduler.after(this.#periodMs * spread, due, { unref: true });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
