/**
 * The window's trailing edge: moves the compaction revision up behind the present, by time and by bytes.
 *
 * Invariants: time is monotonic, so a jump of the wall clock neither empties the window nor stops it; one compaction at a
 * time, in small steps; a failed one is logged and tried again at the next beat, nothing is lost by it. The window is longer
 * than asked by two beats at most, and a beat is a fraction of it: else a file would have room for several windows. While another
 * process does upkeep some beats pass without one; who asks for a compaction gets it at once.
 */
import type { Ages } from './ages.js';
import type { Deps, Timer } from './deps.js';
import type { Engine, RetentionPolicy } from './engine.js';
import type { ReadsUnderWay } from './read/under-way.js';
import { OccasionalUpkeep } from './upkeep-lease.js';

export interface WindowLimits {
  readonly timeMs: number;
  readonly bytes: number;
}

export const windowDefaults: WindowLimits = Object.freeze({ timeMs: 5 * 60 * 1000, bytes: 256 * 1024 * 1024 });
/** How often the edge is looked at, ms: ten times a window, within these bounds. */
const LONGEST_BEAT = 10_000;
const SHORTEST_BEAT = 1000;
/** So many looks in a row may find another process at upkeep: it may rotate keys for hours, and the file is not to grow all the while. */
const MOST_LEFT_OUT = 6;

export interface CompactorHost {
  readonly deps: Deps;
  readonly retain: RetentionPolicy;
  /** What history is aged by; told of what there is at every look, and written down. */
  readonly ages: Ages;
  readonly reads: ReadsUnderWay;
  engine(): Engine;
  visible(): number;
}

export class Compactor {
  readonly #host: CompactorHost;
  readonly #limits: WindowLimits;
  readonly #abort = new AbortController();
  readonly #upkeep: OccasionalUpkeep;
  /** Looks in a row that found another process at upkeep. */
  #leftOut = 0;
  #beating: Promise<unknown> | undefined;
  #samples: { readonly revision: number; readonly at: number }[] = [];
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  /** Until the next look, ms. */
  #pace = SHORTEST_BEAT;
  /** What the last look saw. */
  #seen = { at: 0, bytes: 0 };

  constructor(host: CompactorHost, limits: WindowLimits) {
    this.#host = host;
    this.#limits = limits;
    this.#upkeep = new OccasionalUpkeep(host);
  }

  start(): void {
    const at = this.#host.deps.clock.monotonic();
    this.#seen = { at, bytes: 0 };
    this.#samples.push({ revision: this.#host.visible(), at });
    this.#arm();
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#abort.abort();
    await this.#running?.catch(() => {});
    // A lease that is held is given back: others would wait for its end.
    await this.#beating?.catch(() => {});
    // Without it what was written last counts as younger than it is: no reason to fail a close.
    this.#host.ages.note(this.#host.visible());
    await this.#host.ages.save({ last: true }).catch(() => {});
  }

  /** Compacts up to `revision`, after what is running: another compaction, and lists that need what goes. */
  async compact(revision: number): Promise<void> {
    while (this.#running !== undefined) await this.#running.catch(() => {});
    this.#host.ages.note(this.#host.visible());
    this.#running = this.#run(revision).finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async #run(revision: number): Promise<void> {
    await this.#host.reads.settledBelow(revision);
    await this.#host.engine().compact(revision, { retain: this.#host.retain, signal: this.#abort.signal });
  }

  #arm(): void {
    this.#timer = this.#host.deps.scheduler.after(
      this.#pace,
      () => {
        this.#beat().then(
          () => this.#again(),
          (error: unknown) => {
            if (!this.#abort.signal.aborted) this.#host.deps.logger.warn({ err: error }, 'compaction failed; it is tried again');
            this.#again();
          },
        );
      },
      { unref: true },
    );
  }

  #again(): void {
    if (!this.#abort.signal.aborted) this.#arm();
  }

  async #beat(): Promise<void> {
    const now = this.#host.deps.clock.monotonic();
    const current = this.#host.visible();
    this.#host.ages.note(current);
    if (this.#samples.at(-1)?.revision !== current) this.#samples.push({ revision: current, at: now });
    let target = 0;
    while (this.#samples.length > 1 && now - this.#samples[1]!.at >= this.#limits.timeMs) this.#samples.shift();
    const oldest = this.#samples[0];
    if (oldest !== undefined && now - oldest.at >= this.#limits.timeMs) target = oldest.revision;
    const { compacted } = this.#host.engine().revision();
    const { windowBytes } = await this.#host.engine().stats();
    this.#pace = this.#nextLook(now, windowBytes);
    if (windowBytes > this.#limits.bytes) {
      // Bytes are spread over the window about evenly: cut the part that is too much, and look again at the next beat.
      const over = 1 - this.#limits.bytes / windowBytes;
      target = Math.max(target, compacted + Math.ceil((current - compacted) * over));
    }
    // Once it is stopped nobody waits for what begins: a lease that is taken then stays taken.
    if (target > compacted && !this.#abort.signal.aborted) {
      this.#beating = this.#compactInTurn(target);
      await this.#beating;
    }
    await this.#host.ages.save();
  }

  async #compactInTurn(target: number): Promise<void> {
    const compact = async (): Promise<void> => {
      if (!this.#abort.signal.aborted) await this.compact(target);
    };
    if (this.#leftOut === MOST_LEFT_OUT) await compact();
    else if (!(await this.#upkeep.unlessBusy(compact))) {
      this.#leftOut += 1;
      return;
    }
    this.#leftOut = 0;
  }

  /** In time for both bounds: a fraction of the window's time, or when the bytes would be full at the speed they came with since the last look. */
  #nextLook(now: number, bytes: number): number {
    const { timeMs, bytes: most } = this.#limits;
    const grown = bytes - this.#seen.bytes;
    const untilFull = grown > 0 ? ((most - bytes) / grown) * (now - this.#seen.at) : LONGEST_BEAT;
    this.#seen = { at: now, bytes };
    return Math.min(LONGEST_BEAT, Math.max(SHORTEST_BEAT, Math.min(timeMs / 10, untilFull)));
  }
}
