/**
 * Who hears of a key that has become ready: the `get` that has waited for longest, or else every listener.
 *
 * Invariants: a key goes to one `get` alone; a `get` that ends, in whatever way, leaves no listener on its signal.
 */
import { onAbort } from '../../store/index.js';
import type { Item } from './types.js';

interface Waiter<Cause> {
  readonly resolve: (item: Item<Cause> | undefined) => void;
  removeListener: () => void;
}

export class Bell<Cause> {
  readonly #take: () => Item<Cause> | undefined;
  readonly #waiters = new Set<Waiter<Cause>>();
  readonly #listeners = new Set<() => void>();
  /** The only listener, if there is one alone. */
  #listener: (() => void) | undefined;

  /** `take` hands out the next key. */
  constructor(take: () => Item<Cause> | undefined) {
    this.#take = take;
  }

  /** A key has become ready. */
  ring(): void {
    if (this.#waiters.size !== 0) {
      const [waiter] = this.#waiters;
      this.#answer(waiter as Waiter<Cause>, this.#take());
    } else if (this.#listener !== undefined) {
      this.#listener();
    } else if (this.#listeners.size !== 0) {
      for (const listener of this.#listeners) listener();
    }
  }

  /** Waits for a key; `aborted` makes the error for a signal that aborts first. */
  wait(signal: AbortSignal | undefined, aborted: (signal: AbortSignal) => Error): Promise<Item<Cause> | undefined> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter<Cause> = { resolve, removeListener: () => {} };
      this.#waiters.add(waiter);
      if (signal === undefined) return;
      waiter.removeListener = onAbort(signal, () => {
        this.#waiters.delete(waiter);
        reject(aborted(signal));
      });
    });
  }

  /** Nothing will come any more: every `get` ends. */
  end(): void {
    for (const waiter of this.#waiters) this.#answer(waiter, undefined);
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

  #answer(waiter: Waiter<Cause>, item: Item<Cause> | undefined): void {
    this.#waiters.delete(waiter);
    waiter.removeListener();
    waiter.resolve(item);
  }
}
