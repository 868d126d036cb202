/** Watches over time: stalled, resumed after the store was opened again, ahead of it, and what bookmarks promise. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { ExpiredError, isAborted, isExpired, isStoreClosed } from '../../src/schemas/index.js';
import { memoryEngine, openStore } from '../../src/store/index.js';
import type { Store, WatchEvent } from '../../src/store/index.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import { virtualDeps } from '../../src/testing/index.js';
import { brief, engines, onStorage, take } from './on-engines.js';
import { pumped } from './repos/setup.js';

/** `count` events in transactions of 1,000. */
async function burst(store: Store, count: number, first = 0): Promise<void> {
  for (let done = 0; done < count; done += 1000) {
    await store.transaction(async (tx) => {
      for (let index = 0; index < Math.min(1000, count - done); index += 1) {
        const n = first + done + index;
        await (n < 1000 ? tx.create('plain', 'prod', `o${index}`, { n }) : tx.update('plain', 'prod', `o${index}`, { n }));
      }
    });
  }
}

async function recorded(store: Store): Promise<void> {
  await store.create(Widget, 'prod', 'a', { metadata: { labels: { on: 'yes' } }, spec: { size: 1 } });
  await store.transaction(async (tx) => {
    for (const name of ['b', 'c', 'd']) await tx.create(Widget, 'prod', name, { spec: { size: 1 } });
    await tx.create('other', 'prod', 'x', { any: 1 });
  });
  await store.create(Widget, 'dev', 'a', { metadata: { labels: { on: 'yes' } }, spec: { size: 1 } });
  await store.transaction(async (tx) => {
    await tx.patch(Widget, 'prod', 'b', { metadata: { labels: { on: 'yes' } } });
    await tx.delete(Widget, 'prod', 'c');
    await tx.patch(Widget, 'prod', 'a', { metadata: { labels: { on: 'no' } } });
  });
  await store.delete(Widget, 'prod', 'a');
  await store.create(Widget, 'prod', 'a', { spec: { size: 9 } });
  await store.patch(Widget, 'prod', 'b', { spec: { size: 2 } });
}

async function drainUntil(watch: AsyncIterator<WatchEvent<unknown>>, revision: number): Promise<string[]> {
  const seen: string[] = [];
  for (;;) {
    const { value } = (await watch.next()) as { value: WatchEvent<unknown> };
    seen.push(brief(value));
    if (Number(value.resume) >= revision) return seen;
  }
}

/** Heap in use once all garbage is gone. */
function heap(): number {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
  gc();
  return process.memoryUsage().heapUsed;
}

