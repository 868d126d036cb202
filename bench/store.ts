/**
 * The durable store against lmdb-js used by hand, in one run: medians of the rounds, subjects in turn on fresh directories.
 *
 * `npm run bench -- store`; options behind `--`: `rounds=5 count=20000`. Every write here waits for fdatasync, ours and the
 * raw ones. Figures of a shared machine move by a quarter: read the ratios.
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { open } from 'lmdb';
import { Service } from '../src/schemas/index.js';
import { lmdbEngine, openStore } from '../src/store/index.js';
import type { Store } from '../src/store/index.js';

const options = Object.fromEntries(process.argv.slice(2).map((each) => each.split('=') as [string, string]));
const ROUNDS = Number(options['rounds'] ?? 5);
const COUNT = Number(options['count'] ?? 20_000);

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
/** What the store makes of it, for the raw writers to write the same bytes. */
const whole = (name: string): object => ({
  apiVersion: 'rune.dev/v1',
  kind: 'Service',
  metadata: { name, namespace: 'prod', uid: randomUUID(), generation: 1, creationTimestamp: new Date().toISOString(), ...metadata },
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

type Raw = Awaited<ReturnType<typeof openRaw>>;
/** lmdb-js by hand in its safe mode: object and log entry (and, with `index`, a uid index) in one shared commit. */
async function openRaw(
  index: boolean,
): Promise<{ create(name: string): Promise<boolean>; get(name: string): object; list(): number; close(): Promise<void> }> {
  const path = await directory();
  const root = open({ path, overlappingSync: false, maxDbs: 8, encoding: 'binary' });
  const objects = root.openDB({ name: 'obj', encoding: 'binary' });
  const log = root.openDB({ name: 'log', encoding: 'binary' });
  const uids = root.openDB({ name: 'uid', encoding: 'binary' });
  let revision = 0;
  return {
    create: (name) => {
      const object = whole(name) as { metadata: { uid: string } };
      const bytes = Buffer.from(JSON.stringify(object));
      return root.transaction(() => {
        if (objects.doesExist(['service', 'prod', name])) return false;
        revision += 1;
        void objects.put(['service', 'prod', name], bytes);
        void log.put(revision, Buffer.from(JSON.stringify({ verb: 'create', key: ['service', 'prod', name], revision })));
        if (index) void uids.put(object.metadata.uid, Buffer.from(name));
        return true;
      });
    },
    get: (name) => JSON.parse((objects.getBinary(['service', 'prod', name]) as Buffer).toString()) as object,
    list: () => {
      let count = 0;
      for (const { value } of objects.getRange({ start: ['service', 'prod'], end: ['service', 'prod', '~'] })) {
        JSON.parse((value as unknown as Buffer).toString());
        count += 1;
      }
      return count;
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
  const ratios = ours.map((each, index) => each / raw[index]!);
  rows.push([
    what,
    Math.round(median(ours)).toLocaleString('en'),
    Math.round(median(raw)).toLocaleString('en'),
    median(ratios).toFixed(2),
    goal,
  ]);
  process.stdout.write(`${rows.at(-1)!.join('  ')}\n`);
}
async function rounds(measure: () => Promise<readonly number[]>): Promise<number[][]> {
  const found: number[][] = [];
  for (let round = 0; round < ROUNDS; round += 1) found.push([...(await measure())]);
  return found[0]!.map((_, column) => found.map((each) => each[column]!));
}

// Compiled code first: the first thousand writes of a process are several times slower, whoever makes them.
await withOurs((store) => inParallel(64, 3000, create(store)));
await withRaw(true, (raw) => inParallel(64, 3000, raw.create));

for (const [writers, goal] of [
  [1, '>= 0.80'],
  [16, '>= 0.70'],
  [256, '>= 0.55'],
] as const) {
  const count = writers === 1 ? Math.min(COUNT, 2000) : COUNT;
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const [ours, raw, same] = await rounds(async () => {
    const first = await withOurs(async (store) => {
      delay.enable();
      const rate = await inParallel(writers, count, create(store));
      delay.disable();
      return rate;
    });
    return [
      first,
      await withRaw(false, (each) => inParallel(writers, count, each.create)),
      await withRaw(true, (each) => inParallel(writers, count, each.create)),
    ];
  });
  row(`create, ${writers} writers`, ours!, raw!, goal);
  row(`create, ${writers} writers, raw with the same puts`, ours!, same!, '>= 0.80');
  if (writers === 256)
    process.stdout.write(`event loop delay p99 at 256 writers: ${(delay.percentile(99) / 1e6).toFixed(1)} ms (goal under 20)\n`);
}

{
  const [ours, raw] = await rounds(async () => {
    const updates = await withOurs(async (store) => {
      await inParallel(256, COUNT, create(store));
      return inParallel(256, COUNT, (name) => store.update(Service, 'prod', name, { metadata, spec: { ...spec, scale: 4 } }));
    });
    const base = await withRaw(false, (each) => inParallel(256, COUNT, each.create));
    return [updates, base];
  });
  row('update, 256 writers, against raw creates', ours!, raw!, '>= 0.50');
}

{
  const [gets, rawGets, lists, rawLists] = await rounds(async () => {
    const [get, list] = await withOurs(async (store) => {
      await inParallel(256, 10_000, create(store));
      const rate = await inParallel(1, 10_000, (name) => store.get(Service, 'prod', name));
      const began = performance.now();
      const { items } = await store.list(Service, 'prod');
      return [rate, items.length / ((performance.now() - began) / 1000)];
    });
    const [rawGet, rawList] = await withRaw(false, async (raw) => {
      await inParallel(256, 10_000, raw.create);
      const rate = await inParallel(1, 10_000, async (name) => raw.get(name));
      const began = performance.now();
      const found = raw.list();
      return [rate, found / ((performance.now() - began) / 1000)];
    });
    return [get, rawGet, list, rawList];
  });
  row('get, one reader, against get + JSON.parse', gets!, rawGets!, '>= 0.80');
  row('list of 10,000, objects a second', lists!, rawLists!, '>= 0.70');
}

{
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

process.stdout.write(
  `\n${rows.map((cells) => cells.map((cell, column) => cell.padEnd(Math.max(...rows.map((each) => each[column]!.length)))).join('  ')).join('\n')}\n`,
);
