/**
 * One watch with its cache, indexes and handlers, shared by all who asked for the same.
 *
 * Invariants: cache and indexes first, then handlers; a handler that is added is told what is cached at that moment and
 * every later change, nothing twice; a stopped informer calls nobody and keeps what it knows.
 */
import { AbortedError } from '../schemas/index.js';
import type { Deps, Logger, Watch, WatchEvent } from '../store/index.js';
import { Applier } from './applier.js';
import { ObjectCache } from './cache.js';
import type { Change, Item } from './change.js';
import { informerDefaults } from './defaults.js';
import { ErrorLog } from './error-log.js';
import { HandlerRunner, type HandlerHost } from './handler.js';
import { keyText } from './keys.js';
import { LiveLister, SelectorMemory, type IndexNames } from './lister.js';
import { Reflector, type ReflectorTarget } from './reflector.js';
import { ResyncTimer } from './resync-timer.js';
import { revisionNumber } from './revision.js';
import { SafeMetrics } from './safe-metrics.js';
import type { Cacheable, InformerHandler, InformerMetrics, WaitOptions } from './types.js';
import { Waiters } from './waiting.js';

type ObjectEvent<S> = Exclude<WatchEvent<S>, { readonly type: 'BOOKMARK' }>;

export interface SharedInformerOptions<S, T> {
  /** The type's name. */
  readonly type: string;
  readonly namespace: string | undefined;
  /** Type, namespace and selectors in words. */
  readonly what: string;
  readonly open: (options: { readonly since?: string; readonly initial?: true; readonly bookmarks: true }) => Watch<S>;
  readonly transform: ((object: S) => T) | undefined;
  readonly deps: Deps;
  readonly logger: Logger;
  readonly metrics: InformerMetrics;
}

export interface AddHandlerOptions {
  readonly name: string;
  readonly pendingLimit: number;
  /** ms; undefined: off. */
  readonly resyncMs: number | undefined;
}

export class SharedInformer<S extends Cacheable, T extends Cacheable> implements ReflectorTarget<S>, HandlerHost {
  readonly options: SharedInformerOptions<S, T>;
  readonly cache: ObjectCache<T>;
  readonly itemsPerTurn = informerDefaults.eventsPerTurn;
  readonly #applier: Applier<S, T>;
  readonly #reflector: Reflector<S>;
  readonly #selectors = new SelectorMemory();
  readonly #metrics: SafeMetrics;
  readonly #functionErrors: ErrorLog;
  readonly #unopened: ErrorLog;
  readonly #handlerErrors = new Map<string, ErrorLog>();
  readonly #revisions: Waiters;
  readonly #sync: Waiters;
  /** Replaced, never altered: a dispatch goes over the handlers there were when its changes were applied. */
  #handlers: readonly HandlerRunner<T>[] = [];
  #dispatching = false;
  #paused = true;
  #synced = false;
  #ended: Error | undefined;
  #revision = 0;
  #events = 0;
  #lastEventAt = 0;

