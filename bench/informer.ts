/**
 * The informer over 50,000 objects of about 1.1 kB: first sync, events to handlers, latency, memory, lookups. Medians of five.
 *
 * Run it with `npm run bench -- informer`; without --expose-gc the memory part is left out. The peers' figures beside ours
 * were measured on this kind of machine (client-go 0.28.2 in process; "by hand" is a Map fed with ready objects).
 * Where others share the machine the clock says more about them than about us: on Linux the time that our thread really
 * ran is printed too, and named so. bench/peers/client-node measures the same objects with @kubernetes/client-node.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { createInformers, type Informer, type Lister } from '../src/informer/index.js';
import { defineResource, freezeJson, type CachedOf } from '../src/schemas/index.js';
import {
  lmdbEngine,
  memoryEngine,
  openStore,
  systemDeps,
  type EngineSource,
  type Store,
  type Watch,
  type WatchBatch,
} from '../src/store/index.js';

const ROUNDS = 5;
const OBJECTS = 50_000;
const deps = { ...systemDeps(), logger: quietLogger() };
const gc = (globalThis as { gc?: () => void }).gc;

const App = defineResource({
  kind: 'App',
  scope: 'Namespaced',
  spec: { type: 'object', additionalProperties: true },
  status: { type: 'object', additionalProperties: true },
  history: false,
  indexes: { byNode: (app) => app.spec['node'] as string },
});
type App = CachedOf<typeof App>;

const NAMESPACES = 10;
const namespaceOf = (i: number): string => `team-${i % NAMESPACES}`;

/** A Deployment-like object; about 1.1 kB as JSON once it is stored. */
function app(
  i: number,
  replicas: number,
): {
  metadata: { labels: Record<string, string>; annotations: Record<string, string> };
  spec: Record<string, unknown>;
  status: Record<string, unknown>;
} {
  return {
    metadata: {
      labels: { app: `app-${i % 500}`, tier: i % 2 === 0 ? 'front' : 'back', version: `v${i % 20}` },
      annotations: {
        'example.dev/owner': `team-${i % 50}@example.dev`,
        'example.dev/note': `kept by the platform for app-${i}: what is changed by hand here is put back within the hour, so change the source`,
      },
    },
    spec: {
      node: `node-${i % 5_000}`,
      replicas,
      selector: { matchLabels: { app: `app-${i % 500}` } },
      template: {
        metadata: { labels: { app: `app-${i % 500}` } },
        spec: {
          containers: [
            {
              name: 'main',
              image: `registry.example.dev/team/app-${i % 500}:1.${i % 20}.0`,
              ports: [{ containerPort: 8080, protocol: 'TCP' }],
              env: [{ name: 'LOG_LEVEL', value: 'info' }],
              resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '500m', memory: '256Mi' } },
            },
          ],
          restartPolicy: 'Always',
        },
      },
    },
    status: {
      observedGeneration: 1,
      replicas: 3,
      readyReplicas: 3,
      conditions: [
        {
          type: 'Available',
          status: 'True',
          reason: 'MinimumReplicasAvailable',
          message: 'has what it needs',
          lastTransitionTime: '2026-01-01T00:00:00Z',
        },
      ],
    },
  };
}

function quietLogger(): ReturnType<typeof systemDeps>['logger'] {
  const nothing = (): void => undefined;
  const logger = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => logger };
  return logger;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number;
const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] as number;
const format = (value: number): string =>
  value >= 1_000 ? Math.round(value).toLocaleString('en-US') : value >= 10 ? value.toFixed(1) : value.toFixed(4);

function report(
  title: string,
  ours: number,
  unit: string,
  goal: { atLeast?: number; atMost?: number },
  peers: Readonly<Record<string, number>> = {},
): void {
  const bound = goal.atLeast === undefined ? `<= ${format(goal.atMost as number)}` : `>= ${format(goal.atLeast)}`;
  const met = goal.atLeast === undefined ? ours <= (goal.atMost as number) : ours >= goal.atLeast;
  const beside = Object.entries(peers).map(([name, value]) => `${name} ${format(value)}`);
  console.log(
    `${title}: ${format(ours)} ${unit}   goal ${bound} ${met ? 'met' : 'MISSED'}${beside.length === 0 ? '' : `   (${beside.join(', ')})`}`,
  );
}

