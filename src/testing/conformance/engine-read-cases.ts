/** Cases about reads: order, prefixes, pages, the past, indexes, changes, versions. */
import assert from 'node:assert/strict';
import { versionMark } from '../../store/index.js';
import type { CommitRequest, Engine, Entry, InPlaceBatch, InPlaceRange, Key, LoggedWrite, Prefix, RangeResult } from '../../store/index.js';
import { changeLines, decode, k, path, put, readChanges, rejects, request, show, write } from './engine-kit.js';
import type { Case } from './engine-kit.js';

const paths = (keys: readonly Key[]): string[] => keys.map(path);

async function pages(engine: Engine, prefix: Prefix, limit: number, at?: number): Promise<string[]> {
  const seen: string[] = [];
  let after: Key | undefined;
  let revision = at;
  for (;;) {
    const page = await engine.range(prefix, { limit, after, at: revision });
    assert.ok(page.entries.length <= limit);
    assert.ok(!page.more || page.entries.length === limit, 'a page that is not full cannot have more behind it');
    seen.push(...show(page.entries));
    revision ??= page.revision;
    assert.equal(page.revision, revision);
    if (!page.more) return seen;
    after = page.entries.at(-1)?.key;
  }
}

export const readCases: Record<string, Case> = {
  'orders keys by the bytes of type, namespace and name': async ({ engine }) => {
    const names = ['a', 'a-', 'a.b', 'a0', 'aa', 'b', 'é', 'z', '日', '\uffee', '😀'];
    const keys = ['t', 't-t', 't.t', 'tt'].flatMap((type) =>
      ['', 'n', 'n-', 'n.n', 'nn'].flatMap((namespace) => names.map((name) => ({ type, namespace, name }))),
    );
    const shuffled = keys.toSorted(
      (a, b) => ((path(a).length * 7919) % 97) - ((path(b).length * 7919) % 97) || (path(a) < path(b) ? 1 : -1),
    );
    await engine.commit(shuffled.map((key) => request({ ...write('t/n/x', 'v'), key })));
    const bytes = (key: Key): Buffer => Buffer.from(`${key.type}\0${key.namespace}\0${key.name}`);
    const expected = paths(keys.toSorted((a, b) => Buffer.compare(bytes(a), bytes(b))));
    assert.deepEqual(paths((await engine.range({})).entries.map((entry) => entry.key)), expected);
    assert.deepEqual(
      (await pages(engine, {}, 7)).map((line) => line.split('=')[0]),
      expected,
    );
  },

  'keeps prefixes exact: prod never sees production': async ({ engine }) => {
    for (const at of ['svc/prod/a', 'svc/production/a', 'svc/prod-1/a', 'svc/prod./a', 'svc//a', 'svc2/prod/a', 'sv/prod/a'])
      await put(engine, at, 'v');
    const list = async (prefix: Prefix): Promise<string[]> => paths((await engine.range(prefix)).entries.map((entry) => entry.key));
    assert.deepEqual(await list({ type: 'svc', namespace: 'prod' }), ['svc/prod/a']);
    assert.deepEqual(await list({ type: 'svc', namespace: '' }), ['svc//a']);
    assert.deepEqual(await list({ type: 'svc' }), ['svc//a', 'svc/prod/a', 'svc/prod-1/a', 'svc/prod./a', 'svc/production/a']);
    assert.deepEqual(await list({ type: 'svc2' }), ['svc2/prod/a']);
    assert.deepEqual(await list({ type: 's' }), []);
    assert.deepEqual(await list({ type: 'svc', namespace: 'pro' }), []);
    await rejects(engine.range({ namespace: 'prod' }), 'BadRequest');
  },

  'pages through keys with limit and after, and knows exactly whether more follows': async ({ engine }) => {
    await engine.commit(Array.from({ length: 10 }, (_, index) => request(write(`t/a/k${index}`, String(index)))));
    await put(engine, 't/a/k9', undefined);
    await put(engine, 'u/a/k', 'other type');
    for (const limit of [1, 2, 3, 8, 9, 10, 100]) {
      assert.deepEqual(
        await pages(engine, { type: 't' }, limit),
        Array.from({ length: 9 }, (_, index) => `t/a/k${index}=${index}@${index + 1}`),
      );
    }
    assert.deepEqual(
      show((await engine.range({ type: 't' }, { after: k('t/a/k77'), limit: 1 })).entries),
      ['t/a/k8=8@9'],
      'after need not exist',
    );
    assert.deepEqual((await engine.range({ type: 't' }, { after: k('t/a/k8') })).entries, []);
    assert.deepEqual(
      show((await engine.range({ type: 't' }, { after: k('s/z/z'), limit: 1 })).entries),
      ['t/a/k0=0@1'],
      'after may lie before the prefix',
    );
    assert.deepEqual((await engine.range({ type: 't' }, { after: k('v/z/z') })).entries, [], 'or behind it');
    await rejects(engine.range({ type: 't' }, { limit: 0 }), 'BadRequest');
  },

  'reads every past revision as it was': async ({ engine }) => {
    const model = new Map<string, string>();
    const states: string[][] = [[]];
    const steps: [string, string | undefined][] = [];
    for (let step = 1; step <= 60; step++) {
      const at = `t/n${step % 3}/${'abcdefghijk'.charAt((step * 5) % 11)}`;
      steps.push([at, step % 7 === 3 && model.has(at) ? undefined : `v${step}`]);
      const [, text] = steps.at(-1) as [string, string | undefined];
      if (text === undefined) model.delete(at);
      else model.set(at, `${text}@${step}`);
      states.push([...model].map(([name, value]) => `${name}=${value}`).sort());
    }
    for (const [at, text] of steps) await put(engine, at, text);
    for (const [revision, expected] of states.entries()) {
      const all = await engine.range({}, { at: revision });
      assert.deepEqual(show(all.entries), expected, `at ${revision}`);
      assert.equal(all.revision, revision);
      assert.deepEqual(await pages(engine, {}, 3, revision), expected, `pages at ${revision}`);
      const space = await engine.range({ type: 't', namespace: 'n1' }, { at: revision });
      assert.deepEqual(
        show(space.entries),
        expected.filter((line) => line.startsWith('t/n1/')),
      );
      for (const name of 'adgj') {
        const entry = await engine.get(k(`t/n1/${name}`), { at: revision });
        assert.deepEqual(
          entry ? show([entry]) : [],
          expected.filter((line) => line.startsWith(`t/n1/${name}=`)),
        );
      }
    }
  },

  'gives pages of one revision while writers run': async ({ engine, deps }) => {
    await engine.commit(Array.from({ length: 40 }, (_, index) => request(write(`t/a/k${10 + index}`, 'first'))));
    const expected = show((await engine.range({ type: 't' })).entries);
    let stop = false;
    const writer = (async () => {
      for (let turn = 0; !stop; turn++) {
        const name = `t/a/k${10 + ((turn * 7) % 40)}`;
        const exists = (await engine.get(k(name))) !== undefined;
        await engine.commit([
          request(write(name, turn % 3 === 0 && exists ? undefined : `turn ${turn}`)),
          request(write(`t/a/k${10 + turn}x`, 'new')),
        ]);
      }
    })();
    const at = 40;
    for (let round = 0; round < 12; round++) {
      assert.deepEqual(await pages(engine, { type: 't' }, 3 + (round % 4), at), expected);
      await deps.scheduler.turn();
    }
    stop = true;
    await writer;
  },

  'refuses to read what has not been written yet': async ({ engine }) => {
    await put(engine, 't/a/x', '1');
    await rejects(engine.get(k('t/a/x'), { at: 2 }), 'BadRequest');
    await rejects(engine.range({}, { at: 2 }), 'BadRequest');
    await rejects(engine.range({}, { at: 0.5 }), 'BadRequest');
    assert.deepEqual(await readChanges(engine, 1), []);
    assert.deepEqual(await readChanges(engine, 5), [], 'a replay from the future has nothing to tell yet');
  },

  'finds keys by index, in key order, in pages': async ({ engine }) => {
    const node = (value: string): { index: string; value: string } => ({ index: 'field:t:spec.node', value });
    const order = [3, 1, 4, 0, 2];
    await engine.commit(
      order.map((index) => request(write(`t/n${index % 2}/o${index}`, 'v', { add: [node('n1'), { index: 'uid', value: `u${index}` }] }))),
    );
    await engine.commit([request(write('t/n0/other', 'v', { add: [node('n1-other'), node('n')] }))]);
    const all = ['t/n0/o0', 't/n0/o2', 't/n0/o4', 't/n1/o1', 't/n1/o3'];
    assert.deepEqual(paths(await engine.lookup(node('n1'))), all);
    assert.deepEqual(paths(await engine.lookup(node('n1'), { limit: 2 })), all.slice(0, 2));
    assert.deepEqual(paths(await engine.lookup(node('n1'), { after: k('t/n0/o2'), limit: 2 })), all.slice(2, 4));
    assert.deepEqual(paths(await engine.lookup({ index: 'uid', value: 'u3' })), ['t/n1/o3']);
    assert.deepEqual(await engine.lookup({ index: 'uid', value: 'u' }), []);
    assert.deepEqual(await engine.lookup({ index: 'ui', value: 'du3' }), []);
    await engine.commit([
      request(write('t/n0/o2', 'v', { remove: [node('n1')], add: [node('n2')] })),
      request(write('t/n1/o3', undefined, { remove: [node('n1'), { index: 'uid', value: 'u3' }] })),
      request(write('t/n0/o0', 'v', { remove: [node('n1')], add: [node('n1')] })),
    ]);
    assert.deepEqual(paths(await engine.lookup(node('n1'))), ['t/n0/o0', 't/n0/o4', 't/n1/o1']);
    assert.deepEqual(paths(await engine.lookup(node('n2'))), ['t/n0/o2']);
    assert.deepEqual(await engine.lookup({ index: 'uid', value: 'u3' }), []);
    assert.deepEqual(await engine.lookup({ index: 'uid', value: 'u1' }, { after: k('t/n1/o1') }), []);
  },

  'shows of a range what an index names, at the present and at past revisions, whoever was written since': async ({ engine, deps }) => {
    const node = (value: number): { index: string; value: string } => ({ index: 'field:t:spec.node', value: `n${value}` });
    /** Where each object is, after each revision. */
    const states: ReadonlyMap<string, number>[] = [new Map()];
    let random = 7;
    const below = (most: number): number => (random = (random * 1_103_515_245 + 12_345) % 2_147_483_648) % most;
    const change = (): CommitRequest => {
      const state = new Map(states.at(-1));
      states.push(state);
      const at = `${below(5) === 0 ? 'u' : 't'}/n${below(2)}/o${below(30)}`;
      const before = state.get(at);
      const remove = before === undefined ? [] : [node(before)];
      if (before !== undefined && below(3) === 0) {
        state.delete(at);
        return request(write(at, undefined, { remove }));
      }
      const now = below(3);
      state.set(at, now);
      return request(write(at, `n${now}`, { remove, add: [node(now)] }));
    };
    const check = async (at: number | undefined, limit: number | undefined): Promise<void> => {
      const state = states[at ?? engine.revision().current] as ReadonlyMap<string, number>;
      for (const prefix of [{ type: 't' }, { type: 't', namespace: 'n1' }, {}]) {
        const shown: Entry[] = [];
        for (let after: Key | undefined; ;) {
          const page: RangeResult = await engine.range(prefix, { at, limit, after, index: node(1) });
          shown.push(...page.entries);
          after = page.entries.at(-1)?.key;
          if (!page.more) break;
        }
        const all = show((await engine.range(prefix, { at })).entries);
        assert.deepEqual(
          all.filter((line) => show(shown).includes(line)),
          show(shown),
          'in order, each once, as a range without the index shows it',
        );
        const wanted = [...state].filter(([path, value]) => value === 1 && all.some((line) => line.startsWith(`${path}=`)));
        for (const [path] of wanted)
          assert.ok(
            show(shown).some((line) => line.startsWith(`${path}=`)),
            `${path} at ${at}`,
          );
      }
    };
    for (let round = 0; round < 12; round++) {
      await engine.commit(Array.from({ length: 15 }, change));
      const { current } = engine.revision();
      await check(undefined, undefined);
      await check(current, 3);
      for (const back of [1, 5, 40]) await check(Math.max(0, current - back), back === 5 ? 2 : undefined);
    }
    // While a commit is under way, and over slices of the range.
    await engine.commit(Array.from({ length: 1500 }, (_, index) => request(write(`w/a/o${index}`, 'v', { add: [node(1)] }))));
    const { current } = engine.revision();
    const listing = engine.range({ type: 'w' }, { index: node(1) });
    const moving = engine.commit(
      Array.from({ length: 700 }, (_, index) => request(write(`w/a/o${index * 2}`, 'moved', { remove: [node(1)], add: [node(2)] }))),
    );
    for (let turn = 0; turn < 3; turn++) {
      const { entries, revision } = await engine.range({ type: 'w' }, { index: node(1), at: current });
      assert.deepEqual([entries.length, revision], [1500, current]);
      await deps.scheduler.turn();
    }
    assert.equal((await listing).entries.length, 1500);
    await moving;
    assert.ok((await engine.range({ type: 'w' }, { index: node(1) })).entries.length >= 800);
    await rejects(engine.range({ type: 'w' }, { index: { index: 'i', value: 'nul\0' } }), 'BadRequest');
  },

  'tells changes in order, with the versions before and after, resumable at each revision': async ({ engine }) => {
    await engine.commit([
      request(write('t/a/x', '1', { verb: 'create' })),
      request([write('t/a/y', '2', { verb: 'create' }), write('t/a/x', '3')]),
    ]);
    await put(engine, 't/a/x', undefined);
    await put(engine, 't/a/x', '4', { verb: 'create' });
    await put(engine, 't/a/y', '5', { source: 'me' });
    const lines = [
      '1: create t/a/x=1@1 was nothing',
      '2: create t/a/y=2@2 was nothing',
      '2: update t/a/x=3@2 was t/a/x=1@1',
      '3: delete t/a/x=-@3 was t/a/x=3@2',
      '4: create t/a/x=4@4 was nothing',
      '5: update t/a/y=5@5 was t/a/y=2@2',
    ];
    for (let from = 0; from <= 5; from++) {
      assert.deepEqual(
        await changeLines(engine, from),
        lines.filter((line) => Number(line.split(':')[0]) > from),
        `from ${from}`,
      );
    }
    const batches = await readChanges(engine, 0);
    assert.deepEqual(
      batches.map((batch) => batch.id),
      ['write of t/a/x', 'write of t/a/y t/a/x', 'write of t/a/x', 'write of t/a/x', 'write of t/a/y'],
    );
    const deletion = batches[2]?.changes[0]?.entry;
    assert.deepEqual([deletion?.version, deletion?.created, deletion?.revision, deletion?.meta.uid], [3, 1, 3, 'uid-t/a/x']);
    assert.deepEqual([batches[3]?.changes[0]?.entry.version, batches[3]?.changes[0]?.entry.created], [1, 4]);
    assert.equal(batches[4]?.changes[0]?.entry.meta.source, 'me');
    assert.deepEqual(
      (await readChanges(engine, 1, { limit: 2 })).map((batch) => batch.revision),
      [2, 3],
    );
  },

  'tells which versions of a type the log names, without reading them': async ({ engine }) => {
    await put(engine, 't/a/x', '1');
    await engine.commit([request([write('tt/a/x', 'other type'), write('t//y', '2'), write('t/a/x', '3')])]);
    await put(engine, 't/a/x', undefined);
    await put(engine, 't/a/x', '4', { uid: 'another' });
    await put(engine, 'tt/a/z', 'other type');
    const logged = async (type: string, from: number): Promise<string[]> => {
      const writes: LoggedWrite[] = [];
      const { current } = engine.revision();
      for (let at = from; at < current;) {
        const slice = await engine.logged(type, at);
        assert.ok(slice.upTo > at && slice.upTo <= current, 'each slice comes further');
        writes.push(...slice.writes);
        at = slice.upTo;
      }
      return writes.map(({ key, revision, mark }) => `${path(key)}@${revision} ${mark}`);
    };
    const [uid, other] = ['uid-t/a/x', 'another'];
    const lines = [
      `t/a/x@1 ${versionMark(uid, 1)}`,
      `t//y@2 ${versionMark('uid-t//y', 1)}`,
      `t/a/x@2 ${versionMark(uid, 2)}`,
      `t/a/x@3 ${versionMark(uid, 3)}`,
      `t/a/x@4 ${versionMark(other, 1)}`,
    ];
    assert.deepEqual(await logged('t', 0), lines);
    assert.deepEqual(await logged('t', 2), lines.slice(3));
    assert.deepEqual(await logged('none', 0), []);
    assert.deepEqual(await engine.logged('t', 5), { writes: [], upTo: 5 });
    await engine.commit(Array.from({ length: 5000 }, (_, index) => request(write(`t/b/o${index}`, 'v'))));
    assert.equal((await logged('t', 5)).length, 5000);
    await engine.compact(3, { retain: () => new Set() });
    await rejects(engine.logged('t', 2), 'Expired');
    assert.deepEqual((await logged('t', 3)).slice(0, 1), lines.slice(4));
  },

  'ends a replay at the present, and can be left or aborted at any time': async ({ engine }) => {
    await engine.commit(Array.from({ length: 600 }, (_, index) => request(write(`t/a/o${index % 50}`, `v${index}`))));
    let last = 0;
    for await (const batch of engine.changes(0)) {
      assert.equal(batch.revision, ++last);
      if (last === 300) await put(engine, 't/a/late', 'late');
    }
    assert.equal(last, 601, 'what is written during a replay belongs to it');
    for await (const batch of engine.changes(10)) if (batch.revision === 13) break;
    const abort = new AbortController();
    const reason = await rejects(async () => {
      for await (const batch of engine.changes(0, { signal: abort.signal })) if (batch.revision === 5) abort.abort(new Error('enough'));
    }, 'Aborted');
    assert.equal((reason.cause as Error).message, 'enough');
  },

  'lists the versions of a key, newest first, deletes included': async ({ engine }) => {
    await put(engine, 't/a/x', '1', { generation: 1 });
    await put(engine, 't/a/xx', 'other key');
    await put(engine, 't/a/x', '2', { generation: 2 });
    await put(engine, 't/a/x', undefined);
    await put(engine, 't/a/x', '3');
    const all = ['t/a/x=3@5', 't/a/x=-@4', 't/a/x=2@3', 't/a/x=1@1'];
    assert.deepEqual(show(await engine.versions(k('t/a/x'))), all);
    assert.deepEqual(show(await engine.versions(k('t/a/x'), { limit: 2 })), all.slice(0, 2));
    assert.deepEqual(show(await engine.versions(k('t/a/x'), { before: 4, limit: 1 })), all.slice(2, 3));
    assert.deepEqual(show(await engine.versions(k('t/a/x'), { before: 1 })), []);
    assert.deepEqual(
      (await engine.versions(k('t/a/x'))).map((entry) => entry.version),
      [1, 3, 2, 1],
    );
    assert.deepEqual(await engine.versions(k('t/a/none')), []);
  },

  'hands back decoded objects where it says so': async (context) => {
    const { engine } = context;
    context.need(engine.capabilities.decoded, 'decoded');
    const decoded = Object.freeze({ spec: 1 });
    await put(engine, 't/a/x', '1', { decoded });
    await put(engine, 't/a/x', '2', { decoded: Object.freeze({ spec: 2 }) });
    assert.equal((await engine.get(k('t/a/x'), { at: 1 }))?.decoded, decoded);
    assert.deepEqual((await engine.range({})).entries[0]?.decoded, { spec: 2 });
    assert.equal((await readChanges(engine, 1))[0]?.changes[0]?.previous?.decoded, decoded);
  },

  'reads in place what it reads otherwise': async (context) => {
    const { engine } = context;
    const { inPlace } = engine;
    context.need(inPlace !== undefined, 'inPlace');
    if (inPlace === undefined) return;
    // Nothing of an entry is there later: what is kept has to be read now.
    const copy = ({ key, value, meta, revision, created, version }: Entry): Entry => {
      const { verb, uid, generation, time, source } = meta;
      return { key, value: value && Buffer.from(value), meta: { verb, uid, generation, time, source }, revision, created, version };
    };
    const plain = (entry: Entry | undefined): string | undefined => entry && show([entry])[0];
    for (let index = 0; index < 700; index++)
      await put(engine, `t/a/o${index % 300}`, `v${index}`.repeat(1 + (index % 90)), { source: 'me' });
    for (let index = 0; index < 40; index++) await put(engine, `t/a/o${index * 3}`, undefined);
    const large = 'large'.repeat(40_000);
    await put(engine, 't/b/large', large);
    const names = ['o0', 'o1', 'o299', 'none'];
    for (const name of names) {
      const found = await engine.get(k(`t/a/${name}`));
      assert.deepEqual(inPlace.get(k(`t/a/${name}`), copy), found && copy(found));
    }
    assert.equal(decode(inPlace.get(k('t/b/large'), copy)?.value), large);
    const { current } = engine.revision();
    for (const at of [undefined, current, 700, 350, 5]) {
      const { entries } = await engine.range({ type: 't' }, { at });
      for (const limit of [undefined, 1, 7, entries.length]) {
        const seen: Entry[] = [];
        let after: Key | undefined;
        do {
          const page: InPlaceRange<Entry> = await inPlace.range({ type: 't' }, { at, limit, after }, copy);
          assert.ok(page.items.length <= (limit ?? Infinity));
          seen.push(...page.items);
          after = limit === 1 && seen.length === 3 ? undefined : page.next;
          if (page.next !== undefined) assert.deepEqual(page.next, page.items.at(-1)?.key);
        } while (after !== undefined);
        assert.deepEqual(show(seen), show(limit === 1 ? entries.slice(0, 3) : entries));
      }
    }
    const told: string[] = [];
    for (let from = 0; from < current;) {
      const slice: readonly InPlaceBatch<Entry>[] = inPlace.changes(from, 100, copy);
      assert.ok(slice.length > 0 && slice.length <= 100);
      for (const { revision, changes } of slice) {
        assert.equal(revision, ++from, 'without gaps');
        for (const { entry, previous } of changes) told.push(`${show([entry])[0]} ${entry.meta.verb} ${plain(previous) ?? '-'}`);
      }
    }
    const expected = (await readChanges(engine, 0)).flatMap(({ changes }) =>
      changes.map(({ entry, previous }) => `${show([entry])[0]} ${entry.meta.verb} ${plain(previous) ?? '-'}`),
    );
    assert.deepEqual(told, expected);
    assert.deepEqual(inPlace.changes(current, 10, copy), []);
  },

  'reports what it holds': async ({ engine }) => {
    await engine.commit(Array.from({ length: 20 }, (_, index) => request(write(`t/a/o${index}`, 'x'.repeat(1000)))));
    const before = await engine.stats();
    await engine.commit(Array.from({ length: 20 }, (_, index) => request(write(`t/a/o${index}`, 'y'.repeat(1000)))));
    await put(engine, 't/a/o3', undefined);
    const after = await engine.stats();
    assert.deepEqual([before.objects, before.revision, after.objects, after.revision, after.compacted], [20, 20, 19, 41, 0]);
    assert.ok(before.bytes >= 20_000 && after.bytes >= before.bytes);
    const grown = after.windowBytes - before.windowBytes;
    assert.ok(grown >= 20_000 && grown < 60_000, `superseded versions count: ${grown}`);
  },

  'does not care what callers do with what they read': async ({ engine }) => {
    await put(engine, 't/a/x', 'text');
    assert.equal(decode((await engine.get(k('t/a/x')))?.value), 'text');
    const { entries } = await engine.range({});
    (entries as unknown[]).length = 0;
    assert.equal((await engine.range({})).entries.length, 1);
  },
};
