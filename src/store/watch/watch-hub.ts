/**
 * All watches of a store: opens them, feeds those that are behind from the log, ends them with the store.
 */
import { BadRequestError, StoreClosedError } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import type { Change, Engine, Entry, Key } from '../engine.js';
import { parseRevision, scopeNamespace } from '../keys.js';
import type { ObjectCodec } from '../object-codec.js';
import type { Reader } from '../read/reader.js';
import { parseSelectors } from '../read/reader.js';
import type { TypeRegistry } from '../registry.js';
import { EngineGone } from '../steady-engine.js';
import type { WatchOptions } from '../types.js';
import type { Feed, FeedBatch, FeedEvent } from './feed.js';
import { INITIAL } from './public-events.js';
import { Watcher } from './watcher.js';
import type { PagePosition, SeeFound, WatchScope, WatchSource } from './watcher.js';
import { checkWindow } from './window.js';

export interface HubHost {
  readonly deps: Deps;
  readonly feed: Feed;
  readonly codec: ObjectCodec;
  readonly registry: TypeRegistry;
  readonly reader: Reader;
  engine(): Engine;
}

export class WatchHub implements WatchSource {
  readonly #host: HubHost;
  readonly #watchers = new Set<Watcher>();
  #ended: Error | undefined;

  constructor(host: HubHost) {
    this.#host = host;
  }

  get feed(): Feed {
    return this.#host.feed;
  }

  get size(): number {
    return this.#watchers.size;
  }

  /** `type` undefined: all types. The watch begins now, whenever it is first asked. */
  open(type: string | undefined, namespace: string | undefined, options: WatchOptions): Watcher {
    if (this.#ended !== undefined) throw this.#ended;
    const { labels, fields } = parseSelectors(options, type === undefined ? undefined : this.#host.registry.resolve(type));
    const scope: WatchScope = { type, namespace: scopeNamespace(namespace), labels, fields };
    const initial = options.initial === true || options.since === INITIAL;
    if (options.initial === true && options.since !== undefined && options.since !== INITIAL) {
      throw new BadRequestError('a watch takes since or initial, not both: initial sends what exists, since goes on from where you were');
    }
    const cursor = initial || options.since === undefined ? this.feed.visible : parseRevision(options.since, 'since');
    if (!initial && options.since !== undefined) checkWindow(cursor, this.compacted(), this.feed.visible);
    const watcher = new Watcher(this, { scope, cursor, initial, bookmarks: options.bookmarks === true, signal: options.signal });
    if (options.signal?.aborted !== true) this.#watchers.add(watcher);
    return watcher;
  }

  async replay(from: number, scope: WatchScope, limit: number): Promise<{ batches: readonly FeedBatch[]; scanned: number }> {
    checkWindow(from, this.compacted(), this.feed.visible);
    const { inPlace } = this.#host.engine();
    if (inPlace === undefined) return this.#replaySlowly(from, scope, limit);
    let found: ReturnType<typeof inPlace.changes<Version | undefined>>;
    try {
      found = inPlace.changes(from, limit, (entry) => this.#read(entry, scope));
    } catch (error) {
      if (error instanceof EngineGone) return this.#replaySlowly(from, scope, limit);
      throw error;
    }
    const visible = this.feed.visible;
    const batches: FeedBatch[] = [];
    let scanned = from;
    for (const { revision, changes } of found) {
      if (revision > visible) break;
      scanned = revision;
      const events: FeedEvent[] = [];
      for (const { entry, previous } of changes) if (entry !== undefined) events.push(eventOf(entry, previous));
      if (events.length > 0) batches.push({ revision, events });
    }
    await this.#host.deps.scheduler.turn();
    return { batches, scanned };
  }

  /** The same from an engine that takes a round trip. */
  async #replaySlowly(from: number, scope: WatchScope, limit: number): Promise<{ batches: readonly FeedBatch[]; scanned: number }> {
    const batches: FeedBatch[] = [];
    let scanned = from;
    for await (const batch of this.#host.engine().changes(from, { limit })) {
      if (batch.revision > this.feed.visible) break;
      scanned = batch.revision;
      const events = batch.changes.filter(({ entry }) => isWithin(entry.key, scope)).map((change) => this.decode(change));
      if (events.length > 0) batches.push({ revision: batch.revision, events });
    }
    return { batches, scanned };
  }

  /** A change from the log as the ring holds it. What cannot be decoded is an event that carries the error: it harms who asks for it, and nobody else. */
  decode({ entry, previous }: Change): FeedEvent {
    return eventOf(this.#read(entry) as Version, previous && this.#read(previous));
  }

  /** What an event needs of a version; undefined when it is out of scope. */
  #read(entry: Entry, scope?: WatchScope): Version | undefined {
    const { key } = entry;
    if (scope !== undefined && !isWithin(key, scope)) return undefined;
    const { value, meta, revision } = entry;
    let uid = '';
    let object: object | undefined;
    let error: Error | undefined;
    try {
      if (value !== undefined) object = this.#host.codec.cached(this.#host.registry.found(key.type), entry);
    } catch (thrown) {
      uid = meta.uid;
      error = thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
    }
    return { key, revision, uid, verb: meta.verb, source: meta.source, bytes: value?.length ?? 0, object, error };
  }

  page(scope: WatchScope, position: PagePosition, see: SeeFound): Promise<Key | undefined> {
    const { type, namespace } = scope;
    if (type !== undefined || namespace === undefined) return this.#host.reader.page({ type, namespace }, position, see);
    // Without a type the engine pages through everything.
    return this.#host.reader.page({}, position, (key, object, source) => {
      if (key.namespace === namespace) see(key, object, source);
    });
  }