/** ms that this thread has run, as Linux counts it; undefined elsewhere. */
function ranMs(): number | undefined {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  } catch {
    return undefined;
  }
}

/** How long something took: by the clock, and how much of that our thread ran. */
interface Took {
  readonly ms: number;
  readonly ran: number | undefined;
}

function stopwatch(): () => Took {
  const ranBefore = ranMs();
  const began = performance.now();
  return () => {
    const ms = performance.now() - began;
    const ranAfter = ranMs();
    return { ms, ran: ranBefore === undefined || ranAfter === undefined ? undefined : ranAfter - ranBefore };
  };
}

async function rounds(run: () => Promise<Took>): Promise<readonly Took[]> {
  const seen: Took[] = [];
  await run();
  for (let i = 0; i < ROUNDS; i++) {
    gc?.();
    seen.push(await run());
  }
  return seen;
}

/** Reports the median, by the clock, and beside it that by the time our thread ran. */
function reportTimes(
  title: string,
  seen: readonly Took[],
  unit: string,
  of: (ms: number) => number,
  goal: { atLeast?: number; atMost?: number },
  peers: Readonly<Record<string, number>> = {},
): void {
  const ran = seen.flatMap((took) => (took.ran === undefined ? [] : [of(took.ran)]));
  report(title, median(seen.map((took) => of(took.ms))), unit, goal, {
    ...(ran.length === 0 ? {} : { 'by time our thread ran': median(ran) }),
    ...peers,
  });
}

async function fill(store: Store, count: number): Promise<void> {
  for (let from = 0; from < count; from += 1_000) {
    await Promise.all(
      Array.from({ length: Math.min(1_000, count - from) }, (_, i) =>
        store.create(App, namespaceOf(from + i), `app-${from + i}`, app(from + i, 1)),
      ),
    );
  }
}

/** From `start()` until a handler was told everything. */
async function firstSync(store: Store): Promise<Took> {
  await using informers = createInformers({ store });
  const apps = informers.for(App);
  let told = 0;
  const handle = apps.addHandler({ onAdd: () => void (told += 1) });
  const watch = stopwatch();
  informers.start();
  await handle.whenSynced();
  const took = watch();
  if (told !== OBJECTS) throw new Error(`told ${told} of ${OBJECTS}`);
  return took;
}

const UPDATES = 20_000;
const SWEEPING_MS = 500;

/** Updates that waited in the feed, from the informer's start to the last handler call. */
async function feedToHandlers(store: Store): Promise<readonly Took[]> {
  // Somebody else watches, as in any process with two informers: without, nothing is kept in the feed while ours is stopped.
  await using _ = store.watch(App);
  await using informers = createInformers({ store });
  const apps = informers.for(App);
  let told = 0;
  let done: () => void = () => undefined;
  let goal = Number.POSITIVE_INFINITY;
  apps.addHandler({
    onUpdate: () => {
      told += 1;
      if (told === goal) done();
    },
  });
  informers.start();
  await apps.whenSynced();
  const seen: Took[] = [];
  for (let round = 0; round < ROUNDS + 1; round++) {
    await informers.stop();
    for (let from = 0; from < UPDATES; from += 1_000) {
      await Promise.all(
        Array.from({ length: 1_000 }, (_, i) => store.update(App, namespaceOf(from + i), `app-${from + i}`, app(from + i, round + 2))),
      );
    }
    told = 0;
    goal = UPDATES;
    const finished = new Promise<void>((resolve) => (done = resolve));
    gc?.();
    // The collector goes on sweeping on threads of its own, which on two cores would take a third of what is measured.
    await setTimeout(SWEEPING_MS);
    const watch = stopwatch();
    informers.start();
    await finished;
    const took = watch();
    if (round > 0) seen.push(took);
  }
  return seen;
}

