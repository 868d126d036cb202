/**
 * Contract checks: what every controller owes, tried on one of the user's own.
 *
 * Invariants: each check is told by name with its verdict; a check that fails does not keep the others from being run, save that
 * nothing can be said of a controller that does not converge in peace.
 */
import type { ControllerDefinition } from '../../controller/index.js';
import { crashEverywhere } from './crash-matrix.js';
import { likelyCause, shrink } from './diagnose.js';
import { describeFault, type PlannedFault } from './fault-plan.js';
import { differenceOf } from './final-state.js';
import { warn, warningsOf } from './ready.js';
import { runScenario, type RunSpec, type RunVerdict } from './run-scenario.js';
import type { Scenario } from './scenario.js';

/** What is checked. */
export type ContractCheckName = 'converges' | 'repeatable' | 'idempotent' | 'restart' | 'order' | 'crash' | 'faults';

/** The verdict of one check. */
export interface ContractCheck {
  readonly name: ContractCheckName;
  /** The duty, in words. */
  readonly duty: string;
  readonly ok: boolean;
  /** Why it failed; undefined when it did not. */
  readonly message: string | undefined;
  /** Runs of the scenario that it took. */
  readonly runs: number;
}

/** The verdict on a controller. */
export interface ContractReport {
  readonly controller: string;
  readonly scenario: string;
  readonly ok: boolean;
  readonly checks: readonly ContractCheck[];
  /** What the checks could not find out. */
  readonly warnings: readonly string[];
}

/** How a contract is checked. */
export interface ContractOptions {
  /** Default 1. */
  readonly seed?: number | undefined;
  /** Orders of events that are tried. Default 20. */
  readonly orders?: number | undefined;
  /** Most points of a crash, and of a failing write, that are tried, spread evenly. Default 100. */
  readonly points?: number | undefined;
  /** Whether every run must end in the same state, ids and times aside, beside what `check` asks. Default true. */
  readonly sameState?: boolean | undefined;
  /** Checks to leave out. */
  readonly skip?: readonly ContractCheckName[] | undefined;
}

const duties: Readonly<Record<ContractCheckName, string>> = {
  converges: 'it converges when nothing goes wrong',
  repeatable: 'a second run begins without memory of the first',
  idempotent: 'a further run on a converged object writes nothing',
  restart: 'nor does one after a restart',
  order: 'the order of events does not matter',
  crash: 'it converges from a crash after every commit',
  faults: 'it makes up for writes that fail, or whose answer is lost',
};

const MISSED = 'the same seed does not give the same run, so something in it depends on more than the seed';

/** A controller breaks its contract; `report` tells all checks. */
export class ContractError extends Error {
  override readonly name = 'ContractError';
  readonly report: ContractReport;

  constructor(report: ContractReport) {
    const failed = report.checks.filter(({ ok }) => !ok);
    super(
      [
        `controller ${report.controller} breaks its contract in "${report.scenario}" (${failed.length} of ${report.checks.length} checks):`,
        ...failed.map(({ name, duty, message }) => `- ${name}: ${duty}, but ${message ?? 'it does not'}`),
        ...report.warnings.map((warning) => `warning: ${warning}`),
      ].join('\n'),
    );
    this.report = report;
  }
}

/** A controller, or what makes it anew for each life of the process. */
export type ContractSubject<W> = ControllerDefinition | ((world: W) => ControllerDefinition);

/**
 * Checks a controller against what every controller owes: it converges, is idempotent, and does not depend on the order of
 * events, on its memory, or on never being interrupted.
 *
 * @throws {ContractError} with the report, when a check fails.
 *
 * @example
 * await checkContract(() => scaling(), { name: 'scale up', objects, check: (rig) => expectScale(rig, 3) });
 */