  compacted(): number {
    return this.#host.engine().revision().compacted;
  }

  every(ms: number, task: () => void): () => void {
    const { scheduler, random } = this.#host.deps;
    let timer = scheduler.after(ms, beat, { unref: true });
    function beat(): void {
      // A tenth of spread, so that a thousand idle watchers do not speak at once.
      timer = scheduler.after(ms * (0.95 + random.next() * 0.1), beat, { unref: true });
      task();
    }
    return () => timer.cancel();
  }

  ended(watcher: Watcher): void {
    this.#watchers.delete(watcher);
  }

  /** Ends every watch; those that iterate get the error. */
  close(error: Error = new StoreClosedError('the store was closed: the watch has ended')): void {
    this.#ended = error;
    for (const watcher of [...this.#watchers]) watcher.fail(error);
  }
}

/** A version as far as events are made of it. */
interface Version {
  readonly key: Key;
  readonly revision: number;
  /** Only with an error: stubs show it. */
  readonly uid: string;
  readonly verb: FeedEvent['verb'];
  readonly source: string | undefined;
  readonly bytes: number;
  /** undefined for a tombstone, and for what could not be decoded. */
  readonly object: object | undefined;
  readonly error: Error | undefined;
}

function eventOf(version: Version, before: Version | undefined): FeedEvent {
  const { key, verb, source, revision } = version;
  const bytes = version.bytes + 512;
  const failed = before?.error === undefined ? version : before;
  if (failed.error === undefined) {
    const object = (version.object ?? before?.object) as object;
    return { verb, key, object, previous: verb === 'update' ? before?.object : undefined, source, bytes };
  }
  const stub = Object.freeze({
    metadata: Object.freeze({ name: key.name, namespace: key.namespace, uid: failed.uid, resourceVersion: String(revision) }),
  });
  return { verb, key, object: stub, previous: undefined, source, bytes, error: failed.error };
}

function isWithin(key: Key, scope: WatchScope): boolean {
  return (scope.type === undefined || key.type === scope.type) && (scope.namespace === undefined || key.namespace === scope.namespace);
}
