/**
 * A store over the real one: every call passes one place, which may make it fail, be late, be driven or be lost.
 *
 * Invariants: what passes is the real store's own doing; inside a transaction the same faults strike. Once `host.alive` is
 * false (its process was killed), no call settles any more.
 */
import { ExpiredError } from '../schemas/index.js';
import type { AnyDefinition } from '../schemas/index.js';
import { sleep } from '../store/index.js';
import type {
  CachedResource,
  DeleteOptions,
  Fence,
  Deps,
  GetOptions,
  HistoricalVersion,
  HistoryOptions,
  ListOptions,
  ListResult,
  PatchOptions,
  Resource,
  ResourceInput,
  RollbackOptions,
  Selectors,
  Store,
  StoreVerbs,
  Transaction,
  TransactionOptions,
  TypeRef,
  UpdateOptions,
  Watch,
  WatchOptions,
  WriteOptions,
} from '../store/index.js';
import { callMatcher, type CallMatch, type Fate, type Faults, type StoreCall, type StoreVerb } from './faults.js';
import { never, RelayedWatch, type WatchHost } from './relayed-watch.js';

/** Whose store it is. */
export interface FaceHost {
  readonly deps: Deps;
  readonly faults: Faults;
  readonly alive: boolean;
  /** The store, once it is open; undefined before. */
  readonly opened: Store | undefined;
  whenOpen(): Promise<Store>;
  /** How a call reaches the store. Default: as it is. */
  readonly through?: (<R>(run: (store: Store) => Promise<R>) => Promise<R>) | undefined;
  /** How a watch is opened. Default: on the store, as it is. */
  readonly watching?: OpenWatch | undefined;
  /** What is done with the promise of each call. */
  settle<R>(work: Promise<R>, call: StoreCall): Promise<R>;
  /** What is done with the promise of each pull of a watch. */
  listen<R>(work: Promise<R>): Promise<R>;
}

/** Opens a watch. */
export type OpenWatch = <T extends TypeRef>(type: T, namespace: string | undefined, options: WatchOptions) => Watch<CachedResource<T>>;

type Facts = Partial<Omit<StoreCall, 'verb' | 'type'>>;

/** The call as faults see it. */
export function callOf(verb: StoreVerb, type: TypeRef | undefined, facts: Facts): StoreCall {
  return {
    verb,
    type: typeof type === 'object' ? type.type : type,
    namespace: facts.namespace === '' ? undefined : facts.namespace,
    name: facts.name,
    source: facts.source,
    subresource: facts.subresource,
    input: facts.input,
  };
}

/** What a store and its fenced views have in common. */
interface Shared {
  readonly watches: Map<RelayedWatch<never>, StoreCall>;
  /** Calls that have not settled. */
  calls: number;
  /** Watches that would go on from below it are refused, as after a compaction. */
  floor: number;
}

export class StoreFace implements Store {
  readonly #ended = new AbortController();
  readonly #host: FaceHost;
  readonly #waiting: AnyDefinition[] = [];
  readonly #shared: Shared;

  constructor(host: FaceHost, shared: Shared = { watches: new Map(), calls: 0, floor: 0 }) {
    this.#host = host;
    this.#shared = shared;
  }

  get deps(): Deps {
    return this.#host.deps;
  }
  get id(): string {
    return this.#open().id;
  }
  get revision(): string {
    return this.#host.opened?.revision ?? '0';
  }
  /** Of this face: a crash ends a process without a word, so only a close is told. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }
  /** Calls that have not settled. */
  get calls(): number {
    return this.#shared.calls;
  }
  /** Watches that are open. */
  get watches(): number {
    return this.#shared.watches.size;
  }
  /** Whether events are on their way to a watch, late. */
  get late(): boolean {
    for (const watch of this.#shared.watches.keys()) if (watch.late) return true;
    return false;
  }
  /** Whether a watch of a type (`*`: of all) is open. */
  isWatched(type: string): boolean {
    for (const call of this.#shared.watches.values()) if (call.type === type) return true;
    return false;
  }

  #open(): Store {
    const store = this.#host.opened;
    if (store === undefined) throw new Error('the store is still opening: await any of its verbs first');
    return store;
  }

  /** Lets a call through, with what befalls it; a call of a dead process never settles. */
  async #pass<R>(call: StoreCall, run: (store: Store) => Promise<R>): Promise<R> {
    const host = this.#host;
    this.#shared.calls += 1;
    try {
      const fate = host.faults.empty ? undefined : host.faults.strike(call);
      if (fate !== undefined) await this.#befall(fate);
      const result = await (host.through === undefined ? run(host.opened ?? (await host.whenOpen())) : host.through(run));
      if (fate?.error !== undefined) throw fate.error;
      return host.alive ? result : await never();
    } catch (error) {
      if (!host.alive) return await never();
      throw error;
    } finally {
      this.#shared.calls -= 1;
    }
  }

