/**
 * testRig: a store, a manager and virtual time together, with crashes, faults and a record of all that happened.
 *
 * Invariants: the same seed and the same test replay the same run; a crash loses what was not durable and all that was in
 * memory, and nothing else; what the test itself does is another client of the store, which a crash does not lose. Nothing runs
 * while the test does not await the rig.
 */
import type { ControllerDefinition, Explanation, Manager, ManagerOptions } from '../controller/index.js';
import { InvalidError, parseDuration } from '../schemas/index.js';
import type { AnyDefinition, CachedOf, Duration, ObjectKey } from '../schemas/index.js';
import { memoryEngine } from '../store/index.js';
import type { MemorySource, OpenStoreOptions, Repo, Timer } from '../store/index.js';
import { CommitLog, type StoreCommit, type StoreEvent } from './commit-log.js';
import type { DrivenStore } from './driven-store.js';
import type { EventFilter } from './event-filter.js';
import { Faults } from './faults.js';
import { leaksOf } from './leaks.js';
import { createPump, type DriveOptions, type Pump } from './pump.js';
import { RigProcess } from './rig-process.js';
import { whyDown, type RigState } from './rig-state.js';
import { RigStore } from './rig-store.js';
import { didRun, RunLog, type RigRun } from './run-log.js';
import { checkLivelock, settle, whatIsBusy, type SettleHost, type SettleOptions, type SettleReport } from './settle.js';
import { createPrepared, type TestData } from './test-data.js';
import { ObjectMaker, type TestObject } from './test-objects.js';
import { formatTimeline, timelineOf, type TimelineEntry, type TimelineSubject } from './timeline.js';
import { virtualDeps, type VirtualDeps, type VirtualDepsOptions } from './virtual-deps.js';

/** The controllers of a rig, or what makes them anew for each life of the process, with empty memory. */
export type RigControllers = readonly ControllerDefinition[] | (() => readonly ControllerDefinition[]);

/** How a rig is made. */
export interface TestRigOptions extends Pick<VirtualDepsOptions, 'logger' | 'order' | 'maxTasksPerMoment'> {
  /**
   * What runs. A list is used in every life of the process, with whatever its closures remember; a function is called for each
   * start, so that a crash loses what was in memory, as it should.
   */
  readonly controllers?: RigControllers | undefined;
  /** Types beside the built-in ones and those of the controllers. */
  readonly types?: readonly AnyDefinition[] | undefined;
  /** Decides order, chance and ids. Default 1. */
  readonly seed?: number | undefined;
  /** What is there before the controllers start. */
  readonly objects?: readonly TestObject[] | TestData | undefined;
  /** Where the wall clock starts. Default `2026-01-01T00:00:00Z`. */
  readonly startTime?: VirtualDepsOptions['start'];
  /** Starts the manager. Default true. */
  readonly start?: boolean | undefined;
  /** Options of the manager. */
  readonly manager?: Omit<ManagerOptions, 'store' | 'controllers' | 'informers'> | undefined;
  /** Options of the store. */
  readonly store?: Omit<OpenStoreOptions, 'path' | 'engine' | 'deps' | 'types'> | undefined;
}

/** Which runs are asked for. */
export interface RunFilter {
  /** Keys that were handed out and not run are told too (paused, slowed, gone). Default false. */
  readonly skipped?: boolean | undefined;
}

/** So many runs of one key at one moment of time are for ever. */
const MOST_RUNS_A_MOMENT = 1_000;

