/**
 * What ran lately, and why: the material of `explain`.
 *
 * Invariants: bounded by a number of runs, all keys together; keeping a run costs one slot of a ring and no copy; a ring grows
 * as it fills, so that a controller that never ran costs nothing.
 */
import type { Cause } from './causes.js';
import type { Outcome } from './outcome.js';
import type { Run, SkipReason } from './run.js';

/** One run, as told. */
export interface RunReport {
  readonly controller: string;
  readonly key: string;
  readonly reconcileId: string;
  readonly phase: 'reconcile' | 'finalize';
  /** RFC 3339. */
  readonly startedAt: string;
  readonly durationMs: number;
  /** How long the key waited, ready, for a worker. */
  readonly waitedMs: number;
  readonly attempt: number;
  readonly causes: readonly Cause[];
  /** Causes that were not kept. */
  readonly droppedCauses: number;
  readonly outcome: Outcome['kind'] | SkipReason | 'running';
  readonly error: string | undefined;
  readonly requeueAfterMs: number | undefined;
  /** Writes that made a revision, and writes that changed nothing. */
  readonly writes: number;
  readonly noopWrites: number;
  /** The newest revision it wrote. */
  readonly lastRevision: string | undefined;
}

/** The last runs of one controller. */
export class Journal {
  readonly #size: number;
  readonly #runs: Run[] = [];
  /** The slot after the newest. */
  #next = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** Keeps a run that has ended. */
  add(run: Run): void {
    const at = this.#next;
    this.#next = at + 1 === this.#size ? 0 : at + 1;
    this.#runs[at] = run;
  }

  /** Newest first; of one key, or of all. */
  entries(key: string | undefined, limit: number): Run[] {
    const found: Run[] = [];
    const kept = this.#runs.length;
    for (let i = 1; i <= kept && found.length < limit; i += 1) {
      const run = this.#runs[(this.#next - i + kept) % kept] as Run;
      if (key === undefined || run.key === key) found.push(run);
    }
    return found;
  }
}

/** The two clocks at one moment: a run keeps monotonic time alone. */
export interface ClockReading {
  readonly now: number;
  readonly monotonic: number;
}

/** A run as told. */
export function reportOf(controller: string, run: Run, at: ClockReading): RunReport {
  const { outcome } = run;
  return {
    controller,
    key: run.key,
    reconcileId: run.id,
    phase: run.phase,
    startedAt: new Date(at.now - (at.monotonic - run.startedAt)).toISOString(),
    durationMs: outcome === undefined ? at.monotonic - run.startedAt : run.tookMs,
    waitedMs: run.item.waitedMs,
    attempt: run.attempt,
    causes: run.causes,
    droppedCauses: run.item.droppedCauses,
    outcome: run.skipped ?? outcome?.kind ?? 'running',
    error: outcome?.error?.message,
    requeueAfterMs: outcome?.next === 'after' ? outcome.delayMs : undefined,
    writes: run.writes,
    noopWrites: run.noops,
    lastRevision: run.writes === 0 ? undefined : String(run.record?.lastRevision),
  };
}
