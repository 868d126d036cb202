/**
 * Linearizability and the promises of watches at full size: 100 histories of 2,000 operations by 8 clients on 10 keys, most of
 * them in virtual time on memory with failing commits and clients that give up, every tenth on LMDB.
 *
 * `npm run reliability -- linearizability --minutes N [--runs 100] [--operations 2000] [--seed 1]`; ends early when the minutes are over.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { lmdbEngine, memoryEngine, openStore } from '../../src/store/index.js';
import { virtualDeps } from '../../src/testing/index.js';
import { History } from '../store/histories.js';
import { pumped } from '../store/repos/setup.js';

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

async function onLmdb(seed: number): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'rune-histories-'));
  try {
    const store = await openStore({ engine: lmdbEngine({ path }), ring: { events: seed % 2 === 0 ? 20 : 10_000 } });
    const history = new History(store, { seed, operations, aborts: true });
    await history.run();
    await history.check();
    await store.close();
    await using again = await openStore({ engine: lmdbEngine({ path }) });
    await history.check(again);
    return history.summary();
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

let done = 0;
for (let run = 0; run < runs && Date.now() < until; run += 1) {
  const seed = first + run;
  const engine = run % 10 === 9 ? 'lmdb' : 'memory';
  const began = Date.now();
  const summary = await (engine === 'lmdb' ? onLmdb(seed) : inMemory(seed));
  done += 1;
  process.stdout.write(`seed ${seed} on ${engine}: ${summary}; ${((Date.now() - began) / 1000).toFixed(1)} s\n`);
}
process.stdout.write(`${done} of ${runs} histories of ${operations} operations: no violation\n`);
