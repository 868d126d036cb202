/** A helper of several tests' own that runs simulations for them. */
import { simulate, type Scenario, type SimulationReport } from '../../../src/testing/index.js';

export async function simulateFromHere(scenario: Scenario): Promise<SimulationReport> {
  return await simulate(scenario);
}
