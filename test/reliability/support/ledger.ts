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

const CHILD = fileURLToPath(new URL('writers.process.ts', import.meta.url));

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
  /** What the child's watcher told, over all its lives; each life resumes from the last line of the one before. */
  readonly #watched: Seen[] = [];
  readonly #log: Seen[] = [];
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
    const child = spawn(process.execPath, ['--import', 'tsx', CHILD, this.#path, String(this.#cycle), this.#resume], {
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
      byId.set(id, values.set(event.name, event.type === 'DELETED' ? 0 : (event.resource['n'] as number)));
    }
    assert.equal(last, now, 'the log reaches up to the revision');
    // 0 lost: each acknowledged write of this cycle is in the log, at the revision that was told, whole.
    for (const { id, revision, values } of this.#told.values()) {
      if (!id.startsWith(`${this.#cycle}.`)) continue;
      assert.equal(revisions.get(id), revision, `${id} was acknowledged at ${revision}`);
      assert.deepEqual(Object.fromEntries(byId.get(id)!), values, `${id} is whole`);
    }
    // No half transaction among those that nobody was told of either.
    for (const [id, values] of byId) {
      if (this.#told.has(id)) continue;
      this.report.unacknowledged += 1;
      if (id.includes('.t')) assert.equal(values.size, 5, `${id} is a whole transaction`);
      assert.equal(new Set(values.values()).size, 1, `${id} wrote one value`);
    }
    const fresh = log.map((event) => ({ id: event.source!, key: event.name, revision: Number(event.resourceVersion) }));
    this.#checkWatched(fresh);
    await this.#takeOver(store, fresh);
    const { problems } = await store.verify();
    assert.deepEqual(problems, [], 'verify() is clean');
    this.#revision = now;
    this.#log.push(...fresh);
  }

  /** This process goes on where the watcher of the dead one was: it is told the rest, and nothing else. */
  async #takeOver(store: Store, fresh: readonly Seen[]): Promise<void> {
    const rest = await logSince(store, Number(this.#resume));
    const wanted = [...this.#log, ...fresh].filter(({ revision }) => revision > Number(this.#resume));
    assert.deepEqual(
      rest.map((event) => `${event.source} ${event.name}@${event.resourceVersion}`),
      wanted.map(({ id, key, revision }) => `${id} ${key}@${revision}`),
      'another process goes on where the watcher was',
    );
  }

  /** The watcher's lives, put together, are the log: nothing lost, and repeated only what its last token had not passed. */
  #checkWatched(fresh: readonly Seen[]): void {
    const log = [...this.#log, ...fresh];
    const seen = new Set<string>();
    let repeats = 0;
    const order: string[] = [];
    for (const { id, key, revision } of this.#watched) {
      const mark = `${id} ${key}@${revision}`;
      if (seen.has(mark)) {
        repeats += 1;
        continue;
      }
      seen.add(mark);
      order.push(mark);
    }
    assert.deepEqual(
      order,
      log.slice(0, order.length).map(({ id, key, revision }) => `${id} ${key}@${revision}`),
      'the union of the streams is the log',
    );
    assert.ok(repeats <= 4 * this.#cycle, `only the events of a transaction that was cut off are told again, not ${repeats}`);
    this.report.watched = order.length;
  }
}

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
