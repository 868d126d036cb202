/**
 * Between what is planned and what an engine and the feed see of it.
 */
import type { CommitRequest, CommitResult, Key, Precondition, RevisionRef, Verb } from '../engine.js';
import type { Form } from '../form.js';
import type { FeedEvent } from '../watch/feed.js';
import type { QueueLimits, Sent } from './operation.js';
import type { Planned, PlannedExpect, PlannedWrite } from './states.js';

/** A write that was committed, as the feed tells it; its objects are decoded when a watcher comes to them. */
export class CommittedEvent implements FeedEvent {
  readonly verb: Verb;
  readonly key: Key;
  readonly source: string | undefined;
  readonly bytes: number;
  readonly #form: Form;
  readonly #previous: Form | undefined;

  constructor({ write, form, previous }: PlannedWrite) {
    this.verb = write.meta.verb;
    this.key = write.key;
    this.source = write.meta.source;
    this.bytes = (write.value?.length ?? 0) + 512;
    this.#form = (form ?? previous)!;
    this.#previous = this.verb === 'update' ? previous : undefined;
  }

  get object(): object {
    return this.#form.object;
  }

  get error(): Error | undefined {
    return this.#form.error;
  }

  get previous(): object | undefined {
    return this.#previous?.object;
  }
}

/** Whether all of it can be told. What was planned while nobody watched is not: whoever came since reads it in the log. */
export function canTell(writes: readonly PlannedWrite[]): boolean {
  return writes.every(({ write, previous }) => previous !== undefined || write.meta.verb === 'create');
}

/** What goes to the engine at once. */
export interface Batch {
  readonly batch: readonly Sent[];
  readonly requests: readonly CommitRequest[];
  /** How many were looked at, those that were dropped included. */
  readonly taken: number;
}

/**
 * What fits from the front, with everything it rests on resolved to revisions or to places in this batch. `drop` is given
 * what rests on something that failed, and settles it at once: what comes behind may rest on that in turn.
 */
export function takeBatch(pending: readonly Sent[], limits: QueueLimits, drop: (sent: Sent) => void): Batch {
  const batch: Sent[] = [];
  const requests: CommitRequest[] = [];
  let bytes = 0;
  let taken = 0;
  for (const sent of pending) {
    const { planned } = sent;
    if (batch.length >= limits.batch || (batch.length > 0 && bytes + planned.bytes > limits.batchBytes)) break;
    taken += 1;
    const expect = preconditions(planned.expect);
    if (expect === undefined) {
      drop(sent);
      continue;
    }
    planned.place = batch.length;
    bytes += planned.bytes;
    batch.push(sent);
    requests.push({ id: planned.id, writes: planned.writes.map(({ write }) => write), expect });
  }
  return { batch, requests, taken };
}

/** What must hold at commit, as revisions or as places in the same batch; undefined: something it rests on has failed. */
function preconditions(expect: readonly PlannedExpect[]): Precondition[] | undefined {
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

/** Whether a batch was refused as a whole: what it was planned from is no longer so. */
export function isUnfounded([first]: readonly CommitResult[]): boolean {
  return first?.ok === false && 'failed' in first && 'meta' in first.failed;
}
