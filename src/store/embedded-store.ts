/**
 * The store over an engine: wires reads, the commit queue, transactions, watches and compaction.
 *
 * Invariants: every write goes through the commit queue, every change through the feed; once closed, every verb throws
 * StoreClosedError and every watch has ended. The contract in prose is docs/store.md.
 */
import { BadRequestError } from '../schemas/index.js';
import type { AnyDefinition } from '../schemas/index.js';
import { Ages } from './ages.js';
import { deleteCollection } from './delete-collection.js';
import { Compactor } from './compactor.js';
import type { Deps } from './deps.js';
import { KeyKeeper } from './encryption/key-keeper.js';
import type { Secrets } from './encryption/secrets.js';
import type { Engine, Key } from './engine.js';
import { IndexBuilder } from './index-builder.js';
import type { Form } from './form.js';
import { addressOf, keyId, parseRevision } from './keys.js';
import { ObjectCodec } from './object-codec.js';
import type { CompiledOptions } from './options.js';
import { Premises } from './premises.js';
import { Reader } from './read/reader.js';
import { whenVisible } from './read/to-come.js';
import { ReadsUnderWay } from './read/under-way.js';
import { TypeRegistry } from './registry.js';
import type { TypeInfo } from './registry.js';
import { retentionPolicy } from './retention.js';
import { EngineGone, SteadyEngine } from './steady-engine.js';
import { Inside } from './transactions.js';
import type { Transactions } from './transactions.js';
import type {
  BackupReport,
  CachedResource,
  CollectionOptions,
  Fence,
  HistoricalVersion,
  HistoryOptions,
  KeyStatus,
  Resource,
  RotateKeysOptions,
  RotationReport,
  Store,
  StoreStats,
  StoreVerbs,
  Transaction,
  TransactionOptions,
  TypeRef,
  VerifyReport,
  Watch,
  WatchOptions,
} from './types.js';
import { checkOptions } from './verb-options.js';
import { Feed } from './watch/feed.js';
import type { FeedBatch } from './watch/feed.js';
import { WatchHub } from './watch/watch-hub.js';
import { CommitQueue } from './write/commit-queue.js';
import { fencedOperation } from './write/fence.js';
import { closedError } from './write/not-written.js';
import { States, absent, stateOf } from './write/states.js';
import type { KeyState } from './write/states.js';
import { createWriteSide } from './write-side.js';
import type { WriteSideHost } from './write-side.js';
import { Writer } from './write/writer.js';
import type { Namespace } from './write/writer.js';

export interface StoreParts {
  readonly id: string;
  readonly engine: Engine;
  readonly options: CompiledOptions;
  readonly secrets: Secrets;
  /** What vouches for the tokens between pages. */
  readonly tokenKey: Uint8Array;
  /** Sets this process' commits apart in the log. */
  readonly writer: string;
}

export class EmbeddedStore implements Store {
  readonly id: string;
  readonly deps: Deps;
  readonly create: StoreVerbs['create'];
  readonly get: StoreVerbs['get'];
  readonly getByUid: StoreVerbs['getByUid'];
  readonly list: StoreVerbs['list'];
  readonly update: StoreVerbs['update'];
  readonly patch: StoreVerbs['patch'];
  readonly apply: StoreVerbs['apply'];
  readonly modify: StoreVerbs['modify'];
  readonly delete: StoreVerbs['delete'];
  readonly rollback: Store['rollback'];

