/**
 * The `Deps` of one simulated process: the rig's virtual time and chance, and a switch that ends the process.
 *
 * Invariants: once killed, nothing that the process put off ever runs, and nothing it asks for is set; what it left behind is
 * taken out of virtual time at once, so that a dead process keeps nobody busy.
 */
import type { Deps, Scheduler, Timer } from '../store/index.js';

/** A process: what it runs on, what it still has in hand, and its end. */
export interface ProcessDeps extends Deps {
  /** Timers that are set, those with `unref` included. */
  readonly timers: number;
  /** Tasks that were put off to a later turn. */
  readonly deferred: number;
  readonly alive: boolean;
  /** Ends it: as a SIGKILL would, without a goodbye. */
  kill(): void;
}

const dead: Timer = Object.freeze({ cancel: () => {} });

/** Gives a process its own share of `deps`. */
export function processDeps(deps: Deps): ProcessDeps {
  const timers = new Set<Timer>();
  let deferred = 0;
  let alive = true;

  const defer = (task: () => void): void => {
    if (!alive) return;
    deferred += 1;
    deps.scheduler.defer(() => {
      deferred -= 1;
      if (alive) task();
    });
  };
  const scheduler: Scheduler = {
    after(delayMs, task, options) {
      if (!alive) return dead;
      const timer = deps.scheduler.after(
        delayMs,
        () => {
          timers.delete(handle);
          task();
        },
        options,
      );
      const handle: Timer = {
        cancel: () => {
          timers.delete(handle);
          timer.cancel();
        },
      };
      timers.add(handle);
      return handle;
    },
    defer,
    turn: () => new Promise((resolve) => defer(resolve)),
  };
  const { clock, random, ids, entropy, logger } = deps;
  return {
    clock,
    random,
    ids,
    entropy,
    logger,
    scheduler,
    get timers() {
      return timers.size;
    },
    get deferred() {
      return deferred;
    },
    get alive() {
      return alive;
    },
    kill() {
      alive = false;
      for (const timer of [...timers]) timer.cancel();
      deferred = 0;
    },
  };
}
