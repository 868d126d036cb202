/**
 * The informer over 50,000 objects of about 1.1 kB: first sync, events to handlers, latency, memory, lookups. Medians of five.
 *
 * Run it with `npm run bench -- informer`; without --expose-gc the memory part is left out. The peers' figures beside ours
 * were measured on this kind of machine (client-go 0.28.2 in process; "by hand" is a Map fed with ready objects).
 * Where others share the machine the clock says more about them than about us: on Linux the time that our thread really
 * ran is printed too, and named so. @kubernetes/client-node is run beside ours where bench/peers/client-node is installed.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { App, app, decoded, deps, feedOf, listed, namespaceOf } from './_apps.js';
import { runClientNode } from './_client-node.js';
import { createInformers, type Informer, type Lister } from '../src/informer/index.js';
import { freezeJson } from '../src/schemas/index.js';
import { lmdbEngine, memoryEngine, openStore, type EngineSource, type Store, type WatchBatch } from '../src/store/index.js';

const ROUNDS = 5;
const OBJECTS = 50_000;
const gc = (globalThis as { gc?: () => void }).gc;

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
): number {
  const ran = seen.flatMap((took) => (took.ran === undefined ? [] : [of(took.ran)]));
  const middle = median(seen.map((took) => of(took.ms)));
  report(title, middle, unit, goal, { ...(ran.length === 0 ? {} : { 'by time our thread ran': median(ran) }), ...peers });
  return middle;
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
async function latency(store: Store, round: number): Promise<{ event: number[]; write: number[] }> {
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
    const object = app(i, (round + 1) * 10_000 + i);
    written = performance.now();
    await store.update(App, namespaceOf(i), `app-${i}`, object);
    await deps.scheduler.turn();
  }
  const warm = (values: number[]): number[] => values.slice(1_000).sort((a, b) => a - b);
  return { event: warm(event), write: warm(write) };
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

/** The same updates into a Map by hand: what it takes to find the object before, to compare, to put and to call. */
async function byHand(objects: number, updates: number): Promise<Took> {
  const cache = new Map<string, App>();
  for (let i = 0; i < objects; i++) cache.set(`${namespaceOf(i)}/app-${i}`, decoded(i, i + 1));
  const events = Array.from({ length: updates }, (_, i) => decoded(i % objects, objects + i + 1));
  let calls = 0;
  const onUpdate = (object: App, previous: App): void => {
    if (object !== previous) calls += 1;
  };
  gc?.();
  await setTimeout(SWEEPING_MS);
  const watch = stopwatch();
  for (const object of events) {
    const { namespace, name, resourceVersion } = object.metadata;
    const key = `${namespace}/${name}`;
    const previous = cache.get(key);
    if (previous === undefined || Number(previous.metadata.resourceVersion) >= Number(resourceVersion)) continue;
    cache.set(key, object);
    onUpdate(object, previous);
  }
  const took = watch();
  if (calls !== updates) throw new Error(`${calls} calls of ${updates}`);
  return took;
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

async function filled(engine: EngineSource): Promise<Store> {
  // A ring that holds the rounds' updates: what is measured is the feed, not the replay of the log behind it.
  const store = await openStore({ engine, deps, types: [App], ring: { events: 50_000, bytes: 2 ** 28 }, window: { bytes: 2 ** 30 } });
  await fill(store, OBJECTS);
  return store;
}

/** Where the engine shares what it holds. */
async function overMemory(): Promise<{ readonly eventsPerSecond: number; readonly p50Ms: number; readonly p99Ms: number }> {
  await using store = await filled(memoryEngine());
  const syncs = await rounds(() => firstSync(store));
  reportTimes('first sync of 50,000, memory engine', syncs, 'ms', (ms) => ms, { atMost: 300 }, { 'client-go in process': 289 });
  const eventsPerSecond = reportTimes(
    'events from the feed to a handler, memory engine',
    await feedToHandlers(store),
    '/s',
    (ms) => (UPDATES / ms) * 1_000,
    { atLeast: 300_000 },
    { 'client-go': 188_000 },
  );
  const seen: Awaited<ReturnType<typeof latency>>[] = [];
  for (let round = 0; round < ROUNDS; round++) seen.push(await latency(store, round));
  const middle = (of: 'event' | 'write', q: number): number => median(seen.map((each) => quantile(each[of], q)));
  report('event to handler, p50', middle('event', 0.5), 'ms', { atMost: 0.02 }, { 'client-go': 0.022 });
  report('event to handler, p99', middle('event', 0.99), 'ms', { atMost: 0.063 }, { 'client-go': 0.063 });
  const [p50Ms, p99Ms] = [middle('write', 0.5), middle('write', 0.99)];
  console.log(`write to handler, memory engine: p50 ${format(p50Ms)} ms, p99 ${format(p99Ms)} ms`);
  return { eventsPerSecond, p50Ms, p99Ms };
}

/** From bytes. */
async function overLmdb(path: string): Promise<{ readonly syncMs: number; readonly heapBytes: number }> {
  await using store = await filled(lmdbEngine({ path }));
  const syncMs = reportTimes(
    'first sync of 50,000, LMDB',
    await rounds(() => firstSync(store)),
    'ms',
    (ms) => ms,
    { atMost: 700 },
    { 'parsed and frozen by hand, now': await parsedByHand(store) },
  );
  if (gc === undefined) return { syncMs, heapBytes: Number.NaN };
  // Once unseen: what the syncs before left is gone then, and the code is there.
  await heapPerObject(store, false);
  const heapBytes = await heapPerObject(store, false);
  report('heap per cached object, LMDB', heapBytes, 'B', { atMost: 1_600 }, { 'a Map by hand, now': heapByHand() });
  report('the same with the label index', await heapPerObject(store, true), 'B', { atMost: 1_900 });
  return { syncMs, heapBytes };
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
const handRate = median((await rounds(() => byHand(OBJECTS, 50_000))).map(({ ms }) => (50_000 / ms) * 1_000));
reportTimes(
  'events to a handler, informer alone',
  await rounds(() => informerAlone(1, OBJECTS, 50_000)),
  '/s',
  (ms) => (50_000 / ms) * 1_000,
  { atLeast: 300_000 },
  { 'client-go': 188_000, 'by hand, now': handRate },
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

const memory = await overMemory();
const path = await mkdtemp(join(tmpdir(), 'rune-bench-'));
let lmdb: Awaited<ReturnType<typeof overLmdb>>;
try {
  lmdb = await overLmdb(path);
} finally {
  await rm(path, { recursive: true, force: true });
}

const peer = await runClientNode();
if (peer === undefined) console.log('@kubernetes/client-node: left out, run `npm install` in bench/peers/client-node');
else {
  console.log('\n| beside @kubernetes/client-node | ours | client-node | ahead |\n| --- | ---: | ---: | ---: |');
  const row = (what: string, ours: number, theirs: number, unit: string): void =>
    console.log(
      `| ${what} | ${format(ours)} ${unit} | ${format(theirs)} ${unit} | ${(unit === '/s' ? ours / theirs : theirs / ours).toFixed(1)} |`,
    );
  row('first sync of 50,000 (ours from LMDB)', lmdb.syncMs, peer.syncMs, 'ms');
  row('events to a handler', memory.eventsPerSecond, peer.eventsPerSecond, '/s');
  // Ours from the call of the write: the commit is in it.
  row('write to handler, p50', memory.p50Ms, peer.p50Ms, 'ms');
  row('write to handler, p99', memory.p99Ms, peer.p99Ms, 'ms');
  row('heap per cached object', lmdb.heapBytes, peer.heapBytes, 'B');
}
