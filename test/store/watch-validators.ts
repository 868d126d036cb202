/**
 * What a watch promises, one function a promise, each checked over what watchers were told against the log as it was read
 * back at the end. The words are etcd's.
 */
import assert from 'node:assert/strict';
import { parseLabelSelector } from '../../src/schemas/index.js';
import type { WatchEvent } from '../../src/store/index.js';

/** The part of an object that the histories write. */
export interface Told {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly resourceVersion: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly size: number };
}
export type Event = WatchEvent<Told>;
type Change = Exclude<Event, { type: 'BOOKMARK' }>;

/** What one watcher asked for and was told, over all the times it was cut off and came back. */
export interface Stream {
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  /** Told since this revision; undefined: it began with an initial list. */
  readonly since: number | undefined;
  readonly events: readonly Event[];
  /** Places in `events` where the watcher was cut off and resumed from the event before. */
  readonly cuts: readonly number[];
}

const idOf = (event: Change): string => `${event.namespace}/${event.name}`;
const isChange = (event: Event): event is Change => event.type !== 'BOOKMARK';
const at = (event: Event): number => Number(event.resourceVersion);

/** Everything in the log that a stream's filter lets through, as it should be told. */
export function expected(
  stream: Stream,
  log: readonly Change[],
): { readonly type: string; readonly id: string; readonly revision: number; readonly size: number }[] {
  const selector = stream.labelSelector === undefined ? undefined : parseLabelSelector(stream.labelSelector);
  const matches = (object: Told): boolean => selector?.matches(object.metadata.labels) ?? true;
  return log.flatMap((event) => {
    if (stream.namespace !== undefined && event.namespace !== stream.namespace) return [];
    const now = event.type !== 'DELETED' && matches(event.resource);
    const before = event.type === 'CREATED' ? false : matches(event.type === 'UPDATED' ? event.previous : event.resource);
    if (!now && !before) return [];
    const type = now ? (before ? 'UPDATED' : 'CREATED') : 'DELETED';
    const shown = now || event.type !== 'UPDATED' ? event.resource : event.previous;
    return [{ type, id: idOf(event), revision: at(event), size: shown.spec.size }];
  });
}

/** Told is what was asked for. */
export function filterable(stream: Stream): void {
  const selector = stream.labelSelector === undefined ? undefined : parseLabelSelector(stream.labelSelector);
  for (const event of stream.events.filter(isChange)) {
    if (stream.namespace !== undefined) assert.equal(event.namespace, stream.namespace, `${stream.name}: an event of another namespace`);
    assert.ok(selector?.matches(event.resource.metadata.labels) ?? true, `${stream.name}: ${event.type} ${idOf(event)} does not match`);
  }
}

/** Revisions never go back; an initial list comes before everything. */
export function ordered(stream: Stream): void {
  let last = stream.since ?? 0;
  let listed = stream.since !== undefined;
  for (const event of stream.events) {
    if (isChange(event) && event.type === 'CREATED' && event.initial === true) {
      assert.ok(!listed, `${stream.name}: an object of the initial list after its end`);
      continue;
    }
    if (!listed) assert.equal(event.type, 'BOOKMARK', `${stream.name}: a change before the end of the initial list`);
    listed = true;
    assert.ok(at(event) >= last, `${stream.name}: ${at(event)} after ${last}`);
    last = at(event);
  }
}

/** No change is told twice. */
export function unique(stream: Stream): void {
  const seen = new Set<string>();
  for (const event of stream.events.filter(isChange)) {
    const id = `${idOf(event)}@${event.resourceVersion}`;
    assert.ok(!seen.has(id), `${stream.name}: ${id} twice`);
    seen.add(id);
  }
}

/** Changes of one revision come together, and no token points between them. */
export function atomic(stream: Stream): void {
  const { events } = stream;
  events.forEach((event, index) => {
    if (!isChange(event) || (event.type === 'CREATED' && event.initial === true)) return;
    const next = events[index + 1];
    const goesOn = next !== undefined && isChange(next) && at(next) === at(event);
    // The last event of a stream that was cut off may have companions that are still to come.
    if (next === undefined || stream.cuts.includes(index + 1))
      assert.ok(Number(event.resume) === at(event) || Number(event.resume) === at(event) - 1);
    else assert.equal(Number(event.resume), goesOn ? at(event) - 1 : at(event), `${stream.name}: the token of ${idOf(event)}@${at(event)}`);
  });
}