/** From the moment the watch hands an event out to the handler's call, and from the write's call to the handler's; ms, sorted. */
async function latency(store: Store): Promise<{ event: number[]; write: number[] }> {
  const event: number[] = [];
  const write: number[] = [];
  let handedOut = 0;
  let written = 0;
  const stamped = {
    deps: store.deps,
    watch: (...args: Parameters<Store['watch']>) => {
      const watch = store.watch(...args);
      const batches = watch.batches.bind(watch);
      watch.batches = () => {
        const inner = batches();
        return {
          [Symbol.asyncIterator]() {
            return this;
          },
          next: () =>
            inner.next().then((result) => {
              handedOut = performance.now();
              return result;
            }),
          return: () => inner.return?.() ?? Promise.resolve({ done: true, value: undefined }),
        };
      };
      return watch;
    },
  } as unknown as Store;
  await using informers = createInformers({ store: stamped });
  const apps = informers.for(App);
  apps.addHandler({
    onUpdate: () => {
      const now = performance.now();
      event.push(now - handedOut);
      write.push(now - written);
    },
  });
  informers.start();
  await apps.whenSynced();
  for (let i = 0; i < 6_000; i++) {
    const object = app(i, 1_000 + i);
    written = performance.now();
    await store.update(App, namespaceOf(i), `app-${i}`, object);
    await deps.scheduler.turn();
  }
  const warm = (values: number[]): number[] => values.slice(1_000).sort((a, b) => a - b);
  return { event: warm(event), write: warm(write) };
}

/** A feed that holds ready batches: the informer alone, without a store behind it. */
function feedOf(batches: () => Generator<WatchBatch<App>>): Store {
  const watch = (): Watch<App> => {
    const source = batches();
    let close: () => void = () => undefined;
    const closed = new Promise<IteratorResult<WatchBatch<App>>>((resolve) => {
      close = () => resolve({ done: true, value: undefined });
    });
    return {
      progress: '0',
      onProgress: () => () => undefined,
      close: () => Promise.resolve(close()),
      batches: () => ({
        [Symbol.asyncIterator]() {
          return this;
        },
        next: () => {
          const next = source.next();
          // At its end a feed is silent, as a store's is.
          return next.done === true ? closed : Promise.resolve(next);
        },
        return: () => Promise.resolve({ done: true, value: undefined }),
      }),
    } as unknown as Watch<App>;
  };
  return { deps, watch } as unknown as Store;
}

function decoded(i: number, rv: number): App {
  const object = {
    apiVersion: 'rune.dev/v1',
    kind: 'App',
    ...app(i, rv),
  };
  const whole = {
    ...object,
    metadata: {
      name: `app-${i}`,
      namespace: namespaceOf(i),
      uid: `5f0e8c1e-0000-4000-8000-${String(i).padStart(12, '0')}`,
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...object.metadata,
      resourceVersion: String(rv),
    },
  };
  // Through text, as an engine that keeps bytes would give it.
  return freezeJson(JSON.parse(JSON.stringify(whole)));
}

function* listed(count: number): Generator<WatchBatch<App>> {
  for (let from = 0; from < count; from += 500) {
    const events = Array.from({ length: Math.min(500, count - from) }, (_, i) => {
      const resource = decoded(from + i, from + i + 1);
      const { name, namespace, resourceVersion } = resource.metadata;
      return {
        type: 'CREATED' as const,
        resourceType: 'app',
        namespace: namespace as string,
        name,
        resourceVersion,
        resume: 'initial',
        resource,
        initial: true as const,
      };
    });
    yield { resourceVersion: String(count), resume: 'initial', events };
  }
  const end = { resourceVersion: String(count), resume: String(count) };
  yield { ...end, events: [{ type: 'BOOKMARK', resourceType: 'app', ...end }] };
}

