/**
 * All watches of a store: opens them, feeds those that are behind from the log, ends them with the store.
 */
import { BadRequestError, StoreClosedError } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import type { Change, Engine, Entry, Key } from '../engine.js';
import { stubOf, unopened } from '../form.js';
import { parseRevision, scopeNamespace } from '../keys.js';
import type { ObjectCodec } from '../object-codec.js';
import type { Place } from '../read/ledger.js';
import { placeOf } from '../read/places.js';
import type { Reader } from '../read/reader.js';
import { parseSelectors } from '../read/reader.js';
import type { TypeRegistry } from '../registry.js';
import { EngineGone } from '../steady-engine.js';
import type { WatchOptions } from '../types.js';
import { checkOptions } from '../verb-options.js';
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
    checkOptions('watch', options);
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
    const read: { readonly revision: number; readonly changes: ReadChange[] }[] = [];
    let scanned = from;
    for (const { revision, changes } of found) {
      if (revision > visible) break;
      scanned = revision;
      const within: ReadChange[] = [];
      for (const { entry, previous } of changes) if (entry !== undefined) within.push({ entry, previous });
      if (within.length > 0) read.push({ revision, changes: within });
    }
    const checking = this.#check(read.flatMap(({ changes }) => changes));
    if (checking !== undefined) await checking;
    await this.#host.deps.scheduler.turn();
    return { batches: read.map(({ revision, changes }) => ({ revision, events: changes.map(eventOf) })), scanned };
  }

  /** The same from an engine that takes a round trip. */
  async #replaySlowly(from: number, scope: WatchScope, limit: number): Promise<{ batches: readonly FeedBatch[]; scanned: number }> {
    const batches: FeedBatch[] = [];
    let scanned = from;
    for await (const batch of this.#host.engine().changes(from, { limit })) {
      if (batch.revision > this.feed.visible) break;
      scanned = batch.revision;
      const events = await this.decode(batch.changes.filter(({ entry }) => isWithin(entry.key, scope)));
      if (events.length > 0) batches.push({ revision: batch.revision, events });
    }
    return { batches, scanned };
  }

  /** Changes from the log as the ring holds them. What cannot be opened is an event that carries the error: it harms nobody else. */
  decode(changes: readonly Change[]): FeedEvent[] | Promise<FeedEvent[]> {
    const read = changes.map(({ entry, previous }) => ({ entry: this.#read(entry)!, previous: previous && this.#read(previous) }));
    const checking = this.#check(read);
    return checking === undefined ? read.map(eventOf) : checking.then(() => read.map(eventOf));
  }

  /** What an event needs of a version; undefined when it is out of scope. */
  #read(entry: Entry, scope?: WatchScope): Version | undefined {
    const { key } = entry;
    if (scope !== undefined && !isWithin(key, scope)) return undefined;
    const { value, meta, revision } = entry;
    const info = this.#host.registry.found(key.type);
    let stub: object | undefined;
    let object: object | undefined;
    let error: Error | undefined;
    let place: Place | undefined;
    if (info.sensitivePaths.length > 0) {
      place = placeOf(entry);
      stub = stubOf(entry);
    }
    try {
      if (value !== undefined) object = this.#host.codec.cached(info, entry);
    } catch (thrown) {
      error = unopened(thrown);
      stub ??= stubOf(entry);
    }
    return { key, revision, verb: meta.verb, source: meta.source, bytes: value?.length ?? 0, place, object, stub, error };
  }

  /** Holds versions of types with secrets against the log; undefined when there is none among them. */
  #check(changes: readonly ReadChange[]): Promise<void> | undefined {
    const sealed = changes.filter(({ entry }) => entry.place !== undefined);
    return sealed.length === 0 ? undefined : this.#checkSealed(sealed);
  }

  async #checkSealed(changes: readonly ReadChange[]): Promise<void> {
    const faults = await this.#host.reader.places.logged(
      changes.map(({ entry, previous }) => ({ place: entry.place!, previous: previous?.place })),
    );
    for (const [index, { entry, previous }] of changes.entries()) {
      entry.error ??= faults[index]!.fault;
      if (previous !== undefined) previous.error ??= faults[index]!.previousFault;
    }
  }

  page(scope: WatchScope, position: PagePosition, see: SeeFound): Promise<Key | undefined> {
    const { type, namespace } = scope;
    if (type !== undefined || namespace === undefined) return this.#host.reader.page({ type, namespace }, position, see);
    // Without a type the engine pages through everything.
    return this.#host.reader.page({}, position, (key, object, source, error) => {
      if (key.namespace === namespace) see(key, object, source, error);
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
  readonly verb: FeedEvent['verb'];
  readonly source: string | undefined;
  readonly bytes: number;
  /** Only of types that hold secrets. */
  readonly place: Place | undefined;
  /** undefined for a tombstone, and for what could not be decoded. */
  readonly object: object | undefined;
  /** What stands for the object where there may be an error. */
  readonly stub: object | undefined;
  error: Error | undefined;
}

interface ReadChange {
  readonly entry: Version;
  /** undefined for a create. */
  readonly previous: Version | undefined;
}

function eventOf({ entry, previous }: ReadChange): FeedEvent {
  const { key, verb, source } = entry;
  const bytes = entry.bytes + 512;
  // A deletion shows the last state.
  const shown = verb === 'delete' ? previous : entry;
  const error = entry.error ?? shown?.error;
  if (error !== undefined) {
    const stub = (shown?.stub ?? entry.stub) as object;
    return { verb, key, object: stub, previous: undefined, source, bytes, error };
  }
  const before = verb === 'update' && previous?.error === undefined ? previous?.object : undefined;
  return { verb, key, object: shown?.object as object, previous: before, source, bytes };
}

function isWithin(key: Key, scope: WatchScope): boolean {
  return (scope.type === undefined || key.type === scope.type) && (scope.namespace === undefined || key.namespace === scope.namespace);
}
