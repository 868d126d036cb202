/** A planted bug: the broken controller, its correct twin, and the scenario that tells them apart. */
import type { ControllerDefinition } from '../../../src/controller/index.js';
import type { Scenario } from '../../../src/testing/index.js';

export interface Planted {
  readonly broken: (world: never) => ControllerDefinition;
  readonly correct: (world: never) => ControllerDefinition;
  readonly scenario: Scenario;
}
