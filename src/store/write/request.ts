/**
 * Between what is planned and what an engine and the feed see of it.
 */
import type { Precondition, RevisionRef, Write } from '../engine.js';
import type { FeedEvent } from '../watch/feed.js';
import type { Planned, PlannedExpect } from './states.js';

/** What the feed tells of a write that was committed. */
export function feedEvent(write: Write, cached: object | undefined, previous: object | undefined): FeedEvent {
  return {
    verb: write.meta.verb,
    key: write.key,
    object: (cached ?? previous)!,
    previous: write.meta.verb === 'update' ? previous : undefined,
    source: write.meta.source,
    bytes: (write.value?.length ?? 0) + 512,
  };
}

/** What must hold at commit, as revisions or as places in the same batch; undefined: something it rests on has failed. */
export function preconditions(expect: readonly PlannedExpect[]): Precondition[] | undefined {
  const resolved: Precondition[] = [];
  for (const each of expect) {
    if ('key' in each) {
      const { origin } = each;
      if (typeof origin !== 'object') {
        resolved.push({ key: each.key, revision: origin });
        continue;
      }
      if (origin.state === 'failed') return undefined;
      const removed = origin.writes.some(
        ({ write }) =>
          write.value === undefined &&
          write.key.name === each.key.name &&
          write.key.namespace === each.key.namespace &&
          write.key.type === each.key.type,
      );
      resolved.push({ key: each.key, revision: removed ? 'absent' : revisionOf(origin) });
    } else {
      const { since } = each;
      if (typeof since === 'object' && since.state === 'failed') return undefined;
      resolved.push({ prefix: each.prefix, unchangedSince: typeof since === 'object' ? revisionOf(since) : since });
    }
  }
  return resolved;
}

function revisionOf(planned: Planned): RevisionRef {
  return planned.state === 'committed' ? planned.revision : { request: planned.place };
}
