/**
 * What watches tell: events and batches in their public form, made once for all watchers that see the same.
 */
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
  const last = batch.events.length - 1;
  const before = last === 0 ? resume : String(batch.revision - 1);
  const events = batch.events.map((event, index) => publicEvent(event, typeOf(event), resume, index === last ? resume : before));
  return Object.freeze(new SharedBatch(resume, Object.freeze(events)));
}

/** A batch that keeps the promises by which it is handed out: a hundred watchers get the same ones. */
class SharedBatch implements WatchBatch<object> {
  readonly resourceVersion: string;
  readonly resume: string;
  readonly events: readonly AnyEvent[];
  readonly #results: Promise<IteratorResult<AnyEvent, undefined>>[] = [];
  #whole: Promise<IteratorResult<Batch, undefined>> | undefined;

  constructor(resume: string, events: readonly AnyEvent[]) {
    this.resourceVersion = resume;
    this.resume = resume;
    this.events = events;
  }

  static eventResult(batch: Batch, index: number): Promise<IteratorResult<AnyEvent, undefined>> {
    if (!(#results in batch)) return Promise.resolve({ done: false, value: batch.events[index]! });
    return (batch.#results[index] ??= Promise.resolve(Object.freeze({ done: false, value: batch.events[index]! })));
  }

  static batchResult(batch: Batch): Promise<IteratorResult<Batch, undefined>> {
    if (!(#whole in batch)) return Promise.resolve({ done: false, value: batch });
    return (batch.#whole ??= Promise.resolve(Object.freeze({ done: false, value: batch })));
  }
}

/** What `next()` gives for an event of a batch. */
export const { eventResult, batchResult } = SharedBatch;

/** An event as it is told. */
export function publicEvent(event: FeedEvent, type: AnyEvent['type'], resourceVersion: string, resume: string): AnyEvent {
  const { key, source, object } = event;
  const { type: resourceType, namespace, name } = key;
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

/** An object that is there when a watch begins. */
export function initialEvent(event: FeedEvent): AnyEvent {
  const { key, source, object } = event;
  const resourceVersion = (object as { metadata: { resourceVersion: string } }).metadata.resourceVersion;
  return Object.freeze({
    type: 'CREATED',
    resourceType: key.type,
    namespace: key.namespace,
    name: key.name,
    resourceVersion,
    resume: INITIAL,
    resource: object,
    initial: true,
    ...(source === undefined ? undefined : { source }),
  });
}
