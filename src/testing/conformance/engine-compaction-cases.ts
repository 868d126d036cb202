/** Cases about compaction: the boundary, what stays readable, retention, tombstones, cutting off and going on. */
import assert from 'node:assert/strict';
import type { Engine, Key, RetentionPolicy, VersionInfo } from '../../store/index.js';
import { changeLines, k, path, put, readChanges, rejects, request, show, write } from './engine-kit.js';
import type { Case } from './engine-kit.js';

const keepNone: RetentionPolicy = () => new Set();
const keepAll: RetentionPolicy = (_key, versions) => new Set(versions.map((version) => version.revision));

const list = async (engine: Engine, at: number): Promise<string[]> => show((await engine.range({}, { at })).entries);
const history = async (engine: Engine, at: string): Promise<string[]> => show(await engine.versions(k(at)));

/** x is written and deleted, y written twice: revision 4 is a delete. */
async function boundary(engine: Engine): Promise<void> {
  await put(engine, 't/a/x', '1');
  await put(engine, 't/a/y', '2');
  await put(engine, 't/a/x', '3');
  await put(engine, 't/a/x', undefined);
  await put(engine, 't/a/y', '5');
  await put(engine, 't/a/z', '6');
}

export const compactionCases: Record<string, Case> = {
  'refuses reads and replays below the compaction revision, and tells both revisions': async ({ engine }) => {
    await boundary(engine);
    await engine.compact(4, { retain: keepNone });
    assert.deepEqual(engine.revision(), { current: 6, compacted: 4 });
    const calls: (() => Promise<unknown>)[] = [
      () => engine.get(k('t/a/x'), { at: 3 }),
      () => engine.range({}, { at: 3 }),
      () => readChanges(engine, 3),
      () => readChanges(engine, 0),
    ];
    for (const call of calls) {
      const error = await rejects(call, 'Expired');
      assert.deepEqual([error['compactedRevision'], error['currentRevision']], ['4', '6']);
    }
  },

  'reads and replays at and above the compaction revision as before, with a delete exactly there': async (context) => {
    const { engine } = context;
    await boundary(engine);
    const before = [await list(engine, 4), await list(engine, 5), await list(engine, 6)];
    const replay = [await changeLines(engine, 4), await changeLines(engine, 5)];
    await engine.compact(4, { retain: keepNone });
    const check = async (each: Engine): Promise<void> => {
      assert.deepEqual([await list(each, 4), await list(each, 5), await list(each, 6)], before);
      assert.deepEqual([await changeLines(each, 4), await changeLines(each, 5)], replay);
      assert.equal(await each.get(k('t/a/x'), { at: 4 }), undefined);
      assert.deepEqual(show([await each.get(k('t/a/y'), { at: 4 })].filter((entry) => entry !== undefined)), ['t/a/y=2@2']);
      assert.deepEqual(await history(each, 't/a/x'), []);
      assert.deepEqual(await history(each, 't/a/y'), ['t/a/y=5@5', 't/a/y=2@2']);
    };
    await check(engine);
    const again = await context.reopen();
    assert.deepEqual(again.revision(), { current: 6, compacted: 4 });
    await check(again);
  },

  'keeps the version before a delete that lies just above the compaction revision': async ({ engine }) => {
    await boundary(engine);
    await engine.compact(3, { retain: keepNone });
    assert.deepEqual((await changeLines(engine, 3))[0], '4: delete t/a/x=-@4 was t/a/x=3@3');
    assert.deepEqual(await history(engine, 't/a/x'), ['t/a/x=-@4', 't/a/x=3@3']);
    assert.deepEqual(await list(engine, 3), ['t/a/x=3@3', 't/a/y=2@2']);
  },

  'can compact up to the present, and goes on from there': async (context) => {
    await boundary(context.engine);
    await context.engine.compact(6, { retain: keepNone });
    const engine = await context.reopen();
    assert.deepEqual(engine.revision(), { current: 6, compacted: 6 });
    assert.deepEqual(await list(engine, 6), ['t/a/y=5@5', 't/a/z=6@6']);
    assert.deepEqual(await readChanges(engine, 6), []);
    assert.equal(await put(engine, 't/a/x', '7'), 7);
    assert.deepEqual(await changeLines(engine, 6), ['7: update t/a/x=7@7 was nothing']);
    assert.equal((await engine.get(k('t/a/x')))?.version, 1);
  },

  'does nothing for a revision that is compacted already, and refuses one that is not there': async ({ engine }) => {
    await boundary(engine);
    await engine.compact(4, { retain: keepNone });
    await engine.compact(2, { retain: keepNone });
    assert.equal(engine.revision().compacted, 4);
    await rejects(engine.compact(7, { retain: keepNone }), 'BadRequest');
    await rejects(engine.compact(-1, { retain: keepNone }), 'BadRequest');
  },

  'frees what it drops': async ({ engine }) => {
    for (let round = 0; round < 5; round++)
      await engine.commit(Array.from({ length: 40 }, (_, index) => request(write(`t/a/o${index}`, 'x'.repeat(2000)))));
    const before = await engine.stats();
    await engine.compact(190, { retain: keepNone });
    const after = await engine.stats();
    assert.ok(after.windowBytes < before.windowBytes / 5, `${before.windowBytes} -> ${after.windowBytes}`);
    assert.equal(after.objects, 40);
  },

  'asks the policy with all versions, newest first, and keeps what it names': async (context) => {
    const { engine } = context;
    context.need(engine.capabilities.history === 'perKey', 'history per key');
    for (let generation = 1; generation <= 5; generation++)
      await put(engine, 't/a/x', `v${generation}`, { generation, time: generation * 10, uid: 'u' });
    const asked: [string, readonly VersionInfo[]][] = [];
    await engine.compact(4, {
      retain(key: Key, versions) {
        asked.push([path(key), versions]);
        return new Set([2]);
      },
    });
    const info = (revision: number): VersionInfo => ({ revision, generation: revision, time: revision * 10, uid: 'u', verb: 'update' });
    assert.deepEqual(asked, [['t/a/x', [5, 4, 3, 2, 1].map(info)]]);
    assert.deepEqual(await history(engine, 't/a/x'), ['t/a/x=v5@5', 't/a/x=v4@4', 't/a/x=v2@2']);
    await engine.compact(5, { retain: () => new Set([2]) });
    assert.deepEqual(await history(engine, 't/a/x'), ['t/a/x=v5@5', 't/a/x=v2@2']);
  },

  'keeps the history of a deleted object without bringing it back': async (context) => {
    context.need(context.engine.capabilities.history === 'perKey', 'history per key');
    await boundary(context.engine);
    await context.engine.compact(6, { retain: (key) => new Set(key.name === 'x' ? [3] : []) });
    const engine = await context.reopen();
    assert.deepEqual(await history(engine, 't/a/x'), ['t/a/x=-@4', 't/a/x=3@3'], 'the tombstone hides what is kept below it');
    assert.equal(await engine.get(k('t/a/x')), undefined);
    assert.equal(await engine.get(k('t/a/x'), { at: 6 }), undefined);
    assert.deepEqual(await list(engine, 6), ['t/a/y=5@5', 't/a/z=6@6']);
    await put(engine, 't/a/x', 'anew');
    assert.deepEqual(await list(engine, 6), ['t/a/y=5@5', 't/a/z=6@6']);
    assert.deepEqual(await history(engine, 't/a/x'), ['t/a/x=anew@7', 't/a/x=-@4', 't/a/x=3@3']);
  },

  'looks again at kept versions of keys that nobody writes any more': async (context) => {
    const { engine } = context;
    context.need(engine.capabilities.history === 'perKey', 'history per key');
    for (let round = 1; round <= 3; round++) await put(engine, 't/a/old', `v${round}`);
    await put(engine, 't/a/gone', 'g');
    await put(engine, 't/a/gone', undefined);
    await engine.compact(5, { retain: keepAll });
    assert.equal((await engine.versions(k('t/a/old'))).length, 3);
    await put(engine, 't/a/other', 'o');
    for (let round = 0; round < 3; round++) await engine.compact(6, { retain: keepNone });
    assert.deepEqual(await history(engine, 't/a/old'), ['t/a/old=v3@3']);
    assert.deepEqual(await history(engine, 't/a/gone'), []);
    assert.deepEqual(await list(engine, 6), ['t/a/old=v3@3', 't/a/other=o@6']);
  },

  'is cut off by its signal, and the next compaction goes on': async ({ engine }) => {
    for (let round = 0; round < 3; round++)
      await engine.commit(Array.from({ length: 1000 }, (_, index) => request(write(`t/a/o${index}`, `r${round}`))));
    const abort = new AbortController();
    let asked = 0;
    const retain: RetentionPolicy = () => {
      if (++asked === 5) abort.abort();
      return new Set();
    };
    await rejects(engine.compact(3000, { retain, signal: abort.signal }), 'Aborted');
    assert.equal(engine.revision().compacted, 3000, 'what is below is expired from the first moment');
    await rejects(readChanges(engine, 2999), 'Expired');
    assert.deepEqual((await engine.range({}, { at: 3000 })).entries.length, 1000);
    await engine.compact(3000, { retain: keepNone });
    for (const name of ['o0', 'o500', 'o999']) assert.equal((await engine.versions(k(`t/a/${name}`))).length, 1, name);
  },

  'leaves what a throwing policy was asked about, and says so': async ({ engine }) => {
    await boundary(engine);
    const failing = engine.compact(6, {
      retain() {
        throw new RangeError('no policy');
      },
    });
    await assert.rejects(failing, RangeError);
    assert.deepEqual(await list(engine, 6), ['t/a/y=5@5', 't/a/z=6@6']);
    await engine.compact(6, { retain: keepNone });
    assert.deepEqual(await history(engine, 't/a/y'), ['t/a/y=5@5']);
  },

  'lets writers, readers and replays go on while it runs': async ({ engine }) => {
    for (let round = 0; round < 3; round++)
      await engine.commit(Array.from({ length: 700 }, (_, index) => request(write(`t/a/o${index}`, `r${round}`))));
    const pinned = await list(engine, 2100);
    const compaction = engine.compact(2100, { retain: keepNone });
    for (let index = 0; index < 20; index++) {
      await put(engine, `t/a/o${index * 30}`, index % 4 === 3 ? undefined : `during ${index}`);
      assert.deepEqual(await list(engine, 2100), pinned);
    }
    await compaction;
    assert.deepEqual(await list(engine, 2100), pinned);
    assert.deepEqual(
      (await readChanges(engine, 2100)).map((batch) => batch.revision),
      Array.from({ length: 20 }, (_, index) => 2101 + index),
    );
    for (const { changes } of await readChanges(engine, 2100)) assert.ok(changes[0]?.previous, 'the version before is there');
  },

  'ends a replay that it overtakes with Expired, never with a gap': async ({ engine }) => {
    await engine.commit(Array.from({ length: 900 }, (_, index) => request(write(`t/a/o${index}`, 'v'))));
    let last = 0;
    await rejects(async () => {
      for await (const batch of engine.changes(0)) {
        assert.equal(batch.revision, ++last);
        if (last === 100) await engine.compact(900, { retain: keepNone });
      }
    }, 'Expired');
    assert.ok(last >= 100 && last < 900);
  },
};
