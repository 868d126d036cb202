/**
 * One controller at work: takes keys, runs the reconciler, applies the outcome.
 *
 * Invariants: one run of a key at a time, `concurrency` keys at once; no run before every source has synced; a key is
 * released only when the caches show what its run wrote; whatever the reconciler does, the loop goes on. After `stop`
 * resolved nothing of it runs, and no timer, handler or listener is left.
 */
import { InvalidError, TimeoutError } from '../schemas/index.js';
import { deferred } from '../store/index.js';
import type { Deps, Logger, Store } from '../store/index.js';
import type { Informers } from '../informer/index.js';
import { ActiveRuns } from './active-runs.js';
import type { Cause, PushCause } from './causes.js';
import type { ContextHost } from './context.js';
import { controllerSeries, countRun, type ControllerSeries } from './controller-metrics.js';
import { isPanic } from './errors.js';
import { Deadlines } from './deadlines.js';
import { Echoes } from './echoes.js';
import { execute, owesWrites, writeOwed, type ExecutionHost } from './execution.js';
import { Followers, isThenable, returnedNothing } from './followers.js';
import { keyOf } from './keys.js';
import { HotLoops, type HotLoopVerdict } from './hot-loop.js';
import { Journal } from './journal.js';
import type { MetricsRegistry } from './metrics/index.js';
import { OwnContext } from './own-context.js';
import { decide, success, untouched, type Outcome, type RunEnd } from './outcome.js';
import { Pauses } from './pause.js';
import { createSlots, createWorkQueue, runWorkers, type Item, type Worker, type Workers, type WorkQueue } from './queue/index.js';
import type { CollectedEvent, EventRecorder } from './recorder.js';
import { logFailure, logHotLoop } from './run-log.js';
import { Run, type RunHost, type SkipReason } from './run.js';
import { createSink, type SourceSink } from './source.js';
import { measureTerminating } from './terminating.js';
import { SourceSyncs } from './source-syncs.js';
import type { ControllerDefinition } from './types.js';
import { Wiring, type CachedObject, type WakeSink } from './wiring.js';
import { within, withLimits, type Grace } from './within.js';

/** What a loop is made of. */
export interface LoopOptions {
  readonly definition: ControllerDefinition;
  readonly store: Store;
  readonly informers: Informers;
  readonly deps: Deps;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly recorder: EventRecorder;
}

/** `syncing`: its sources have started; `warm`: they have synced, and it may run. */
type State = 'new' | 'syncing' | 'warm' | 'running' | 'stopping' | 'stopped';

/** How a loop is stopped: what runs are told, and how long they have. */
export interface StopOptions {
  readonly reason: unknown;
  readonly grace: Grace;
}

export class ControllerLoop implements RunHost, ContextHost, ExecutionHost, WakeSink {
  readonly name: string;
  readonly source: string;
  readonly definition: ControllerDefinition['for'];
  readonly controller: ControllerDefinition;
  readonly deps: Deps;
  readonly logger: Logger;
  readonly echo: ControllerDefinition['echo'];
  readonly queue: WorkQueue<Cause>;
  readonly pauses: Pauses;
  readonly journal = new Journal();
  readonly series: ControllerSeries;
  readonly declared: readonly string[];
  readonly wiring: Wiring;
  readonly #recorder: EventRecorder;
  readonly #hotLoops = new HotLoops();
  readonly #active = new ActiveRuns();
  readonly #followers = new Followers((run, end) => this.#end(run, end));
  readonly #conflicts = new Map<string, number>();
  /** Aborts when the loop stops; what holds keys waits on it. */
  readonly #stopping = new AbortController();
  readonly #sources = new SourceSyncs();
  /** Runs begin here, not in the async context of whoever pushed their key. */
  readonly #context = new OwnContext();
  #store: Store;
  #workers: Workers | undefined;
  #state: State = 'new';
  #stopped: Promise<readonly string[]> | undefined;
  readonly #echoes: Echoes;
  readonly #deadlines: Deadlines;
  /** Of a loop that has stopped: its last run has settled. */
  readonly #ended = deferred();
  /** Monotonic ms: when a run last ended. */
  #lastEnd = 0;
  #finished = 0;

