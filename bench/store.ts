/**
 * The durable store against lmdb-js used by hand, in one run: medians of the rounds, subjects in turn on fresh directories.
 *
 * `npm run bench -- store`; options behind `--`: `rounds=5 count=20000 million=1000000 only=create,update,read,watch,paced,size`.
 * Every write here waits for fdatasync, ours and the raw ones. Figures of a shared machine move by a quarter: read the ratios.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { open } from 'lmdb';
import { Service } from '../src/schemas/index.js';
import { lmdbEngine, openStore, systemDeps } from '../src/store/index.js';
import type { Store } from '../src/store/index.js';

const options = Object.fromEntries(process.argv.slice(2).map((each) => each.split('=') as [string, string]));
const ROUNDS = Number(options['rounds'] ?? 5);
const COUNT = Number(options['count'] ?? 20_000);
const MILLION = Number(options['million'] ?? 1_000_000);
const only = options['only']?.split(',');
const wanted = (part: string): boolean => only === undefined || only.includes(part);

const spec = {
  image: 'registry.example.com/team/application:1.2.3',
  scale: 3,
  ports: [{ name: 'http', port: 80, protocol: 'TCP' as const }],
  env: Object.fromEntries(Array.from({ length: 16 }, (_, index) => [`VARIABLE_${index}`, `the value of variable number ${index}`])),
  restartPolicy: 'Always' as const,
};
const metadata = {
  labels: { app: 'application', tier: 'backend', team: 'payments' },
  annotations: { note: 'an object of about one kilobyte' },
};
// The same ids for the raw writers: time-ordered ones, so that an index by them grows at its end.
const { ids } = systemDeps();
/** What the store makes of it, for the raw writers to write the same bytes. */
const whole = (name: string): object => ({
  apiVersion: 'rune.dev/v1',
  kind: 'Service',
  metadata: { name, namespace: 'prod', uid: ids.uuid(), generation: 1, creationTimestamp: new Date().toISOString(), ...metadata },
  spec,
});

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const directory = (): Promise<string> => mkdtemp(join(tmpdir(), 'rune-bench-'));
const perSecond = (count: number, began: number): number => count / ((performance.now() - began) / 1000);

/** `writers` loops over `count` names between them. */
async function inParallel(writers: number, count: number, write: (name: string) => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let index = writer; index < count; index += writers) await write(`object-${String(index).padStart(7, '0')}`);
    }),
  );
  return perSecond(count, began);
}

const READ = 10_000;
/** One reader, five times over all objects: one time alone is over in 60 ms, which a single collection shifts. */
async function passes(read: (name: string) => Promise<unknown>): Promise<number> {
  const began = performance.now();
  for (let pass = 0; pass < 5; pass += 1) await inParallel(1, READ, read);
  return perSecond(5 * READ, began);
}

type Raw = Awaited<ReturnType<typeof openRaw>>;
/** lmdb-js by hand in its safe mode: object and log entry (and, with `index`, a uid index) in one shared commit. */
async function openRaw(index: boolean): Promise<{
  create(name: string): Promise<boolean>;
  update(name: string): Promise<boolean>;
  get(name: string): object;
  list(): readonly object[];
  close(): Promise<void>;
}> {
  const path = await directory();
  const root = open({ path, overlappingSync: false, maxDbs: 8, encoding: 'binary' });
  const objects = root.openDB({ name: 'obj', encoding: 'binary' });
  const log = root.openDB({ name: 'log', encoding: 'binary' });
  const uids = root.openDB({ name: 'uid', encoding: 'binary' });
  let revision = 0;
  const write = (verb: 'create' | 'update', name: string): Promise<boolean> => {
    const object = whole(name) as { metadata: { uid: string } };
    const bytes = Buffer.from(JSON.stringify(object));
    return root.transaction(() => {
      const key = ['service', 'prod', name];
      if (objects.doesExist(key) !== (verb === 'update')) return false;
      revision += 1;
      void objects.put(key, bytes);
      void log.put(revision, Buffer.from(JSON.stringify({ verb, key, revision })));
      if (index && verb === 'create') void uids.put(object.metadata.uid, Buffer.from(name));
      return true;
    });
  };
  return {
    create: (name) => write('create', name),
    update: (name) => write('update', name),
    get: (name) => JSON.parse((objects.getBinary(['service', 'prod', name]) as Buffer).toString()) as object,
    list: () => {
      // Held, as by whoever asked for a list: objects that die at once cost the collector next to nothing.
      const items: object[] = [];
      for (const { value } of objects.getRange({ start: ['service', 'prod'], end: ['service', 'prod', '~'] }))
        items.push(JSON.parse((value as unknown as Buffer).toString()) as object);
      return items;
    },
    close: async () => {
      await root.close();
      await rm(path, { recursive: true, force: true });
    },
  };
}

