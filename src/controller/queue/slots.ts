/**
 * Worker slots: how many workers run at once, over all that share the slots. p-queue holds them.
 *
 * Invariant: what waits here are workers, never keys: at most a few for each user of the slots.
 */
import PQueue from 'p-queue';
import { InvalidError } from '../../schemas/index.js';
import { queueDefaults } from './defaults.js';

/** How many slots there are. */
export interface SlotsOptions {
  /** A whole number from 1, or Infinity. Default 1. */
  readonly concurrency?: number | undefined;
}

/** A pool of worker slots; several queues may share one. */
export interface Slots {
  /** Slots in all. Fewer: workers above the number stop after the key they have. */
  concurrency: number;
  /** Slots that are taken. */
  readonly running: number;
  /** Workers that wait for a slot. */
  readonly waiting: number;
  readonly isPaused: boolean;
  /** Lets no worker start, and those that run stop after the key they have. */
  pause(): void;
  resume(): void;
  /** Resolves when no slot is taken and nobody waits for one. */
  onIdle(): Promise<void>;
  /**
   * Runs `work` once there is a slot, which it has until its promise settles or it calls `release`. Resolves with
   * the slot given back; a rejection of `work` comes through unless the slot was released before.
   */
  run(work: (release: () => void) => Promise<void>): Promise<void>;
}

/**
 * Makes a pool of worker slots.
 *
 * @throws {InvalidError} when `concurrency` is out of range.
 * @example const slots = createSlots({ concurrency: 4 });
 */
export function createSlots(options: SlotsOptions = {}): Slots {
  const concurrency = checked(options.concurrency ?? queueDefaults.concurrency);
  const pool = new PQueue({ concurrency });
  return {
    get concurrency() {
      return pool.concurrency;
    },
    set concurrency(value: number) {
      pool.concurrency = checked(value);
    },
    get running() {
      return pool.pending;
    },
    get waiting() {
      return pool.size;
    },
    get isPaused() {
      return pool.isPaused;
    },
    pause: () => pool.pause(),
    resume: () => void pool.start(),
    onIdle: () => pool.onIdle(),
    run: (work) =>
      pool.add(
        () =>
          new Promise<void>((resolve, reject) => {
            work(resolve).then(resolve, reject);
          }),
      ),
  };
}

function checked(concurrency: number): number {
  if (concurrency === Infinity || (Number.isInteger(concurrency) && concurrency >= 1)) return concurrency;
  throw new InvalidError(`concurrency must be a whole number from 1, or Infinity, got ${String(concurrency)}`);
}
