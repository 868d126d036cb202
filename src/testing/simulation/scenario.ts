/**
 * A scenario: what there is, what happens, and what must hold in the end. Simulations, crash matrices and contract checks run
 * it again and again, each time in a rig of its own.
 *
 * Invariant: everything that changes while it runs is made by `world`, or lives in the rig: then each run begins alike.
 */
import type { ControllerDefinition, ManagerOptions } from '../../controller/index.js';
import { InvalidError, parseDuration } from '../../schemas/index.js';
import type { AnyDefinition, Duration } from '../../schemas/index.js';
import type { OpenStoreOptions } from '../../store/index.js';
import type { StoreCommit } from '../commit-log.js';
import type { TestRig } from '../rig.js';
import type { TestData } from '../test-data.js';
import type { TestObject } from '../test-objects.js';

// Methods compare both ways, so that a scenario of one world is a scenario of any.
interface Steps<W> {
  steps(rig: TestRig, world: W): void | Promise<void>;
  check(rig: TestRig, world: W): void | Promise<void>;
  always(commit: StoreCommit, world: W, rig: TestRig): void;
  world(): W;
  objects(world: W): readonly TestObject[] | TestData;
  controllers(world: W): readonly ControllerDefinition[];
}

/** Controllers, or what makes them anew for each life of the process, with empty memory. */
export type ScenarioControllers<W> = readonly ControllerDefinition[] | Steps<W>['controllers'];

/** What is run. */
export interface Scenario<W = unknown> {
  /** For messages and for replaying; best unique in a file. */
  readonly name: string;
  /**
   * What runs. Give a function, so that a crash loses what a controller keeps in memory. In a contract check: what runs beside
   * the controller that is checked.
   */
  readonly controllers?: ScenarioControllers<W> | undefined;
  /** Types beside the built-in ones and those of the controllers. */
  readonly types?: readonly AnyDefinition[] | undefined;
  /** The outside world (a fake cloud, say): made for each run, and not touched by a crash. */
  readonly world?: Steps<W>['world'] | undefined;
  /** What is there. A simulation may let some of it come late, and in another order. */
  readonly objects?: readonly TestObject[] | TestData | Steps<W>['objects'] | undefined;
  /** What people do meanwhile. Default: nothing. */
  readonly steps?: Steps<W>['steps'] | undefined;
  /** What must hold in the end: throws when it does not, as assertions do. */
  readonly check: Steps<W>['check'];
  /** What must hold after every commit: throws when it does not. */
  readonly always?: Steps<W>['always'] | undefined;
  /** Virtual time it may take to converge once the steps are done and faults have ceased. Default '10m'. */
  readonly within?: Duration | number | undefined;
  /** False: a run on a converged object may write. Default true: it must not. */
  readonly idempotent?: boolean | undefined;
  readonly manager?: Omit<ManagerOptions, 'store' | 'controllers' | 'informers'> | undefined;
  readonly store?: Omit<OpenStoreOptions, 'path' | 'engine' | 'deps' | 'types'> | undefined;
}

/**
 * Checks a scenario and gives it back, with the type of its world inferred.
 *
 * @throws {InvalidError} when it is not usable.
 */
export function defineScenario<W = undefined>(scenario: Scenario<W>): Scenario<W> {
  if (typeof scenario.name !== 'string' || scenario.name === '' || /[='\n]/.test(scenario.name)) {
    throw new InvalidError(`a scenario needs a name without "=", quotes and line breaks, not ${JSON.stringify(scenario.name)}`);
  }
  if (typeof scenario.check !== 'function') throw new InvalidError(`scenario "${scenario.name}" needs a check: what must hold in the end`);
  if (scenario.within !== undefined) parseDuration(scenario.within, 'within');
  return Object.freeze({ ...scenario });
}
