/**
 * Liveness and readiness: is the process alive, and does it do its work.
 *
 * Invariants: a wedged controller (work waits and nothing finished for a while) fails readiness and is named; a slow one,
 * which finishes something now and then, does not, nor does one whose work has only just become ready. A standby is ready.
 * Liveness fails only for what a restart mends.
 */
import { isNotFound, Namespace } from '../schemas/index.js';
import type { Informers } from '../informer/index.js';
import type { Deps, Store, Timer } from '../store/index.js';
import { managerDefaults } from './defaults.js';
import { toError } from './errors.js';
import type { Election, LeaderElector } from './leases/index.js';
import type { ControllerLoop } from './loop.js';
import { within } from './within.js';

/** How one thing is. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** Why not. */
  readonly message: string | undefined;
}
/** How all of it is. */
export interface Report {
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

/** A check from what is wrong; undefined when nothing is. */
export function check(name: string, message: string | undefined): Check {
  return { name, ok: message === undefined, message };
}

export function report(checks: readonly Check[]): Report {
  return { ok: checks.every((each) => each.ok), checks };
}

/** Whether the lease can be read. */
export function electionCheck(elector: LeaderElector, election: Election, now: number): Check {
  const silent = elector.sinceRead(now);
  return check(
    'leader-election',
    silent > 2 * election.leaseDuration ? `the lease could not be read for ${Math.round(silent / 1000)} s` : undefined,
  );
}

/** Whether the watches work; `standstills` are those that say nothing any more. */
export function informersCheck(informers: Informers, standstills: readonly string[]): Check {
  const broken = informers.list.filter((informer) => informer.stats().lastError !== undefined);
  const told = broken.map((informer) => `${informer.definition.type} (${informer.stats().lastError?.message})`).join(', ');
  if (broken.length > 0) return check('informers', `watches fail: ${told}`);
  return check('informers', standstills.length === 0 ? undefined : `watches stand still: ${standstills.join(', ')}`);
}

/** One check for each controller. */
export function controllerChecks(loops: Iterable<ControllerLoop>, now: number, wedgedAfter: number): Check[] {
  return [...loops].map((loop) => check(`controller-${loop.name}`, fault(loop, now, wedgedAfter)));
}

/** How many keys a message names. */
const NAMED = 5;

function some(keys: readonly string[]): string {
  return `${keys.slice(0, NAMED).join(', ')}${keys.length > NAMED ? ` and ${keys.length - NAMED} more` : ''}`;
}

function fault(loop: ControllerLoop, now: number, wedgedAfter: number): string | undefined {
  if (loop.stuck.length > 0) return `past their timeout and not settled: ${some(loop.stuck)}`;
  // Whatever the timeout of runs: a write takes milliseconds, and one that nobody awaits outlives its run.
  const silent = loop.running.filter((run) => run.writesSilentMs(now) >= wedgedAfter).map((run) => run.key);
  if (silent.length > 0) return `writes that the store has not answered for ${Math.round(wedgedAfter / 1000)} s or longer: ${some(silent)}`;
  const { unsynced } = loop;
  if (loop.state !== 'running' && unsynced.length > 0) return `not synced: ${unsynced.join(', ')}`;
  const idle = loop.idleMs(now);
  if (idle < wedgedAfter) return undefined;
  const keys = loop.running.slice(0, NAMED).map((run) => run.key);
  return `wedged: ${loop.queue.len()} keys wait and no reconcile has ended for ${Math.round(idle / 1000)} s${keys.length === 0 ? '' : `; running: ${keys.join(', ')}`}`;
}

/**
 * Asks the store for something small, when somebody asks how it is: nothing is read, and no timer set, otherwise.
 *
 * Invariant: one question at a time, so that a store that hangs gets no more of them.
 */
export class StoreProbe {
  readonly #store: Store;
  readonly #timeout: number;
  #asking: Promise<void> | undefined;
  /** Monotonic ms. */
  #askedAt = 0;
  #failure: Error | undefined;

  constructor(store: Store, timeout: number) {
    this.#store = store;
    this.#timeout = timeout;
  }

  /** Asks, and waits for the answer, for as long as it may take at most. */
  async ask(): Promise<void> {
    await within(this.#store.deps, { ms: this.#timeout }, this.#ask());
  }

  /** What the last answer says, and whether one is overdue. Asks again. */
  check(): Check {
    const { ended, deps } = this.#store;
    if (ended.aborted) return check('store', `it has ended: ${toError(ended.reason, 'the store').message}`);
    void this.#ask();
    const waited = deps.clock.monotonic() - this.#askedAt;
    if (this.#asking !== undefined && waited >= this.#timeout)
      return check('store', `it has not answered a read for ${Math.round(waited / 1000)} s`);
    return check('store', this.#failure === undefined ? undefined : `a read failed: ${this.#failure.message}`);
  }

  #ask(): Promise<void> {
    if (this.#asking !== undefined) return this.#asking;
    this.#askedAt = this.#store.deps.clock.monotonic();
    const answered = (failure: Error | undefined): void => {
      this.#failure = failure;
      this.#asking = undefined;
    };
    this.#asking = this.#store.get(Namespace, undefined, 'default').then(
      () => answered(undefined),
      // That there is none is an answer, too.
      (error: unknown) => answered(isNotFound(error) ? undefined : toError(error, 'the store')),
    );
    return this.#asking;
  }
}

/** Measures how late the event loop is. */
export class LoopLag {
  readonly #deps: Pick<Deps, 'clock' | 'scheduler'>;
  readonly #onMeasure: () => void;
  #timer: Timer | undefined;
  #due = 0;
  #last = 0;

  /** `onMeasure` is called with each measurement: for what is to be looked at now and then. */
  constructor(deps: Pick<Deps, 'clock' | 'scheduler'>, onMeasure: () => void) {
    this.#deps = deps;
    this.#onMeasure = onMeasure;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#due = this.#deps.clock.monotonic() + managerDefaults.loopLagInterval;
    this.#timer = this.#deps.scheduler.after(managerDefaults.loopLagInterval, () => this.#tick(), { unref: true });
  }

  #tick(): void {
    this.#last = Math.max(0, this.#deps.clock.monotonic() - this.#due);
    this.#timer = undefined;
    this.#onMeasure();
    this.start();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** ms: what was last measured, or how late the measurement is by now. */
  get ms(): number {
    if (this.#timer === undefined) return 0;
    return Math.max(this.#last, this.#deps.clock.monotonic() - this.#due);
  }
}