  /** The same inside a transaction, which is at the store already. */
  async #within<R>(call: StoreCall, run: () => Promise<R>): Promise<R> {
    const host = this.#host;
    this.#shared.calls += 1;
    try {
      const fate = host.faults.empty ? undefined : host.faults.strike(call);
      if (fate !== undefined) await this.#befall(fate);
      const result = await run();
      if (fate?.error !== undefined) throw fate.error;
      return host.alive ? result : await never();
    } catch (error) {
      if (!host.alive) return await never();
      throw error;
    } finally {
      this.#shared.calls -= 1;
    }
  }

  /** What befalls a call before it takes effect. */
  async #befall({ delayMs, error, applied }: Fate): Promise<void> {
    if (delayMs > 0) await sleep(this.#host.deps, delayMs);
    if (error !== undefined && !applied) throw error;
  }

  #call<R>(call: StoreCall, run: (store: Store) => Promise<R>): Promise<R> {
    if (!this.#host.alive) return never();
    return this.#host.settle(this.#pass(call, run), call);
  }

  create<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string | undefined,
    resource: ResourceInput<T>,
    options?: WriteOptions,
  ): Promise<Resource<T>> {
    return this.#call(callOf('create', type, { namespace, name, source: options?.source, input: resource }), (store) =>
      store.create(type, namespace, name, resource, options),
    );
  }
  get<T extends TypeRef>(type: T, namespace: string | undefined, name: string, options?: GetOptions): Promise<Resource<T>> {
    return this.#call(callOf('get', type, { namespace, name }), (store) => store.get(type, namespace, name, options));
  }
  getByUid<T extends TypeRef>(type: T, uid: string): Promise<Resource<T>> {
    return this.#call(callOf('getByUid', type, {}), (store) => store.getByUid(type, uid));
  }
  list<T extends TypeRef>(type: T, namespace?: string, options?: ListOptions<Resource<T>>): Promise<ListResult<Resource<T>>> {
    return this.#call(callOf('list', type, { namespace }), (store) => store.list(type, namespace, options));
  }
  update<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    resource: ResourceInput<T>,
    options?: UpdateOptions,
  ): Promise<Resource<T>> {
    const { source, subresource } = options ?? {};
    return this.#call(callOf('update', type, { namespace, name, source, subresource, input: resource }), (store) =>
      store.update(type, namespace, name, resource, options),
    );
  }
  patch<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    patch: unknown,
    options?: PatchOptions,
  ): Promise<Resource<T>> {
    const { source, subresource } = options ?? {};
    return this.#call(callOf('patch', type, { namespace, name, source, subresource, input: patch }), (store) =>
      store.patch(type, namespace, name, patch, options),
    );
  }
  apply<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    manifest: ResourceInput<T>,
    options?: WriteOptions,
  ): Promise<Resource<T>> {
    return this.#call(callOf('apply', type, { namespace, name, source: options?.source, input: manifest }), (store) =>
      store.apply(type, namespace, name, manifest, options),
    );
  }
  modify<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    change: (draft: Resource<T>) => unknown,
    options?: UpdateOptions,
  ): Promise<Resource<T>> {
    const { source, subresource } = options ?? {};
    return this.#call(callOf('modify', type, { namespace, name, source, subresource, input: change }), (store) =>
      store.modify(type, namespace, name, change, options),
    );
  }
  delete<T extends TypeRef>(type: T, namespace: string | undefined, name: string, options?: DeleteOptions): Promise<Resource<T>> {
    return this.#call(callOf('delete', type, { namespace, name, source: options?.source }), (store) =>
      store.delete(type, namespace, name, options),
    );
  }
  deleteCollection<T extends TypeRef>(
    type: T,
    namespace?: string,
    options?: Selectors & Omit<DeleteOptions, 'preconditions'>,
  ): Promise<{ readonly deleted: number; readonly resourceVersion: string }> {
    return this.#call(callOf('deleteCollection', type, { namespace, source: options?.source }), (store) =>
      store.deleteCollection(type, namespace, options),
    );
  }
  getHistory<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    options?: HistoryOptions,
  ): Promise<HistoricalVersion<CachedResource<T>>[]> {
    return this.#call(callOf('getHistory', type, { namespace, name }), (store) => store.getHistory(type, namespace, name, options));
  }
  getVersion<T extends TypeRef>(type: T, namespace: string | undefined, name: string, version: string): Promise<Resource<T>> {
    return this.#call(callOf('getVersion', type, { namespace, name }), (store) => store.getVersion(type, namespace, name, version));
  }
  rollback<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    version: string,
    options?: RollbackOptions,
  ): Promise<Resource<T>> {
    return this.#call(callOf('rollback', type, { namespace, name, source: options?.source }), (store) =>
      store.rollback(type, namespace, name, version, options),
    );
  }
  compact(revision: string): Promise<void> {
    return this.#call(callOf('compact', undefined, {}), (store) => store.compact(revision));
  }
  rotateKeys(options?: Parameters<Store['rotateKeys']>[0]): ReturnType<Store['rotateKeys']> {
    return this.#call(callOf('rotateKeys', undefined, {}), (store) => store.rotateKeys(options));
  }
  keys(): ReturnType<Store['keys']> {
    return this.#call(callOf('stats', undefined, {}), (store) => store.keys());
  }
  dropKey(id: string): Promise<void> {
    return this.#call(callOf('rotateKeys', undefined, {}), (store) => store.dropKey(id));
  }
  backup(directory: string): ReturnType<Store['backup']> {
    return this.#call(callOf('backup', undefined, {}), (store) => store.backup(directory));
  }
  verify(): ReturnType<Store['verify']> {
    return this.#call(callOf('verify', undefined, {}), (store) => store.verify());
  }
  stats(): ReturnType<Store['stats']> {
    return this.#call(callOf('stats', undefined, {}), (store) => store.stats());
  }

  transaction<R>(run: (tx: Transaction) => Promise<R> | R, options?: TransactionOptions): Promise<R> {
    const source = options?.source;
    return this.#call(callOf('transaction', undefined, { source }), (store) =>
      store.transaction((tx) => run(this.#inside(tx, source)), options),
    );
  }

  /** The transaction's verbs, under the same faults. */
  #inside(tx: Transaction, source: string | undefined): Transaction {
    const pass = <R>(call: StoreCall, run: () => Promise<R>): Promise<R> => (this.#host.alive ? this.#within(call, run) : never());
    const verbs = {
      attempt: tx.attempt,
      create: (type, namespace, name, resource, options) =>
        pass(callOf('create', type, { namespace, name, source, input: resource }), () =>
          tx.create(type, namespace, name, resource, options),
        ),
      get: (type, namespace, name, options) => pass(callOf('get', type, { namespace, name }), () => tx.get(type, namespace, name, options)),
      getByUid: (type, uid) => pass(callOf('getByUid', type, {}), () => tx.getByUid(type, uid)),
      list: (type, namespace, options) => pass(callOf('list', type, { namespace }), () => tx.list(type, namespace, options)),
      update: (type, namespace, name, resource, options) =>
        pass(callOf('update', type, { namespace, name, source, subresource: options?.subresource, input: resource }), () =>
          tx.update(type, namespace, name, resource, options),
        ),
      patch: (type, namespace, name, patch, options) =>
        pass(callOf('patch', type, { namespace, name, source, subresource: options?.subresource, input: patch }), () =>
          tx.patch(type, namespace, name, patch, options),
        ),
      apply: (type, namespace, name, manifest, options) =>
        pass(callOf('apply', type, { namespace, name, source, input: manifest }), () => tx.apply(type, namespace, name, manifest, options)),
      modify: (type, namespace, name, change, options) =>
        pass(callOf('modify', type, { namespace, name, source, subresource: options?.subresource, input: change }), () =>
          tx.modify(type, namespace, name, change, options),
        ),
      delete: (type, namespace, name, options) =>
        pass(callOf('delete', type, { namespace, name, source }), () => tx.delete(type, namespace, name, options)),
    } satisfies StoreVerbs & { attempt: number };
    return verbs;
  }

  /** A view whose writes the lease guards; faults strike it too, and what it does is counted here. */
  fenced(fence: Fence): Store {
    const host = this.#host;
    let view: { readonly of: Store; readonly store: Store } | undefined;
    const viewOf = (store: Store): Store => {
      if (view?.of !== store) view = { of: store, store: store.fenced(fence) };
      return view.store;
    };
    return new StoreFace(
      {
        deps: host.deps,
        faults: host.faults,
        get alive() {
          return host.alive;
        },
        get opened() {
          return host.opened === undefined ? undefined : viewOf(host.opened);
        },
        whenOpen: async () => viewOf(await host.whenOpen()),
        through:
          host.through === undefined
            ? undefined
            : (run) => (host.through as NonNullable<FaceHost['through']>)((store) => run(viewOf(store))),
        // A fence guards writes.
        watching: host.watching,
        settle: (work, call) => host.settle(work, call),
        listen: (work) => host.listen(work),
      },
      this.#shared,
    );
  }

  register(definition: AnyDefinition): void {
    const store = this.#host.opened;
    if (store !== undefined) {
      store.register(definition);
      return;
    }
    if (this.#waiting.push(definition) > 1) return;
    void this.#host.whenOpen().then((opened) => {
      for (const each of this.#waiting.splice(0)) opened.register(each);
    });
  }
  definition(type: string): AnyDefinition | undefined {
    return this.#host.opened?.definition(type) ?? this.#waiting.find((each) => each.type === type);
  }

  watch<T extends TypeRef>(type: T, namespace?: string, options: WatchOptions = {}): Watch<CachedResource<T>> {
    const host = this.#host;
    const call = callOf('watch', type, { namespace });
    const relay: WatchHost = {
      deps: host.deps,
      get alive() {
        return host.alive;
      },
      listen: (work) => host.listen(work),
      late: (work) => host.settle(work, call),
      delayMs: () => (host.faults.empty ? 0 : host.faults.lateness(call)),
      ended: (ended) => this.#shared.watches.delete(ended),
    };
    const watch = new RelayedWatch<CachedResource<T>>(this.#openWatch(type, namespace, options), relay);
    this.#shared.watches.set(watch as unknown as RelayedWatch<never>, call);
    const since = Number(options.since ?? Infinity);
    const fate = host.faults.empty ? undefined : host.faults.strike(call, 'error');
    if (fate?.error !== undefined) watch.fail(fate.error);
    else if (since < this.#shared.floor) watch.fail(this.#expired(since));
    return watch;
  }

  #openWatch<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    options: WatchOptions,
  ): Watch<CachedResource<T>> | Promise<Watch<CachedResource<T>>> {
    const host = this.#host;
    if (host.watching !== undefined) return host.watching(type, namespace, options);
    if (host.opened !== undefined) return host.opened.watch(type, namespace, options);
    // Nothing can have been written before the store was open: a watch from its first revision misses nothing.
    return host.whenOpen().then((opened) => opened.watch(type, namespace, options.initial === true ? options : { since: '0', ...options }));
  }

  #expired(since: number): ExpiredError {
    return new ExpiredError(`injected: revision ${since} is older than what is kept: list again and watch from there`, {
      compactedRevision: String(this.#shared.floor),
      currentRevision: this.revision,
    });
  }

  /** Ends open watches as a lost connection would; gives how many. */
  cutWatches(where?: CallMatch): number {
    return this.#end(where, (watch) => watch.cut());
  }

  /** Ends open watches with an ExpiredError, and refuses to go on from before this moment; gives how many. */
  expireWatches(where?: CallMatch): number {
    this.#shared.floor = Number(this.revision);
    return this.#end(where, (watch) => watch.fail(this.#expired(this.#shared.floor)));
  }

  #end(where: CallMatch | undefined, end: (watch: RelayedWatch<never>) => void): number {
    const matches = callMatcher(where);
    const meant = [...this.#shared.watches].filter(([, call]) => matches(call));
    for (const [watch] of meant) end(watch);
    return meant.length;
  }

  /** Nothing is left of what was done to it: for a store that begins anew. */
  protected forget(): void {
    this.#shared.floor = 0;
  }

  close(): Promise<void> {
    if (!this.#host.alive) return never();
    const closing = this.#host.whenOpen().then(async (store) => {
      await store.close();
      if (store.ended.aborted) this.#ended.abort(store.ended.reason);
    });
    return this.#host.settle(closing, callOf('stats', undefined, {}));
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
