/** A widget takes its region from its zone. The broken one looks for the zone once, and counts on its being there first. */
import { defineController, type ControllerDefinition, type ReconcileContext } from '../../../src/controller/index.js';
import { defineScenario, type Scenario } from '../../../src/testing/index.js';
import { Widget, Zone } from './types.js';

const place = ({ object, lister, status }: ReconcileContext<typeof Widget>): void => {
  const zone = lister(Zone).get(`default/${object.spec.zone ?? ''}`);
  status({ zone: zone?.spec.region ?? 'unknown' });
};

export const broken = (): ControllerDefinition =>
  defineController({ name: 'placing', for: Widget, reads: [Zone], reconcile: place }) as ControllerDefinition;
export const correct = (): ControllerDefinition =>
  defineController({
    name: 'placing',
    for: Widget,
    watches: [
      {
        resource: Zone,
        map: (zone, { lister }) =>
          lister(Widget)
            .list({ filter: (widget) => widget.metadata.namespace === zone.metadata.namespace && widget.spec.zone === zone.metadata.name })
            .map((widget) => widget.metadata),
      },
    ],
    reconcile: place,
  }) as ControllerDefinition;

export const scenario: Scenario = defineScenario<unknown>({
  name: 'place',
  types: [Zone],
  objects: [
    [Zone, { name: 'z1', spec: { region: 'north' } }],
    [Widget, { name: 'a', spec: { zone: 'z1' } }],
    [Widget, { name: 'b', spec: { zone: 'z1' } }],
  ],
  async check(rig) {
    for (const widget of await rig.repo(Widget).list())
      if (widget.status?.zone !== 'north') throw new Error(`widget ${widget.metadata.name} is in ${widget.status?.zone ?? 'no zone'}`);
  },
});
