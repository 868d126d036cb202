/**
 * The crash matrix: a scenario is run undisturbed, and then once for each of its commits, with a crash right after it.
 *
 * Invariants: the crash comes when the commit is durable and before its writer hears of it: at every point at which a process can
 * leave something behind, and no other. A point counts when its crash came about.
 */
import { describeFaults, likelyCause } from './diagnose.js';
import { differenceOf } from './final-state.js';
import { warn, warningsOf } from './ready.js';
import { runScenario, type RunSpec, type RunVerdict } from './run-scenario.js';
import type { Scenario } from './scenario.js';
import { specOf } from './simulate.js';

/** How a crash matrix is run. */
export interface CrashMatrixOptions {
  /** Default 1. */
  readonly seed?: number | undefined;
  /** How long the process is down, ms. Default 0. */
  readonly downtimeMs?: number | undefined;
  /** At most so many points, spread evenly. Default: every one. */
  readonly points?: number | undefined;
  /** Whether the final state must be that of the undisturbed run, beside what `check` asks. Default false. */
  readonly sameState?: boolean | undefined;
}

/** What a crash matrix that found nothing did. */
export interface CrashMatrixReport {
  readonly scenario: string;
  /** Commits of the undisturbed run, up to where it had converged. */
  readonly commits: number;
  /** Points at which it was crashed. */
  readonly points: number;
  /** Commits after which it was to be crashed and that never came: a run that depends on more than the seed. */
  readonly missed: readonly number[];
  /** What these crashes could not find out. */
  readonly warnings: readonly string[];
}

/** A crash was not survived. */
export class CrashMatrixError extends Error {
  override readonly name = 'CrashMatrixError';
  /** The commit after which the process died; 0: it fails without a crash. */
  readonly point: number;

  constructor(message: string, point: number, cause?: unknown) {
    super(message, { cause });
    this.point = point;
  }
}

/**
 * Crashes a scenario after each of its commits.
 *
 * @throws {CrashMatrixError} that names the commit, what was written in it, and what did not hold afterwards.
 */
export async function crashMatrix<W>(scenario: Scenario<W>, options: CrashMatrixOptions = {}): Promise<CrashMatrixReport> {
  const report = await crashEverywhere(specOf(scenario), options);
  warn(report.warnings);
  return report;
}

/** The same for controllers that are given apart. */
export async function crashEverywhere(spec: RunSpec, options: CrashMatrixOptions = {}): Promise<CrashMatrixReport> {
  const { seed = 1, downtimeMs = 0, sameState = false } = options;
  const { name } = spec.scenario;
  const whole = await runScenario(spec, { seed });
  if (whole.failure !== undefined)
    throw new CrashMatrixError(`"${name}" fails without a crash: ${whole.failure.message}\n${whole.failure.story}`, 0, whole.failure.cause);
  const { commits } = whole.size;
  const warnings = warningsOf(whole);
  let points = 0;
  const missed: number[] = [];
  for (const point of pointsOf(commits, options.points ?? commits)) {
    const fault = { kind: 'crash', afterCommit: point, downtimeMs } as const;
    const verdict = await runScenario(spec, { seed, plan: [fault] });
    const message = complaintOf(verdict, sameState ? whole : undefined);
    if (verdict.struck.length > 0) points += 1;
    else missed.push(point);
    if (message === undefined) continue;
    const failure = verdict.failure ?? { kind: 'check' as const, message, cause: undefined, pokeHelps: false, poked: [], story: '' };
    const finding = { verdict, failure, plan: [fault], kept: [0], of: 1 };
    const cause = likelyCause(finding);
    throw new CrashMatrixError(
      [
        `"${name}" does not survive a ${describeFaults(finding).join()} of ${commits}: ${message}`,
        ...(cause === undefined ? [] : [`likely cause: ${cause}`]),
        failure.story,
      ].join('\n'),
      point,
      failure.cause,
    );
  }
  return { scenario: name, commits, points, missed, warnings };
}

function complaintOf(verdict: RunVerdict, whole: RunVerdict | undefined): string | undefined {
  if (verdict.failure !== undefined) return verdict.failure.message;
  const difference = whole === undefined ? undefined : differenceOf(whole.state, verdict.state);
  return difference === undefined ? undefined : `it ends otherwise than without the crash: ${difference}`;
}

function pointsOf(commits: number, most: number): readonly number[] {
  const count = Math.max(0, Math.min(commits, most));
  return Array.from({ length: count }, (_, index) => (count === commits ? index + 1 : 1 + Math.floor((index * commits) / count)));
}
