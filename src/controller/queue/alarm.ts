/**
 * One timer for everything that has a time.
 *
 * Invariant: it goes off at the earliest moment that was asked for since it last did, or before; never later.
 */
import type { Scheduler, Timer } from '../../store/index.js';

export class Alarm {
  readonly #scheduler: Scheduler;
  readonly #ring: () => void;
  #timer: Timer | undefined;
  #due = Infinity;

  constructor(scheduler: Scheduler, ring: () => void) {
    this.#scheduler = scheduler;
    this.#ring = ring;
  }

  /** Asks for a call at `due`, in monotonic ms; Infinity: nothing is waited for any more. */
  set(due: number, now: number): void {
    if (due === Infinity) this.cancel();
    if (this.#due <= due) return;
    this.#timer?.cancel();
    this.#due = due;
    this.#timer = this.#scheduler.after(Math.max(0, due - now), () => {
      this.#timer = undefined;
      this.#due = Infinity;
      this.#ring();
    });
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#due = Infinity;
  }
}
