/**
 * The engine as the store has it: one object, whatever engine stands behind it. After a failed write that one is closed and
 * another is opened on the same data; whoever reads meanwhile waits for it.
 *
 * Invariants:
 * - What has no effect, and what did not begin, is repeated once on the next engine. A commit never is.
 * - Objects are read only when the store has caught up with the log, so that nobody sees what its writers were not told of.
 *   The log and `meta` are open before that, because catching up needs them.
 */
import { BadRequestError, StoreClosedError, isStoreClosed, isStoreFailed, isStoreFull } from '../schemas/index.js';
import type { Deps } from './deps.js';
import type {
  ChangeBatch,
  CommitRequest,
  CommitResult,
  CompactOptions,
  Engine,
  EngineMeta,
  EngineSource,
  EngineStats,
  EntriesOf,
  Entry,
  IndexEntry,
  InPlaceRange,
  InPlaceReads,
  Key,
  LoggedWrite,
  Prefix,
  Premise,
  RangeOptions,
  RangeResult,
  Rewrite,
  VersionPosition,
  VersionsOptions,
} from './engine.js';
import type { Feed } from './watch/feed.js';

export interface SteadyHost {
  readonly deps: Deps;
  readonly source: EngineSource;
  readonly feed: Feed;
  /** Has `reopen` called, though no commit has failed; false when the store takes no more work. */
  recover(cause: unknown): boolean;
}

/** What can be done at the moment: nothing, what catching up with the log needs, everything. */
const stages = { none: 0, log: 1, all: 2 } as const;
type Stage = (typeof stages)[keyof typeof stages];
type ChangesOptions = { readonly limit?: number | undefined; readonly signal?: AbortSignal | undefined };

/** The engine failed under a read in place, which cannot wait for the next one: the same read without `inPlace` does. */
export class EngineGone extends Error {
  override readonly name = 'EngineGone';
}

