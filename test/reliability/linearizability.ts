/**
 * Linearizability and the promises of watches at full size: 100 seeds, each of them three times: 2,000 operations by 8 clients on
 * 10 keys on memory, in virtual time, with failing commits and clients that give up; the same on LMDB, whose commits fail and
 * whose engine is opened again; and clients on LMDB in a process that is killed five times.
 *
 * `npm run reliability -- linearizability --minutes N [--runs 100] [--operations 2000] [--seed 1]`; fails when the minutes are over before.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { lmdbEngine, memoryEngine, openStore } from '../../src/store/index.js';
import { virtualDeps } from '../../src/testing/index.js';
import { faultySource } from '../store/faulty-source.js';
import { History } from '../store/histories.js';
import { pumped } from '../store/repos/setup.js';
import { killedClients } from './support/killed-clients.js';
import { demand } from './support/quantity.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    runs: { type: 'string', default: '100' },
    operations: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
  },
});
const runs = Number(values.runs);
const operations = Number(values.operations);
const until = Date.now() + Number(values.minutes) * 60_000;
const first = Number(values.seed);

async function inMemory(seed: number): Promise<string> {
  const deps = virtualDeps({ seed });
  const source = memoryEngine({ latencyMs: seed % 4 });
  return pumped(
    deps,
    (async () => {
      await using store = await openStore({ engine: source, deps, ring: { events: seed % 2 === 0 ? 20 : 10_000 } });
      const faults = seed % 3 !== 0;
      const history = new History(store, {
        seed,
        operations,
        aborts: faults,
        trouble: faults ? (random) => source.failNextCommit(new Error('EIO'), { applied: random.below(2) === 0 }) : undefined,
      });
      await history.run();
      await history.check();
      const { problems } = await store.verify();
      if (problems.length > 0) throw new Error(problems.join('\n'));
      return history.summary();
    })(),
  );
}

/** A directory of its own, gone afterwards. */
async function inDirectory(body: (path: string) => Promise<string>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'rune-histories-'));
  try {
    return await body(path);
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

const onLmdb = (seed: number): Promise<string> =>
  inDirectory(async (path) => {
    const source = faultySource(lmdbEngine({ path }));
    const store = await openStore({ engine: source, ring: { events: seed % 2 === 0 ? 20 : 10_000 } });
    const history = new History(store, {
      seed,
      operations,
      aborts: true,
      trouble: seed % 3 === 0 ? undefined : (random) => source.failNext('commit', new Error('EIO'), { applied: random.below(2) === 0 }),
    });
    await history.run();
    await history.check();
    await store.close();
    await using again = await openStore({ engine: lmdbEngine({ path }) });
    await history.check(again);
    return `opened ${source.opened} times; ${history.summary()}`;
  });

const killed = (seed: number): Promise<string> =>
  inDirectory(async (path) => {
    const {
      operations: done,
      inDoubt,
      events,
      resumed,
    } = await killedClients(path, { seed, lives: 5, lifeMs: () => 20 + Math.random() * 600 });
    return `${done} operations in 5 lives, ${inDoubt} in doubt; ${events.length} watchers told ${events.join(', ')} events, resumed ${resumed.join(', ')} times`;
  });

let done = 0;
for (let run = 0; run < runs && Date.now() < until; run += 1) {
  const seed = first + run;
  for (const [name, check] of Object.entries({ memory: inMemory, lmdb: onLmdb, killed })) {
    const began = Date.now();
    const summary = await check(seed);
    process.stdout.write(`seed ${seed}, ${name}: ${summary}; ${((Date.now() - began) / 1000).toFixed(1)} s\n`);
  }
  done += 1;
}
process.stdout.write(`${done} of ${runs} seeds of ${operations} operations: no violation\n`);
demand('seeds', { done, asked: runs });
