/**
 * Keeps a target in step with a watch: lists, follows, and begins again whenever the watch ends.
 *
 * Invariants: the target sees every revision once and in order. A watch that was cut goes on from the last batch applied;
 * one that expired or failed is replaced by a new initial list, given as a whole, so that the target tells only differences.
 * `reached` never runs ahead of what the target was given.
 */
import { isExpired, isStoreClosed, isStoreFailed } from '../schemas/index.js';
import { sleep, type Deps, type Logger, type Watch, type WatchBatch, type WatchEvent } from '../store/index.js';
import { Backoff } from './backoff.js';
import { informerDefaults } from './defaults.js';

type ObjectEvent<T> = Exclude<WatchEvent<T>, { readonly type: 'BOOKMARK' }>;

/** What is kept in step. What returns a promise is waited for. */
export interface ReflectorTarget<T> {
  /** True: an initial list is handed over whole, with `replace`; false: as it comes, with `apply`. */
  readonly hasContent: boolean;
  apply(events: readonly ObjectEvent<T>[]): void | Promise<void>;
  /** All that exists, at one revision. */
  replace(events: readonly ObjectEvent<T>[]): void | Promise<void>;
  bookmark(resourceVersion: string): void;
  /** What existed at the start has been given. */
  didSync(): void;
  /** Everything up to this revision has been given. */
  reached(resourceVersion: string): void;
  relisting(reason: 'expired' | 'error'): void;
  /** The reflector ended for good, because the store is closed. */
  ended(error: Error): void;
}

export interface ReflectorOptions<T> {
  readonly what: string;
  readonly open: (options: { readonly since?: string; readonly initial?: true; readonly bookmarks: true }) => Watch<T>;
  readonly target: ReflectorTarget<T>;
  readonly deps: Deps;
  readonly logger: Logger;
}

type End =
  | { readonly type: 'stopped' }
  /** `progressed`: something was applied that need not be asked for again. */
  | { readonly type: 'cut'; readonly progressed: boolean }
  | { readonly type: 'failed'; readonly error: Error };

