/**
 * A store bound to one run: reads pass, writes are counted, carry the run's source, and are refused once it is over.
 *
 * Invariants: a write that began while the run was allowed to write is told to the guard when it settles, whatever way;
 * a transaction that outlives its run does not commit.
 */
import { ForbiddenError } from '../schemas/index.js';
import type { AnyDefinition } from '../schemas/index.js';
import type {
  CachedResource,
  DeleteOptions,
  Fence,
  GetOptions,
  HistoricalVersion,
  HistoryOptions,
  KeyStatus,
  ListOptions,
  ListResult,
  PatchOptions,
  Resource,
  ResourceInput,
  RollbackOptions,
  RotationReport,
  Selectors,
  Store,
  StoreStats,
  Transaction,
  TransactionOptions,
  TypeRef,
  UpdateOptions,
  BackupReport,
  VerifyReport,
  Watch,
  WatchOptions,
  WriteOptions,
} from '../store/index.js';

/** Whom a bound store asks before a write, and tells after it. */
export interface WriteGuard {
  /** For `source` of the writes. */
  readonly source: string;
  /** @throws {ForbiddenError} when the run may write no more. */
  begin(): void;
  /**
   * `settled` is the revision that caches must reach to show the write, undefined when nothing was written.
   */
  end(settled: string | undefined, what?: WriteFacts): void;
}

/** What is known of a write. */
export interface WriteFacts {
  /** The type written; undefined: several, or not known. */
  readonly type?: string | undefined;
  /** A revision that is this write's for sure, and nobody else's. */
  readonly own?: string | undefined;
  /** Inside a transaction: what the write made for sure (others may have changed nothing), to be committed with the rest. */
  readonly staged?: unknown;
}

interface Written {
  readonly metadata?: { readonly resourceVersion?: string | undefined } | undefined;
}

function versionOf(resource: unknown): string | undefined {
  return (resource as Written | undefined)?.metadata?.resourceVersion;
}

function nameOf(type: TypeRef): string {
  return typeof type === 'string' ? type : type.type;
}

/** Binds a store to a run; inside a transactional run, `transaction` takes the verbs. */
export function bindStore(store: Store, guard: WriteGuard, transaction?: Transaction): Store {
  return new BoundStore(store, guard, transaction);
}

class BoundStore implements Store {
  readonly #store: Store;
  readonly #guard: WriteGuard;
  readonly #transaction: Transaction | undefined;

  constructor(store: Store, guard: WriteGuard, transaction: Transaction | undefined) {
    this.#store = store;
    this.#guard = guard;
    this.#transaction = transaction;
  }

