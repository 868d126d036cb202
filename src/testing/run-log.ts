/**
 * Every run of every controller, over crashes and restarts.
 *
 * Invariants: a run is told once, with its outcome, in the order in which runs ended; a run that a crash ended is told with the
 * outcome `crashed`. The manager keeps its last thousand runs: they are taken over before they are lost.
 */
import {
  describeCause,
  type Cause,
  type ControllerDefinition,
  type Manager,
  type ReconcileContext,
  type RunReport,
} from '../controller/index.js';

/** One run, as a test sees it. */
export interface RigRun extends Omit<RunReport, 'outcome'> {
  readonly outcome: RunReport['outcome'] | 'crashed';
  /** Wall clock of the start, ms since the epoch. */
  readonly time: number;
  /** Rises with each run that began. */
  readonly sequence: number;
}

/** A key that the runtime slows because its own writes keep running it. */
export interface SlowedKey {
  readonly controller: string;
  readonly key: string;
  /** How often, since `mark`. */
  readonly times: number;
  /** Why it would have run the last time. */
  readonly causes: readonly Cause[];
  /** It has not run since. */
  readonly waits: boolean;
}

/** How many runs may begin before they are taken over: the manager keeps twice as many. */
const TAKE_EVERY = 500;

interface Begun {
  readonly controller: string;
  readonly key: string;
  readonly reconcileId: string;
  readonly phase: RunReport['phase'];
  readonly attempt: number;
  readonly causes: readonly Cause[];
  readonly time: number;
  readonly sequence: number;
}

export class RunLog {
  readonly #now: () => number;
  readonly #runs: RigRun[] = [];
  readonly #begun = new Map<string, Begun>();
  readonly #taken = new Map<string, string>();
  /** The names of all that were instrumented. */
  readonly controllers = new Set<string>();
  /** Runs of each key since `mark` was called. */
  readonly #counts = new Map<string, number>();
  /** Where runs are counted by the moment: the moment that is counted. */
  #moment: number | undefined;
  readonly #slowed = new Map<string, SlowedKey>();
  #manager: Manager | undefined;
  #sequence = 0;
  #sinceTaken = 0;
  /** More runs of one key than this are a livelock. */
  #limit = Infinity;
  /** The key that went over the limit. */
  livelock: { readonly controller: string; readonly key: string; readonly runs: number } | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The controller, with every run noted. */
  instrument(definition: ControllerDefinition): ControllerDefinition {
    const { name, finalize } = definition;
    this.controllers.add(name);
    return Object.freeze({
      ...definition,
      reconcile: (context: ReconcileContext) => {
        this.#begin(name, 'reconcile', context);
        return definition.reconcile(context);
      },
      finalize:
        finalize === undefined
          ? undefined
          : (context: ReconcileContext) => {
              this.#begin(name, 'finalize', context);
              return finalize(context);
            },
    });
  }

