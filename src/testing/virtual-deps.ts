/**
 * The runtime's `Deps` in virtual time, from a seed: what a test needs to be quick and to replay.
 *
 * Invariants: time moves only in `advance` and `advanceTo`; tasks run only in those and in `flush`; the same seed and
 * the same code give the same order, numbers, ids and keys; nothing is kept outside the object.
 * Real I/O (files, sockets, worker threads, WebCrypto) is not virtual: see `flush`.
 */
import { InvalidError, parseDuration } from '../schemas/index.js';
import type { Deps, Ids, Logger } from '../store/index.js';
import { createCollectingLogger, type LogLine } from './collecting-logger.js';
import { seededRandom, type SeededRandom } from './seeded-random.js';
import { createVirtualScheduler, toStep, type PendingTasks, type RunOptions } from './virtual-scheduler.js';

/** What virtual time starts from. */
export interface VirtualDepsOptions {
  /** Any safe integer. Default 1. */
  readonly seed?: number | undefined;
  /** The wall clock at the start: RFC 3339, or ms since the epoch. Default `2026-01-01T00:00:00Z`. */
  readonly start?: string | number | undefined;
  /** Gets every log line as well as `logs`. Default: none. */
  readonly logger?: Logger | undefined;
  /** `seeded` picks among what is ready at one moment; `fifo` takes the oldest. Default `seeded`. */
  readonly order?: 'fifo' | 'seeded' | undefined;
  /** A run of more tasks than this at one moment is taken for an endless loop and rejects. Default 5,000,000. */
  readonly maxTasksPerMoment?: number | undefined;
  /** How many log lines are kept, the newest. Default 10,000. */
  readonly maxLogs?: number | undefined;
}

/**
 * `Deps` in virtual time, and the hands on its clock.
 *
 * A task that throws rejects the `flush` or `advance` that ran it; time then stands at that task's moment, what was
 * still to run stays, and the next call goes on with it. Calls wait for each other; one made inside a task begins after
 * the call that runs the task.
 */
export interface VirtualDeps extends Deps {
  readonly seed: number;
  /**
   * Runs everything that is due now, draining promises between tasks, until nothing is ready; does not move time.
   *
   * It does not wait for real I/O: code that awaits a file, a socket, a worker or WebCrypto is left waiting and `flush`
   * returns. `realTurns` grants that many further turns of the real event loop each time nothing is ready; where even
   * that is not enough, await the real work and call `flush` again.
   */
  flush(options?: RunOptions): Promise<void>;
  /**
   * Moves time by `duration` (ms or '30s'), running each timer at its moment, in seeded order among those of one moment.
   *
   * @throws {InvalidError} when the duration is none, or negative.
   */
  advance(duration: number | string, options?: RunOptions): Promise<void>;
  /**
   * Moves time to a moment of the wall clock, RFC 3339 or ms since the epoch.
   *
   * @throws {InvalidError} when it is no time, or lies in the past.
   */
  advanceTo(time: number | string, options?: RunOptions): Promise<void>;
  /**
   * Moves time to the next timer and runs all that is due then; false, and nothing happens, when no timer is set.
   * Timers set with `unref` count only when asked for.
   */
  step(options?: RunOptions & { readonly unref?: boolean }): Promise<boolean>;
  /**
   * When the next timer is due by the wall clock, in ms since the epoch; may have a fraction, and suits `advanceTo`.
   * Timers set with `unref` count only when asked for.
   */
  nextDue(options?: { readonly unref?: boolean }): number | undefined;
  /** How much is waiting; what is set with `unref` is counted apart, so that it keeps nothing busy. */
  pending(): PendingTasks;
  /** Calls `listener` when something was set or put off while nothing runs: a sign that a run is due. Returns its remover. */
  onWork(listener: () => void): () => void;
  /** Steps the wall clock alone, forwards or back (`-3600_000`, '-1h'); monotonic time and timers are not touched. */
  jumpWallClock(by: number | string): void;
  /** The newest log lines, oldest first. */
  readonly logs: readonly LogLine[];
}

const rfc3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;
const nameAlphabet = 'bcdfghjklmnpqrstvwxz2456789';

function parseTime(value: number | string, name: string): number {
  const ms = typeof value === 'number' ? value : rfc3339.test(value) ? Date.parse(value) : Number.NaN;
  if (Number.isFinite(ms)) return ms;
  throw new InvalidError(
    `${name} must be an RFC 3339 time such as '2026-01-01T00:00:00Z' or ms since the epoch, but is ${JSON.stringify(value)}`,
  );
}

