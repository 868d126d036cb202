/** Cases about kept versions: walking over them, new bytes for them, checking everything. */
import assert from 'node:assert/strict';
import type { Engine, Entry, IndexEntry, Key, Prefix, VersionPosition } from '../../store/index.js';
import { changeLines, decode, encode, k, put, request, show, write } from './engine-kit.js';
import type { Case } from './engine-kit.js';

async function walkAll(engine: Engine, prefix: Prefix, limit: number): Promise<string[]> {
  const seen: string[] = [];
  let after: VersionPosition | undefined;
  for (;;) {
    const page = await engine.walk(prefix, { limit, after });
    seen.push(...show(page.entries));
    if (!page.more) return seen;
    assert.equal(page.entries.length, limit);
    const last = page.entries.at(-1);
    after = last && { key: last.key, revision: last.revision };
  }
}

async function some(engine: Engine): Promise<void> {
  await put(engine, 't/a/x', '1');
  await put(engine, 't/a/xy', '2');
  await put(engine, 't/a/x', '3');
  await put(engine, 'u/a/x', '4');
  await put(engine, 't/a/x', undefined);
  await put(engine, 't/a/x', '6', { uid: 'another' });
  await put(engine, 't/a/xy', undefined);
}

export const versionCases: Record<string, Case> = {
  'walks over every kept version, by key, then oldest first, in pages of any size': async ({ engine }) => {
    await some(engine);
    const all = ['t/a/x=1@1', 't/a/x=3@3', 't/a/x=-@5', 't/a/x=6@6', 't/a/xy=2@2', 't/a/xy=-@7', 'u/a/x=4@4'];
    for (const limit of [1, 2, 3, 6, 7, 8]) {
      assert.deepEqual(await walkAll(engine, {}, limit), all, `pages of ${limit}`);
      assert.deepEqual(await walkAll(engine, { type: 't', namespace: 'a' }, limit), all.slice(0, 6));
    }
    assert.deepEqual(show((await engine.walk({})).entries), all);
    assert.deepEqual(await walkAll(engine, { type: 't', namespace: 'b' }, 2), []);
  },

  'replaces the bytes of kept versions in place, without a revision': async (context) => {
    await some(context.engine);
    const at = (path: string, revision: number, expect: string, value: string) => ({
      key: k(path),
      revision,
      expect: encode(expect),
      value: encode(value),
    });
    const count = await context.engine.rewrite([
      at('t/a/x', 1, '1', 'one'),
      at('t/a/x', 6, '6', 'six'),
      at('u/a/x', 4, '4', 'four'),
      at('t/a/x', 3, 'something else', 'no'),
      at('t/a/x', 2, '2', 'no such version'),
      at('t/a/x', 5, '', 'a tombstone has no bytes'),
      at('t/a/none', 1, '1', 'no such key'),
    ]);
    assert.equal(count, 3);
    const check = async (engine: Engine): Promise<void> => {
      assert.equal(engine.revision().current, 7);
      assert.deepEqual(await walkAll(engine, {}, 10), [
        't/a/x=one@1',
        't/a/x=3@3',
        't/a/x=-@5',
        't/a/x=six@6',
        't/a/xy=2@2',
        't/a/xy=-@7',
        'u/a/x=four@4',
      ]);
      const lines = await changeLines(engine, 0);
      assert.deepEqual(
        [lines[0], lines[2], lines[3], lines[5]],
        [
          '1: update t/a/x=one@1 was nothing',
          '3: update t/a/x=3@3 was t/a/x=one@1',
          '4: update u/a/x=four@4 was nothing',
          '6: update t/a/x=six@6 was nothing',
        ],
      );
      const entry = await engine.get(k('t/a/x'));
      assert.deepEqual([entry?.revision, entry?.created, entry?.version, entry?.meta.uid], [6, 6, 1, 'another']);
      assert.deepEqual((await engine.verify()).problems, []);
    };
    await check(context.engine);
    await check(await context.reopen());
  },

  'replaces bytes only while its premises about meta hold': async ({ engine }) => {
    await put(engine, 't/a/x', 'old');
    await engine.meta.set('m', 'one');
    const rewrite = [{ key: k('t/a/x'), revision: 1, expect: encode('old'), value: encode('new') }];
    assert.equal(await engine.rewrite(rewrite, [{ meta: 'm', text: null }]), undefined);
    assert.deepEqual(await walkAll(engine, {}, 10), ['t/a/x=old@1']);
    assert.equal(await engine.rewrite(rewrite, [{ meta: 'm', text: 'one' }]), 1);
    assert.deepEqual(await walkAll(engine, {}, 10), ['t/a/x=new@1']);
  },

  'adds index entries to objects as they are, in steps, without a revision, while its premises hold': async (context) => {
    const { engine } = context;
    const first = ({ key, value }: Entry): IndexEntry[] => [{ index: 'first', value: `${key.type} ${decode(value)?.[0]}` }];
    await engine.commit(Array.from({ length: 450 }, (_, index) => request(write(`t/a/o${1000 + index}`, `${index % 3}`))));
    await put(engine, 't/b/x', '1');
    await put(engine, 'u/a/x', '1');
    await put(engine, 't/a/o1001', '2');
    await put(engine, 't/a/o1002', undefined);
    await engine.meta.set('m', 'one');
    const { current } = engine.revision();
    const premises = [{ meta: 'm', text: 'one' }];
    assert.equal(await engine.reindex({ type: 't' }, undefined, { entriesOf: first, premises: [{ meta: 'm', text: null }] }), 'unmet');
    assert.deepEqual(await engine.lookup({ index: 'first', value: 't 1' }), []);
    let steps = 0;
    for (let after: Key | undefined; ; steps++) {
      const next: Key | 'unmet' | undefined = await engine.reindex({ type: 't' }, after, { entriesOf: first, premises });
      assert.notEqual(next, 'unmet');
      if (next === undefined) break;
      after = next as Key;
      // What is written meanwhile keeps its own entries.
      await engine.commit([
        request(write('t/a/o1000', '1', { remove: [{ index: 'first', value: 't 0' }], add: [{ index: 'first', value: 't 1' }] })),
      ]);
    }
    assert.ok(steps > 0, 'in steps');
    assert.equal(engine.revision().current, current + steps, 'no revision of its own');
    const found = async (value: string): Promise<number> => (await engine.lookup({ index: 'first', value })).length;
    assert.deepEqual([await found('t 0'), await found('t 1'), await found('t 2'), await found('u 1')], [149, 151, 150, 0]);
    assert.deepEqual(show((await engine.range({ type: 't', namespace: 'b' }, { index: { index: 'first', value: 't 1' } })).entries), [
      't/b/x=1@451',
    ]);
    // Again it changes nothing; what cannot be made of an object is left out.
    await engine.reindex({ type: 'u' }, undefined, { entriesOf: () => [{ index: 'first', value: 'nul\0' }] });
    await engine.reindex({ type: 'u' }, undefined, {
      entriesOf: () => {
        throw new Error('cannot be read');
      },
    });
    assert.equal(await found('u 1'), 0);
    assert.deepEqual((await engine.verify((entry) => (entry.key.type === 't' ? first(entry) : []))).problems, []);
    const { problems } = await engine.verify(first);
    assert.equal(problems.length, 1, 'verify tells of what an index misses');
    assert.match(problems[0] ?? '', /first.*u 1.*does not name.*x/);
    await engine.commit([
      request(
        write('t/a/o1003', 'v', {
          add: [
            { index: 'firstborn', value: 'v' },
            { index: 'uid', value: 'u' },
          ],
        }),
      ),
    ]);
    const reopened = await context.reopen();
    while (await reopened.dropIndex('first'));
    for (const value of ['t 0', 't 1', 't 2']) assert.deepEqual(await reopened.lookup({ index: 'first', value }), []);
    assert.deepEqual(
      [(await reopened.lookup({ index: 'firstborn', value: 'v' })).length, (await reopened.lookup({ index: 'uid', value: 'u' })).length],
      [1, 1],
    );
    assert.deepEqual((await reopened.verify()).problems, []);
  },

  'finds nothing wrong with what it wrote, and says how much it checked': async ({ engine }) => {
    await some(engine);
    await put(engine, 't/a/z', 'z', { add: [{ index: 'uid', value: 'uid-t/a/z' }] });
    const before = await engine.verify();
    assert.deepEqual([before.ok, before.problems], [true, []]);
    assert.ok(before.checked >= 8);
    await engine.compact(6, { retain: () => new Set([1]) });
    assert.deepEqual((await engine.verify()).problems, []);
    await engine.compact(8, { retain: () => new Set() });
    assert.deepEqual((await engine.verify()).problems, []);
  },
};