describe('a stalled watcher', () => {
  it('costs no memory for 100,000 events inside the window, and misses none of them', { timeout: 60_000 }, async () => {
    await using store = await openStore({ engine: memoryEngine(), ring: { events: 1000 } });
    await burst(store, 1000);
    const since = store.revision;
    const watches = Array.from({ length: 50 }, () => store.watch('plain', 'prod'));
    await burst(store, 100_000, 1000);
    const stalled = heap();
    const [last] = watches;
    await Promise.all(watches.slice(1).map((watch) => watch.close()));
    watches.length = 0;
    expect(stalled - heap(), 'what 49 stalled watchers hold').toBeLessThan(2_000_000);
    for (let n = 0; n < 100_000; n += 1) {
      const event = (await last!.next()).value!;
      if (event.type !== 'UPDATED' || event.resource['n'] !== n + 1000 || event.previous['n'] !== n)
        expect(event).toBe(`UPDATED to ${n + 1000}`);
    }
    await last!.close();
    expect(Number(store.revision)).toBe(Number(since) + 100);
  });

  it('gets Expired with both revisions when the window has moved past it, and never a gap', async () => {
    await using store = await openStore({ engine: memoryEngine(), ring: { events: 10 } });
    await store.create('plain', 'prod', 'a', { n: 0 });
    const watch = store.watch('plain', 'prod');
    for (let n = 1; n <= 50; n += 1) await store.update('plain', 'prod', 'a', { n });
    expect((await watch.next()).value).toMatchObject({ type: 'UPDATED', resource: { n: 1 } });
    for (let n = 51; n <= 400; n += 1) await store.update('plain', 'prod', 'a', { n });
    await store.compact('350');
    // What was read from the log in one go before may still be handed out; then comes the end, and never a jump.
    let n = 2;
    const error: unknown = await (async () => {
      for await (const event of watch) {
        expect(event).toMatchObject({ resource: { n } });
        n += 1;
      }
    })().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ExpiredError);
    expect(error).toMatchObject({ code: 410, compactedRevision: '350', currentRevision: '401' });
    expect(n).toBeLessThan(350);
    expect(await watch.next()).toEqual({ done: true, value: undefined });
    expect((await store.stats()).watchers).toBe(0);
  });

  it('with an initial list that is not read within the window gets Expired', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    await burst(store, 900);
    const watch = store.watch('plain', 'prod', { initial: true });
    await watch.next();
    await store.create('plain', 'prod', 'late', {});
    await store.compact(store.revision);
    await expect(
      (async () => {
        for await (const event of watch) expect(event.type).toBe('CREATED');
      })(),
    ).rejects.toSatisfy(isExpired);
  });

  it('does not slow the others, and is served in turn with them when it comes back', async () => {
    const deps = virtualDeps({ seed: 3 });
    await pumped(
      deps,
      (async () => {
        await using store = await openStore({ engine: memoryEngine(), deps, ring: { events: 100 } });
        const slow = store.watch('plain');
        const quick = store.watch('plain');
        let delivered = 0;
        const reading = (async () => {
          for await (const _ of quick) if ((delivered += 1) === 3000) return;
        })();
        await burst(store, 3000);
        await reading;
        expect(delivered).toBe(3000);
        expect((await take(slow, 3000)).map((event) => event.type === 'CREATED')).toEqual(
          Array.from({ length: 3000 }, (_, index) => index < 1000),
        );
      })(),
    );
  });
});

describe('watchers that are behind', () => {
  it('go on side by side, a slice each, and the event loop turns between the slices', async () => {
    const WATCHERS = 5;
    const REVISIONS = 2560;
    const SLICE = 256;
    await using store = await openStore({ engine: memoryEngine(), ring: { events: 16 } });
    await store.create('plain', 'prod', 'a', { n: -1 });
    const since = store.revision;
    await Promise.all(Array.from({ length: REVISIONS }, (_, n) => store.update('plain', 'prod', 'a', { n })));
    const told = Array.from({ length: WATCHERS }, () => 0);
    let widest = 0;
    let inOneTurn = 0;
    let mostInOneTurn = 0;
    let turns = 0;
    let over = false;
    const turning = (async () => {
      while (!over) {
        await store.deps.scheduler.turn();
        turns += 1;
        inOneTurn = 0;
      }
    })();
    await Promise.all(
      told.map(async (_, index) => {
        await using watch = store.watch('plain', 'prod', { since });
        while (told[index]! < REVISIONS) {
          expect((await watch.next()).value).toMatchObject({ type: 'UPDATED', resource: { n: told[index] } });
          told[index]! += 1;
          widest = Math.max(widest, Math.max(...told) - Math.min(...told));
          mostInOneTurn = Math.max(mostInOneTurn, (inOneTurn += 1));
        }
      }),
    );
    over = true;
    await turning;
    expect(widest, 'how far one is ahead of another').toBeLessThanOrEqual(2 * SLICE);
    expect(mostInOneTurn, 'what is handed out in one turn').toBeLessThanOrEqual(WATCHERS * SLICE);
    expect(turns, 'turns of the event loop meanwhile').toBeGreaterThanOrEqual(REVISIONS / SLICE);
  });
});