/** A bookmark at R means: everything up to R was told, nothing up to R will be. */
export function bookmarkable(stream: Stream, log: readonly Change[]): void {
  const begin = startOf(stream);
  const wanted = expected(stream, log).filter(({ revision }) => revision > begin);
  let told = 0;
  let marks = 0;
  let last = -1;
  for (const event of stream.events) {
    if (event.type === 'CREATED' && event.initial === true) continue;
    if (event.type !== 'BOOKMARK') {
      told += 1;
      continue;
    }
    marks += 1;
    assert.ok(at(event) > last, `${stream.name}: bookmark ${at(event)} after ${last}`);
    last = at(event);
    assert.equal(event.resume, event.resourceVersion);
    assert.equal(
      wanted.filter(({ revision }) => revision <= at(event)).length,
      told,
      `${stream.name}: bookmark ${at(event)} does not fit what was told before it`,
    );
  }
  if (stream.since === undefined) assert.ok(marks > 0, `${stream.name}: no bookmark behind the initial list`);
}

/** The revision behind which a stream tells changes. */
function startOf(stream: Stream): number {
  if (stream.since !== undefined) return stream.since;
  const mark = stream.events.find((event) => event.type === 'BOOKMARK');
  return mark === undefined ? Infinity : at(mark);
}

/** Nothing is left out up to the last event told, wherever the watcher was cut off and came back. */
export function reliable(stream: Stream, log: readonly Change[]): void {
  const begin = startOf(stream);
  const told = stream.events.filter(isChange).filter((event) => !(event.type === 'CREATED' && event.initial === true));
  const wanted = expected(stream, log).filter(({ revision }) => revision > begin);
  assert.deepEqual(
    told.map((event) => ({ type: event.type, id: idOf(event), revision: at(event), size: event.resource.spec.size })),
    wanted.slice(0, told.length),
    stream.name,
  );
}

/** A stream that has come to the end of the log has told all of it. */
export function complete(stream: Stream, log: readonly Change[]): void {
  const begin = startOf(stream);
  const told = stream.events.filter((event) => isChange(event) && !(event.type === 'CREATED' && event.initial === true)).length;
  assert.equal(told, expected(stream, log).filter(({ revision }) => revision > begin).length, `${stream.name}: not all was told`);
}

/** What an initial list shows is what was there at its bookmark. */
export function listed(stream: Stream, log: readonly Change[]): void {
  if (stream.since !== undefined) return;
  const begin = startOf(stream);
  const there = new Map<string, number>();
  for (const { type, id, revision, size } of expected(stream, log)) {
    if (revision > begin) break;
    if (type === 'DELETED') there.delete(id);
    else there.set(id, size);
  }
  const shown = stream.events.filter(isChange).filter((event) => event.type === 'CREATED' && event.initial === true);
  assert.deepEqual(
    shown.map((event) => [idOf(event), event.resource.spec.size]).toSorted(),
    [...there].toSorted(),
    `${stream.name}: the initial list at ${begin}`,
  );
}

/** A CREATED is of what was not there, an UPDATED and a DELETED tell what was there before. */
export function previousValue(log: readonly Change[]): void {
  const there = new Map<string, Told>();
  for (const event of log) {
    const before = there.get(idOf(event));
    const what = `${event.type} ${idOf(event)}@${at(event)}`;
    if (event.type === 'CREATED') {
      assert.equal(before, undefined, `${what} of what was there`);
      assert.equal(event.resource.metadata.resourceVersion, event.resourceVersion, what);
    } else {
      assert.ok(before !== undefined, `${what} of what was not there`);
      assert.deepEqual(event.type === 'UPDATED' ? event.previous : event.resource, before, `${what}: what was there before`);
      assert.equal(event.resource.metadata.uid, before.metadata.uid, what);
    }
    if (event.type === 'DELETED') there.delete(idOf(event));
    else there.set(idOf(event), event.resource);
  }
}

/** All promises over one stream. */
export function validate(stream: Stream, log: readonly Change[]): void {
  filterable(stream);
  ordered(stream);
  unique(stream);
  atomic(stream);
  bookmarkable(stream, log);
  reliable(stream, log);
  listed(stream, log);
}

export type { Change };
