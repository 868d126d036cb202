/**
 * The manager: starts everything in order, keeps it running, and stops it in reverse.
 *
 * Invariants: start: HTTP (so that probes answer), informers synced, leader elected, controllers. Stop: controllers drained
 * within the grace period, collector and recorder, informers, HTTP, and the lease last; with the lease lost, at once. A
 * standby that is stopped never starts its controllers. What fails while starting is stopped again.
 */
import { AbortedError, ForbiddenError, InvalidError, NotFoundError, parseDuration, TimeoutError } from '../schemas/index.js';
import type { ObjectKey } from '../schemas/index.js';
import { deferred, onAbort } from '../store/index.js';
import type { Deferred, Deps, Logger, Store, Timer } from '../store/index.js';
import { createInformers } from '../informer/index.js';
import type { Informers } from '../informer/index.js';
import { managerDefaults } from './defaults.js';
import { throwAll, toError } from './errors.js';
import { EventWriter } from './events/index.js';
import { explainKey, runsOf } from './explain.js';
import { GarbageCollector } from './gc/index.js';
import { check, controllerChecks, electionCheck, informersCheck, LoopLag, report, StoreProbe, type Check, type Report } from './health.js';
import { serve, type HttpServer } from './http.js';
import type { RunReport } from './journal.js';
import { checkKey } from './keys.js';
import { electionOf, fencedStore, LeaderElector, type Election } from './leases/index.js';
import { ControllerLoop } from './loop.js';
import type { Explanation, Manager, ManagerOptions, ManagerState, StopReport, UnsettledKey } from './manager-types.js';
import { createMetrics, leaderElectionMetrics, runtimeMetrics, type MetricsRegistry } from './metrics/index.js';
import type { Pause, PauseHandle, PauseOptions } from './pause.js';
import type { PushOptions } from './source.js';
import { reportTerminating, type TerminatingObject, type TerminatingOptions } from './terminating.js';
import type { ControllerDefinition } from './types.js';

/** A century, in ms. */
const FOR_EVER = 100 * 365 * 24 * 3_600_000;
/** Reports of one controller's runs that `runs` gives. */
const RUNS_TOLD = 1_000;

/**
 * Makes a manager.
 *
 * @throws {InvalidError} when an option is wrong, or two controllers have one name.
 *
 * @example
 * await using manager = createManager({ store, controllers: [scaling, services] });
 * await manager.run({ signal });
 */
export function createManager(options: ManagerOptions): Manager {
  return new ControllerManager(options);
}

class ControllerManager implements Manager {
  readonly informers: Informers;
  readonly metrics: MetricsRegistry;
  readonly failed: Promise<never>;
  readonly #options: ManagerOptions;
  readonly #store: Store;
  readonly #deps: Deps;
  readonly #logger: Logger;
  readonly #ownInformers: boolean;
  readonly #definitions = new Map<string, ControllerDefinition>();
  readonly #loops = new Map<string, ControllerLoop>();
  /** Removed, and not stopped yet. */
  readonly #leaving = new Set<ControllerLoop>();
  readonly #recorder: EventWriter;
  readonly #lag: LoopLag;
  readonly #gracePeriod: number;
  readonly #wedgedAfter: number;
  readonly #loopLagLimit: number;
  readonly #probe: StoreProbe;
  readonly #election: Election | undefined;
  readonly #abort = new AbortController();
  readonly #failure: Deferred<never>;
  readonly #pauseTimers = new Set<Timer>();
  #elector: LeaderElector | undefined;
  #collector: GarbageCollector | undefined;
  #http: HttpServer | undefined;
  #state: ManagerState = 'new';
  /** What controllers write through: fenced once this process leads. */
  #writeStore: Store;
  #leading = false;
  #removeEnd: (() => void) | undefined;
  #starting: Promise<void> | undefined;
  #stopped: Promise<StopReport> | undefined;
  #lostLease = false;
  #removeCollector: (() => void) | undefined;

