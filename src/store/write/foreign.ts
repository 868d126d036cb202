/**
 * What other processes committed, taken into what this one knows: the states it plans on, and the ring that its watchers read.
 *
 * Invariants: no commit of our own is under way meanwhile, so that revisions enter in their order. What was compacted before
 * this process came to see it is jumped over: nothing that it knew is trusted any more, and whoever watches is told so.
 */
import { StoreFailedError, isExpired } from '../../schemas/index.js';
import { Form } from '../form.js';
import { keyId } from '../keys.js';
import type { QueueHost } from './operation.js';
import type { Stored } from './rules.js';

export type ForeignHost = Pick<QueueHost, 'feed' | 'states' | 'foreign' | 'relearn' | 'applied' | 'followed'>;

/** Brings in what others committed up to `until`; nobody is woken before the feed is told to announce it. */
export async function takeIn(host: ForeignHost, until: number): Promise<void> {
  const { feed, states } = host;
  while (feed.visible < until) {
    const before = feed.visible;
    const found = await seen(host, until);
    if (found === 'gone') {
      await host.relearn();
      states.jump(until);
      feed.reset(until);
      return;
    }
    for (const { batch, versions } of found) {
      batch.events.forEach((event, index) => {
        const id = keyId(event.key);
        const form = event.verb === 'delete' ? undefined : new Form(event.object as Stored);
        if (event.error === undefined) states.foreign(event.key, id, form, batch.revision, versions[index]!);
        else states.forget(event.key, id, batch.revision);
        host.applied(event.key, form);
      });
      if (host.followed()) feed.append(batch);
      else feed.reset(batch.revision);
    }
    if (feed.visible === before)
      throw new StoreFailedError(`the log has a hole after revision ${before}: verify the store`, { inDoubt: false });
  }
}

/** What comes next, as far as it is still there. */
async function seen(host: ForeignHost, until: number): Promise<Awaited<ReturnType<ForeignHost['foreign']>> | 'gone'> {
  try {
    return await host.foreign(host.feed.visible, until);
  } catch (error) {
    if (isExpired(error)) return 'gone';
    throw error;
  }
}
