/**
 * What clients that are killed say to who counts on them: a line for each call, before it is made, for each answer, and
 * for each event of a watch.
 */
import type { Store, Watch } from '../../../src/store/index.js';
import { Widget } from '../../../src/testing/conformance/store-widget.js';
import type { Outcome } from '../../store/history-checks.js';
import type { Operation } from '../../store/linearizability.js';
import type { Run } from '../../store/random-transactions.js';
import type { Event, Told } from '../../store/watch-validators.js';

export const CLIENTS = 8;
export const KEYS: readonly string[] = Array.from({ length: 10 }, (_, index) => `${index % 2 === 0 ? 'prod' : 'dev'}/k${index >> 1}`);

/** What the watchers of each life ask for, by name; each goes on where the one of the life before it was. */
export const WATCHERS: Readonly<Record<string, { readonly namespace?: string; readonly labelSelector?: string; readonly initial?: true }>> =
  {
    everything: {},
    'a label': { labelSelector: 'l=l1' },
    'two labels of a namespace': { namespace: 'prod', labelSelector: 'l in (l0, l2)' },
    'a namespace, initial': { namespace: 'dev', initial: true },
  };

/** A watch of a name: from its beginning, or from where another one was. */
export function watchAs(store: Store, name: string, since: string | undefined): Watch<Told> {
  const { namespace, labelSelector, initial } = WATCHERS[name]!;
  const from = since !== undefined ? { since } : initial === true ? { initial } : { since: '0' };
  return store.watch(Widget, namespace, { labelSelector, bookmarks: true, ...from });
}

/** What the child says. Of several keys, the values and reads are in their order; `ABSENT` for nothing. */
export type Line =
  | {
      readonly is: 'call';
      readonly id: number;
      readonly client: number;
      readonly kind: Operation['kind'] | 'transaction' | 'list';
      readonly keys: readonly string[];
      readonly values?: readonly number[];
      /** What a compare-and-swap rests on. */
      readonly reads?: readonly number[];
    }
  /** The last run of a transaction: what it has seen, and what it writes. */
  | { readonly is: 'plan'; readonly id: number; readonly run: Run }
  | {
      readonly is: 'answer';
      readonly id: number;
      readonly outcome: Outcome;
      readonly reads?: readonly number[];
      readonly revision?: number;
    }
  | { readonly is: 'event'; readonly watcher: string; readonly event: Event };
