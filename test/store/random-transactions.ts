/**
 * Random transactions on a few widgets: what they look at (objects, a namespace, everything, what has a label), what they write,
 * and what the run that counts was told.
 *
 * Some read two keys and write both; some look at a few places and write another key without having read it, so that nothing
 * but the reads can tell two of them apart (write skew, phantoms); some only look.
 */
import { isNotFound } from '../../src/schemas/index.js';
import type { StoreVerbs } from '../../src/store/index.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import type { SeededRandom } from '../../src/testing/index.js';
import { ABSENT } from './linearizability.js';

/** Where a transaction looks: one object by `key`, or a list. */
export type Place =
  | { readonly key: string }
  | { readonly key?: undefined; readonly namespace?: string | undefined; readonly labelSelector?: string | undefined };

/** What was seen at a place: value by key, without what is absent. */
export interface View {
  readonly place: Place;
  /** Looked at behind the transaction's own writes. */
  readonly behind: boolean;
  readonly items: readonly (readonly [key: string, value: number])[];
}

/** What a run was told, and what it writes. */
export interface Run {
  readonly views: readonly View[];
  /** `expected` is what the run had read of the key; undefined when it wrote without a look. `ABSENT` for nothing. */
  readonly writes: readonly { readonly key: string; readonly expected?: number | undefined; readonly value: number }[];
}

export interface TransactionPlan {
  readonly places: readonly Place[];
  readonly writes: readonly { readonly key: string; readonly value: number }[];
  /** Whether it looks again behind its own writes. */
  readonly again: boolean;
}

/** The body of a widget that holds a value. */
export const holding = (value: number): { metadata: { labels: Record<string, string> }; spec: { size: number } } => ({
  metadata: { labels: { l: `l${value % 3}` } },
  spec: { size: value },
});

export const placeOf = (key: string): [namespace: string, name: string] => key.split('/') as [string, string];

/** What a transaction is going to do; `newValue` gives values that nobody has written. */
export function planTransaction(random: SeededRandom, keys: readonly string[], newValue: () => number): TransactionPlan {
  const anyKey = (): string => keys[random.below(keys.length)]!;
  const dice = random.below(100);
  const again = random.below(4) === 0;
  if (dice < 35) {
    const both = [...new Set([anyKey(), anyKey()])];
    const removes = random.below(4) === 0;
    return {
      places: both.map((key) => ({ key })),
      writes: both.map((key, index) => ({ key, value: removes && index === 0 ? ABSENT : newValue() })),
      again,
    };
  }
  const places = Array.from({ length: 1 + random.below(3) }, (): Place => {
    const which = random.below(10);
    if (which < 5) return { key: anyKey() };
    const namespace = which < 9 ? placeOf(anyKey())[0] : undefined;
    return { namespace, ...(random.below(3) === 0 ? { labelSelector: `l=l${random.below(3)}` } : {}) };
  });
  return { places, writes: dice < 80 ? [{ key: anyKey(), value: newValue() }] : [], again };
}

/** Runs a plan; `pause` is waited for between any two of its looks. */
export async function runTransaction(tx: StoreVerbs, plan: TransactionPlan, pause?: () => Promise<void>): Promise<Run> {
  const views: View[] = [];
  const lookAround = async (behind: boolean): Promise<void> => {
    for (const place of plan.places) {
      views.push({ place, behind, items: await look(tx, place) });
      await pause?.();
    }
  };
  await lookAround(false);
  const writes: Run['writes'][number][] = [];
  for (const { key, value } of plan.writes) {
    const seen = views.find(({ place }) => place.key === key);
    const expected = seen === undefined ? undefined : (seen.items[0]?.[1] ?? ABSENT);
    writes.push({ key, expected, value });
    if (value === ABSENT) {
      if (expected !== ABSENT) await tx.delete(Widget, ...placeOf(key));
    } else if (expected === undefined) await tx.apply(Widget, ...placeOf(key), holding(value));
    else if (expected === ABSENT) await tx.create(Widget, ...placeOf(key), holding(value));
    else await tx.update(Widget, ...placeOf(key), holding(value));
  }
  if (plan.again) await lookAround(true);
  return { views, writes };
}

/** What a run changes when it is committed: value by key, `ABSENT` for a removal. */
export const changesOf = ({ writes }: Run): Map<string, number> =>
  new Map(writes.filter(({ expected, value }) => value !== ABSENT || expected !== ABSENT).map(({ key, value }) => [key, value] as const));

async function look(tx: StoreVerbs, place: Place): Promise<View['items']> {
  if (place.key === undefined) {
    const { namespace, labelSelector } = place;
    const { items } = await tx.list(Widget, namespace, { labelSelector });
    return items.map(({ metadata, spec }) => [`${metadata.namespace}/${metadata.name}`, spec.size]);
  }
  try {
    return [[place.key, (await tx.get(Widget, ...placeOf(place.key))).spec.size]];
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}
