/**
 * What ran lately, and why: the material of `explain`.
 *
 * Invariants: the newest runs are kept, and beyond them the last ones of each key, so that a key that runs all the time leaves the
 * others their past. Bounded by a number of runs, all keys together: then the keys that ran longest ago are forgotten. Keeping a run
 * costs no copy; what is kept longer lets go of the objects it was caused by. A controller that never ran costs nothing.
 */
import type { Cause } from './causes.js';
import { controllerDefaults } from './defaults.js';
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

/** How much a journal keeps. */
export interface JournalLimits {
  /** The newest runs, whatever their keys. */
  readonly runs: number;
  /** Of each key. */
  readonly ofKey: number;
  /** Older runs, all keys together. */
  readonly older: number;
  /** Runs that may become older ones in a second: a flood of keys pushes them out before anybody can ask, and must cost little. */
  readonly olderPerSecond: number;
}

const defaults: JournalLimits = {
  runs: controllerDefaults.journalRuns,
  ofKey: controllerDefaults.journalRunsOfKey,
  older: controllerDefaults.journalOlderRuns,
  olderPerSecond: controllerDefaults.journalOlderRunsPerSecond,
};

/** So many more than are wanted may be kept of a key, so that they are counted off now and then and not each time. */
const SLACK = 4;
const SECOND = 1_000;

/** An older run of a key, with those before it. */
interface Link {
  readonly run: Run;
  before: Link | undefined;
  /** How many there are from this one back. */
  length: number;
}

/** The last runs of one controller. */
export class Journal {
  readonly #limits: JournalLimits;
  /** A ring of the newest. */
  readonly #runs: Run[] = [];
  /** The slot after the newest. */
  #next = 0;
  /** The last of a key's older runs; by key, in two generations. */
  #young = new Map<string, Link>();
  #old = new Map<string, Link>();
  #inYoung = 0;
  /** When this second began, monotonic ms, and how many were taken over in it. */
  #secondAt = Number.NEGATIVE_INFINITY;
  #taken = 0;

  constructor(limits: JournalLimits = defaults) {
    this.#limits = limits;
  }

  /** Keeps a run that has ended. */
  add(run: Run): void {
    const runs = this.#runs;
    const at = this.#next;
    this.#next = at + 1 === this.#limits.runs ? 0 : at + 1;
    if (at === runs.length) {
      runs.push(run);
      return;
    }
    const oldest = runs[at] as Run;
    runs[at] = run;
    // By the time of the one that is at hand: a look at the oldest alone costs as much as all the rest.
    if (run.startedAt - this.#secondAt >= SECOND) {
      this.#secondAt = run.startedAt;
      this.#taken = 0;
    }
    if (this.#taken === this.#limits.olderPerSecond) return;
    this.#taken += 1;
    this.#takeOver(oldest);
  }

  /** Keeps a run that is among the newest no longer. */
  #takeOver(run: Run): void {
    const { older, ofKey } = this.#limits;
    const { key } = run;
    run.settle();
    let before = this.#young.get(key);
    if (before === undefined) {
      before = this.#old.get(key);
      if (before !== undefined) this.#inYoung += before.length;
    }
    const link: Link = { run, before, length: before === undefined ? 1 : before.length + 1 };
    this.#young.set(key, link);
    this.#inYoung += 1;
    if (link.length > ofKey + SLACK) {
      cut(link, ofKey);
      this.#inYoung -= SLACK + 1;
    }
    if (this.#inYoung < older / 2) return;
    // Keys that have not run for a generation are forgotten.
    this.#old = this.#young;
    this.#young = new Map();
    this.#inYoung = 0;
  }

  /** Newest first; of one key, or the newest of all. */
  entries(key: string | undefined, limit: number): Run[] {
    const found: Run[] = [];
    const kept = this.#runs.length;
    for (let i = 1; i <= kept && found.length < limit; i += 1) {
      const run = this.#runs[(this.#next - i + kept) % kept] as Run;
      if (key === undefined || run.key === key) found.push(run);
    }
    if (key === undefined) return found;
    let link = this.#young.get(key) ?? this.#old.get(key);
    for (; link !== undefined && found.length < limit; link = link.before) found.push(link.run);
    return found;
  }
}

/** Lets go of all but the last `length` of a chain. */
function cut(newest: Link, length: number): void {
  let last = newest;
  for (let i = 1; i < length; i += 1) last = last.before as Link;
  last.before = undefined;
  newest.length = length;
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
