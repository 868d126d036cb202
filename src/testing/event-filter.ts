/** Which of a store's events are meant. */
import type { AnyDefinition, CachedOf } from '../schemas/index.js';
import type { StoreCommit, StoreEvent } from './commit-log.js';

/** What events are asked for: all that is given must fit. */
export interface EventFilter<D extends AnyDefinition = AnyDefinition> {
  readonly type?: D | string | undefined;
  readonly verb?: StoreEvent['type'] | undefined;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly source?: string | undefined;
  /** Only what came after this revision. */
  readonly since?: string | undefined;
}

/** The events of commits that fit, oldest first. */
export function eventsIn<D extends AnyDefinition>(commits: readonly StoreCommit[], filter: EventFilter<D>): StoreEvent<CachedOf<D>>[] {
  const { verb, namespace, name, source } = filter;
  const type = typeof filter.type === 'object' ? filter.type.type : filter.type;
  const since = Number(filter.since ?? 0);
  const found: StoreEvent[] = [];
  for (const commit of commits) {
    if (commit.revision <= since) continue;
    for (const event of commit.events) {
      if (type !== undefined && event.resourceType !== type) continue;
      if (verb !== undefined && event.type !== verb) continue;
      if (namespace !== undefined && event.namespace !== namespace) continue;
      if (name !== undefined && event.name !== name) continue;
      if (source !== undefined && event.source !== source) continue;
      found.push(event);
    }
  }
  return found;
}
