/**
 * All that was ever committed to an engine, in order, over crashes and restarts: what tests assert on.
 *
 * Invariants: an entry is there before its writer hears of the commit, and only if it is durable; a listener that is told of a
 * commit is told in that same moment, so that it can end the process before anybody acts on it.
 */
import type { DeepReadonly, UnknownResource } from '../schemas/index.js';
import type { ChangeBatch, CommitRequest, Deps, Engine, EngineSource, Write } from '../store/index.js';

/** One object's change, as it was committed. */
export interface StoreEvent<T = DeepReadonly<UnknownResource>> {
  readonly type: 'CREATED' | 'UPDATED' | 'DELETED';
  /** The exact type name. */
  readonly resourceType: string;
  /** undefined for cluster scope. */
  readonly namespace: string | undefined;
  readonly name: string;
  /** The revision of the change. */
  readonly resourceVersion: string;
  /** Who wrote, when the writer said so. */
  readonly source: string | undefined;
  /** Wall clock of the commit, ms since the epoch. */
  readonly time: number;
  /** The object after the change, frozen; for a DELETED its last state. Secrets are sealed. */
  readonly resource: T;
  /** The object before the change; undefined for a CREATED. */
  readonly previous: T | undefined;
}

/** What happened in one revision. */
export interface StoreCommit {
  readonly revision: number;
  readonly events: readonly StoreEvent[];
}

type Stored = DeepReadonly<UnknownResource>;
type Written = Pick<Write, 'key' | 'meta'> & { readonly value: Uint8Array | undefined; readonly decoded?: unknown };

/** The log, and the engine that feeds it. */
export class CommitLog {
  readonly source: EngineSource;
  readonly #deps: Deps;
  readonly #commits: StoreCommit[] = [];
  readonly #current = new Map<string, Stored>();
  readonly #decoder = new TextDecoder();
  #revision = 0;
  /** Whether anything was ever deleted, or marked for it: then there may be something to collect. */
  deleted = false;
  readonly #listeners = new Set<(commit: StoreCommit) => void>();

  constructor(inner: EngineSource, deps: Deps) {
    this.#deps = deps;
    this.source = { ...inner, open: async (context) => this.#record(await inner.open(context)) };
  }

  /** Commits, oldest first. */
  get commits(): readonly StoreCommit[] {
    return this.#commits;
  }
  /** The newest revision that is durable. */
  get revision(): number {
    return this.#revision;
  }

  /** Calls `listener` with each commit that is durable, before its writers hear of it, in the order they came; returns its remover. */
  onCommit(listener: (commit: StoreCommit) => void): () => void {
    // One listener given twice is two.
    const each = (commit: StoreCommit): void => listener(commit);
    this.#listeners.add(each);
    return () => this.#listeners.delete(each);
  }
  /** Nobody is told any more. */
  forget(): void {
    this.#listeners.clear();
  }

  async #record(engine: Engine): Promise<Engine> {
    // What became durable in a commit that failed all the same.
    for await (const batch of engine.changes(this.#revision)) this.#replay(batch);
    const commit: Engine['commit'] = async (batch, premises) => {
      const results = await engine.commit(batch, premises);
      for (const [index, result] of results.entries()) {
        if (result.ok) this.#add(result.revision, (batch[index] as CommitRequest).writes);
      }
      return results;
    };
    // The engine's methods are closures: nothing but `commit` is changed.
    return Object.assign(Object.create(engine) as Engine, { commit });
  }

  #replay(batch: ChangeBatch): void {
    this.#add(
      batch.revision,
      batch.changes.map(({ entry }) => entry),
    );
  }

  #add(revision: number, writes: readonly Written[]): void {
    if (revision <= this.#revision) return;
    this.#revision = revision;
    const time = this.#deps.clock.now();
    const commit = { revision, events: writes.map((write) => this.#event(revision, time, write)) };
    this.deleted ||= commit.events.some(({ type, resource }) => type === 'DELETED' || resource.metadata.deletionTimestamp !== undefined);
    this.#commits.push(commit);
    if (this.#listeners.size > 0) for (const listener of [...this.#listeners]) listener(commit);
  }

  #event(revision: number, time: number, { key, meta, value, decoded }: Written): StoreEvent {
    const id = `${key.type}/${key.namespace}/${key.name}`;
    const previous = this.#current.get(id);
    const deleted = meta.verb === 'delete';
    const resourceVersion = String(revision);
    const next =
      deleted || value === undefined ? undefined : stamped((decoded ?? JSON.parse(this.#decoder.decode(value))) as Stored, resourceVersion);
    if (next === undefined) this.#current.delete(id);
    else this.#current.set(id, next);
    return {
      type: meta.verb === 'create' ? 'CREATED' : deleted ? 'DELETED' : 'UPDATED',
      resourceType: key.type,
      namespace: key.namespace === '' ? undefined : key.namespace,
      name: key.name,
      resourceVersion,
      source: meta.source,
      time,
      resource: (next ?? previous) as Stored,
      previous,
    };
  }
}

/** Stored objects do not hold their revision. A copy: the store stamps its own when it gets to it. */
function stamped(object: Stored, resourceVersion: string): Stored {
  return Object.freeze({ ...object, metadata: Object.freeze({ ...object.metadata, resourceVersion }) });
}
