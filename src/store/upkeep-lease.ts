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

class Lease {
  readonly #host: LeaseHost;
  readonly #holder: string;
  #text: string | undefined;
  #beats = 0;
  #timer: Timer | undefined;
  #beating: Promise<void> = Promise.resolve();

  constructor(host: LeaseHost) {
    this.#host = host;
    this.#holder = host.deps.ids.uuid();
  }

  async take(signal: AbortSignal): Promise<void> {
    const { deps } = this.#host;
    let seen: string | undefined;
    let since = deps.clock.monotonic();
    for (;;) {
      const text = await this.#host.engine().meta.get(META_NAME);
      const now = deps.clock.monotonic();
      if (text !== seen) since = now;
      seen = text;
      if ((text === undefined || now - since >= HOLD_MS) && (await this.#speak(text))) break;
      await sleep(deps, LOOK_MS, { signal }).catch((error: unknown) => {
        throw signal.aborted ? abortedError(signal, 'waiting for another process, which does the upkeep of the store,') : error;
      });
    }
    this.#arm();
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
    if (this.#text === undefined) return;
    try {
      await this.#host.engine().meta.set(META_NAME, undefined, { expect: this.#text });
    } catch (error) {
      this.#host.deps.logger.warn({ err: error }, 'the lease for upkeep could not be given back; it runs out by itself');
    }
  }
}