async function openOurs(): Promise<{ store: Store; close(): Promise<void> }> {
  const path = await directory();
  const store = await openStore({ engine: lmdbEngine({ path }) });
  return {
    store,
    close: async () => {
      await store.close();
      await rm(path, { recursive: true, force: true });
    },
  };
}

const create =
  (store: Store) =>
  (name: string): Promise<unknown> =>
    store.create(Service, 'prod', name, { metadata, spec });

const update =
  (store: Store) =>
  (name: string): Promise<unknown> =>
    store.update(Service, 'prod', name, { metadata, spec: { ...spec, scale: 4 } });

async function withRaw<R>(index: boolean, use: (raw: Raw) => Promise<R> | R): Promise<R> {
  const raw = await openRaw(index);
  try {
    return await use(raw);
  } finally {
    await raw.close();
  }
}
async function withOurs<R>(use: (store: Store) => Promise<R>): Promise<R> {
  const ours = await openOurs();
  try {
    return await use(ours.store);
  } finally {
    await ours.close();
  }
}

const rows: string[][] = [['what', 'ours/s', 'raw/s', 'ratio', 'goal']];
function row(what: string, ours: readonly number[], raw: readonly number[], goal: string): void {
  rows.push([
    what,
    Math.round(median(ours)).toLocaleString('en'),
    Math.round(median(raw)).toLocaleString('en'),
    (median(ours) / median(raw)).toFixed(2),
    goal,
  ]);
  process.stdout.write(`${rows.at(-1)!.join('  ')}\n`);
}
async function rounds(measure: (round: number) => Promise<readonly number[]>): Promise<number[][]> {
  const found: number[][] = [];
  for (let round = 0; round < ROUNDS; round += 1) found.push([...(await measure(round))]);
  return found[0]!.map((_, column) => found.map((each) => each[column]!));
}
/** Each subject once, one behind the other; who begins changes with the round: whoever is second finds the machine as the first left it. */
async function inTurn<R>(round: number, subjects: readonly (() => Promise<R>)[]): Promise<R[]> {
  const found: R[] = [];
  for (let index = 0; index < subjects.length; index += 1) {
    const subject = (round + index) % subjects.length;
    found[subject] = await subjects[subject]!();
  }
  return found;
}

const { child } = options;
if (child !== undefined) await measureMemory(child);

// Compiled code first: the first thousands of calls of a process are several times slower, whoever makes them.
for (let round = 0; child === undefined && round < 2; round += 1) {
  await withOurs(async (store) => {
    await inParallel(64, 6000, create(store));
    await inParallel(64, 6000, update(store));
    await inParallel(1, 6000, (name) => store.get(Service, 'prod', name));
    await store.list(Service, 'prod');
  });
  await withRaw(true, async (raw) => {
    await inParallel(64, 6000, raw.create);
    await inParallel(64, 6000, raw.update);
    await inParallel(1, 6000, async (name) => raw.get(name));
    raw.list();
  });
}

const sizes = [
  [1, '>= 0.80'],
  [16, '>= 0.70'],
  [256, '>= 0.55'],
] as const;
for (const [writers, goal] of wanted('create') ? sizes : []) {
  const count = writers === 1 ? Math.min(COUNT, 2000) : COUNT;
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const [ours, raw, same] = await rounds((round) =>
    inTurn(round, [
      () =>
        withOurs(async (store) => {
          delay.enable();
          const rate = await inParallel(writers, count, create(store));
          delay.disable();
          return rate;
        }),
      () => withRaw(false, (each) => inParallel(writers, count, each.create)),
      () => withRaw(true, (each) => inParallel(writers, count, each.create)),
    ]),
  );
  row(`create, ${writers} writers`, ours!, raw!, goal);
  row(`create, ${writers} writers, raw with the same puts`, ours!, same!, '>= 0.80');
  if (writers === 256)
    process.stdout.write(`event loop delay p99 at 256 writers: ${(delay.percentile(99) / 1e6).toFixed(1)} ms (goal under 20)\n`);
}

