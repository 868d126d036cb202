/**
 * One run of a scenario: a rig of its own, a plan of what goes wrong, and the verdict.
 *
 * Invariants: it never throws for what the scenario or its controllers do: that is the verdict. What is slow is so until a minute
 * after the last step; a fault that strikes once can do so for as long as the run takes to converge, and within the scenario's
 * time after the last one `check` must hold, with nothing left to do; and a further run of every key must write nothing. With and
 * without faults a run goes alike up to the first that strikes.
 */
import type { ControllerDefinition } from '../../controller/index.js';
import { Lease, parseDuration } from '../../schemas/index.js';
import type { StoreCommit, StoreEvent } from '../commit-log.js';
import { TestRig } from '../rig.js';
import { seededRandom } from '../seeded-random.js';
import type { TestData } from '../test-data.js';
import type { TestObject } from '../test-objects.js';
import { changedPaths } from '../timeline.js';
import { installPlan, type ActivePlan, type PlannedFault, type RunSize, type StruckFault } from './fault-plan.js';
import { finalState } from './final-state.js';
import type { Scenario, ScenarioControllers } from './scenario.js';

/** What is run, with the controllers that take part. */
export interface RunSpec {
  readonly scenario: Scenario;
  readonly controllers: readonly ScenarioControllers<unknown>[];
}

/** How one run goes. */
export interface RunOptions {
  readonly seed: number;
  readonly plan?: readonly PlannedFault[] | undefined;
  /** Leaves the check for needless writes out. */
  readonly skipIdempotence?: boolean | undefined;
  /** Restarts the process in good order before that check. */
  readonly restart?: boolean | undefined;
}

/** Why a run failed. */
export interface RunFailure {
  /** `check`: it did not converge. `writes`: a run on a converged object wrote. `always`: an invariant broke. `error`: a step threw, a livelock. */
  readonly kind: 'check' | 'writes' | 'always' | 'error';
  readonly message: string;
  readonly cause: unknown;
  /** It would have converged if every key had been run once more. */
  readonly pokeHelps: boolean;
  /** The keys whose further run did something. */
  readonly poked: readonly string[];
  readonly story: string;
}

/** What became of a run. */
export interface RunVerdict {
  readonly seed: number;
  readonly failure: RunFailure | undefined;
  readonly struck: readonly StruckFault[];
  readonly size: RunSize;
  readonly runs: number;
  readonly elapsedMs: number;
  readonly state: ReadonlyMap<string, string>;
  /** Controllers that were the same objects in more than one life, by name: what they remember no crash takes away. */
  readonly ready: readonly string[];
}

/** What is slow is so until so long after the last step. */
const DISTURBED_MS = 60_000;
/** What the runtime writes for itself. */
const own: ReadonlySet<string> = new Set([Lease.type]);

/** Runs a scenario once. */
export async function runScenario({ scenario, controllers }: RunSpec, options: RunOptions): Promise<RunVerdict> {
  const { seed, plan = [] } = options;
  const world = scenario.world?.();
  const lives = new Map<string, ControllerDefinition>();
  const ready = new Set<string>();
  const made = (): readonly ControllerDefinition[] => {
    const list = controllers.flatMap((each) => (typeof each === 'function' ? each(world) : each));
    for (const each of list) {
      if (lives.get(each.name) === each) ready.add(each.name);
      lives.set(each.name, each);
    }
    return list;
  };
  const rig = new TestRig({ seed, controllers: made, types: scenario.types, manager: scenario.manager, store: scenario.store });
  const began = rig.deps.clock.monotonic();
  let broken: { readonly error: unknown; readonly commit: StoreCommit } | undefined;
  const watchInvariant = (commit: StoreCommit): void => {
    if (scenario.always === undefined || broken !== undefined) return;
    try {
      scenario.always(commit, world, rig);
    } catch (error) {
      broken = { error, commit };
    }
  };
  let active: ActivePlan | undefined;
  let failure: RunFailure | undefined;
  try {
    const objects = typeof scenario.objects === 'function' ? scenario.objects(world) : (scenario.objects ?? []);
    const shuffle = plan.find((fault) => fault.kind === 'order')?.seed;
    const { early, late } = shuffle === undefined ? { early: [objects], late: [] } : spread(objects, shuffle);
    for (const some of early) await rig.load(some);
    active = installPlan(rig, plan, watchInvariant);
    await rig.start();
    for (const some of late) {
      await rig.load(some);
      await rig.settle();
    }
    await scenario.steps?.(rig, world);
    await rig.settle();
    await rig.advance(DISTURBED_MS);
    active.calm();
    failure = broken === undefined ? await converge(rig, scenario, world, active) : undefined;
    if (failure === undefined && broken === undefined && scenario.idempotent !== false && options.skipIdempotence !== true) {
      failure = await runAgain(rig, options.restart === true);
    }
  } catch (error) {
    failure = fail(rig, 'error', error);
  }
  if (broken !== undefined) failure = fail(rig, 'always', broken.error, `after revision ${broken.commit.revision}: `);
  const commits = rig.store.commits();
  let state: RunVerdict['state'] | undefined;
  const verdict: RunVerdict = {
    seed,
    failure,
    struck: active?.struck ?? [],
    size: { commits: active?.commits ?? 0, writes: active?.writes ?? 0, types: typesOf(made()) },
    runs: rig.runs().length,
    elapsedMs: rig.deps.clock.monotonic() - began,
    ready: [...ready],
    get state() {
      return (state ??= finalState(commits));
    },
  };
  // Nothing is said about a stop: one in good order would take as long as many of the runs.
  rig.discard();
  return verdict;
}