  #begin(controller: string, phase: RunReport['phase'], context: ReconcileContext): void {
    const { namespace, name } = context.key;
    const key = namespace === undefined ? name : `${namespace}/${name}`;
    this.#begun.set(context.reconcileId, {
      controller,
      key,
      phase,
      reconcileId: context.reconcileId,
      attempt: context.attempt,
      causes: context.causes,
      time: this.#now(),
      sequence: (this.#sequence += 1),
    });
    if (this.#moment !== undefined && this.#moment !== this.#now()) {
      this.#moment = this.#now();
      this.#counts.clear();
    }
    const id = `${controller} ${key}`;
    const runs = (this.#counts.get(id) ?? 0) + 1;
    this.#counts.set(id, runs);
    if (runs > this.#limit) this.livelock ??= { controller, key, runs };
    if ((this.#sinceTaken += 1) >= TAKE_EVERY) this.take();
  }

  /** Begins to count runs anew; `each`: those since the mark, or those of each ms of time by themselves. */
  mark(limit: number, each: 'mark' | 'moment'): void {
    this.#counts.clear();
    this.#limit = limit;
    this.#moment = each === 'moment' ? this.#now() : undefined;
    this.livelock = undefined;
    this.take(true);
    for (const [id, slowed] of this.#slowed) {
      if (slowed.waits) this.#slowed.set(id, { ...slowed, times: 0 });
      else this.#slowed.delete(id);
    }
  }

  /** The manager whose runs are told; the old one's are taken over, and what it left unfinished is told as crashed. */
  follow(manager: Manager | undefined, crashed: boolean): void {
    this.take(true);
    if (crashed) {
      for (const begun of this.#begun.values()) this.#runs.push(crashedRun(begun));
    }
    this.#begun.clear();
    this.#taken.clear();
    this.#slowed.clear();
    this.#manager = manager;
  }

  /** Takes over what has ended; without anything begun since the last time there is nothing, unless `all` asks to look. */
  take(all = false): void {
    if (!all && this.#sinceTaken === 0 && this.#begun.size === 0) return;
    this.#sinceTaken = 0;
    const manager = this.#manager;
    if (manager === undefined || manager.state === 'new' || manager.state === 'starting') return;
    for (const controller of manager.controllers) {
      const fresh = freshRuns(manager, controller, this.#taken.get(controller));
      if (fresh[0] !== undefined) this.#taken.set(controller, fresh[0].reconcileId);
      for (const report of fresh.reverse()) this.#add(report);
    }
  }

  #add(report: RunReport): void {
    const begun = this.#begun.get(report.reconcileId);
    this.#begun.delete(report.reconcileId);
    this.#noteSlowed(report);
    this.#runs.push({ ...report, time: begun?.time ?? Date.parse(report.startedAt), sequence: begun?.sequence ?? 0 });
  }

  #noteSlowed({ controller, key, causes, outcome }: RunReport): void {
    const id = `${controller} ${key}`;
    const before = this.#slowed.get(id);
    if (outcome === 'slowed') this.#slowed.set(id, { controller, key, causes, times: (before?.times ?? 0) + 1, waits: true });
    else if (before !== undefined) this.#slowed.set(id, { ...before, waits: false });
  }

  /** Keys that were slowed since `mark`, or still are. */
  slowed(): readonly SlowedKey[] {
    this.take(true);
    return [...this.#slowed.values()];
  }

  /** Runs that ended, oldest first. */
  get runs(): readonly RigRun[] {
    this.take(true);
    return this.#runs;
  }
  /** How many were taken over. */
  get count(): number {
    return this.#runs.length;
  }
  /** Runs under way. */
  get running(): readonly { readonly controller: string; readonly key: string; readonly since: number }[] {
    this.take(true);
    return [...this.#begun.values()].map(({ controller, key, time }) => ({ controller, key, since: time }));
  }
}

/** The runs after `last`, newest first. Often there are none or few, so it asks for few, and for more while `last` is not among them. */
function freshRuns(manager: Manager, controller: string, last: string | undefined): RunReport[] {
  for (let limit = last === undefined ? TAKE_EVERY : 1; ; limit *= 8) {
    const reports = manager.runs(controller, undefined, { limit });
    const end = reports.findIndex(({ reconcileId }) => reconcileId === last);
    if (end >= 0) return reports.slice(0, end);
    if (reports.length < limit) return [...reports];
  }
}

function crashedRun({ time, sequence, ...begun }: Begun): RigRun {
  return {
    ...begun,
    time,
    sequence,
    startedAt: new Date(time).toISOString(),
    durationMs: 0,
    waitedMs: 0,
    droppedCauses: 0,
    outcome: 'crashed',
    error: undefined,
    requeueAfterMs: undefined,
    writes: 0,
    noopWrites: 0,
    lastRevision: undefined,
  };
}

/** Outcomes of keys that were handed out and did not run. */
const skips: ReadonlySet<string> = new Set(['gone', 'paused', 'stopping', 'slowed', 'terminating']);

/** Whether the reconciler was called. */
export function didRun(run: RigRun): boolean {
  return !skips.has(run.outcome);
}

/** Why a run took place, for people. */
export function whyRan(run: Pick<RigRun, 'causes'>): string {
  return run.causes.length === 0 ? 'no cause kept' : run.causes.map(describeCause).join('; ');
}