if (wanted('update')) {
  const [ours, raw] = await rounds((round) =>
    inTurn(round, [
      () =>
        withOurs(async (store) => {
          await inParallel(256, COUNT, create(store));
          return inParallel(256, COUNT, update(store));
        }),
      () =>
        withRaw(false, async (each) => {
          await inParallel(256, COUNT, each.create);
          return inParallel(256, COUNT, each.update);
        }),
    ]),
  );
  row('update, 256 writers', ours!, raw!, '>= 0.50');
}

if (wanted('read')) {
  const [gets, rawGets, lists, rawLists] = await rounds(async (round) => {
    const [ours, raw] = await inTurn(round, [
      () =>
        withOurs(async (store) => {
          await inParallel(256, READ, create(store));
          const rate = await passes((name) => store.get(Service, 'prod', name));
          const began = performance.now();
          const { items } = await store.list(Service, 'prod');
          return [rate, perSecond(items.length, began)] as const;
        }),
      () =>
        withRaw(false, async (each) => {
          await inParallel(256, READ, each.create);
          const rate = await passes(async (name) => each.get(name));
          const began = performance.now();
          const { length } = each.list();
          return [rate, perSecond(length, began)] as const;
        }),
    ]);
    return [ours![0], raw![0], ours![1], raw![1]];
  });
  row('get, one reader, against get + JSON.parse', gets!, rawGets!, '>= 0.80');
  row('list of 10,000, objects a second', lists!, rawLists!, '>= 0.70');
}

if (wanted('watch')) {
  const [deliveries, replays] = await rounds(async () =>
    withOurs(async (store) => {
      const writes = Math.min(COUNT, 20_000);
      const watchers = Array.from({ length: 100 }, () => store.watch(Service, 'prod'));
      const began = performance.now();
      const reading = watchers.map(async (watch) => {
        let last = 0;
        for (let seen = 0; seen < writes; seen += 1) {
          const revision = Number((await watch.next()).value!.resourceVersion);
          if (revision !== last + 1) throw new Error(`lost something between ${last} and ${revision}`);
          last = revision;
        }
      });
      await inParallel(256, writes, create(store));
      await Promise.all(reading);
      const delivered = perSecond(writes * watchers.length, began);
      await Promise.all(watchers.map((watch) => watch.close()));
      const replay = store.watch(Service, 'prod', { since: '0' });
      const again = performance.now();
      for (let seen = 0; seen < writes; seen += 1) await replay.next();
      const replayed = perSecond(writes, again);
      await replay.close();
      return [delivered, replayed];
    }),
  );
  process.stdout.write(
    `deliveries to 100 watchers at full speed: ${Math.round(median(deliveries!)).toLocaleString('en')}/s (goal 2,000,000), none lost\n`,
  );
  process.stdout.write(
    `replay of ${Math.min(COUNT, 20_000).toLocaleString('en')} events: ${Math.round(median(replays!)).toLocaleString('en')}/s (goal 100,000)\n`,
  );
}

if (wanted('paced')) await measurePaced();
if (wanted('size')) await measureSize();

