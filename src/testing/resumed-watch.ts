/**
 * A watch that outlives the process it was opened in: when that is killed or restarted, it goes on in the next one.
 *
 * Invariants: what was handed out is not told again and nothing is left out, save that an initial list which a crash interrupts
 * begins anew. It ends when it is closed, when its store ends it, and when the rig is closed.
 */
import type { Store, Watch, WatchBatch, WatchEvent, WatchOptions } from '../store/index.js';
import type { RigProcess } from './rig-process.js';

/** The rig, as its clients see it. */
export interface ResumeHost {
  /** The present life. */
  readonly process: RigProcess;
  /** There will be no other life. */
  readonly closed: boolean;
  /** The newest revision that is durable. */
  readonly revision: string;
}

/** The watch in one life. */
interface Life<T> {
  readonly process: RigProcess;
  readonly watch: Watch<T>;
  batches: AsyncIterator<WatchBatch<T>> | undefined;
}

const over = { done: true, value: undefined } as const;

export class ResumedWatch<T> implements Watch<T> {
  readonly #host: ResumeHost;
  readonly #open: (store: Store, options: WatchOptions) => Watch<T>;
  readonly #options: WatchOptions;
  readonly #listeners = new Set<(revision: number) => void>();
  #life: Life<T> | undefined;
  /** Where it goes on from; undefined: it begins with what there is. */
  #since: string | undefined;
  #ended = false;

  constructor(host: ResumeHost, open: (store: Store, options: WatchOptions) => Watch<T>, options: WatchOptions) {
    this.#host = host;
    this.#open = open;
    this.#options = options;
    const { process, revision } = host;
    if (options.initial !== true) this.#since = options.since ?? process.store?.revision ?? revision;
    if (process.store !== undefined) this.#begin(process, process.store);
  }

  #begin(process: RigProcess, store: Store): Life<T> {
    const since = this.#since;
    const watch = this.#open(store, since === undefined ? this.#options : { ...this.#options, initial: undefined, since });
    watch.onProgress((revision) => {
      for (const listener of this.#listeners) listener(revision);
    });
    this.#life = { process, watch, batches: undefined };
    return this.#life;
  }

  get progress(): string {
    return this.#life?.watch.progress ?? String(Number(this.#since) || 0);
  }

  onProgress(listener: (revision: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<WatchEvent<T>, undefined>> {
    return this.#pull(({ watch }) => watch.next());
  }

  batches(): AsyncIterableIterator<WatchBatch<T>> {
    const iterator: AsyncIterableIterator<WatchBatch<T>> = {
      [Symbol.asyncIterator]: () => iterator,
      next: () =>
        this.#pull((life) => {
          life.batches ??= life.watch.batches();
          return life.batches.next();
        }),
      return: async () => {
        await this.close();
        return over;
      },
    };
    return iterator;
  }

  async #pull<V extends { readonly resume: string }>(
    pull: (life: Life<T>) => Promise<IteratorResult<V, undefined>>,
  ): Promise<IteratorResult<V, undefined>> {
    while (!this.#ended && !this.#host.closed) {
      const { process } = this.#host;
      const life = this.#lifeIn(process);
      const outcome = await process.answer(life === undefined ? this.#pullFirst(process, pull) : pull(life));
      if (outcome !== undefined && 'error' in outcome) throw outcome.error;
      if (outcome?.value.done === false) {
        this.#since = outcome.value.value.resume;
        return outcome.value;
      }
      if (outcome !== undefined && process.serves) break;
      // It ended with its process: there will be another.
      await process.killed.promise;
    }
    this.#ended = true;
    return over;
  }

  #lifeIn(process: RigProcess): Life<T> | undefined {
    return this.#life?.process === process ? this.#life : undefined;
  }

  async #pullFirst<V>(
    process: RigProcess,
    pull: (life: Life<T>) => Promise<IteratorResult<V, undefined>>,
  ): Promise<IteratorResult<V, undefined>> {
    const store = await process.open();
    // Another pull may have begun it, or it was closed meanwhile.
    return this.#ended ? over : pull(this.#lifeIn(process) ?? this.#begin(process, store));
  }

  async return(): Promise<IteratorResult<WatchEvent<T>, undefined>> {
    await this.close();
    return over;
  }

  async close(): Promise<void> {
    this.#ended = true;
    await this.#life?.watch.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
