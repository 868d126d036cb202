/**
 * The store as its callers see it: verbs, options, events. The contract in prose is docs/store.md and docs/watch.md.
 *
 * Who owns what is read: `get`, `list`, history and the results of writes are fresh objects that the caller may change;
 * watch events are shared, deep-frozen and typed so.
 */
import type { AnyDefinition, CachedOf, DeepReadonly, InputOf, ResourceOf, UnknownResource } from '../schemas/index.js';
import type { Deps } from './deps.js';
import type { KeyProvider } from './encryption/key-provider.js';

/** A type is named by its definition (then everything is typed by it) or by its exact name. */
export type TypeRef = AnyDefinition | string;

/** What reads of `T` give: the definition's resource, or an unknown one where only a name is given. */
export type Resource<T extends TypeRef> = T extends AnyDefinition ? ResourceOf<T> : UnknownResource;
/** What writes of `T` accept. */
export type ResourceInput<T extends TypeRef> = T extends AnyDefinition ? InputOf<T> : DeepReadonly<Record<string, unknown>>;
/** What watches and informers of `T` share: deep-frozen, secrets sealed. */
export type CachedResource<T extends TypeRef> = T extends AnyDefinition ? CachedOf<T> : DeepReadonly<UnknownResource>;

/**
 * What became of a write, written in by the store in the committing turn: what was returned cannot tell a write that changed
 * nothing from one of somebody else's. One receipt for each write.
 */
export interface WriteReceipt {
  /** The revision that the write made; null when it changed nothing. Undefined before that is known, and when the write failed. */
  revision?: string | null | undefined;
}

/** Who or what made a write; given back in events, history and the log. */
export interface WriteOptions {
  /** Free text naming the writer, for example `controller/scaling`. */
  readonly source?: string | undefined;
  /** Runs the whole pipeline and gives the result that would be, but writes nothing. */
  readonly dryRun?: boolean | undefined;
  /** Gives up waiting (in a full queue, or for the disk). A write that was already handed to the disk may still happen. */
  readonly signal?: AbortSignal | undefined;
  /** Where the store says which revision the write made. Inside a transaction nothing is said: the transaction has a receipt. */
  readonly receipt?: WriteReceipt | undefined;
}

export interface UpdateOptions extends WriteOptions {
  /** `status` changes the status and nothing else. Without it an update of a type with a status leaves the status alone. */
  readonly subresource?: 'status' | undefined;
}

export interface PatchOptions extends UpdateOptions {
  /** `merge`: RFC 7386 (the default for an object). `json`: RFC 6902 (the default for an array). */
  readonly type?: 'merge' | 'json' | undefined;
}

export interface Preconditions {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

export type Propagation = 'background' | 'foreground' | 'orphan';

export interface DeleteOptions extends WriteOptions {
  readonly preconditions?: Preconditions | undefined;
  /** What becomes of the objects this one owns. Default `background`; `foreground` and `orphan` need a running garbage collector. */
  readonly propagation?: Propagation | undefined;
}

export interface GetOptions {
  /** A past revision inside the window. Default: the present. */
  readonly resourceVersion?: string | undefined;
  /** Ends the wait for a revision that is still to come. */
  readonly signal?: AbortSignal | undefined;
}

/** A field to order by: a path such as `spec.scale`, and the direction. */
export interface SortBy {
  readonly path: string;
  readonly order?: 'asc' | 'desc' | undefined;
  /** How values compare. Default `text`; absent values come last. */
  readonly as?: 'text' | 'number' | 'date' | undefined;
}

export type LabelSelectorInput =
  | string
  | Readonly<Record<string, string>>
  | {
      readonly matchLabels?: Readonly<Record<string, string>> | undefined;
      readonly matchExpressions?:
        | readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] | undefined }[]
        | undefined;
    };
export type FieldSelectorInput = string | Readonly<Record<string, string>>;

export interface Selectors {
  /** Kubernetes' syntax, `app=web,tier in (a, b),!legacy`, or its object form. */
  readonly labelSelector?: LabelSelectorInput | undefined;
  /** `metadata.name=a,spec.node!=n1`. */
  readonly fieldSelector?: FieldSelectorInput | undefined;
}

