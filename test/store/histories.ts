/**
 * Random histories: clients that put, get, delete, compare-and-set, list and run transactions on a few keys, beside
 * watchers that come, go and resume; and the check of all that was told.
 *
 * Every write names itself in `source`, so that the log says of each what became of it.
 */
import { isAborted, isAlreadyExists, isConflict, isExpired, isNotFound, isStoreClosed } from '../../src/schemas/index.js';
import { deferred, onAbort, sleep } from '../../src/store/index.js';
import type { ListResult, Store, Watch } from '../../src/store/index.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import { seededRandom } from '../../src/testing/index.js';
import type { SeededRandom } from '../../src/testing/index.js';
import { checkHistory } from './history-checks.js';
import type { Listed, Outcome, Written } from './history-checks.js';
import { ABSENT } from './linearizability.js';
import type { Operation } from './linearizability.js';
import { changesOf, holding, placeOf, planTransaction, runTransaction } from './random-transactions.js';
import type { Run } from './random-transactions.js';
import type { Event, Stream, Told } from './watch-validators.js';

type Without<O> = O extends Operation ? Omit<O, 'id' | 'returned'> : never;
/** An operation that is over, before it has its place. */
type Untold = Without<Operation>;

export interface HistoryOptions {
  readonly seed: number;
  readonly operations: number;
  readonly clients?: number;
  readonly keys?: number;
  /** Whether clients give up some of their writes half way. */
  readonly aborts?: boolean;
  /** Called now and then, to make trouble. */
  readonly trouble?: ((random: SeededRandom) => Promise<void> | void) | undefined;
}

const SPACES = ['prod', 'dev'] as const;
export class History {
  readonly operations: Operation[] = [];
  readonly writes: Written[] = [];
  readonly lists: Listed[] = [];
  readonly streams: Stream[] = [];
  readonly #options: HistoryOptions;
  readonly #store: Store;
  readonly #keys: readonly string[];
  #clock = 0;
  #ids = 0;
  #values = 0;
  #done = 0;

  constructor(store: Store, options: HistoryOptions) {
    this.#store = store;
    this.#options = options;
    this.#keys = Array.from({ length: options.keys ?? 10 }, (_, index) => `${SPACES[index % 2]}/k${index >> 1}`);
  }

