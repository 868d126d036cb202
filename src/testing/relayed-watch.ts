/**
 * A watch of the real store as a test sees it: it can be cut, made to expire, or be late.
 *
 * Invariants: it says nothing that the store's watch did not say, in the same order; `progress` never runs ahead of what was
 * handed out, however late; what was cut off comes again to whoever resumes.
 */
import { sleep } from '../store/index.js';
import type { Deps, Watch, WatchBatch, WatchEvent } from '../store/index.js';

/** What a relayed watch needs of the store it belongs to. */
export interface WatchHost {
  readonly deps: Pick<Deps, 'scheduler'>;
  /** Once false (its process was killed), no pull settles any more. */
  readonly alive: boolean;
  /** What is done with the promise of each pull. */
  listen<R>(work: Promise<R>): Promise<R>;
  /** What is done with a wait for events that are late. */
  late<R>(work: Promise<R>): Promise<R>;
  /** How late the next events are, ms. */
  delayMs(): number;
  ended(watch: RelayedWatch<never>): void;
}

/** How the store's watch is pulled. */
type Pull<T, V> = (inner: Watch<T>) => Promise<IteratorResult<V, undefined>>;

/** What a call of a dead process gives; a new one each time, so that who waits for it can be collected. */
export const never = (): Promise<never> => new Promise(() => {});

export class RelayedWatch<T> implements Watch<T> {
  readonly #host: WatchHost;
  readonly #opening: Promise<Watch<T>> | undefined;
  readonly #listeners = new Set<(revision: number) => void>();
  #inner: Watch<T> | undefined;
  #batches: AsyncIterator<WatchBatch<T>> | undefined;
  /** The revision of events that are on their way. */
  #held: number | undefined;
  #failure: Error | undefined;
  #ended = false;

  constructor(inner: Watch<T> | Promise<Watch<T>>, host: WatchHost) {
    this.#host = host;
    if (inner instanceof Promise) {
      this.#opening = inner.then((watch) => this.#take(watch));
      this.#opening.catch(() => {});
    } else {
      this.#take(inner);
      this.#opening = undefined;
    }
  }

  #take(watch: Watch<T>): Watch<T> {
    this.#inner = watch;
    watch.onProgress(() => this.#tell());
    if (this.#ended) void watch.close();
    return watch;
  }

  #tell(): void {
    if (this.#held !== undefined) return;
    const progress = Number(this.progress);
    for (const listener of this.#listeners) listener(progress);
  }

  get progress(): string {
    if (this.#inner === undefined) return '0';
    const { progress } = this.#inner;
    return this.#held === undefined || Number(progress) < this.#held ? progress : String(this.#held - 1);
  }

  /** Whether events are on their way. */
  get late(): boolean {
    return this.#held !== undefined;
  }

  onProgress(listener: (revision: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<WatchEvent<T>, undefined>> {
    return this.#next(
      (inner) => inner.next(),
      (event) => event.resourceVersion,
    );
  }

  batches(): AsyncIterableIterator<WatchBatch<T>> {
    const iterator: AsyncIterableIterator<WatchBatch<T>> = {
      [Symbol.asyncIterator]: () => iterator,
      next: () =>
        this.#next(
          (inner) => {
            this.#batches ??= inner.batches();
            return this.#batches.next();
          },
          (batch) => batch.resourceVersion,
        ),
      return: async () => {
        await this.close();
        return { done: true, value: undefined };
      },
    };
    return iterator;
  }

  #next<V>(pull: Pull<T, V>, revisionOf: (value: V) => string): Promise<IteratorResult<V, undefined>> {
    return this.#host.alive ? this.#host.listen(this.#pull(pull, revisionOf)) : never();
  }

  async #pull<V>(pull: Pull<T, V>, revisionOf: (value: V) => string): Promise<IteratorResult<V, undefined>> {
    const host = this.#host;
    try {
      const inner = this.#inner ?? (await this.#opening);
      const result = this.#ended || inner === undefined ? undefined : await pull(inner);
      if (result !== undefined && !this.#ended) {
        if (result.done === true) this.#finish();
        else {
          const delayMs = host.delayMs();
          if (delayMs > 0) await this.#hold(Number(revisionOf(result.value)), delayMs);
        }
      }
      if (!host.alive) return await never();
      return result === undefined || this.#ended ? this.#over() : result;
    } catch (error) {
      if (!host.alive) return await never();
      throw error;
    }
  }

  /** Keeps what was read back for a while. */
  async #hold(revision: number, delayMs: number): Promise<void> {
    this.#held = revision;
    await this.#host.late(sleep(this.#host.deps, delayMs));
    this.#held = undefined;
    // In a later turn: by then what was late has arrived.
    if (!this.#ended) this.#host.deps.scheduler.defer(() => this.#tell());
  }

  #over(): IteratorReturnResult<undefined> {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
    return { done: true, value: undefined };
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#host.ended(this as unknown as RelayedWatch<never>);
  }

  /** Ends it as a lost connection would. */
  cut(): void {
    this.#finish();
    void this.#inner?.close();
  }

  /** Ends it with an error, which the consumer gets at its next pull. */
  fail(error: Error): void {
    if (this.#ended) return;
    this.#failure = error;
    this.cut();
  }

  async return(): Promise<IteratorResult<WatchEvent<T>, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  async close(): Promise<void> {
    this.#finish();
    await this.#inner?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
