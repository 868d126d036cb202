/**
 * Informers as their users see them. The contract in prose is docs/informer.md.
 *
 * What every informer keeps:
 * - The cache and its indexes are updated before any handler hears of a change, so what a handler reads is at least as new.
 * - A handler is called for one change at a time, in commit order; nothing it does reaches another handler or the cache.
 * - Objects are shared and deep-frozen: the very ones that the watch delivered, never copies.
 */
import type {
  AnyDefinition,
  CachedOf,
  DeepReadonly,
  Duration,
  IndexFunction,
  IndexNameOf,
  ObjectKey,
  ObjectMeta,
} from '../schemas/index.js';
import type { Deps, FieldSelectorInput, LabelSelectorInput, Logger, Store } from '../store/index.js';

/** What a cache can hold: anything frozen that still carries its metadata. */
export interface Cacheable {
  readonly metadata: DeepReadonly<ObjectMeta>;
}

/** What a read of the cache is narrowed by; all that is given must hold. */
export interface CacheQuery<T> {
  /** One namespace, exactly. `undefined`, `''`, `'*'` and `'all'` mean every namespace. */
  readonly namespace?: string | undefined;
  /** Kubernetes' syntax or its object form; `=`, `==` and `in` are looked up, the rest filters. */
  readonly labelSelector?: LabelSelectorInput | undefined;
  /** Kept when it returns true. Runs on each object that the rest let through. */
  readonly filter?: ((object: T) => boolean) | undefined;
}

/** Synchronous reads of what is cached. Arrays are fresh; the objects in them are shared and frozen. */
export interface Lister<T, Index extends string = string> {
  /** The object under `{ namespace, name }` or `'namespace/name'` (cluster scope: `'name'`). */
  get(key: ObjectKey | string): T | undefined;
  has(key: ObjectKey | string): boolean;
  /** All objects that match, in no promised order. @throws {InvalidError} for a malformed selector. */
  list(query?: CacheQuery<T>): readonly T[];
  /**
   * The objects that the index function gave `value` for: a lookup, never a scan.
   *
   * @throws {InvalidError} for an index that nobody declared; it names the known ones.
   */
  byIndex(index: Index, value: string): readonly T[];
  /** How many objects there are. */
  readonly size: number;
}

/** Who to tell what. Every method may return a promise: the next change then waits for it. */
export interface InformerHandler<T> {
  /** `initial`: the object was there before the handler (or the informer) was. */
  onAdd?(object: T, context: { readonly initial: boolean }): void | Promise<void>;
  /** `previous` is what this handler was told last. A resync gives the same object twice. */
  onUpdate?(object: T, previous: T): void | Promise<void>;
  /**
   * `last` is the last state known. `finalStateUnknown`: the delete was found by listing again, so later states may have
   * been missed, or that it could not be opened. `resourceVersion` is that of the deletion; undefined when it was not seen. An object that was deleted and created again is told as a delete of the old uid and an add of the new.
   */
  onDelete?(last: T, context: { readonly finalStateUnknown: boolean; readonly resourceVersion: string | undefined }): void | Promise<void>;
  /** Everything up to this revision has been told. */
  onBookmark?(resourceVersion: string): void | Promise<void>;
}

/** How long to wait for something. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** ms or '30s'. Default: no limit. */
  readonly timeout?: Duration | undefined;
}

export interface HandlerOptions {
  /** For logs and stats. Default `handler-<n>`. */
  readonly name?: string | undefined;
  /** Tells every cached object again (as an update of it with itself) this often, give or take a tenth. Default: the informer's; off. */
  readonly resync?: Duration | undefined;
  /** How many changes may wait for a slow handler before those of one object are merged. Default 1024. */
  readonly pendingLimit?: number | undefined;
}

/** A handler's place at the informer. */
export interface HandlerHandle extends AsyncDisposable {
  readonly name: string;
  /** The handler was given everything that was there. */
  readonly synced: boolean;
  /** Changes that wait for this handler; a delete and an add that were merged count as one. */
  readonly lag: number;
  /** Changes that were merged into others because it lagged. */
  readonly missed: number;
  /** Calls that threw or rejected. */
  readonly errors: number;
  /**
   * Resolves when the handler was given everything that was there.
   *
   * @throws {TimeoutError} that says what is missing. @throws {AbortedError} @throws {StoreClosedError}
   */
  whenSynced(options?: WaitOptions): Promise<void>;
  /** No call begins after this; resolves when the one that runs has settled. Doing it twice is harmless. */
  remove(): Promise<void>;
}

/** What an informer can say about itself. */
export interface InformerStats {
  readonly type: string;
  readonly namespace: string | undefined;
  readonly objects: number;
  readonly handlers: readonly {
    readonly name: string;
    readonly synced: boolean;
    readonly lag: number;
    readonly missed: number;
    readonly errors: number;
  }[];
  readonly references: number;
  readonly synced: boolean;
  readonly running: boolean;
  readonly resourceVersion: string;
  /** Object events applied to the cache. */
  readonly events: number;
  /** Times the content was listed again after the first sync. */
  readonly relists: number;
  /** Times a watch that was cut went on where it stopped. */
  readonly resumes: number;
  /** Wall clock, ms; 0 before the first event. */
  readonly lastEventAt: number;
  /** Times that an index function, a transform or a metrics function threw, or gave what it must not. */
  readonly functionErrors: number;
  /** Events of objects that could not be opened. */
  readonly unopened: number;
  readonly indexes: readonly string[];
  readonly labelIndex: boolean;
  /** Why the last watch ended, when it ended badly and no later one has synced. */
  readonly lastError: Error | undefined;
}

