/**
 * The breaker of hot loops: a key whose own writes keep running it is slowed and reported, with the field that flips.
 *
 * Invariants: only runs that nobody else asked for count; one run that somebody else asked for starts the count anew;
 * memory is held for keys that triggered themselves, and for no others.
 */
import { ChangeCause, type Cause } from './causes.js';
import { controllerDefaults } from './defaults.js';
import type { Run } from './run.js';

/** What the breaker says of a run that is about to start. */
export interface HotLoopVerdict {
  /** Wait this long instead of running now; 0: run. */
  readonly delayMs: number;
  /** Runs in a row that the key caused itself. */
  readonly runs: number;
  /** What the last write changed; paths. */
  readonly fields: readonly string[];
  /** It was found out just now: report it. */
  readonly report: boolean;
}

interface Suspect {
  /** Revisions that the last run wrote. */
  revisions: ReadonlySet<string>;
  runs: number;
  slowed: number;
  /** Its delay is over: the next start runs. */
  due: boolean;
}

const free: HotLoopVerdict = Object.freeze({ delayMs: 0, runs: 0, fields: [], report: false });

export class HotLoops {
  readonly #suspects = new Map<string, Suspect>();

  /** Before a run: is it one more that the key caused itself? */
  check(key: string, causes: readonly Cause[]): HotLoopVerdict {
    const suspect = this.#suspects.size === 0 ? undefined : this.#suspects.get(key);
    if (suspect === undefined) return free;
    if (suspect.due) {
      suspect.due = false;
      return free;
    }
    const changes = causes.filter((cause) => cause.kind !== 'retry');
    const own = changes.length > 0 && changes.every((cause) => cause instanceof ChangeCause && suspect.revisions.has(cause.revision));
    if (!own) {
      this.#suspects.delete(key);
      return free;
    }
    suspect.runs += 1;
    if (suspect.runs <= controllerDefaults.hotLoopRuns) return free;
    const delayMs = Math.min(controllerDefaults.hotLoopBaseDelay * 2 ** Math.min(suspect.slowed, 20), controllerDefaults.hotLoopMaxDelay);
    const report = suspect.slowed === 0;
    suspect.slowed += 1;
    suspect.due = true;
    const last = causes[causes.length - 1];
    return { delayMs, runs: suspect.runs, fields: last instanceof ChangeCause ? last.fields : [], report };
  }

  /** After a run: it may have caused the next. */
  ran(run: Run): void {
    if (!run.dirtied || run.writes === 0) {
      // It caused nothing: the chain ends here.
      if (this.#suspects.size !== 0 && !run.dirtied) this.#suspects.delete(run.key);
      return;
    }
    const suspect = this.#suspects.get(run.key);
    const revisions = new Set(run.record?.revisions);
    if (suspect === undefined) this.#suspects.set(run.key, { revisions, runs: 0, slowed: 0, due: false });
    else suspect.revisions = revisions;
  }

  forget(key: string): void {
    this.#suspects.delete(key);
  }
  /** Runs in a row that a key caused itself. */
  runsOf(key: string): number {
    return this.#suspects.get(key)?.runs ?? 0;
  }
}