/** 5,000 writes a second with and without 100 watchers: what they take from the writers, and how long an event takes. */
async function measurePaced(): Promise<void> {
  const PACE = 5000;
  const SECONDS = 6;
  const [alone, watched, writeMs, eventMs] = await rounds(async () => {
    const run = (watchers: number): Promise<{ rate: number; write: number; event: number }> =>
      withOurs(async (store) => {
        const began = new Map<string, number>();
        const writes: number[] = [];
        const events: number[] = [];
        const watches = Array.from({ length: watchers }, () => store.watch(Service, 'prod'));
        const reading = watches.map(async (watch, index) => {
          for (let seen = 0; seen < PACE * SECONDS; seen += 1) {
            const event = (await watch.next()).value!;
            if (index === watchers - 1 && event.type === 'CREATED')
              events.push(performance.now() - began.get(event.resource.metadata.name)!);
          }
        });
        const write = create(store);
        const start = performance.now();
        const writing: Promise<void>[] = [];
        for (let made = 0; made < PACE * SECONDS;) {
          const due = Math.min(PACE * SECONDS, Math.ceil(((performance.now() - start) * PACE) / 1000));
          for (; made < due; made += 1) {
            const name = `object-${String(made).padStart(7, '0')}`;
            const at = performance.now();
            began.set(name, at);
            writing.push(write(name).then(() => void writes.push(performance.now() - at)));
          }
          await sleep(1);
        }
        await Promise.all(writing);
        const rate = perSecond(PACE * SECONDS, start);
        await Promise.all(reading);
        await Promise.all(watches.map((watch) => watch.close()));
        return { rate, write: median(writes), event: events.length === 0 ? 0 : median(events) };
      });
    const first = await run(0);
    const second = await run(100);
    return [first.rate, second.rate, second.write, second.event];
  });
  row('paced 5,000 creates/s with 100 watchers, against none', watched!, alone!, '>= 0.70');
  const ratio = median(eventMs!.map((each, index) => each / writeMs![index]!));
  process.stdout.write(
    `paced: write p50 ${median(writeMs!).toFixed(2)} ms, call to event p50 ${median(eventMs!).toFixed(2)} ms, ${ratio.toFixed(2)} times (goal at most 1.15), each watcher complete\n`,
  );
}

/** A million objects: speed beside a thousand, opening, bytes on disk; memory in a process of its own. */
async function measureSize(): Promise<void> {
  const path = await directory();
  const speed = async (store: Store, prefix: string): Promise<number> =>
    inParallel(256, COUNT, (name) => store.create(Service, 'prod', `${prefix}-${name}`, { metadata, spec }));
  let store = await openStore({ engine: lmdbEngine({ path }) });
  await inParallel(256, 1000, create(store));
  const few = await speed(store, 'few');
  await inParallel(512, MILLION - COUNT - 1000, (name) => store.create(Service, 'prod', `fill-${name}`, { metadata, spec }));
  const many = await speed(store, 'many');
  row(`create, 256 writers, at ${MILLION.toLocaleString('en')} objects, against 1,000`, [many], [few], '>= 0.70');
  const object = JSON.stringify(await store.get(Service, 'prod', 'few-object-0000000')).length;
  await store.close();
  const { size } = await stat(join(path, 'data.mdb'));
  const openings: number[] = [];
  let objects = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const began = performance.now();
    store = await openStore({ engine: lmdbEngine({ path }) });
    openings.push(performance.now() - began);
    ({ objects } = await store.stats());
    await store.close();
  }
  await rm(path, { recursive: true, force: true });
  process.stdout.write(
    `open with ${objects.toLocaleString('en')} objects: ${median(openings).toFixed(0)} ms (goal under 100); file ${(size / objects).toFixed(0)} bytes an object of ${object} bytes JSON: ${(size / objects / object).toFixed(2)} times (goal under 2.5)\n`,
  );
  for (const [what, goal] of [
    ['filled', 120],
    ['listed', 250],
  ] as const) {
    const sizes = Array.from({ length: ROUNDS }, () => {
      const { stdout } = spawnSync(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), `child=${what}`]);
      return Number(stdout.toString().trimEnd().split('\n').at(-1));
    });
    process.stdout.write(`RssAnon with 100,000 objects ${what}: ${median(sizes).toFixed(0)} MB (goal under ${goal})\n`);
  }
}

/** RssAnon of a process that has filled 100,000 objects, or opened them, listed all and holds them. */
async function measureMemory(what: string): Promise<never> {
  const path = await directory();
  const store = await openStore({ engine: lmdbEngine({ path }) });
  await inParallel(256, 100_000, create(store));
  const held = what === 'listed' ? (await store.list(Service, 'prod')).items : [];
  if (held.length > 0) globalThis.gc?.();
  const anonymous = Number(/RssAnon:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? Number.NaN) / 1024;
  if (what === 'listed' && held.length !== 100_000) throw new Error(`${held.length} were listed`);
  process.stdout.write(`${anonymous}\n`);
  await store.close();
  await rm(path, { recursive: true, force: true });
  process.exit();
}

process.stdout.write(
  `\n${rows.map((cells) => cells.map((cell, column) => cell.padEnd(Math.max(...rows.map((each) => each[column]!.length)))).join('  ')).join('\n')}\n`,
);