  readonly #options: CompiledOptions;
  readonly #registry: TypeRegistry;
  readonly #premises: Premises;
  readonly #codec: ObjectCodec;
  readonly #indexes: IndexBuilder;
  readonly #feed: Feed;
  readonly #states = new States();
  readonly #reader: Reader;
  readonly #queue: CommitQueue;
  readonly #hub: WatchHub;
  readonly #inside = new Inside();
  readonly #ended = new AbortController();
  readonly #writing: WriteSideHost;
  readonly #transactions: Transactions;
  readonly #ages: Ages;
  readonly #compactor: Compactor;
  readonly #keys: KeyKeeper;
  /** All that there are, by name. */
  readonly #namespaces = new Map<string, Namespace>();
  readonly #engine: SteadyEngine;
  #unlisten: () => void = () => {};
  #closing: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(parts: StoreParts) {
    const { options, engine } = parts;
    const { deps } = options;
    this.id = parts.id;
    this.deps = deps;
    this.#options = options;
    this.#feed = new Feed(engine.revision().current, options.ring);
    this.#engine = new SteadyEngine(engine, {
      deps,
      source: options.source,
      feed: this.#feed,
      recover: (cause) => this.#queue.recover(cause),
    });
    const adopted = (): void => this.#indexes.wake();
    this.#registry = new TypeRegistry({ meta: this.#engine.meta, strict: options.strictTypes, adopted });
    parts.secrets.attach({
      engine: () => this.#engine,
      isClear: (entry) => this.#codec.isObject(this.#registry.found(entry.key.type), entry),
    });
    this.#premises = new Premises(this.#registry, parts.secrets);
    this.#codec = new ObjectCodec(options.codec, parts.secrets.sealer);
    const shared = {
      id: this.id,
      deps,
      feed: this.#feed,
      ended: this.#ended.signal,
      codec: this.#codec,
      registry: this.#registry,
      states: this.#states,
      reads: new ReadsUnderWay(),
      engine: () => this.#engine,
      visible: () => this.#feed.visible,
    };
    this.#indexes = new IndexBuilder(shared);
    this.#reader = new Reader({ ...shared, tokenKey: parts.tokenKey });
    this.#hub = new WatchHub({ ...shared, reader: this.#reader });
    const writer = new Writer({
      deps,
      codec: this.#codec,
      strictNamespaces: options.strictNamespaces,
      inForce: (info) => this.#registry.inForce(info),
      keeps: () => this.#engine.capabilities.decoded,
      followed: () => this.#hub.size > 0,
      namespace: (name) => this.#namespace(name),
      scopeOf: (owner) => this.#registry.scopeOf(owner),
    });
    this.#queue = new CommitQueue(
      {
        ...shared,
        read: (key, id) => this.#read(key, id, true),
        foreign: (from, until) => this.#foreign(from, until),
        relearn: () => this.#relearn(),
        reopen: (cause) => this.#engine.reopen(cause),
        premises: () => this.#premises.now,
        reload: () => this.#premises.reload(this.#engine.now.meta),
        failed: (error) => this.#failed(error),
        applied: (key, form) => this.#applied(key, form),
        followed: () => this.#hub.size > 0,
      },
      { prefix: `${parts.writer}.` },
    );
    const ages = new Ages({ clock: deps.clock, meta: this.#engine.meta });
    this.#ages = ages;
    const retain = retentionPolicy({ historyOf: (type) => this.#registry.historyOf(type), ageOf: (revision) => ages.of(revision) });
    this.#compactor = new Compactor({ ...shared, retain, ages }, options.window);
    this.#keys = new KeyKeeper({
      deps,
      secrets: parts.secrets,
      engine: () => this.#engine,
      premises: () => this.#premises.now,
      reload: () => this.#premises.reload(this.#engine.meta),
      sealClear: (entry) => this.#codec.sealClear(this.#registry.found(entry.key.type), entry),
    });
    this.#writing = {
      ...shared,
      reader: this.#reader,
      queue: this.#queue,
      writer,
      read: (key) => this.#readNow(key),
      readRange: (prefix, revision) => this.#reader.shared(prefix, revision),
      caughtUp: () => this.#caughtUp(this.#engine.revision().compacted),
      limits: engine.limits,
      inside: this.#inside,
      check: () => this.#check(),
    };
    const { verbs, rollback, transactions } = createWriteSide(this.#writing);
    this.#transactions = transactions;
    this.rollback = rollback;
    this.create = verbs.create;
    this.get = verbs.get;
    this.getByUid = verbs.getByUid;
    this.list = verbs.list;
    this.update = verbs.update;
    this.patch = verbs.patch;
    this.apply = verbs.apply;
    this.modify = verbs.modify;
    this.delete = verbs.delete;
  }

  /**
   * A view whose every write and transaction is refused with ForbiddenError once the lease's fencing token is another one.
   * A view of the view stands behind both fences. Closing it closes nothing.
   */
  fenced(fence: Fence): Store {
    return this.#behind(fence, this.#queue);
  }

  /** A view that submits to `outer`, the store's queue or that of another view, behind one fence more. */
  #behind(fence: Fence, outer: WriteSideHost['queue']): Store {
    const queue: WriteSideHost['queue'] = {
      submit: (operation, signal) => outer.submit(fencedOperation(operation, fence, this.#writing), signal),
    };
    const { verbs, rollback, transactions } = createWriteSide({ ...this.#writing, queue });
    const view: Store = {
      ...verbs,
      rollback,
      id: this.id,
      deps: this.deps,
      ended: this.ended,
      get revision(): string {
        return store.revision;
      },
      register: (definition) => this.register(definition),
      definition: (type) => this.definition(type),
      deleteCollection: (type, namespace, options) => deleteCollection({ store: view, registry: this.#registry }, type, namespace, options),
      watch: (type, namespace, options) => this.watch(type, namespace, options),
      transaction: (run, options = {}) => transactions.run(run, options),
      getHistory: (type, namespace, name, options) => this.getHistory(type, namespace, name, options),
      getVersion: (type, namespace, name, version) => this.getVersion(type, namespace, name, version),
      compact: (revision) => this.compact(revision),
      rotateKeys: (options) => this.rotateKeys(options),
      keys: () => this.keys(),
      dropKey: (id) => this.dropKey(id),
      backup: (directory) => this.backup(directory),
      verify: () => this.verify(),
      stats: () => this.stats(),
      fenced: (other) => this.#behind(other, queue),
      close: () => Promise.resolve(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const store = this as Store;
    return Object.freeze(view);
  }

  /** Reads what earlier runs left, then begins: compaction, news of other processes. */
  async start(): Promise<void> {
    await this.#registry.load(this.#options.types);
    // Others are to know at once: what they write from then on fits.
    if (this.#registry.unsaved) {
      await this.#registry.save().catch((error: unknown) => {
        this.deps.logger.warn({ err: error }, 'the types could not be registered; it is tried again with the first write');
      });
    }
    await this.#loadNamespaces();
    this.#unlisten = this.#engine.onForeignCommit(() => this.#queue.foreignAdvance());
    await this.#ages.load(this.#feed.visible);
    this.#compactor.start();
    this.#keys.start();
    this.#indexes.wake();
  }

  get revision(): string {
    return String(this.#feed.visible);
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  register(definition: AnyDefinition): void {
    this.#registry.register(definition);
  }

  definition(type: string): AnyDefinition | undefined {
    return this.#registry.definition(type);
  }

  deleteCollection<T extends TypeRef>(
    type: T,
    namespace?: string,
    options: CollectionOptions = {},
  ): Promise<{ readonly deleted: number; readonly resourceVersion: string }> {
    return deleteCollection({ store: this, registry: this.#registry }, type, namespace, options);
  }

  watch<T extends TypeRef>(type: T, namespace?: string, options: WatchOptions = {}): Watch<CachedResource<T>> {
    this.#check();
    const name = type === '*' ? undefined : this.#registry.resolve(type).type;
    return this.#hub.open(name, namespace, options) as unknown as Watch<CachedResource<T>>;
  }

  transaction<R>(run: (tx: Transaction) => Promise<R> | R, options: TransactionOptions = {}): Promise<R> {
    return this.#transactions.run(run, options);
  }

  async getHistory<T extends TypeRef>(
    type: T,
    namespace: string | undefined,
    name: string,
    options: HistoryOptions = {},
  ): Promise<HistoricalVersion<CachedResource<T>>[]> {
    this.#check();
    checkOptions('getHistory', options);
    const { info, key } = this.#address(type, namespace, name, 'read');
    return (await this.#reader.history(info, key, options)) as never;
  }

  async getVersion<T extends TypeRef>(type: T, namespace: string | undefined, name: string, version: string): Promise<Resource<T>> {
    this.#check();
    const { info, key } = this.#address(type, namespace, name, 'read');
    return (await this.#reader.version(info, key, version)) as never;
  }

  async compact(revision: string): Promise<void> {
    this.#check();
    const target = parseRevision(revision, 'compact');
    const { current } = this.#engine.revision();
    if (target > current) throw new BadRequestError(`cannot compact up to ${target}: the newest revision is ${current}`);
    // What this process has not seen yet must not be gone before it has.
    await this.#caughtUp(target);
    await this.#compactor.compact(target);
  }

  rotateKeys(options?: RotateKeysOptions): Promise<RotationReport> {
    this.#check();
    return this.#keys.rotate(options);
  }

  async keys(): Promise<readonly KeyStatus[]> {
    this.#check();
    return this.#keys.list();
  }

  async dropKey(id: string): Promise<void> {
    this.#check();
    await this.#keys.drop(id);
  }

  async backup(directory: string): Promise<BackupReport> {
    this.#check();
    if (typeof directory !== 'string' || directory === '') throw new BadRequestError('backup takes the name of a directory');
    const { revision } = await this.#engine.backup(directory);
    return { revision: String(revision) };
  }

  async verify(): Promise<VerifyReport> {
    this.#check();
    await this.#queue.drain();
    return this.#indexes.verify();
  }

  async stats(): Promise<StoreStats> {
    this.#check();
    const { revision, compacted, ...rest } = await this.#engine.stats();
    return {
      ...rest,
      ...this.#keys.stats(),
      indexesBuilding: this.#indexes.building,
      revision: String(revision),
      compactRevision: String(compacted),
      watchers: this.#hub.size,
      queued: this.#queue.size,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#unlisten();
    await this.#queue.drain();
    this.#queue.stop(closedError());
    this.#hub.close();
    await this.#compactor.stop();
    await this.#keys.stop();
    await this.#indexes.stop();
    this.#ended.abort(closedError());
    await this.#engine.close();
  }

  #check(): void {
    if (this.#closing !== undefined) throw closedError();
    if (this.#failure !== undefined) throw this.#failure;
    this.#inside.refuse();
  }

  #address(type: TypeRef, namespace: string | undefined, name: string, use: 'read' | 'write'): { info: TypeInfo; key: Key } {
    const info = use === 'write' ? this.#registry.writable(type) : this.#registry.resolve(type);
    return { info, key: addressOf(info.type, namespace, name, info.scope) };
  }

  #caughtUp(revision: number): Promise<void> {
    return whenVisible({ deps: this.deps, feed: this.#feed, ended: this.ended }, revision);
  }

  async #readNow(key: Key): Promise<KeyState> {
    const id = keyId(key);
    return this.#states.known(id) ?? (await this.#read(key, id));
  }

  /** A key of which nothing is known. Without waiting where nothing has to be waited for. */
  #read(key: Key, id: string, planning = false): KeyState | Promise<KeyState> {
    const info = this.#registry.found(key.type);
    const inPlace = info.sensitivePaths.length === 0 ? this.#engine.inPlace : undefined;
    if (inPlace === undefined) return this.#readSlowly(info, key, id);
    try {
      const { epoch } = this.#states;
      // Its bytes lie where the next read puts others: it is decoded now or never.
      const read = inPlace.get(key, (entry) => stateOf(id, key, entry, this.#codec.form(info, entry)), planning) ?? absent(id, key);
      return this.#states.epoch === epoch ? read : this.#states.settleRead(read);
    } catch (error) {
      if (error instanceof EngineGone) return this.#readSlowly(info, key, id);
      throw error;
    }
  }

  async #readSlowly(info: TypeInfo, key: Key, id: string): Promise<KeyState> {
    const { current } = this.#engine.revision();
    const entry = await this.#engine.get(key);
    return this.#states.settleRead(
      entry === undefined ? absent(id, key) : stateOf(id, key, entry, await this.#reader.form(info, entry, current)),
    );
  }

  async #foreign(from: number, until: number): Promise<{ batch: FeedBatch; versions: number[] }[]> {
    const found: { batch: FeedBatch; versions: number[] }[] = [];
    const { now } = this.#engine;
    for await (const batch of now.changes(from, { limit: Math.min(until - from, 256) })) {
      if (batch.changes.some((change) => !this.#registry.knows(change.entry.key.type))) await this.#registry.reload(now.meta);
      const decoded = this.#hub.decode(batch.changes);
      found.push({
        batch: { revision: batch.revision, events: decoded instanceof Promise ? await decoded : decoded },
        versions: batch.changes.map((change) => change.entry.version),
      });
    }
    return found;
  }

  async #relearn(): Promise<void> {
    await this.#registry.reload(this.#engine.now.meta);
    await this.#loadNamespaces();
  }

  async #loadNamespaces(): Promise<void> {
    const info = this.#registry.resolve('namespace');
    const { entries } = await this.#engine.now.range({ type: info.type });
    this.#namespaces.clear();
    for (const entry of entries) {
      const form = this.#codec.form(info, entry);
      if (form.error !== undefined) this.deps.logger.warn({ err: form.error }, 'a namespace cannot be opened; it counts as active');
      this.#applied(entry.key, form);
    }
  }

  #applied(key: Key, form: Form | undefined): void {
    if (key.type !== 'namespace') return;
    if (form === undefined) this.#namespaces.delete(key.name);
    else this.#namespaces.set(key.name, { key, origin: Number(form.glimpse.metadata.resourceVersion), form });
  }

  #namespace(name: string): Namespace | undefined {
    const planned = this.#states.tentative(keyId({ type: 'namespace', namespace: '', name }));
    if (planned === undefined) return this.#namespaces.get(name);
    const { key, origin, form } = planned;
    return form && { key, origin, form };
  }

  #failed(error: Error): void {
    this.#failure = error;
    this.#engine.stop(error);
    this.deps.logger.error({ err: error }, 'the store has stopped');
    this.#hub.close(error);
    this.#ended.abort(error);
  }
}