  constructor(options: SharedInformerOptions<S, T>) {
    const { deps, logger } = options;
    this.options = options;
    this.#functionErrors = new ErrorLog(deps.clock, logger);
    this.#unopened = new ErrorLog(deps.clock, logger);
    this.#revisions = new Waiters(deps);
    this.#sync = new Waiters(deps);
    this.#metrics = new SafeMetrics(options.metrics, (error) => this.#functionErrors.report('a metrics function threw', error, {}));
    this.cache = new ObjectCache<T>((error, object) =>
      this.#functionErrors.report('an index function failed; the object is under no value of that index', error, {
        key: keyText(object.metadata.namespace, object.metadata.name),
      }),
    );
    this.#applier = new Applier<S, T>({
      cache: this.cache,
      transform: options.transform,
      onTransformError: (error, namespace, name) =>
        this.#functionErrors.report('the transform failed; the object is not cached', error, { key: keyText(namespace, name) }),
      onUnopened: (error, namespace, name) => {
        this.#unopened.report('an object cannot be opened; what was cached of it before stays', error, { key: keyText(namespace, name) });
        this.#metrics.unopened(options.type);
      },
    });
    this.#reflector = new Reflector<S>({ what: options.what, open: options.open, target: this, deps, logger });
  }

  get synced(): boolean {
    return this.#synced;
  }
  get running(): boolean {
    return this.#reflector.running;
  }
  get revision(): number {
    return this.#revision;
  }
  get events(): number {
    return this.#events;
  }
  get lastEventAt(): number {
    return this.#lastEventAt;
  }
  get relists(): number {
    return this.#reflector.relists;
  }
  get resumes(): number {
    return this.#reflector.resumes;
  }
  get lastError(): Error | undefined {
    return this.#reflector.lastError;
  }
  get functionErrors(): number {
    return this.#functionErrors.count;
  }
  get unopened(): number {
    return this.#unopened.count;
  }
  get handlers(): readonly HandlerRunner<T>[] {
    return this.#handlers;
  }
  get paused(): boolean {
    return this.#paused;
  }
  /** Why nobody needs to wait any longer. */
  get endedBy(): Error | undefined {
    return this.#ended;
  }

  start(): void {
    this.#paused = false;
    this.#ended = undefined;
    this.#reflector.start();
    for (const handler of this.#handlers) {
      handler.resume();
      handler.resyncTimer?.start();
    }
  }

  async stop(): Promise<void> {
    this.#paused = true;
    for (const handler of this.#handlers) handler.resyncTimer?.stop();
    await this.#reflector.stop();
  }

  /** Stops for good: no handler is called again, nobody waits any longer. */
  async close(): Promise<void> {
    this.ended(new AbortedError(`the informer of ${this.options.what} was released`));
    for (const handler of this.#handlers) void handler.remove();
    this.#handlers = [];
    await this.stop();
  }

  lister(names: IndexNames<T>): LiveLister<T> {
    return new LiveLister(this.cache, names, this.#selectors);
  }

  addHandler(handler: InformerHandler<T>, options: AddHandlerOptions): HandlerRunner<T> {
    const { name, pendingLimit, resyncMs } = options;
    const runner = new HandlerRunner<T>({ name, handler, pendingLimit, host: this, sync: new Waiters(this.options.deps) });
    this.#handlers = [...this.#handlers, runner];
    runner.begin(this.cache.objects());
    if (this.#synced) runner.push({ type: 'synced' });
    if (resyncMs !== undefined) {
      runner.resyncTimer = new ResyncTimer(this.options.deps, resyncMs, () => this.#resync(runner));
      if (!this.#paused && this.#ended === undefined) runner.resyncTimer.start();
    }
    return runner;
  }

  /** The promise of the handler's running call, if there is one. */
  removeHandler(runner: HandlerRunner<T>): Promise<void> | undefined {
    this.#handlers = this.#handlers.filter((each) => each !== runner);
    this.#handlerErrors.delete(runner.name);
    return runner.remove();
  }

  whenSynced(options: WaitOptions = {}): Promise<void> {
    if (this.#synced) return Promise.resolve();
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return this.#sync.wait(1, options, () => `the first sync of the informer of ${this.options.what}${this.why()}`);
  }

  caughtUp(resourceVersion: string, options: WaitOptions = {}): Promise<void> {
    const revision = revisionNumber(resourceVersion);
    if (this.#synced && revision <= this.#revision) return Promise.resolve();
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return this.#revisions.wait(
      revision,
      options,
      () => `reaching revision ${resourceVersion} in the informer of ${this.options.what} (at ${this.#revision})${this.why()}`,
    );
  }

  /** Why it has not got further, in words that follow a sentence. */
  why(): string {
    const error = this.#reflector.lastError;
    if (error !== undefined) return ` (the last watch ended with: ${error.message})`;
    return this.#reflector.running ? '' : ' (it is not started)';
  }

  // What the reflector gives.

  get hasContent(): boolean {
    return this.cache.size > 0;
  }

  apply(events: readonly ObjectEvent<S>[]): void | Promise<void> {
    this.#count(events.length);
    return this.#dispatch(this.#applier.apply(events, !this.#synced));
  }

  replace(events: readonly ObjectEvent<S>[]): void | Promise<void> {
    this.#count(events.length);
    return this.#dispatch(this.#applier.replace(events, !this.#synced));
  }

  bookmark(resourceVersion: string): void {
    this.#lastEventAt = this.options.deps.clock.now();
    for (const handler of this.#handlers) if (handler.wantsBookmarks) handler.push({ type: 'bookmark', resourceVersion });
  }

  reached(resourceVersion: string): void {
    const revision = Number(resourceVersion);
    if (revision <= this.#revision) return;
    this.#revision = revision;
    this.#revisions.reach(revision);
  }

  relisting(reason: 'expired' | 'error'): void {
    this.#metrics.relist(this.options.type, reason);
  }

  didSync(): void {
    if (this.#synced) return;
    this.#synced = true;
    const mark: Item<T> = { type: 'synced' };
    for (const handler of this.#handlers) handler.push(mark);
    this.#sync.reach(1);
    // Revision 0, of a store that nobody has written to, is never reached by a step.
    this.#revisions.reach(this.#revision);
  }

  ended(error: Error): void {
    this.#ended = error;
    this.#sync.fail(error);
    this.#revisions.fail(error);
    for (const handler of this.#handlers) {
      handler.resyncTimer?.stop();
      handler.sync.fail(error);
    }
  }

  // What handlers need.

  defer(task: () => void): void {
    this.options.deps.scheduler.defer(task);
  }

  failed(handler: string, key: string, error: unknown): void {
    let log = this.#handlerErrors.get(handler);
    if (log === undefined) this.#handlerErrors.set(handler, (log = new ErrorLog(this.options.deps.clock, this.options.logger)));
    log.report('a handler of the informer failed; the change counts as told', error, { handler, key });
    this.#metrics.handlerError(this.options.type, handler);
  }

  missed(handler: string, count: number): void {
    this.#metrics.missed(this.options.type, handler, count);
  }

  #count(events: number): void {
    this.#events += events;
    this.#lastEventAt = this.options.deps.clock.now();
    this.#metrics.events(this.options.type, events);
  }

  #dispatch(changes: readonly Change<T>[]): void | Promise<void> {
    const handlers = this.#handlers;
    if (changes.length > informerDefaults.eventsPerTurn) return this.#dispatchSlowly(changes, handlers);
    for (const handler of handlers) for (const change of changes) handler.push(change);
  }

  async #dispatchSlowly(changes: readonly Change<T>[], handlers: readonly HandlerRunner<T>[]): Promise<void> {
    this.#dispatching = true;
    for (let from = 0; from < changes.length; from += informerDefaults.eventsPerTurn) {
      if (from > 0) await this.options.deps.scheduler.turn();
      const slice = changes.slice(from, from + informerDefaults.eventsPerTurn);
      for (const handler of handlers) for (const change of slice) handler.push(change);
    }
    this.#dispatching = false;
  }

  #resync(runner: HandlerRunner<T>): void {
    // What is cached may be ahead of what was told in the middle of a dispatch.
    if (!this.#dispatching) runner.resync(this.cache.objects());
  }
}
