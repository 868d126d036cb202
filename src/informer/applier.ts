/**
 * Turns what a watch says into changes of a cache, and tells what really changed.
 *
 * Invariants: the cache decides, not the event: what it already shows (or newer) is no change, so nothing is told twice,
 * whatever overlaps. Another uid under the same key is a delete of the old object and an add of the new one. When this
 * returns, cache and indexes show all of it; only then may handlers hear. What cannot be opened is not gone: what was cached
 * of it stays, and nothing else takes its place.
 */
import { freezeJson, InvalidError } from '../schemas/index.js';
import type { WatchEvent } from '../store/index.js';
import type { Slot } from './buckets.js';
import type { ObjectCache } from './cache.js';
import { seenDeletion, unseenDeletion, type Change, type Deletion } from './change.js';
import { isLater } from './revision.js';
import type { Cacheable } from './types.js';

type ObjectEvent<S> = Exclude<WatchEvent<S>, { readonly type: 'BOOKMARK' }>;

export interface ApplierOptions<S, T extends Cacheable> {
  readonly cache: ObjectCache<T>;
  /** What is kept of each object; undefined: the object itself. */
  readonly transform: ((object: S) => T) | undefined;
  readonly onTransformError: (error: unknown, namespace: string, name: string) => void;
  /** An object is there and cannot be opened. */
  readonly onUnopened: (error: Error, namespace: string, name: string) => void;
}

export class Applier<S extends Cacheable, T extends Cacheable> {
  readonly #options: ApplierOptions<S, T>;
  readonly #cache: ObjectCache<T>;

  constructor(options: ApplierOptions<S, T>) {
    this.#options = options;
    this.#cache = options.cache;
  }

  /** Events in order, as changes. `initial` marks what was there at the start. */
  apply(events: readonly ObjectEvent<S>[], initial: boolean): Change<T>[] {
    const changes: Change<T>[] = [];
    for (const event of events) {
      if (event.type === 'DELETED') this.#gone(event, changes);
      else this.#take(event, initial, false, changes);
    }
    return changes;
  }

  /** All that exists, as the differences from what is cached; deletes come first. */
  replace(events: readonly ObjectEvent<S>[], initial: boolean): Change<T>[] {
    const changes: Change<T>[] = [];
    const listed = new Set<Slot<T>>();
    for (const event of events) {
      const slot = this.#cache.slot(event.namespace, event.name);
      if (slot !== undefined) listed.add(slot);
    }
    const gone: Slot<T>[] = [];
    this.#cache.each((slot) => {
      if (!listed.has(slot)) gone.push(slot);
    });
    for (const slot of gone) this.#remove(slot, slot.object, unseenDeletion, changes);
    for (const event of events) this.#take(event, initial, true, changes);
    return changes;
  }

  #take(event: ObjectEvent<S>, initial: boolean, unseen: boolean, changes: Change<T>[]): void {
    const { namespace, name, resource, error } = event;
    if (error === undefined) {
      this.#put(namespace, resource, initial, unseen, changes);
      return;
    }
    this.#options.onUnopened(error, namespace, name);
    const slot = this.#cache.slot(namespace, name);
    // Another object has its name by now, whatever that may be.
    if (slot !== undefined && slot.object.metadata.uid !== resource.metadata.uid) this.#remove(slot, slot.object, unseenDeletion, changes);
  }

  #put(namespace: string, resource: S, initial: boolean, unseen: boolean, changes: Change<T>[]): void {
    // Not the event's own copy of the name: the cache holds on to what it is given, and this one is there anyway.
    const { name } = resource.metadata;
    const slot = this.#cache.slot(namespace, name);
    const known = slot?.object;
    // Whatever its uid: revisions are the store's, so an older one here is of an earlier life of this key.
    if (known !== undefined && !isLater(resource.metadata.resourceVersion, known.metadata.resourceVersion)) return;
    const object = this.#keep(resource, namespace, name);
    if (object === undefined) {
      // What cannot be kept must not stand for what it was before.
      if (slot !== undefined) this.#remove(slot, slot.object, unseenDeletion, changes);
    } else if (slot === undefined || known === undefined) {
      this.#cache.add(namespace, name, object);
      changes.push({ type: 'add', object, initial });
    } else if (known.metadata.uid === resource.metadata.uid) {
      this.#cache.update(slot, object);
      changes.push({ type: 'update', object, previous: known });
    } else {
      this.#cache.update(slot, object);
      const deletion = unseen ? unseenDeletion : seenDeletion(false, undefined);
      changes.push({ type: 'delete', object: known, deletion });
      changes.push({ type: 'add', object, initial });
    }
  }

  #gone(event: ObjectEvent<S>, changes: Change<T>[]): void {
    const slot = this.#cache.slot(event.namespace, event.name);
    // Not there, or there is a newer one: this delete was told before.
    if (slot === undefined || isLater(slot.object.metadata.resourceVersion, event.resourceVersion)) return;
    const last = event.error === undefined ? this.#keep(event.resource, event.namespace, event.name) : undefined;
    const { resourceVersion } = event;
    this.#remove(slot, last ?? slot.object, seenDeletion(event.error !== undefined, resourceVersion), changes);
  }

  #remove(slot: Slot<T>, last: T, deletion: Deletion, changes: Change<T>[]): void {
    const { namespace, name } = slot.object.metadata;
    this.#cache.remove(namespace ?? '', name, slot);
    changes.push({ type: 'delete', object: last, deletion });
  }

  #keep(resource: S, namespace: string, name: string): T | undefined {
    const { transform, onTransformError } = this.#options;
    // Without a transform what is kept is what came: S and T are one type then.
    if (transform === undefined) return resource as unknown as T;
    try {
      return identified(freezeJson(transform(resource)), resource) as T;
    } catch (error) {
      onTransformError(error, namespace, name);
      return undefined;
    }
  }
}

/** What a transform gave, if it still says which object it is and which version of it: the cache lives by that. */
function identified(kept: unknown, { metadata }: Cacheable): unknown {
  const own = (kept as Partial<Cacheable> | null | undefined)?.metadata;
  if (
    own?.uid === metadata.uid &&
    own.resourceVersion === metadata.resourceVersion &&
    own.name === metadata.name &&
    own.namespace === metadata.namespace
  ) {
    return kept;
  }
  throw new InvalidError('a transform must give an object that keeps metadata, with its uid, resourceVersion, name and namespace');
}
