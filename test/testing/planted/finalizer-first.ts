/** Rents something in a cloud for each widget and gives it back. The broken one lets the object go before it has cleaned up. */
import { defineController, type ControllerDefinition } from '../../../src/controller/index.js';
import { defineScenario, type Scenario } from '../../../src/testing/index.js';
import { Widget, type FakeCloud } from './types.js';
import { FakeCloud as Cloud } from './types.js';

const FINALIZER = 'test.dev/cloud';

const renting = (cloud: FakeCloud, cleansUpFirst: boolean): ControllerDefinition =>
  defineController({
    name: 'renting',
    for: Widget,
    async reconcile({ object, repo, status }) {
      const { name, deletionTimestamp, finalizers } = object.metadata;
      if (deletionTimestamp !== undefined) {
        if (finalizers?.includes(FINALIZER) !== true) return;
        if (cleansUpFirst) await cloud.giveBack(name);
        await repo(Widget).removeFinalizer(object, FINALIZER);
        if (!cleansUpFirst) await cloud.giveBack(name);
        return;
      }
      await repo(Widget).addFinalizer(object, FINALIZER);
      await cloud.rent(name);
      status({ phase: 'rented' });
    },
  }) as ControllerDefinition;

export const broken = (cloud: FakeCloud): ControllerDefinition => renting(cloud, false);
export const correct = (cloud: FakeCloud): ControllerDefinition => renting(cloud, true);

export const scenario: Scenario<FakeCloud> = defineScenario<FakeCloud>({
  name: 'rent and give back',
  world: () => new Cloud(),
  objects: [
    [Widget, { name: 'a' }],
    [Widget, { name: 'b' }],
  ],
  async steps(rig) {
    await rig.settle();
    await rig.repo(Widget).delete({ namespace: 'default', name: 'a' });
  },
  async check(rig, cloud) {
    const names = [...(await rig.repo(Widget).list())].map(({ metadata }) => metadata.name);
    if (names.join() !== 'b') throw new Error(`the widgets are ${names.join()}`);
    if ([...cloud.rented].join() !== 'b') throw new Error(`rented is ${[...cloud.rented].join()}, and only b should be`);
  },
});