describe.each(engines)('a watch on the %s engine', (engine) => {
  it(
    'that begins while writes are on their way hears of them with what they replaced',
    onStorage(engine, async (storage) => {
      const store = await storage.open({ types: [Widget] });
      await store.create(Widget, 'prod', 'a', { spec: { size: 1 } });
      await store.create(Widget, 'prod', 'b', { spec: { size: 1 } });
      const since = store.revision;
      // Planned at the call, while nobody watches.
      const writes = [store.patch(Widget, 'prod', 'a', { spec: { size: 2 } }), store.delete(Widget, 'prod', 'b')];
      const live = take(store.watch(Widget, 'prod'), 2);
      const resumed = take(store.watch(Widget, 'prod', { since }), 2);
      await Promise.all(writes);
      for (const [updated, deleted] of [await live, await resumed]) {
        if (updated?.type !== 'UPDATED' || deleted?.type !== 'DELETED') throw new Error('an update and a delete were expected');
        expect([updated.previous.spec.size, updated.resource.spec.size, deleted.resource.spec.size]).toEqual([1, 2, 1]);
      }
    }),
  );

  it(
    'resumes at every event it ever told, after the store was opened again',
    onStorage(engine, async ({ open }) => {
      const first = await open();
      const scopes = [
        ['*', undefined, {}],
        ['*', 'prod', {}],
        [Widget, undefined, {}],
        [Widget, 'prod', {}],
        [Widget, 'prod', { labelSelector: 'on=yes' }],
        [Widget, undefined, { fieldSelector: 'spec.size!=1' }],
      ] as const;
      await recorded(first);
      const last = first.revision;
      // Something for every scope at the end, so that each stream has a last event to wait for.
      const end = async (store: Store): Promise<number> => {
        await store.create(Widget, 'prod', 'end', { metadata: { labels: { on: 'yes' } }, spec: { size: 7 } });
        return Number(store.revision);
      };
      const until = await end(first);
      const streams: { resume: string; text: string }[][] = [];
      for (const [type, namespace, selectors] of scopes) {
        const watch = first.watch(type, namespace, { since: '0', ...selectors });
        const events: { resume: string; text: string }[] = [];
        while (events.at(-1)?.resume !== String(until)) {
          const event = (await watch.next()).value!;
          events.push({ resume: event.resume, text: brief(event) });
        }
        streams.push(events);
        await watch.close();
      }
      await first.close();
      const store = await open();
      expect(Number(store.revision)).toBe(until);
      for (const [index, [type, namespace, selectors]] of scopes.entries()) {
        const events = streams[index]!;
        for (const { resume } of events.slice(0, -1)) {
          const watch = store.watch(type, namespace, { since: resume, ...selectors });
          const seen = await drainUntil(watch, until);
          await watch.close();
          const after = events.findIndex(({ text }) => Number(text.slice(text.lastIndexOf('@') + 1)) > Number(resume));
          expect(seen, `${index} since ${resume}`).toEqual(events.slice(after).map(({ text }) => text));
        }
      }
      expect(streams[4]!.map(({ text }) => text.split('@')[0])).toEqual([
        'CREATED prod/a',
        'CREATED prod/b',
        'DELETED prod/a',
        'UPDATED prod/b',
        'CREATED prod/end',
      ]);
      expect(Number(last)).toBe(until - 1);
    }),
  );

  it(
    'from a revision that is still to come waits for it, and tells nothing older',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await store.create('plain', 'prod', 'a', { n: 0 });
      const watch = store.watch('plain', 'prod', { since: '4' });
      for (let n = 1; n < 6; n += 1) await store.update('plain', 'prod', 'a', { n });
      expect((await take(watch, 2)).map(brief)).toEqual(['UPDATED prod/a@5', 'UPDATED prod/a@6']);
      await expect(store.compact('7')).rejects.toMatchObject({ code: 400 });
      for (const since of ['', 'x', '-1', '1.5', '9007199254740992', '1e3', ' 1', 'NaN'])
        expect(() => store.watch('plain', 'prod', { since }), since).toThrow(expect.objectContaining({ code: 400 }));
    }),
  );

  it(
    'that starts over from the token of an initial list misses nothing and repeats only that list',
    onStorage(engine, async ({ open }) => {
      const store = await open();
      await recorded(store);
      const watch = store.watch(Widget, undefined, { initial: true });
      const [first] = await take(watch, 1);
      await store.delete(Widget, 'prod', 'b');
      const again = await take(store.watch(Widget, undefined, { since: first!.resume }), 4);
      expect(again.map((event) => event.type)).toEqual(['CREATED', 'CREATED', 'CREATED', 'BOOKMARK']);
      expect(again.flatMap((event) => (event.type === 'CREATED' ? [`${event.namespace}/${event.name}`] : []))).toEqual([
        'dev/a',
        'prod/a',
        'prod/d',
      ]);
      expect(again.at(-1)?.resume).toBe(store.revision);
    }),
  );
});

