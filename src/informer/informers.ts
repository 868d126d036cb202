/**
 * All informers over one store: who asks for the same type, namespace, selectors and transform shares one watch.
 *
 * Invariants: a watch runs as long as somebody holds a share of it and the informers are started; the last release ends it
 * and forgets what it cached. Asking again then begins anew.
 */
import {
  parseFieldSelector,
  parseLabelSelector,
  TimeoutError,
  type AnyDefinition,
  type CachedOf,
  type IndexFunction,
} from '../schemas/index.js';
import type { Deps, Logger, Store, Watch } from '../store/index.js';
import { InformerView, resyncPeriod } from './informer.js';
import { watchedNamespace } from './keys.js';
import { SharedInformer } from './shared-informer.js';
import type { Cacheable, Informer, InformerMetrics, InformerOptions, Informers, InformersOptions, WaitOptions } from './types.js';

/** A watch and who holds it. */
interface Share {
  readonly key: string;
  readonly shared: SharedInformer<Cacheable, Cacheable>;
  readonly definition: AnyDefinition;
  /** The definition's own indexes, where whole objects are cached. */
  readonly defined: ReadonlyMap<string, IndexFunction<Cacheable>>;
  /** Index functions and how many hold each. */
  readonly indexUsers: Map<IndexFunction<Cacheable>, number>;
  references: number;
  handlers: number;
}

type AnyOptions = InformerOptions<AnyDefinition, string, Cacheable>;
type AnyTransform = (object: Cacheable) => Cacheable;

/**
 * Makes the informers of a process; nothing is watched before `start()`.
 *
 * @example
 * await using informers = createInformers({ store });
 * const services = informers.for(Service);
 * informers.start();
 * await informers.whenSynced({ timeout: '10s' });
 */
export function createInformers(options: InformersOptions): Informers {
  return new InformerSet(options);
}

/** The definition's own indexes, which are written for whole objects. */
function definedIndexes(definition: AnyDefinition, options: AnyOptions): Map<string, IndexFunction<Cacheable>> {
  return new Map(options.transform === undefined ? Object.entries(definition.indexes) : []);
}

class InformerSet implements Informers {
  readonly #store: Store;
  readonly #deps: Deps;
  readonly #logger: Logger;
  readonly #metrics: InformerMetrics;
  readonly #shares = new Map<string, Share>();
  readonly #transformIds = new WeakMap<object, number>();
  #transforms = 0;
  #started = false;

  constructor(options: InformersOptions) {
    this.#store = options.store;
    this.#deps = options.deps ?? options.store.deps;
    this.#logger = options.logger ?? this.#deps.logger;
    this.#metrics = options.metrics ?? {};
  }