/** Updates that are ready, a revision each, through the informer alone to `handlers` handlers. */
async function informerAlone(handlers: number, objects: number, updates: number): Promise<Took> {
  let release: () => void = () => undefined;
  let done: () => void = () => undefined;
  const before = Array.from({ length: objects }, (_, i) => decoded(i, i + 1));
  const batches: WatchBatch<App>[] = Array.from({ length: updates }, (_, i) => {
    const resource = decoded(i % objects, objects + i + 1);
    const { name, namespace, resourceVersion } = resource.metadata;
    const base = { resourceType: 'app', namespace: namespace as string, name, resourceVersion, resume: resourceVersion };
    return {
      resourceVersion,
      resume: resourceVersion,
      events: [{ type: 'UPDATED', ...base, resource, previous: before[i % objects] as App }],
    };
  });
  function* feed(): Generator<WatchBatch<App>> {
    yield* listed(objects);
    release();
    yield* batches;
  }
  await using informers = createInformers({ store: feedOf(feed), deps });
  const apps = informers.for(App);
  let calls = 0;
  for (let i = 0; i < handlers; i++) {
    apps.addHandler({
      onUpdate: () => {
        calls += 1;
        if (calls === updates * handlers) done();
      },
    });
  }
  let watch = stopwatch();
  const finished = new Promise<void>((resolve) => (done = resolve));
  release = () => {
    gc?.();
    watch = stopwatch();
  };
  informers.start();
  await finished;
  return watch();
}

/** Heap bytes for each cached object, its own JavaScript included. */
async function heapPerObject(store: Store, labelIndex: boolean): Promise<number> {
  gc?.();
  gc?.();
  const before = process.memoryUsage().heapUsed;
  await using informers = createInformers({ store, deps });
  const apps = informers.for(App, { labelIndex });
  informers.start();
  await apps.whenSynced();
  await deps.scheduler.turn();
  gc?.();
  gc?.();
  const used = process.memoryUsage().heapUsed - before;
  if (apps.size !== OBJECTS) throw new Error(`${apps.size} objects are cached, not ${OBJECTS}`);
  return used / OBJECTS;
}

/** The same for a Map by hand. */
function heapByHand(): number {
  gc?.();
  gc?.();
  const before = process.memoryUsage().heapUsed;
  const map = new Map<string, App>();
  for (let i = 0; i < OBJECTS; i++) map.set(`${namespaceOf(i)}/app-${i}`, decoded(i, i + 1));
  gc?.();
  gc?.();
  const used = process.memoryUsage().heapUsed - before;
  if (map.size !== OBJECTS) throw new Error('not all is there');
  return used / OBJECTS;
}

/** ns for a lookup that finds ten objects, by index, by label, and in a snapshot. */
async function lookups(objects: number): Promise<{ index: number; label: number; snapshot: number }> {
  function* feed(): Generator<WatchBatch<App>> {
    yield* listed(objects);
  }
  await using informers = createInformers({ store: feedOf(feed), deps });
  const perValue = objects / 10;
  const apps: Informer<typeof App, 'byNode' | 'byTenth', App> = informers.for(App, {
    indexes: { byTenth: (each) => String(Number(each.metadata.name.slice(4)) % perValue) },
    labelIndex: true,
  });
  informers.start();
  await apps.whenSynced();
  const time = (run: (i: number) => readonly App[]): number => {
    const times: number[] = [];
    for (let round = 0; round < ROUNDS + 1; round++) {
      const began = performance.now();
      let found = 0;
      for (let i = 0; i < 20_000; i++) found += run(i).length;
      if (found === 0) throw new Error('nothing found');
      times.push(((performance.now() - began) / 20_000) * 1e6);
    }
    return median(times.slice(1));
  };
  const read = (lister: Lister<App, 'byTenth'>) => (i: number) => lister.byIndex('byTenth', String(i % perValue));
  const index = time(read(apps));
  const snapshot = time(read(apps.snapshot()));
  const label = time((i) => apps.list({ namespace: 'team-0', labelSelector: `app=app-${(i % 50) * 10}` }).slice(0, 10));
  return { index, label: label / Math.max(1, objects / 500 / 10), snapshot };
}

/** What no sync from bytes can go below: the same objects parsed and frozen by hand, and held; ms. */
async function parsedByHand(store: Store): Promise<number> {
  const texts = (await store.list(App)).items.map((object) => JSON.stringify(object));
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    gc?.();
    const began = performance.now();
    const held = texts.map((text) => freezeJson(JSON.parse(text) as App));
    times.push(performance.now() - began);
    if (held.length !== OBJECTS) throw new Error('not all is there');
  }
  return median(times);
}

