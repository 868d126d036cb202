/** Real world: data files that somebody writes to past the store. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/schemas/index.js';
import { lmdbEngine, memoryEngine } from '../../../src/store/index.js';
import type { EngineSource, Store, WatchEvent } from '../../../src/store/index.js';
import { dataPath } from '../../../src/store/engines/lmdb/directory.js';
import { objectKey, versionKey } from '../../../src/store/engines/lmdb/keys.js';
import { openTables } from '../../../src/store/engines/lmdb/tables.js';
import type { Tables } from '../../../src/store/engines/lmdb/tables.js';
import { restamped } from '../engines/restamped.js';
import { open, tapped } from './support.js';

const root = await mkdtemp(join(tmpdir(), 'rune-replay-'));
afterAll(() => rm(root, { recursive: true, force: true }));
let count = 0;
const directory = (): string => join(root, String((count += 1)));

const object = objectKey({ type: 'secret', namespace: 'prod', name: 'db' });
const value = (text: string) => ({ data: { password: text } });

/** The rows of one object, to be moved about. */
class Rows {
  readonly #tables: Tables;
  constructor(tables: Tables) {
    this.#tables = tables;
  }
  kept(revision: number): Buffer {
    return Buffer.from(this.#tables.hist.getBinary(versionKey(object, revision))!);
  }
  async show(record: Buffer): Promise<void> {
    await this.#tables.obj.put(object, record);
  }
  async keep(revision: number, record: Buffer): Promise<void> {
    await this.#tables.hist.put(versionKey(object, revision), record);
  }
  async drop(revision: number): Promise<void> {
    await this.#tables.hist.remove(versionKey(object, revision));
  }
}

async function past(path: string, tamper: (rows: Rows) => Promise<void>): Promise<void> {
  const tables = openTables(dataPath(path));
  await tamper(new Rows(tables));
  await tables.root.close();
}

/** A store whose `prod/db` has a version for each value, from revision 1 on; undefined deletes. */
async function written(values: readonly (string | undefined)[], compactTo?: number): Promise<string> {
  const path = directory();
  await using store = await open({ path });
  let isThere = false;
  for (const text of values) {
    if (text === undefined) await store.delete(Secret, 'prod', 'db');
    else if (isThere) await store.update(Secret, 'prod', 'db', value(text));
    else await store.create(Secret, 'prod', 'db', value(text));
    isThere = text !== undefined;
  }
  expect(store.revision).toBe(String(values.length));
  await store.create(Secret, 'prod', 'other', value('fine'));
  if (compactTo !== undefined) await store.compact(String(compactTo));
  return path;
}

async function take(store: Store, options: Parameters<Store['watch']>[2], many = Infinity): Promise<WatchEvent[]> {
  await using watch = store.watch(Secret, 'prod', options);
  const events: WatchEvent[] = [];
  for await (const event of watch) {
    if (event.type === 'BOOKMARK') break;
    if (events.push(event) === many) break;
  }
  return events;
}

const refused = { reason: 'DecryptionFailed', details: { kind: 'secret', namespace: 'prod', name: 'db' } };

describe('an old version that was put back', () => {
  const attacks: Record<string, readonly [values: readonly (string | undefined)[], (rows: Rows) => Promise<void>, compactTo?: number]> = {
    'with its row moved out of the history': [
      ['old', 'new'],
      async (rows) => {
        await rows.show(rows.kept(1));
        await rows.drop(1);
      },
    ],
    'as if the newest revision had written it': [
      ['old', 'new'],
      async (rows) => {
        await rows.show(restamped(object, rows.kept(1), 2));
        await rows.drop(1);
      },
    ],
    'as if a revision had written it that there never was': [
      ['old', 'new'],
      async (rows) => {
        await rows.show(restamped(object, rows.kept(1), 9));
      },
    ],
    'under a history that was pushed down to fit': [
      ['oldest', 'old', 'new'],
      async (rows) => {
        await rows.show(restamped(object, rows.kept(2), 3));
        await rows.keep(2, restamped(object, rows.kept(1), 2));
        await rows.drop(1);
      },
      2,
    ],
    'in place of the tombstone of a deletion': [
      ['old', undefined],
      async (rows) => {
        await rows.show(rows.kept(1));
        for (const revision of [1, 2]) await rows.drop(revision);
      },
    ],
    'as if the deletion had written it': [
      ['old', 'older', undefined],
      async (rows) => {
        await rows.show(restamped(object, rows.kept(2), 3));
        for (const revision of [1, 2, 3]) await rows.drop(revision);
      },
    ],
    'of an earlier object of that name': [
      ['old', undefined, 'new'],
      async (rows) => {
        await rows.show(restamped(object, rows.kept(1), 3));
        for (const revision of [1, 2]) await rows.drop(revision);
      },
    ],
  };

  it.each(Object.entries(attacks))('is refused by every read and write, %s', async (_name, [values, tamper, compactTo]) => {
    const path = await written(values, compactTo);
    await past(path, tamper);
    await using store = await open({ path });
    const found = await store.list(Secret, 'prod');
    expect(found.items.map(({ metadata }) => metadata.name)).toEqual(['other']);
    expect(found.failed).toMatchObject([{ namespace: 'prod', name: 'db', error: refused }]);
    await expect(store.get(Secret, 'prod', 'db')).rejects.toMatchObject(refused);
    await expect(store.get(Secret, 'prod', 'db', { resourceVersion: store.revision })).rejects.toMatchObject(refused);
    await expect(store.patch(Secret, 'prod', 'db', { data: { x: 'y' } })).rejects.toMatchObject(refused);
    await expect(store.transaction((tx) => tx.get(Secret, 'prod', 'db'))).rejects.toMatchObject(refused);
    await expect(store.create(Secret, 'prod', 'db', value('x'))).rejects.toMatchObject({ reason: 'AlreadyExists' });
    const listed = await store.transaction((tx) => tx.list(Secret, 'prod'));
    expect([listed.items.length, listed.failed]).toMatchObject([1, [{ name: 'db', error: refused }]]);
    const events = await take(store, { initial: true });
    expect(events).toMatchObject([
      { type: 'CREATED', name: 'db', error: refused, resource: { metadata: { name: 'db' } } },
      { type: 'CREATED', name: 'other' },
    ]);
    expect(JSON.stringify(events[0])).not.toContain('password');
    expect(events[1]).not.toHaveProperty('error');
    expect((await store.verify()).ok).toBe(false);
    // It can be done away with, and then the name is as good as any.
    await store.delete(Secret, 'prod', 'db');
    expect((await store.list(Secret, 'prod')).failed).toEqual([]);
    expect((await store.create(Secret, 'prod', 'db', value('anew'))).data).toEqual({ password: 'anew' });
    expect((await store.get(Secret, 'prod', 'db')).data).toEqual({ password: 'anew' });
  });

  it('does not open when it claims to be the newest version', async () => {
    const path = await written(['old', 'new']);
    await past(path, (rows) => rows.show(restamped(object, rows.kept(1), 2, 2)));
    await using store = await open({ path });
    await expect(store.get(Secret, 'prod', 'db')).rejects.toMatchObject(refused);
    expect((await store.list(Secret, 'prod')).failed).toHaveLength(1);
    await store.delete(Secret, 'prod', 'db');
  });

  it('is refused in a store that is open and has read the newest one before', async () => {
    const path = await written(['old', 'new']);
    await using store = await open({ path });
    expect((await store.get(Secret, 'prod', 'db')).data).toEqual({ password: 'new' });
    await past(path, async (rows) => {
      await rows.show(restamped(object, rows.kept(1), 2));
      await rows.drop(1);
    });
    await expect(store.get(Secret, 'prod', 'db')).rejects.toMatchObject(refused);
  });

  it('is refused below the window too, while a newer one is kept beside it', async () => {
    const path = await written(['oldest', 'old', 'new', 'newest'], 5);
    await past(path, (rows) => rows.show(restamped(object, rows.kept(2), 4)));
    await using store = await open({ path });
    await expect(store.get(Secret, 'prod', 'db')).rejects.toMatchObject(refused);
    expect((await store.list(Secret, 'prod')).failed).toHaveLength(1);
  });
});

describe('whole versions of one object that were exchanged', () => {
  const exchange = async (rows: Rows): Promise<void> => {
    const [one, three] = [rows.kept(1), rows.kept(3)];
    await rows.keep(3, restamped(object, one, 3));
    await rows.keep(1, restamped(object, three, 1));
  };

  it('are refused inside the window: versions, history, the past, rollback, replayed watches, verify', async () => {
    const path = await written(['v1', 'v2', 'v3', 'v4']);
    await past(path, exchange);
    await using store = await open({ path });
    for (const version of ['1', '3']) {
      await expect(store.getVersion(Secret, 'prod', 'db', version)).rejects.toMatchObject(refused);
      await expect(store.get(Secret, 'prod', 'db', { resourceVersion: version })).rejects.toMatchObject(refused);
      await expect(store.rollback(Secret, 'prod', 'db', version)).rejects.toMatchObject(refused);
    }
    expect((await store.getVersion(Secret, 'prod', 'db', '2')).data).toEqual({ password: 'v2' });
    expect((await store.get(Secret, 'prod', 'db', { resourceVersion: '2' })).data).toEqual({ password: 'v2' });
    expect((await store.get(Secret, 'prod', 'db')).data).toEqual({ password: 'v4' });
    const history = await store.getHistory(Secret, 'prod', 'db');
    const shown = history.map(({ version, error, resource }) => [
      version,
      error === undefined ? resource.data!['password']!.reveal() : (error as { reason?: string }).reason,
    ]);
    expect(shown).toEqual([
      ['4', 'v4'],
      ['3', 'DecryptionFailed'],
      ['2', 'v2'],
      ['1', 'DecryptionFailed'],
    ]);
    const events = await take(store, { since: '0' }, 4);
    expect(events.map(({ resourceVersion, ...event }) => [resourceVersion, 'error' in event])).toEqual([
      ['1', true],
      ['2', false],
      ['3', true],
      ['4', false],
    ]);
    const { ok, problems } = await store.verify();
    expect([ok, problems.join()]).toEqual([false, expect.stringContaining('is not the version that the log tells of')]);
  });

  it('are refused below the window, where nobody can tell which is right but that they are not in order', async () => {
    const path = await written(['v1', 'v2', 'v3', 'v4', 'v5'], 4);
    await past(path, exchange);
    await using store = await open({ path });
    const history = await store.getHistory(Secret, 'prod', 'db');
    expect(history.map(({ version, error }) => [version, error === undefined])).toEqual([
      ['5', true],
      ['4', true],
      ['3', false],
      ['2', false],
      ['1', false],
    ]);
    await expect(store.getVersion(Secret, 'prod', 'db', '1')).rejects.toMatchObject(refused);
    await expect(store.rollback(Secret, 'prod', 'db', '3')).rejects.toMatchObject(refused);
    expect((await store.getVersion(Secret, 'prod', 'db', '4')).data).toEqual({ password: 'v4' });
    expect((await store.verify()).problems.join()).toContain('keeps version 2 of the object, and revision 1 before it version 3');
  });

  it('are refused when a newer version was copied below the window', async () => {
    const path = await written(['v1', 'v2', 'v3'], 1);
    await past(path, (rows) => rows.keep(1, restamped(object, rows.kept(2), 1)));
    await using store = await open({ path });
    await expect(store.getVersion(Secret, 'prod', 'db', '1')).rejects.toMatchObject(refused);
    expect((await store.getVersion(Secret, 'prod', 'db', '2')).data).toEqual({ password: 'v2' });
    expect((await store.getVersion(Secret, 'prod', 'db', '3')).data).toEqual({ password: 'v3' });
    // What an update replaced counts one less: without that there is nothing to compare it with.
    const events = await take(store, { since: '1' }, 2);
    expect(
      events.map((event) => [event.resourceVersion, 'error' in event, event.type === 'UPDATED' && event.previous === event.resource]),
    ).toEqual([
      ['2', false, true],
      ['3', false, false],
    ]);
  });
});

describe('holding reads against the log', () => {
  /** Counts what the store asks its engine for beside the reads themselves. */
  function counted(source: EngineSource): { readonly source: EngineSource; readonly asked: string[] } {
    const asked: string[] = [];
    return {
      asked,
      source: {
        ...source,
        open: async (context) => {
          const engine = await source.open(context);
          return {
            ...engine,
            logged: (...args) => {
              asked.push('logged');
              return engine.logged(...args);
            },
            versions: (...args) => {
              asked.push('versions');
              return engine.versions(...args);
            },
          };
        },
      },
    };
  }

  it('costs types without secrets nothing, and secrets one look for all that is read between two writes', async () => {
    const path = directory();
    {
      await using store = await open({ path });
      for (let index = 0; index < 20; index += 1) {
        await store.create('config', 'prod', `c${index}`, { data: { a: 'b' } });
        await store.create(Secret, 'prod', `s${index}`, value('x'));
      }
      await store.compact('20');
    }
    const { source, asked } = counted(lmdbEngine({ path }));
    await using store = await open({ engine: source });
    await using watch = store.watch('config', 'prod', { since: '20' });
    await watch.next();
    await store.list('config');
    await store.get('config', 'prod', 'c1');
    await store.patch('config', 'prod', 'c1', { data: { a: 'c' } });
    await store.transaction((tx) => tx.list('config', 'prod'));
    expect(asked).toEqual([]);
    expect((await store.list(Secret)).failed).toEqual([]);
    // Half of them are older than the log: those are held against what is kept beside them, once.
    expect(asked.filter((what) => what === 'logged')).toHaveLength(1);
    expect(asked.filter((what) => what === 'versions')).toHaveLength(10);
    asked.length = 0;
    expect((await store.list(Secret)).failed).toEqual([]);
    for (let index = 0; index < 20; index += 1) await store.get(Secret, 'prod', `s${index}`);
    expect(asked).toEqual([]);
    await store.patch('config', 'prod', 'c1', { data: { a: 'd' } });
    for (let index = 0; index < 20; index += 1) await store.get(Secret, 'prod', `s${index}`);
    expect(asked).toEqual(['logged']);
  });

  it.each([
    ['memory', 200, () => memoryEngine()],
    ['lmdb', 80, () => lmdbEngine({ path: directory() })],
  ] as const)(
    'refuses nothing that the store itself has written, whatever the window (%s)',
    async (_name, rounds, source) => {
      const engine = tapped(source());
      let store = await open({ engine });
      let seed = 7;
      const dice = (sides: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % sides;
      for (let round = 0; round < rounds; round += 1) {
        const name = `s${dice(4)}`;
        const exists = await store.get(Secret, 'prod', name).then(
          () => true,
          (error: unknown) => {
            expect(error).toMatchObject({ reason: 'NotFound' });
            return false;
          },
        );
        if (!exists) await store.create(Secret, 'prod', name, value(String(round)));
        else if (dice(5) === 0) await store.delete(Secret, 'prod', name);
        else await store.patch(Secret, 'prod', name, { data: { password: String(round) } });
        if (dice(12) === 0) await store.compact(String(Math.max(0, Number(store.revision) - dice(10))));
        if (dice(40) === 0) await store.rotateKeys();
        if (dice(25) === 0) {
          await store.close();
          store = await open({ engine });
        }
        if (dice(4) !== 0) continue;
        expect((await store.list(Secret)).failed).toEqual([]);
        for (const { version, error } of await store.getHistory(Secret, 'prod', name)) {
          expect(error).toBeUndefined();
          await store.getVersion(Secret, 'prod', name, version);
        }
        const { compactRevision } = await store.stats();
        const many = Number(store.revision) - Number(compactRevision);
        const events = many === 0 ? [] : await take(store, { since: compactRevision }, many);
        expect(events.filter((event) => 'error' in event)).toEqual([]);
      }
      await store.close();
    },
    60_000,
  );

  it('takes an object that a transaction puts in the place of another for what it is', async () => {
    const path = directory();
    {
      await using store = await open({ path });
      const { metadata } = await store.create(Secret, 'prod', 'db', value('one'));
      await store.transaction(async (tx) => {
        await tx.delete(Secret, 'prod', 'db');
        await tx.create(Secret, 'prod', 'db', value('two'));
      });
      expect((await store.get(Secret, 'prod', 'db')).metadata.uid).not.toBe(metadata.uid);
      await store.patch(Secret, 'prod', 'db', value('three'));
    }
    await using store = await open({ path });
    for (const since of ['0', '1', '2']) {
      const events = await take(store, { since }, 3 - Number(since));
      for (const event of events) {
        expect(event).not.toHaveProperty('error');
        if (event.type === 'UPDATED') expect(event.previous).not.toBe(event.resource);
      }
    }
    await store.compact('1');
    expect((await store.getHistory(Secret, 'prod', 'db')).map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
    await store.compact('3');
    expect((await store.getHistory(Secret, 'prod', 'db')).map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
    expect((await store.verify()).problems).toEqual([]);
  });

  it('goes on when the window has moved past what it remembers', async () => {
    const engine = tapped(memoryEngine());
    await using store = await open({ engine });
    const names = Array.from({ length: 100 }, (_, index) => `s${index}`);
    for (let round = 0; round < 45; round += 1) {
      await Promise.all(names.map((name) => store.apply(Secret, 'prod', name, value(String(round)))));
      if (round % 3 === 0) expect((await store.list(Secret)).failed).toEqual([]);
      if (round % 7 === 0) await store.compact(store.revision);
    }
    await store.compact(store.revision);
    expect((await store.list(Secret)).items).toHaveLength(100);
    expect((await store.getHistory(Secret, 'prod', 's1')).every(({ error }) => error === undefined)).toBe(true);
  });
});