/** A live, indexed copy of what a watch shows. */
export interface Informer<D extends AnyDefinition, Index extends string = IndexNameOf<D>, T = CachedOf<D>>
  extends Lister<T, Index>, AsyncDisposable {
  readonly definition: D;
  /** The one namespace it is narrowed to, or undefined. */
  readonly namespace: string | undefined;
  /** What existed at the start is in the cache. Stays true from then on. */
  readonly synced: boolean;
  /** The cache shows everything up to this revision, matching or not; `'0'` before the first sync. */
  readonly resourceVersion: string;
  /** Wall clock, ms; 0 before the first event. */
  readonly lastEventAt: number;
  readonly relists: number;
  /**
   * Adds a handler, before or after the start: it is told what is there (`initial`), then every change, nothing twice.
   */
  addHandler(handler: InformerHandler<T>, options?: HandlerOptions): HandlerHandle;
  /** Resolves when the cache has what existed at the start. @throws {TimeoutError} @throws {AbortedError} */
  whenSynced(options?: WaitOptions): Promise<void>;
  /**
   * Resolves once the cache shows `resourceVersion` or later; objects that do not match count too, so it never hangs on
   * a write that this informer does not see.
   *
   * @throws {TimeoutError} @throws {AbortedError} @throws {InvalidError} for a revision that is no decimal number.
   */
  caughtUp(resourceVersion: string, options?: WaitOptions): Promise<void>;
  /** All reads of the result show this moment, also after an await. Costs nothing until something changes, then what changed. */
  snapshot(): Lister<T, Index>;
  stats(): InformerStats;
  /** Gives this user's share back, its handlers with it; the last one stops the watch. Doing it twice is harmless. */
  release(): Promise<void>;
}

/** What an informer is asked for. Users who ask for the same type, namespace, selectors and transform share one watch. */
export interface InformerOptions<D extends AnyDefinition, Index extends string, T extends Cacheable> {
  /** One namespace. `undefined`, `''`, `'*'` and `'all'` mean every namespace. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: LabelSelectorInput | undefined;
  readonly fieldSelector?: FieldSelectorInput | undefined;
  /**
   * What is kept of each object, to save memory: a pure function whose result keeps `metadata`, whole. It is frozen. With it the
   * definition's own indexes are not there, since they are written for whole objects.
   */
  readonly transform?: ((object: CachedOf<D>) => T) | undefined;
  /** Indexes beside those of the definition. Functions must be pure. */
  readonly indexes?: { readonly [K in Index]: IndexFunction<T> } | undefined;
  /** Builds the label index at once instead of at the first label query. Default false. */
  readonly labelIndex?: boolean | undefined;
  /** Default for the handlers added here. Default off. */
  readonly resync?: Duration | undefined;
}

/** What an informer tells a metrics registry. All optional; called synchronously. What they throw is logged and counted. */
export interface InformerMetrics {
  events?(type: string, count: number): void;
  relist?(type: string, reason: 'expired' | 'error'): void;
  missed?(type: string, handler: string, count: number): void;
  handlerError?(type: string, handler: string): void;
  /** An object could not be opened, and is not cached as it is now. */
  unopened?(type: string): void;
}

export interface InformersOptions {
  readonly store: Store;
  /** Default: the store's. */
  readonly deps?: Deps | undefined;
  /** Default: that of `deps`. */
  readonly logger?: Logger | undefined;
  readonly metrics?: InformerMetrics | undefined;
}

/** The informers of one process, shared by all who ask for the same. */
export interface Informers extends AsyncDisposable {
  /**
   * An informer for a type. After `start()` it begins at once, before it waits.
   *
   * @throws {InvalidError} for a malformed selector, namespace or option.
   *
   * @example
   * const services = informers.for(Service, { indexes: { byImage: (s) => s.spec.image } });
   * services.byIndex('byImage', 'nginx:latest');
   */
  for<D extends AnyDefinition, T extends Cacheable, Index extends string = never>(
    definition: D,
    options: InformerOptions<D, Index, T> & { readonly transform: (object: CachedOf<D>) => T },
  ): Informer<D, Index, T>;
  for<D extends AnyDefinition, Index extends string = never>(
    definition: D,
    options?: InformerOptions<D, Index, CachedOf<D>>,
  ): Informer<D, Index | IndexNameOf<D>, CachedOf<D>>;
  /** Starts every informer, and those asked for later. Starting twice is harmless. */
  start(): void;
  /** Resolves when all have synced. @throws {TimeoutError} that names those that have not. @throws {AbortedError} */
  whenSynced(options?: WaitOptions): Promise<void>;
  /** Ends the watches and the calls of handlers; caches stay readable, and `start()` goes on where it stopped. */
  stop(): Promise<void>;
  /** One view for each shared watch, for reading; releasing it changes nothing. */
  readonly list: readonly Informer<AnyDefinition, string, Cacheable>[];
}
