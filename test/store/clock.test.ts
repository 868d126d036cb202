/** A wall clock that jumps: it is information, never order. */
import { describe, expect, it } from 'vitest';
import { sleep, systemDeps } from '../../src/store/index.js';
import type { Deps, Store } from '../../src/store/index.js';
import { Ages } from '../../src/store/ages.js';
import { virtualDeps } from '../../src/testing/index.js';
import { engines, inMemory, onStorage, take } from './on-engines.js';

const HOUR = 3600_000;
const YEAR = 8760 * HOUR;

const numbers = async (store: Store): Promise<unknown[]> =>
  (await store.getHistory('plain', 'prod', 'a')).map(({ resource }) => resource['n']);

/** The machine's dependencies with clocks that a test sets: `jump` is the wall clock's alone, `passed` is time. */
function clockwork(): { readonly deps: Deps; jump: number; passed: number } {
  const base = systemDeps();
  const clocks = {
    jump: 0,
    passed: 0,
    deps: {
      ...base,
      clock: { now: () => base.clock.now() + clocks.jump + clocks.passed, monotonic: () => base.clock.monotonic() + clocks.passed },
    },
  };
  return clocks;
}

describe('a clock that jumps', () => {
  for (const [text, jump] of [
    ['back an hour', '-1h'],
    ['forward a year', '8760h'],
    ['to before 1970', `-${60 * 8760}h`],
  ] as const) {
    it(`${text} changes no order, empties no window and no history`, () =>
      inMemory(async ({ store, deps }) => {
        const revisions: number[] = [];
        const write = async (n: number): Promise<void> => {
          revisions.push(Number((await store.apply('plain', 'prod', 'a', { n })).metadata.resourceVersion));
        };
        for (let n = 0; n < 5; n += 1) {
          await write(n);
          await sleep(deps, '10s');
        }
        deps.jumpWallClock(jump);
        for (let n = 5; n < 10; n += 1) {
          await write(n);
          await sleep(deps, '10s');
        }
        expect(revisions).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        const history = await store.getHistory('plain', 'prod', 'a');
        expect(history.map(({ resource }) => resource['n'])).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        // 100 s have passed: everything is inside the window, whatever the wall clock says.
        expect((await store.stats()).compactRevision).toBe('0');
        expect((await store.get('plain', 'prod', 'a', { resourceVersion: '1' }))['n']).toBe(0);
        expect(
          (await take(store.watch('plain', 'prod', { since: '0' }), 10)).map(({ resourceVersion }) => Number(resourceVersion)),
        ).toEqual(revisions);
        await sleep(deps, '6m');
        expect((await store.stats()).compactRevision).toBe('10');
        expect((await store.get('plain', 'prod', 'a'))['n']).toBe(9);
        // And below it too: seven minutes are no thirty days.
        expect(await numbers(store)).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
      }));
  }
});

describe.each(engines)('history by age on the %s engine', (engine) => {
  for (const [text, jump] of [
    ['forward a year', YEAR],
    ['back to before 1970', -60 * YEAR],
  ] as const) {
    it(
      `loses nothing to a clock that jumps ${text}, to one that is set right again, nor to one that is wrong when the store is opened`,
      onStorage(engine, async ({ open }) => {
        const clocks = clockwork();
        let store = await open({ deps: clocks.deps });
        const write = async (from: number, until: number): Promise<void> => {
          for (let n = from; n < until; n += 1) await store.apply('plain', 'prod', 'a', { n });
          await store.compact(store.revision);
        };
        await write(0, 3);
        clocks.jump = jump;
        await write(3, 6);
        clocks.jump = 0;
        await write(6, 8);
        await store.close();
        clocks.jump = jump;
        store = await open({ deps: clocks.deps });
        await write(8, 9);
        clocks.jump = 0;
        await write(9, 10);
        await store.close();
        store = await open({ deps: clocks.deps });
        await store.compact(store.revision);
        expect(await numbers(store)).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        expect((await store.verify()).problems).toEqual([]);
      }),
    );
  }

  it(
    'goes with the time that passes, also over openings, and with pauses a day at a time',
    onStorage(engine, async ({ open }) => {
      const clocks = clockwork();
      let store = await open({ deps: clocks.deps });
      for (let n = 0; n < 3; n += 1) await store.apply('plain', 'prod', 'a', { n });
      await store.compact(store.revision);
      clocks.passed += 10 * 24 * HOUR;
      await store.apply('plain', 'prod', 'a', { n: 3 });
      await store.compact(store.revision);
      expect(await numbers(store)).toEqual([3, 2, 1, 0]);
      // Three months nobody has it open: a day of them counts.
      await store.close();
      clocks.passed += 90 * 24 * HOUR;
      store = await open({ deps: clocks.deps });
      await store.compact(store.revision);
      expect(await numbers(store)).toEqual([3, 2, 1, 0]);
      clocks.passed += 20 * 24 * HOUR;
      await store.compact(store.revision);
      expect(await numbers(store)).toEqual([3]);
    }),
  );
});

/** Texts kept beside the data, as an engine keeps them. */
function textsOf(texts = new Map<string, string>()) {
  return {
    texts,
    get: async (name: string) => texts.get(name),
    set: async (name: string, text: string | undefined, { expect: wanted }: { readonly expect?: string | null } = {}) => {
      if (wanted !== undefined && (texts.get(name) ?? null) !== wanted) return false;
      texts.set(name, text!);
      return true;
    },
  };
}

async function openAges(deps: Deps, meta: ReturnType<typeof textsOf>, revision: number): Promise<Ages> {
  const ages = new Ages({ clock: deps.clock, meta });
  await ages.load(revision);
  return ages;
}

describe('the ages of revisions', () => {
  it('are never more than they are, nor less by more than a few hundredths, however long a store runs, in a few notes', async () => {
    const deps = virtualDeps({ seed: 3 });
    const meta = textsOf();
    const written: [revision: number, at: number][] = [];
    for (let life = 0; life < 5; life += 1) {
      const ages = await openAges(deps, meta, written.length);
      for (let beat = 0; beat < 1000; beat += 1) {
        written.push([written.length + 1, deps.clock.monotonic()]);
        ages.note(written.length);
        await ages.save();
        await deps.advance('10m');
      }
      await ages.save({ last: true });
      await deps.advance('12h');
    }
    const ages = await openAges(deps, meta, written.length);
    for (const [revision, at] of written) {
      const age = deps.clock.monotonic() - at;
      expect(ages.of(revision)).toBeLessThanOrEqual(age);
      expect(ages.of(revision)).toBeGreaterThan(age * 0.95 - 1000);
    }
    expect((JSON.parse(meta.texts.get('ages')!) as { notes: unknown[] }).notes.length).toBeLessThan(600);
  });

  it('are shared by processes that write them down in turn', async () => {
    const deps = virtualDeps({ seed: 4 });
    const meta = textsOf();
    const [one, two] = [await openAges(deps, meta, 0), await openAges(deps, meta, 0)];
    for (let revision = 1; revision <= 6; revision += 1) {
      const writer = revision % 2 === 0 ? one : two;
      writer.note(revision);
      await writer.save();
      await deps.advance('10m');
    }
    one.note(7);
    await one.save();
    const third = await openAges(deps, meta, 7);
    await deps.advance('1s');
    for (let revision = 1; revision <= 7; revision += 1) {
      const age = (7 - revision) * 10 * 60_000 + 1000;
      for (const ages of [one, third]) expect([revision, ages.of(revision)]).toEqual([revision, age]);
    }
    expect(third.of(8)).toBe(0);
  });
});