  /** Runs clients and watchers until all operations are done. */
  async run(): Promise<void> {
    const { clients = 8, operations } = this.#options;
    const over = new AbortController();
    const watching = [
      this.#follow({ name: 'all', since: 0 }, over.signal),
      this.#follow({ name: 'a namespace', namespace: 'prod', since: 0 }, over.signal),
      this.#follow({ name: 'a label', labelSelector: 'l=l1', since: 0 }, over.signal),
      this.#follow({ name: 'two labels, initial', labelSelector: 'l in (l0, l2)', since: undefined }, over.signal),
      this.#follow({ name: 'initial', namespace: 'dev', since: undefined }, over.signal),
      this.#newcomers(over.signal),
    ];
    await Promise.all(
      Array.from({ length: clients }, async (_, client) => {
        const random = seededRandom(this.#options.seed * 1000 + client);
        while (this.#done < operations) {
          this.#done += 1;
          await this.#one(client, random);
          if (random.below(4) === 0) await sleep(this.#store.deps, random.below(4));
          if (this.#options.trouble !== undefined && random.below(40) === 0) await this.#options.trouble(random);
        }
      }),
    );
    // The last word, for every filter to see the end of.
    for (const key of SPACES.map((space) => `${space}/end`)) for (let turn = 0; turn < 3; turn += 1) await this.#last(key);
    over.abort();
    await Promise.all(watching);
  }

  async #last(key: string): Promise<void> {
    const value = (this.#values += 1);
    const write = this.#begin([[key, value]]);
    await this.#settle(write, this.#store.apply(Widget, ...placeOf(key), holding(value), { source: `w${write.id}` }));
  }

  async #one(client: number, random: SeededRandom): Promise<void> {
    const key = this.#keys[random.below(this.#keys.length)]!;
    const dice = random.below(100);
    if (dice < 22) await this.#get(client, key);
    else if (dice < 36) await this.#write(client, key, 'create', random);
    else if (dice < 54) await this.#write(client, key, 'put', random);
    else if (dice < 62) await this.#delete(client, key, random);
    else if (dice < 74) await this.#compareAndSet(client, key, random);
    else if (dice < 80) await this.#modify(client, key);
    else if (dice < 93) await this.#transact(client, random);
    else await this.#list(client, random.below(3) === 0 ? undefined : SPACES[random.below(2)]!);
  }

  #signal(random: SeededRandom): AbortSignal | undefined {
    if (this.#options.aborts !== true || random.below(20) !== 0) return undefined;
    const abort = new AbortController();
    this.#store.deps.scheduler.after(random.below(4), () => abort.abort());
    return abort.signal;
  }

  async #get(client: number, key: string): Promise<void> {
    const called = this.#tick();
    const read = await this.#read(key);
    this.#tell({ client, key, called, kind: 'get', outcome: 'ok', read: read?.spec.size ?? ABSENT });
  }

  /** Commits may fail at any moment; a read waits then, and never fails for it. */
  async #read(key: string): Promise<Told | undefined> {
    try {
      return await this.#store.get(Widget, ...placeOf(key));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #write(client: number, key: string, kind: 'create' | 'put', random: SeededRandom): Promise<void> {
    const value = (this.#values += 1);
    const write = this.#begin([[key, value]]);
    const options = { source: `w${write.id}`, signal: this.#signal(random) };
    const running =
      kind === 'create'
        ? this.#store.create(Widget, ...placeOf(key), holding(value), options)
        : this.#store.update(Widget, ...placeOf(key), holding(value), options);
    const outcome = await this.#settle(write, running);
    if (outcome !== 'refused') this.#tell({ client, key, called: write.called, kind, outcome, value } as Untold);
  }

  async #delete(client: number, key: string, random: SeededRandom): Promise<void> {
    const write = this.#begin([[key, ABSENT]]);
    let read: number = ABSENT;
    const deleting = this.#store.delete(Widget, ...placeOf(key), { source: `w${write.id}`, signal: this.#signal(random) });
    const outcome = await this.#settle(
      write,
      // The last state carries the revision of its own write, not of the removal.
      deleting.then((widget) => {
        read = widget.spec.size;
        return undefined;
      }),
    );
    if (outcome !== 'refused') this.#tell({ client, key, called: write.called, kind: 'delete', outcome, read } as Untold);
  }

  async #compareAndSet(client: number, key: string, random: SeededRandom): Promise<void> {
    const called = this.#tick();
    const current = await this.#read(key);
    this.#tell({ client, key, called, kind: 'get', outcome: 'ok', read: current?.spec.size ?? ABSENT });
    if (current === undefined) return;
    if (random.below(2) === 0) await sleep(this.#store.deps, random.below(5));
    const value = (this.#values += 1);
    const write = this.#begin([[key, value]]);
    const { resourceVersion } = current.metadata;
    const input = holding(value);
    const outcome = await this.#settle(
      write,
      this.#store.update(
        Widget,
        ...placeOf(key),
        { ...input, metadata: { ...input.metadata, resourceVersion } },
        { source: `w${write.id}`, signal: this.#signal(random) },
      ),
    );
    if (outcome !== 'refused')
      this.#tell({ client, key, called: write.called, kind: 'cas', outcome, expected: current.spec.size, value } as Untold);
  }

  async #modify(client: number, key: string): Promise<void> {
    const value = (this.#values += 1);
    const write = this.#begin([[key, value]]);
    let expected: number = ABSENT;
    const outcome = await this.#settle(
      write,
      this.#store.modify(
        Widget,
        ...placeOf(key),
        (draft) => {
          expected = draft.spec.size;
          draft.metadata.labels = { l: `l${value % 3}` };
          draft.spec.size = value;
        },
        { source: `w${write.id}` },
      ),
    );
    if (outcome !== 'refused') this.#tell({ client, key, called: write.called, kind: 'cas', outcome, expected, value } as Untold);
  }

  /** What it wrote is one operation for each key; what it has looked at is held against the log. */
  async #transact(client: number, random: SeededRandom): Promise<void> {
    const plan = planTransaction(random, this.#keys, () => (this.#values += 1));
    const write = this.#begin([]);
    const slow = random.below(3) === 0 ? random.below(4) : undefined;
    const pause = slow === undefined ? undefined : (): Promise<void> => sleep(this.#store.deps, slow);
    let run: Run = { views: [], writes: [] };
    const outcome = await this.#settle(
      write,
      this.#store.transaction(
        async (tx) => {
          run = { views: [], writes: [] };
          run = await runTransaction(tx, plan, pause);
          return undefined;
        },
        { source: `w${write.id}`, retries: 10, signal: this.#signal(random) },
      ),
    );
    write.views = run.views;
    write.values = changesOf(run);
    if (outcome === 'refused' || outcome === 'conflict') return;
    for (const { key, expected, value } of run.writes) {
      const rest = expected === undefined ? { kind: 'set' } : { kind: 'cas', expected };
      this.#tell({ client, key, called: write.called, outcome, value, ...rest } as Untold);
    }
  }

  async #list(client: number, namespace: string | undefined): Promise<void> {
    const called = this.#tick();
    const { items, resourceVersion }: ListResult<Told> = await this.#store.list(Widget, namespace);
    const found = new Map(items.map(({ metadata, spec }) => [`${metadata.namespace}/${metadata.name}`, spec.size]));
    const returned = this.#tick();
    for (const key of this.#keys) {
      if (namespace !== undefined && placeOf(key)[0] !== namespace) continue;
      this.operations.push({
        id: (this.#ids += 1),
        client,
        key,
        called,
        returned,
        kind: 'get',
        outcome: 'ok',
        read: found.get(key) ?? ABSENT,
      });
    }
    this.lists.push({ namespace, resourceVersion: Number(resourceVersion), items: [...found] });
  }

  #tick(): number {
    return (this.#clock += 1);
  }

  #begin(values: readonly (readonly [string, number])[]): Written {
    const write: Written = {
      id: (this.#ids += 1),
      called: this.#tick(),
      returned: Infinity,
      outcome: 'unknown',
      revision: undefined,
      values: new Map(values),
    };
    this.writes.push(write);
    return write;
  }

  async #settle(
    write: Written,
    running: Promise<{ readonly metadata: { readonly resourceVersion: string } } | undefined>,
  ): Promise<Outcome> {
    try {
      const result = await running;
      if (result !== undefined) write.revision = Number(result.metadata.resourceVersion);
      write.outcome = 'ok';
    } catch (error) {
      write.outcome = outcomeOf(error);
    }
    if (write.outcome !== 'unknown') write.returned = this.#tick();
    return write.outcome;
  }

  #tell(operation: Untold): void {
    const returned = operation.outcome === 'unknown' ? Infinity : this.#clock + 1;
    this.#tick();
    this.operations.push({ ...operation, id: (this.#ids += 1), returned });
  }

  /** A watcher that is cut off now and then and resumes from the last event it was told. */
  async #follow(asked: Pick<Stream, 'name' | 'namespace' | 'labelSelector' | 'since'>, over: AbortSignal): Promise<void> {
    const events: Event[] = [];
    const cuts: number[] = [];
    this.streams.push({ ...asked, events, cuts });
    const { namespace, labelSelector, since } = asked;
    const random = seededRandom(this.#options.seed + asked.name.length);
    let watch: Watch<Told> = this.#store.watch(Widget, namespace, {
      labelSelector,
      bookmarks: true,
      ...(since === undefined ? { initial: true } : { since: String(since) }),
    });
    let left = 5 + random.below(60);
    let resume: string | undefined;
    for (;;) {
      const event = await this.#next(watch, over);
      if (event === undefined) break;
      events.push(event);
      if (event.resume !== 'initial') resume = event.resume;
      left -= 1;
      if (left > 0 || resume === undefined) {
        if (random.below(10) === 0) await sleep(this.#store.deps, random.below(6));
        continue;
      }
      left = 5 + random.below(60);
      await watch.close();
      // What will be told again: the companions of the last event, if it was cut off inside a transaction.
      while (events.length > 0 && events.at(-1)!.type !== 'BOOKMARK' && Number(events.at(-1)!.resourceVersion) > Number(resume))
        events.pop();
      cuts.push(events.length);
      watch = this.#store.watch(Widget, namespace, { labelSelector, bookmarks: true, since: resume });
    }
    await watch.close();
  }

  /** The next event; undefined when the end has come and all was scanned. */
  async #next(watch: Watch<Told>, over: AbortSignal): Promise<Event | undefined> {
    let settled = false;
    const pulling = watch.next().then(
      ({ value }) => value as Event | undefined,
      (error: unknown) => {
        if (isStoreClosed(error)) return undefined;
        throw error;
      },
    );
    const settle = (): void => void (settled = true);
    pulling.then(settle, settle);
    if (!over.aborted) {
      const { promise, resolve } = deferred();
      const unlisten = onAbort(over, () => resolve());
      await Promise.race([pulling, promise]);
      unlisten();
    }
    // Asked for more, a watcher scans what is left, and then stands at the end or has found something.
    while (over.aborted && !settled) {
      if (Number(watch.progress) >= Number(this.#store.revision)) await watch.close();
      else await this.#store.deps.scheduler.turn();
    }
    return pulling;
  }

  /** Watchers that come late, at revisions around the present, and go again. */
  async #newcomers(over: AbortSignal): Promise<void> {
    const random = seededRandom(this.#options.seed + 77);
    while (!over.aborted) {
      await sleep(this.#store.deps, 1 + random.below(40));
      const now = Number(this.#store.revision);
      const since = Math.max(0, now - random.below(100));
      const events: Event[] = [];
      const stream: Stream =
        random.below(2) === 0
          ? { name: `since ${since}`, since, events, cuts: [] }
          : { name: `initial at ${now}`, since: undefined, events, cuts: [] };
      let watch: Watch<Told>;
      try {
        watch = this.#store.watch(Widget, undefined, stream.since === undefined ? { initial: true } : { since: String(since) });
      } catch (error) {
        if (isExpired(error)) continue;
        throw error;
      }
      const count = 1 + random.below(50);
      while (events.length < count) {
        const event = await this.#next(watch, over);
        if (event === undefined) break;
        events.push(event);
      }
      await watch.close();
      if (stream.since !== undefined || events.some(({ type }) => type === 'BOOKMARK')) this.streams.push(stream);
    }
  }

  /** How much of what happened, to tell an eventful history from a dull one. */
  summary(): string {
    const outcomes = new Map<string, number>();
    for (const { outcome } of this.writes) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    const events = this.streams.reduce((sum, stream) => sum + stream.events.length, 0);
    return `${this.operations.length} operations, writes ${[...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', ')}; ${this.lists.length} lists; transactions looked at ${this.writes.reduce((sum, { views }) => sum + (views?.length ?? 0), 0)} places; ${this.streams.length} watchers told ${events} events, resumed ${this.streams.reduce((sum, { cuts }) => sum + cuts.length, 0)} times`;
  }

  /** Holds everything that was told against itself and against the whole log of `store`. */
  check(store: Store = this.#store): Promise<void> {
    return checkHistory(this, { store, seed: this.#options.seed });
  }
}

function outcomeOf(error: unknown): Outcome {
  if (isAlreadyExists(error)) return 'exists';
  if (isNotFound(error)) return 'missing';
  if (isConflict(error)) return 'conflict';
  if (isAborted(error)) return error.message.includes('may still happen') ? 'unknown' : 'refused';
  const { inDoubt } = error as { inDoubt?: boolean };
  if (inDoubt === true) return 'unknown';
  if (inDoubt === false) return 'refused';
  throw error;
}
