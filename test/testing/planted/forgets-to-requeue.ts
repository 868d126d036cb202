/** A widget warms up and is then ready. The broken one forgets to come again when the time is over. */
import { defineController, type ControllerDefinition } from '../../../src/controller/index.js';
import { parseDuration } from '../../../src/schemas/index.js';
import { defineScenario, type Scenario } from '../../../src/testing/index.js';
import { Widget } from './types.js';

const warming = (comesAgain: boolean): ControllerDefinition =>
  defineController({
    name: 'warming',
    for: Widget,
    reconcile({ object, status, clock }) {
      const now = clock.now();
      const since = object.status?.since ?? new Date(now).toISOString();
      const left = Date.parse(since) + parseDuration(object.spec.warmUp ?? '30s', 'warmUp') - now;
      status({ since, phase: left > 0 ? 'warming' : 'ready' });
      return comesAgain && left > 0 ? { requeueAfter: left } : undefined;
    },
  }) as ControllerDefinition;

export const broken = (): ControllerDefinition => warming(false);
export const correct = (): ControllerDefinition => warming(true);

export const scenario: Scenario = defineScenario<unknown>({
  name: 'warm up',
  objects: [
    [Widget, { name: 'a' }],
    [Widget, { name: 'b', spec: { warmUp: '2m' } }],
  ],
  async check(rig) {
    for (const widget of await rig.repo(Widget).list())
      if (widget.status?.phase !== 'ready')
        throw new Error(`widget ${widget.metadata.name} is ${widget.status?.phase ?? 'new'}, not ready`);
  },
});