describe('a bookmark', () => {
  it('comes once behind an initial list, also an empty one', async () => {
    await using store = await openStore({ engine: memoryEngine() });
    const empty = store.watch('plain', 'prod', { initial: true });
    await store.create('plain', 'prod', 'a', {});
    expect((await take(empty, 2)).map(brief)).toEqual(['BOOKMARK@0', 'CREATED prod/a@1']);
    const filled = store.watch('plain', 'prod', { initial: true, bookmarks: true });
    await store.create('plain', 'prod', 'b', {});
    expect((await take(filled, 3)).map(brief)).toEqual(['CREATED prod/a@1', 'BOOKMARK@1', 'CREATED prod/b@2']);
  });

  it('comes about once a minute to who asked, when nothing in scope happens, and never goes back or ahead', async () => {
    const deps = virtualDeps({ seed: 4 });
    const store = await pumped(deps, openStore({ engine: memoryEngine(), deps }));
    const quiet = store.watch('plain', 'prod', { bookmarks: true });
    const without = store.watch('plain', 'prod');
    const seen: string[] = [];
    const reading = (async () => {
      for await (const event of quiet) seen.push(brief(event));
    })();
    const ended = reading.catch((error: unknown) => error);
    const told: string[] = [];
    const other = (async () => {
      for await (const event of without) told.push(brief(event));
    })().catch((error: unknown) => error);
    for (let minute = 0; minute < 5; minute += 1) {
      if (minute !== 2) await pumped(deps, store.create('other', 'prod', `o${minute}`, {}));
      await deps.advance('64s');
    }
    expect(seen).toEqual(['BOOKMARK@1', 'BOOKMARK@2', 'BOOKMARK@3', 'BOOKMARK@4']);
    await pumped(deps, store.create('plain', 'prod', 'a', {}));
    await deps.flush();
    expect(seen.at(-1)).toBe('CREATED prod/a@5');
    expect(told).toEqual(['CREATED prod/a@5']);
    await pumped(deps, store.close());
    await deps.flush();
    expect(await ended).toSatisfy(isStoreClosed);
    expect(await other).toSatisfy(isStoreClosed);
    expect(deps.pending()).toEqual({ timers: 0, deferred: 0, unref: 0 });
  });
});

describe('the end of a watch', () => {
  it('leaves no listener, no timer and no watcher, whichever way it comes', async () => {
    const deps = virtualDeps({ seed: 1 });
    const store = await pumped(deps, openStore({ engine: memoryEngine(), deps }));
    const before = deps.pending();
    const abort = new AbortController();
    const options = { initial: true, bookmarks: true, signal: abort.signal };
    const watches = Array.from({ length: 6 }, () => store.watch('plain', 'prod', options));
    for (const watch of watches) await pumped(deps, watch.next());
    const waiting = watches.map((watch) => watch.next().catch((error: unknown) => error));
    await watches[0]!.close();
    await watches[1]!.return!();
    await watches[2]![Symbol.asyncDispose]();
    abort.abort(new Error('enough'));
    const outcomes = await pumped(deps, Promise.all(waiting));
    for (const closed of outcomes.slice(0, 3)) expect(closed).toEqual({ done: true, value: undefined });
    for (const aborted of outcomes.slice(3)) expect(aborted).toSatisfy(isAborted);
    for (const watch of watches) expect(await watch.next()).toEqual({ done: true, value: undefined });
    expect((await pumped(deps, store.stats())).watchers).toBe(0);
    expect(deps.pending()).toEqual(before);
    const early = store.watch('plain', 'prod', { signal: abort.signal });
    await expect(early.next()).rejects.toSatisfy(isAborted);
    await pumped(deps, store.close());
  });
});
