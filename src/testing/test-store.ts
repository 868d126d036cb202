/**
 * TestStore: the real store over the memory engine, in virtual time, with faults on order.
 *
 * Invariants: no second implementation: every verb is the product's own, reached through `StoreFace`. It needs no opening, no
 * clock to be turned and no folder: awaiting it is enough. The same seed and the same test give the same ids and times.
 */
import { StoreClosedError } from '../schemas/index.js';
import type { AnyDefinition } from '../schemas/index.js';
import { memoryEngine, openStore } from '../store/index.js';
import type { Deps, MemorySource, OpenStoreOptions, Store } from '../store/index.js';
import { CommitLog, type StoreCommit } from './commit-log.js';
import { DrivenStore, isVirtual, type DrivenHost } from './driven-store.js';
import { Faults } from './faults.js';
import { createPump, type Pump } from './pump.js';
import { virtualDeps, type VirtualDeps, type VirtualDepsOptions } from './virtual-deps.js';

/** How a TestStore is made. */
export interface TestStoreOptions extends Omit<OpenStoreOptions, 'path' | 'engine' | 'deps' | 'types'> {
  /** Types beside the built-in ones. */
  readonly types?: readonly AnyDefinition[] | undefined;
  /** Of ids, chance and order. Default 1. */
  readonly seed?: number | undefined;
  /** Where the wall clock starts. Default `2026-01-01T00:00:00Z`. */
  readonly start?: VirtualDepsOptions['start'];
  /** Shared with others, or `systemDeps()` for real time. Default: virtual ones, from the seed. */
  readonly deps?: Deps | VirtualDeps | undefined;
}

class TestStoreHost implements DrivenHost {
  readonly deps: Deps;
  readonly alive = true;
  readonly faults = new Faults(() => this.opened?.revision ?? '0');
  readonly pump: Pump | undefined;
  readonly #options: TestStoreOptions;
  engine!: MemorySource;
  log!: CommitLog;
  opened: Store | undefined;
  #opening!: Promise<Store>;
  get orders(): Faults {
    return this.faults;
  }

  constructor(options: TestStoreOptions) {
    this.#options = options;
    this.deps = options.deps ?? virtualDeps({ seed: options.seed, start: options.start });
    this.pump = isVirtual(this.deps) ? createPump(this.deps) : undefined;
    this.begin();
  }

  /** Opens a store that holds nothing. */
  begin(): void {
    const { seed: _, start: __, deps: ___, ...rest } = this.#options;
    this.opened = undefined;
    this.engine = memoryEngine();
    this.log = new CommitLog(this.engine, this.deps);
    this.#opening = openStore({ strictTypes: false, ...rest, engine: this.log.source, deps: this.deps }).then((store) => {
      this.opened = store;
      return store;
    });
    // Whoever uses the store hears of a failure.
    this.#opening.catch(() => {});
  }

  whenOpen(): Promise<Store> {
    return this.#opening;
  }
  get commits(): readonly StoreCommit[] {
    return this.log.commits;
  }
}

/**
 * A store for tests: the real one, in memory, at once.
 *
 * @example
 * const store = new TestStore();
 * await store.createService({ name: 'web', spec: { scale: 3 } });
 */
export class TestStore extends DrivenStore {
  readonly #host: TestStoreHost;
  #closing: Promise<void> | undefined;

  /** @throws {InvalidError} when the seed or an option of the store is wrong; the latter from the first verb. */
  constructor(options: TestStoreOptions = {}) {
    const host = new TestStoreHost(options);
    super(host, options.types ?? []);
    this.#host = host;
  }

  /** Makes one and waits until it is open. */
  static async open(options: TestStoreOptions = {}): Promise<TestStore> {
    const store = new TestStore(options);
    await store.opened();
    return store;
  }

  /** Resolves when it is open. Verbs wait for that by themselves. */
  async opened(): Promise<void> {
    await this.run(this.#host.whenOpen());
  }

  /**
   * Empties the store: a new one, at revision 0. Faults and events are forgotten, open watches end; time goes on.
   *
   * @throws {StoreClosedError} when it was closed.
   */
  async reset(): Promise<void> {
    if (this.#closing !== undefined) throw new StoreClosedError('the TestStore is closed: make another instead of a reset');
    const old = this.#host.whenOpen();
    this.cutWatches();
    this.#host.faults.clear();
    await this.run(old.then((store) => store.close()));
    this.maker.reset();
    this.forget();
    this.#host.begin();
    await this.opened();
  }

  /** Closing twice is harmless. */
  override close(): Promise<void> {
    this.#closing ??= super.close().finally(() => this.#host.pump?.close());
    return this.#closing;
  }
}

/** Makes a TestStore that is open. */
export function openTestStore(options: TestStoreOptions = {}): Promise<TestStore> {
  return TestStore.open(options);
}
