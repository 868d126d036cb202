/**
 * What a random history is held against: an order for every key, the log as it was read back, and each stream's promises.
 */
import assert from 'node:assert/strict';
import type { Store, Watch } from '../../src/store/index.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import { ABSENT, describeViolation, findViolation } from './linearizability.js';
import type { Operation } from './linearizability.js';
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
  readonly values: Map<string, number>;
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
  checkLists(record, log);
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

/** A list shows one state whole. */
function checkLists({ lists }: Recorded, log: readonly Change[]): void {
  const there = new Map<string, number>();
  let at = 0;
  for (const list of lists.toSorted((a, b) => a.resourceVersion - b.resourceVersion)) {
    while (at < log.length && Number(log[at]!.resourceVersion) <= list.resourceVersion) {
      const event = log[at]!;
      if (event.type === 'DELETED') there.delete(`${event.namespace}/${event.name}`);
      else there.set(`${event.namespace}/${event.name}`, event.resource.spec.size);
      at += 1;
    }
    const shown = [...there].filter(([key]) => list.namespace === undefined || key.startsWith(`${list.namespace}/`));
    assert.deepEqual([...list.items].toSorted(), shown.toSorted(), `the list at ${list.resourceVersion}`);
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
