/**
 * Timers and turns in virtual time: nothing runs until `run` is called, and time moves only there.
 *
 * Invariants:
 * - One task at a time; before each and after the last, all promise jobs and `nextTick`s have run.
 * - Time is kept in whole steps of 1/1024 ms, so that sums and differences are exact; delays are rounded up, so that no
 *   timer fires before its moment.
 * - The order of what is ready depends on the seed and on what the code under test did, on nothing else.
 */
import { setImmediate as realImmediate } from 'node:timers';
import type { Scheduler, Timer } from '../store/index.js';
import type { SeededRandom } from './seeded-random.js';
import { before, Task, TimerHeap } from './timer-heap.js';

// Node's own, and not the global one: a test runner's fake timers, which replace that, must not stop this, whichever came first.
if ('clock' in realImmediate)
  throw new Error('the test kit was loaded under fake timers that leave no setImmediate of Node: import it before they are set');

/** At most so many real immediates are asked for at once: the event loop is polled for I/O between such batches. */
const batchSize = 64;

const steps = 1024;

/** Rounds ms up to a whole step of virtual time. */
export function toStep(ms: number): number {
  return Math.ceil(ms * steps) / steps;
}

/** What is waiting. */
export interface PendingTasks {
  /** Timers that are set and would keep a process alive. */
  readonly timers: number;
  /** Tasks and turns that were put off to a later turn. */
  readonly deferred: number;
  /** Timers that are set with `unref`. */
  readonly unref: number;
}

/** How a run goes. */
export interface RunOptions {
  /**
   * Extra turns of the real event loop to grant whenever nothing is ready, before time moves on or the run ends: for
   * code that waits for real I/O. Each costs about a microsecond and does not wait. Default 0.
   */
  readonly realTurns?: number | undefined;
  /** Asked before each task: false ends the run, and time stays where it is. Default: on to the end. */
  readonly while?: (() => boolean) | undefined;
}

/** The scheduler, and the handle that drives it. */
export interface VirtualScheduler {
  readonly scheduler: Scheduler;
  /** Virtual ms since the start. */
  elapsed(): number;
  /** Runs what is ready, and each timer up to `until` at its moment; then time stands at `until`. */
  run(until: () => number, options?: RunOptions): Promise<void>;
  /** When the next timer is due, in ms since the start. */
  nextDue(options?: { readonly unref?: boolean }): number | undefined;
  pending(): PendingTasks;
  /** Tells that something was set or put off while no run is under way. Returns its remover. */
  onWork(listener: () => void): () => void;
}

/** What a virtual scheduler works with. */
export interface VirtualSchedulerOptions {
  /** Picks among what is ready; first in, first out without it. */
  readonly order?: SeededRandom | undefined;
  /** A run that executes more tasks than this without time moving is taken for an endless loop and rejects. */
  readonly maxTasksPerMoment: number;
}

