/**
 * Who hears of a key that has become ready: the `get` that has waited for longest, or else every listener.
 *
 * Invariants: a key goes to one `get` alone; a `get` that ends, in whatever way, leaves no listener on its signal and no
 * place in the list. What a listener throws reaches neither the other listeners nor the queue, which is in the middle of
 * something.
 */
import { onAbort, type Scheduler } from '../../store/index.js';
import type { Item } from './types.js';

/** A `get` that waits, linked to those before and after it: a thousand may end in any order. */
interface Waiter<Cause> {
  readonly resolve: (item: Item<Cause> | undefined) => void;
  removeListener: () => void;
  before: Waiter<Cause> | undefined;
  after: Waiter<Cause> | undefined;
}

export class Bell<Cause> {
  readonly #scheduler: Scheduler;
  readonly #take: () => Item<Cause> | undefined;
  #firstWaiter: Waiter<Cause> | undefined;
  #lastWaiter: Waiter<Cause> | undefined;
  readonly #listeners = new Set<() => void>();
  /** The only listener, if there is one alone. */
  #listener: (() => void) | undefined;

  /** `take` hands out the next key. */
  constructor(scheduler: Scheduler, take: () => Item<Cause> | undefined) {
    this.#scheduler = scheduler;
    this.#take = take;
  }

  /** A key has become ready. */
  ring(): void {
    if (this.#firstWaiter !== undefined) this.#answer(this.#firstWaiter, this.#take());
    else if (this.#listener !== undefined) this.#tell(this.#listener);
    else if (this.#listeners.size !== 0) for (const listener of this.#listeners) this.#tell(listener);
  }

  /** Waits for a key; `aborted` makes the error for a signal that aborts first. */
  wait(signal: AbortSignal | undefined, aborted: (signal: AbortSignal) => Error): Promise<Item<Cause> | undefined> {
    return new Promise((resolve, reject) => {
      const before = this.#lastWaiter;
      const waiter: Waiter<Cause> = { resolve, removeListener: () => {}, before, after: undefined };
      if (before === undefined) this.#firstWaiter = waiter;
      else before.after = waiter;
      this.#lastWaiter = waiter;
      if (signal === undefined) return;
      waiter.removeListener = onAbort(signal, () => {
        this.#unlink(waiter);
        reject(aborted(signal));
      });
    });
  }

  /** Nothing will come any more: every `get` ends. */
  end(): void {
    for (let waiter = this.#firstWaiter; waiter !== undefined; waiter = this.#firstWaiter) this.#answer(waiter, undefined);
  }

  listen(listener: () => void): () => void {
    // Its own function: whoever listens twice is heard twice, and removed once each.
    const own = (): void => listener();
    this.#listeners.add(own);
    this.#findOnly();
    return () => {
      this.#listeners.delete(own);
      this.#findOnly();
    };
  }

  removeListeners(): void {
    this.#listeners.clear();
    this.#findOnly();
  }

  #findOnly(): void {
    const [first] = this.#listeners;
    this.#listener = this.#listeners.size === 1 ? first : undefined;
  }

  #tell(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      // Not lost, and not in the way: in a turn of its own it is an uncaught exception like any other.
      this.#scheduler.defer(() => {
        throw error;
      });
    }
  }

  #answer(waiter: Waiter<Cause>, item: Item<Cause> | undefined): void {
    this.#unlink(waiter);
    waiter.removeListener();
    waiter.resolve(item);
  }

  #unlink({ before, after }: Waiter<Cause>): void {
    if (before === undefined) this.#firstWaiter = after;
    else before.after = after;
    if (after === undefined) this.#lastWaiter = before;
    else after.before = before;
  }
}
