/**
 * A controller as its author sees it: what it is told of, and what it gets when a key runs.
 *
 * Invariants: a definition is frozen plain data, reusable by several managers; a context belongs to one run, and its
 * writes are refused once the run is over, timed out or stopped.
 */
import type { AnyDefinition, CachedOf, ConditionTypeOf, DeepReadonly, Duration, InputOf, ObjectKey, ResourceOf } from '../schemas/index.js';
import type { Clock, Deps, LabelSelectorInput, Logger, Repo, Store } from '../store/index.js';
import type { Lister } from '../informer/index.js';
import type { Cause } from './causes.js';
import type { ReconcileResult } from './outcome.js';
import type { Predicate } from './predicates.js';
import type { Source } from './source.js';

/** The keys a watched object wakes. */
export type MapResult = ObjectKey | string | readonly (ObjectKey | string)[] | undefined;

/** What `map` may read to find its keys. */
export interface MapContext {
  /** The cache of a type the controller declared. @throws {InvalidError} for another. */
  readonly lister: <T extends AnyDefinition>(definition: T) => Lister<CachedOf<T>>;
}

/** A type whose changes wake keys through `map`. */
export interface WatchInput<W extends AnyDefinition> {
  readonly resource: W;
  /** Called with the object before and after a change; the keys of both are woken, each once. A throw is retried. */
  readonly map: (object: CachedOf<W>, context: MapContext) => MapResult | Promise<MapResult>;
  /** Which updates count. Creations, deletions and deletion marks always do. */
  readonly where?: Predicate<CachedOf<W>> | undefined;
  /** Default: every namespace. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: LabelSelectorInput | undefined;
}

/** A type whose objects wake their owner. */
export interface OwnInput<O extends AnyDefinition> {
  readonly resource: O;
  /** Which updates count. Creations, deletions, deletion marks and changes of the owner always do. */
  readonly where?: Predicate<CachedOf<O>> | undefined;
  /** Wakes every owner, not just the controlling one. Default false. */
  readonly everyOwner?: boolean | undefined;
}

/** Backoff of failing keys. */
export interface RateLimiterOptions {
  /** Default 5 ms. */
  readonly baseDelay?: Duration | undefined;
  /** Default 1000 s. */
  readonly maxDelay?: Duration | undefined;
  /** Share of a delay that chance may add. Default 0.1. */
  readonly jitter?: number | undefined;
  /** A limit on all retries together. Default none. */
  readonly bucket?: { readonly qps: number; readonly burst: number } | undefined;
}

/** Which of its own writes do not run a key again. */
export type Echo = 'own-status' | 'all' | 'none';

// Methods compare both ways, so that a controller of one type is a controller of any.
interface Collectors<D extends AnyDefinition> {
  status(partial: StatusInput<D>): void;
  condition(
    type: ConditionTypeOf<D>,
    status: boolean | 'True' | 'False' | 'Unknown',
    why?: { readonly reason?: string | undefined; readonly message?: string | undefined },
  ): void;
}

/** What a reconciler gets. Every member may be taken out of it (`{ object, ensure }`). */
export interface ReconcileContext<D extends AnyDefinition = AnyDefinition> {
  readonly key: ObjectKey;
  /** The object as the cache shows it: frozen, at least as new as this key's last write. */
  readonly object: CachedOf<D>;
  /** A repo bound to this run: its writes carry `controller/<name>` as source, and are refused once the run is over. */
  readonly repo: <T extends AnyDefinition>(definition: T) => Repo<T>;
  /**
   * The cache of a type the controller declared: of all its objects where some declaration asks for all, otherwise of those
   * that the first asks for. @throws {InvalidError} for another type.
   */
  readonly lister: <T extends AnyDefinition>(definition: T) => Lister<CachedOf<T>>;
  /** The cached objects of an owned type that this object controls. @throws {InvalidError} for a type not in `owns`. */
  readonly children: <T extends AnyDefinition>(definition: T) => readonly CachedOf<T>[];
  /**
   * Creates a child, or brings it to what is given; it is owned by this object. Its namespace defaults to this one's.
   *
   * @throws {ForbiddenError} when it cannot be owned by this object: another namespace, another controller, or cluster scope.
   */
  readonly ensure: <T extends AnyDefinition>(definition: T, resource: InputOf<T>) => Promise<ResourceOf<T>>;
  /** Collects a change of the status (a merge patch); written once, after the run, if it changes anything. */
  readonly status: Collectors<D>['status'];
  /** Collects a condition; written with the status, and also when the run throws. */
  readonly condition: Collectors<D>['condition'];
  /** Records an event about the object: deduplicated, counted, expiring. Never waits. Dropped once the run is over, late or stopped. */
  readonly event: (type: 'Normal' | 'Warning', reason: string, note?: string) => void;
  /** Carries controller, key and reconcileID. */
  readonly log: Logger;
  /** Aborts when the run times out or the manager stops. */
  readonly signal: AbortSignal;
  /** 1 for a first try; one more for each failure in a row before it. */
  readonly attempt: number;
  /** Why it runs; for logs, not for decisions. */
  readonly causes: readonly Cause[];
  readonly clock: Clock;
  /** A UUID of this run, the one in its log lines. */
  readonly reconcileId: string;
  /** The store, bound to this run as `repo` is. */
  readonly store: Store;
  readonly deps: Deps;
}

/** What `status` accepts: any part of the status; null removes a field. */
export type StatusInput<D extends AnyDefinition> =
  NonNullable<InputOf<D> extends { readonly status?: infer S } ? S : unknown> extends infer S
    ? unknown extends S
      ? DeepReadonly<Record<string, unknown>>
      : { readonly [K in keyof S]?: S[K] | null | undefined }
    : never;

interface Callbacks<D extends AnyDefinition> {
  reconcile(context: ReconcileContext<D>): ReconcileResult | Promise<ReconcileResult>;
}

/** What `defineController` is given. */
export interface ControllerInput<D extends AnyDefinition, W extends readonly AnyDefinition[] = readonly AnyDefinition[]> {
  /** Lower case, digits and dashes, 63 at most: in logs, metrics, the finalizer and the source of writes. */
  readonly name: string;
  /** The type whose objects it reconciles. */
  readonly for: D;
  /** Types whose objects wake the object that controls them. */
  readonly owns?: readonly (AnyDefinition | OwnInput<AnyDefinition>)[] | undefined;
  /** Types whose objects wake the keys that `map` gives. */
  readonly watches?: { readonly [I in keyof W]: WatchInput<W[I]> } | undefined;
  /** Types that are read through `lister`, all objects of them whatever part is watched, and that wake nothing. */
  readonly reads?: readonly AnyDefinition[] | undefined;
  readonly sources?: readonly Source[] | undefined;
  /** Which updates of `for` count. Creations, deletions, deletion marks and a change of the pause always do. */
  readonly where?: Predicate<CachedOf<D>> | undefined;
  /** Keys at once. Default 1. */
  readonly concurrency?: number | undefined;
  /** Of one run. Default '5m'; false: none. */
  readonly timeout?: Duration | false | undefined;
  readonly rateLimiter?: RateLimiterOptions | undefined;
  /** After so many retries in a row a key waits for a change. Default: never. */
  readonly maxRetries?: number | undefined;
  /** Default `<name>.rune.dev/finalizer`. Used when there is a `finalize`. */
  readonly finalizer?: string | undefined;
  /**
   * Which of a run's own writes do not run the key again: the framework's own of status, conditions and finalizer
   * (`own-status`, the default), all of the run's, or none. What others write always does.
   */
  readonly echo?: Echo | undefined;
  /** Of keys that a change woke. Default 0; what was there at the start has 100 less. */
  readonly priority?: number | undefined;
  /** Runs in one transaction: all writes of a run (but the finalizer, stored before) are committed when it returns, none when it throws. Default false. */
  readonly transactional?: boolean | undefined;
  /** Default '2m'; false: no limit. */
  readonly cacheSyncTimeout?: Duration | false | undefined;
  /** Runs every key again this often, give or take a tenth. Default off. */
  readonly resync?: Duration | undefined;
  /** The one namespace it works in, for `for` and `owns`. Default: every. */
  readonly namespace?: string | undefined;
  /** Which objects of `for` it works on. */
  readonly labelSelector?: LabelSelectorInput | undefined;
  /** Deletes children of these owned types (true: all of `owns`) that a successful run did not `ensure`. Default none. */
  readonly prune?: boolean | readonly AnyDefinition[] | undefined;
  readonly reconcile: Callbacks<D>['reconcile'];
  /** Cleans up when the object is being deleted; the object goes when it succeeded. */
  readonly finalize?: Callbacks<D>['reconcile'] | undefined;
}

/** One watched type of a definition. */
export interface WatchSpec {
  readonly resource: AnyDefinition;
  readonly map: (object: never, context: MapContext) => MapResult | Promise<MapResult>;
  readonly where: Predicate<never> | undefined;
  readonly namespace: string | undefined;
  readonly labelSelector: LabelSelectorInput | undefined;
}
/** One owned type of a definition. */
export interface OwnSpec {
  readonly resource: AnyDefinition;
  readonly where: Predicate<never> | undefined;
  readonly everyOwner: boolean;
}

/** A controller as data. Made by `defineController`, run by a manager. Durations are in ms. */
export interface ControllerDefinition<D extends AnyDefinition = AnyDefinition> {
  readonly name: string;
  readonly for: D;
  readonly owns: readonly OwnSpec[];
  readonly watches: readonly WatchSpec[];
  readonly reads: readonly AnyDefinition[];
  readonly sources: readonly Source[];
  readonly where: Predicate<never> | undefined;
  readonly concurrency: number;
  /** undefined: none. */
  readonly timeout: number | undefined;
  readonly rateLimiter: RateLimiterOptions;
  readonly maxRetries: number | undefined;
  readonly finalizer: string;
  readonly echo: Echo;
  readonly priority: number;
  readonly transactional: boolean;
  readonly cacheSyncTimeout: number | undefined;
  readonly resync: number | undefined;
  readonly namespace: string | undefined;
  readonly labelSelector: LabelSelectorInput | undefined;
  readonly prune: readonly string[];
  reconcile(context: ReconcileContext<D>): ReconcileResult | Promise<ReconcileResult>;
  readonly finalize: Callbacks<D>['reconcile'] | undefined;
}
