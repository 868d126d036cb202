/**
 * The typed API of one resource type, on a store or inside a transaction.
 *
 * Invariants:
 * - What reads and writes give is the caller's own and may be changed; `watch` gives shared, frozen objects.
 * - A resource given as an address means that very object: a write through it is refused (ConflictError) once the name has
 *   gone to another uid. `{ namespace, name }` and refs by name mean whatever has the name.
 */
import type { AnyDefinition, CachedOf, ConditionTypeOf, Duration, InputOf, ObjectKey, ResourceOf } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import type {
  DeleteOptions,
  GetOptions,
  HistoricalVersion,
  HistoryOptions,
  ListOptions,
  ListResult,
  PatchOptions,
  RollbackOptions,
  UpdateOptions,
  Watch,
  WatchOptions,
  WriteOptions,
} from '../types.js';

/**
 * Which object is meant: its key, a resource (its metadata is taken), or a ref such as `rune://service/prod/web`,
 * `service:web.prod.rune`, `rune://service/prod/id/<uid>`.
 */
export type RepoAddress<D extends AnyDefinition = AnyDefinition> = ObjectKey | ResourceOf<D> | CachedOf<D> | InputOf<D> | string;

/** What holds for every call of a repo. */
export interface RepoOptions {
  /** Named as the writer of every write that names none itself, for example `controller/scaling`. */
  readonly source?: string | undefined;
  /** The namespace of refs that leave theirs out (`secret:db`). */
  readonly defaultNamespace?: string | undefined;
  /** Time for conditions set inside a transaction. Default: the store's own. */
  readonly clock?: Deps['clock'] | undefined;
}

export interface MutateOptions extends UpdateOptions {
  /** How often the change is made anew after a conflict. Default 10. */
  readonly retries?: number | undefined;
}

export interface EnsureOptions extends WriteOptions {
  /** How often it is tried anew after a conflict. Default 10. */
  readonly retries?: number | undefined;
}

/** What `ensure` did. */
export interface Ensured<D extends AnyDefinition> {
  readonly resource: ResourceOf<D>;
  readonly operation: 'created' | 'updated' | 'unchanged';
}

/** A condition as it is set: the store's clock and the object's generation give the rest. */
export interface ConditionInput<Type extends string = string> {
  readonly type: Type;
  /** True stands for `'True'`, false for `'False'`. */
  readonly status: boolean | 'True' | 'False' | 'Unknown';
  /** A word for machines, in CamelCase. */
  readonly reason: string;
  /** A sentence for people. Default empty. */
  readonly message?: string | undefined;
}

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** ms or '30s'. Default: as long as it takes. */
  readonly timeout?: Duration | number | undefined;
}

/** Decides whether the wait is over; undefined: the object does not exist. */
export type WaitPredicate<D extends AnyDefinition> = (resource: CachedOf<D> | undefined) => boolean;

/** A draft is changed in place, or a new object is returned. */
export type Change<D extends AnyDefinition> = (
  draft: ResourceOf<D>,
) => void | ResourceOf<D> | InputOf<D> | Promise<void | ResourceOf<D> | InputOf<D>>;

