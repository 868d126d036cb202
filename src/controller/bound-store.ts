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
  CollectionOptions,
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
  WriteReceipt,
} from '../store/index.js';
import { fencedTransaction } from './leases/index.js';

/** Whom a bound store asks before a write, and tells after it. */
export interface WriteGuard {
  /** For `source` of the writes. */
  readonly source: string;
  /** @throws {ForbiddenError} when the run may write no more. */
  assertWritable(): void;
  /** A write begins. @throws {ForbiddenError} when the run may write no more. */
  begin(): void;
  /** A write that began waits for its own callback, not for the store; then it asks the store again. */
  answered(): void;
  ask(): void;
  /** What became of a write that began. */
  end(what: WriteFacts): void;
}

/** What is known of a write that has settled. */
export interface WriteFacts {
  /** The type written; undefined: several, or not known. */
  readonly type?: string | undefined;
  /** The revision that is this write's and nobody else's; null: it changed nothing; undefined: that is not known, or it failed. */
  readonly made?: string | null | undefined;
  /** Where `made` is not known: the revision that caches must reach to show the write. */
  readonly shownAt?: string | undefined;
}

interface Written {
  readonly metadata?: { readonly resourceVersion?: string | undefined } | undefined;
}

function versionOf(resource: unknown): string | undefined {
  return (resource as Written | undefined)?.metadata?.resourceVersion;
}

function nameOf(type: TypeRef | undefined): string | undefined {
  return typeof type === 'object' ? type.type : type;
}

/** What the options of every write have in common. */
interface Sendable {
  readonly source?: string | undefined;
  readonly receipt?: WriteReceipt | undefined;
  readonly dryRun?: boolean | undefined;
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

  /**
   * Runs a write. Its options carry a receipt: which revision it made, if any, is known from the store and not guessed from the
   * result, which may be what somebody else wrote.
   */
  async #write<R, O extends Sendable>(type: TypeRef | undefined, options: O | undefined, write: (options: O) => Promise<R>): Promise<R> {
    const guard = this.#guard;
    const source = options?.source ?? guard.source;
    if (options?.dryRun === true) return write({ ...options, source });
    guard.begin();
    const receipt: WriteReceipt = {};
    let shownAt: string | undefined;
    try {
      const result = await write({ ...options, source, receipt } as O);
      // Whoever wrapped the store may not pass the receipt on.
      if (receipt.revision === undefined && this.#transaction === undefined) shownAt = versionOf(result) ?? this.#store.revision;
      return result;
    } finally {
      if (options?.receipt !== undefined) options.receipt.revision = receipt.revision;
      guard.end({ type: nameOf(type), made: receipt.revision, shownAt });
    }
  }

  create<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string | undefined,
    resource: ResourceInput<T>,
    options?: WriteOptions,
  ): Promise<Resource<T>> {
    return this.#write(type, options, (sent) => this.#verbs.create(type, namespace, name, resource, sent));
  }
  update<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    resource: ResourceInput<T>,
    options?: UpdateOptions,
  ): Promise<Resource<T>> {
    return this.#write(type, options, (sent) => this.#verbs.update(type, namespace, name, resource, sent));
  }
  patch<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    patch: unknown,
    options?: PatchOptions,
  ): Promise<Resource<T>> {
    return this.#write(type, options, (sent) => this.#verbs.patch(type, namespace, name, patch, sent));
  }
  apply<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    manifest: ResourceInput<T>,
    options?: WriteOptions,
  ): Promise<Resource<T>> {
    return this.#write(type, options, (sent) => this.#verbs.apply(type, namespace, name, manifest, sent));
  }
  modify<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    change: (draft: Resource<T>) => unknown,
    options?: UpdateOptions,
  ): Promise<Resource<T>> {
    return this.#write(type, options, (sent) => this.#verbs.modify(type, namespace, name, change, sent));
  }
  delete<T extends TypeRef>(type: T, namespace: string | undefined, name: string, options?: DeleteOptions): Promise<Resource<T>> {
    return this.#write(type, options, (sent) => this.#verbs.delete(type, namespace, name, sent));
  }
  rollback<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    version: string,
    options?: RollbackOptions,
  ): Promise<Resource<T>> {
    return this.#write(type, options, (sent) => this.#store.rollback(type, namespace, name, version, sent));
  }
  /** Many writes: which revisions they made is not told. */
  async deleteCollection<T extends TypeRef>(
    type: T,
    namespace?: string,
    options?: CollectionOptions,
  ): Promise<{ readonly deleted: number; readonly resourceVersion: string }> {
    const guard = this.#guard;
    guard.begin();
    let what: WriteFacts = {};
    try {
      const result = await this.#store.deleteCollection(type, namespace, { ...options, source: options?.source ?? guard.source });
      what = result.deleted === 0 ? { made: null } : { shownAt: this.#store.revision };
      return result;
    } finally {
      guard.end({ type: nameOf(type), ...what });
    }
  }
  fenced(fence: Fence): Store {
    const transaction = this.#transaction === undefined ? undefined : fencedTransaction(this.#transaction, fence);
    return new BoundStore(this.#store.fenced(fence), this.#guard, transaction);
  }
  async transaction<R>(run: (tx: Transaction) => Promise<R> | R, options?: TransactionOptions): Promise<R> {
    if (this.#transaction !== undefined) {
      throw new ForbiddenError(
        'this controller is transactional: the whole run is one transaction already, so call the verbs and repos of its context directly',
      );
    }
    return this.#write(undefined, options, (sent) =>
      this.#store.transaction(async (tx) => {
        this.#guard.answered();
        try {
          const result = await run(tx);
          // A run that was revoked meanwhile must not commit; throwing here rolls it all back.
          this.#guard.assertWritable();
          return result;
        } finally {
          this.#guard.ask();
        }
      }, sent),
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
