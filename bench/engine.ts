/**
 * The LMDB engine's commit beside a raw writer that does the same puts by hand: objects of 1.1 kB, in batches of 1, 16 and
 * 256, one commit after the other. The raw writer checks that the key is free, then puts the bytes, one log record a
 * request and one index entry, in one transaction. Runs are interleaved; the medians of five are printed.
 *
 *     npx tsx bench/engine.ts [rounds]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import type { CommitRequest } from '../src/store/engine.js';
import { lmdbEngine } from '../src/store/engines/index.js';
import { systemDeps } from '../src/store/system-deps.js';

const deps = systemDeps();
const RUNS = Number(process.argv[2] ?? 5);
const VALUE = Buffer.from(JSON.stringify({ apiVersion: 'rune.dev/v1', kind: 'Service', spec: { filler: 'x'.repeat(1030) } }));

type Writer = { commit(first: number, count: number): Promise<void>; close(): Promise<void> };
const uid = (index: number): string => `019f0000-0000-7000-8000-${String(index).padStart(12, '0')}`;
const name = (index: number): string => `object-${String((index * 7919) % 1_000_003).padStart(7, '0')}`;

async function rawWriter(directory: string): Promise<Writer> {
  const root = open<Buffer, Buffer>({
    path: join(directory, 'data.mdb'),
    noSubdir: true,
    maxDbs: 12,
    mapSize: 16 * 2 ** 30,
    pageSize: 8192,
    overlappingSync: false,
    eventTurnBatching: false,
    encoding: 'binary',
    keyEncoding: 'binary',
  });
  const table = (tableName: string) => root.openDB<Buffer, Buffer>(tableName, { encoding: 'binary', keyEncoding: 'binary' });
  const [obj, log, idx] = [table('obj'), table('log'), table('idx')];
  const nothing = Buffer.alloc(0);
  return {
    async commit(first, count) {
      const writes = Array.from({ length: count }, (_, index) => {
        const key = Buffer.from(`service\0prod\0${name(first + index)}`);
        const revision = Buffer.alloc(8);
        revision.writeUInt32BE(first + index + 1, 4);
        return {
          key,
          revision,
          value: VALUE,
          log: Buffer.concat([Buffer.from('create'), key, Buffer.alloc(40)]),
          index: Buffer.concat([Buffer.from(`uid\0${uid(first + index)}\0`), key]),
        };
      });
      await root.transaction(() => {
        for (const write of writes) {
          if (obj.getBinaryFast(write.key) !== undefined) throw new Error('exists');
          void obj.put(write.key, write.value);
          void log.put(write.revision, write.log);
          void idx.put(write.index, nothing);
        }
      });
    },
    close: () => root.close(),
  };
}

async function engineWriter(directory: string): Promise<Writer> {
  const engine = await lmdbEngine({ path: directory }).open({ deps });
  return {
    async commit(first, count) {
      const batch: CommitRequest[] = [];
      for (let index = first; index < first + count; index++) {
        const key = { type: 'service', namespace: 'prod', name: name(index) };
        const id = uid(index);
        const meta = { verb: 'create' as const, uid: id, generation: 1, time: 1_700_000_000_000 };
        batch.push({
          id,
          writes: [{ key, value: VALUE, meta, addIndex: [{ index: 'uid', value: id }] }],
          expect: [{ key, revision: 'absent' }],
        });
      }
      const results = await engine.commit(batch);
      if (!results.every((result) => result.ok)) throw new Error('refused');
    },
    close: () => engine.close(),
  };
}

interface Measured {
  readonly perSecond: number;
  /** CPU time of all threads for one write, in microseconds: steadier than the clock on a machine that others use too. */
  readonly cpu: number;
}

async function measure(create: (directory: string) => Promise<Writer>, batch: number): Promise<Measured> {
  const directory = await mkdtemp(join(tmpdir(), 'rune-bench-'));
  const writer = await create(directory);
  const total = batch === 1 ? 1_500 : batch === 16 ? 16_000 : 40_960;
  const start = deps.clock.monotonic();
  const before = process.cpuUsage();
  for (let first = 0; first < total; first += batch) await writer.commit(first, batch);
  const perSecond = total / ((deps.clock.monotonic() - start) / 1000);
  const { user, system } = process.cpuUsage(before);
  await writer.close();
  await rm(directory, { recursive: true });
  return { perSecond, cpu: (user + system) / total };
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number;

for (const batch of [1, 16, 256]) {
  const raw: Measured[] = [];
  const engine: Measured[] = [];
  for (let run = 0; run < RUNS; run++) {
    raw.push(await measure(rawWriter, batch));
    engine.push(await measure(engineWriter, batch));
  }
  const speed = [raw, engine].map((runs) => median(runs.map((run) => run.perSecond))) as [number, number];
  const cpu = [raw, engine].map((runs) => median(runs.map((run) => run.cpu))) as [number, number];
  console.log(
    `batch ${String(batch).padStart(3)}: raw ${speed[0].toFixed(0).padStart(6)}/s, engine ${speed[1].toFixed(0).padStart(6)}/s, ratio ${(speed[1] / speed[0]).toFixed(2)};` +
      ` CPU for one write: raw ${cpu[0].toFixed(1)} us, engine ${cpu[1].toFixed(1)} us, ratio ${(cpu[0] / cpu[1]).toFixed(2)}`,
  );
}
