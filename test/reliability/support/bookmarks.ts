/**
 * One random interleaving of writers, transactions, and watchers with bookmarks, in virtual time, minutes long, so that the bookmarks
 * of idle watchers fall between writes. What each watcher was told is held against the log.
 */
import assert from 'node:assert/strict';
import { memoryEngine, openStore, sleep } from '../../../src/store/index.js';
import type { Watch } from '../../../src/store/index.js';
import { Widget } from '../../../src/testing/conformance/store-widget.js';
import { seededRandom, virtualDeps } from '../../../src/testing/index.js';
import { pumped } from '../../store/repos/setup.js';
import { bookmarkable, listed, ordered, reliable, unique } from '../../store/watch-validators.js';
import type { Change, Event, Stream, Told } from '../../store/watch-validators.js';

export interface BookmarkReport {
  readonly marks: number;
  readonly events: number;
}

export function bookmarks(seed: number): Promise<BookmarkReport> {
  const deps = virtualDeps({ seed });
  return pumped(
    deps,
    (async () => {
      const random = seededRandom(seed);
      await using store = await openStore({
        engine: memoryEngine({ latencyMs: random.below(4) }),
        deps,
        ring: { events: random.below(2) === 0 ? 3 : 1000 },
        window: { time: '24h' },
      });
      const write = async (): Promise<void> => {
        const name = `w${random.below(4)}`;
        const space = random.below(3) === 0 ? 'dev' : 'prod';
        const input = { metadata: { labels: { l: `l${random.below(3)}` } }, spec: { size: random.below(1000) } };
        const dice = random.below(5);
        if (dice < 3) await store.apply(Widget, space, name, input);
        else if (dice === 3) await store.delete(Widget, space, name).catch(() => undefined);
        else
          await store.transaction(async (tx) => {
            for (const each of ['w0', 'w1', 'w2']) await tx.apply(Widget, space, each, input);
          });
      };
      for (let index = 0; index < random.below(6); index += 1) await write();
      const open: { readonly stream: Stream; readonly watch: Watch<Told>; readonly reading: Promise<unknown> }[] = [];
      const follow = (): void => {
        const events: Event[] = [];
        const initial = random.below(2) === 0;
        const since = initial ? undefined : random.below(Number(store.revision) + 1);
        const namespace = random.below(2) === 0 ? 'prod' : undefined;
        const labelSelector = random.below(2) === 0 ? 'l in (l0, l1)' : undefined;
        const slow = random.below(3) === 0;
        const watch: Watch<Told> = store.watch(Widget, namespace, {
          bookmarks: random.below(4) > 0,
          labelSelector,
          ...(since === undefined ? { initial: true } : { since: String(since) }),
        });
        const reading = (async () => {
          for await (const event of watch) {
            events.push(event);
            if (slow) await sleep(deps, random.below(20_000));
          }
        })();
        open.push({
          stream: { name: `watch ${open.length} of seed ${seed}`, namespace, labelSelector, since, events, cuts: [] },
          watch,
          reading,
        });
      };
      for (let turn = 0; turn < 14; turn += 1) {
        if (turn % 4 === 0) follow();
        const writing = Array.from({ length: 1 + random.below(3) }, write);
        if (random.below(2) === 0) await sleep(deps, random.below(90_000));
        await Promise.all(writing);
      }
      // Until the slow ones are through, and idle long enough for a last bookmark.
      await sleep(deps, '20m');
      for (const { watch, reading } of open) {
        assert.equal(watch.progress, store.revision, 'told up to the present');
        await watch.close();
        await reading;
      }
      const log: Change[] = [];
      const all = store.watch(Widget, undefined, { since: '0' });
      while (Number(all.progress) < Number(store.revision)) {
        const { value } = await all.next();
        if (value!.type !== 'BOOKMARK') log.push(value as Change);
      }
      await all.close();
      for (const { stream } of open) {
        ordered(stream);
        unique(stream);
        bookmarkable(stream, log);
        reliable(stream, log);
        listed(stream, log);
        if (stream.since === undefined) {
          const begin = stream.events.findIndex(({ type }) => type === 'BOOKMARK');
          assert.ok(begin >= 0, `${stream.name}: the initial list has an end`);
          assert.ok(
            stream.events.every((event, index) => (event.type === 'CREATED' && event.initial === true) === index < begin),
            `${stream.name}: and one only`,
          );
        }
      }
      const events = open.flatMap(({ stream }) => stream.events);
      return { marks: events.filter(({ type }) => type === 'BOOKMARK').length, events: events.length };
    })(),
  );
}