/** Makes a scheduler whose time stands at 0. */
export function createVirtualScheduler({ order, maxTasksPerMoment }: VirtualSchedulerOptions): VirtualScheduler {
  const timers = new TimerHeap();
  const unrefTimers = new TimerHeap();
  const pending = { timer: 0, deferred: 0, unref: 0 };
  let ready: Task[] = [];
  let head = 0;
  let elapsed = 0;
  let made = 0;
  let driving = false;
  let tail: Promise<void> = Promise.resolve();
  const listeners = new Set<() => void>();
  const tell = (): void => {
    if (!driving) for (const listener of listeners) listener();
  };

  const heapOf = (task: Task): TimerHeap => (task.kind === 'unref' ? unrefTimers : timers);

  const drop = (task: Task): void => {
    if (task.run === undefined) return;
    task.run = undefined;
    pending[task.kind]--;
    // What is ready already is skipped when its turn comes.
    if (task.waits) heapOf(task).noteCancelled();
  };

  const after = (delayMs: number, run: () => void, options?: { readonly unref?: boolean }): Timer => {
    if (!Number.isFinite(delayMs)) throw new RangeError(`delayMs must be a finite number of ms, but is ${delayMs}`);
    const kind = options?.unref === true ? 'unref' : 'timer';
    const due = delayMs > 0 ? elapsed + toStep(delayMs) : elapsed;
    const task = new Task(due, made++, kind, run, drop);
    pending[kind]++;
    if (delayMs > 0) heapOf(task).push(task);
    else ready.push(task);
    tell();
    return task;
  };

  const defer = (run: () => void): void => {
    pending.deferred++;
    ready.push(new Task(elapsed, made++, 'deferred', run, drop));
    tell();
  };

  const earliest = (): Task | undefined => {
    const one = timers.peek();
    const other = unrefTimers.peek();
    if (one === undefined || other === undefined) return one ?? other;
    return before(one, other) ? one : other;
  };

  /** Takes one task out of those that are ready. */
  const take = (): Task | undefined => {
    while (head < ready.length) {
      let task: Task;
      if (order === undefined) {
        task = ready[head++] as Task;
        if (head === ready.length) {
          ready = [];
          head = 0;
        } else if (head > 1024 && head * 2 > ready.length) {
          ready = ready.slice(head);
          head = 0;
        }
      } else {
        const at = ready.length > 1 ? order.below(ready.length) : 0;
        task = ready[at] as Task;
        const last = ready.pop() as Task;
        if (last !== task) ready[at] = last;
      }
      if (task.run !== undefined) return task;
    }
    return undefined;
  };

  /** Moves time to the next moment at which a timer is due, and makes all timers of that moment ready. */
  const moveOn = (until: number): boolean => {
    const first = earliest();
    if (first === undefined || first.due > until) return false;
    elapsed = first.due;
    for (let task: Task | undefined = first; task !== undefined && task.due <= elapsed; task = earliest()) {
      heapOf(task).take();
      ready.push(task);
    }
    return true;
  };

  const drive = (until: number, { realTurns = 0, while: goOn }: RunOptions): Promise<void> =>
    new Promise((resolve, reject) => {
      driving = true;
      let asked = 0;
      let ended = false;
      let idleTurns = realTurns;
      let tasksNow = 0;

      // Each step is an immediate of its own, so Node runs all promise jobs and nextTicks between two of them.
      const step = (): void => {
        asked--;
        if (ended) return;
        if (goOn?.() === false) {
          ended = true;
          driving = false;
          resolve();
          return;
        }
        let task = take();
        if (task === undefined && idleTurns > 0) {
          if (asked === 0) idleTurns--;
        } else {
          if (task === undefined && moveOn(until)) {
            tasksNow = 0;
            task = take();
          }
          if (task === undefined) {
            ended = true;
            driving = false;
            if (until > elapsed) elapsed = until;
            resolve();
            return;
          }
          idleTurns = realTurns;
          const run = task.run as () => void;
          task.run = undefined;
          pending[task.kind]--;
          try {
            run();
          } catch (error) {
            ended = true;
            driving = false;
            reject(error);
            return;
          }
          if (++tasksNow > maxTasksPerMoment) {
            ended = true;
            driving = false;
            reject(
              new Error(
                `${maxTasksPerMoment} tasks ran without virtual time moving and more are ready: something puts itself off ` +
                  'for ever; raise maxTasksPerMoment if so many are meant',
              ),
            );
            return;
          }
        }
        if (asked === 0) ask();
      };
      const ask = (): void => {
        const next = earliest();
        const due = next !== undefined && next.due <= until ? pending.timer + pending.unref : 0;
        asked = Math.max(1, Math.min(batchSize, ready.length - head + due));
        for (let i = 0; i < asked; i++) realImmediate(step);
      };
      ask();
    });

  return {
    scheduler: { after, defer, turn: () => new Promise((resolve) => defer(resolve)) },
    elapsed: () => elapsed,
    run: (until, options) => {
      // One run at a time: a second one waits for the first, also when the first fails.
      const result = tail.then(() => drive(until(), options ?? {}));
      tail = result.catch(() => undefined);
      return result;
    },
    nextDue: (options) => {
      if (pending.timer + (options?.unref === true ? pending.unref : 0) === 0) return undefined;
      for (let i = head; i < ready.length; i++) {
        const task = ready[i] as Task;
        if (task.run !== undefined && (task.kind === 'timer' || (task.kind === 'unref' && options?.unref === true))) {
          return elapsed;
        }
      }
      return (options?.unref === true ? earliest() : timers.peek())?.due;
    },
    pending: () => ({ timers: pending.timer, deferred: pending.deferred, unref: pending.unref }),
    onWork: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