/** What a repo does on a store and inside a transaction alike. */
export interface RepoVerbs<D extends AnyDefinition> {
  readonly definition: D;
  /**
   * Writes a new object, named by its metadata (`generateName` included); apiVersion and kind are filled in.
   * @throws {AlreadyExistsError} @throws {InvalidError}
   */
  create(resource: InputOf<D>, options?: WriteOptions): Promise<ResourceOf<D>>;
  /** The same, named by an address; metadata that says another name is refused. */
  create(address: ObjectKey | string, resource: InputOf<D>, options?: WriteOptions): Promise<ResourceOf<D>>;
  /** @throws {NotFoundError} */
  get(address: RepoAddress<D>, options?: GetOptions): Promise<ResourceOf<D>>;
  /** As `get`; undefined when there is none. */
  find(address: RepoAddress<D>, options?: GetOptions): Promise<ResourceOf<D> | undefined>;
  /** @throws {NotFoundError} @throws {ConflictError} when the resource carries a resourceVersion that is not current. */
  update(resource: InputOf<D>, options?: UpdateOptions): Promise<ResourceOf<D>>;
  /** Writes the status and nothing else. */
  updateStatus(resource: InputOf<D>, options?: Omit<UpdateOptions, 'subresource'>): Promise<ResourceOf<D>>;
  /** Merge patch for an object, JSON patch for an array. */
  patch(address: RepoAddress<D>, patch: unknown, options?: PatchOptions): Promise<ResourceOf<D>>;
  /** Three-way, creating what is missing: what the manifest names no more goes, what others set stays. */
  apply(manifest: InputOf<D>, options?: WriteOptions): Promise<ResourceOf<D>>;
  /** Resolves to the last state, or to the terminating object while finalizers remain. @throws {NotFoundError} */
  delete(address: RepoAddress<D>, options?: DeleteOptions): Promise<ResourceOf<D>>;
  /** All of a namespace; without one, of every namespace. */
  list(options?: ListOptions<ResourceOf<D>> & { readonly namespace?: string | undefined }): Promise<ListResult<ResourceOf<D>>>;
  /**
   * Reads, changes, writes; does it again from the new state when somebody else wrote meanwhile. A change that changes
   * nothing writes nothing. What a write would not reach (the status without `subresource: 'status'`, anything else with it)
   * must not be changed, nor may the identity.
   * @throws {NotFoundError} @throws {ConflictError} after the last retry. @throws {InvalidError}
   * @example await services.mutate({ namespace: 'prod', name: 'web' }, (service) => { service.spec.scale += 1; });
   */
  mutate(address: RepoAddress<D>, change: Change<D>, options?: MutateOptions): Promise<ResourceOf<D>>;
  /**
   * Creates the object, or converges it: fields given are set (deep; null removes), others are left as they are, owners and
   * finalizers are added. Status is left alone.
   */
  ensure(resource: InputOf<D>, options?: EnsureOptions): Promise<Ensured<D>>;
  /** Adds a finalizer unless it is there. @throws {NotFoundError} @throws {InvalidError} when the object is being deleted. */
  addFinalizer(address: RepoAddress<D>, finalizer: string, options?: WriteOptions): Promise<ResourceOf<D>>;
  /** Removes a finalizer; done already when it, or the object, is gone (then undefined when it is the object). */
  removeFinalizer(address: RepoAddress<D>, finalizer: string, options?: WriteOptions): Promise<ResourceOf<D> | undefined>;
  /**
   * Sets one condition: `lastTransitionTime` moves only with the status, `observedGeneration` is the generation that was
   * read, and nothing is written when nothing changed.
   */
  setCondition(address: RepoAddress<D>, condition: ConditionInput<ConditionTypeOf<D>>, options?: WriteOptions): Promise<ResourceOf<D>>;
}

/** A repo on a store. */
export interface Repo<D extends AnyDefinition> extends RepoVerbs<D> {
  /** The watch begins at the call. */
  watch(options?: WatchOptions & { readonly namespace?: string | undefined }): Watch<CachedOf<D>>;
  /** Kept versions, newest first; frozen, secrets sealed. Outlives the delete. */
  history(address: RepoAddress<D>, options?: HistoryOptions): Promise<HistoricalVersion<CachedOf<D>>[]>;
  version(address: RepoAddress<D>, version: string): Promise<ResourceOf<D>>;
  /** Restores the spec of a kept version as a new generation. */
  rollback(address: RepoAddress<D>, version: string, options?: RollbackOptions): Promise<ResourceOf<D>>;
  /**
   * Waits, without polling, until a condition holds: `'Ready'` means that its status is True, `'Ready=False'` any other, and
   * that it was observed at the current generation when it says at which.
   * @throws {TimeoutError} naming what was last seen. @throws {AbortedError}
   * @throws {NotFoundError} when the address meant one object (by uid) and that one is gone.
   */
  waitFor(
    address: RepoAddress<D>,
    condition: ConditionTypeOf<D> | `${ConditionTypeOf<D>}=${'True' | 'False' | 'Unknown'}`,
    options?: WaitOptions,
  ): Promise<ResourceOf<D>>;
  /** Waits until the predicate holds of what is there; it is given undefined when nothing is. */
  waitFor(address: RepoAddress<D>, predicate: WaitPredicate<D>, options?: WaitOptions): Promise<ResourceOf<D> | undefined>;
}
