/**
 * What the cases of the store suite share: filling a store, reading a watch, short texts of what was found.
 */
import type { Store, WatchEvent } from '../../store/index.js';
import { Widget } from './store-widget.js';

/** Runs one case on a fresh store. */
export type Case = (body: (store: Store) => Promise<void>) => () => Promise<void>;

/** Objects as `namespace/name`. */
export const names = (items: readonly { readonly metadata: { readonly namespace?: string; readonly name: string } }[]): string[] =>
  items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);

/** `count` widgets `w0000`, `w0001`, ...: every other one is even, there are three groups, and four nodes. */
export async function fill(store: Store, count: number, namespace = 'prod'): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, index) =>
      store.create(Widget, namespace, `w${String(index).padStart(4, '0')}`, {
        metadata: { labels: { even: String(index % 2 === 0), group: `g${index % 3}` } },
        spec: { size: index, node: `n${index % 4}` },
      }),
    ),
  );
}

/** Reads `count` events. */
export async function take<T>(watch: AsyncIterator<WatchEvent<T>>, count: number): Promise<WatchEvent<T>[]> {
  const events: WatchEvent<T>[] = [];
  while (events.length < count) {
    const next = await watch.next();
    if (next.done === true) break;
    events.push(next.value);
  }
  return events;
}

/** `UPDATED a@7`. */
export const brief = (event: WatchEvent<unknown>): string =>
  event.type === 'BOOKMARK' ? `BOOKMARK@${event.resourceVersion}` : `${event.type} ${event.name}@${event.resourceVersion}`;

/** All that a watch of everything tells from `since` up to the present. */
export async function told(store: Store, since: string): Promise<string[]> {
  const watch = store.watch('*', undefined, { since });
  const events: string[] = [];
  // The last event of the present revision is not known as such: what follows it is.
  const { metadata } = await store.create('told', 'told', undefined, { metadata: { generateName: 'end-' } });
  for (;;) {
    const event = (await watch.next()).value as WatchEvent<{ readonly metadata: { readonly uid: string } }>;
    if (event.type !== 'BOOKMARK' && event.resource.metadata.uid === metadata.uid) break;
    events.push(brief(event));
  }
  await watch.close();
  return events;
}
