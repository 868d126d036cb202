/**
 * What watches tell: events and batches in their public form, made once for all watchers that see the same.
 */
import type { Key } from '../engine.js';
import type { WatchBatch, WatchEvent } from '../types.js';
import type { FeedBatch, FeedEvent } from './feed.js';

type AnyEvent = WatchEvent<object>;
type Batch = WatchBatch<object>;

/** The resume token of the initial list: starting over is the only way not to lose the rest of it. */
export const INITIAL = 'initial';

export function typeOf(event: FeedEvent): 'CREATED' | 'UPDATED' | 'DELETED' {
  return event.verb === 'create' ? 'CREATED' : event.verb === 'update' ? 'UPDATED' : 'DELETED';
}

/** A batch as every watcher without a selector sees it. */
export function share(batch: FeedBatch): Batch {
  const resume = String(batch.revision);
  const { events } = batch;
  const only = events.length === 1 ? events[0] : undefined;
  if (only !== undefined) return Object.freeze(new SharedBatch(resume, Object.freeze([publicEvent(only, typeOf(only), resume, resume)])));
  const last = events.length - 1;
  const before = String(batch.revision - 1);
  const told = events.map((event, index) => publicEvent(event, typeOf(event), resume, index === last ? resume : before));
  return Object.freeze(new SharedBatch(resume, Object.freeze(told)));
}

/** A batch that keeps the promise by which its first event is handed out: a hundred watchers get the same one. */
class SharedBatch implements WatchBatch<object> {
  readonly resourceVersion: string;
  readonly resume: string;
  readonly events: readonly AnyEvent[];
  #first: Promise<IteratorResult<AnyEvent, undefined>> | undefined;

  constructor(resume: string, events: readonly AnyEvent[]) {
    this.resourceVersion = resume;
    this.resume = resume;
    this.events = events;
  }

  static eventResult(batch: Batch, index: number): Promise<IteratorResult<AnyEvent, undefined>> {
    if (index > 0 || !(#first in batch)) return Promise.resolve({ done: false, value: batch.events[index]! });
    return (batch.#first ??= Promise.resolve(Object.freeze({ done: false, value: batch.events[0]! })));
  }
}

/** What `next()` gives for an event of a batch. */
export const { eventResult } = SharedBatch;

/** An event as it is told. */
export function publicEvent(event: FeedEvent, type: AnyEvent['type'], resourceVersion: string, resume: string): AnyEvent {
  const { key, source, object } = event;
  const { type: resourceType, namespace, name } = key;
  if (event.error !== undefined) return unopenedEvent(event, { type, resourceVersion, resume });
  switch (type) {
    case 'CREATED':
      return Object.freeze(
        source === undefined
          ? { type, resourceType, namespace, name, resourceVersion, resume, resource: object }
          : { type, resourceType, namespace, name, resourceVersion, resume, source, resource: object },
      );
    case 'UPDATED': {
      const previous = event.previous ?? object;
      return Object.freeze(
        source === undefined
          ? { type, resourceType, namespace, name, resourceVersion, resume, resource: object, previous }
          : { type, resourceType, namespace, name, resourceVersion, resume, source, resource: object, previous },
      );
    }
    case 'DELETED': {
      // Under a selector the last state that matched is the one before this change.
      const resource = event.verb === 'delete' ? object : (event.previous ?? object);
      return Object.freeze(
        source === undefined
          ? { type, resourceType, namespace, name, resourceVersion, resume, resource }
          : { type, resourceType, namespace, name, resourceVersion, resume, source, resource },
      );
    }
    case 'BOOKMARK':
      return Object.freeze({ type, resourceType, resourceVersion, resume });
    default:
      throw new Error(`unknown event type ${String(type satisfies never)}`);
  }
}

/** A change of an object that cannot be opened. */
function unopenedEvent(
  { key: { type: resourceType, namespace, name }, source, object: resource, error }: FeedEvent,
  { type, resourceVersion, resume }: Pick<AnyEvent, 'type' | 'resourceVersion' | 'resume'>,
): AnyEvent {
  const told = { resourceType, namespace, name, resourceVersion, resume, resource, error, ...(source === undefined ? {} : { source }) };
  return Object.freeze(type === 'UPDATED' ? { type, ...told, previous: resource } : { type, ...told }) as AnyEvent;
}

/** An object that is there when a watch begins. */
export function initialEvent(
  { type: resourceType, namespace, name }: Key,
  resource: object,
  source: string | undefined,
  error: Error | undefined,
): AnyEvent {
  const { resourceVersion } = (resource as { readonly metadata: { readonly resourceVersion: string } }).metadata;
  const type = 'CREATED';
  if (error !== undefined) {
    const told = { type, resourceType, namespace, name, resourceVersion, resume: INITIAL, resource, initial: true, error } as const;
    return Object.freeze(source === undefined ? told : { ...told, source });
  }
  return Object.freeze(
    source === undefined
      ? { type, resourceType, namespace, name, resourceVersion, resume: INITIAL, resource, initial: true }
      : { type, resourceType, namespace, name, resourceVersion, resume: INITIAL, resource, initial: true, source },
  );
}