  for<D extends AnyDefinition, T extends Cacheable, Index extends string>(
    definition: D,
    options: InformerOptions<D, Index, T> = {},
  ): Informer<D, never, T> {
    // One implementation serves every definition; the signature above holds what a caller gives and gets together.
    const untyped = options as unknown as AnyOptions;
    const resyncMs = resyncPeriod(options.resync);
    const share = this.#share(definition, untyped);
    const functions = definedIndexes(definition, untyped);
    const own = Object.entries(untyped.indexes ?? {});
    for (const [name, values] of own) {
      functions.set(name, values);
      // Built now, since they were asked for; those of the definition are built when they are first used.
      share.shared.cache.index(values);
      share.indexUsers.set(values, (share.indexUsers.get(values) ?? 0) + 1);
    }
    if (options.labelIndex === true) share.shared.cache.labelIndex();
    share.references += 1;
    if (this.#started) share.shared.start();
    const ownIndexes = own.map(([, values]) => values);
    return this.#view(share, definition, functions, resyncMs, () => this.#release(share, ownIndexes)) as unknown as Informer<D, never, T>;
  }

  start(): void {
    this.#started = true;
    for (const { shared } of this.#shares.values()) shared.start();
  }

  async whenSynced(options: WaitOptions = {}): Promise<void> {
    const shares = [...this.#shares.values()];
    const results = await Promise.allSettled(shares.map(({ shared }) => shared.whenSynced(options)));
    const missing = shares.filter(({ shared }) => !shared.synced);
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
    const [first] = failures;
    if (first === undefined) return;
    if (!(first instanceof TimeoutError)) throw first;
    const names = missing.map(({ shared }) => `${shared.options.what}${shared.why()}`).join(', ');
    throw new TimeoutError(`${missing.length} of ${shares.length} informers did not sync in time: ${names}`, { cause: first });
  }

  async stop(): Promise<void> {
    this.#started = false;
    await Promise.all([...this.#shares.values()].map(({ shared }) => shared.stop()));
  }

  get list(): readonly Informer<AnyDefinition, string, Cacheable>[] {
    return [...this.#shares.values()].map((share) =>
      this.#view(share, share.definition, share.defined, undefined, () => Promise.resolve()),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#started = false;
    const shares = [...this.#shares.values()];
    this.#shares.clear();
    await Promise.all(shares.map(({ shared }) => shared.close()));
  }

  #share(definition: AnyDefinition, options: AnyOptions): Share {
    const namespace = watchedNamespace(options.namespace);
    const labels = options.labelSelector === undefined ? undefined : parseLabelSelector(options.labelSelector);
    const fields = options.fieldSelector === undefined ? undefined : parseFieldSelector(options.fieldSelector);
    const labelText = labels?.toString() ?? '';
    const fieldText = fields?.toString() ?? '';
    const key = JSON.stringify([definition.type, namespace ?? '', labelText, fieldText, this.#transformId(options.transform)]);
    const existing = this.#shares.get(key);
    if (existing !== undefined) return existing;
    const what = [
      definition.type,
      ...(namespace === undefined ? [] : [`in ${namespace}`]),
      ...(labelText === '' ? [] : [`with labels ${labelText}`]),
      ...(fieldText === '' ? [] : [`with fields ${fieldText}`]),
    ].join(' ');
    const selectors = {
      ...(labelText === '' ? {} : { labelSelector: labelText }),
      ...(fieldText === '' ? {} : { fieldSelector: fieldText }),
    };
    const shared = new SharedInformer<Cacheable, Cacheable>({
      type: definition.type,
      namespace,
      what,
      open: (from) => this.#store.watch(definition, namespace, { ...selectors, ...from }) as Watch<CachedOf<AnyDefinition> & Cacheable>,
      transform: options.transform as unknown as AnyTransform | undefined,
      deps: this.#deps,
      logger: this.#logger.child({ informer: what }),
      metrics: this.#metrics,
    });
    const defined = definedIndexes(definition, options);
    const share: Share = { key, shared, definition, defined, indexUsers: new Map(), references: 0, handlers: 0 };
    this.#shares.set(key, share);
    return share;
  }

  #view(
    share: Share,
    definition: AnyDefinition,
    functions: ReadonlyMap<string, IndexFunction<Cacheable>>,
    resyncMs: number | undefined,
    onRelease: () => Promise<void>,
  ): InformerView<AnyDefinition, Cacheable> {
    return new InformerView({
      definition,
      shared: share.shared,
      names: { what: share.shared.options.what, functions },
      resyncMs,
      references: () => share.references,
      nextHandlerName: () => `handler-${(share.handlers += 1)}`,
      onRelease,
    });
  }

  async #release(share: Share, indexes: readonly IndexFunction<Cacheable>[]): Promise<void> {
    share.references -= 1;
    if (share.references === 0) {
      if (this.#shares.get(share.key) === share) this.#shares.delete(share.key);
      await share.shared.close();
      return;
    }
    for (const values of indexes) {
      const users = (share.indexUsers.get(values) ?? 1) - 1;
      if (users > 0) share.indexUsers.set(values, users);
      else {
        share.indexUsers.delete(values);
        share.shared.cache.dropIndex(values);
      }
    }
  }

  /** A transform is told from others by identity alone. */
  #transformId(transform: object | undefined): number {
    if (transform === undefined) return 0;
    let id = this.#transformIds.get(transform);
    if (id === undefined) this.#transformIds.set(transform, (id = this.#transforms += 1));
    return id;
  }
}
