/**
 * What other processes committed, taken into what this one knows: the states it plans on, and the ring that its watchers read.
 *
 * Invariant: no commit of our own is under way meanwhile, so that revisions enter in their order.
 */
import { StoreFailedError } from '../../schemas/index.js';
import { Form } from '../form.js';
import { keyId } from '../keys.js';
import type { QueueHost } from './operation.js';
import type { Stored } from './rules.js';

export type ForeignHost = Pick<QueueHost, 'feed' | 'states' | 'foreign' | 'applied' | 'followed'>;

/** Brings in what others committed up to `until`; nobody is woken before the feed is told to announce it. */
export async function takeIn(host: ForeignHost, until: number): Promise<void> {
  const { feed, states } = host;
  while (feed.visible < until) {
    const before = feed.visible;
    for (const { batch, versions } of await host.foreign(before, until)) {
      batch.events.forEach((event, index) => {
        const id = keyId(event.key);
        const form = event.verb === 'delete' ? undefined : new Form(event.object as Stored);
        if (event.error === undefined) states.foreign(event.key, id, form, batch.revision, versions[index]!);
        else states.forget(id);
        host.applied(event.key, form);
      });
      if (host.followed()) feed.append(batch);
      else feed.reset(batch.revision);
    }
    if (feed.visible === before)
      throw new StoreFailedError(`the log has a hole after revision ${before}: verify the store`, { inDoubt: false });
  }
}
