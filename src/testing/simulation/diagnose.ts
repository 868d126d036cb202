/**
 * From a failed run to its likely cause: which faults it takes, and what they have in common.
 *
 * Invariant: a plan is only ever made shorter; what is left still fails.
 */
import { describeFault, type PlannedFault } from './fault-plan.js';
import { runScenario, type RunFailure, type RunSpec, type RunVerdict } from './run-scenario.js';

/** A failed run that cannot be made simpler. */
export interface Finding {
  readonly verdict: RunVerdict;
  readonly failure: RunFailure;
  readonly plan: readonly PlannedFault[];
  /** The places of these faults in the seed's whole plan. */
  readonly kept: readonly number[];
  readonly of: number;
}

/** Leaves out every fault that it fails without. */
export async function shrink(spec: RunSpec, first: RunVerdict, plan: readonly PlannedFault[]): Promise<Finding> {
  let verdict = first;
  let kept = plan.map((_, index) => index);
  const attempt = async (indexes: readonly number[]): Promise<boolean> => {
    const next = await runScenario(spec, { seed: first.seed, plan: indexes.map((index) => plan[index] as PlannedFault) });
    if (next.failure === undefined) return false;
    verdict = next;
    kept = [...indexes];
    return true;
  };
  if (kept.length > 0 && !(await attempt([]))) {
    for (let index = 0; index < kept.length;) {
      const without = kept.filter((_, place) => place !== index);
      if (!(await attempt(without))) index += 1;
    }
  }
  return { verdict, failure: verdict.failure as RunFailure, plan: kept.map((index) => plan[index] as PlannedFault), kept, of: plan.length };
}

/** What is most likely wrong, in a sentence or two; undefined when there is nothing to say beyond the failure itself. */
export function likelyCause({ failure, verdict }: Finding): string | undefined {
  // What was planned and never came about is to blame for nothing.
  const kinds = new Set(verdict.struck.map(({ fault }) => fault.kind));
  const cut = verdict.struck.find(({ fault }) => fault.kind === 'crash' || (fault.kind === 'fail' && fault.applied));
  if (failure.kind === 'writes') return undefined;
  if (failure.pokeHelps) {
    const which = failure.poked.length === 0 ? 'every key' : failure.poked.slice(0, 3).join(', ');
    return `running ${which} once more makes it converge, so nothing ran it when it had to: return requeueAfter while it waits, or name what it reads in owns or watches`;
  }
  if (kinds.size === 0) return undefined;
  if (
    [...kinds].every((kind) => kind === 'order' || kind === 'slowWatch' || kind === 'cut' || kind === 'expire' || kind === 'slowWrites')
  ) {
    return 'it depends on the order in which events arrive: decide from what is there now, not from what came first or from what changed';
  }
  if (cut !== undefined && cut.released) {
    return `after ${cut.hit} ${cut.fault.kind === 'crash' ? 'the process died' : 'the run failed'}: the finalizer was removed before the cleanup was complete; clean up first, and let the finalizer go last`;
  }
  if (cut?.fault.kind === 'crash' && kinds.size === 1) {
    return `without the crash it converges. After ${cut.hit} the process died, and a run that begins anew does not do what was left undone: state is kept in memory, or something was taken for done before it was`;
  }
  if (kinds.has('fail') || kinds.has('conflict')) {
    return 'a write that failed was not made up for: let the error leave reconcile, so that the key is run again, and decide from what is stored: state kept in memory runs ahead of it';
  }
  return undefined;
}

/** The faults of a finding, one line each, with what they hit. */
export function describeFaults({ plan, verdict }: Finding): readonly string[] {
  return plan.map((fault) => {
    const hit = verdict.struck.find((each) => each.fault === fault)?.hit;
    return `${describeFault(fault)}${hit === undefined ? ' (it did not strike)' : hit === '' ? '' : ` (${hit})`}`;
  });
}