function parseStep(value: number | string, name: string): number {
  if (typeof value === 'number') return value < 0 ? -parseDuration(-value, name) : parseDuration(value, name);
  return value.startsWith('-') ? -parseDuration(value.slice(1), name) : parseDuration(value, name);
}

/** UUIDs of version 7: virtual time first, then a counter, then chance, so that they sort in the order they were given. */
function virtualIds(now: () => number, uuids: SeededRandom, names: SeededRandom): Ids {
  let lastMs = -1;
  let count = 0;
  return {
    uuid: () => {
      // A clock that steps back, or more than 4096 ids in one ms, must not break the order.
      const ms = Math.max(0, now());
      if (ms > lastMs) {
        lastMs = ms;
        count = 0;
      } else if (++count > 0xfff) {
        lastMs++;
        count = 0;
      }
      const time = lastMs.toString(16).padStart(12, '0');
      const counter = count.toString(16).padStart(3, '0');
      const variant = (0x8000 | (uuids.uint32() & 0x3fff)).toString(16);
      const node = (uuids.uint32() & 0xffff).toString(16).padStart(4, '0') + uuids.uint32().toString(16).padStart(8, '0');
      return `${time.slice(0, 8)}-${time.slice(8, 12)}-7${counter}-${variant}-${node}`;
    },
    suffix: (length) => {
      let out = '';
      for (let i = 0; i < length; i++) out += nameAlphabet[names.below(nameAlphabet.length)];
      return out;
    },
  };
}

/**
 * Makes `Deps` that run in virtual time and replay from a seed.
 *
 * @example
 * const deps = virtualDeps({ seed: 42 });
 * deps.scheduler.after(5_000, () => fired.push('a'));
 * await deps.advance('5s');
 *
 * @throws {InvalidError} when the seed or the start is not usable.
 */
export function virtualDeps(options: VirtualDepsOptions = {}): VirtualDeps {
  const seed = options.seed ?? 1;
  const order = options.order ?? 'seeded';
  if (order !== 'seeded' && order !== 'fifo') {
    throw new InvalidError(`order must be 'seeded' or 'fifo', but is ${JSON.stringify(order)}`);
  }
  const virtual = createVirtualScheduler({
    order: order === 'seeded' ? seededRandom(seed, 'order') : undefined,
    maxTasksPerMoment: options.maxTasksPerMoment ?? 5_000_000,
  });
  // Wall clock at monotonic 0; a jump moves it.
  let origin = toStep(parseTime(options.start ?? '2026-01-01T00:00:00Z', 'start'));
  const wall = (): number => Math.floor(origin + virtual.elapsed());
  const random = seededRandom(seed, 'random');
  const entropy = seededRandom(seed, 'entropy');
  const collected = createCollectingLogger({ now: wall, forward: options.logger, limit: options.maxLogs });

  return {
    seed,
    clock: { now: wall, monotonic: virtual.elapsed },
    scheduler: virtual.scheduler,
    random: { next: random.next },
    ids: virtualIds(wall, seededRandom(seed, 'uuid'), seededRandom(seed, 'suffix')),
    entropy: { bytes: entropy.bytes },
    logger: collected.logger,
    get logs() {
      return collected.lines();
    },
    flush: (run) => virtual.run(virtual.elapsed, run),
    advance: async (duration, run) => {
      const by = toStep(parseDuration(duration, 'duration'));
      await virtual.run(() => virtual.elapsed() + by, run);
    },
    advanceTo: async (time, run) => {
      const to = parseTime(time, 'time');
      await virtual.run(() => {
        if (to < wall()) {
          throw new InvalidError(
            `time ${new Date(to).toISOString()} is before the virtual clock's ${new Date(wall()).toISOString()}; ` +
              'time moves forwards only, jumpWallClock steps the wall clock back',
          );
        }
        return Math.max(virtual.elapsed(), toStep(to - origin));
      }, run);
    },
    step: async (run) => {
      let found = true;
      await virtual.run(() => {
        const due = virtual.nextDue(run);
        found = due !== undefined;
        return due ?? virtual.elapsed();
      }, run);
      return found;
    },
    nextDue: (which) => {
      const due = virtual.nextDue(which);
      return due === undefined ? undefined : origin + due;
    },
    pending: virtual.pending,
    onWork: virtual.onWork,
    jumpWallClock: (by) => {
      origin += toStep(parseStep(by, 'by'));
    },
  };
}
