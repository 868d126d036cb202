/**
 * The manager: starts everything in order, keeps it running, and stops it in reverse.
 *
 * Invariants: start: HTTP (so that probes answer), informers synced, leader elected, controllers. Stop: controllers drained
 * within the grace period, collector and recorder, informers, HTTP, and the lease last; with the lease lost, at once, also when
 * that happens in the middle of a stop. A standby that is stopped never starts its controllers. What fails while starting is
 * stopped again. Which controllers there are, and how far each is, is the business of `ControllerSet`.
 */
import { AbortedError, ForbiddenError, InvalidError, parseDuration, TimeoutError } from '../schemas/index.js';
import type { ObjectKey } from '../schemas/index.js';
import { deferred, onAbort } from '../store/index.js';
import type { Deferred, Deps, Logger, Store, Timer } from '../store/index.js';
import { createInformers } from '../informer/index.js';
import type { Informers } from '../informer/index.js';
import { ControllerSet } from './controller-set.js';
import { managerDefaults } from './defaults.js';
import { throwAll, toError } from './errors.js';
import { EventWriter } from './events/index.js';
import { explainKey, runsOf } from './explain.js';
import { Freshness } from './freshness.js';
import { GarbageCollector } from './gc/index.js';
import { check, controllerChecks, electionCheck, informersCheck, LoopLag, report, StoreProbe, type Check, type Report } from './health.js';
import { serve, type HttpServer } from './http.js';
import type { RunReport } from './journal.js';
import { checkKey } from './keys.js';
import { electionOf, fencedStore, LeaderElector, type Election } from './leases/index.js';
import { ControllerLoop } from './loop.js';
import { ManagerMetrics } from './manager-metrics.js';
import type { Explanation, Manager, ManagerOptions, ManagerState, StopReport, UnsettledKey } from './manager-types.js';
import { createMetrics, leaderElectionMetrics, runtimeMetrics, type GaugeSeries, type MetricsRegistry } from './metrics/index.js';
import type { Pause, PauseHandle, PauseOptions } from './pause.js';
import type { PushOptions } from './source.js';
import { onProcessSignals } from './signals.js';
import { reportTerminating, type TerminatingObject, type TerminatingOptions } from './terminating.js';
import type { ControllerDefinition } from './types.js';
import { within, type Grace } from './within.js';

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
  readonly #controllers: ControllerSet;
  readonly #recorder: EventWriter;
  readonly #lag: LoopLag;
  readonly #freshness: Freshness;
  readonly #figures: ManagerMetrics;
  readonly #gracePeriod: number;
  readonly #wedgedAfter: number;
  readonly #loopLagLimit: number;
  readonly #probe: StoreProbe;
  readonly #election: Election | undefined;
  /** Aborts when it stops, or is told to while it starts. */
  readonly #abort = new AbortController();
  /** Aborts when the lease is lost: what is still being drained then has no time left. */
  readonly #lost = new AbortController();
  readonly #failure: Deferred<never>;
  readonly #pauseTimers = new Set<Timer>();
  #elector: LeaderElector | undefined;
  #collector: GarbageCollector | undefined;
  #http: HttpServer | undefined;
  #state: ManagerState = 'new';
  /** Why it failed, if it did. */
  #failedWith: Error | undefined;
  #removeEnd: (() => void) | undefined;
  #starting: Promise<void> | undefined;
  #stopped: Promise<StopReport> | undefined;

  constructor(options: ManagerOptions) {
    const { store } = options;
    this.#options = options;
    this.#store = store;
    this.#deps = store.deps;
    this.#logger = options.logger ?? store.deps.logger;
    this.metrics = options.metrics ?? createMetrics();
    this.#gracePeriod = parseDuration(options.gracePeriod ?? managerDefaults.gracePeriod, 'gracePeriod');
    this.#wedgedAfter = parseDuration(options.wedgedAfter ?? managerDefaults.wedgedAfter, 'wedgedAfter');
    this.#loopLagLimit = parseDuration(options.loopLagLimit ?? managerDefaults.loopLagLimit, 'loopLagLimit');
    const storeTimeout = parseDuration(options.storeTimeout ?? managerDefaults.storeTimeout, 'storeTimeout');
    this.#probe = new StoreProbe(store, storeTimeout);
    const { leaderElection = false } = options;
    this.#election = leaderElection === false ? undefined : electionOf(leaderElection, this.#deps.ids);
    this.#ownInformers = options.informers === undefined;
    this.informers = options.informers ?? createInformers({ store, logger: this.#logger, metrics: informerSeries(this.metrics) });
    this.#recorder = new EventWriter({ deps: this.#deps, logger: this.#logger, instance: this.#election?.identity });
    this.#freshness = new Freshness(store, this.informers);
    this.#lag = new LoopLag(this.#deps, () => this.#freshness.look());
    this.#controllers = new ControllerSet({
      make: (definition) => this.#makeLoop(definition),
      metrics: this.metrics,
      stopping: this.#abort.signal,
    });
    this.#figures = new ManagerMetrics({
      registry: this.metrics,
      store,
      informers: this.informers,
      lag: this.#lag,
      loops: () => this.#controllers.loops,
      storeTimeout,
    });
    this.#failure = deferred<never>();
    this.failed = this.#failure.promise;
    // It is there to be looked at, not to take the process down.
    this.failed.catch(() => {});
    for (const controller of options.controllers ?? []) this.#controllers.define(controller);
  }

  get state(): ManagerState {
    return this.#state;
  }
  get controllers(): readonly string[] {
    return this.#controllers.names;
  }
  get address(): { readonly host: string; readonly port: number } | undefined {
    return this.#http === undefined ? undefined : { host: this.#http.host, port: this.#http.port };
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
        if (!aborted.signal.aborted) errors.push(this.#failedWith ?? toError(error, 'the manager'));
      }
      try {
        const { unsettled } = await this.stop();
        if (unsettled.length > 0) errors.push(unsettledError(unsettled, this.#gracePeriod));
      } catch (error) {
        errors.push(toError(error, 'the stop'));
      }
      // It may have failed when it was being stopped already.
      if (this.#failedWith !== undefined && !errors.includes(this.#failedWith)) errors.unshift(this.#failedWith);
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
    this.#figures.start();
    if (http !== undefined) {
      const source = { manager: this, probe: () => this.#probe.ask(), measure: () => this.#figures.ask() };
      this.#http = await serve(http, source);
    }
    this.#controllers.open();
    this.#removeEnd = onAbort(this.#store.ended, (reason) => this.#fail(toError(reason, 'the store')));
    this.informers.start();
    if (this.#election === undefined || warmup) await this.#controllers.warm();
    this.#throwIfStopping();
    if (this.#election === undefined) this.#lead(this.#store);
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
      store: this.#store,
      informers,
      metrics,
      deps: this.#deps,
      logger: this.#logger,
      recorder: this.#recorder,
    });
  }

  /** Stands for election; controllers start when it is won. */
  #stand(election: Election): void {
    const status = this.#masterStatus(election);
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
          this.#takeOver(fencedStore(this.#store, leadership)).catch((error: unknown) => {
            // To be told to stop in the middle of it is no failure.
            if (!this.#abort.signal.aborted) this.#fail(toError(error, 'the start of the controllers'));
          });
        },
        onLost: (error) => {
          status.set(0);
          this.#lost.abort(error);
          this.#fail(error);
        },
        onSlowPath: () => slowpath.inc(),
      },
    });
    this.#elector.start();
  }

  #masterStatus({ name }: Election): GaugeSeries {
    return this.metrics.gauge(leaderElectionMetrics.masterStatus).with({ name });
  }

  async #takeOver(store: Store): Promise<void> {
    await this.#controllers.warm();
    if (!this.#abort.signal.aborted) this.#lead(store);
  }

  /** `store` is what is written through: fenced where there was an election. */
  #lead(store: Store): void {
    this.#state = 'running';
    this.#recorder.start(store);
    if (this.#options.garbageCollection !== false) {
      this.#collector = new GarbageCollector({ store, deps: this.#deps, logger: this.#logger });
      this.#collector.start();
    }
    this.#controllers.lead(store);
  }

  #fail(error: Error): void {
    this.#logger.error({ err: error }, 'the manager failed and stops');
    this.#failedWith ??= error;
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
    const grace = this.#grace();
    const unsettled = await this.#controllers.stop(grace);
    // What hangs in the store must not keep the rest from ending.
    await attempt(() => within(this.#deps, grace, this.#collector?.stop()));
    await attempt(() => this.#recorder.stop(grace));
    if (this.#ownInformers) await attempt(() => this.informers[Symbol.asyncDispose]());
    this.#lag.stop();
    this.#removeEnd?.();
    await attempt(() => this.#http?.close());
    await attempt(() => this.#elector?.stop({ release: !this.#lost.signal.aborted }));
    if (this.#election !== undefined) this.#masterStatus(this.#election).set(0);
    this.#figures.close();
    this.#state = 'stopped';
    throwAll(errors, 'several parts could not be stopped');
    return { unsettled };
  }

  #grace(): Grace {
    return { ms: this.#gracePeriod, cut: this.#lost.signal };
  }

  // ---- controllers added and removed while it runs

  async add(controller: ControllerDefinition): Promise<void> {
    if (this.#state === 'stopping' || this.#state === 'stopped') {
      throw new ForbiddenError(`controller ${controller.name} cannot be added: the manager is ${this.#state}`);
    }
    await this.#controllers.add(controller);
    // A start that is under way takes it along.
    await this.#starting;
    if (this.#starting !== undefined) this.#throwIfStopping();
  }

  async remove(name: string): Promise<StopReport | undefined> {
    const unsettled = await this.#controllers.remove(name, this.#grace());
    return unsettled && { unsettled };
  }

  // ---- looking in

  #key(loop: ControllerLoop, key: ObjectKey | string): string {
    return checkKey(key, { scope: loop.definition.scope, what: `the caller of controller ${loop.name}` });
  }

  enqueue(controller: string, key: ObjectKey | string, options: PushOptions = {}): boolean {
    return this.#controllers.loop(controller).sink('manager.enqueue').add(key, options);
  }

  pause(controller: string, options: PauseOptions): PauseHandle {
    const loop = this.#controllers.loop(controller);
    const forMs = options.for === undefined ? Infinity : parseDuration(options.for, 'for');
    const { pause, resume: end } = loop.pauses.add(options);
    this.#logger.info({ controller, reason: options.reason, by: options.by, selector: pause.selector }, 'paused');
    let timer: Timer | undefined;
    const resume = (): void => {
      if (timer !== undefined) this.#pauseTimers.delete(timer);
      timer?.cancel();
      end();
    };
    if (forMs !== Infinity) {
      timer = this.#deps.scheduler.after(forMs, resume);
      this.#pauseTimers.add(timer);
    }
    return { pause, resume, [Symbol.dispose]: resume };
  }

  pauses(controller: string): readonly Pause[] {
    return this.#controllers.loop(controller).pauses.list;
  }

  explain(controller: string, key: ObjectKey | string): Explanation {
    const loop = this.#controllers.loop(controller);
    return explainKey(loop, this.#key(loop, key));
  }

  runs(controller: string, key?: ObjectKey | string, options: { readonly limit?: number | undefined } = {}): readonly RunReport[] {
    const loop = this.#controllers.loop(controller);
    return runsOf(loop, key === undefined ? undefined : this.#key(loop, key), options.limit ?? RUNS_TOLD);
  }

  queue(controller: string): ReturnType<Manager['queue']> {
    return this.#controllers.loop(controller).queue;
  }

  collection(): ReturnType<Manager['collection']> {
    return this.#collector?.stats();
  }

  terminating(options: TerminatingOptions = {}): readonly TerminatingObject[] {
    const { loops } = this.#controllers;
    const asked = options.controller === undefined ? loops : [this.#controllers.loop(options.controller)];
    return reportTerminating(asked, options, this.#deps.clock.now());
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
    checks.push(this.#probe.check(), informersCheck(this.informers, this.#freshness.standstills(this.#wedgedAfter)));
    return report([...checks, ...controllerChecks(this.#controllers.loops, now, this.#wedgedAfter)]);
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
