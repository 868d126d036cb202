/**
 * Writers in a process of their own that is killed at random, and the ledger of what they were told: a line on the parent's
 * pipe for each write, after its promise was resolved. Behind each kill the store is opened and held against the ledger.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import assert from 'node:assert/strict';
import { lmdbEngine, openStore } from '../../../src/store/index.js';
import type { Store, WatchEvent } from '../../../src/store/index.js';
import { bundle } from '../../../scripts/run-script.js';

const CHILD = fileURLToPath(new URL('writers.process.ts', import.meta.url));
/** So often everything is compacted, so that a check costs the same after two hundred kills as after two. */
const COMPACT_EVERY = 10;

/** What a removal writes. */
const REMOVED = 0;

/** A write that the store acknowledged. */
interface Acknowledged {
  /** `writer.number`: also the source of the write. */
  readonly id: string;
  readonly revision: number;
  /** Value by name. */
  readonly values: Readonly<Record<string, number>>;
}

/** A change as a watcher told it. */
interface Seen {
  readonly id: string;
  readonly key: string;
  readonly revision: number;
}

export interface KillReport {
  cycles: number;
  acknowledged: number;
  /** Writes that were found though nobody was told: they were on their way when the kill came. */
  unacknowledged: number;
  slowestOpenMs: number;
  watched: number;
}

/** The parent's side: runs cycles of kill and check on one directory. */
export class Ledger {
  readonly report: KillReport = { cycles: 0, acknowledged: 0, unacknowledged: 0, slowestOpenMs: 0, watched: 0 };
  readonly #path: string;
  /** All that was ever acknowledged. */
  readonly #told = new Map<string, Acknowledged>();
  /** Each object as all of that left it: what was acknowledged as it was told, what was in doubt as the log has it. */
  readonly #objects = new Map<string, { readonly n: number; readonly revision: number }>();
  /** What the child's watcher told, over all its lives; each life resumes from the last line of the one before. */
  readonly #watched: Seen[] = [];
  readonly #log: Seen[] = [];
  /** How much of `#watched` was checked, what was in it, and how far that reaches into the log. */
  #checked = 0;
  readonly #marks = new Set<string>();
  #repeats = 0;
  #child: Promise<string> | undefined;
  #resume = '0';
  #revision = 0;
  #cycle = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Lets the writers work for `workMs`, ends them, and checks. `SIGTERM` lets them close the store. */
  async cycle(workMs: number, end: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    this.#cycle += 1;
    await this.#work(workMs, end);
    await this.#check();
    this.report.cycles += 1;
  }

