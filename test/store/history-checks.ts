/**
 * What a random history is held against: an order for every key, the log as it was read back, and each stream's promises.
 */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { parseLabelSelector } from '../../src/schemas/index.js';
import type { Store, Watch } from '../../src/store/index.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import { ABSENT, describeViolation, findViolation } from './linearizability.js';
import type { Operation } from './linearizability.js';
import type { Place, View } from './random-transactions.js';
import { complete, previousValue, validate } from './watch-validators.js';
import type { Change, Event, Stream, Told } from './watch-validators.js';

/** `unknown`: it may have happened. `refused`: it has not, for certain. */
export type Outcome = 'ok' | 'exists' | 'missing' | 'conflict' | 'unknown' | 'refused';

/** A write as its client knows it: what it wrote to which keys, and whether that happened. */
export interface Written {
  readonly id: number;
  readonly called: number;
  returned: number;
  outcome: Outcome;
  revision: number | undefined;
  /** Value by key; `ABSENT` for a removal. */
  values: ReadonlyMap<string, number>;
  /** What a transaction has looked at, in the run that counts. */
  views?: readonly View[];
}

/** What one list showed. */
export interface Listed {
  readonly namespace: string | undefined;
  readonly resourceVersion: number;
  readonly items: readonly (readonly [string, number])[];
}

/** All that clients and watchers were told. */
export interface Recorded {
  readonly operations: readonly Operation[];
  readonly writes: readonly Written[];
  readonly lists: readonly Listed[];
  /** The first five went on to the end of the log. */
  readonly streams: readonly Stream[];
}

/** Holds everything that was told against itself and against the whole log of the store. */
export async function checkHistory(record: Recorded, options: { readonly store: Store; readonly seed: number }): Promise<void> {
  const violation = findViolation(record.operations);
  if (violation !== undefined) assert.fail(`seed ${options.seed}: ${describeViolation(violation)}`);
  const log = await readLog(options.store);
  previousValue(log);
  checkWrites(record, log);
  const states = statesOf(log);
  checkLists(record, states);
  checkTransactions(record, log, states);
  for (const stream of record.streams) validate(stream, log);
  for (const stream of record.streams.slice(0, 5)) complete(stream, log);
}

/** What was acknowledged is in the log once, what was refused is not, and revisions keep to real time. */
function checkWrites({ writes }: Recorded, log: readonly Change[]): void {
  const bySource = new Map<string, Change[]>();
  for (const event of log) {
    const source = event.source ?? assert.fail(`an event without a source: ${event.name}@${event.resourceVersion}`);
    bySource.set(source, [...(bySource.get(source) ?? []), event]);
  }
  const known = new Set(writes.map(({ id }) => `w${id}`));
  for (const source of bySource.keys()) assert.ok(known.has(source), `the log tells of ${source}, which nobody wrote`);
  const settled: { called: number; returned: number; revision: number }[] = [];
  for (const write of writes) {
    const events = bySource.get(`w${write.id}`) ?? [];
    const revisions = new Set(events.map(({ resourceVersion }) => Number(resourceVersion)));
    assert.ok(revisions.size <= 1, `w${write.id} happened ${revisions.size} times`);
    const [revision] = revisions;
    if (write.outcome === 'unknown' && revision === undefined) continue;
    if (write.outcome !== 'ok' && write.outcome !== 'unknown') {
      assert.equal(revision, undefined, `w${write.id} was told ${write.outcome}, and happened`);
      continue;
    }
    const values = events.map(
      (event) => [`${event.namespace}/${event.name}`, event.type === 'DELETED' ? ABSENT : event.resource.spec.size] as const,
    );
    assert.deepEqual(new Map(values), write.values, `w${write.id} happened whole`);
    if (revision === undefined) continue;
    if (write.revision !== undefined) assert.equal(revision, write.revision, `the revision that w${write.id} was told`);
    settled.push({ called: write.called, returned: write.returned, revision });
  }
  // In the order of revisions, nothing was called after something later had returned.
  settled.sort((a, b) => b.revision - a.revision);
  let earliest = Infinity;
  for (const { called, returned, revision } of settled) {
    assert.ok(called < earliest, `revision ${revision} was asked for after a later one was told`);
    earliest = Math.min(earliest, returned);
  }
}

