/**
 * The work queue against p-queue and a keyed queue written by hand, in one run: medians of five rounds, peers in turn.
 *
 * Run it with `node --expose-gc --import tsx bench/queue.ts`; without --expose-gc the memory part is left out.
 * Figures of a shared machine move by a quarter and more: read the ratios, and the rate by CPU time, which leaves out
 * what others took (and counts the helper threads of garbage collection and compilation in).
 */
import { availableParallelism, loadavg } from 'node:os';
import { performance } from 'node:perf_hooks';
import PQueue from 'p-queue';
import { createMetrics } from '../src/controller/metrics/index.js';
import { createSlots, createWorkQueue, runWorkers, type WorkQueue, type WorkQueueOptions } from '../src/controller/queue/index.js';
import { systemDeps } from '../src/store/index.js';

const ROUNDS = 5;
const WAITING = 100_000;
const deps = systemDeps();
const keysOf = (count: number): string[] => Array.from({ length: count }, (_, index) => `prod/service-${index}`);
const keys = keysOf(WAITING);
const thousand = keys.slice(0, 1000);
const gc = (globalThis as { gc?: () => void }).gc;

/** What a keyed queue is at its least: each key waits once, is with one worker, runs again when it was added meanwhile. */
class ByHand {
  readonly #dirty = new Set<string>();
  readonly #held = new Set<string>();
  #ring: string[] = [];
  #head = 0;

