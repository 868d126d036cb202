/** Accepts a widget, and makes its part a second later. The broken one keeps in memory what it has accepted. */
import { defineController, type ControllerDefinition } from '../../../src/controller/index.js';
import { defineScenario, type Scenario } from '../../../src/testing/index.js';
import { Part, Widget } from './types.js';

const accepting = (remembers: boolean): ControllerDefinition => {
  const accepted = new Set<string>();
  return defineController({
    name: 'accepting',
    for: Widget,
    owns: [Part],
    async reconcile({ object, ensure, status }) {
      const { name } = object.metadata;
      const phase = object.status?.phase;
      if (phase === undefined) {
        accepted.add(name);
        status({ phase: 'accepted' });
        return { requeueAfter: '1s' };
      }
      const isDue = remembers ? accepted.has(name) : phase === 'accepted';
      if (!isDue) return;
      await ensure(Part, { metadata: { name }, spec: { n: 1 } });
      accepted.delete(name);
      status({ phase: 'done' });
    },
  }) as ControllerDefinition;
};

export const broken = (): ControllerDefinition => accepting(true);
export const correct = (): ControllerDefinition => accepting(false);

export const scenario: Scenario = defineScenario<unknown>({
  name: 'accept',
  objects: [
    [Widget, { name: 'a' }],
    [Widget, { name: 'b' }],
  ],
  async check(rig) {
    for (const widget of await rig.repo(Widget).list())
      if (widget.status?.phase !== 'done') throw new Error(`widget ${widget.metadata.name} is ${widget.status?.phase ?? 'new'}, not done`);
    if ((await rig.repo(Part).list()).items.length !== 2) throw new Error('a part is missing');
  },
});
