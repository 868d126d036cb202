/** Real world: directories and files that a backup is made of and opened from, and canaries that chance has chosen. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { isDecryption, isStoreClosed } from '../../src/schemas/index.js';
import { generatedKeys, memoryEngine } from '../../src/store/index.js';
import type { KeyProvider, Store, WatchEvent } from '../../src/store/index.js';
import { filesOf, hitsIn, open } from './encryption/support.js';
import { brief } from './on-engines.js';

const root = await mkdtemp(join(tmpdir(), 'rune-backup-'));
afterAll(() => rm(root, { recursive: true, force: true }));
let count = 0;
const directory = (): string => join(root, `d${(count += 1)}`);
const window = { time: '24h' };

/** The keys that a store made for itself: they stay where it is. */
const keysOf = (path: string): KeyProvider => generatedKeys({ directory: join(path, 'keys') });

async function content(store: Store, resourceVersion?: string): Promise<string> {
  const { items } = await store.list('plain', undefined, resourceVersion === undefined ? {} : { resourceVersion });
  return JSON.stringify(items);
}

async function log(store: Store, upTo: string): Promise<string[]> {
  const events: WatchEvent[] = [];
  const watch = store.watch('plain', undefined, { since: '0' });
  while (Number(watch.progress) < Number(upTo)) {
    const { value } = await watch.next();
    if (Number(value!.resourceVersion) > Number(upTo)) break;
    events.push(value);
  }
  await watch.close();
  return events.map(brief);
}

describe('a backup', () => {
  it('holds everything up to one revision, all that was acknowledged before included, while writers go on', async () => {
    const own = directory();
    await using store = await open({ path: own, window });
    let stopped = false;
    let acknowledged = 0;
    const writing = Array.from({ length: 8 }, async (_, writer) => {
      for (let round = 0; !stopped; round += 1) {
        if (round % 4 === 3)
          await store.transaction(async (tx) => {
            for (const name of ['x', 'y', 'z']) await tx.apply('plain', `w${writer}`, name, { round });
          });
        else {
          const { metadata } = await store.apply('plain', `w${writer}`, `o${round % 30}`, { round, fill: 'x'.repeat(500) });
          acknowledged = Math.max(acknowledged, Number(metadata.resourceVersion));
        }
        if (round % 7 === 6) await store.delete('plain', `w${writer}`, `o${round % 30}`).catch(() => undefined);
      }
    });
    const copies: { path: string; revision: string; before: number }[] = [];
    for (let round = 0; round < 4; round += 1) {
      await new Promise<void>((resolve) => void store.deps.scheduler.after(60, resolve));
      const path = directory();
      const before = acknowledged;
      const { revision } = await store.backup(path);
      copies.push({ path, revision, before });
    }
    stopped = true;
    await Promise.all(writing);
    expect(Number(store.revision)).toBeGreaterThan(Number(copies[0]!.revision));
    for (const { path, revision, before } of copies) {
      expect(Number(revision)).toBeGreaterThanOrEqual(before);
      expect((await readdir(path)).toSorted()).toEqual(['data.mdb', 'store.id']);
      for (const name of ['data.mdb', 'store.id']) expect((await stat(join(path, name))).mode & 0o777).toBe(0o600);
      expect((await stat(path)).mode & 0o777).toBe(0o700);
      await using copy = await open({ path, window, secrets: { keys: keysOf(own) } });
      expect([copy.id, copy.revision]).toEqual([store.id, revision]);
      expect((await copy.verify()).problems).toEqual([]);
      expect(await content(copy)).toBe(await content(store, revision));
      expect(await log(copy, revision)).toEqual(await log(store, revision));
      // It is a store like any other.
      const { metadata } = await copy.create('plain', 'prod', 'new', {});
      expect(Number(metadata.resourceVersion)).toBe(Number(revision) + 1);
    }
    expect((await readdir(root)).filter((name) => name.includes('unfinished'))).toEqual([]);
  });

  it('holds no key, no plaintext of a secret and nothing that was deleted and compacted', async () => {
    const path = directory();
    const keys = generatedKeys({ directory: directory() });
    const [kept, gone, clear] = [0, 1, 2].map(() => randomBytes(16).toString('base64url')) as [string, string, string];
    const copied = directory();
    {
      await using store = await open({ path, secrets: { keys } });
      await store.create('secret', 'prod', 'kept', { data: { token: kept } });
      await store.create('secret', 'prod', 'gone', { data: { token: gone } });
      for (let index = 0; index < 40; index += 1) await store.create('event', 'prod', `e${index}`, eventOf(`${clear} `.repeat(20)));
      await store.deleteCollection('event', 'prod');
      await store.delete('secret', 'prod', 'gone');
      await store.compact(store.revision);
      await store.backup(copied);
      expect((await filesOf(path)).size).toBeGreaterThan(0);
    }
    const hits = async (where: string, needles: string[]): Promise<string[]> =>
      [...(await filesOf(where))].flatMap(([name, bytes]) => hitsIn(name, bytes, needles)).map(String);
    expect(await hits(path, [clear]), 'what was deleted lies in the free pages of the store itself').not.toEqual([]);
    expect(await hits(copied, [kept, gone, clear])).toEqual([]);
    await expect(open({ path: copied })).rejects.toSatisfy(isDecryption);
    await rm(join(copied, 'keys'), { recursive: true, force: true });
    await using restored = await open({ path: copied, secrets: { keys } });
    expect((await restored.get('secret', 'prod', 'kept'))['data']).toEqual({ token: kept });
  });

  it('takes a directory of its own: it writes over nothing, and leaves nothing when it is refused', async () => {
    await using store = await open({ path: directory() });
    await store.create('plain', 'prod', 'a', {});
    const full = directory();
    await mkdir(full);
    await writeFile(join(full, 'mine'), 'mine');
    const file = directory();
    await writeFile(file, 'mine');
    for (const wrong of [full, file, '', undefined as unknown as string])
      await expect(store.backup(wrong)).rejects.toMatchObject({ code: 400 });
    expect(await readdir(full)).toEqual(['mine']);
    const empty = directory();
    await mkdir(empty);
    expect(await store.backup(empty)).toEqual({ revision: '1' });
    await expect(store.backup(empty)).rejects.toMatchObject({ code: 400 });
    const deep = join(directory(), 'a', 'b');
    expect(await store.backup(deep)).toEqual({ revision: '1' });
    expect((await readdir(root)).filter((name) => name.includes('unfinished'))).toEqual([]);
  });

  it('that was begun is finished by close; none begins after it', async () => {
    const own = directory();
    const store = await open({ path: own });
    for (let index = 0; index < 200; index += 1) await store.create('plain', 'prod', `o${index}`, { fill: 'x'.repeat(1000) });
    const path = directory();
    const copying = store.backup(path);
    await store.close();
    expect(await copying).toEqual({ revision: '200' });
    await expect(store.backup(directory())).rejects.toSatisfy(isStoreClosed);
    await using copy = await open({ path, secrets: { keys: keysOf(own) } });
    expect((await copy.list('plain')).items).toHaveLength(200);
  });

  it('of the memory engine is refused in so many words', async () => {
    await using store = await open({ engine: memoryEngine() });
    await expect(store.backup(directory())).rejects.toThrow(/the memory engine keeps nothing in a directory: there is nothing to back up/);
  });
});

function eventOf(note: string): Record<string, unknown> {
  return { regarding: { name: 'web' }, type: 'Normal', reason: 'Tested', note: note.slice(0, 900) };
}