export async function checkContract<W = undefined>(
  controller: ContractSubject<W>,
  scenario: Scenario<W>,
  options: ContractOptions = {},
): Promise<ContractReport> {
  const { seed = 1, orders = 20, points = 100, sameState = scenario.idempotent !== false, skip = [] } = options;
  const subject = controller as ContractSubject<unknown>;
  const made = typeof subject === 'function' ? (world: unknown) => [subject(world)] : [subject];
  const spec: RunSpec = { scenario, controllers: [made, ...(scenario.controllers === undefined ? [] : [scenario.controllers])] };
  const checks: ContractCheck[] = [];
  const add = (name: ContractCheckName, message: string | undefined, runs: number): void =>
    void checks.push({ name, duty: duties[name], ok: message === undefined, message, runs });
  const wanted = (name: ContractCheckName): boolean => !skip.includes(name);
  const name = (typeof subject === 'function' ? subject(scenario.world?.()) : subject).name;

  const whole = await runScenario(spec, { seed, skipIdempotence: true });
  add('converges', await explain(spec, whole, []), 1);
  if (whole.failure === undefined) {
    const judge = (verdict: RunVerdict): string | undefined =>
      verdict.failure?.message ?? (sameState ? otherwise(whole, verdict) : undefined);
    if (wanted('repeatable')) {
      const again = await runScenario(spec, { seed, skipIdempotence: true });
      const message = again.failure?.message ?? otherwise(whole, again);
      add(
        'repeatable',
        message === undefined
          ? undefined
          : `the same run goes otherwise the second time: it keeps state outside the store, in a module or a closure (${message})`,
        1,
      );
    }
    if (wanted('idempotent') && scenario.idempotent !== false) add('idempotent', (await runScenario(spec, { seed })).failure?.message, 1);
    if (wanted('restart') && scenario.idempotent !== false)
      add('restart', (await runScenario(spec, { seed, restart: true })).failure?.message, 1);
    if (wanted('order')) add('order', await tryPlans(spec, judge, orderPlans(whole, seed, orders)), orders);
    if (wanted('crash')) {
      const failed = await crashEverywhere(spec, { seed, points, sameState }).then(
        ({ missed }) => (missed.length === 0 ? undefined : `no crash came about after commit ${missed.join(', ')}: ${MISSED}`),
        (error: unknown) => (error as Error).message,
      );
      add('crash', failed, Math.min(points, whole.size.commits) + 1);
    }
    if (wanted('faults')) {
      const plans = faultPlans(whole.size.writes, points);
      add('faults', await tryPlans(spec, judge, plans), plans.length);
    }
  }
  const warnings = wanted('crash') || wanted('restart') ? warningsOf(whole) : [];
  const report: ContractReport = { controller: name, scenario: scenario.name, ok: checks.every(({ ok }) => ok), checks, warnings };
  if (!report.ok) throw new ContractError(report);
  warn(warnings);
  return report;
}

interface Attempt {
  readonly seed: number;
  readonly plan: readonly PlannedFault[];
}

/** Tries each plan; gives the first complaint, with the likely cause. */
async function tryPlans(
  spec: RunSpec,
  judge: (verdict: RunVerdict) => string | undefined,
  attempts: readonly Attempt[],
): Promise<string | undefined> {
  for (const { seed, plan } of attempts) {
    const verdict = await runScenario(spec, { seed, plan, skipIdempotence: true });
    const message = judge(verdict);
    if (message === undefined) continue;
    if (verdict.failure !== undefined) return explain(spec, verdict, plan);
    return `it ends otherwise when ${plan.map(describeFault).join(' and ')}: ${message}`;
  }
  return undefined;
}

async function explain(spec: RunSpec, verdict: RunVerdict, plan: readonly PlannedFault[]): Promise<string | undefined> {
  if (verdict.failure === undefined) return undefined;
  const finding = await shrink(spec, verdict, plan);
  const cause = likelyCause(finding);
  const when = finding.plan.length === 0 ? '' : ` when ${finding.plan.map(describeFault).join(' and ')}`;
  return `${finding.failure.message}${when} (seed ${verdict.seed})${cause === undefined ? '' : `; likely cause: ${cause}`}\n${finding.failure.story}`;
}

/** Orders of arrival: of objects, and of events of one type against those of another. */
function orderPlans(whole: RunVerdict, seed: number, count: number): readonly Attempt[] {
  const { types } = whole.size;
  return Array.from({ length: count }, (_, index): Attempt => {
    const slow = types[index % Math.max(1, types.length)];
    const plan: PlannedFault[] = [];
    if (index % 2 === 0 || slow === undefined) plan.push({ kind: 'order', seed: seed + index });
    if (index % 3 !== 0 && slow !== undefined) plan.push({ kind: 'slowWatch', type: slow, delayMs: index % 4 < 2 ? 20 : 1_000 });
    return { seed: seed + index, plan };
  });
}

function faultPlans(writes: number, points: number): readonly Attempt[] {
  const count = Math.min(writes, points);
  const places = Array.from({ length: count }, (_, index) => (count === writes ? index + 1 : 1 + Math.floor((index * writes) / count)));
  return places.flatMap((write) =>
    [
      { kind: 'fail', write, applied: false } as const,
      { kind: 'fail', write, applied: true } as const,
      { kind: 'conflict', write } as const,
    ].map((fault) => ({ seed: 1, plan: [fault] })),
  );
}

function otherwise(whole: RunVerdict, verdict: RunVerdict): string | undefined {
  const difference = differenceOf(whole.state, verdict.state);
  return difference === undefined ? undefined : `the final state differs: ${difference}`;
}
