/**
 * One life of the simulated process: a store on the rig's engine, and a manager, until it is stopped or killed.
 *
 * Invariants: what it does goes through its own deps and its own face of the store; a kill ends both at once, so that nothing
 * of it, not even a promise that settles late, reaches the next life. Only what had become durable is still answered to clients
 * outside.
 */
import { createManager, type ControllerDefinition, type Manager, type ManagerOptions, type StopReport } from '../controller/index.js';
import type { AnyDefinition } from '../schemas/index.js';
import { deferred, openStore } from '../store/index.js';
import type { Deferred, Deps, EngineSource, OpenStoreOptions, Store } from '../store/index.js';
import type { Faults } from './faults.js';
import { processDeps, type ProcessDeps } from './process-deps.js';
import { never } from './relayed-watch.js';
import { StoreFace } from './store-face.js';

/** What each life of a process is made from. */
export interface ProcessParts {
  readonly deps: Deps;
  readonly source: EngineSource;
  readonly faults: Faults;
  readonly store: Omit<OpenStoreOptions, 'path' | 'engine' | 'deps'>;
  readonly manager: Omit<ManagerOptions, 'store' | 'controllers'>;
  /** Makes the controllers of one life. */
  controllers(): readonly ControllerDefinition[];
}

/** How a piece of work ended. */
export type Outcome<R> = { readonly value: R } | { readonly error: unknown };

export class RigProcess {
  readonly deps: ProcessDeps;
  /** What its controllers and informers see. */
  readonly face: StoreFace;
  readonly killed: Deferred<void>;
  /** What each controller reconciles, by its name. */
  readonly primaries = new Map<string, AnyDefinition>();
  readonly #parts: ProcessParts;
  #store: Store | undefined;
  #manager: Manager | undefined;
  #opening: Promise<Store> | undefined;
  #stopping = false;
  /** Clients outside that wait for an answer: called when there will be none. */
  readonly #waiting = new Set<(final: boolean) => void>();

  constructor(parts: ProcessParts) {
    this.#parts = parts;
    const deps = processDeps(parts.deps);
    this.deps = deps;
    this.killed = deferred();
    const opened = (): Store | undefined => this.#store;
    this.face = new StoreFace({
      deps,
      faults: parts.faults,
      get alive() {
        return deps.alive;
      },
      get opened() {
        return opened();
      },
      whenOpen: () => this.open(),
      settle: (work) => work,
      listen: (work) => work,
    });
  }

  get alive(): boolean {
    return this.deps.alive;
  }
  get store(): Store | undefined {
    return this.#store;
  }
  get manager(): Manager | undefined {
    return this.#manager;
  }

  /** Whether its answers can be believed: a process that stops refuses what the next one will not. */
  get serves(): boolean {
    return this.alive && !this.#stopping;
  }

  /** Opens the store on what is durable. */
  open(): Promise<Store> {
    const { deps } = this;
    const { source } = this.#parts;
    // A store whose write was cut off by the kill would open its engine again, and take it from the next life.
    const engine: EngineSource = { ...source, open: (context) => (deps.alive ? source.open(context) : never()) };
    this.#opening ??= openStore({ ...this.#parts.store, engine, deps }).then((store) => {
      this.#store = store;
      return store;
    });
    return this.#opening;
  }

  /**
   * What came of a client's work in this life; undefined: the process ended over it, and it took no effect.
   *
   * What became durable in the commit that a kill followed is answered by promise jobs alone, so before the next turn.
   */
  answer<R>(work: Promise<R>): Promise<Outcome<R> | undefined> {
    return new Promise((resolve) => {
      const done = (outcome: Outcome<R> | undefined): void => {
        this.#waiting.delete(cut);
        resolve(outcome);
      };
      const cut = (final: boolean): void => {
        if (final) done(undefined);
        else this.#parts.deps.scheduler.defer(() => done(undefined));
      };
      this.#waiting.add(cut);
      work.then(
        (value) => done({ value }),
        (error: unknown) => done(this.serves ? { error } : undefined),
      );
      if (!this.alive) cut(true);
    });
  }

  /** Makes the manager and starts it. */
  async start(follow: (manager: Manager) => void): Promise<void> {
    await this.open();
    const controllers = this.#parts.controllers();
    for (const controller of controllers) this.primaries.set(controller.name, controller.for);
    const manager = createManager({ ...this.#parts.manager, store: this.face, controllers });
    this.#manager = manager;
    follow(manager);
    await manager.start();
  }

  /** Ends it without a goodbye. `final`: there will be no other, and no turn of virtual time either. */
  kill(final = false): void {
    this.deps.kill();
    for (const cut of [...this.#waiting]) cut(final);
    this.killed.resolve();
  }

  /** Ends it in good order. */
  async stop(): Promise<StopReport> {
    this.#stopping = true;
    const report = (await this.#manager?.stop()) ?? { unsettled: [] };
    await this.#store?.close();
    return report;
  }
}