  constructor(options: ManagerOptions) {
    const { store } = options;
    this.#options = options;
    this.#store = store;
    this.#writeStore = store;
    this.#deps = store.deps;
    this.#logger = options.logger ?? store.deps.logger;
    this.metrics = options.metrics ?? createMetrics();
    this.#gracePeriod = parseDuration(options.gracePeriod ?? managerDefaults.gracePeriod, 'gracePeriod');
    this.#wedgedAfter = parseDuration(options.wedgedAfter ?? managerDefaults.wedgedAfter, 'wedgedAfter');
    this.#loopLagLimit = parseDuration(options.loopLagLimit ?? managerDefaults.loopLagLimit, 'loopLagLimit');
    this.#probe = new StoreProbe(store, parseDuration(options.storeTimeout ?? managerDefaults.storeTimeout, 'storeTimeout'));
    const { leaderElection = false } = options;
    this.#election = leaderElection === false ? undefined : electionOf(leaderElection, this.#deps.ids);
    this.#ownInformers = options.informers === undefined;
    this.informers = options.informers ?? createInformers({ store, logger: this.#logger, metrics: informerSeries(this.metrics) });
    this.#recorder = new EventWriter({ deps: this.#deps, logger: this.#logger, instance: this.#election?.identity });
    this.#lag = new LoopLag(this.#deps);
    this.#failure = deferred<never>();
    this.failed = this.#failure.promise;
    // It is there to be looked at, not to take the process down.
    this.failed.catch(() => {});
    for (const controller of options.controllers ?? []) this.#define(controller);
  }

  get state(): ManagerState {
    return this.#state;
  }
  get controllers(): readonly string[] {
    return [...this.#definitions.keys()];
  }
  get address(): { readonly host: string; readonly port: number } | undefined {
    return this.#http === undefined ? undefined : { host: this.#http.host, port: this.#http.port };
  }

  #define(controller: ControllerDefinition): void {
    if (this.#definitions.has(controller.name)) {
      throw new InvalidError(`two controllers are called ${controller.name}: names tell them apart in logs, metrics and finalizers`, {
        causes: [{ reason: 'FieldValueDuplicate', field: 'controllers', message: controller.name }],
      });
    }
    this.#definitions.set(controller.name, controller);
  }

  // ---- start

  async run(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const over = deferred();
    const removers = [onAbort(options.signal, () => over.resolve())];
    // Nothing else may: sockets and timers that wait for work do not keep a process.
    const alive = this.#deps.scheduler.after(FOR_EVER, () => {});
    removers.push(() => alive.cancel());
    if (this.#options.signals === true) removers.push(onProcessSignals(this.#logger, () => over.resolve()));
    const errors: Error[] = [];
    try {
      const aborted = new AbortController();
      removers.push(onAbort(options.signal, (reason) => aborted.abort(reason)));
      void over.promise.then(() => aborted.abort(new AbortedError('the manager was told to stop')));
      try {
        await this.start({ signal: aborted.signal });
        await Promise.race([over.promise, this.failed]);
      } catch (error) {
        // To be told to stop while starting is no failure.
        if (!aborted.signal.aborted) errors.push(toError(error, 'the manager'));
      }
      try {
        const { unsettled } = await this.stop();
        if (unsettled.length > 0) errors.push(unsettledError(unsettled, this.#gracePeriod));
      } catch (error) {
        errors.push(toError(error, 'the stop'));
      }
    } finally {
      for (const remove of removers) remove();
    }
    throwAll(errors, 'the manager failed and its stop did too');
  }

  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    if (this.#state !== 'new') throw new InvalidError(`the manager is ${this.#state}: it can be started once; make another to start again`);
    this.#state = 'starting';
    const removeListener = onAbort(options.signal, (reason) => this.#abort.abort(reason));
    this.#starting = this.#start();
    try {
      await this.#starting;
    } catch (error) {
      const errors = [toError(error, 'the start')];
      try {
        await this.stop();
      } catch (second) {
        errors.push(toError(second, 'the stop'));
      }
      throwAll(errors, 'the manager could not start, and its stop failed');
    } finally {
      removeListener();
    }
  }

  async #start(): Promise<void> {
    const { http, warmup = true } = this.#options;
    this.#lag.start();
    this.#removeCollector = this.metrics.onCollect(() => this.#collect());
    if (http !== undefined) this.#http = await serve(http, { manager: this, probe: () => this.#probe.ask() });
    for (const controller of this.#definitions.values()) this.#loops.set(controller.name, this.#makeLoop(controller));
    this.#removeEnd = onAbort(this.#store.ended, (reason) => this.#fail(toError(reason, 'the store')));
    this.informers.start();
    if (this.#election === undefined || warmup) await this.#warm([...this.#loops.values()]);
    this.#throwIfStopping();
    if (this.#election === undefined) this.#lead();
    else this.#stand(this.#election);
  }

  #throwIfStopping(): void {
    if (this.#abort.signal.aborted)
      throw new AbortedError('the manager was stopped while it started', { cause: this.#abort.signal.reason });
  }

  #makeLoop(definition: ControllerDefinition): ControllerLoop {
    const { informers, metrics } = this;
    return new ControllerLoop({
      definition,
      store: this.#writeStore,
      informers,
      metrics,
      deps: this.#deps,
      logger: this.#logger,
      recorder: this.#recorder,
    });
  }

  async #warm(loops: readonly ControllerLoop[]): Promise<void> {
    for (const loop of loops) loop.warm();
    await Promise.all(loops.map((loop) => loop.whenSynced(this.#abort.signal)));
  }

  /** Stands for election; controllers start when it is won. */
  #stand(election: Election): void {
    const status = this.metrics.gauge(leaderElectionMetrics.masterStatus).with({ name: election.name });
    const slowpath = this.metrics.counter(leaderElectionMetrics.slowpath).with({ name: election.name });
    status.set(0);
    this.#state = 'standby';
    this.#elector = new LeaderElector({
      store: this.#store,
      deps: this.#deps,
      logger: this.#logger,
      election,
      handlers: {
        onStarted: (leadership) => {
          status.set(1);
          if (this.#abort.signal.aborted) return;
          this.#writeStore = fencedStore(this.#store, leadership);
          this.#takeOver().catch((error: unknown) => this.#fail(toError(error, 'the start of the controllers')));
        },
        onLost: (error) => {
          status.set(0);
          this.#lostLease = true;
          this.#fail(error);
        },
        onSlowPath: () => slowpath.inc(),
      },
    });
    this.#elector.start();
  }

  async #takeOver(): Promise<void> {
    await this.#warm([...this.#loops.values()]);
    if (!this.#abort.signal.aborted) this.#lead();
  }

  #lead(): void {
    this.#leading = true;
    this.#state = 'running';
    this.#recorder.start(this.#writeStore);
    if (this.#options.garbageCollection !== false) {
      this.#collector = new GarbageCollector({ store: this.#writeStore, deps: this.#deps, logger: this.#logger });
      this.#collector.start();
    }
    for (const loop of this.#loops.values()) if (loop.state === 'warm') loop.run(this.#writeStore);
  }

  #fail(error: Error): void {
    this.#logger.error({ err: error }, 'the manager failed and stops');
    this.#failure.reject(error);
    // Whoever awaits run() or failed hears of it; the controllers stop at once either way.
    this.stop().catch((second: unknown) => this.#logger.error({ err: second }, 'the stop failed'));
  }

  // ---- stop

  stop(): Promise<StopReport> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<StopReport> {
    this.#state = 'stopping';
    this.#abort.abort(new AbortedError('the manager stops'));
    // Standing for election ends first, so that no controller starts while the others stop; a lease that is held is kept.
    const errors: Error[] = [];
    const attempt = async (work: () => PromiseLike<unknown> | undefined): Promise<void> => {
      try {
        await work();
      } catch (error) {
        errors.push(toError(error, 'the stop'));
      }
    };
    for (const timer of this.#pauseTimers) timer.cancel();
    this.#pauseTimers.clear();
    await this.#starting?.catch(() => {});
    const graceMs = this.#lostLease ? 0 : this.#gracePeriod;
    const unsettled = await this.#stopLoops([...this.#loops.values(), ...this.#leaving], graceMs);
    await attempt(() => this.#collector?.stop());
    await attempt(() => this.#recorder.stop(this.#lostLease ? 0 : graceMs));
    if (this.#ownInformers) await attempt(() => this.informers[Symbol.asyncDispose]());
    this.#lag.stop();
    this.#removeEnd?.();
    this.#removeCollector?.();
    await attempt(() => this.#http?.close());
    await attempt(() => this.#elector?.stop({ release: !this.#lostLease }));
    this.#leading = false;
    this.#state = 'stopped';
    throwAll(errors, 'several parts could not be stopped');
    return { unsettled };
  }

  async #stopLoops(loops: readonly ControllerLoop[], graceMs: number): Promise<readonly UnsettledKey[]> {
    const reason = new AbortedError('the manager stops');
    const reports = await Promise.all(
      loops.map(async (loop) => (await loop.stop(graceMs, reason)).map((key) => ({ controller: loop.name, key }))),
    );
    return reports.flat();
  }

  // ---- controllers added and removed while it runs

  async add(controller: ControllerDefinition): Promise<void> {
    if (this.#state === 'stopping' || this.#state === 'stopped') {
      throw new ForbiddenError(`controller ${controller.name} cannot be added: the manager is ${this.#state}`);
    }
    this.#define(controller);
    if (this.#state === 'new') return;
    try {
      await this.#starting;
      this.#throwIfStopping();
      // A start that was under way may have taken it along.
      if (this.#loops.has(controller.name)) return;
      const loop = this.#makeLoop(controller);
      this.#loops.set(controller.name, loop);
      if (!this.#leading && this.#options.warmup === false) return;
      await this.#warm([loop]);
      if (this.#leading && loop.state === 'warm' && this.#loops.get(controller.name) === loop) loop.run(this.#writeStore);
    } catch (error) {
      const loop = this.#loops.get(controller.name);
      this.#loops.delete(controller.name);
      this.#definitions.delete(controller.name);
      await loop?.stop(0, error);
      throw error;
    }
  }

  async remove(name: string): Promise<StopReport | undefined> {
    if (!this.#definitions.delete(name)) return undefined;
    const loop = this.#loops.get(name);
    this.#loops.delete(name);
    if (loop === undefined) return { unsettled: [] };
    this.#leaving.add(loop);
    const unsettled = await this.#stopLoops([loop], this.#gracePeriod);
    this.#leaving.delete(loop);
    return { unsettled };
  }

  // ---- looking in

  #loop(name: string): ControllerLoop {
    const loop = this.#loops.get(name);
    if (loop !== undefined) return loop;
    const why = this.#definitions.has(name) ? 'has not been started' : 'is not known';
    throw new NotFoundError(`controller ${name} ${why}; there are: ${this.controllers.join(', ') || 'none'}`);
  }

  #key(loop: ControllerLoop, key: ObjectKey | string): string {
    return checkKey(key, { scope: loop.definition.scope, what: `the caller of controller ${loop.name}` });
  }

  enqueue(controller: string, key: ObjectKey | string, options: PushOptions = {}): boolean {
    return this.#loop(controller).sink('manager.enqueue').add(key, options);
  }

  pause(controller: string, options: PauseOptions): PauseHandle {
    const loop = this.#loop(controller);
    const handle = loop.pauses.add(options);
    this.#logger.info({ controller, reason: options.reason, by: options.by, selector: handle.pause.selector }, 'paused');
    if (options.for === undefined) return handle;
    const timer = this.#deps.scheduler.after(parseDuration(options.for, 'for'), () => {
      this.#pauseTimers.delete(timer);
      handle.resume();
    });
    this.#pauseTimers.add(timer);
    return handle;
  }

  pauses(controller: string): readonly Pause[] {
    return this.#loop(controller).pauses.list;
  }

  explain(controller: string, key: ObjectKey | string): Explanation {
    const loop = this.#loop(controller);
    return explainKey(loop, this.#key(loop, key));
  }

  runs(controller: string, key?: ObjectKey | string, options: { readonly limit?: number | undefined } = {}): readonly RunReport[] {
    const loop = this.#loop(controller);
    return runsOf(loop, key === undefined ? undefined : this.#key(loop, key), options.limit ?? RUNS_TOLD);
  }

  queue(controller: string): ReturnType<Manager['queue']> {
    return this.#loop(controller).queue;
  }

  collection(): ReturnType<Manager['collection']> {
    return this.#collector?.stats();
  }

  terminating(options: TerminatingOptions = {}): readonly TerminatingObject[] {
    const loops = options.controller === undefined ? this.#loops.values() : [this.#loop(options.controller)];
    return reportTerminating(loops, options, this.#deps.clock.now());
  }

  // ---- health and metrics

  healthz(): Report {
    const late = this.#lag.ms;
    return report([
      check('ping', undefined),
      check(
        'event-loop',
        late >= this.#loopLagLimit
          ? `the event loop is ${Math.round(late)} ms late; something computes for long without a pause`
          : undefined,
      ),
    ]);
  }

  readyz(): Report {
    const now = this.#deps.clock.monotonic();
    const state = this.#state;
    const checks: Check[] = [check('manager', state === 'running' || state === 'standby' ? undefined : `it is ${state}`)];
    if (this.#elector !== undefined && this.#election !== undefined) checks.push(electionCheck(this.#elector, this.#election, now));
    checks.push(this.#probe.check(), informersCheck(this.informers));
    return report([...checks, ...controllerChecks(this.#loops.values(), now, this.#wedgedAfter)]);
  }

  #collect(): void {
    this.metrics
      .gauge(runtimeMetrics.eventLoopLag)
      .with({})
      .set(this.#lag.ms / 1000);
    const objects = this.metrics.gauge(runtimeMetrics.informerObjects);
    const lag = this.metrics.gauge(runtimeMetrics.watchLag);
    const revision = Number(this.#store.revision);
    const sums = new Map<string, { objects: number; lag: number }>();
    for (const informer of this.informers.list) {
      const sum = sums.get(informer.definition.type) ?? { objects: 0, lag: 0 };
      sum.objects += informer.size;
      sum.lag = Math.max(sum.lag, revision - Number(informer.resourceVersion));
      sums.set(informer.definition.type, sum);
    }
    for (const [resource, sum] of sums) {
      objects.with({ resource }).set(sum.objects);
      lag.with({ resource }).set(Math.max(0, sum.lag));
    }
    for (const loop of this.#loops.values()) loop.collect();
  }
}

function informerSeries(metrics: MetricsRegistry): { relist(type: string, reason: string): void } {
  const relists = metrics.counter(runtimeMetrics.watchRelists);
  return { relist: (resource, reason) => relists.with({ resource, reason }).inc() };
}

function unsettledError(unsettled: readonly UnsettledKey[], gracePeriod: number): TimeoutError {
  const names = unsettled.map(({ controller, key }) => `${controller} ${key}`).join(', ');
  return new TimeoutError(
    `these reconciles did not settle within the grace period of ${gracePeriod} ms: ${names}; heed the signal of their context`,
  );
}

/** SIGINT and SIGTERM: the first stops, the second exits. */
function onProcessSignals(logger: Logger, stop: () => void): () => void {
  let seen = false;
  const listener = (signal: NodeJS.Signals): void => {
    if (seen) {
      logger.error({ signal }, 'a second signal: exiting at once');
      process.exit(1);
    }
    seen = true;
    logger.info({ signal }, 'stopping');
    stop();
  };
  process.on('SIGINT', listener);
  process.on('SIGTERM', listener);
  return () => {
    process.removeListener('SIGINT', listener);
    process.removeListener('SIGTERM', listener);
  };
}
