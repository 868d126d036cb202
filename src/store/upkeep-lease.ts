/**
 * Upkeep that one process at a time does on a store which several have open: its holder keeps changing a text in `meta`.
 *
 * Invariants: clocks of processes are never compared. Who waits takes a holder for gone when its text has not changed for
 * `HOLD_MS` by the waiter's own monotonic clock. It keeps work from being done twice and no more than that: a holder that was held
 * up for longer may find another at work, so what is done under it checks by itself what it rests on.
 */
import type { Deps, Timer } from './deps.js';
import type { Engine } from './engine.js';
import { abortedError, sleep } from './timing.js';

export interface LeaseHost {
  readonly deps: Deps;
  engine(): Engine;
}

const META_NAME = 'upkeep';
/** A holder that has been silent for so long is gone, ms. */
const HOLD_MS = 2000;
/** How often a holder speaks, ms. */
const BEAT_MS = 400;
/** How often who waits looks, ms. */
const LOOK_MS = 200;

/** Runs `work` as the one process that does upkeep. @throws {AbortedError} when the signal aborts before it is this one's turn */
export async function underLease<T>(host: LeaseHost, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  // A store that one process has to itself needs none.
  if (!host.engine().capabilities.shared) return work();
  const lease = new Lease(host);
  await lease.take(signal);
  try {
    return await work();
  } finally {
    await lease.release();
  }
}

/** Work that comes again and again and need not be done by this very process: it is left out while another does upkeep. */
export class OccasionalUpkeep {
  readonly #host: LeaseHost;
  /** The same one each time, since it remembers what it saw of the holder. */
  readonly #lease: Lease;

  constructor(host: LeaseHost) {
    this.#host = host;
    this.#lease = new Lease(host);
  }

  /** Runs `work` unless another process does upkeep: then it gives false. Never two at once. */
  async unlessBusy(work: () => Promise<void>): Promise<boolean> {
    const isShared = this.#host.engine().capabilities.shared;
    if (isShared && !(await this.#lease.tryToTake())) return false;
    try {
      await work();
    } finally {
      if (isShared) await this.#lease.release();
    }
    return true;
  }
}

class Lease {
  readonly #host: LeaseHost;
  readonly #holder: string;
  #text: string | undefined;
  /** What the holder last said, as seen from here, and since when it has said no more; monotonic ms. */
  #seen: { readonly text: string | undefined; readonly since: number } | undefined;
  #beats = 0;
  #timer: Timer | undefined;
  #beating: Promise<void> = Promise.resolve();

  constructor(host: LeaseHost) {
    this.#host = host;
    this.#holder = host.deps.ids.uuid();
  }

  async take(signal: AbortSignal): Promise<void> {
    while (!(await this.tryToTake())) {
      await sleep(this.#host.deps, LOOK_MS, { signal }).catch((error: unknown) => {
        throw signal.aborted ? abortedError(signal, 'waiting for another process, which does the upkeep of the store,') : error;
      });
    }
  }

  /** Takes it if nobody has it, or who has it has been silent for long enough since it was first seen so. */
  async tryToTake(): Promise<boolean> {
    const text = await this.#host.engine().meta.get(META_NAME);
    const now = this.#host.deps.clock.monotonic();
    if (this.#seen === undefined || text !== this.#seen.text) this.#seen = { text, since: now };
    if (text !== undefined && now - this.#seen.since < HOLD_MS) return false;
    if (!(await this.#speak(text))) return false;
    this.#arm();
    return true;
  }

  /** Says that it is there; false when another one has spoken. */
  async #speak(before: string | undefined): Promise<boolean> {
    const text = JSON.stringify({ holder: this.#holder, beat: (this.#beats += 1) });
    const isMine = await this.#host.engine().meta.set(META_NAME, text, { expect: before ?? null });
    this.#text = isMine ? text : undefined;
    return isMine;
  }

  #arm(): void {
    const beat = (): void => {
      this.#beating = this.#beat();
    };
    this.#timer = this.#host.deps.scheduler.after(BEAT_MS, beat, { unref: true });
  }

  async #beat(): Promise<void> {
    const { logger } = this.#host.deps;
    try {
      if (await this.#speak(this.#text)) this.#arm();
      else
        logger.warn(
          {},
          'this process was held up for so long that another one took over the upkeep of the store; both finish what they do',
        );
    } catch (error) {
      logger.warn({ err: error }, 'the lease for upkeep could not be renewed; it is tried again');
      this.#arm();
    }
  }

  /** Never fails: who is not told waits until the holder has been silent long enough. */
  async release(): Promise<void> {
    this.#timer?.cancel();
    await this.#beating;
    this.#timer?.cancel();
    const text = this.#text;
    if (text === undefined) return;
    this.#text = undefined;
    try {
      await this.#host.engine().meta.set(META_NAME, undefined, { expect: text });
    } catch (error) {
      this.#host.deps.logger.warn({ err: error }, 'the lease for upkeep could not be given back; it runs out by itself');
    }
  }
}