  add(key: string): void {
    if (this.#dirty.has(key)) return;
    this.#dirty.add(key);
    if (!this.#held.has(key)) this.#ring.push(key);
  }

  take(): string | undefined {
    if (this.#head === this.#ring.length) return undefined;
    const key = this.#ring[this.#head] as string;
    this.#head += 1;
    if (this.#head === this.#ring.length) {
      this.#ring = [];
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#ring.length) {
      this.#ring = this.#ring.slice(this.#head);
      this.#head = 0;
    }
    this.#held.add(key);
    this.#dirty.delete(key);
    return key;
  }

  done(key: string): void {
    this.#held.delete(key);
    if (this.#dirty.has(key)) this.#ring.push(key);
  }
}

/** Operations a second, by the clock and by the CPU time of the process. */
interface Rate {
  readonly wall: number;
  readonly cpu: number;
}

type Subject = () => Promise<Rate>;

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number;

/**
 * Medians of the rounds for each subject, taking turns: every other round backwards, or the same one would always run in
 * what p-queue leaves behind, a heap that has just shrunk by 100,000 promises and has to grow again.
 */
async function rates<Name extends string>(subjects: Readonly<Record<Name, Subject>>): Promise<Record<Name, Rate>> {
  const names = Object.keys(subjects) as Name[];
  const seen = new Map<Name, Rate[]>();
  for (const name of names) {
    seen.set(name, []);
    await subjects[name]();
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      gc?.();
      seen.get(name)?.push(await subjects[name]());
    }
  }
  const middle = (of: readonly Rate[]): Rate => ({ wall: median(of.map(({ wall }) => wall)), cpu: median(of.map(({ cpu }) => cpu)) });
  return Object.fromEntries(names.map((name) => [name, middle(seen.get(name) ?? [])])) as Record<Name, Rate>;
}

const format = (value: number): string => (value >= 1000 ? Math.round(value).toLocaleString('en-US') : value.toFixed(1));

interface Goal {
  readonly atLeast?: number;
  readonly atMost?: number;
}

function report(title: string, ours: number, goal: Goal, peers: Readonly<Record<string, number>>, unit: string, note = ''): void {
  const { atLeast, atMost = Infinity } = goal;
  const bound = atLeast === undefined ? `<= ${format(atMost)}` : `>= ${format(atLeast)}`;
  const met = atLeast === undefined ? ours <= atMost : ours >= atLeast;
  console.log(`${title}: ${format(ours)}${unit}${note}   goal ${bound}${unit} ${met ? 'met' : 'MISSED'}`);
  for (const [name, value] of Object.entries(peers))
    console.log(`    ${name}: ${format(value)}${unit}   ratio ${(ours / value).toFixed(2)}`);
}

function reportRates(title: string, seen: Readonly<Record<string, Rate>>, atLeast: number): void {
  const { ours, ...peers } = seen;
  if (ours === undefined) return;
  const note = ` (${format(ours.cpu)} per CPU second)`;
  report(title, ours.wall, { atLeast }, Object.fromEntries(Object.entries(peers).map(([name, { wall }]) => [name, wall])), '/s', note);
}

/** The rate of `operations` done by `work`. */
async function timed(operations: number, work: () => void | Promise<void>): Promise<Rate> {
  const cpuStart = process.cpuUsage();
  const start = performance.now();
  await work();
  const wall = performance.now() - start;
  const { user, system } = process.cpuUsage(cpuStart);
  return { wall: (operations * 1000) / wall, cpu: (operations * 1e6) / (user + system) };
}

const fresh = (options: WorkQueueOptions = {}): WorkQueue => createWorkQueue({ deps, ...options });
const noop = (): void => {};

/**
 * One of each subject that lives as long as the run, as the queues of a process do. Without them the collection between
 * two rounds takes the last object of each class, V8 throws the compiled code away with it, and every round begins with
 * an interpreter that warms up: a third of its time and more. Ours and the peers are kept alike.
 */
async function keepOneOfEach(): Promise<readonly unknown[]> {
  const queue = fresh({ metrics: createMetrics(), name: 'kept' });
  const slots = createSlots();
  const workers = runWorkers(queue, slots, { deps, handle: noop });
  for (const key of thousand) queue.add(key, { priority: 1, cause: 'warm' });
  for (const key of thousand) queue.addAfter(key, 0.01);
  const byHand = new ByHand();
  for (const key of thousand) byHand.add(key);
  const pQueue = new PQueue({ concurrency: 1 });
  for (const _ of thousand) void pQueue.add(noop);
  await Promise.all([slots.onIdle(), pQueue.onIdle()]);
  return [queue, workers, byHand, pQueue];
}

async function adds(): Promise<void> {
  const seen = await rates({
    ours: () => {
      const queue = fresh();
      return timed(WAITING, () => {
        for (const key of keys) queue.add(key);
      });
    },
    'by hand': () => {
      const queue = new ByHand();
      return timed(WAITING, () => {
        for (const key of keys) queue.add(key);
      });
    },
    'p-queue': pQueueAdds,
  });
  reportRates('add, 100,000 waiting', seen, 2_200_000);
  const rich = await rates({
    ours: () => {
      const queue = fresh({ metrics: createMetrics(), name: 'bench' });
      return timed(WAITING, () => {
        let index = 0;
        for (const key of keys) queue.add(key, { priority: index++ % 3, cause: { type: 'change', revision: index } });
      });
    },
    'p-queue with priorities': () => pQueueAdds(true),
  });
  reportRates('add with priority, cause and metrics', rich, 1_000_000);
}

async function pQueueAdds(priorities = false): Promise<Rate> {
  const queue = new PQueue({ concurrency: 1, autoStart: false });
  // With priorities it inserts by search and shift: a tenth of the keys says enough.
  const some = priorities ? keys.slice(0, WAITING / 10) : keys;
  const rate = await timed(some.length, () => {
    let index = 0;
    for (const _ of some) void (priorities ? queue.add(noop, { priority: index++ % 3 }) : queue.add(noop));
  });
  queue.clear();
  return rate;
}

function handDrain(workers: number, handle: (() => Promise<void>) | undefined): Promise<Rate> {
  const queue = new ByHand();
  for (const key of keys) queue.add(key);
  return timed(WAITING, async () => {
    const worker = async (): Promise<void> => {
      for (let key = queue.take(); key !== undefined; key = queue.take()) {
        if (handle === undefined) noop();
        else await handle();
        queue.done(key);
      }
    };
    await Promise.all(Array.from({ length: workers }, worker));
  });
}

async function drains(): Promise<void> {
  for (const concurrency of [1, 16]) {
    const seen = await rates({
      ours: async () => {
        const queue = fresh();
        for (const key of keys) queue.add(key);
        const slots = createSlots({ concurrency });
        const rate = await timed(WAITING, async () => {
          runWorkers(queue, slots, { deps, handle: noop });
          await queue.shutDownWithDrain();
        });
        return rate;
      },
      'ours, async handler': async () => {
        const queue = fresh();
        for (const key of keys) queue.add(key);
        const slots = createSlots({ concurrency });
        return timed(WAITING, async () => {
          runWorkers(queue, slots, { deps, handle: async () => {} });
          await queue.shutDownWithDrain();
        });
      },
      'by hand': () => handDrain(concurrency, undefined),
      'by hand, async handler': () => handDrain(concurrency, async () => {}),
      'p-queue': () => {
        const queue = new PQueue({ concurrency, autoStart: false });
        for (const _ of keys) void queue.add(noop);
        return timed(WAITING, async () => {
          queue.start();
          await queue.onIdle();
        });
      },
    });
    reportRates(`drain of 100,000, ${concurrency} worker(s)`, seen, 700_000);
  }
}

async function collapse(): Promise<void> {
  const run = (queue: { add(key: string): unknown; take(): string | undefined; done(key: string): void }): Promise<Rate> =>
    timed(1_000_000, async () => {
      for (let index = 0; index < 1_000_000; index += 1) {
        queue.add(thousand[index % 1000] as string);
        // The worker has its turn now and then, as it has between two bursts of events.
        if (index % 10_000 === 9_999) {
          for (let key = queue.take(); key !== undefined; key = queue.take()) queue.done(key);
        }
      }
    });
  const seen = await rates({
    ours: async () => {
      const queue = fresh();
      const workers = runWorkers(queue, createSlots(), { deps, handle: noop });
      const rate = await timed(1_000_000, async () => {
        for (let index = 0; index < 1_000_000; index += 1) {
          queue.add(thousand[index % 1000] as string);
          if (index % 10_000 === 9_999) await Promise.resolve();
        }
        await queue.shutDownWithDrain();
      });
      await workers.stop();
      return rate;
    },
    'by hand': () => run(new ByHand()),
  });
  reportRates('1,000,000 adds over 1,000 keys beside a worker', seen, 5_000_000);
}

async function rateLimited(): Promise<void> {
  const seen = await rates({
    ours: async () => {
      const queue = fresh({ baseDelay: 0.001, maxDelay: 1000 });
      let left = WAITING;
      let finished: () => void = noop;
      const all = new Promise<void>((resolve) => (finished = resolve));
      runWorkers(queue, createSlots(), {
        deps,
        handle: (item) => {
          queue.forget(item.key);
          left -= 1;
          if (left === 0) finished();
        },
      });
      return timed(WAITING, async () => {
        for (const key of keys) queue.addRateLimited(key);
        await all;
      });
    },
  });
  reportRates('addRateLimited to done', seen, 500_000);
}

/**
 * Time of one add, take and done while `count` keys wait, in ns. There are as many of them as wait, 200,000 at the least:
 * a Map moves all its entries now and then, and that belongs to as many operations as it lasts for.
 */
async function scale(): Promise<void> {
  const many = keysOf(1_000_000);
  const extra = Array.from({ length: many.length }, (_, index) => `extra/${index}`);
  const cycle = (waiting: readonly string[]): Subject => {
    const own = extra.slice(0, Math.max(200_000, waiting.length));
    return () => {
      const queue = fresh();
      for (const key of waiting) queue.add(key);
      return timed(own.length, () => {
        for (const key of own) {
          queue.add(key);
          const item = queue.tryGet();
          if (item !== undefined) queue.done(item.key);
        }
      });
    };
  };
  const handCycle = (waiting: readonly string[]): Subject => {
    const own = extra.slice(0, Math.max(200_000, waiting.length));
    return () => {
      const queue = new ByHand();
      for (const key of waiting) queue.add(key);
      return timed(own.length, () => {
        for (const key of own) {
          queue.add(key);
          const taken = queue.take();
          if (taken !== undefined) queue.done(taken);
        }
      });
    };
  };
  const seen = await rates({
    small: cycle(thousand),
    large: cycle(many),
    smallByHand: handCycle(thousand),
    largeByHand: handCycle(many),
  });
  // By CPU time: each side runs for a second and more, and what others take from it would be read as cost.
  const ns = (rate: Rate): number => 1e9 / rate.cpu;
  const { small, large, smallByHand, largeByHand } = seen;
  console.log(
    `add + take + done, CPU time: ${ns(small).toFixed(0)} ns with 1,000 waiting, ${ns(large).toFixed(0)} ns with 1,000,000 (by hand ${ns(smallByHand).toFixed(0)} and ${ns(largeByHand).toFixed(0)} ns)`,
  );
  report(
    'cost with 1,000,000 waiting over cost with 1,000',
    ns(large) / ns(small),
    { atMost: 3 },
    { 'by hand': ns(largeByHand) / ns(smallByHand) },
    'x',
  );
}

/** Heap and array buffers that `make` keeps, a key; the key strings are there before. */
function bytesPerKey(make: () => unknown): number {
  const used = (): number => {
    gc?.();
    gc?.();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = used();
  const kept = make();
  const after = used();
  return kept === undefined ? 0 : (after - before) / WAITING;
}

function memory(): void {
  if (gc === undefined) {
    console.log('heap per waiting key: run with --expose-gc');
    return;
  }
  const fill = (cause: (index: number) => unknown): number =>
    median(
      Array.from({ length: ROUNDS }, () =>
        bytesPerKey(() => {
          const queue = fresh();
          let index = 0;
          for (const key of keys) {
            const why = cause(index++);
            queue.add(key, why === undefined ? undefined : { cause: why });
          }
          return queue;
        }),
      ),
    );
  const byHand = median(
    Array.from({ length: ROUNDS }, () =>
      bytesPerKey(() => {
        const queue = new ByHand();
        for (const key of keys) queue.add(key);
        return queue;
      }),
    ),
  );
  const bare = bytesPerKey(() => {
    const queue = new PQueue({ concurrency: 1, autoStart: false });
    for (const _ of keys) void queue.add(noop);
    return queue;
  });
  report(
    'memory per waiting key',
    fill(() => undefined),
    { atMost: 80 },
    { 'by hand': byHand, 'p-queue': bare },
    ' B',
  );
  report(
    'memory per waiting key with a cause each',
    fill((index) => ({ type: 'change', revision: index })),
    { atMost: 150 },
    {},
    ' B',
  );
}

console.log(`${availableParallelism()} cores, load ${(loadavg()[0] as number).toFixed(1)} at the start; the goals are for an idle machine`);
const kept = await keepOneOfEach();
await adds();
await drains();
await collapse();
await rateLimited();
await scale();
memory();
if (kept.length === 0) throw new Error('the kept subjects are gone');
