/**
 * Workers: loops in worker slots that take keys from a queue as long as there are any.
 *
 * Invariants:
 * - A loop takes synchronously and calls `done` for every key it took, whatever the handler did. Without work there is
 *   no loop, so an idle queue takes no slot; no handler runs inside somebody's `add`.
 * - A loop that gave its slot away finishes its key and takes no other. After `stop` resolved no handler runs.
 * - The event loop gets its turn every few ms of work, however much is waiting.
 */
import { deferred, type Deps, systemDeps } from '../../store/index.js';
import { queueDefaults } from './defaults.js';
import type { Slots } from './slots.js';
import type { Item, WorkQueue } from './types.js';

/** The loop that runs a handler, as the handler sees it. */
export interface Worker {
  /**
   * Gives the slot of this run to others while the run goes on: its key stays held until the handler settles. For runs
   * past their timeout. False if the run is over, or has given its slot away already.
   */
  release(item: Item): boolean;
}

/** What workers do with a key. */
export interface WorkerOptions<Cause = unknown> {
  /** Does the work. Says itself what follows: `forget` on success, `addRateLimited` on failure. */
  readonly handle: (item: Item<Cause>, worker: Worker) => Promise<void> | void;
  /** What follows when `handle` throws all the same. Default: an error line, and `addRateLimited`. */
  readonly onError?: ((error: unknown, item: Item<Cause>) => void) | undefined;
  /** Clock, turns, logger. Default: the system's. */
  readonly deps?: Pick<Deps, 'clock' | 'scheduler' | 'logger'> | undefined;
}

/** Workers that run. */
export interface Workers {
  /** Keys that handlers are at work on, those without a slot included. */
  running(): number;
  /** Keys whose handlers go on without a slot. */
  released(): number;
  /** Takes no further key, and resolves when every handler has settled. */
  stop(): Promise<void>;
}

/**
 * Lets workers handle the keys of a queue, as many at once as there are slots, until `stop`.
 *
 * @example
 * const workers = runWorkers(queue, createSlots({ concurrency: 4 }), {
 *   async handle(item) { await reconcile(item.key); queue.forget(item.key); },
 * });
 * await workers.stop();
 */
export function runWorkers<Cause>(queue: WorkQueue<Cause>, slots: Slots, options: WorkerOptions<Cause>): Workers {
  return new WorkerPool(queue, slots, options);
}

class WorkerPool<Cause> implements Workers {
  readonly #queue: WorkQueue<Cause>;
  readonly #slots: Slots;
  readonly #handle: WorkerOptions<Cause>['handle'];
  readonly #onError: (error: unknown, item: Item<Cause>) => void;
  readonly #deps: Pick<Deps, 'clock' | 'scheduler' | 'logger'>;
  readonly #removeListener: () => void;
  readonly #wake = (): void => this.#spawn();
  /** Loops that have a slot or wait for one. */
  #loops = 0;
  /** A loop that has not taken its first key yet: it will start the next one. */
  #starting = false;
  /** A handler runs right now, up to its first await: its loop goes on by itself. */
  #inHandler = false;
  #running = 0;
  #released = 0;
  #stopped = false;
  #onQuiet: (() => void) | undefined;
  /** The slice of time that all loops share. */
  #sliceStart: number;
  #sliceItems = 0;

  constructor(queue: WorkQueue<Cause>, slots: Slots, options: WorkerOptions<Cause>) {
    this.#queue = queue;
    this.#slots = slots;
    this.#handle = options.handle;
    this.#deps = options.deps ?? systemDeps();
    this.#onError = options.onError ?? ((error, item) => this.#retry(error, item));
    this.#sliceStart = this.#deps.clock.monotonic();
    this.#removeListener = queue.onReady(this.#wake);
    if (queue.len() > 0) this.#spawn();
  }

  running(): number {
    return this.#running;
  }

  released(): number {
    return this.#released;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#removeListener();
    if (this.#running === 0) return;
    const quiet = deferred();
    const before = this.#onQuiet;
    this.#onQuiet = () => {
      before?.();
      quiet.resolve();
    };
    await quiet.promise;
  }

