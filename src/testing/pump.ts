/**
 * Runs virtual time while somebody waits, so that a test may simply `await` a store or a rig.
 *
 * Invariants: nothing runs while nobody waits. For what is driven, time moves too, but only when nothing is left to do at
 * this moment; what merely listens (an open watch) lets things run and never moves time. One loop at a time.
 */
import { parseDuration, StoreClosedError, TimeoutError } from '../schemas/index.js';
import type { VirtualDeps } from './virtual-deps.js';

/** How a promise is driven. */
export interface DriveOptions {
  /** Whether time may move while it waits. Default true. */
  readonly moveTime?: boolean | undefined;
  /** After so much virtual time it is given up. Default '1d'; Infinity: never. */
  readonly within?: number | string | undefined;
  /** What is waited for, for the error. */
  readonly what?: string | undefined;
}

export interface Pump {
  /**
   * Runs what is due, and moves time, until `work` settles.
   *
   * @throws {TimeoutError} when it did not settle within the virtual time it was given.
   * @throws {StoreClosedError} when the pump is closed and `work` needs more than what runs by itself.
   */
  drive<T>(work: PromiseLike<T>, options?: DriveOptions): Promise<T>;
  /** Lets things run at this moment of time for as long as `work` waits. */
  listen<T>(work: Promise<T>): Promise<T>;
  /** No loop is started any more. */
  close(): void;
}

interface Waiter {
  readonly moveTime: boolean;
  readonly until: number;
  readonly within: number;
  readonly what: string;
  reject(error: unknown): void;
}

/** Makes the pump of one virtual time. */
export function createPump(deps: VirtualDeps): Pump {
  const waiters = new Set<Waiter>();
  let listeners = 0;
  let running = false;
  let closed = false;
  let dirty = false;
  const wanted = (): boolean => !closed && (waiters.size > 0 || listeners > 0);

  /** Moves time for those who may move it; false when there is nobody, or nothing to wait for. */
  const move = async (): Promise<boolean> => {
    const now = deps.clock.monotonic();
    let movers = 0;
    for (const waiter of [...waiters]) {
      if (!waiter.moveTime) continue;
      if (now < waiter.until) movers += 1;
      else waiter.reject(new TimeoutError(`${waiter.what} did not settle within ${waiter.within} ms of virtual time`));
    }
    return movers > 0 && (await deps.step({ unref: true, while: wanted }));
  };

  const loop = async (): Promise<void> => {
    running = true;
    try {
      while (wanted()) {
        dirty = false;
        await deps.flush({ while: wanted });
        if (!wanted() || dirty) continue;
        if (!(await move()) && !dirty) return;
      }
    } catch (error) {
      // A task that throws is nobody's promise: those who wait hear of it.
      for (const waiter of [...waiters]) waiter.reject(error);
    } finally {
      running = false;
    }
  };
  const kick = (): void => {
    dirty = true;
    if (!running && wanted()) void loop();
  };
  const removeListener = deps.onWork(kick);

  return {
    drive<T>(work: PromiseLike<T>, options: DriveOptions = {}): Promise<T> {
      const { moveTime = true, what = 'what was awaited' } = options;
      const within = options.within === Infinity ? Infinity : parseDuration(options.within ?? '1d', 'within');
      return new Promise<T>((resolve, reject) => {
        const waiter: Waiter = {
          moveTime,
          within,
          what,
          until: deps.clock.monotonic() + within,
          reject: (error) => {
            waiters.delete(waiter);
            reject(error);
          },
        };
        waiters.add(waiter);
        const settled = (): void => void waiters.delete(waiter);
        // Nothing is run any more. What settles by itself, as a refusal does, has done so by the end of this.
        if (closed)
          deps.flush().then(
            () => waiter.reject(new StoreClosedError(`${what} cannot settle any more: its store or rig is closed; make another`)),
            (error: unknown) => waiter.reject(error),
          );
        work.then(
          (value) => {
            settled();
            resolve(value);
          },
          (error: unknown) => {
            settled();
            reject(error);
          },
        );
        kick();
      });
    },
    listen<T>(work: Promise<T>): Promise<T> {
      listeners += 1;
      const settled = (): void => {
        listeners -= 1;
      };
      work.then(settled, settled);
      kick();
      return work;
    },
    close() {
      closed = true;
      removeListener();
    },
  };
}