/** A rig; made by `testRig`. */
export class TestRig implements AsyncDisposable {
  readonly seed: number;
  readonly deps: VirtualDeps;
  /**
   * The store as the test uses it. Faults that are ordered here strike what the controllers and informers do, not what the test
   * does.
   */
  readonly store: DrivenStore;
  readonly #options: TestRigOptions;
  readonly #engine: MemorySource;
  readonly #log: CommitLog;
  readonly #runs: RunLog;
  readonly #pump: Pump;
  readonly #startedAt: number;
  readonly #faults: Faults;
  #process: RigProcess;
  #started: Promise<void> = Promise.resolve();
  #state: Exclude<RigState, 'closed'> = 'unstarted';
  /** The restart that a kill has arranged. */
  #revival: Timer | undefined;
  #failure: Error | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: TestRigOptions) {
    this.#options = options;
    const { seed = 1, types = [] } = options;
    this.seed = seed;
    this.deps = virtualDeps({
      seed,
      start: options.startTime,
      logger: options.logger,
      order: options.order,
      maxTasksPerMoment: options.maxTasksPerMoment,
    });
    this.#startedAt = this.deps.clock.now();
    this.#pump = createPump(this.deps);
    this.#engine = memoryEngine();
    this.#log = new CommitLog(this.#engine, this.deps);
    this.#runs = new RunLog(() => this.deps.clock.now());
    this.#faults = new Faults(() => this.#process.store?.revision ?? '0');
    this.#process = this.#newProcess();
    this.store = this.#makeStore(types);
  }

  #makeStore(types: readonly AnyDefinition[]): DrivenStore {
    const process = (): RigProcess => this.#process;
    const isClosed = (): boolean => this.#closed !== undefined;
    const log = this.#log;
    return new RigStore(
      {
        deps: this.deps,
        pump: this.#pump,
        faults: this.#faults,
        teller: this,
        get process() {
          return process();
        },
        get closed() {
          return isClosed();
        },
        get revision() {
          return String(log.revision);
        },
        get commits() {
          return log.commits;
        },
      },
      types,
    );
  }

  #newProcess(): RigProcess {
    const { controllers = [], manager = {}, store = {}, types } = this.#options;
    return new RigProcess({
      deps: this.deps,
      source: this.#log.source,
      faults: this.#faults,
      store: { strictTypes: false, ...store, types },
      manager,
      controllers: () =>
        (typeof controllers === 'function' ? controllers() : controllers).map((controller) => this.#runs.instrument(controller)),
    });
  }

  /** Where the process is. */
  get state(): RigState {
    return this.#closed === undefined ? this.#state : 'closed';
  }

  /** The manager of the present life. @throws {InvalidError} when there is none at the moment */
  get manager(): Manager {
    const { manager } = this.#process;
    if (manager !== undefined) return manager;
    throw new InvalidError(`the rig has no manager: ${whyDown(this.state) ?? 'it stopped before it was started'}`);
  }

  #launch(): void {
    const process = this.#process;
    this.#revival?.cancel();
    this.#state = 'starting';
    this.#started = process
      .start((manager) => this.#runs.follow(manager, false))
      .then(
        () => {
          if (process === this.#process) this.#state = 'running';
        },
        (error: unknown) => {
          if (!process.alive) return;
          this.#state = 'down';
          this.#failure = error instanceof Error ? error : new Error(String(error), { cause: error });
          throw error;
        },
      );
    this.#started.catch(() => {});
  }

  #check(): void {
    if (this.#closed !== undefined) throw new InvalidError('the rig is closed: make another');
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Loads what is given before the start. */
  async load(objects: readonly TestObject[] | TestData): Promise<void> {
    if (!isList(objects)) {
      await this.store.setupTestData(objects);
      return;
    }
    const maker = new ObjectMaker([...(this.#options.types ?? []), ...this.#controllerTypes()]);
    await Promise.all(objects.map((object) => createPrepared(this.store, maker.prepareAny(object))));
  }

  #controllerTypes(): readonly AnyDefinition[] {
    const { controllers = [] } = this.#options;
    const list = typeof controllers === 'function' ? controllers() : controllers;
    return list.flatMap((each) => [
      each.for,
      ...each.owns.map(({ resource }) => resource),
      ...each.watches.map(({ resource }) => resource),
      ...each.reads,
    ]);
  }

  /** Starts the manager, where `start: false` was given. */
  async start(): Promise<void> {
    this.#check();
    if (this.#state !== 'unstarted' && this.#state !== 'down') throw new InvalidError('the rig runs already');
    this.#launch();
    await this.#pump.drive(this.#running(), { what: 'the start' });
  }

  /** Resolves when the present life has started, however many were ended on the way. */
  async #running(): Promise<void> {
    for (;;) {
      const process = this.#process;
      await Promise.race([this.#started, process.killed.promise]);
      if (process === this.#process) return;
    }
  }

  /**
   * Runs until nothing is queued, running or due; follows the first retries of what fails, and moves time for nothing else that
   * waits.
   *
   * @throws {LivelockError} when a key goes on for ever. @throws {TimeoutError} when something never ends.
   */
  async settle(options?: SettleOptions): Promise<SettleReport> {
    this.#check();
    const now = (): SettleHost => ({
      deps: this.deps,
      runs: this.#runs,
      process: this.#process,
      state: this.state,
      collects: this.#log.deleted,
    });
    const report = await settle(now, options);
    this.#check();
    return report;
  }

  /**
   * Moves time, with all that falls due on the way.
   *
   * @throws {LivelockError} when a key runs for ever at one moment.
   */
  async advance(duration: Duration | number): Promise<void> {
    await this.#move((options) => this.deps.advance(duration, options));
  }
  /** Moves time to a moment of the wall clock, RFC 3339 or ms since the epoch. */
  async advanceTo(time: string | number): Promise<void> {
    await this.#move((options) => this.deps.advanceTo(time, options));
  }

  async #move(move: (options: { readonly while: () => boolean }) => Promise<void>): Promise<void> {
    this.#check();
    this.#runs.mark(MOST_RUNS_A_MOMENT, 'moment');
    await move({ while: () => this.#runs.livelock === undefined });
    checkLivelock(this.#runs);
    this.#check();
  }

  /** Runs what is due, and moves time, until `work` settles. */
  run<T>(work: PromiseLike<T>, options?: DriveOptions): Promise<T> {
    return this.#pump.drive(work, options);
  }

  /** A typed repo on the store, whose `waitFor` moves time as far as it takes. */
  repo<D extends AnyDefinition>(definition: D): Repo<D> {
    return this.store.repo(definition);
  }

  /**
   * Kills the process, as SIGKILL would, and starts it again from what was durable.
   *
   * @example await rig.crash({ downtime: '1m' });
   */
  async crash(options: { readonly downtime?: Duration | number | undefined } = {}): Promise<void> {
    this.#check();
    this.kill({ restart: false });
    if (options.downtime !== undefined) await this.deps.advance(options.downtime);
    this.revive();
    await this.#pump.drive(this.#running(), { what: 'the restart' });
  }

  /**
   * The same without waiting: it is started again as soon as the rig is awaited, or after `downtime` of virtual time, or, with
   * `restart: false`, by `revive`. For use inside a reconcile or a fake.
   */
  kill(options: { readonly restart?: boolean | undefined; readonly downtime?: Duration | number | undefined } = {}): void {
    const downtimeMs = parseDuration(options.downtime ?? 0, 'downtime');
    this.#process.kill();
    this.#engine.crash();
    this.#runs.follow(undefined, true);
    this.#process = this.#newProcess();
    this.#state = 'down';
    this.#started = Promise.resolve();
    this.#revival?.cancel();
    if (options.restart === false) return;
    if (downtimeMs > 0) this.#revival = this.deps.scheduler.after(downtimeMs, () => this.revive());
    else this.#launch();
  }

  /** Starts the process again that `kill` ended, now; harmless when it runs. */
  revive(): void {
    if (this.state === 'down' && this.#failure === undefined) this.#launch();
  }

  /** Stops the process in good order and starts it again. */
  async restart(): Promise<void> {
    this.#check();
    await this.#pump.drive(this.#process.stop(), { what: 'the stop' });
    this.#process.kill();
    this.#runs.follow(undefined, false);
    this.#process = this.#newProcess();
    this.#launch();
    await this.#pump.drive(this.#running(), { what: 'the restart' });
  }

  /** Calls `listener` with each commit that is durable, before its writer hears of it; returns its remover. */
  onCommit(listener: (commit: StoreCommit) => void): () => void {
    return this.#log.onCommit(listener);
  }

  /** What the controllers of the present life reconcile, by their names. */
  get primaries(): ReadonlyMap<string, AnyDefinition> {
    return this.#process.primaries;
  }
  /** What is under way, or keeps anything from being so, in words; undefined: nothing. */
  get busy(): string | undefined {
    return whatIsBusy({ process: this.#process, state: this.state, runs: this.#runs, collects: this.#log.deleted }, 0);
  }

  /**
   * Runs of a controller (of all without one) in the order they ended, over crashes; of one key where one is given.
   *
   * @throws {InvalidError} when no life of the process had a controller of that name.
   */
  runs(controller?: string, key?: ObjectKey | string, filter: RunFilter = {}): readonly RigRun[] {
    const wanted =
      key === undefined || typeof key === 'string' ? key : key.namespace === undefined ? key.name : `${key.namespace}/${key.name}`;
    const { controllers } = this.#runs;
    if (controller !== undefined && controllers.size > 0 && !controllers.has(controller))
      throw new InvalidError(`the rig has no controller ${controller}: it has ${[...controllers].join(', ')}`);
    return this.#runs.runs.filter(
      (run) =>
        (controller === undefined || run.controller === controller) &&
        (wanted === undefined || run.key === wanted) &&
        (filter.skipped === true || didRun(run)),
    );
  }

  /** Every change that was committed, oldest first. */
  events<D extends AnyDefinition = AnyDefinition>(filter: EventFilter<D> = {}): readonly StoreEvent<CachedOf<D>>[] {
    return this.store.events(filter);
  }
  /** Why a key runs, and how it went: the manager's own account. */
  explain(controller: string, key: ObjectKey | string): Explanation {
    return this.manager.explain(controller, key);
  }
  /** What happened to a key, or to all: changes, runs, events. */
  timeline(subject?: TimelineSubject): readonly TimelineEntry[] {
    return timelineOf({ commits: this.#log.commits, runs: this.#runs.runs }, subject);
  }
  /** The same for people: the last 40 lines. */
  story(subject?: TimelineSubject, limit?: number): string {
    return formatTimeline(this.timeline(subject), this.#startedAt, limit);
  }

  /**
   * Closes the rig and checks that nothing of it is left: timers, tasks, watches, calls, runs.
   *
   * @throws {Error} that names what is left.
   */
  async expectNoLeaks(): Promise<void> {
    this.#check();
    const { unsettled } = await this.#pump.drive(this.#process.stop(), { what: 'the stop' });
    await this.deps.flush();
    const leaks = leaksOf(this.#process, { unsettled, deps: this.deps });
    await this.close();
    if (leaks.length > 0) throw new Error(`the rig was closed and something is left: ${leaks.join('; ')}`);
  }

  /** Stops everything. Closing twice is harmless. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#revival?.cancel();
    this.#log.forget();
    try {
      await this.#pump.drive(this.#process.stop(), { what: 'the stop' });
    } finally {
      this.#process.kill(true);
      this.#runs.follow(undefined, false);
      this.#pump.close();
    }
  }

  /** Ends everything as a crash would, and waits for nothing: for a rig that nobody will look at again. */
  discard(): void {
    if (this.#closed !== undefined) return;
    this.#closed = Promise.resolve();
    this.#revival?.cancel();
    this.#log.forget();
    this.#process.kill(true);
    this.#engine.crash();
    this.#runs.follow(undefined, true);
    this.#pump.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Makes a rig and starts it.
 *
 * @throws {Error} what the manager's start fails with.
 *
 * @example
 * await using rig = await testRig({ controllers: [scaling], objects: { services: [{ name: 'web' }] } });
 * await rig.settle();
 * expect(rig.runs('scaling')).toHaveLength(1);
 */
export async function testRig(options: TestRigOptions = {}): Promise<TestRig> {
  const rig = new TestRig(options);
  try {
    if (options.objects !== undefined) await rig.load(options.objects);
    if (options.start !== false) await rig.start();
    return rig;
  } catch (error) {
    await rig.close().catch(() => {});
    throw error;
  }
}

function isList(objects: readonly TestObject[] | TestData): objects is readonly TestObject[] {
  return Array.isArray(objects);
}