/** The objects one by one, in another order, some of them for later. */
function spread(
  objects: readonly TestObject[] | TestData,
  seed: number,
): { readonly early: readonly (readonly TestObject[] | TestData)[]; readonly late: readonly (readonly TestObject[] | TestData)[] } {
  const random = seededRandom(seed, 'objects');
  const single: (readonly TestObject[] | TestData)[] = Array.isArray(objects)
    ? (objects as readonly TestObject[]).map((object) => [object])
    : Object.entries(objects as TestData).flatMap(([field, list]) =>
        ((list ?? []) as readonly unknown[]).map((item): TestData => ({ [field]: [item] })),
      );
  for (let i = single.length - 1; i > 0; i -= 1) {
    const j = random.below(i + 1);
    [single[i], single[j]] = [single[j] as TestData, single[i] as TestData];
  }
  const cut = random.below(single.length + 1);
  return { early: single.slice(0, cut), late: single.slice(cut) };
}

/** Lets time pass until `check` holds; every fault that strikes on the way gives it its time anew. */
async function converge(rig: TestRig, scenario: Scenario, world: unknown, active: ActivePlan): Promise<RunFailure | undefined> {
  const within = parseDuration(scenario.within ?? '10m', 'within');
  const { clock } = rig.deps;
  const began = clock.monotonic();
  let step = 100;
  for (;;) {
    await rig.settle();
    const error = await complaint(rig, scenario, world);
    if (error === undefined) {
      active.heal();
      return undefined;
    }
    const left = within - (clock.monotonic() - Math.max(began, active.lastStrikeMs));
    if (left <= 0) {
      active.heal();
      const failed = fail(rig, 'check', error.thrown, `it does not converge within ${text(within)}: `);
      return { ...failed, ...(await poke(rig, scenario, world)) };
    }
    await rig.advance(Math.min(step, left));
    step *= 4;
  }
}

async function complaint(rig: TestRig, scenario: Scenario, world: unknown): Promise<{ readonly thrown: unknown } | undefined> {
  try {
    await scenario.check(rig, world);
    return undefined;
  } catch (thrown) {
    return { thrown };
  }
}

/** Runs every key once more, to find out whether that was all that was missing. */
async function poke(rig: TestRig, scenario: Scenario, world: unknown): Promise<Pick<RunFailure, 'pokeHelps' | 'poked'>> {
  const revision = rig.store.revision;
  try {
    enqueueAll(rig);
    await rig.settle();
    if ((await complaint(rig, scenario, world)) !== undefined) return { pokeHelps: false, poked: [] };
  } catch {
    return { pokeHelps: false, poked: [] };
  }
  const sources = new Set(rig.events({ since: revision }).map((event) => event.source));
  const poked = rig.runs().filter((run) => sources.has(`controller/${run.controller}`) && Number(run.lastRevision ?? 0) > Number(revision));
  return { pokeHelps: true, poked: [...new Set(poked.map((run) => `${run.controller} ${run.key}`))] };
}

function enqueueAll(rig: TestRig): void {
  const { manager } = rig;
  for (const informer of manager.informers.list) {
    for (const controller of manager.controllers) {
      if (rig.primaries.get(controller)?.type !== informer.definition.type) continue;
      for (const object of informer.list()) manager.enqueue(controller, object.metadata, { reason: 'run again' });
    }
  }
}

/** Every key runs once more, a little later: nothing may be written. */
async function runAgain(rig: TestRig, restart: boolean): Promise<RunFailure | undefined> {
  await rig.advance('1s');
  await rig.settle();
  const since = rig.store.revision;
  if (restart) await rig.restart();
  enqueueAll(rig);
  await rig.settle();
  const written = rig.events({ since }).filter((event) => !own.has(event.resourceType));
  const [first] = written;
  if (first === undefined) return undefined;
  const place = first.namespace === undefined ? first.name : `${first.namespace}/${first.name}`;
  const message =
    `a further run of a converged object ${restart ? 'after a restart ' : ''}writes: ${first.source ?? 'somebody'} ${verbOf(first)} ${first.resourceType} ${place}` +
    `${first.type === 'UPDATED' ? ` (${changedPaths(first).join(', ')})` : ''}${written.length > 1 ? `, and ${written.length - 1} more` : ''}; ` +
    'write only what has to change, and nothing that is new with each run';
  return fail(rig, 'writes', new Error(message));
}

function verbOf(event: StoreEvent): string {
  return event.type === 'CREATED' ? 'created' : event.type === 'DELETED' ? 'deleted' : 'changed';
}

function fail(rig: TestRig, kind: RunFailure['kind'], cause: unknown, before = ''): RunFailure {
  const message = cause instanceof Error ? cause.message : String(cause);
  return { kind, message: `${before}${message}`, cause, pokeHelps: false, poked: [], story: rig.story(undefined, 30) };
}

function typesOf(controllers: readonly ControllerDefinition[]): readonly string[] {
  const types = controllers.flatMap((each) =>
    [each.for, ...each.owns.map(({ resource }) => resource), ...each.watches.map(({ resource }) => resource), ...each.reads].map(
      ({ type }) => type,
    ),
  );
  return [...new Set(types)];
}

function text(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000}m` : ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms} ms`;
}
