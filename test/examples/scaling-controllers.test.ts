/** The example's controllers, with nothing but the test kit: ten minutes of gradual scaling, cancelling, a crash at each step. */
import { describe, expect, it } from 'vitest';
import { DeletionOperation, Instance, ScalingOperation, Service, type ControllerDefinition } from 'rune-runtime';
import { crashMatrix, defineScenario, simulate, testRig, type TestRig } from 'rune-runtime/testing';
import 'rune-runtime/testing/vitest';
import { deletionController } from '../../examples/scaling-controller/controllers/deletion-controller.js';
import { instanceController } from '../../examples/scaling-controller/controllers/instance-controller.js';
import { scalingController } from '../../examples/scaling-controller/controllers/scaling-controller.js';
import { serviceController } from '../../examples/scaling-controller/controllers/service-controller.js';

const controllers = [serviceController, instanceController, scalingController, deletionController] as readonly ControllerDefinition[];
const web = { namespace: 'default', name: 'web' } as const;
const grow = { namespace: 'default', name: 'grow' } as const;
const open = (scale: number): Promise<TestRig> => testRig({ controllers, objects: { services: [{ ...web, spec: { scale } }] } });
const scaleOf = async (rig: TestRig): Promise<number> => (await rig.repo(Service).get(web)).spec.scale;

describe('the example’s controllers', () => {
  it('start what a service asks for, and tell when it is ready', async () => {
    await using rig = await open(3);
    await rig.settle();
    expect(await rig.repo(Service).get(web)).toHaveCondition('Ready', false);
    await rig.advance('1s');
    const service = await rig.repo(Service).get(web);
    expect(service).toHaveCondition('Ready');
    expect(service).toBeReconciled();
    expect(service.status).toMatchObject({ phase: 'Running', instances: 3, readyInstances: 3 });
  });

  it('scale gradually over ten minutes, a step a minute', async () => {
    await using rig = await open(1);
    await rig.advance('1s');
    await rig.store.createScalingOperation({ ...grow, spec: { service: 'web', target: 21, mode: 'gradual', step: 2, interval: '1m' } });
    await rig.settle();
    for (let minute = 1; minute <= 10; minute += 1) {
      expect(await scaleOf(rig)).toBe(1 + 2 * minute);
      await rig.advance('1m');
    }
    const operation = await rig.repo(ScalingOperation).get(grow);
    expect(operation).toHaveCondition('Complete', true, { reason: 'completed' });
    expect(operation).toHaveEvent({ type: 'Normal', note: 'scaled from 1 to 21' });
    expect((await rig.store.listInstances()).filter(({ status }) => status?.phase === 'Running')).toHaveLength(21);
    expect(rig).toBeReconciled();
  });

  it('scale down at once, and let what is too many stop', async () => {
    await using rig = await open(4);
    await rig.advance('1s');
    await rig.store.createScalingOperation({ ...grow, spec: { service: 'web', target: 1 } });
    await expect(rig).toEventually(async () => expect(await rig.repo(ScalingOperation).get(grow)).toHaveCondition('Complete'), {
      within: '1m',
    });
    expect((await rig.store.listInstances()).map(({ metadata }) => metadata.name)).toEqual(['web-0']);
  });

  it('stop where they are when an operation is cancelled', async () => {
    await using rig = await open(1);
    await rig.store.createScalingOperation({ ...grow, spec: { service: 'web', target: 20, mode: 'gradual', interval: '1m' } });
    await rig.advance('3m30s');
    await rig.repo(ScalingOperation).patch(grow, { spec: { cancelled: true } });
    await rig.advance('10m');
    expect(await scaleOf(rig)).toBe(5);
    expect((await rig.repo(ScalingOperation).get(grow)).status?.phase).toBe('cancelled');
  });

  it('delete a service and what it runs', async () => {
    await using rig = await open(2);
    await rig.advance('1s');
    await rig.store.createDeletionOperation({ namespace: 'default', name: 'bye', spec: { service: 'web' } });
    await rig.advance('1m');
    expect(await rig.store.listServices()).toEqual([]);
    expect(await rig.store.listInstances()).toEqual([]);
    expect((await rig.repo(DeletionOperation).get({ namespace: 'default', name: 'bye' })).status).toMatchObject({
      phase: 'completed',
      deleted: 2,
    });
  });

  const scaling = defineScenario<unknown>({
    name: 'scale gradually',
    controllers: () => controllers,
    objects: { services: [{ ...web }] },
    // Afterwards: an operation on a service that is not there fails, as it should.
    async steps(rig) {
      await rig.store.createScalingOperation({ ...grow, spec: { service: 'web', target: 3, mode: 'gradual', interval: '10s' } });
    },
    // One step at a time, whatever happens.
    always: ({ events }) => {
      for (const { type, resourceType, resource, previous } of events) {
        if (type !== 'UPDATED' || resourceType !== Service.type) continue;
        const [from, to] = [previous, resource].map((each) => (each as { spec?: { scale?: number } }).spec?.scale ?? 0);
        if (Math.abs((to ?? 0) - (from ?? 0)) > 1) throw new Error(`the scale went from ${from} to ${to} in one step`);
      }
    },
    async check(rig) {
      expect((await rig.repo(ScalingOperation).get(grow)).status?.phase).toBe('completed');
      const instances = (await rig.repo(Instance).list()).items;
      expect(instances.map(({ metadata, status }) => `${metadata.name} ${status?.phase}`).sort()).toEqual([
        'web-0 Running',
        'web-1 Running',
        'web-2 Running',
      ]);
    },
  });

  it('finish after a crash at each step', async () => {
    const { points, commits } = await crashMatrix(scaling);
    expect(points).toBe(commits);
    expect(commits).toBeGreaterThan(15);
  });

  it('finish whatever goes wrong', async () => {
    expect((await simulate(scaling, { seeds: 10 })).seeds).toBe(10);
  });
});
