/**
 * Brings declared indexes to name every object, in the background: those that were declared, or whose rule changed, when
 * objects were there already. What nobody keeps any more is cleared away.
 *
 * Invariants: a build begins when every writer keeps it, and every step, and the word that it is complete, is written only
 * while they still do. Until then lists scan. The place reached is noted, so that a build which was cut off goes on there.
 */
import type { Deps } from './deps.js';
import type { Engine, Entry, IndexEntry, Key, Premise } from './engine.js';
import { buildName, fieldEntries, indexEntries } from './field-indexes.js';
import type { FieldIndex } from './field-indexes.js';
import type { ObjectCodec } from './object-codec.js';
import { TYPES_META } from './registry.js';
import type { TypeInfo, TypeRegistry } from './registry.js';

export interface IndexBuilderHost {
  readonly deps: Deps;
  readonly registry: TypeRegistry;
  readonly codec: ObjectCodec;
  engine(): Engine;
}

/** How far a build has come, in `meta` under a name for each type. */
interface Note {
  readonly builds: readonly number[];
  readonly after: Key;
}

/** Steps between two notes of the place reached. */
const STEPS_A_NOTE = 16;

export class IndexBuilder {
  readonly #host: IndexBuilderHost;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(host: IndexBuilderHost) {
    this.#host = host;
  }

  /** Takes up what there is to do; called whenever something else is remembered of the types. */
  wake(): void {
    if (this.#stopped || this.#host.registry.unfinished().length === 0) return;
    this.#again = this.#running !== undefined;
    this.#running ??= this.#run()
      .catch((error: unknown) => {
        if (!this.#stopped)
          this.#host.deps.logger.warn({ err: error }, 'building indexes failed; lists scan until the store is opened again');
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#again) this.wake();
      });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** Declared indexes that do not name every object yet. */
  get building(): number {
    return this.#host.registry.unfinished().flatMap(incomplete).length;
  }

  /** The engine's look at everything, which is told here what has to name an object. */
  async verify(): ReturnType<Engine['verify']> {
    const { registry, codec } = this.#host;
    const entriesOf = (entry: Entry): readonly IndexEntry[] => {
      const info = registry.found(entry.key.type);
      const complete = info.indexes.filter((index) => index.complete);
      return indexEntries(complete, codec.cached(info, entry));
    };
    for (;;) {
      await registry.reload();
      const { text } = registry;
      const report = await this.#host.engine().verify(entriesOf);
      if (report.ok) return report;
      await registry.reload();
      // An index that another process has stopped to keep meanwhile misses what it may.
      if (registry.text === text) return report;
    }
  }

  async #run(): Promise<void> {
    for (const info of this.#host.registry.unfinished()) {
      if (this.#stopped) return;
      await this.#build(info);
      await this.#clear(info.type);
    }
  }

  async #build(info: TypeInfo): Promise<void> {
    const { deps, registry, codec } = this.#host;
    const { type } = info;
    const indexes = incomplete(info);
    if (indexes.length === 0) return;
    const builds = indexes.map(({ build }) => build);
    const name = `indexing ${type}`;
    const noted = parse(await this.#host.engine().meta.get(name));
    let after = noted !== undefined && String(noted.builds) === String(builds) ? noted.after : undefined;
    const premises: readonly Premise[] = [{ meta: TYPES_META, text: registry.text ?? null }];
    const entriesOf = (entry: Entry): readonly IndexEntry[] => fieldEntries(indexes, codec.cached(info, entry));
    for (let step = 1; !this.#stopped; step += 1) {
      const next = await this.#host.engine().reindex({ type }, after, { entriesOf, premises });
      if (next === 'unmet') {
        // What is remembered has changed: then this is called again, for what is to be built by now.
        this.#again = true;
        return registry.reload();
      }
      if (next === undefined) {
        await registry.finish(type, { complete: builds });
        await this.#host.engine().meta.set(name, undefined);
        return;
      }
      after = next;
      if (step % STEPS_A_NOTE === 0) await this.#host.engine().meta.set(name, JSON.stringify({ builds, after } satisfies Note));
      await deps.scheduler.turn();
    }
  }

  async #clear(type: string): Promise<void> {
    const { deps, registry } = this.#host;
    const dropped = registry.dropped(type);
    for (const build of dropped) {
      while (await this.#host.engine().dropIndex(buildName(type, build))) {
        if (this.#stopped) return;
        await deps.scheduler.turn();
      }
    }
    if (dropped.length > 0) await registry.finish(type, { gone: dropped });
  }
}

function incomplete({ indexes }: TypeInfo): readonly FieldIndex[] {
  return indexes.filter(({ complete }) => !complete);
}

function parse(text: string | undefined): Note | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as Note);
}
