/**
 * Writes of sealed objects against the same objects in the clear: config and secret, which differ in nothing else. Both on
 * LMDB, in one run, rounds in turn, medians; then what opening costs, and how fast keys rotate.
 *
 * Run it with `npm run bench -- secrets`. Figures of a shared machine move by a quarter and more: read the ratios.
 * Sealing is work for the processor, so a machine busy with other things shows a lower ratio.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { Config, Secret } from '../src/schemas/index.js';
import { openStore, systemDeps } from '../src/store/index.js';
import type { Deps, Store } from '../src/store/index.js';

/** An even number: each side is as often the first of a turn as the second. */
const ROUNDS = 10;
const TARGET = 0.6;
const quiet: Deps['logger'] = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };
/** About a kB in five keys, as a database's credentials with a certificate are. */
const data = (seed: number): Record<string, string> => ({
  username: `user-${seed}`,
  password: `p${seed}`.padEnd(32, 'x'),
  host: 'db.prod.svc.example.com',
  port: '5432',
  certificate: `${seed}`.padEnd(900, 'MIIC'),
});

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number;

interface Case {
  readonly name: string;
  readonly writers: number;
  readonly operations: number;
  run(store: Store, type: typeof Secret | typeof Config, index: number, round: number): Promise<unknown>;
}

const create: Case['run'] = (store, type, index, round) => store.create(type, 'bench', `r${round}-${index}`, { data: data(index) });
const update: Case['run'] = (store, type, index, round) =>
  store.update(type, 'bench', `u${index % 512}`, { data: data(round * 100_000 + index) });
const cases: readonly Case[] = [
  { name: 'create', writers: 1, operations: 100, run: create },
  { name: 'create', writers: 16, operations: 1000, run: create },
  { name: 'create', writers: 256, operations: 6000, run: create },
  { name: 'update', writers: 16, operations: 1000, run: update },
  { name: 'update', writers: 256, operations: 6000, run: update },
];

/** Operations a second. */
async function rate(store: Store, type: typeof Secret | typeof Config, { writers, operations, run }: Case, round: number): Promise<number> {
  let next = 0;
  const begin = performance.now();
  await Promise.all(
    Array.from({ length: writers }, async () => {
      for (let index = next++; index < operations; index = next++) await run(store, type, index, round);
    }),
  );
  return (operations * 1000) / (performance.now() - begin);
}

const root = await mkdtemp(join(tmpdir(), 'rune-bench-secrets-'));
try {
  const deps = systemDeps({ logger: quiet });
  await using plain = await openStore({ path: join(root, 'plain'), deps });
  await using sealed = await openStore({ path: join(root, 'sealed'), deps });
  const pairs = [
    [plain, Config],
    [sealed, Secret],
  ] as const;
  for (const [store, type] of pairs)
    await Promise.all(Array.from({ length: 512 }, (_, index) => store.create(type, 'bench', `u${index}`, { data: data(index) })));
  let round = 0;
  for (const each of cases) {
    const seen: [number[], number[]] = [[], []];
    for (let turn = 0; turn <= ROUNDS; turn += 1) {
      round += 1;
      // The first round warms up; who begins changes with each.
      for (const side of turn % 2 === 0 ? [0, 1] : [1, 0]) {
        const [store, type] = pairs[side]!;
        const measured = await rate(store, type, each, round);
        if (turn > 0) seen[side]!.push(measured);
      }
    }
    const ratio = median(seen[1]) / median(seen[0]);
    console.log(
      `${each.name}, ${String(each.writers).padStart(3)} writers: sealed ${median(seen[1]).toFixed(0)}/s, plain ${median(seen[0]).toFixed(0)}/s, ratio ${ratio.toFixed(2)} (target at least ${TARGET}: ${ratio >= TARGET ? 'met' : 'MISSED'})`,
    );
    if (ratio < TARGET) process.exitCode = 1;
  }

  for (const [store, type] of pairs) {
    const gets: number[] = [];
    const lists: number[] = [];
    let objects = 0;
    for (let turn = 0; turn < ROUNDS; turn += 1) {
      let begin = performance.now();
      for (let index = 0; index < 4000; index += 1) await store.get(type, 'bench', `u${index % 512}`);
      gets.push(((performance.now() - begin) * 1000) / 4000);
      begin = performance.now();
      const { items } = await store.list(type, 'bench');
      objects = items.length;
      lists.push(((performance.now() - begin) * 1000) / objects);
    }
    console.log(`${type.type}: get ${median(gets).toFixed(1)} us, list ${median(lists).toFixed(1)} us an object (${objects} objects)`);
  }

  const begin = performance.now();
  const { rewrapped, pass } = await sealed.rotateKeys();
  const seconds = (performance.now() - begin) / 1000;
  console.log(`rotation: ${rewrapped} kept versions in ${seconds.toFixed(1)} s (${(rewrapped / seconds).toFixed(0)}/s, ${pass} passes)`);
} finally {
  await rm(root, { recursive: true, force: true });
}