export class SteadyEngine implements Engine {
  readonly meta: EngineMeta = {
    get: (name) => this.#steadily(stages.log, (engine) => engine.meta.get(name)),
    set: (name, text, options) => this.#writing((engine) => engine.meta.set(name, text, options)),
  };
  readonly #inPlace: InPlaceReads = {
    get: (key, use, planning) => this.#atOnce((reads) => reads.get(key, use, planning)),
    range: <T>(prefix: Prefix, options: RangeOptions, use: (entry: Entry) => T): Promise<InPlaceRange<T>> =>
      this.#steadily(stages.all, (engine) => engine.inPlace!.range(prefix, options, use)),
    changes: (from, limit, use) => this.#atOnce((reads) => reads.changes(from, limit, use)),
  };
  readonly #host: SteadyHost;
  readonly #listeners = new Map<(revision: number) => void, () => void>();
  #engine: Engine;
  #stage: Stage = stages.all;
  #waiting: (() => void)[] = [];
  #known: { readonly current: number; readonly compacted: number };
  /** Why nothing will be opened any more. */
  #ended: Error | undefined;

  constructor(engine: Engine, host: SteadyHost) {
    this.#engine = engine;
    this.#host = host;
    this.#known = engine.revision();
  }

  /** The engine behind, for who clears up and must not wait for himself. */
  get now(): Engine {
    return this.#engine;
  }

  get name(): string {
    return this.#engine.name;
  }

  get limits(): Engine['limits'] {
    return this.#engine.limits;
  }

  get capabilities(): Engine['capabilities'] {
    return this.#engine.capabilities;
  }

  /** Undefined where the engine has none, and while nothing may be read: who waits does so in `get`, `range` and `changes`. */
  get inPlace(): InPlaceReads | undefined {
    return this.#stage === stages.all && this.#engine.inPlace !== undefined ? this.#inPlace : undefined;
  }

  /** While there is no engine: as it last was. */
  revision(): { readonly current: number; readonly compacted: number } {
    try {
      this.#known = this.#engine.revision();
    } catch (error) {
      if (!this.#isGone(this.#engine, error)) throw error;
    }
    return this.#known;
  }

  get(key: Key, options?: { readonly at?: number | undefined }): Promise<Entry | undefined> {
    return this.#steadily(stages.all, (engine) => engine.get(key, options));
  }

  range(prefix: Prefix, options?: RangeOptions): Promise<RangeResult> {
    return this.#steadily(stages.all, (engine) => engine.range(prefix, options));
  }

  lookup(entry: IndexEntry, options?: { readonly after?: Key | undefined; readonly limit?: number | undefined }): Promise<readonly Key[]> {
    return this.#steadily(stages.all, (engine) => engine.lookup(entry, options));
  }

  logged(type: string, from: number): Promise<{ readonly writes: readonly LoggedWrite[]; readonly upTo: number }> {
    return this.#steadily(stages.log, (engine) => engine.logged(type, from));
  }

  versions(key: Key, options?: VersionsOptions): Promise<readonly Entry[]> {
    return this.#steadily(stages.all, (engine) => engine.versions(key, options));
  }

  walk(
    prefix: Prefix,
    options?: { readonly after?: VersionPosition | undefined; readonly limit?: number | undefined },
  ): Promise<{ readonly entries: readonly Entry[]; readonly more: boolean }> {
    return this.#steadily(stages.all, (engine) => engine.walk(prefix, options));
  }

  stats(): Promise<EngineStats> {
    return this.#steadily(stages.all, (engine) => engine.stats());
  }

  verify(entriesOf?: EntriesOf): ReturnType<Engine['verify']> {
    return this.#steadily(stages.all, (engine) => engine.verify(entriesOf));
  }

  /** Goes on where it was when the engine behind it fails. */
  changes(from: number, options?: ChangesOptions): AsyncIterable<ChangeBatch> {
    return {
      [Symbol.asyncIterator]: () => {
        let last = from;
        let left = options?.limit;
        let source: AsyncIterator<ChangeBatch> | undefined;
        let engine: Engine | undefined;
        const next = (now: Engine): Promise<IteratorResult<ChangeBatch>> => {
          if (source === undefined || engine !== now) {
            engine = now;
            source = now.changes(last, { ...options, limit: left })[Symbol.asyncIterator]();
          }
          return source.next();
        };
        return {
          next: async () => {
            if (left === 0) return { done: true, value: undefined };
            const found = await this.#steadily(stages.log, next);
            if (found.done === true) return found;
            last = found.value.revision;
            if (left !== undefined) left -= 1;
            return found;
          },
          return: async () => {
            await source?.return?.();
            return { done: true, value: undefined };
          },
        };
      },
    };
  }

  /** Never repeated: what became of it, the log tells. */
  commit(batch: readonly CommitRequest[], premises?: readonly Premise[]): Promise<readonly CommitResult[]> {
    return this.#engine.commit(batch, premises).catch((error: unknown) => {
      this.#move(stages.none);
      throw error;
    });
  }

  rewrite(versions: readonly Rewrite[], premises?: readonly Premise[]): Promise<number | undefined> {
    return this.#writing((engine) => engine.rewrite(versions, premises));
  }

  reindex(...args: Parameters<Engine['reindex']>): ReturnType<Engine['reindex']> {
    return this.#writing((engine) => engine.reindex(...args));
  }

  dropIndex(index: string): Promise<boolean> {
    return this.#writing((engine) => engine.dropIndex(index));
  }

  /** One that falls over with the engine is begun again: it goes on where it was. */
  async compact(revision: number, options: CompactOptions): Promise<void> {
    await this.#writing((engine) => engine.compact(revision, options));
    this.revision();
  }

  /** @throws {BadRequestError} when the engine keeps nothing in a directory */
  async backup(directory: string): Promise<{ readonly revision: number }> {
    if (this.#engine.backup === undefined)
      throw new BadRequestError(`the ${this.name} engine keeps nothing in a directory: there is nothing to back up`);
    return this.#steadily(stages.all, (engine) => engine.backup!(directory));
  }

  onForeignCommit(listener: (revision: number) => void): () => void {
    this.#listeners.set(listener, this.#engine.onForeignCommit(listener));
    return () => {
      this.#listeners.get(listener)?.();
      this.#listeners.delete(listener);
    };
  }

  /** A fresh engine on the same data. Rejects when there is none to be had. */
  async reopen(cause: unknown): Promise<void> {
    const { deps, source, feed } = this.#host;
    this.#move(stages.none);
    deps.logger.error({ err: cause }, 'a write failed; the store is opened again to find out what became of it');
    for (const unlisten of this.#listeners.values()) unlisten();
    await this.#engine.close().catch((error: unknown) => deps.logger.warn({ err: error }, 'closing the failed engine failed'));
    this.#engine = await source.open({ deps });
    for (const listener of this.#listeners.keys()) this.#listeners.set(listener, this.#engine.onForeignCommit(listener));
    const { current } = this.revision();
    if (feed.visible >= current) return this.#move(stages.all);
    const unlisten = feed.onProgress((revision) => {
      if (revision < current) return;
      unlisten();
      this.#move(stages.all);
    });
    this.#move(stages.log);
  }

  /** Nothing is opened any more: who waits is told so. */
  stop(error: Error): void {
    this.#ended ??= error;
    this.#move(stages.all);
  }

  close(): Promise<void> {
    this.stop(new StoreClosedError('the store is closed: open it again to use it'));
    return this.#engine.close();
  }

  #atOnce<T>(read: (reads: InPlaceReads) => T): T {
    const engine = this.#engine;
    try {
      return read(engine.inPlace!);
    } catch (error) {
      throw this.#isGone(engine, error) ? new EngineGone('the engine failed under a read', { cause: error }) : error;
    }
  }

  async #steadily<T>(stage: Stage, read: (engine: Engine) => Promise<T>): Promise<T> {
    if (this.#stage < stage) await this.#reached(stage);
    const engine = this.#engine;
    try {
      return await read(engine);
    } catch (error) {
      if (!this.#isGone(engine, error)) throw error;
    }
    await this.#reached(stage);
    return read(this.#engine);
  }

  /** What failed by itself leaves the engine unusable, and is not tried again. */
  #writing<T>(write: (engine: Engine) => Promise<T>): Promise<T> {
    return this.#steadily(stages.log, (engine) =>
      write(engine).catch((error: unknown) => {
        if (isStoreFull(error) || (isStoreFailed(error) && error.inDoubt)) this.#lose(engine, error);
        throw error;
      }),
    );
  }

  /** Whether this says that the engine is no more, and another will be there. */
  #isGone(engine: Engine, error: unknown): boolean {
    if (this.#ended !== undefined) return false;
    if (isStoreClosed(error)) return engine !== this.#engine || this.#stage === stages.none;
    return isStoreFailed(error) && !error.inDoubt && this.#lose(engine, error);
  }

  /** False when nobody will open another: one that fails while the store still catches up with it is the last. */
  #lose(engine: Engine, cause: unknown): boolean {
    if (engine !== this.#engine || this.#stage === stages.none) return true;
    if (this.#stage === stages.log || !this.#host.recover(cause)) return false;
    this.#move(stages.none);
    return true;
  }

  async #reached(stage: Stage): Promise<void> {
    while (this.#stage < stage) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    if (this.#ended !== undefined) throw this.#ended;
  }

  #move(stage: Stage): void {
    this.#stage = this.#ended === undefined ? stage : stages.all;
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
