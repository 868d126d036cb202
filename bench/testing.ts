/**
 * The test kit: how long a TestStore and a rig take to start, and a rig to settle; and what is left of a thousand rigs.
 *
 * Run it with `npm run bench -- testing`. Medians; figures of a shared machine move by a quarter. tsx gives each closure its
 * name when it is made, which doubles what many short closures cost: the built package settles in half the time shown here.
 */
import { performance } from 'node:perf_hooks';
import { Instance, Service } from '../src/schemas/index.js';
import { defineController } from '../src/controller/index.js';
import { testRig, TestStore } from '../src/testing/index.js';

const gc = (globalThis as { gc?: () => void }).gc;
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number;

async function timed(count: number, work: () => Promise<void>): Promise<{ first: number; median: number }> {
  const taken: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const began = performance.now();
    await work();
    taken.push(performance.now() - began);
  }
  return { first: taken[0] as number, median: median(taken.slice(Math.min(count - 1, Math.ceil(count / 5)))) };
}

function report(title: string, ms: number, goal?: number): void {
  console.log(`${title}: ${ms.toFixed(2)} ms${goal === undefined ? '' : `   goal < ${goal} ms ${ms < goal ? 'met' : 'MISSED'}`}`);
}

const services = defineController({
  name: 'services',
  for: Service,
  owns: [Instance],
  async reconcile({ object, ensure, children, status }) {
    const { name } = object.metadata;
    for (let index = 0; index < object.spec.scale; index += 1) {
      await ensure(Instance, { metadata: { name: `${name}-${index}` }, spec: { service: name, image: object.spec.image, index } });
    }
    status({ instances: object.spec.scale, readyInstances: children(Instance).filter((each) => each.status?.phase === 'Running').length });
  },
});
const instances = defineController({
  name: 'instances',
  for: Instance,
  reconcile: ({ status }) => status({ phase: 'Running' }),
});

// What is measured is the start: opening, to the first verb's answer. Closing is measured with the rig below.
const stores: TestStore[] = [];
const store = await timed(300, async () => {
  const each = new TestStore();
  await each.opened();
  stores.push(each);
});
for (const each of stores.splice(0)) await each.close();
report('TestStore, the first', store.first);
report('TestStore, after the first', store.median, 1);

const rig = await timed(300, async () => {
  await using _ = await testRig({ controllers: [services, instances] });
});
report('rig with two controllers, opened and closed', rig.median);

const settleMs: number[] = [];
const settleCpu: number[] = [];
for (let i = 0; i < 30; i += 1) {
  await using each = await testRig({ controllers: [services, instances] });
  const began = performance.now();
  const used = process.cpuUsage();
  await each.load({ services: Array.from({ length: 50 }, (_, n) => ({ name: `s${n}`, spec: { scale: 1 } })) });
  await each.settle();
  settleMs.push(performance.now() - began);
  const { user, system } = process.cpuUsage(used);
  settleCpu.push((user + system) / 1_000);
  if ((await each.store.listInstances()).length !== 50) throw new Error('it did not converge');
}
report('rig, 100 objects (50 services, 50 instances) created and settled', median(settleMs.slice(5)), 50);
// Of this process: on a machine that others use, the wall clock says little.
report('  the same, processor time', median(settleCpu.slice(5)));

if (gc !== undefined) {
  const heap = (): number => {
    gc();
    gc();
    return process.memoryUsage().heapUsed / 1024 / 1024;
  };
  const open = async (): Promise<void> => {
    await using each = await testRig({ controllers: [services, instances], objects: { services: [{ name: 'web' }] } });
    await each.settle();
  };
  for (let i = 0; i < 100; i += 1) await open();
  const before = heap();
  for (let i = 0; i < 1_000; i += 1) await open();
  const after = heap();
  console.log(
    `heap after 1,000 more rigs: ${before.toFixed(1)} -> ${after.toFixed(1)} MiB; handles: ${process.getActiveResourcesInfo().join(', ') || 'none'}`,
  );
}