export interface ListOptions<T = unknown> extends Selectors {
  /** Only what has the object with this uid among its owners (`metadata.ownerReferences`): looked up, not scanned for. */
  readonly ownerUid?: string | undefined;
  readonly filter?: ((resource: T) => boolean) | undefined;
  readonly sortBy?: string | SortBy | readonly (string | SortBy)[] | undefined;
  /** At most so many items; the rest follows with `continue`. */
  readonly limit?: number | undefined;
  /** The token of the page before; the pages show one revision. */
  readonly continue?: string | undefined;
  readonly resourceVersion?: string | undefined;
  /** Gives up between two slices of the list, or while it waits for a revision that is still to come. */
  readonly signal?: AbortSignal | undefined;
}

/** An object that is there but could not be opened; the rest of the list is whole. */
export interface FailedItem {
  readonly namespace: string;
  readonly name: string;
  readonly error: Error;
}

export interface ListResult<T> extends Iterable<T> {
  readonly items: T[];
  /** The one revision that all items are shown at: a watch `since` it misses nothing. */
  readonly resourceVersion: string;
  readonly continue?: string | undefined;
  /** How many items follow, when that is known without reading much (no selector, no filter, at most 1,000). */
  readonly remaining?: number | undefined;
  /** Items that could not be opened, if any. */
  readonly failed: readonly FailedItem[];
}