  constructor(options: LoopOptions) {
    const { definition, deps } = options;
    this.controller = definition;
    this.definition = definition.for;
    this.name = definition.name;
    this.source = `controller/${definition.name}`;
    this.deps = deps;
    this.echo = definition.echo;
    this.#store = options.store;
    this.#recorder = options.recorder;
    this.logger = options.logger.child({
      controller: definition.name,
      controllerGroup: definition.for.group,
      controllerKind: definition.for.kind,
    });
    this.series = controllerSeries(options.metrics, definition.name);
    this.series.maxConcurrent.set(definition.concurrency);
    const { baseDelay, maxDelay, jitter, bucket } = definition.rateLimiter;
    this.queue = createWorkQueue<Cause>({ name: definition.name, baseDelay, maxDelay, jitter, bucket, deps, metrics: options.metrics });
    this.pauses = new Pauses((key) => this.wakeUp(key, { kind: 'resume' }));
    this.wiring = new Wiring({ definition, informers: options.informers, deps, logger: this.logger, sink: this });
    this.declared = [...this.wiring.caches.keys()];
    this.#echoes = new Echoes(this.wiring);
    this.#deadlines = new Deadlines({
      timeout: definition.timeout,
      deps,
      runs: () => this.#active.values(),
      onTimeout: (run, timeout) => this.#timeOut(run, timeout),
    });
  }

  get stopSignal(): AbortSignal {
    return this.#stopping.signal;
  }
  get store(): Store {
    return this.#store;
  }
  get state(): State {
    return this.#state;
  }

  /** Starts the sources: keys are collected from now on, and none runs before `run`. */
  warm(): void {
    if (this.#state !== 'new') return;
    this.#state = 'syncing';
    this.wiring.listen();
    const context = { deps: this.deps, signal: this.#stopping.signal };
    for (const source of this.controller.sources) this.#sources.add(source.name, source.start(this.sink(source.name), context));
  }

  /** Types and sources that have not synced yet. */
  get unsynced(): readonly string[] {
    return [...this.wiring.unsynced, ...this.#sources.unsynced];
  }

  /**
   * Resolves when every source has synced and its handlers were fed: then it may run.
   *
   * @throws {TimeoutError} that names those that did not, after the controller's `cacheSyncTimeout`. @throws {AbortedError}
   */
  async whenSynced(signal: AbortSignal | undefined): Promise<void> {
    const { cacheSyncTimeout: timeout } = this.controller;
    const late = (): Error =>
      new TimeoutError(`controller ${this.name} could not start: ${this.unsynced.join(', ')} did not sync within ${timeout} ms`);
    await withLimits({ deps: this.deps, timeout, late, signals: [this.#stopping.signal, signal] }, (over) =>
      Promise.all([this.wiring.whenSynced(over), this.#sources.whenSynced()]),
    );
    if (this.#state === 'syncing') this.#state = 'warm';
  }

  /** Starts the workers. `store` is what runs write through, when it differs from the one the loop was made with. */
  run(store: Store = this.#store): void {
    if (this.#state !== 'warm') throw new InvalidError(`controller ${this.name} cannot run: it is ${this.#state}`);
    this.#state = 'running';
    this.#store = store;
    this.#lastEnd = this.deps.clock.monotonic();
    const slots = this.#context.slots(createSlots({ concurrency: this.controller.concurrency }));
    this.#workers = runWorkers(this.queue, slots, { handle: (item, worker) => this.#handle(item, worker), deps: this.deps });
  }

  // ---- keys in

  wake(key: string, cause: Cause, options: { readonly priority: number; readonly revision: string }): void {
    if (this.#echoes.hears(key, options.revision, cause)) return;
    const run = this.#active.get(key);
    if (run !== undefined && !this.#heard(run, options.revision, cause, options.priority)) return;
    this.queue.add(key, { priority: options.priority, cause });
  }

  #heard(run: Run, revision: string, cause: Cause, priority: number): boolean {
    if (run.hear(revision, cause, priority) !== 'wake') return false;
    run.dirtied = true;
    return true;
  }

  /** An event that a run held back counts after all. */
  wakeHeld(key: string, cause: Cause, priority: number): void {
    this.queue.add(key, { priority, cause });
  }

  passedOver(object: CachedObject): void {
    if (this.pauses.left(object)) this.wakeUp(keyOf(object), { kind: 'resume' });
  }

  /** Runs a key whatever woke it. */
  wakeUp(key: string, cause: Cause): void {
    const run = this.#active.get(key);
    if (run !== undefined) run.dirtied = true;
    this.queue.add(key, { priority: this.controller.priority, cause });
  }

  /** Where a source of the user's own puts its keys; malformed ones are an InvalidError. */
  sink(source: string): SourceSink {
    const { scope } = this.definition;
    const { priority, name } = this.controller;
    return createSink({ source, scope, priority, controller: name }, (key, priorityOf, cause) => this.#push(key, priorityOf, cause));
  }

  #push(key: string, priority: number, cause: PushCause): boolean {
    const run = this.#active.get(key);
    if (run !== undefined) run.dirtied = true;
    return this.queue.add(key, { priority, cause });
  }

  // ---- what runs and contexts ask

  merges(): number {
    return this.wiring.merges();
  }
  uuid(): string {
    return this.deps.ids.uuid();
  }
  cache(type: string): ReturnType<ContextHost['cache']> {
    return this.wiring.caches.get(type);
  }
  controlled(type: string, uid: string): readonly CachedObject[] | undefined {
    return this.wiring.controlled(type, uid);
  }
  record(run: Run, event: CollectedEvent): void {
    if (run.object !== undefined)
      this.#recorder.record({ definition: this.definition, object: run.object }, { ...event, controller: this.name });
  }

  // ---- one run

  #handle(item: Item<Cause>, worker: Worker): void | Promise<void> {
    const run = new Run(this, item);
    run.worker = worker;
    this.#active.add(run);
    let result: unknown;
    try {
      result = this.#begin(run);
      // Within the try: what was returned may throw at a mere look.
      if (result !== undefined && isThenable(result)) {
        this.#deadlines.watch();
        return this.#followers.follow(run, result);
      }
    } catch (error) {
      return this.#end(run, { ended: 'threw', error });
    }
    return this.#end(run, result === undefined ? returnedNothing : { ended: 'returned', result });
  }

  /** Finds out what there is to do for a key, and begins it. */
  #begin(run: Run): unknown {
    const { key } = run;
    if (this.#state !== 'running') return skip(run, 'stopping');
    const object = this.wiring.primary.get(key);
    if (object === undefined) {
      this.#forget(key);
      return skip(run, 'gone');
    }
    run.object = object;
    if (object.metadata.deletionTimestamp === undefined) {
      const pause = this.pauses.covering(object);
      if (pause !== undefined) {
        this.pauses.hold(key, pause);
        return skip(run, 'paused');
      }
    }
    const verdict = this.#hotLoops.check(key, run.causes);
    if (verdict.delayMs > 0) {
      this.#slow(run, verdict);
      return skip(run, 'slowed');
    }
    return execute(this, run);
  }

  /** The reconciler has settled: what it collected is written, then the outcome is applied. */
  #end(run: Run, end: RunEnd): void | Promise<void> {
    if (owesWrites(this, run, end)) {
      // The run has not settled yet: a write that hangs is past its timeout as a reconciler is.
      this.#deadlines.watch();
      return writeOwed(this, run, end).then((written) => this.#conclude(run, written));
    }
    return this.#conclude(run, end);
  }

  /** Counts and tells what happened, and releases the key, now or when the caches have caught up. */
  #conclude(run: Run, end: RunEnd): void | Promise<void> {
    run.settled = true;
    if (this.#state === 'stopped') return this.#remove(run);
    const now = this.deps.clock.monotonic();
    run.tookMs = now - run.item.takenAt;
    this.#lastEnd = now;
    this.#finished += 1;
    run.revoke('the run is over; await every write before the reconciler returns');
    if (run.events !== undefined) this.#tellEvents(run, end);
    const late = run.timedOut;
    const { key } = run;
    const outcome =
      end === returnedNothing && !late
        ? run.heldBack
          ? untouched
          : success
        : decide(late ? { ended: 'timedOut', error: timeoutError(run, this.controller) } : end, {
            conflicts: this.#conflicts.get(key) ?? 0,
            failures: run.item.attempts,
            maxRetries: this.controller.maxRetries,
          });
    if (countRun(this.series, run, outcome)) {
      if (end.ended === 'threw' && outcome.kind !== 'conflict' && isPanic(end.error)) this.series.panics.inc();
      logFailure(this.logger, run, outcome);
    }
    const { record } = run;
    if (outcome.next !== 'caughtUp' && (record === undefined || (record.pending === 0 && !this.wiring.behind(record.waits)))) {
      run.outcome = outcome;
      this.#apply(run, outcome);
      return undefined;
    }
    // The caches do not show yet what the run wrote, or lost to: the key waits for them, the slot does not.
    run.release();
    return this.#hold(run, outcome);
  }

  async #hold(run: Run, outcome: Outcome): Promise<void> {
    try {
      await run.record?.whenWritten();
      const waits = new Map(run.record?.waits);
      if (outcome.next === 'caughtUp') {
        // The store does not name a revision that is still on its way to the disk: it is about to be visible.
        if (outcome.revision === undefined) await this.deps.scheduler.turn();
        waits.set('*', Math.max(waits.get('*') ?? 0, Number(outcome.revision ?? this.#store.revision)));
      }
      await this.wiring.caughtUp(waits, this.#stopping.signal);
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        this.logger.warn({ key: run.key, err: error }, 'the caches did not catch up with a write; the key goes on');
    }
    run.outcome = outcome;
    this.#apply(run, outcome);
  }

  /** Releases the key into what its outcome asks for. */
  #apply(run: Run, outcome: Outcome): void {
    const { key, priority } = run.item;
    this.#remove(run);
    this.journal.add(run);
    // Only now: the event of its own write may have come while the key waited for the caches.
    if (run.skipped === undefined) this.#hotLoops.ran(run);
    this.#echoes.ran(key, run.record?.echo);
    run.strip();
    if (this.#state !== 'running' || outcome === untouched) return;
    if (outcome.kind === 'conflict') this.#conflicts.set(key, (this.#conflicts.get(key) ?? 0) + 1);
    else if (this.#conflicts.size !== 0) this.#conflicts.delete(key);
    if (outcome.forget) this.queue.forget(key);
    switch (outcome.next) {
      case 'change':
        break;
      case 'after': {
        const afterMs = outcome.delayMs as number;
        this.queue.addAfter(key, afterMs, { priority: outcome.priority ?? priority, cause: { kind: 'timer', afterMs } });
        break;
      }
      case 'backoff':
        this.queue.addRateLimited(key, { priority, cause: { kind: 'retry', error: outcome.error?.message ?? '', failures: run.attempt } });
        break;
      case 'caughtUp':
        this.queue.add(key, { priority, cause: { kind: 'conflict', revision: outcome.revision } });
        break;
      default:
        outcome.next satisfies never;
    }
  }

  #remove(run: Run): void {
    this.#active.delete(run);
    if (this.#state === 'stopped' && this.#active.size === 0) this.#ended.resolve();
  }

  #tellEvents(run: Run, end: RunEnd): void {
    for (const event of run.events ?? []) if (end.ended === 'returned' || event.type === 'Warning') this.record(run, event);
  }

  #slow(run: Run, verdict: HotLoopVerdict): void {
    this.queue.addAfter(run.key, verdict.delayMs, { policy: 'replace', priority: run.item.priority });
    if (verdict.report) this.series.hotLoops.inc();
    const note = logHotLoop(this.logger, run, verdict);
    if (note !== undefined) this.record(run, { type: 'Warning', reason: 'HotLoop', note });
  }

  #forget(key: string): void {
    this.#conflicts.delete(key);
    this.#hotLoops.forget(key);
    this.pauses.forget(key);
  }

  #timeOut(run: Run, timeout: number): void {
    run.timedOut = true;
    const error = timeoutError(run, this.controller);
    run.revoke(`the run is past its timeout of ${timeout} ms; heed the signal, or give the controller a longer timeout`);
    this.series.timeouts.inc();
    this.logger.error(
      { key: run.key, reconcileID: run.id, err: error },
      'a reconcile is past its timeout; its writes are refused and its key is held until it settles',
    );
    run.abort(error);
    run.release();
  }

  // ---- health

  /** Keys whose runs are past their timeout and have not settled. */
  get stuck(): readonly string[] {
    return this.running.filter((run) => run.timedOut && !run.settled).map((run) => run.key);
  }

  /** How long work has waited while no run ended; 0 when nothing waits. */
  idleMs(now: number): number {
    return this.#state === 'running' ? Math.min(this.queue.oldestWait(), now - this.#lastEnd) : 0;
  }

  /** Keys whose runs have not settled. */
  get unsettled(): readonly string[] {
    return this.running.filter((run) => !run.settled).map((run) => run.key);
  }
  get running(): readonly Run[] {
    return [...this.#active.values()];
  }
  get finished(): number {
    return this.#finished;
  }
  runOf(key: string): Run | undefined {
    return this.#active.get(key);
  }
  conflictsOf(key: string): number {
    return this.#conflicts.get(key) ?? 0;
  }
  hotRunsOf(key: string): number {
    return this.#hotLoops.runsOf(key);
  }
  /** Figures that are read when somebody looks. */
  collect(): void {
    this.series.active.set(this.#active.size);
    measureTerminating(this.series, this.#state === 'stopped' ? undefined : this, this.deps.clock.now());
  }
  objectOf(key: string): CachedObject | undefined {
    return this.wiring.primary.get(key);
  }

  // ---- stop

  /** Resolves when it has stopped and nothing of it runs any more, be it that which did not settle in time. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /**
   * Stops: no new runs, running ones get the signal and have the grace period to settle. Resolves to the keys that did not;
   * from then on nothing they do has an effect.
   */
  stop(options: StopOptions): Promise<readonly string[]> {
    this.#stopped ??= this.#stop(options);
    return this.#stopped;
  }

  async #stop({ reason, grace }: StopOptions): Promise<readonly string[]> {
    this.#state = 'stopping';
    this.wiring.deafen();
    this.queue.shutDown();
    this.#stopping.abort(reason);
    const workersDone = this.#workers?.stop();
    for (const run of this.#active.values()) if (!run.settled) run.abort(reason);
    await within(this.deps, grace, workersDone);
    this.#state = 'stopped';
    for (const run of this.#active.values()) run.revoke('the controller has stopped');
    const { unsettled } = this;
    this.#deadlines.close();
    for (const key of unsettled)
      this.logger.error({ key }, 'a reconcile did not settle within the grace period; what it still does has no effect');
    await this.queue[Symbol.asyncDispose]();
    await this.wiring.close();
    this.#context.close();
    if (this.#active.size === 0) this.#ended.resolve();
    return unsettled;
  }
}

function skip(run: Run, reason: SkipReason): undefined {
  run.skipped = reason;
}

function timeoutError(run: Run, { name, timeout }: ControllerDefinition): TimeoutError {
  return new TimeoutError(`reconcile of ${run.key} by controller ${name} did not settle within ${timeout} ms`);
}