  get id(): string {
    return this.#store.id;
  }
  get deps(): Store['deps'] {
    return this.#store.deps;
  }
  get revision(): string {
    return this.#store.revision;
  }
  get ended(): AbortSignal {
    return this.#store.ended;
  }
  get #verbs(): Store | Transaction {
    return this.#transaction ?? this.#store;
  }

  #sourced<O extends WriteOptions>(options: O | undefined): O {
    return { ...options, source: options?.source ?? this.#guard.source } as O;
  }

  /** Runs a write of one object; `base` is the version it is conditional on, `'new'` for a creation, undefined for none. */
  async #write<R>(
    type: TypeRef,
    options: { readonly dryRun?: boolean | undefined; readonly base: string | undefined },
    write: () => Promise<R>,
  ): Promise<R> {
    const guard = this.#guard;
    const { base } = options;
    if (options.dryRun === true) return write();
    guard.begin();
    let settled: string | undefined;
    let own: string | undefined;
    let staged: unknown;
    try {
      const result = await write();
      if (this.#transaction !== undefined) staged = base === 'new' ? result : undefined;
      else {
        settled = versionOf(result) ?? this.#store.revision;
        if (settled === base) settled = undefined;
        else if (base !== undefined) own = settled;
      }
      return result;
    } finally {
      guard.end(settled, { type: nameOf(type), own, staged });
    }
  }

  /** Runs a write after which only the store knows its revision. */
  async #writeAny<R>(type: TypeRef | undefined, write: () => Promise<R>): Promise<R> {
    this.#guard.begin();
    let settled: string | undefined;
    try {
      const result = await write();
      if (this.#transaction === undefined) settled = this.#store.revision;
      return result;
    } finally {
      this.#guard.end(settled, { type: type === undefined ? undefined : nameOf(type) });
    }
  }

  create<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string | undefined,
    resource: ResourceInput<T>,
    options?: WriteOptions,
  ): Promise<Resource<T>> {
    return this.#write(type, { dryRun: options?.dryRun, base: 'new' }, () =>
      this.#verbs.create(type, namespace, name, resource, this.#sourced(options)),
    );
  }
  update<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    resource: ResourceInput<T>,
    options?: UpdateOptions,
  ): Promise<Resource<T>> {
    return this.#write(type, { dryRun: options?.dryRun, base: versionOf(resource) }, () =>
      this.#verbs.update(type, namespace, name, resource, this.#sourced(options)),
    );
  }
  patch<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    patch: unknown,
    options?: PatchOptions,
  ): Promise<Resource<T>> {
    const base = Array.isArray(patch) ? undefined : versionOf(patch);
    return this.#write(type, { dryRun: options?.dryRun, base }, () =>
      this.#verbs.patch(type, namespace, name, patch, this.#sourced(options)),
    );
  }
  apply<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    manifest: ResourceInput<T>,
    options?: WriteOptions,
  ): Promise<Resource<T>> {
    return this.#write(type, { dryRun: options?.dryRun, base: undefined }, () =>
      this.#verbs.apply(type, namespace, name, manifest, this.#sourced(options)),
    );
  }
  modify<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    change: (draft: Resource<T>) => unknown,
    options?: UpdateOptions,
  ): Promise<Resource<T>> {
    return this.#write(type, { dryRun: options?.dryRun, base: undefined }, () =>
      this.#verbs.modify(type, namespace, name, change, this.#sourced(options)),
    );
  }
  delete<T extends TypeRef>(type: T, namespace: string | undefined, name: string, options?: DeleteOptions): Promise<Resource<T>> {
    if (options?.dryRun === true) return this.#verbs.delete(type, namespace, name, options);
    return this.#writeAny(type, () => this.#verbs.delete(type, namespace, name, this.#sourced(options)));
  }
  deleteCollection<T extends TypeRef>(
    type: T,
    namespace?: string,
    options?: Selectors & Omit<DeleteOptions, 'preconditions'>,
  ): Promise<{ readonly deleted: number; readonly resourceVersion: string }> {
    return this.#writeAny(type, () => this.#store.deleteCollection(type, namespace, this.#sourced(options)));
  }
  rollback<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    version: string,
    options?: RollbackOptions,
  ): Promise<Resource<T>> {
    return this.#writeAny(type, () => this.#store.rollback(type, namespace, name, version, this.#sourced(options)));
  }
  fenced(fence: Fence): Store {
    return new BoundStore(this.#store.fenced(fence), this.#guard, this.#transaction);
  }
  async transaction<R>(run: (tx: Transaction) => Promise<R> | R, options?: TransactionOptions): Promise<R> {
    if (this.#transaction !== undefined) {
      throw new ForbiddenError(
        'this controller is transactional: the whole run is one transaction already, so call the verbs and repos of its context directly',
      );
    }
    const guard = this.#guard;
    return this.#writeAny(undefined, () =>
      this.#store.transaction(
        async (tx) => {
          const result = await run(tx);
          // A run that was revoked meanwhile must not commit; throwing here rolls it all back.
          guard.begin();
          guard.end(undefined);
          return result;
        },
        { ...options, source: options?.source ?? guard.source },
      ),
    );
  }

  get<T extends TypeRef>(type: T, namespace: string | undefined, name: string, options?: GetOptions): Promise<Resource<T>> {
    return this.#verbs.get(type, namespace, name, options);
  }
  getByUid<T extends TypeRef>(type: T, uid: string): Promise<Resource<T>> {
    return this.#verbs.getByUid(type, uid);
  }
  list<T extends TypeRef>(type: T, namespace?: string, options?: ListOptions<Resource<T>>): Promise<ListResult<Resource<T>>> {
    return this.#verbs.list(type, namespace, options);
  }
  watch<T extends TypeRef>(type: T, namespace?: string, options?: WatchOptions): Watch<CachedResource<T>> {
    return this.#store.watch(type, namespace, options);
  }
  getHistory<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    options?: HistoryOptions,
  ): Promise<HistoricalVersion<CachedResource<T>>[]> {
    return this.#store.getHistory(type, namespace, name, options);
  }
  getVersion<T extends TypeRef>(type: T, namespace: string | undefined, name: string, version: string): Promise<Resource<T>> {
    return this.#store.getVersion(type, namespace, name, version);
  }
  register(definition: AnyDefinition): void {
    this.#store.register(definition);
  }
  definition(type: string): AnyDefinition | undefined {
    return this.#store.definition(type);
  }
  stats(): Promise<StoreStats> {
    return this.#store.stats();
  }
  backup(directory: string): Promise<BackupReport> {
    return this.#store.backup(directory);
  }
  verify(): Promise<VerifyReport> {
    return this.#store.verify();
  }
  keys(): Promise<readonly KeyStatus[]> {
    return this.#store.keys();
  }
  rotateKeys(): Promise<RotationReport> {
    return Promise.reject(new ForbiddenError('a reconciler cannot rotate the keys of the store: do it from the program that opened it'));
  }
  dropKey(): Promise<void> {
    return Promise.reject(new ForbiddenError('a reconciler cannot drop a key of the store: do it from the program that opened it'));
  }
  compact(): Promise<void> {
    return Promise.reject(new ForbiddenError('a reconciler cannot compact the store: do it from the program that opened it'));
  }
  close(): Promise<void> {
    return Promise.reject(new ForbiddenError('a reconciler cannot close the store: the program that opened it does'));
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