  async #work(workMs: number, end: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    // Bundled once: the loader for TypeScript takes longer to start than most of the children live.
    this.#child ??= bundle(CHILD, 'reliability-writers');
    const child = spawn(process.execPath, [await this.#child, this.#path, String(this.#cycle), this.#resume], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = once(child, 'exit');
    const lines = createInterface({ input: child.stdout });
    let ready!: () => void;
    const started = new Promise<void>((resolve) => {
      ready = resolve;
    });
    lines.on('line', (line) => {
      // The last line may have been cut off by the kill: then nobody was told.
      if (!line.endsWith(';')) return;
      const [kind, text] = [line[0], line.slice(1, -1)];
      if (kind === 'r') ready();
      else if (kind === 'a') {
        const told = JSON.parse(text) as Acknowledged;
        this.#told.set(told.id, told);
        this.report.acknowledged += 1;
      } else if (kind === 'w') {
        const told = JSON.parse(text) as { id: string; key: string; revision: number; resume: string };
        this.#watched.push(told);
        this.#resume = told.resume;
      }
    });
    const closed = once(lines, 'close');
    await Promise.race([started, exit.then(([code]) => assert.fail(`the writers ended by themselves with ${String(code)}`))]);
    await new Promise((resolve) => setTimeout(resolve, workMs));
    child.kill(end);
    const [code, signal] = (await exit) as [number | null, string | null];
    if (end === 'SIGKILL') assert.equal(signal, 'SIGKILL', 'the writers were still at work');
    else assert.equal(code, 0, 'the writers closed the store');
    await closed;
  }

  async #check(): Promise<void> {
    const began = performance.now();
    await using store = await openStore({ engine: lmdbEngine({ path: this.#path }), window: { time: '24h', bytes: 8 * 1024 ** 3 } });
    this.report.slowestOpenMs = Math.max(this.report.slowestOpenMs, performance.now() - began);
    const now = Number(store.revision);
    assert.ok(now >= this.#revision, `the revision fell from ${this.#revision} to ${now}`);
    const log = await logSince(store, this.#revision);
    const byId = new Map<string, Map<string, number>>();
    const revisions = new Map<string, number>();
    let last = this.#revision;
    for (const event of log) {
      const revision = Number(event.resourceVersion);
      assert.ok(revision === last || revision === last + 1, `revision ${revision} follows ${last}`);
      last = revision;
      const id = event.source!;
      assert.ok(revisions.get(id) === undefined || revisions.get(id) === revision, `${id} happened twice`);
      revisions.set(id, revision);
      const values = byId.get(id) ?? new Map<string, number>();
      byId.set(id, values.set(event.name, event.type === 'DELETED' ? REMOVED : (event.resource['n'] as number)));
    }
    assert.equal(last, now, 'the log reaches up to the revision');
    // 0 lost: each acknowledged write of this cycle is in the log, at the revision that was told, whole.
    for (const { id, revision, values } of this.#told.values()) {
      if (!id.startsWith(`${this.#cycle}.`)) continue;
      assert.equal(revisions.get(id), revision, `${id} was acknowledged at ${revision}`);
      assert.deepEqual(Object.fromEntries(byId.get(id)!), values, `${id} is whole`);
    }
    await this.#checkObjects(store, revisions, byId);
    // No half transaction among those that nobody was told of either.
    for (const [id, values] of byId) {
      if (this.#told.has(id)) continue;
      this.report.unacknowledged += 1;
      if (id.includes('.t')) assert.equal(values.size, 5, `${id} is a whole transaction`);
      assert.equal(new Set(values.values()).size, 1, `${id} wrote one value`);
    }
    const fresh = log.map(seen);
    this.#log.push(...fresh);
    this.#checkWatched();
    await this.#takeOver(store, this.#cycle % COMPACT_EVERY === 0);
    const { problems } = await store.verify();
    assert.deepEqual(problems, [], 'verify() is clean');
    this.#revision = now;
  }

  /** What is there is the fold of every acknowledged write and of what happened though nobody was told, to the last object. */
  async #checkObjects(
    store: Store,
    revisions: ReadonlyMap<string, number>,
    byId: ReadonlyMap<string, ReadonlyMap<string, number>>,
  ): Promise<void> {
    const happened = [...revisions].map(([id, logged]) => {
      const told = this.#told.get(id);
      return { revision: told?.revision ?? logged, values: told === undefined ? [...byId.get(id)!] : Object.entries(told.values) };
    });
    for (const { revision, values } of happened.toSorted((a, b) => a.revision - b.revision)) {
      for (const [name, n] of values) {
        if (n === REMOVED) this.#objects.delete(name);
        else this.#objects.set(name, { n, revision });
      }
    }
    const { items } = await store.list('plain', 'prod');
    assert.deepEqual(
      Object.fromEntries(
        items.map(({ metadata, ...rest }) => [metadata.name, { n: rest['n'], revision: Number(metadata.resourceVersion) }]),
      ),
      Object.fromEntries(this.#objects),
      'the objects are what all writes together lead to',
    );
  }

  /** This process goes on where the watcher of the dead one was: it is told the rest, and nothing else. `stays`: the next one goes on behind it. */
  async #takeOver(store: Store, stays: boolean): Promise<void> {
    const rest = (await logSince(store, Number(this.#resume))).map(seen);
    assert.deepEqual(
      rest.map(mark),
      this.#log.filter(({ revision }) => revision > Number(this.#resume)).map(mark),
      'another process goes on where the watcher was',
    );
    if (!stays) return;
    this.#watched.push(...rest);
    this.#resume = store.revision;
    await store.compact(store.revision);
  }

  /** The watcher's lives, put together, are the log: nothing lost, and repeated only what its last token had not passed. */
  #checkWatched(): void {
    for (; this.#checked < this.#watched.length; this.#checked += 1) {
      const told = mark(this.#watched[this.#checked]!);
      if (this.#marks.has(told)) {
        this.#repeats += 1;
        continue;
      }
      const next = this.#log[this.#marks.size];
      assert.equal(told, next && mark(next), 'the union of the streams is the log');
      this.#marks.add(told);
    }
    assert.ok(
      this.#repeats <= 4 * this.#cycle,
      `only the events of a transaction that was cut off are told again, not ${this.#repeats} in ${this.#cycle} lives`,
    );
    this.report.watched = this.#marks.size;
  }
}

const mark = ({ id, key, revision }: Seen): string => `${id} ${key}@${revision}`;
const seen = (event: Event): Seen => ({ id: event.source!, key: event.name, revision: Number(event.resourceVersion) });

type Event = Exclude<WatchEvent<{ readonly n?: unknown } & Record<string, unknown>>, { type: 'BOOKMARK' }>;

async function logSince(store: Store, since: number): Promise<Event[]> {
  const log: Event[] = [];
  if (Number(store.revision) === since) return log;
  const watch = store.watch('plain', undefined, { since: String(since) });
  while (Number(watch.progress) < Number(store.revision)) {
    const event = (await watch.next()).value!;
    if (event.type !== 'BOOKMARK') log.push(event);
  }
  await watch.close();
  return log;
}