  /** Starts one more loop, if there may be one; it starts the next when it has found work. */
  #spawn(): void {
    if (this.#starting || this.#inHandler || this.#stopped || this.#loops >= this.#slots.concurrency) return;
    this.#starting = true;
    this.#loops += 1;
    this.#slots.run((release) => this.#loop(release)).catch((error: unknown) => this.#broken(error));
  }

  async #loop(release: () => void): Promise<void> {
    // A slot may be free at once: this is still inside somebody's add.
    await Promise.resolve();
    this.#starting = false;
    const worker = new SlotWorker(() => {
      this.#loops -= 1;
      this.#released += 1;
      release();
      this.#continue();
    });
    const queue = this.#queue;
    for (;;) {
      const item = this.#stopped || this.#slots.isPaused || this.#slots.running > this.#slots.concurrency ? undefined : queue.tryGet();
      if (item === undefined) break;
      worker.item = item;
      this.#running += 1;
      this.#inHandler = true;
      try {
        const result = this.#handle(item, worker);
        this.#inHandler = false;
        if (result !== undefined) {
          if (queue.len() > 0) this.#spawn();
          await result;
        }
      } catch (error) {
        this.#inHandler = false;
        this.#failed(error, item);
      } finally {
        worker.item = undefined;
        this.#running -= 1;
        if (worker.released) this.#released -= 1;
        queue.done(item.key);
      }
      if (worker.released) {
        this.#checkQuiet();
        // A handler that returned at once gave its slot away while its loop seemed to go on: nobody was started then.
        this.#continue();
        return;
      }
      this.#sliceItems += 1;
      if (this.#sliceItems >= queueDefaults.sliceItems || item.takenAt - this.#sliceStart >= queueDefaults.sliceMs) {
        await this.#turn();
        if (this.#slots.waiting > 0 && !this.#starting) break;
      }
    }
    this.#loops -= 1;
    this.#checkQuiet();
    this.#continue();
  }

  /** Somebody must go on if keys wait and this loop does not take them. */
  #continue(): void {
    if (this.#queue.len() > 0) this.#spawn();
  }

  async #turn(): Promise<void> {
    await this.#deps.scheduler.turn();
    this.#sliceStart = this.#deps.clock.monotonic();
    this.#sliceItems = 0;
  }

  /** Sees to it that a key whose handler threw runs again. */
  #failed(error: unknown, item: Item<Cause>): void {
    try {
      this.#onError(error, item);
    } catch (second) {
      this.#log('onError of a worker threw', second, item);
      this.#retry(error, item);
    }
  }

  #retry(error: unknown, item: Item<Cause>): void {
    this.#log('the handler of a worker threw; its key is retried', error, item);
    const { key, priority } = item;
    try {
      this.#queue.addRateLimited(key, { priority });
    } catch (second) {
      this.#log('a key could not be retried with backoff, and is retried after the longest default one', second, item);
      this.#queue.addAfter(key, queueDefaults.maxDelay, { priority });
    }
  }

  #log(message: string, err: unknown, item: Item<Cause>): void {
    this.#deps.logger.error({ err, key: item.key, queue: this.#queue.name }, message);
  }

  #checkQuiet(): void {
    if (this.#stopped && this.#running === 0) this.#onQuiet?.();
  }

  #broken(error: unknown): void {
    this.#deps.logger.error({ err: error, queue: this.#queue.name }, 'a worker loop ended with an error');
    this.#loops -= 1;
    this.#checkQuiet();
    this.#continue();
  }
}

class SlotWorker implements Worker {
  item: Item | undefined;
  released = false;
  readonly #onRelease: () => void;

  constructor(onRelease: () => void) {
    this.#onRelease = onRelease;
  }

  release(item: Item): boolean {
    if (this.released || this.item !== item) return false;
    this.released = true;
    this.#onRelease();
    return true;
  }
}
