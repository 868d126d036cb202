/**
 * Seeded simulation: a scenario under many seeds, each of which decides order, delays and faults.
 *
 * Invariants: a seed says everything: the same seed fails in the same way on any machine; the first seed that fails ends the
 * simulation, its faults are reduced to those that matter, and a command that replays it is printed.
 */
import { InvalidError } from '../../schemas/index.js';
import { describeFaults, likelyCause, shrink, type Finding } from './diagnose.js';
import { faultKinds, planFaults, type FaultKind, type PlannedFault } from './fault-plan.js';
import { warn, warningsOf } from './ready.js';
import { replayCommand, replayOf, testFile, type Replay } from './replay.js';
import { runScenario, type RunSpec } from './run-scenario.js';
import type { Scenario } from './scenario.js';

/** How a scenario is simulated. */
export interface SimulateOptions {
  /** How many seeds. Default 100. */
  readonly seeds?: number | undefined;
  /** The first one. Default 1. */
  readonly seed?: number | undefined;
  /** What may go wrong. Default: everything; an empty list: nothing but order. */
  readonly faults?: readonly FaultKind[] | undefined;
}

/** What a simulation that found nothing did. */
export interface SimulationReport {
  readonly scenario: string;
  readonly seeds: number;
  readonly runs: number;
  readonly commits: number;
  /** How often each fault struck. */
  readonly struck: Readonly<Partial<Record<FaultKind, number>>>;
  /** What its crashes could not find out. */
  readonly warnings: readonly string[];
  /** Virtual time, ms. */
  readonly elapsedMs: number;
}

/** A seed failed. */
export class SimulationError extends Error {
  override readonly name = 'SimulationError';
  readonly scenario: string;
  readonly seed: number;
  /** The faults it takes. */
  readonly faults: readonly PlannedFault[];
  /** The command that runs it again. */
  readonly replay: string;
  readonly likelyCause: string | undefined;

  constructor(scenario: string, finding: Finding, context: { readonly passed: number; readonly replay: string }) {
    const faults = describeFaults(finding);
    const cause = likelyCause(finding);
    const lines = [
      `simulation of "${scenario}" failed with seed ${finding.verdict.seed}${context.passed === 0 ? '' : `, after ${context.passed} that passed`}: ${finding.failure.message}`,
      ...(cause === undefined ? [] : [`likely cause: ${cause}`]),
      faults.length === 0 ? 'it takes no fault' : `it takes ${faults.length} of ${finding.of} faults:`,
      ...faults.map((fault) => `  - ${fault}`),
      `replay: ${context.replay}`,
      'what happened, the last lines:',
      finding.failure.story,
    ];
    super(lines.join('\n'), { cause: finding.failure.cause });
    this.scenario = scenario;
    this.seed = finding.verdict.seed;
    this.faults = finding.plan;
    this.replay = context.replay;
    this.likelyCause = cause;
  }
}

/** The controllers of a scenario that stands by itself. @throws {InvalidError} when it has none */
export function specOf(scenario: Scenario): RunSpec {
  const { controllers } = scenario;
  if (controllers === undefined) throw new InvalidError(`scenario "${scenario.name}" has no controllers: there is nothing to simulate`);
  return { scenario, controllers: [controllers] };
}

/**
 * Runs a scenario under many seeds.
 *
 * With `RUNE_SIMULATE='<scenario>=<seed>'` in the environment only that seed is run.
 *
 * @throws {SimulationError} for the first seed that fails, with the faults it takes, the likely cause, and how to replay it.
 *
 * @example await simulate(scaling, { seeds: 100 });
 */
export async function simulate<W>(scenario: Scenario<W>, options: SimulateOptions = {}): Promise<SimulationReport> {
  const file = testFile();
  const { seeds = 100, seed: from = 1, faults = faultKinds } = options;
  if (!Number.isSafeInteger(seeds) || seeds < 1) throw new InvalidError(`seeds must be a whole number of at least 1, not ${String(seeds)}`);
  const unknown = faults.find((kind) => !faultKinds.includes(kind));
  if (unknown !== undefined) throw new InvalidError(`there is no fault ${unknown}: take some of ${faultKinds.join(', ')}`);
  const spec = specOf(scenario);
  const { name } = scenario;
  const asked = replayOf(name);
  const report = (finding: Finding, passed: number): SimulationError => {
    // The whole plan of a seed needs no list. An undisturbed run has none: without a list the seed's own would be run.
    const isWhole = finding.of > 0 && finding.kept.length === finding.of;
    const replay: Replay = { seed: finding.verdict.seed, faults: isWhole ? undefined : finding.kept };
    return new SimulationError(name, finding, { passed, replay: replayCommand(name, replay, file) });
  };

  // Undisturbed: whatever fails here needs no fault to fail. It also tells how long a run is, and so where faults can strike.
  const undisturbed = await runScenario(spec, { seed: from });
  if (undisturbed.failure !== undefined && asked === undefined) throw report(await shrink(spec, undisturbed, []), 0);
  const { size } = undisturbed;
  const warnings = faults.includes('crash') ? warningsOf(undisturbed) : [];

  let runs = 0;
  let commits = 0;
  let elapsedMs = 0;
  const struck: Partial<Record<FaultKind, number>> = {};
  const list = asked === undefined ? Array.from({ length: seeds }, (_, index) => from + index) : [asked.seed];
  for (const [index, seed] of list.entries()) {
    const whole = planFaults(seed, size, faults);
    const plan = asked?.faults === undefined ? whole : asked.faults.map((fault) => planned(whole, fault, seed));
    const verdict = await runScenario(spec, { seed, plan });
    if (verdict.failure !== undefined)
      throw report(asked === undefined ? await shrink(spec, verdict, plan) : asIs(verdict, plan, whole), index);
    runs += verdict.runs;
    commits += verdict.size.commits;
    elapsedMs += verdict.elapsedMs;
    for (const { fault } of verdict.struck) struck[fault.kind] = (struck[fault.kind] ?? 0) + 1;
  }
  warn(warnings);
  return { scenario: name, seeds: list.length, runs, commits, struck, elapsedMs, warnings };
}

function planned(whole: readonly PlannedFault[], index: number, seed: number): PlannedFault {
  const fault = whole[index];
  if (fault === undefined)
    throw new InvalidError(
      `seed ${seed} has ${whole.length} faults and no number ${index}: the scenario, or what may go wrong, has changed since`,
    );
  return fault;
}

/** A replay is told as it is: its faults were reduced when it was found. */
function asIs(verdict: Parameters<typeof shrink>[1], plan: readonly PlannedFault[], whole: readonly PlannedFault[]): Finding {
  return {
    verdict,
    failure: verdict.failure as Finding['failure'],
    plan,
    kept: plan.map((fault) => whole.indexOf(fault)),
    of: whole.length,
  };
}