export class Reflector<T> {
  readonly #options: ReflectorOptions<T>;
  /** Where to go on from; undefined: list first. */
  #since: string | undefined;
  #run: { readonly abort: AbortController; readonly done: Promise<void> } | undefined;
  #stopping: Promise<void> | undefined;
  #watch: Watch<T> | undefined;
  /** A batch is being applied, or the initial list is not complete: `progress` of the watch says more than was given. */
  #busy = true;
  #confirming = false;
  #synced = false;
  #resumes = 0;
  #relists = 0;
  #lastError: Error | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#run !== undefined;
  }
  get resumes(): number {
    return this.#resumes;
  }
  get relists(): number {
    return this.#relists;
  }
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** Begins to follow, from where it stopped before if it did. */
  start(): void {
    if (this.#run !== undefined) return;
    const abort = new AbortController();
    // Started again while it stops: the old loop ends first, or two would feed one target.
    const loop = this.#stopping === undefined ? this.#loop(abort.signal) : this.#stopping.then(() => this.#loop(abort.signal));
    const done = loop.catch((error: unknown) => {
      // Only a fault in the target gets here; saying nothing would leave a cache that silently stands still.
      const fault = error instanceof Error ? error : new Error(String(error), { cause: error });
      this.#lastError = fault;
      this.#options.logger.error({ informer: this.#options.what, err: fault }, 'the informer stopped on an internal fault');
      this.#options.target.ended(fault);
    });
    const run = { abort, done };
    this.#run = run;
    void done.then(() => {
      if (this.#run === run) this.#run = undefined;
    });
  }

  /** Resolves when nothing is followed any more. */
  async stop(): Promise<void> {
    const run = this.#run;
    if (run === undefined) return this.#stopping;
    this.#run = undefined;
    run.abort.abort();
    const stopping = run.done.then(() => {
      if (this.#stopping === stopping) this.#stopping = undefined;
    });
    this.#stopping = stopping;
    await this.#watch?.close();
    await stopping;
  }

  async #loop(signal: AbortSignal): Promise<void> {
    const { deps, logger, what, target } = this.#options;
    const backoff = new Backoff(
      { baseMs: informerDefaults.backoffBaseMs, maxMs: informerDefaults.backoffMaxMs, healthyAfterMs: informerDefaults.healthyAfterMs },
      deps.random,
    );
    while (!signal.aborted) {
      const began = deps.clock.monotonic();
      const end = await this.#follow(signal);
      const lived = deps.clock.monotonic() - began;
      let delay = 0;
      switch (end.type) {
        case 'stopped':
          return;
        case 'cut':
          if (this.#since !== undefined) this.#resumes += 1;
          // A list that is cut begins from nothing: however long it took, that is no way forward.
          if (!end.progressed && (lived < informerDefaults.shortWatchMs || this.#since === undefined)) delay = backoff.next(lived, true);
          logger.debug({ informer: what, since: this.#since, delayMs: delay }, 'the watch was cut; it goes on where it stopped');
          break;
        case 'failed': {
          this.#lastError = end.error;
          if (isStoreClosed(end.error) || isStoreFailed(end.error)) {
            logger.debug({ informer: what, err: end.error }, 'the store has ended; the informer stops');
            target.ended(end.error);
            return;
          }
          const expired = isExpired(end.error);
          this.#since = undefined;
          delay = backoff.next(lived, expired);
          if (this.#synced) {
            this.#relists += 1;
            target.relisting(expired ? 'expired' : 'error');
          }
          const fields = { informer: what, err: end.error, failures: backoff.failures, delayMs: Math.round(delay) };
          if (expired) logger.info(fields, 'the watch fell behind what is kept; it lists again');
          else logger.warn(fields, 'the watch failed; it lists again');
          break;
        }
        default:
          end satisfies never;
      }
      if (delay > 0) await sleep(deps, delay, { signal, unref: true }).catch(() => undefined);
    }
  }

  /** One watch, from its beginning to its end. */
  async #follow(signal: AbortSignal): Promise<End> {
    let progressed = false;
    let removeListener: (() => void) | undefined;
    let watch: Watch<T> | undefined;
    try {
      this.#busy = true;
      watch = this.#options.open(this.#since === undefined ? { initial: true, bookmarks: true } : { since: this.#since, bookmarks: true });
      this.#watch = watch;
      removeListener = watch.onProgress(() => this.#confirmLater());
      const list =
        this.#since === undefined ? { objects: this.#options.target.hasContent ? ([] as ObjectEvent<T>[]) : undefined } : undefined;
      let listing = list !== undefined;
      this.#busy = listing;
      this.#confirmLater();
      let sinceTurn = 0;
      for await (const batch of watch.batches()) {
        if (signal.aborted) return { type: 'stopped' };
        this.#busy = true;
        if (listing && list !== undefined) listing = await this.#list(batch, list);
        else {
          const wait = this.#apply(batch);
          if (wait !== undefined) await wait;
        }
        // Before the signal is looked at: what was applied must not be asked for again.
        if (!listing) {
          this.#since = batch.resume;
          progressed = true;
          this.#options.target.reached(batch.resourceVersion);
        }
        if (signal.aborted) return { type: 'stopped' };
        this.#busy = listing;
        sinceTurn += batch.events.length;
        if (sinceTurn >= informerDefaults.eventsPerTurn) {
          sinceTurn = 0;
          await this.#options.deps.scheduler.turn();
        }
      }
      return signal.aborted ? { type: 'stopped' } : { type: 'cut', progressed };
    } catch (error) {
      if (signal.aborted) return { type: 'stopped' };
      return { type: 'failed', error: error instanceof Error ? error : new Error(String(error), { cause: error }) };
    } finally {
      this.#busy = true;
      this.#watch = undefined;
      removeListener?.();
      await watch?.close();
    }
  }

  /** Takes a part of the initial list; false once it was the last. */
  async #list(batch: WatchBatch<T>, list: { readonly objects: ObjectEvent<T>[] | undefined }): Promise<boolean> {
    const { target } = this.#options;
    const objects: ObjectEvent<T>[] = list.objects ?? [];
    let bookmark: string | undefined;
    for (const event of batch.events) {
      if (event.type === 'BOOKMARK') bookmark = event.resourceVersion;
      else objects.push(event);
    }
    if (list.objects === undefined) await target.apply(objects);
    else if (bookmark !== undefined) await target.replace(objects);
    if (bookmark === undefined) return true;
    this.#lastError = undefined;
    this.#synced = true;
    target.didSync();
    target.bookmark(bookmark);
    return false;
  }

  #apply(batch: WatchBatch<T>): void | Promise<void> {
    const { target } = this.#options;
    const { events } = batch;
    const last = events[events.length - 1];
    if (last?.type !== 'BOOKMARK') return target.apply(events as readonly ObjectEvent<T>[]);
    if (events.length > 1) throw new Error('a bookmark came in one batch with changes');
    target.bookmark(last.resourceVersion);
  }

  /**
   * Looks at the watch's own progress in a later turn. Not at once: a batch that the watch has handed out may be on its way
   * here through promises, and then `progress` is ahead of the target; by the next turn it has arrived.
   */
  #confirmLater(): void {
    if (this.#confirming) return;
    this.#confirming = true;
    this.#options.deps.scheduler.defer(() => {
      this.#confirming = false;
      if (!this.#busy && this.#watch !== undefined) this.#options.target.reached(this.#watch.progress);
    });
  }
}
