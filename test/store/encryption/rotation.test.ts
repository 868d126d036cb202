import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/schemas/index.js';
import { fileKeys, kmsKeys, lmdbEngine, memoryEngine } from '../../../src/store/index.js';
import type { Engine, EngineSource, RotationProgress, Store } from '../../../src/store/index.js';
import { compare, killRotations } from './rotation-kit.js';
import { open, tapped } from './support.js';

async function inDirectory<T>(run: (path: string) => Promise<T>): Promise<T> {
  const path = await mkdtemp(join(tmpdir(), 'rune-rotation-'));
  try {
    return await run(path);
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

async function fill(store: Store, objects: number, versions: number): Promise<void> {
  for (let version = 0; version < versions; version += 1) {
    await Promise.all(
      Array.from({ length: objects }, (_, i) => store.apply(Secret, 'prod', `s${i}`, { data: { value: `${i}-${version}` } })),
    );
  }
}

async function expectReadable(store: Store, objects: number, versions: number): Promise<void> {
  const { items, failed } = await store.list(Secret);
  expect(failed).toEqual([]);
  expect(items).toHaveLength(objects);
  for (let i = 0; i < objects; i += 7) {
    const history = await store.getHistory(Secret, 'prod', `s${i}`);
    expect(history.map(({ resource }) => resource.data!['value']!.reveal())).toEqual(
      Array.from({ length: versions }, (_, version) => `${i}-${versions - 1 - version}`),
    );
  }
}

/** Makes the engine's writes fail from the n-th on, as a process does that is dead. */
function dying(source: EngineSource, after: { writes: number }): EngineSource {
  return {
    ...source,
    open: async (context) => {
      const engine = await source.open(context);
      const step = (): void => {
        if (after.writes-- <= 0) throw new Error('killed');
      };
      return {
        ...engine,
        // Small steps make many points.
        walk: (prefix, options) => engine.walk(prefix, { ...options, limit: 20 }),
        rewrite: async (versions, premises) => {
          step();
          return engine.rewrite(versions, premises);
        },
        meta: {
          get: (name) => engine.meta.get(name),
          set: async (name, text, options) => {
            step();
            return engine.meta.set(name, text, options);
          },
        },
      } satisfies Engine;
    },
  };
}

describe.each([
  ['memory', 20, async (run: (source: EngineSource) => Promise<void>) => run(memoryEngine())],
  ['lmdb', 5, (run: (source: EngineSource) => Promise<void>) => inDirectory((path) => run(lmdbEngine({ path })))],
] as const)('rotateKeys (%s)', (_name, points, withSource) => {
  it('brings everything to a new key, history included, without a revision or an event; then the old one can be dropped', () =>
    withSource(async (source) => {
      const engine = tapped(source);
      {
        await using store = await open({ engine });
        await fill(store, 60, 4);
        const [before] = await store.keys();
        expect(before).toMatchObject({ primary: true, present: true, versions: 240 });
        const revision = store.revision;
        await using watch = store.watch('*');
        const seals = (await store.getHistory(Secret, 'prod', 's0')).map(({ resource }) => resource.data!['value']!);
        const seen: RotationProgress[] = [];
        const report = await store.rotateKeys({ onProgress: (progress) => void seen.push(progress) });
        expect(report).toMatchObject({ rewrapped: 240, failed: [] });
        expect(seen.length).toBeGreaterThan(3);
        expect(seen.map(({ scanned }) => scanned)).toContain(240);
        expect(store.revision).toBe(revision);
        expect(watch.progress).toBe(revision);
        const keys = await store.keys();
        expect(keys.map(({ id, primary, versions }) => [id === before!.id, primary, versions])).toEqual([
          [true, false, 0],
          [false, true, 240],
        ]);
        expect(await store.stats()).toMatchObject({ secretsKey: keys[1]!.id, secretsRotating: 0, secretsRotationRewrapped: 240 });
        await expectReadable(store, 60, 4);
        await store.dropKey(before!.id);
        // What was handed out before goes on opening.
        expect(seals.map((seal) => seal.reveal())).toEqual(['0-3', '0-2', '0-1', '0-0']);
        expect((await store.verify()).problems).toEqual([]);
        // In the log too: a watch from the beginning replays it.
        await using all = store.watch(Secret, undefined, { since: '0' });
        let count = 0;
        for await (const event of all) {
          if (event.type === 'BOOKMARK') continue;
          expect(event.resource.data!['value']!.reveal()).toMatch(/^\d+-\d$/);
          if ((count += 1) === 240) break;
        }
      }
      await using store = await open({ engine });
      expect(await store.keys()).toHaveLength(1);
      await expectReadable(store, 60, 4);
    }));

  it(`goes on where it was when it is cut off at any of ${points} points`, { timeout: 60_000 }, () =>
    // On a store that others may have open, who comes after waits until the dead one has been silent long enough.
    withSource(async (source) => {
      {
        await using store = await open({ engine: source });
        await fill(store, 160, 4);
      }
      let killed = 0;
      for (let point = 0; point < points; point += 1) {
        const after = { writes: Number.MAX_SAFE_INTEGER };
        const store = await open({ engine: dying(source, after) });
        after.writes = 1 + point;
        const outcome = await store.rotateKeys().then(
          () => 'finished',
          (error: unknown) => (error as Error).message,
        );
        if (outcome !== 'finished') {
          expect(outcome, `point ${point}`).toBe('killed');
          killed += 1;
        }
        await store.close();
        await using next = await open({ engine: source });
        // It goes on by itself, and everything opens meanwhile.
        await expectReadable(next, 160, 4);
        await next.rotateKeys();
        await next.rotateKeys();
        expect((await next.keys()).filter(({ primary, versions }) => !primary && versions > 0)).toEqual([]);
        for (const { id, primary } of await next.keys()) if (!primary) await next.dropKey(id);
        expect(await next.keys()).toHaveLength(1);
      }
      expect(killed).toBeGreaterThan(points * 0.8);
    }),
  );

  it('keeps up with writers, and leaves nothing behind', () =>
    withSource(async (source) => {
      await using store = await open({ engine: source });
      await fill(store, 50, 4);
      let isRunning = true;
      let written = 0;
      const writers = Array.from({ length: 8 }, async (_, writer) => {
        while (isRunning) {
          await store.patch(Secret, 'prod', `s${(written += 1) % 50}`, { data: { [`w${writer}`]: `${written}` } });
        }
      });
      for (let round = 0; round < 3; round += 1) {
        await store.rotateKeys();
        expect((await store.keys()).filter(({ primary, versions }) => !primary && versions > 0)).toEqual([]);
      }
      isRunning = false;
      await Promise.all(writers);
      expect(written).toBeGreaterThan(10);
      expect((await store.list(Secret)).failed).toEqual([]);
    }));

  it('ends when told to, and one at a time', () =>
    withSource(async (source) => {
      await using store = await open({ engine: source });
      await fill(store, 150, 2);
      const controller = new AbortController();
      const stopped = store.rotateKeys({ signal: controller.signal, onProgress: () => controller.abort(new Error('enough')) });
      await expect(stopped).rejects.toMatchObject({ name: 'AbortError' });
      const [one, two] = await Promise.all([store.rotateKeys(), store.rotateKeys()]);
      // The first finishes what was stopped; the second takes another key.
      expect(one.key).not.toBe(two.key);
      expect(await store.keys()).toHaveLength(3);
      await expect(store.rotateKeys({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
    }));
});

describe('rotateKeys', () => {
  it('is followed by another process on the same data', () =>
    inDirectory(async (path) => {
      await using one = await open({ path });
      await using two = await open({ path });
      await one.create(Secret, 'prod', 'a', { data: { value: '1' } });
      await one.rotateKeys();
      await one.patch(Secret, 'prod', 'a', { data: { value: '2' } });
      // It opens at once what is sealed with a key it has not heard of, and seals with it soon.
      expect((await two.get(Secret, 'prod', 'a')).data).toEqual({ value: '2' });
      const key = (await one.stats())['secretsKey'];
      await expect.poll(async () => (await two.stats())['secretsKey'], { timeout: 8000 }).toBe(key);
    }));

  it('tells what it could not bring to the new key, and does not let the old one go', async () => {
    const source = memoryEngine();
    const engine = tapped(source);
    await using store = await open({ engine });
    await fill(store, 3, 1);
    const { entries } = await engine.engine().walk({});
    const broken = Buffer.from(entries[1]!.value!);
    broken[1] = 9;
    await engine.engine().rewrite([{ key: entries[1]!.key, revision: entries[1]!.revision, expect: entries[1]!.value!, value: broken }]);
    const report = await store.rotateKeys();
    expect(report.failed).toEqual(['secret "prod/s1" at revision 2']);
    expect(report.rewrapped).toBe(2);
  });

  it('does not take a damaged version for a reason to say nothing about the others, nor for one to let a key go', async () => {
    const engine = tapped(memoryEngine());
    await using store = await open({ engine });
    await fill(store, 3, 1);
    const { entries } = await engine.engine().walk({});
    const broken = Buffer.from(entries[1]!.value!);
    broken[1] = 9;
    await engine.engine().rewrite([{ key: entries[1]!.key, revision: entries[1]!.revision, expect: entries[1]!.value!, value: broken }]);
    await store.rotateKeys();
    const [old, now] = await store.keys();
    expect([old!.versions, now!.versions]).toEqual([0, 2]);
    await expect(store.dropKey(old!.id)).rejects.toThrow('1 kept versions are damaged and may need it (secret "prod/s1" at revision 2)');
  });

  it('takes another key when it is called again after one that failed before it had one', async () => {
    let isDown = false;
    const service = kmsKeys({
      attempts: 1,
      wrap: async (seed) => {
        if (isDown) throw new Error('503');
        return seed.map((byte) => byte ^ 1);
      },
      unwrap: async (wrapped) => wrapped.map((byte) => byte ^ 1),
    });
    for (const [secrets, failing] of [
      [{ keys: service }, undefined],
      [undefined, { keys: fileKeys({ path: '/nowhere/at/all.key' }) }],
    ] as const) {
      await using store = await open({ engine: memoryEngine(), secrets });
      await fill(store, 3, 1);
      const [before] = await store.keys();
      isDown = true;
      await expect(store.rotateKeys(failing)).rejects.toMatchObject({ reason: 'DecryptionFailed' });
      isDown = false;
      expect(await store.keys()).toEqual([before]);
      const report = await store.rotateKeys();
      expect(report.key).not.toBe(before!.id);
      expect(report.rewrapped).toBe(3);
    }
  });

  it('takes another key, whichever write of the one before it was the last of its process', async () => {
    let outcome = '';
    for (let point = 0; outcome !== 'finished'; point += 1) {
      const source = memoryEngine();
      const after = { writes: Number.MAX_SAFE_INTEGER };
      const store = await open({ engine: dying(source, after) });
      await fill(store, 30, 1);
      const [before] = await store.keys();
      after.writes = point;
      outcome = await store.rotateKeys().then(
        () => 'finished',
        (error: unknown) => (error as Error).message,
      );
      await store.close();
      await using next = await open({ engine: source });
      const report = await next.rotateKeys();
      expect(report.key, `after ${point} writes`).not.toBe(before!.id);
      expect((await next.keys()).filter(({ primary, versions }) => !primary && versions > 0)).toEqual([]);
      for (const { id, primary } of await next.keys()) if (!primary) await next.dropKey(id);
      await expectReadable(next, 30, 1);
      expect(point).toBeLessThan(50);
    }
  });

  it('ends when told to while its key is made, and then nothing has changed', async () => {
    let isSlow = false;
    const keys = kmsKeys({
      wrap: async (seed) => {
        if (isSlow) await new Promise(() => {});
        return seed;
      },
      unwrap: async (wrapped) => wrapped,
    });
    await using store = await open({ engine: memoryEngine(), secrets: { keys } });
    await fill(store, 3, 1);
    const before = await store.keys();
    isSlow = true;
    const controller = new AbortController();
    const rotating = store.rotateKeys({ signal: controller.signal });
    // Behind it, and told to end while it waits.
    const waiting = store.rotateKeys({ signal: controller.signal });
    waiting.catch(() => {});
    await store.keys();
    controller.abort(new Error('enough'));
    await expect(rotating).rejects.toMatchObject({ name: 'AbortError' });
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    expect(await store.keys()).toEqual(before);
    expect(await store.stats()).toMatchObject({ secretsRotating: 0 });
  });

  it('leaves equal what was equal: seals from before and after tell no difference where there is none', async () => {
    await using store = await open({ engine: memoryEngine() });
    const seal = async (name: string) => (await store.getHistory(Secret, 'prod', name))[0]!.resource.data!['value']!;
    await store.create(Secret, 'prod', 'a', { data: { value: 'same' } });
    const before = await seal('a');
    const untouched = await seal('a');
    expect(before.id).toMatch(/^[0-9a-f]{32}$/);
    await store.rotateKeys();
    await store.create(Secret, 'prod', 'b', { data: { value: 'same' } });
    await store.create(Secret, 'prod', 'c', { data: { value: 'other' } });
    for (const old of [before, untouched]) {
      expect(old.equals(await seal('a'))).toBe(true);
      expect(old.equals(await seal('b'))).toBe(true);
      expect(old.equals(await seal('c'))).toBe(false);
    }
  });

  it('re-wraps to the key of a file that was put first, and makes none itself', () =>
    inDirectory(async (path) => {
      const [a, b] = [join(path, 'keys', 'a.key'), join(path, 'keys', 'b.key')];
      const engine = memoryEngine();
      {
        await using store = await open({ engine, secrets: { keys: fileKeys({ path: a, create: true }) } });
        await fill(store, 5, 2);
        expect((await store.rotateKeys()).rewrapped).toBe(0);
        await expect(
          open({ engine: memoryEngine(), secrets: { keys: fileKeys({ path: b, create: true }) } }).then((other) => other.close()),
        ).resolves.toBeUndefined();
      }
      await using store = await open({ engine, secrets: { keys: fileKeys({ path: b, previous: [a] }) } });
      expect((await store.rotateKeys()).rewrapped).toBe(10);
      await expectReadable(store, 5, 2);
    }));

  it('is held to what was acknowledged by revision, whichever process wrote it', async () => {
    await using store = await open({ engine: memoryEngine() });
    const write = async (value: string): Promise<number> =>
      Number((await store.apply(Secret, 'prod', 'a', { data: { value, same: 'for all' } })).metadata.resourceVersion);
    const first = await write('7-9');
    const told = (values: Record<number, string>) =>
      compare(store, new Map([['a', new Map(Object.entries(values).map(([at, value]) => [Number(at), value]))]]));
    expect(await told({ [first]: '7-9' })).toEqual({ lost: [], unreadable: [], versions: 1 });
    // Process 8 was told of a write, and what is there is an older one of process 7.
    expect((await told({ [first]: '7-9', [first + 1]: '8-1' })).lost).toHaveLength(2);
    // At its very revision it is that write and no other.
    expect((await told({ [first]: '8-1' })).lost).toHaveLength(2);
    await write('8-2');
    expect((await told({ [first]: '7-9' })).lost).toEqual([]);
    // Written over, and not as it was acknowledged in the history.
    expect((await told({ [first]: '8-1' })).lost).toEqual([`a: 8-1 at ${first}, the history has 7-9`]);
  });

  it(
    'survives SIGKILL under load: all acknowledged and readable, nothing left on an old key',
    () =>
      inDirectory(async (directory) => {
        const report = await killRotations({ directory, kills: 2, leastCutOff: 1, rate: 200, delay: (kill) => 20 + kill * 60 });
        expect(report).toMatchObject({ lost: [], unreadable: [], leftOnOldKeys: 0, lostWithOldKeys: [], problems: [] });
        expect(report.cutOff).toBeGreaterThan(0);
        expect(report.dropped).toBeGreaterThan(0);
        // That there was load at all: how much depends on the machine's disk and on who else uses it.
        expect(report.acknowledged).toBeGreaterThan(20);
      }),
    60_000,
  );
});
