/** Cases about commits: order, atomicity, preconditions, limits, meta, the life of an engine. */
import assert from 'node:assert/strict';
import type { CommitRequest, Precondition, Premise } from '../../store/index.js';
import { changeLines, decode, k, put, readChanges, rejects, request, revisionOf, show, write } from './engine-kit.js';
import type { Case } from './engine-kit.js';

async function outcome(
  context: Parameters<Case>[0],
  batch: readonly CommitRequest[],
  premises?: readonly Premise[],
): Promise<(number | string)[]> {
  const results = await context.engine.commit(batch, premises);
  return results.map((result) => {
    if (result.ok) return result.revision;
    if ('refused' in result) return result.refused.reason;
    if ('meta' in result.failed) return `meta ${result.failed.meta}`;
    return 'key' in result.failed
      ? `key ${result.failed.key.name}`
      : `prefix ${result.failed.prefix.type ?? '*'}/${result.failed.prefix.namespace ?? '*'}`;
  });
}

export const commitCases: Record<string, Case> = {
  'starts empty at revision 0': async ({ engine }) => {
    assert.deepEqual(engine.revision(), { current: 0, compacted: 0 });
    assert.equal(await engine.get(k('t/a/x')), undefined);
    assert.deepEqual(await engine.range({}), { entries: [], revision: 0, more: false });
    assert.deepEqual(await readChanges(engine, 0), []);
    assert.equal((await engine.stats()).objects, 0);
  },

  'gives each request the next revision, in the order of the batch': async (context) => {
    const { engine } = context;
    assert.deepEqual(
      await outcome(context, [request(write('t/a/x', '1')), request(write('t/a/y', '2')), request(write('t/a/x', '3'))]),
      [1, 2, 3],
    );
    assert.deepEqual(await outcome(context, [request(write('t/a/z', '4'))]), [4]);
    assert.equal(engine.revision().current, 4);
    assert.deepEqual(show((await engine.range({})).entries), ['t/a/x=3@3', 't/a/y=2@2', 't/a/z=4@4']);
  },

  'keeps what a write says, and counts versions of the object': async ({ engine }) => {
    await put(engine, 't/a/x', 'one', { verb: 'create', uid: 'u1', generation: 1, time: 1_700_000_000_123, source: 'me' });
    await put(engine, 't/a/other', 'o');
    await put(engine, 't/a/x', 'two', { uid: 'u1', generation: 2, time: 5.5 });
    const entry = await engine.get(k('t/a/x'));
    assert.ok(entry);
    assert.deepEqual(
      { ...entry, value: decode(entry.value), meta: { ...entry.meta } },
      {
        key: k('t/a/x'),
        value: 'two',
        meta: { verb: 'update', uid: 'u1', generation: 2, time: 5.5, source: undefined },
        revision: 3,
        created: 1,
        version: 2,
      },
    );
    const first = await engine.get(k('t/a/x'), { at: 1 });
    assert.deepEqual({ ...first?.meta }, { verb: 'create', uid: 'u1', generation: 1, time: 1_700_000_000_123, source: 'me' });
    assert.equal(first?.version, 1);
  },

  'keeps values of any bytes and size': async ({ engine }) => {
    const values = [
      new Uint8Array(0),
      new Uint8Array([0, 255, 0]),
      new Uint8Array(3000).fill(7),
      new Uint8Array(40_000).fill(8),
      new Uint8Array(1_000_000).fill(9),
    ];
    const results = await engine.commit(values.map((value, index) => request({ ...write(`t/a/v${index}`, ''), value })));
    assert.ok(results.every((result) => result.ok));
    const expected = values.map((value) => Buffer.from(value));
    for (const [index, value] of expected.entries())
      assert.ok(value.equals((await engine.get(k(`t/a/v${index}`)))?.value as Uint8Array), `value ${index}`);
    const { entries } = await engine.range({ type: 't' });
    for (const [index, entry] of entries.entries())
      assert.ok(expected[index]?.equals(entry.value as Uint8Array), `value ${index} in a range`);
  },

  'does not change what was read when more is written': async ({ engine }) => {
    await put(engine, 't/a/x', 'old');
    const entry = await engine.get(k('t/a/x'));
    await put(engine, 't/a/x', 'new');
    await engine.range({});
    assert.equal(decode(entry?.value), 'old');
  },

  'shows a commit to nobody before it has resolved': async ({ engine, deps }) => {
    await put(engine, 't/a/x', 'old');
    let resolved = false;
    const commit = engine.commit([request(write('t/a/x', 'new')), request(write('t/a/y', 'new'))]).then(() => (resolved = true));
    for (;;) {
      const { current } = engine.revision();
      const [entry, page] = await Promise.all([engine.get(k('t/a/x')), engine.range({})]);
      if (resolved) break;
      assert.deepEqual([decode(entry?.value), show(page.entries), page.revision, current], ['old', ['t/a/x=old@1'], 1, 1]);
      await deps.scheduler.turn();
    }
    await commit;
    assert.deepEqual(show((await engine.range({})).entries), ['t/a/x=new@2', 't/a/y=new@3']);
  },

  'applies a request whole, as one revision': async (context) => {
    const { engine } = context;
    await put(engine, 't/a/gone', '0');
    const requests = [
      request([write('t/a/x', '1', { verb: 'create' }), write('u/b/y', '2', { verb: 'create' }), write('t/a/gone', undefined)]),
    ];
    assert.deepEqual(await outcome(context, requests), [2]);
    assert.deepEqual(show((await engine.range({})).entries), ['t/a/x=1@2', 'u/b/y=2@2']);
    assert.deepEqual(await changeLines(engine, 1), [
      '2: create t/a/x=1@2 was nothing',
      '2: create u/b/y=2@2 was nothing',
      '2: delete t/a/gone=-@2 was t/a/gone=0@1',
    ]);
  },

  'drops a request whole when one of its preconditions fails, and carries out the others': async (context) => {
    const { engine } = context;
    const add = { index: 'i', value: 'v' };
    await put(engine, 't/a/x', '1');
    const bad = request(
      [write('t/a/p', 'p', { add: [add] }), write('t/a/x', 'no')],
      { key: k('t/a/p'), revision: 'absent' },
      { key: k('t/a/x'), revision: 9 },
    );
    assert.deepEqual(await outcome(context, [request(write('t/a/m', 'm')), bad, request(write('t/a/n', 'n'))]), [2, 'key x', 3]);
    assert.deepEqual(show((await engine.range({})).entries), ['t/a/m=m@2', 't/a/n=n@3', 't/a/x=1@1']);
    assert.deepEqual(await engine.lookup(add), []);
    assert.deepEqual(
      (await readChanges(engine, 0)).map((batch) => batch.revision),
      [1, 2, 3],
    );
  },

  'tells which precondition failed and what is there instead': async ({ engine }) => {
    await put(engine, 't/a/x', 'there');
    const absent: Precondition = { key: k('t/a/x'), revision: 'absent' };
    const stale: Precondition = { key: k('t/a/x'), revision: 7 };
    const missing: Precondition = { key: k('t/a/none'), revision: 1 };
    const results = await engine.commit([
      request(write('t/a/x', 'n'), absent),
      request(write('t/a/x', 'n'), stale),
      request(write('t/a/none', 'n'), missing),
    ]);
    assert.deepEqual(
      results.map((result) =>
        'failed' in result ? [result.failed, result.current === undefined ? undefined : show([result.current])[0]] : 'no failed one',
      ),
      [
        [absent, 't/a/x=there@1'],
        [stale, 't/a/x=there@1'],
        [missing, undefined],
      ],
    );
    assert.equal(engine.revision().current, 1);
  },

  'checks preconditions in order, each against what the requests before it did': async (context) => {
    const create = (name: string): CommitRequest => request(write(`t/a/${name}`, name), { key: k(`t/a/${name}`), revision: 'absent' });
    const results = await outcome(context, [
      create('x'),
      create('x'),
      request(write('t/a/x', undefined), { key: k('t/a/x'), revision: 1 }),
      create('x'),
    ]);
    assert.deepEqual(results, [1, 'key x', 2, 3]);
    assert.equal((await context.engine.get(k('t/a/x')))?.version, 1, 'created anew: the counter starts again');
    assert.equal((await context.engine.get(k('t/a/x')))?.created, 3);
  },

  'lets a precondition name the revision that an earlier request of the batch gets': async (context) => {
    const x = k('t/a/x');
    const results = await outcome(context, [
      request(write('t/a/x', '1'), { key: x, revision: 'absent' }),
      request(write('t/a/x', '2'), { key: x, revision: { request: 0 } }),
      request(write('t/a/x', '3'), { key: x, revision: { request: 0 } }),
      request(write('t/a/x', '4'), { key: x, revision: { request: 2 } }),
      request(write('t/a/x', '5'), { key: x, revision: { request: 1 } }),
    ]);
    assert.deepEqual(results, [1, 2, 'key x', 'key x', 3]);
    assert.equal(decode((await context.engine.get(x))?.value), '5');
  },

  'fails a range precondition after a change in its prefix, deletes included, and after no other': async (context) => {
    const { engine } = context;
    const unchanged = (since: number | { request: number }, type?: string, namespace?: string): CommitRequest =>
      request(write('z/z/result', JSON.stringify(since)), { prefix: { type, namespace }, unchangedSince: since });
    await put(engine, 't/a/x', '1');
    await put(engine, 't/ab/y', '2');
    await put(engine, 'tt/a/x', '3');
    const results = await outcome(context, [
      unchanged(1, 't', 'a'),
      unchanged(1, 't', 'ab'),
      unchanged(2, 't', 'ab'),
      unchanged(1, 't'),
      unchanged(2, 't'),
      unchanged(2, 'tt'),
      unchanged(0, 'none'),
      unchanged(0, 't', ''),
    ]);
    assert.deepEqual(results, [4, 'prefix t/ab', 5, 'prefix t/*', 6, 'prefix tt/*', 7, 8]);
    assert.deepEqual(await outcome(context, [unchanged(7), unchanged(8)]), ['prefix */*', 9]);
    await put(engine, 't/a/x', undefined);
    assert.deepEqual(await outcome(context, [unchanged(9, 't', 'a'), unchanged(10, 't', 'a')]), ['prefix t/a', 11]);
    assert.deepEqual(
      await outcome(context, [
        request(write('t/a/q', 'q')),
        unchanged(11, 't', 'a'),
        unchanged({ request: 0 }, 't', 'a'),
        unchanged({ request: 1 }, 't', 'a'),
      ]),
      [12, 'prefix t/a', 13, 'prefix t/a'],
    );
  },

  'knows after a reopen what changed in a prefix before it': async (context) => {
    for (const at of ['t/a/x', 't/b/x', 'u/a/x']) await put(context.engine, at, 'v');
    const engine = await context.reopen();
    const since = async (revision: number, type: string, namespace?: string): Promise<boolean> =>
      (await engine.commit([request(write('z/z/z', 'z'), { prefix: { type, namespace }, unchangedSince: revision })]))[0]?.ok === true;
    assert.deepEqual(
      [
        await since(1, 't', 'a'),
        await since(0, 't', 'a'),
        await since(1, 't'),
        await since(2, 't'),
        await since(2, 'u'),
        await since(0, 'v'),
      ],
      [true, false, false, true, false, true],
    );
  },

  'fails a delete of what is not there': async (context) => {
    assert.deepEqual(await outcome(context, [request(write('t/a/x', undefined)), request(write('t/a/y', 'y'))]), ['key x', 1]);
  },

  'refuses a request that cannot be carried out, and it alone': async (context) => {
    const { engine } = context;
    const bad: CommitRequest[] = [
      { id: 'empty', writes: [], expect: [] },
      request([write('t/a/x', '1'), write('t/a/x', '2')]),
      request(write('t/a/', 'no name')),
      request(write('/a/x', 'no type')),
      request({ ...write('t/a/x', ''), key: { type: 't', namespace: 'a', name: 'nul\0' } }),
      request({ ...write('t/a/x', ''), key: { type: 't', namespace: 'a', name: 'half \ud800' } }),
      request(write(`t/a/${'n'.repeat(1001)}`, 'long')),
      request(write('t/a/x', '1'), { key: k('t/a/x'), revision: { request: 9 } }),
      request(write('t/a/x', '1'), { key: k('t/a/x'), revision: -1 }),
      request(write('t/a/x', '1'), { key: { type: 't', namespace: 'a', name: 'nul\0' }, revision: 'absent' }),
      request(write('t/a/x', '1'), { prefix: { namespace: 'a' }, unchangedSince: 0 }),
      request(write('t/a/x', '1', { add: [{ index: 'i', value: 'nul\0' }] })),
      request(write('t/a/x', '1', { remove: [{ index: 'nul\0', value: 'v' }] })),
      request(write('t/a/x', '1', { add: [{ index: '', value: 'v' }] })),
      request(write('t/a/x', '1', { add: [{ index: 'i', value: 'half \udc00' }] })),
      request(write('t/a/x', '1', { add: [{ index: 'i', value: '\uffff'.repeat(334) }] })),
      request(write('t/a/x', '1', { source: 's'.repeat(1025) })),
      request(write('t/a/x', '1', { source: '\uffff'.repeat(342) })),
      request(write('t/a/x', '1', { source: 5 as never })),
      request(write('t/a/x', '1', { uid: 'u'.repeat(256) })),
      request(write('t/a/x', '1', { generation: 0.5 })),
      request(write('t/a/x', '1', { verb: 'read' as never })),
      { id: 'no key', writes: [{ ...write('t/a/x', '1'), key: undefined as never }], expect: [] },
    ];
    let revision = 0;
    for (const each of bad) {
      const batch = [
        request(write('t/b/before', '1')),
        each,
        request(write('t/b/behind', '2'), { key: k('t/b/before'), revision: { request: 0 } }),
      ];
      assert.deepEqual(await outcome(context, batch), [revision + 1, 'BadRequest', revision + 2], each.id);
      revision += 2;
    }
    assert.deepEqual(await outcome(context, [request(write('t/a/', 'alone'))]), ['BadRequest']);
    assert.equal(engine.revision().current, revision);
    assert.deepEqual(show((await engine.range({})).entries), [`t/b/before=1@${revision - 1}`, `t/b/behind=2@${revision}`]);
    assert.equal((await readChanges(engine, 0)).length, revision);
    const [, resting] = await engine.commit([
      request(write('t/a/', 'refused')),
      request(write('t/a/x', 'rests on it'), { key: k('t/a/x'), revision: { request: 0 } }),
    ]);
    assert.ok(resting?.ok === false && 'failed' in resting);
    const long = request(
      write('t/a/x', '1', { source: 's'.repeat(1024), uid: 'u'.repeat(255), add: [{ index: 'i', value: '\uffff'.repeat(332) }] }),
    );
    assert.deepEqual(await outcome(context, [long]), [revision + 1]);
    assert.equal((await engine.get(k('t/a/x')))?.meta.source?.length, 1024);
    assert.deepEqual(await engine.lookup({ index: 'i', value: '\uffff'.repeat(332) }), [k('t/a/x')]);
  },

  'keeps the limits it names: one write less fits, one more is refused': async (context) => {
    const { engine } = context;
    const { operations, bytes } = engine.limits;
    const many = (count: number): CommitRequest => request(Array.from({ length: count }, (_, index) => write(`t/a/${index}`, 'v')));
    assert.deepEqual(await outcome(context, [many(operations), many(operations + 1)]), [1, 'RequestEntityTooLarge']);
    const large = (size: number): CommitRequest => request({ ...write('t/b/large', ''), value: new Uint8Array(size) });
    assert.deepEqual(await outcome(context, [large(bytes + 1), large(bytes)]), ['RequestEntityTooLarge', 2]);
    assert.equal((await engine.range({ type: 't', namespace: 'a' })).entries.length, operations);
    assert.equal((await engine.get(k('t/b/large')))?.value?.byteLength, bytes);
  },

  'takes a huge batch': async ({ engine }) => {
    const results = await engine.commit(
      Array.from({ length: 3000 }, (_, index) =>
        request(write(`t/n${index % 7}/o${index}`, `v${index}`), { key: k(`t/n${index % 7}/o${index}`), revision: 'absent' }),
      ),
    );
    assert.deepEqual(
      results.map((result) => revisionOf(result)),
      Array.from({ length: 3000 }, (_, index) => index + 1),
    );
    assert.equal((await engine.range({ type: 't' })).entries.length, 3000);
    assert.equal((await readChanges(engine, 1500)).length, 1500);
    assert.equal((await engine.stats()).objects, 3000);
  },

  'keeps everything over close and open': async (context) => {
    await put(context.engine, 't/a/x', '1', { add: [{ index: 'i', value: 'v' }] });
    await put(context.engine, 't/a/x', '2');
    await put(context.engine, 't/a/y', '3');
    await put(context.engine, 't/a/y', undefined);
    await context.engine.meta.set('m', 'text');
    const engine = await context.reopen();
    assert.deepEqual(engine.revision(), { current: 4, compacted: 0 });
    assert.deepEqual(show((await engine.range({})).entries), ['t/a/x=2@2']);
    assert.deepEqual(show((await engine.range({}, { at: 3 })).entries), ['t/a/x=2@2', 't/a/y=3@3']);
    assert.deepEqual(await engine.lookup({ index: 'i', value: 'v' }), [k('t/a/x')]);
    assert.equal(await engine.meta.get('m'), 'text');
    assert.equal((await readChanges(engine, 0)).length, 4);
    assert.equal(await put(engine, 't/a/x', '5'), 5);
    assert.equal((await engine.get(k('t/a/x')))?.version, 3);
  },

  'compares and swaps its meta': async ({ engine }) => {
    const { meta } = engine;
    assert.equal(await meta.get('m'), undefined);
    assert.equal(await meta.set('m', 'no', { expect: 'old' }), false);
    assert.equal(await meta.set('m', 'one', { expect: null }), true);
    assert.equal(await meta.set('m', 'no', { expect: null }), false);
    assert.equal(await meta.set('m', 'two', { expect: 'one' }), true);
    assert.equal(await meta.get('m'), 'two');
    const race = await Promise.all(['a', 'b', 'c'].map((text) => meta.set('m', text, { expect: 'two' })));
    assert.deepEqual(race.filter(Boolean), [true]);
    assert.equal(await meta.set('m', ''), true);
    assert.equal(await meta.get('m'), '');
    assert.equal(await meta.set('m', undefined), true);
    assert.equal(await meta.get('m'), undefined);
    assert.equal(await meta.set(`long ${'n'.repeat(200)}`, 'x'.repeat(100_000)), true);
    assert.equal((await meta.get(`long ${'n'.repeat(200)}`))?.length, 100_000);
    assert.equal(engine.revision().current, 0, 'meta takes no revisions');
  },

  'commits a batch only while its premises about meta hold, and none of it otherwise': async (context) => {
    const { engine } = context;
    const both = (): CommitRequest[] => [request(write('t/a/x', 'x')), request([write('t/a/y', 'y'), write('t/a/z', 'z')])];
    const none: Premise = { meta: 'm', text: null };
    const one: Premise = { meta: 'm', text: 'one' };
    assert.deepEqual(await outcome(context, both(), [one]), ['meta m', 'meta m']);
    assert.equal(engine.revision().current, 0);
    assert.deepEqual(await readChanges(engine, 0), []);
    assert.deepEqual(await outcome(context, both(), [none]), [1, 2]);
    await engine.meta.set('m', 'one');
    assert.deepEqual(await outcome(context, both(), [none]), ['meta m', 'meta m']);
    assert.deepEqual(await outcome(context, both(), [one, { meta: 'other', text: '' }]), ['meta other', 'meta other']);
    assert.deepEqual(await outcome(context, both(), [one, { meta: 'other', text: null }]), [3, 4]);
    const [refused] = await engine.commit(both(), [{ meta: 'm', text: 'on' }]);
    assert.deepEqual(refused, { ok: false, failed: { meta: 'm', text: 'on' } });
    // The text decides, not the object it came in; nor is what held once taken to hold again.
    const premises = [{ ...one }];
    assert.deepEqual(await outcome(context, both(), premises), [5, 6]);
    await engine.meta.set('m', 'two');
    assert.deepEqual(await outcome(context, both(), premises), ['meta m', 'meta m']);
    await engine.meta.set('m', undefined);
    assert.deepEqual(await outcome(context, both(), premises), ['meta m', 'meta m']);
    assert.deepEqual(await outcome(context, both(), [none]), [7, 8]);
    assert.deepEqual(await outcome(context, [request(write('t/a/x', 'no premises'))]), [9]);
    const long = 'x'.repeat(100_000);
    await engine.meta.set('m', long);
    assert.deepEqual(await outcome(context, both(), [{ meta: 'm', text: `${long.slice(1)}y` }]), ['meta m', 'meta m']);
    assert.deepEqual(await outcome(context, both(), [{ meta: 'm', text: long }]), [10, 11]);
  },

  'lets meta and commits that rest on it happen one after the other': async ({ engine }) => {
    await engine.meta.set('m', '0');
    for (let round = 0; round < 20; round += 1) {
      const premises = [{ meta: 'm', text: String(round) }];
      const [results, set] = await Promise.all([
        engine.commit([request(write('t/a/x', String(round)))], premises),
        engine.meta.set('m', String(round + 1), { expect: String(round) }),
      ]);
      assert.equal(set, true);
      const [again] = await engine.commit([request(write('t/a/y', 'late'))], premises);
      assert.equal(again?.ok, false, 'nothing comes after the change');
      if (results[0]?.ok === false) assert.ok('failed' in results[0] && 'meta' in results[0].failed);
    }
  },

  'refuses a second commit while one is under way': async ({ engine }) => {
    const first = engine.commit([request(write('t/a/x', '1'))]);
    await rejects(engine.commit([request(write('t/a/y', '2'))]), 'InternalError');
    assert.equal(revisionOf((await first)[0]), 1);
    assert.equal(await put(engine, 't/a/y', '2'), 2);
  },

  'finishes the work in flight when it is closed, and may be closed twice': async (context) => {
    const commit = context.engine.commit([request(write('t/a/x', '1'))]);
    const meta = context.engine.meta.set('m', 'text');
    await Promise.all([context.engine.close(), context.engine.close()]);
    await context.engine.close();
    assert.deepEqual([revisionOf((await commit)[0]), await meta], [1, true]);
    const engine = await context.reopen();
    assert.deepEqual([engine.revision().current, await engine.meta.get('m')], [1, 'text']);
  },

  'rejects every call after it was closed': async ({ engine }) => {
    await put(engine, 't/a/x', '1');
    const changes = engine.changes(0);
    await engine.close();
    const retain = (): Set<number> => new Set();
    const calls: (() => Promise<unknown>)[] = [
      () => engine.get(k('t/a/x')),
      () => engine.range({}),
      () => engine.lookup({ index: 'i', value: 'v' }),
      () => engine.commit([request(write('t/a/x', '2'))]),
      () => engine.versions(k('t/a/x')),
      () => engine.compact(1, { retain }),
      () => engine.stats(),
      () => engine.walk({}),
      () => engine.rewrite([]),
      () => engine.verify(),
      () => engine.meta.get('m'),
      () => engine.meta.set('m', 'x'),
      async () => engine.revision(),
      () => changes[Symbol.asyncIterator]().next(),
    ];
    for (const call of calls) await rejects(call, 'ServiceUnavailable');
  },
};
