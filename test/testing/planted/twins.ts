/** The controllers with a planted bug and their correct twins, and how a twin is simulated. */
import { simulate, type Scenario, type SimulationReport } from '../../../src/testing/index.js';
import * as eventOrder from './event-order.js';
import { broken, correct, scenario as rentAndGiveBack } from './finalizer-first.js';
import * as forgetsToRequeue from './forgets-to-requeue.js';
import type { Planted } from './planted.js';
import * as remembers from './remembers.js';
import * as writesEachTime from './writes-each-time.js';

const finalizerFirst: Planted = { broken, correct, scenario: rentAndGiveBack };

export const twins: readonly Planted[] = [forgetsToRequeue, writesEachTime, finalizerFirst, remembers, eventOrder];

/** Runs the correct twin under many seeds. @throws {SimulationError} for the first that fails */
export function simulateTwin({ correct: twin, scenario }: Planted, seeds: number): Promise<SimulationReport> {
  const all: Scenario = { ...scenario, controllers: (world: unknown) => [twin(world as never)] };
  return simulate(all, { seeds });
}
