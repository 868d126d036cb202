/**
 * One user's share of an informer: its own index names, its own handlers, its own release.
 *
 * Invariants: releasing gives back exactly what this user took, once; reads go on working on what was last known.
 */
import { AbortedError, InvalidError, parseDuration, type AnyDefinition, type ObjectKey } from '../schemas/index.js';
import { informerDefaults } from './defaults.js';
import type { HandlerRunner } from './handler.js';
import type { IndexNames, LiveLister } from './lister.js';
import type { SharedInformer } from './shared-informer.js';
import type {
  Cacheable,
  CacheQuery,
  HandlerHandle,
  HandlerOptions,
  Informer,
  InformerHandler,
  InformerStats,
  Lister,
  WaitOptions,
} from './types.js';

export interface InformerViewOptions<D, T extends Cacheable> {
  readonly definition: D;
  readonly shared: SharedInformer<Cacheable, T>;
  readonly names: IndexNames<T>;
  /** Default for handlers added here, ms. */
  readonly resyncMs: number | undefined;
  readonly references: () => number;
  /** Names of handlers that were given none. */
  readonly nextHandlerName: () => string;
  readonly onRelease: () => Promise<void>;
}

export class InformerView<D extends AnyDefinition, T extends Cacheable> implements Informer<D, string, T> {
  readonly definition: D;
  readonly #options: InformerViewOptions<D, T>;
  readonly #shared: SharedInformer<Cacheable, T>;
  readonly #lister: LiveLister<T>;
  readonly #handlers = new Set<Handle<T>>();
  #released: Promise<void> | undefined;

  constructor(options: InformerViewOptions<D, T>) {
    this.definition = options.definition;
    this.#options = options;
    this.#shared = options.shared;
    this.#lister = options.shared.lister(options.names);
  }

  get namespace(): string | undefined {
    return this.#shared.options.namespace;
  }
  get size(): number {
    return this.#lister.size;
  }
  get synced(): boolean {
    return this.#shared.synced;
  }
  get resourceVersion(): string {
    return String(this.#shared.revision);
  }
  get lastEventAt(): number {
    return this.#shared.lastEventAt;
  }
  get relists(): number {
    return this.#shared.relists;
  }

  get(key: ObjectKey | string): T | undefined {
    return this.#lister.get(key);
  }
  has(key: ObjectKey | string): boolean {
    return this.#lister.has(key);
  }
  list(query?: CacheQuery<T>): readonly T[] {
    return this.#lister.list(query);
  }
  byIndex(index: string, value: string): readonly T[] {
    return this.#lister.byIndex(index, value);
  }
  snapshot(): Lister<T> {
    return this.#lister.snapshot();
  }

  addHandler(handler: InformerHandler<T>, options: HandlerOptions = {}): HandlerHandle {
    if (this.#released !== undefined) {
      throw new AbortedError(
        `the informer of ${this.#shared.options.what} was released: ask informers.for() for a new one before adding handlers`,
      );
    }
    const pendingLimit = options.pendingLimit ?? informerDefaults.pendingLimit;
    if (!Number.isInteger(pendingLimit) || pendingLimit < 1) {
      const message = `must be a whole number of at least 1, not ${String(pendingLimit)}`;
      throw new InvalidError(`pendingLimit ${message}`, { causes: [{ reason: 'FieldValueInvalid', field: 'pendingLimit', message }] });
    }
    const handle = new Handle<T>(this.#shared, handler, {
      name: options.name ?? this.#options.nextHandlerName(),
      pendingLimit,
      resyncMs: resyncPeriod(options.resync) ?? this.#options.resyncMs,
      onRemove: (removed) => this.#handlers.delete(removed),
    });
    this.#handlers.add(handle);
    return handle;
  }

  whenSynced(options?: WaitOptions): Promise<void> {
    return this.#shared.whenSynced(options);
  }
  caughtUp(resourceVersion: string, options?: WaitOptions): Promise<void> {
    return this.#shared.caughtUp(resourceVersion, options);
  }

  stats(): InformerStats {
    const shared = this.#shared;
    return {
      type: shared.options.type,
      namespace: shared.options.namespace,
      objects: shared.cache.size,
      handlers: shared.handlers.map(({ name, synced, lag, missed, errors }) => ({ name, synced, lag, missed, errors })),
      references: this.#options.references(),
      synced: shared.synced,
      running: shared.running,
      resourceVersion: this.resourceVersion,
      events: shared.events,
      relists: shared.relists,
      resumes: shared.resumes,
      lastEventAt: shared.lastEventAt,
      functionErrors: shared.functionErrors,
      unopened: shared.unopened,
      indexes: [...this.#options.names.functions.keys()],
      labelIndex: shared.cache.hasLabelIndex,
      lastError: shared.lastError,
    };
  }

  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  async #release(): Promise<void> {
    // Not waiting for calls that run: a handler may be what releases.
    for (const handle of this.#handlers) void handle.remove();
    await this.#options.onRelease();
  }
}

/** A resync period in ms; undefined: off. @throws {InvalidError} for what is no duration above zero. */
export function resyncPeriod(resync: number | string | undefined): number | undefined {
  if (resync === undefined) return undefined;
  const ms = parseDuration(resync, 'resync');
  if (ms > 0) return ms;
  const message = `must be above zero, not ${String(resync)}; leave it out to turn resync off`;
  throw new InvalidError(`resync ${message}`, { causes: [{ reason: 'FieldValueInvalid', field: 'resync', message }] });
}

interface HandleOptions<T extends Cacheable> {
  readonly name: string;
  readonly pendingLimit: number;
  readonly resyncMs: number | undefined;
  readonly onRemove: (handle: Handle<T>) => void;
}

class Handle<T extends Cacheable> implements HandlerHandle {
  readonly name: string;
  readonly #shared: SharedInformer<Cacheable, T>;
  readonly #runner: HandlerRunner<T>;
  readonly #onRemove: (handle: Handle<T>) => void;

  constructor(shared: SharedInformer<Cacheable, T>, handler: InformerHandler<T>, options: HandleOptions<T>) {
    this.name = options.name;
    this.#shared = shared;
    this.#onRemove = options.onRemove;
    this.#runner = shared.addHandler(handler, options);
  }

  get synced(): boolean {
    return this.#runner.synced;
  }
  get lag(): number {
    return this.#runner.lag;
  }
  get missed(): number {
    return this.#runner.missed;
  }
  get errors(): number {
    return this.#runner.errors;
  }

  whenSynced(options: WaitOptions = {}): Promise<void> {
    if (this.#runner.synced) return Promise.resolve();
    if (this.#runner.removed) return Promise.reject(this.#removedError());
    if (this.#shared.endedBy !== undefined) return Promise.reject(this.#shared.endedBy);
    const { what } = this.#shared.options;
    return this.#runner.sync.wait(1, options, () =>
      this.#shared.synced
        ? `handler ${this.name} of the informer of ${what} being told what is there (${this.lag} changes wait)`
        : `the first sync of the informer of ${what}, for handler ${this.name}${this.#shared.why()}`,
    );
  }

  async remove(): Promise<void> {
    const running = this.#shared.removeHandler(this.#runner);
    this.#runner.sync.fail(this.#removedError());
    this.#onRemove(this);
    await running;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }

  #removedError(): AbortedError {
    return new AbortedError(`handler ${this.name} of the informer of ${this.#shared.options.what} was removed`);
  }
}
