/**
 * Controllers, from the push of a key or the commit of a change to the run of the reconciler: medians of five rounds beside
 * the goal and, where there is one, controller-runtime's figure on the same kind of machine.
 *
 * Run it with `npm run bench -- controller`. `-- --only=noop,start,burst,latency` picks parts, `--rounds=3` shortens it, `--cpu=1`
 * adds figures by processor time. Figures of a shared machine move by a quarter, and of a busy one by far more.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createManager, createPushSource, defineController } from '../src/controller/index.js';
import { createInformers } from '../src/informer/index.js';
import { defineResource } from '../src/schemas/index.js';
import { lmdbEngine, memoryEngine, openStore, type Store } from '../src/store/index.js';

const argument = (name: string): string | undefined => process.argv.find((each) => each.startsWith(`--${name}=`))?.slice(name.length + 3);
const ROUNDS = Number(argument('rounds') ?? 5);
const only = argument('only')?.split(',');
const wanted = (part: string): boolean => only === undefined || only.includes(part);
const collect = (globalThis as { gc?: () => void }).gc;

const Widget = defineResource({
  kind: 'Widget',
  spec: { type: 'object', additionalProperties: true, properties: { size: { type: 'integer', default: 1 } } },
  status: { type: 'object', properties: { seen: { type: 'integer' } } },
  history: false,
});
/** About 1.1 kB of JSON, like a Deployment. */
const filler = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`field${i}`, `value ${i} `.repeat(6)]));
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error: console.error, child: () => silent };

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number;
const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] as number;

function line(what: string, got: string, goal: string, met: boolean, peer: string): void {
  process.stdout.write(
    `${met ? 'ok  ' : 'MISS'} ${what.padEnd(58)} ${got.padStart(16)}   goal ${goal.padEnd(14)} ${peer === '' ? '' : `controller-runtime ${peer}`}\n`,
  );
}
const perSecond = (value: number): string => `${Math.round(value).toLocaleString('en-US')}/s`;

async function fill(store: Store, count: number): Promise<void> {
  for (let from = 0; from < count; from += 5000) {
    const writes: Promise<unknown>[] = [];
    for (let i = from; i < Math.min(count, from + 5000); i += 1)
      writes.push(store.create(Widget, 'prod', `w${i}`, { spec: { ...filler, size: 1 } }));
    await Promise.all(writes);
  }
}

type Kind = 'memory' | 'lmdb';
/** A store with objects in it; `open` opens it (again, with LMDB). */
async function prepared(kind: Kind, count: number): Promise<{ open(): Promise<Store>; remove(): Promise<void> }> {
  if (kind === 'memory') {
    const store = await openStore({ engine: memoryEngine(), types: [Widget] });
    await fill(store, count);
    return { open: async () => store, remove: () => store.close() };
  }
  const path = await mkdtemp(join(tmpdir(), 'rune-bench-controller-'));
  const store = await openStore({ engine: lmdbEngine({ path }), types: [Widget] });
  await fill(store, count);
  await store.close();
  const opened: Store[] = [];
  return {
    open: async () => {
      const again = await openStore({ engine: lmdbEngine({ path }), types: [Widget] });
      opened.push(again);
      return again;
    },
    remove: async () => {
      for (const each of opened) await each.close();
      await rm(path, { recursive: true, force: true });
    },
  };
}

async function noop(): Promise<void> {
  const KEYS = 100_000;
  const store = await openStore({ engine: memoryEngine(), types: [Widget] });
  for (let from = 0; from < KEYS; from += 5000) {
    await Promise.all(Array.from({ length: 5000 }, (_, i) => store.create(Widget, 'prod', `w${from + i}`, { spec: { size: 1 } })));
  }
  const keys = Array.from({ length: KEYS }, (_, i) => `prod/w${i}`);
  for (const concurrency of [1, 16]) {
    const source = createPushSource('bench');
    let left = 0;
    let finished: () => void = () => {};
    const count = (): void => {
      left -= 1;
      if (left === 0) finished();
    };
    const controller = defineController({
      name: `noop-${concurrency}`,
      for: Widget,
      concurrency,
      sources: [source],
      async reconcile() {
        count();
      },
    });
    const manager = createManager({ store, controllers: [controller], logger: silent });
    const rates: number[] = [];
    const perCpu: number[] = [];
    const wait = (): Promise<void> =>
      new Promise((resolve) => {
        left = KEYS;
        finished = resolve;
      });
    const first = wait();
    await manager.start();
    await first;
    for (let round = 0; round <= ROUNDS; round += 1) {
      collect?.();
      const done = wait();
      const cpu = process.cpuUsage();
      const began = performance.now();
      for (const key of keys) source.push(key, { reason: 'bench' });
      await done;
      const { user, system } = process.cpuUsage(cpu);
      if (round > 0) {
        rates.push(KEYS / ((performance.now() - began) / 1000));
        perCpu.push(KEYS / ((user + system) / 1e6));
      }
    }
    // On a machine that is shared this says what a core of its own would do, collector threads counted in.
    if (argument('cpu') !== undefined) process.stdout.write(`     by processor time: ${perSecond(median(perCpu))}\n`);
    line(
      `no-op reconciles, 100,000 pushed keys, ${concurrency} workers`,
      perSecond(median(rates)),
      '250,000/s',
      median(rates) >= 250_000,
      concurrency === 1 ? '220,000/s' : '239,000/s',
    );
    await manager.stop();
  }
  await store.close();
}

