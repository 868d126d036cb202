/**
 * Random writes of objects with owners and declared fields, then every index built anew from the objects alone, with no code
 * of the store's, and held byte for byte against what is on disk. Then the same with the types as a later release declares
 * them: an index more, one less, a default where there was none.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineResource, isStatusError } from '../../../src/schemas/index.js';
import type { ObjectMeta } from '../../../src/schemas/index.js';
import { lmdbEngine, openStore, systemDeps } from '../../../src/store/index.js';
import type { Store, StoreVerbs } from '../../../src/store/index.js';
import { dataPath } from '../../../src/store/engines/lmdb/directory.js';
import type { RememberedIndexes } from '../../../src/store/field-indexes.js';
import { openTables } from '../../../src/store/engines/lmdb/tables.js';
import { seededRandom } from '../../../src/testing/index.js';
import type { SeededRandom } from '../../../src/testing/index.js';

const shape = {
  type: 'object',
  properties: { node: { type: 'string' }, port: { type: 'integer' }, on: { type: 'boolean' }, other: { type: 'integer' } },
} as const;
const shapeWithDefault = { type: 'object', properties: { ...shape.properties, node: { type: 'string', default: 'a' } } } as const;
/** Two types whose names begin alike, with the same fields. */
const releases = [
  [
    defineResource({ kind: 'Svc', type: 'svc', spec: shape, storeIndexes: ['spec.node', 'spec.port', 'spec.on'] }),
    defineResource({ kind: 'Svc2', type: 'svc2', spec: shape, storeIndexes: ['spec.node'] }),
  ],
  [
    defineResource({ kind: 'Svc', type: 'svc', spec: shape, storeIndexes: ['spec.other', 'spec.node', 'spec.port'] }),
    defineResource({ kind: 'Svc2', type: 'svc2', spec: shapeWithDefault, storeIndexes: ['spec.node'] }),
  ],
] as const;
type Types = (typeof releases)[number];
const spaces = ['prod', 'production', 'prod-1'] as const;
const nodes = [undefined, '', 'a', 'ab', 'a b', 'ä', '\u{1f600}', 'x'.repeat(256), 'x'.repeat(257), 'svc', '0', 'true'] as const;

export interface IndexReport {
  operations: number;
  written: number;
  objects: number;
  entries: number;
}

