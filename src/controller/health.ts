/**
 * Liveness and readiness: is the process alive, and does it do its work.
 *
 * Invariants: a wedged controller (work waits and nothing finished for a while) fails readiness and is named; a slow one,
 * which finishes something now and then, does not. A standby is ready. Liveness fails only for what a restart mends.
 */
import type { Deps, Timer } from '../store/index.js';
import { managerDefaults } from './defaults.js';
import type { ControllerLoop } from './loop.js';

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

/** One check for each controller. */
export function controllerChecks(loops: Iterable<ControllerLoop>, now: number, wedgedAfter: number): Check[] {
  return [...loops].map((loop) => check(`controller-${loop.name}`, fault(loop, now, wedgedAfter)));
}

/** How many keys a message names. */
const NAMED = 5;

function fault(loop: ControllerLoop, now: number, wedgedAfter: number): string | undefined {
  const { stuck } = loop;
  if (stuck.length > 0) {
    const more = stuck.length > NAMED ? ` and ${stuck.length - NAMED} more` : '';
    return `past their timeout and not settled: ${stuck.slice(0, NAMED).join(', ')}${more}`;
  }
  const { unsynced } = loop;
  if (loop.state !== 'running' && unsynced.length > 0) return `not synced: ${unsynced.join(', ')}`;
  const idle = loop.idleMs(now);
  if (idle < wedgedAfter) return undefined;
  const keys = loop.running.slice(0, NAMED).map((run) => run.key);
  return `wedged: ${loop.queue.len()} keys wait and no reconcile has ended for ${Math.round(idle / 1000)} s${keys.length === 0 ? '' : `; running: ${keys.join(', ')}`}`;
}

/** Measures how late the event loop is. */
export class LoopLag {
  readonly #deps: Pick<Deps, 'clock' | 'scheduler'>;
  #timer: Timer | undefined;
  #due = 0;
  #last = 0;

  constructor(deps: Pick<Deps, 'clock' | 'scheduler'>) {
    this.#deps = deps;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#due = this.#deps.clock.monotonic() + managerDefaults.loopLagInterval;
    this.#timer = this.#deps.scheduler.after(managerDefaults.loopLagInterval, () => this.#tick(), { unref: true });
  }

  #tick(): void {
    this.#last = Math.max(0, this.#deps.clock.monotonic() - this.#due);
    this.#timer = undefined;
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