async function start(kind: Kind): Promise<void> {
  const OBJECTS = 50_000;
  const goal = kind === 'memory' ? 1000 : 2000;
  const place = await prepared(kind, OBJECTS);
  const times: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    const store = await place.open();
    let left = OBJECTS;
    let finished: () => void = () => {};
    const done = new Promise<void>((resolve) => (finished = resolve));
    const controller = defineController({
      name: 'starting',
      for: Widget,
      concurrency: 16,
      async reconcile() {
        left -= 1;
        if (left === 0) finished();
      },
    });
    const manager = createManager({ store, controllers: [controller], logger: silent });
    collect?.();
    const began = performance.now();
    await manager.start();
    await done;
    if (round > 0) times.push(performance.now() - began);
    await manager.stop();
  }
  await place.remove();
  line(
    `start to the last of 50,000 first reconciles, ${kind}`,
    `${median(times).toFixed(0)} ms`,
    `${goal} ms`,
    median(times) < goal,
    '4,412 ms (over HTTP)',
  );
}

async function burst(kind: Kind): Promise<void> {
  const CHANGES = 20_000;
  const goal = kind === 'memory' ? 25_000 : 15_000;
  const place = await prepared(kind, CHANGES);
  const store = await place.open();
  let left = CHANGES;
  let size = 1;
  let finished: () => void = () => {};
  const controller = defineController({
    name: 'bursting',
    for: Widget,
    concurrency: 16,
    async reconcile({ object }) {
      if (object.spec.size !== size) return;
      left -= 1;
      if (left === 0) finished();
    },
  });
  const manager = createManager({ store, controllers: [controller], logger: silent });
  const first = new Promise<void>((resolve) => (finished = resolve));
  await manager.start();
  await first;
  const rates: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    collect?.();
    left = CHANGES;
    size += 1;
    const done = new Promise<void>((resolve) => (finished = resolve));
    const began = performance.now();
    const writes: Promise<unknown>[] = [];
    for (let i = 0; i < CHANGES; i += 1) writes.push(store.patch(Widget, 'prod', `w${i}`, { spec: { size } }));
    await Promise.all(writes);
    await done;
    if (round > 0) rates.push(CHANGES / ((performance.now() - began) / 1000));
  }
  await manager.stop();
  await place.remove();
  line(
    `burst of 20,000 changes, written to last reconcile, ${kind}`,
    perSecond(median(rates)),
    perSecond(goal),
    median(rates) >= goal,
    '11,400/s (events, over HTTP)',
  );
}

async function latency(): Promise<void> {
  const KEYS = 1000;
  const RATE = 5000;
  const SECONDS = 4;
  const place = await prepared('memory', KEYS);
  const store = await place.open();
  const informers = createInformers({ store });
  const heard = new Map<string, number>();
  const waits: number[] = [];
  const observed = informers.for(Widget);
  // Added first, so it is told first: the moment at which the event arrives.
  observed.addHandler({
    onUpdate: (object) => void (heard.has(object.metadata.name) || heard.set(object.metadata.name, performance.now())),
  });
  let measuring = false;
  const controller = defineController({
    name: 'latency',
    for: Widget,
    async reconcile({ object }) {
      const at = heard.get(object.metadata.name);
      if (at === undefined) return;
      heard.delete(object.metadata.name);
      if (measuring) waits.push(performance.now() - at);
    },
  });
  const manager = createManager({ store, informers, controllers: [controller], logger: silent });
  await manager.start();
  await new Promise((resolve) => setTimeout(resolve, 300));
  let n = 0;
  const began = performance.now();
  while (performance.now() - began < (SECONDS + 1) * 1000) {
    measuring = performance.now() - began > 1000;
    const due = Math.floor(((performance.now() - began) / 1000) * RATE);
    while (n < due) {
      void store.patch(Widget, 'prod', `w${n % KEYS}`, { spec: { size: n } });
      n += 1;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setTimeout(resolve, 300));
  await manager.stop();
  await informers[Symbol.asyncDispose]();
  await place.remove();
  const sorted = waits.toSorted((a, b) => a - b);
  const [p50, p99] = [quantile(sorted, 0.5), quantile(sorted, 0.99)];
  line(`event to start of reconcile, 5,000/s over 1,000 keys, p50`, `${p50.toFixed(3)} ms`, '0.1 ms', p50 < 0.1, '');
  line(`the same, p99 (${sorted.length} runs)`, `${p99.toFixed(3)} ms`, '5 ms', p99 < 5, '');
}

if (wanted('noop')) await noop();
for (const kind of ['memory', 'lmdb'] as const) if (wanted('start')) await start(kind);
for (const kind of ['memory', 'lmdb'] as const) if (wanted('burst')) await burst(kind);
if (wanted('latency')) await latency();