export async function checkIndexes(options: { operations: number; seed: number }): Promise<IndexReport> {
  const path = await mkdtemp(join(tmpdir(), 'rune-indexes-'));
  try {
    const report: IndexReport = { operations: 0, written: 0, objects: 0, entries: 0 };
    for (const [release, types] of releases.entries()) {
      const objects: { type: Types[number]; metadata: ObjectMeta; spec: object }[] = [];
      {
        await using store = await openStore({ engine: lmdbEngine({ path }), types: [...types], deps: systemDeps() });
        // The later release writes less: most of what it finds was written before.
        await run(
          store,
          { types, seed: options.seed + release, until: release === 0 ? options.operations : options.operations * 1.1 },
          report,
        );
        await lookUp(store, types);
        while ((await store.stats())['indexesBuilding'] !== 0) await store.deps.scheduler.turn();
        for (const type of types) for (const object of (await store.list(type)).items) objects.push({ type, ...object });
        await lookUp(store, types);
        report.written = Number(store.revision);
        assert.deepEqual((await store.verify()).problems, []);
      }
      report.objects = objects.length;
      const tables = openTables(dataPath(path));
      const remembered = JSON.parse(String(tables.meta.getBinary(Buffer.from('types')))) as Record<string, RememberedIndexes>;
      const wanted = new Set<string>();
      for (const { type, metadata, spec } of objects) {
        const key = `${type.type}\0${metadata.namespace}\0${metadata.name}`;
        const add = (index: string, value: string): unknown => wanted.add(Buffer.from(`${index}\0${value}\0${key}`).toString('hex'));
        add('uid', metadata.uid);
        for (const { uid } of metadata.ownerReferences ?? []) add('owner', uid);
        for (const field of type.storeIndexes) {
          const value = (spec as Record<string, string | number | boolean>)[field.slice('spec.'.length)];
          if (value === undefined || value === '') continue;
          add(`field:${type.type}:${remembered[type.type]?.indexes?.[field]?.build}`, String(value).slice(0, 256));
        }
      }
      const found = new Set<string>();
      for (const key of tables.idx.getKeys({})) found.add(Buffer.from(key).toString('hex'));
      await tables.root.close();
      report.entries = found.size;
      const text = (hex: string): string => Buffer.from(hex, 'hex').toString().split('\0').join('|');
      assert.deepEqual([...found].filter((key) => !wanted.has(key)).map(text), [], 'index entries of what is not there');
      assert.deepEqual([...wanted].filter((key) => !found.has(key)).map(text), [], 'objects that an index misses');
    }
    return report;
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

async function run(
  store: Store,
  { types, seed, until }: { types: Types; seed: number; until: number },
  report: IndexReport,
): Promise<void> {
  const uids: string[] = [];
  await Promise.all(
    Array.from({ length: 16 }, async (_, writer) => {
      const random = seededRandom(seed * 100 + writer);
      while (report.operations < until) {
        report.operations += 1;
        try {
          if (random.below(8) > 0) await one(store, types, { random, uids });
          else {
            // Some of them end in nothing: what they would have indexed must not be there.
            await store.transaction(
              async (tx) => {
                for (let step = 0; step < 3; step += 1) await one(tx, types, { random, uids });
                if (random.below(3) === 0) throw new Error('thought better of it');
              },
              { retries: 2 },
            );
          }
        } catch (error) {
          if (!isStatusError(error) && (error as Error).message !== 'thought better of it') throw error;
        }
      }
    }),
  );
}

async function one(on: StoreVerbs, types: Types, { random, uids }: { random: SeededRandom; uids: string[] }): Promise<void> {
  const type = types[random.below(2)]!;
  const place = [spaces[random.below(3)]!, `o${random.below(40)}`] as const;
  const owners = Array.from({ length: random.below(3) }, () => uids[random.below(Math.max(1, uids.length))]).filter(
    (uid, index, all): uid is string => uid !== undefined && all.indexOf(uid) === index,
  );
  const node = nodes[random.below(nodes.length)];
  const spec = {
    ...(node === undefined ? {} : { node }),
    ...(random.below(2) === 0 ? {} : { port: random.below(5) }),
    ...(random.below(2) === 0 ? {} : { on: random.below(2) === 0 }),
    other: random.below(1000),
  };
  const metadata = { ownerReferences: owners.map((uid) => ({ apiVersion: 'rune.dev/v1', kind: 'Svc', name: 'owner', uid })) };
  const dice = random.below(10);
  if (dice < 3) {
    const made = await on.create(type, ...place, { metadata, spec });
    uids[random.below(30)] = made.metadata.uid;
  } else if (dice < 6) await on.update(type, ...place, { metadata, spec });
  else if (dice < 7) await on.patch(type, ...place, { spec: { node: node ?? null } });
  else if (dice < 8) await on.apply(type, ...place, { metadata, spec });
  else await on.delete(type, ...place);
}

/** What is looked up is what a full scan finds, in one namespace and in all. */
async function lookUp(store: Store, types: Types): Promise<void> {
  for (const space of [undefined, ...spaces]) {
    for (const type of types) {
      const { items } = await store.list(type, space);
      for (const node of nodes) {
        if (node === undefined) continue;
        const indexed = await store.list(type, space, { fieldSelector: { 'spec.node': node } });
        assert.deepEqual(
          indexed.items.map(({ metadata }) => metadata.uid).toSorted(),
          items
            .filter(({ spec }) => (spec.node ?? '') === node)
            .map(({ metadata }) => metadata.uid)
            .toSorted(),
          `${type.type} in ${String(space)} with node ${node}`,
        );
      }
    }
  }
}
