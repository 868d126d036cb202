/** Real world: a real disk, and its watcher. */
import { appendFile, mkdir, mkdtemp, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Engine, Precondition } from '../../../src/store/engine.js';
import { lmdbEngine } from '../../../src/store/engines/index.js';
import { checkFileSystem, dataPath } from '../../../src/store/engines/lmdb/directory.js';
import { objectKey, versionKey } from '../../../src/store/engines/lmdb/keys.js';
import { openTables } from '../../../src/store/engines/lmdb/tables.js';
import { systemDeps } from '../../../src/store/system-deps.js';
import { decode, k, put, readChanges, rejects, request, show, write } from '../../../src/testing/conformance/engine-kit.js';
import { engineConformance } from '../../../src/testing/conformance/engine-suite.js';
import { agreesWithModel } from './model.js';
import { restamped } from './restamped.js';

const deps = systemDeps();

const fresh = async () => {
  const path = await mkdtemp(join(tmpdir(), 'rune-engine-'));
  return { source: lmdbEngine({ path }), deps, dispose: () => rm(path, { recursive: true }) };
};

describe('lmdbEngine', () => {
  let path: string;
  const open = (): Promise<Engine> => lmdbEngine({ path }).open({ deps });
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'rune-engine-'));
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  it('agrees with a naive model on random histories', { timeout: 30_000 }, async () => {
    await expect(agreesWithModel(fresh, 25)).resolves.toBeUndefined();
  });

  it('creates its directory and files for their owner alone', async () => {
    const directory = join(path, 'deep', 'store');
    const engine = await lmdbEngine({ path: directory }).open({ deps });
    const modes = await Promise.all(
      ['', 'data.mdb', 'data.mdb-lock', 'store.id'].map(async (name) => (await stat(join(directory, name))).mode & 0o777),
    );
    expect(modes).toEqual([0o700, 0o600, 0o600, 0o600]);
    await engine.close();
  });

  it('names the key of a damaged record, and reads all others', async () => {
    let engine = await open();
    for (const name of ['x', 'y', 'z']) await put(engine, `t/a/${name}`, `marker of ${name} ${'.'.repeat(300)}`);
    await engine.close();
    const bytes = await readFile(join(path, 'data.mdb'));
    for (let at = bytes.indexOf('marker of y'); at >= 0; at = bytes.indexOf('marker of y', at + 1)) bytes[at + 20] = 33;
    await writeFile(join(path, 'data.mdb'), bytes);
    engine = await open();
    const error = await rejects(engine.get(k('t/a/y')), 'Corrupt');
    expect(error.message).toContain('t/a/y');
    await rejects(engine.range({}), 'Corrupt');
    expect(decode((await engine.get(k('t/a/x')))?.value)).toContain('marker of x');
    expect(decode((await engine.get(k('t/a/z')))?.value)).toContain('marker of z');
    const { ok, problems } = await engine.verify();
    expect([ok, problems.every((problem) => problem.includes('t/a/y'))]).toEqual([false, true]);
    const [refused] = await engine.commit([request(write('t/a/y', 'new'), { key: k('t/a/y'), revision: 'absent' })]);
    expect(refused).toEqual({ ok: false, failed: { key: k('t/a/y'), revision: 'absent' }, current: undefined });
    await put(engine, 't/a/y', 'written anew');
    expect(decode((await engine.get(k('t/a/y')))?.value)).toBe('written anew');
    await engine.close();
  });

  it('finds in verify that whole versions have changed places, inside the window by the log and below it by their order', async () => {
    for (const compact of [false, true]) {
      path = await mkdtemp(join(tmpdir(), 'rune-engine-'));
      let engine = await open();
      for (const value of ['1', '2', '3', '4']) await put(engine, 't/a/x', value);
      await put(engine, 't/a/y', '5');
      if (compact) await engine.compact(5, { retain: (_key, versions) => new Set(versions.map(({ revision }) => revision)) });
      expect((await engine.verify()).problems).toEqual([]);
      await engine.close();
      const tables = openTables(dataPath(path));
      const object = objectKey(k('t/a/x'));
      const [one, three] = [1, 3].map((revision) => Buffer.from(tables.hist.getBinary(versionKey(object, revision))!));
      await tables.hist.put(versionKey(object, 3), restamped(object, one!, 3));
      await tables.hist.put(versionKey(object, 1), restamped(object, three!, 1));
      await tables.root.close();
      engine = await open();
      const { ok, problems } = await engine.verify();
      expect(ok).toBe(false);
      expect(problems.join('\n')).toContain(
        compact
          ? '"t/a/x": revision 2 keeps version 2 of the object, and revision 1 before it version 3'
          : '"t/a/x": what is kept of revision 3 is not the version that the log tells of',
      );
      await engine.close();
    }
  });

  it('finds out that another process changed what a commit rests on, however often that held before', async () => {
    const [own, other] = [await open(), await open()];
    for (let round = 0; round < 5; round += 1) {
      const premises = [{ meta: 'm', text: round === 0 ? null : String(round) }];
      const commit = async (name: string, ...conditions: Precondition[]): Promise<boolean | undefined> =>
        (await own.commit([request(write(`t/a/${name}`, String(round)), ...conditions)], premises))[0]?.ok;
      expect([await commit('x'), await commit('x')]).toEqual([true, true]);
      // One that writes nothing leaves no trace, in the numbers of transactions either.
      if (round % 2 === 0) expect(await commit('x', { key: k('t/a/x'), revision: 'absent' })).toBe(false);
      await other.meta.set('m', String(round + 1));
      expect(await commit('y')).toBe(false);
      if (round % 2 === 1) await put(other, 't/b/z', 'v');
      expect(await commit('y')).toBe(false);
    }
    expect(await own.get(k('t/a/y'))).toBeUndefined();
    await own.close();
    await other.close();
  });

  it('is opened beside writes that never pause in the same process, and lets them go on', async () => {
    const own = await open();
    let written = 0;
    let isDone = false;
    const writing = (async () => {
      while (!isDone) {
        await put(own, 't/a/x', String(written));
        written += 1;
      }
    })();
    for (let round = 0; round < 20; round += 1) {
      const before = written;
      const other = await open();
      await put(other, 't/a/y', String(round));
      await other.close();
      while (written === before) await new Promise((resolve) => setImmediate(resolve));
    }
    isDone = true;
    await writing;
    expect(own.revision().current).toBe(written + 20);
    await own.close();
  });

  it('walks over all that was committed elsewhere, also while a commit of its own holds back what reads show', async () => {
    const [own, other] = [await open(), await open()];
    for (let round = 0; round < 100; round += 1) {
      const held = own.commit([request(write('t/a/own', String(round)))]);
      const foreign = put(other, `t/b/${round}`, 'v');
      await Promise.race([held, foreign]);
      const revision = await foreign;
      const walking = own.walk({ type: 't', namespace: 'b' });
      // Begun behind the foreign commit, and under way while the walk reads.
      const next = held.then(() => own.commit([request(write('t/a/own', 'next'))]));
      const { entries } = await walking;
      expect(entries.map((entry) => entry.revision)).toContain(revision);
      await Promise.all([held, next]);
    }
    await own.close();
    await other.close();
  });

  it('takes a prefix to have changed where another process compacted away what would tell', async () => {
    const [own, other] = [await open(), await open()];
    const mine = (since: number, namespace: string) =>
      own.commit([request(write('z/z/z', 'z'), { prefix: { type: 't', namespace }, unchangedSince: since })]);
    await put(own, 't/a/x', '1');
    await put(own, 't/b/x', '2');
    await put(other, 't/a/intruder', '3');
    await put(other, 'u/a/x', '4');
    await other.compact(other.revision().current, { retain: () => new Set() });
    for (const since of [1, 2, 3]) expect(await mine(since, 'a')).toMatchObject([{ ok: false, failed: { unchangedSince: since } }]);
    expect(await mine(2, 'b')).toMatchObject([{ ok: false }]);
    expect(await mine(4, 'a')).toEqual([{ ok: true, revision: 5 }]);
    // What came behind the compaction is told apart again.
    await put(other, 't/a/y', '6');
    expect(await mine(5, 'a')).toMatchObject([{ ok: false }]);
    expect(await mine(5, 'b')).toEqual([{ ok: true, revision: 7 }]);
    await own.close();
    await other.close();
  });

  it('opens a file that is longer than its pages, as a killed writer leaves it', async () => {
    let engine = await open();
    await put(engine, 't/a/x', '1');
    await engine.close();
    await appendFile(join(path, 'data.mdb'), Buffer.alloc(50_001, 7));
    engine = await open();
    await put(engine, 't/a/y', '2');
    expect(show((await engine.range({})).entries)).toEqual(['t/a/x=1@1', 't/a/y=2@2']);
    await engine.close();
  });

  it('opens a file whose last pages are free and missing, and refuses one whose last pages are in use', async () => {
    let engine = await open();
    await put(engine, 't/a/large', 'x'.repeat(500_000));
    const { size } = await stat(join(path, 'data.mdb'));
    await put(engine, 't/a/large', 'small');
    await engine.compact(2, { retain: () => new Set() });
    for (let round = 0; round < 4; round++) await put(engine, 't/a/other', String(round));
    await engine.close();
    const bytes = await readFile(join(path, 'data.mdb'));
    // What is in use lies in front again; how far is found by cutting until it is refused.
    let opened = 0;
    let refused = 0;
    for (let pages = bytes.length / 8192; pages > 10 && refused === 0; pages -= 8) {
      await truncate(join(path, 'data.mdb'), pages * 8192);
      try {
        engine = await open();
        expect(decode((await engine.get(k('t/a/other')))?.value)).toBe('3');
        expect((await engine.verify()).ok).toBe(true);
        await engine.close();
        opened++;
      } catch (error) {
        expect((error as { reason?: string }).reason).toBe('Corrupt');
        refused++;
      }
    }
    expect(size).toBeGreaterThan(500_000);
    expect([opened > 0, refused]).toEqual([true, 1]);
  });

  it('refuses a data file that is gone, of another store, or not what the id file names', async () => {
    const other = join(path, 'other');
    const mine = join(path, 'mine');
    for (const directory of [mine, other]) {
      const engine = await lmdbEngine({ path: directory }).open({ deps });
      await put(engine, 't/a/x', directory);
      await engine.close();
    }
    await rename(join(mine, 'data.mdb'), join(mine, 'kept'));
    await rejects(lmdbEngine({ path: mine }).open({ deps }), 'Corrupt');
    await writeFile(join(mine, 'data.mdb'), await readFile(join(other, 'data.mdb')));
    expect((await rejects(lmdbEngine({ path: mine }).open({ deps }), 'Corrupt')).message).toContain('store.id');
    await rename(join(mine, 'kept'), join(mine, 'data.mdb'));
    await writeFile(join(mine, 'store.id'), 'garbage');
    await rejects(lmdbEngine({ path: mine }).open({ deps }), 'Corrupt');
    await rm(join(mine, 'store.id'));
    const engine = await lmdbEngine({ path: mine }).open({ deps });
    expect(decode((await engine.get(k('t/a/x')))?.value)).toBe(mine);
    await engine.close();
  });

  it('refuses other options than a store was created with', async () => {
    await (await lmdbEngine({ path, fingerprint: 'json' }).open({ deps })).close();
    await expect(lmdbEngine({ path, fingerprint: 'msgpack' }).open({ deps })).rejects.toMatchObject({ reason: 'BadRequest' });
    await (await lmdbEngine({ path, fingerprint: 'json' }).open({ deps })).close();
  });

  it('refuses network file systems by their type', () => {
    for (const type of [0x6969, 0xff534d42, -11317950, 0x01021997])
      expect(() => checkFileSystem(type, 'there')).toThrow(/network file system/);
    for (const type of [0xef53, 0x01021994, 0x9123683e, 0x58465342]) expect(() => checkFileSystem(type, 'there')).not.toThrow();
  });

  it('refuses what is no directory', async () => {
    const file = join(path, 'file');
    await writeFile(file, 'text');
    await expect(lmdbEngine({ path: file }).open({ deps })).rejects.toMatchObject({ reason: 'InternalError' });
    await mkdir(join(path, 'as-data', 'data.mdb'), { recursive: true });
    await rejects(lmdbEngine({ path: join(path, 'as-data') }).open({ deps }), 'InternalError');
  });

  it('stops when its data file was removed or replaced under it', async () => {
    const engine = await open();
    await put(engine, 't/a/x', '1');
    await rm(join(path, 'data.mdb'));
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect((await rejects(engine.commit([request(write('t/a/x', '2'))]), 'ServiceUnavailable')).message).toContain('removed or replaced');
    await rejects(engine.get(k('t/a/x')), 'ServiceUnavailable');
    await engine.close();
    await rejects(open(), 'Corrupt');
  });

  it('serves two engines of one process on one directory', async () => {
    const [one, two] = [await open(), await open()];
    const heard: number[] = [];
    two.onForeignCommit((revision) => heard.push(revision));
    await put(one, 't/a/x', '1');
    await put(two, 't/a/y', '2');
    expect(heard).toContain(1);
    await put(one, 't/a/x', '3');
    expect(show((await two.range({})).entries)).toEqual(['t/a/x=3@3', 't/a/y=2@2']);
    expect((await readChanges(one, 0)).map((batch) => batch.revision)).toEqual([1, 2, 3]);
    await one.close();
    expect(await put(two, 't/a/x', '4')).toBe(4);
    await two.close();
  });

  it('keeps no snapshot: a file that is overwritten again and again stays small while pages are read', async () => {
    const engine = await open();
    await engine.commit(Array.from({ length: 50 }, (_, index) => request(write(`t/a/o${index}`, 'x'.repeat(4000)))));
    const reader = engine.changes(0)[Symbol.asyncIterator]();
    await reader.next();
    for (let round = 0; round < 40; round++) {
      await engine.commit(Array.from({ length: 50 }, (_, index) => request(write(`t/a/o${index}`, `${round}`.padEnd(4000)))));
      await engine.range({}, { limit: 10 });
      await engine.compact(engine.revision().current, { retain: () => new Set() });
    }
    await reader.return?.();
    expect((await stat(join(path, 'data.mdb'))).size).toBeLessThan(5_000_000);
    await engine.close();
  });
});

describe('lmdbEngine conforms', () => {
  engineConformance({ describe, it, open: fresh });
});