/** The objects that were there at each revision, from 0 on, by key. */
type State = ReadonlyMap<string, Told>;

function statesOf(log: readonly Change[]): State[] {
  const states: Map<string, Told>[] = [new Map()];
  for (const event of log) {
    const revision = Number(event.resourceVersion);
    while (states.length <= revision) states.push(new Map(states.at(-1)));
    const key = `${event.namespace}/${event.name}`;
    if (event.type === 'DELETED') states[revision]!.delete(key);
    else states[revision]!.set(key, event.resource);
  }
  return states;
}

/** What is there to see at a place. Labels are the log's own: they do not follow from values, for `apply` leaves those that others have set. */
function shownAt(state: State, place: Place): (readonly [string, number])[] {
  const selector = place.key === undefined && place.labelSelector !== undefined ? parseLabelSelector(place.labelSelector) : undefined;
  const isShown = ([key, { metadata }]: readonly [string, Told]): boolean =>
    place.key !== undefined
      ? key === place.key
      : (place.namespace === undefined || metadata.namespace === place.namespace) && (selector?.matches(metadata.labels) ?? true);
  return [...state]
    .filter(isShown)
    .map(([key, { spec }]) => [key, spec.size] as const)
    .toSorted(byKey);
}

const byKey = ([a]: readonly [string, number], [b]: readonly [string, number]): number => (a < b ? -1 : a > b ? 1 : 0);

/** A list shows one state whole. */
function checkLists({ lists }: Recorded, states: readonly State[]): void {
  for (const { namespace, resourceVersion, items } of lists) {
    const state = states[resourceVersion] ?? assert.fail(`a list shows revision ${resourceVersion}, and there are ${states.length - 1}`);
    assert.deepEqual(items.toSorted(byKey), shownAt(state, { namespace }), `the list at ${resourceVersion}`);
  }
}

/**
 * A transaction committed at a revision has seen the state before it and nothing else, but for what it wrote itself. One that
 * wrote nothing has seen one state, of a moment while it ran.
 */
export function checkTransactions(
  { writes }: Pick<Recorded, 'writes'>,
  log: readonly Change[],
  states: readonly State[] = statesOf(log),
): void {
  const revisions = new Map(log.map((event) => [event.source, Number(event.resourceVersion)]));
  const revisionOf = ({ id }: Written): number | undefined => revisions.get(`w${id}`);
  for (const write of writes) {
    const { views = [], called, returned } = write;
    const revision = revisionOf(write);
    if (revision !== undefined) {
      for (const { place, behind, items } of views) {
        const at: number = behind ? revision : revision - 1;
        const what: string = `w${write.id}, committed at ${revision}, looked at ${JSON.stringify(place)}: the state of ${at}`;
        assert.deepEqual(items.toSorted(byKey), shownAt(states[at]!, place), what);
      }
    } else if (write.outcome === 'ok' && views.length > 0) {
      let from = 0;
      let to = states.length - 1;
      for (const other of writes) {
        const at = revisionOf(other);
        if (at === undefined) continue;
        if (other.returned < called) from = Math.max(from, at);
        if (other.called > returned) to = Math.min(to, at - 1);
      }
      const fits = (state: State): boolean =>
        views.every(({ place, items }) => isDeepStrictEqual(items.toSorted(byKey), shownAt(state, place)));
      if (!states.slice(from, to + 1).some(fits))
        assert.fail(`w${write.id} wrote nothing, and saw no state between ${from} and ${to}: ${JSON.stringify(views)}`);
    }
  }
}

/** The whole log of widgets, read back. */
async function readLog(store: Store): Promise<Change[]> {
  const log: Change[] = [];
  if (store.revision === '0') return log;
  const watch: Watch<Told> = store.watch(Widget, undefined, { since: '0' });
  while (Number(watch.progress) < Number(store.revision)) {
    const event = (await watch.next()).value as Event;
    if (event.type !== 'BOOKMARK') log.push(event);
  }
  await watch.close();
  return log;
}
