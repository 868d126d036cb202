/** Keeps one part for each widget and a status. The broken one writes into the status when it looked last. */
import { defineController, type ControllerDefinition } from '../../../src/controller/index.js';
import { defineScenario, type Scenario } from '../../../src/testing/index.js';
import { Part, Widget } from './types.js';

const keeping = (tellsTime: boolean): ControllerDefinition =>
  defineController({
    name: 'keeping',
    for: Widget,
    owns: [Part],
    async reconcile({ object, ensure, children, status, clock }) {
      await ensure(Part, { metadata: { name: object.metadata.name }, spec: { n: object.spec.size } });
      status({ parts: children(Part).length, ...(tellsTime ? { checkedAt: new Date(clock.now()).toISOString() } : {}) });
    },
  }) as ControllerDefinition;

export const broken = (): ControllerDefinition => keeping(true);
export const correct = (): ControllerDefinition => keeping(false);

export const scenario: Scenario = defineScenario<unknown>({
  name: 'keep parts',
  objects: [
    [Widget, { name: 'a' }],
    [Widget, { name: 'b', spec: { size: 2 } }],
  ],
  async check(rig) {
    for (const widget of await rig.repo(Widget).list())
      if (widget.status?.parts !== 1) throw new Error(`widget ${widget.metadata.name} tells ${widget.status?.parts ?? 'no'} parts`);
  },
});