async function overEngine(name: string, engine: EngineSource, goals: { readonly sync: number }): Promise<void> {
  // A ring that holds the rounds' updates: what is measured is the feed, not the replay of the log behind it.
  const store = await openStore({ engine, deps, types: [App], ring: { events: 50_000, bytes: 2 ** 28 }, window: { bytes: 2 ** 30 } });
  try {
    await fill(store, OBJECTS);
    reportTimes(
      `first sync of 50,000, ${name}`,
      await rounds(() => firstSync(store)),
      'ms',
      (ms) => ms,
      { atMost: goals.sync },
      {
        'client-go in process': 289,
        'by hand': 631,
        ...(name === 'memory engine' ? {} : { 'parsed and frozen by hand, now': await parsedByHand(store) }),
      },
    );
    if (name !== 'memory engine') {
      if (gc === undefined) return;
      // Once unseen: what the syncs before left is gone then, and the code is there.
      await heapPerObject(store, false);
      report(
        `heap per cached object, ${name}`,
        await heapPerObject(store, false),
        'B',
        { atMost: 1_600 },
        { 'client-node raw': 1_570, 'a Map by hand, now': heapByHand() },
      );
      report(`the same with the label index`, await heapPerObject(store, true), 'B', { atMost: 1_900 });
      return;
    }
    reportTimes(
      'events from the feed to a handler, memory engine',
      await feedToHandlers(store),
      '/s',
      (ms) => (UPDATES / ms) * 1_000,
      { atLeast: 300_000 },
      { 'client-go': 188_000, 'by hand': 723_000 },
    );
    const { event, write } = await latency(store);
    report('event to handler, p50', quantile(event, 0.5), 'ms', { atMost: 0.02 }, { 'client-go': 0.022 });
    report('event to handler, p99', quantile(event, 0.99), 'ms', { atMost: 0.063 }, { 'client-go': 0.063 });
    console.log(`write to handler, memory engine: p50 ${format(quantile(write, 0.5))} ms, p99 ${format(quantile(write, 0.99))} ms`);
  } finally {
    await store.close();
  }
}

const bytes = JSON.stringify(decoded(12_345, 67_890)).length;
console.log(`${OBJECTS.toLocaleString('en-US')} objects of ${bytes} bytes JSON; medians of ${ROUNDS}`);

if (gc === undefined) console.log('memory: left out, run with --expose-gc');
else {
  await heapPerObject(
    feedOf(() => listed(OBJECTS)),
    false,
  );
  const handed = await heapPerObject(
    feedOf(() => listed(OBJECTS)),
    false,
  );
  console.log(
    `heap per object that somebody else made and handed over: ${format(handed)} B (a Map by hand, now ${format(heapByHand())} B)`,
  );
}
reportTimes(
  'events to a handler, informer alone',
  await rounds(() => informerAlone(1, OBJECTS, 50_000)),
  '/s',
  (ms) => (50_000 / ms) * 1_000,
  { atLeast: 300_000 },
  { 'client-go': 188_000, 'by hand': 723_000 },
);
reportTimes(
  'handler calls with 1,000 handlers',
  await rounds(() => informerAlone(1_000, 1_000, 2_000)),
  '/s',
  (ms) => (2_000_000 / ms) * 1_000,
  { atLeast: 300_000 },
);

const small = await lookups(1_000);
const large = await lookups(100_000);
console.log(
  `index lookup of ten: ${format(small.index)} ns at 1,000 objects, ${format(large.index)} ns at 100,000; in a snapshot ${format(small.snapshot)} and ${format(large.snapshot)} ns`,
);
// The same work at any size; what is left of a difference is memory that no cache of the processor holds. A scan would be 100.
report('index lookup, 100,000 objects over 1,000', large.index / small.index, 'times', { atMost: 5 });

await overEngine('memory engine', memoryEngine(), { sync: 300 });
const path = await mkdtemp(join(tmpdir(), 'rune-bench-'));
try {
  await overEngine('LMDB', lmdbEngine({ path }), { sync: 700 });
} finally {
  await rm(path, { recursive: true, force: true });
}