export interface WatchOptions extends Selectors {
  /** A `resume` of an earlier event, or a resourceVersion: only what came after it. Default: from the call on. */
  readonly since?: string | undefined;
  /** Sends what exists (CREATED, `initial: true`), then a BOOKMARK, then changes, without a gap. */
  readonly initial?: boolean | undefined;
  /** Sends a BOOKMARK when the watcher has caught up after being behind, and after a while without events. Default false. */
  readonly bookmarks?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface EventBase {
  readonly resourceType: string;
  /** The revision of the change (for a DELETED that of the deletion); for an initial object that of its last write. */
  readonly resourceVersion: string;
  /** Pass it as `since` to go on from here. It never points inside a transaction. */
  readonly resume: string;
}
interface ObjectEvent extends EventBase {
  readonly namespace: string;
  readonly name: string;
  /** Who wrote, when the writer said so. */
  readonly source?: string | undefined;
  /** Set when the object cannot be opened: `resource` (and `previous`) is its metadata alone, as far as that is known. */
  readonly error?: Error | undefined;
}
export interface CreatedEvent<T> extends ObjectEvent {
  readonly type: 'CREATED';
  readonly resource: T;
  /** True for an object that was there when the watch began. */
  readonly initial?: true | undefined;
}
export interface UpdatedEvent<T> extends ObjectEvent {
  readonly type: 'UPDATED';
  readonly resource: T;
  /** The version before; `resource` again where that cannot be opened. */
  readonly previous: T;
}
export interface DeletedEvent<T> extends ObjectEvent {
  readonly type: 'DELETED';
  /** The last state. */
  readonly resource: T;
}
export interface BookmarkEvent extends EventBase {
  readonly type: 'BOOKMARK';
}
export type WatchEvent<T = DeepReadonly<UnknownResource>> = CreatedEvent<T> | UpdatedEvent<T> | DeletedEvent<T> | BookmarkEvent;

/** All events of one revision (or one slice of the initial list). */
export interface WatchBatch<T = DeepReadonly<UnknownResource>> {
  readonly resourceVersion: string;
  readonly resume: string;
  readonly events: readonly WatchEvent<T>[];
}

/** A running watch. Iterate it once; `close`, `break`, `return` and the signal end it. */
export interface Watch<T = DeepReadonly<UnknownResource>> extends AsyncIterableIterator<WatchEvent<T>>, AsyncDisposable {
  /** The last revision scanned for this watcher, whether anything matched or not. */
  readonly progress: string;
  /** The same stream, a revision at a time. Use this or the plain iteration, not both. */
  batches(): AsyncIterableIterator<WatchBatch<T>>;
  /** Told (synchronously, in the committing turn) whenever `progress` moves past what was delivered. Returns its remover. */
  onProgress(listener: (revision: number) => void): () => void;
  close(): Promise<void>;
}

/** One kept version of an object. */
export interface HistoricalVersion<T = UnknownResource> {
  /** The resourceVersion of the write. */
  readonly version: string;
  /** RFC 3339. */
  readonly timestamp: string;
  readonly change: 'created' | 'updated' | 'deleted';
  readonly source?: string | undefined;
  readonly generation: number;
  /** The object at that version; for a deletion its last state. With an error its metadata, as far as that is known. */
  readonly resource: T;
  /** Set when this version cannot be opened; the others are unharmed. */
  readonly error?: Error | undefined;
}

export interface HistoryOptions {
  readonly limit?: number | undefined;
  /** Only versions older than this one. */
  readonly before?: string | undefined;
}

/** Which objects of a collection are deleted, and how. */
export interface CollectionOptions extends Selectors, Omit<DeleteOptions, 'preconditions' | 'receipt'> {}

/** A lease and the token it was taken with. */
export interface Fence {
  readonly namespace: string;
  readonly name: string;
  readonly token: string;
}

export interface RollbackOptions extends WriteOptions {
  readonly preconditions?: Preconditions | undefined;
}

export interface TransactionOptions {
  /** How often the callback runs again after a conflict. Default 5. */
  readonly retries?: number | undefined;
  readonly source?: string | undefined;
  /** Once it has aborted, the callback is not begun again and its verbs throw; a commit that was handed to the disk may still happen. */
  readonly signal?: AbortSignal | undefined;
  /** Where the store says which revision the commit made. */
  readonly receipt?: WriteReceipt | undefined;
}

/** The verbs that read and write single objects; a store has them, and a transaction. */
export interface StoreVerbs {
  /** @throws {AlreadyExistsError} @throws {InvalidError} with every cause. `name` may be undefined with `metadata.generateName`. */
  create<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string | undefined,
    resource: ResourceInput<T>,
    options?: WriteOptions,
  ): Promise<Resource<T>>;
  /** @throws {NotFoundError} */
  get<T extends TypeRef>(type: T, namespace: string | undefined, name: string, options?: GetOptions): Promise<Resource<T>>;
  /** @throws {NotFoundError} */
  getByUid<T extends TypeRef>(type: T, uid: string): Promise<Resource<T>>;
  /** `namespace` undefined, `''`, `'*'` and `'all'` mean every namespace. */
  list<T extends TypeRef>(type: T, namespace?: string, options?: ListOptions<Resource<T>>): Promise<ListResult<Resource<T>>>;
  /** @throws {NotFoundError} @throws {ConflictError} when `metadata.resourceVersion` is set and not current. @throws {InvalidError} */
  update<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    resource: ResourceInput<T>,
    options?: UpdateOptions,
  ): Promise<Resource<T>>;
  patch<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    patch: unknown,
    options?: PatchOptions,
  ): Promise<Resource<T>>;
  /** Three-way: what the manifest said last time and says no more is removed, what others set stays. Creates what is missing. */
  apply<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    manifest: ResourceInput<T>,
    options?: WriteOptions,
  ): Promise<Resource<T>>;
  /**
   * Reads, changes and writes in one step: `change` runs synchronously on the newest state, so many writers of one object
   * neither conflict nor wait for each other. It may run several times, changes the draft or returns another.
   * @throws {NotFoundError} @throws {InvalidError} also when `change` returns a promise
   */
  modify<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    change: (draft: Resource<T>) => unknown,
    options?: UpdateOptions,
  ): Promise<Resource<T>>;
  /**
   * Resolves to the last state, or to the terminating object while finalizers remain. What cannot be opened is removed at once,
   * finalizers or not, because it cannot be written again; it resolves to its metadata, as far as that is known. @throws {NotFoundError}
   */
  delete<T extends TypeRef>(type: T, namespace: string | undefined, name: string, options?: DeleteOptions): Promise<Resource<T>>;
}

/** Reads a snapshot plus its own writes; commits all or nothing, as one revision. */
export interface Transaction extends StoreVerbs {
  /** 1 for the first run of the callback, 2 for the first rerun, ... */
  readonly attempt: number;
}

export interface StoreStats {
  readonly revision: string;
  readonly compactRevision: string;
  readonly objects: number;
  readonly bytes: number;
  readonly watchers: number;
  readonly queued: number;
  readonly [name: string]: number | string;
}

/** How far a rotation is. */
export interface RotationProgress {
  /** Id of the key that everything is brought to. */
  readonly key: string;
  /** 1 for the first pass over everything; the last one finds nothing to do. */
  readonly pass: number;
  /** Versions looked at in this pass. */
  readonly scanned: number;
  /** Versions brought to the key, in all passes and runs. */
  readonly rewrapped: number;
}

export interface RotationReport extends RotationProgress {
  /** Versions that could not be brought to the key, because they are damaged or their key is not there; at most 100 are named. */
  readonly failed: readonly string[];
}

/** What `rotateKeys` is told. */
export interface RotateKeysOptions {
  /** Seals with the keys of this provider from now on; the earlier ones go on opening what they sealed. Default: the provider in use makes a new key, if it makes keys. */
  readonly keys?: KeyProvider | undefined;
  /** Told now and then how far it is. */
  readonly onProgress?: ((progress: RotationProgress) => void) | undefined;
  /** Stops it; it goes on when it is called again or the store is opened again. */
  readonly signal?: AbortSignal | undefined;
}

/** A master key that the store knows. */
export interface KeyStatus {
  readonly id: string;
  /** The name of the provider that gave it. */
  readonly provider: string;
  /** Whether it seals what is written now. */
  readonly primary: boolean;
  /** Whether this process has it. */
  readonly present: boolean;
  /** Kept versions that it seals, history included. */
  readonly versions: number;
  /** Kept versions that are damaged, so that they may need this key or any other: no key can be dropped while there are any. */
  readonly unreadable: number;
}

export interface VerifyReport {
  readonly ok: boolean;
  readonly checked: number;
  readonly problems: readonly string[];
}

export interface BackupReport {
  /** The newest revision in the copy: at least that of every write that was acknowledged before the call. */
  readonly revision: string;
}

export interface Store extends StoreVerbs, AsyncDisposable {
  /** Identity of the stored data, given when it was first made. */
  readonly id: string;
  readonly deps: Deps;
  /** The newest revision that watches have come to. Reads may show newer ones, where another process wrote a moment ago. */
  readonly revision: string;
  /** Aborts when the store was closed or has stopped after a failure; the reason tells which. */
  readonly ended: AbortSignal;
  /** Makes a definition known; using it in a verb, a repo, an informer or a controller does the same. */
  register(definition: AnyDefinition): void;
  /** The definition in force for an exact type name. */
  definition(type: string): AnyDefinition | undefined;
  deleteCollection<T extends TypeRef>(
    type: T,
    namespace?: string,
    options?: CollectionOptions,
  ): Promise<{ readonly deleted: number; readonly resourceVersion: string }>;
  /** `'*'` watches all types. The watch begins at the call. */
  watch<T extends TypeRef>(type: T, namespace?: string, options?: WatchOptions): Watch<CachedResource<T>>;
  transaction<R>(run: (tx: Transaction) => Promise<R> | R, options?: TransactionOptions): Promise<R>;
  /** Newest first; frozen, secrets sealed; outlives the delete. */
  getHistory<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    options?: HistoryOptions,
  ): Promise<HistoricalVersion<CachedResource<T>>[]>;
  /** @throws {NotFoundError} @throws {ExpiredError} for a version at or below the compaction revision that is not kept */
  getVersion<T extends TypeRef>(type: T, namespace: string | undefined, name: string, version: string): Promise<Resource<T>>;
  /** Restores the spec of a kept version as a new generation. */
  rollback<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    version: string,
    options?: RollbackOptions,
  ): Promise<Resource<T>>;
  /**
   * A view whose writes are refused once the lease's fencing token is another one: for what a leader writes. A fenced view of
   * a fenced view keeps both.
   */
  fenced(fence: Fence): Store;
  compact(revision: string): Promise<void>;
  /**
   * Takes a new master key and brings everything kept, history included, to it: data keys are wrapped anew, contents stay as
   * they are, no revision and no event. Reads and writes go on. A rotation that was cut off goes on by itself at the next opening.
   * @throws {ForbiddenError} without keys @throws {AbortedError}
   */
  rotateKeys(options?: RotateKeysOptions): Promise<RotationReport>;
  /** The master keys, and how much each seals; reads everything once. */
  keys(): Promise<readonly KeyStatus[]>;
  /**
   * Forgets a key, and destroys it where the provider can.
   * @throws {NotFoundError} @throws {ConflictError} while it seals anything, or something cannot be read that may need it
   */
  dropKey(id: string): Promise<void>;
  /**
   * Copies the store, as it is at one revision, into a directory that is empty or not there; writers go on. A store opens from
   * the copy (`openStore({ path })`); its keys are no part of it. See docs/store.md.
   * @throws {BadRequestError} when the directory is not empty, or the engine keeps nothing in a directory @throws {StoreFullError}
   */
  backup(directory: string): Promise<BackupReport>;
  verify(): Promise<VerifyReport>;
  stats(): Promise<StoreStats>;
  close(): Promise<void>;
}
