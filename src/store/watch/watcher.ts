/**
 * One watch: a cursor on the change log, moved only when its consumer asks for more.
 *
 * Invariants: every revision above the cursor is looked at exactly once, in order; what matches is handed out in the order
 * of the log; the cursor never passes a revision whose events were not handed out. So being slow costs nothing but the
 * cursor, and a watcher that fell out of the window ends with ExpiredError, never with a gap.
 */
import { AbortedError } from '../../schemas/index.js';
import type { FieldSelector, Selector } from '../../schemas/index.js';
import type { Key } from '../engine.js';
import { onAbort } from '../timing.js';
import type { Watch, WatchBatch, WatchEvent } from '../types.js';
import type { Feed, FeedBatch, FeedEvent, Lane, LaneBatch, LaneListener } from './feed.js';
import { INITIAL, eventResult, initialEvent, publicEvent, share, typeOf } from './public-events.js';

type AnyEvent = WatchEvent<object>;
type Batch = WatchBatch<object>;

/** What a watcher is about. */
export interface WatchScope {
  /** undefined: all types. */
  readonly type: string | undefined;
  readonly namespace: string | undefined;
  readonly labels: Selector | undefined;
  readonly fields: FieldSelector | undefined;
}

/** Where a page begins, and the revision it shows. */
export interface PagePosition {
  readonly revision: number;
  readonly after: Key | undefined;
}

/** Is shown what a page holds: the shared, frozen form; with an error a stub of what cannot be opened. */
export type SeeFound = (key: Key, object: object, source: string | undefined, error: Error | undefined) => void;

/** What a watcher needs of the store. */
export interface WatchSource {
  readonly feed: Feed;
  /** Up to `limit` revisions after `from` read from the log: those that touch the scope, and how far it looked. @throws {ExpiredError} */
  replay(from: number, scope: WatchScope, limit: number): Promise<{ batches: readonly FeedBatch[]; scanned: number }>;
  /** Shows a page of what existed at a revision, as frozen objects; gives the key to go on after, undefined at the end. */
  page(scope: WatchScope, position: PagePosition, see: SeeFound): Promise<Key | undefined>;
  compacted(): number;
  /** Runs `task` after a while; the remover is called when the watch ends. */
  every(ms: number, task: () => void): () => void;
  ended(watcher: Watcher): void;
}

const nothing: readonly AnyEvent[] = [];
/** Revisions read from the log in one go: a slice takes a few ms at most. */
const REPLAY_SLICE = 256;
/** How often an idle watcher with bookmarks hears where it stands, ms. */
export const bookmarkIntervalMs = 60_000;

export class Watcher implements Watch<object>, LaneListener {
  readonly #source: WatchSource;
  readonly #scope: WatchScope;
  readonly #lane: Lane;
  readonly #bookmarks: boolean;
  readonly #removers: (() => void)[] = [];
  /** The last revision whose events were all handed out (or that held none for us). */
  #cursor: number;
  /** Where in the lane the cursor stands; -1 until looked up. */
  #position = -1;
  /** The initial list, while it is being sent. */
  #initial: { readonly revision: number; after: Key | undefined; listed: boolean } | undefined;
  /** True until the bookmark behind the initial list was handed out: nothing is complete before. */
  #beginning: boolean;
  #buffer: readonly AnyEvent[] = nothing;
  #next = 0;
  #buffered: Batch | undefined;
  /** The revision of what is buffered; -1 for a slice of the initial list. */
  #bufferedRevision = -1;
  #replayed: readonly FeedBatch[] = [];
  #replayedNext = 0;
  /** How far the last slice of the log was scanned: the cursor moves there once the slice is handed out. */
  #scanned = 0;
  #handedOut = 0;
  #bookmarkDue = false;
  #wake: (() => void) | undefined;
  #pulling: Promise<unknown> | undefined;
  #end: { readonly error: Error | undefined } | undefined;

  constructor(
    source: WatchSource,
    options: { scope: WatchScope; cursor: number; initial: boolean; bookmarks: boolean; signal: AbortSignal | undefined },
  ) {
    this.#source = source;
    this.#scope = options.scope;
    this.#lane = source.feed.lane(options.scope.type);
    this.#cursor = options.cursor;
    this.#bookmarks = options.bookmarks;
    this.#beginning = options.initial;
    if (options.initial) this.#initial = { revision: options.cursor, after: undefined, listed: false };
    const signal = options.signal;
    if (signal?.aborted === true) this.#finish(new AbortedError('the watch was aborted', { cause: signal.reason }));
    else if (signal !== undefined) {
      this.#removers.push(onAbort(signal, (reason) => this.fail(new AbortedError('the watch was aborted', { cause: reason }))));
    }
    if (options.bookmarks && this.#end === undefined) {
      this.#removers.push(
        source.every(bookmarkIntervalMs, () => {
          this.#bookmarkDue = true;
          this.wake();
        }),
      );
    }
  }

  get progress(): string {
    return String(this.#progress());
  }

  #progress(): number {
    if (this.#beginning) return 0;
    const pending = this.#buffered === undefined ? this.#replayed[this.#replayedNext]?.revision : this.#bufferedRevision;
    if (pending !== undefined) return Math.max(this.#cursor, pending - 1);
    const { feed } = this.#source;
    if (this.#cursor >= feed.visible || !this.#synced()) return this.#cursor;
    // All that was committed up to the next batch of ours, or up to now, is scanned by having looked at the lane.
    const next = this.#lane.at(this.#position);
    return next === undefined ? feed.visible : Math.max(this.#cursor, next.revision - 1);
  }

  /** True when the lane holds all that follows the cursor; finds the position there. */
  #synced(): boolean {
    if (this.#position >= 0 && this.#lane.holds(this.#position)) return true;
    if (this.#cursor < this.#source.feed.floor) return false;
    this.#position = this.#lane.positionAfter(this.#cursor);
    return true;
  }

  onProgress(listener: (revision: number) => void): () => void {
    let told = this.#progress();
    const remove = this.#source.feed.onProgress(() => {
      const now = this.#progress();
      if (now > told) {
        told = now;
        listener(now);
      }
    });
    this.#removers.push(remove);
    return remove;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<AnyEvent, undefined>> {
    if (this.#next < this.#buffer.length) return this.#takeResult();
    if (this.#pulling !== undefined)
      return this.#pulling.then(
        () => this.next(),
        () => this.next(),
      );
    if (this.#end === undefined && this.#fillNow()) return this.#takeResult();
    return this.#track(this.#filled((): AnyEvent => this.#take()));
  }

  #takeResult(): Promise<IteratorResult<AnyEvent, undefined>> {
    const result = eventResult(this.#buffered!, this.#next);
    this.#take();
    return result;
  }

  #take(): AnyEvent {
    const event = this.#buffer[this.#next]!;
    this.#next += 1;
    if (this.#next === this.#buffer.length) this.#delivered();
    return event;
  }

  batches(): AsyncIterableIterator<Batch> {
    const iterator: AsyncIterableIterator<Batch> = {
      [Symbol.asyncIterator]: () => iterator,
      next: () => {
        if (this.#pulling !== undefined)
          return this.#pulling.then(
            () => iterator.next(),
            () => iterator.next(),
          );
        if (this.#buffered !== undefined || (this.#end === undefined && this.#fillNow()))
          return Promise.resolve({ done: false, value: this.#takeBatch() });
        return this.#track(this.#filled((): Batch => this.#takeBatch()));
      },
      return: async () => {
        await this.close();
        return { done: true, value: undefined };
      },
    };
    return iterator;
  }

  #takeBatch(): Batch {
    const batch = this.#buffered!;
    this.#delivered();
    return batch;
  }

  #delivered(): void {
    this.#buffer = nothing;
    this.#next = 0;
    this.#buffered = undefined;
    const revision = this.#bufferedRevision;
    if (revision < 0) return;
    this.#beginning = false;
    if (revision > this.#cursor) this.#cursor = revision;
    this.#handedOut = this.#cursor;
  }

  #track<R>(pull: Promise<R>): Promise<R> {
    const tracked = pull.finally(() => {
      if (this.#pulling === tracked) this.#pulling = undefined;
    });
    this.#pulling = tracked;
    return tracked;
  }

  async return(): Promise<IteratorResult<AnyEvent, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  close(): Promise<void> {
    this.#finish(undefined);
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Ends the watch with an error that the consumer gets at its next pull. */
  fail(error: Error): void {
    this.#finish(error);
  }

  wake(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #finish(error: Error | undefined): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this.#buffer = nothing;
    this.#next = 0;
    this.#buffered = undefined;
    this.#replayed = [];
    this.#lane.parked.delete(this);
    for (const remove of this.#removers.splice(0)) remove();
    this.#source.ended(this);
    this.wake();
  }

  /** Fills the buffer without waiting; false when there is nothing to hand out at this moment, or the log has to be read. */
  #fillNow(): boolean {
    if (this.#initial !== undefined) return false;
    while (this.#replayedNext < this.#replayed.length) {
      const batch = this.#replayed[this.#replayedNext++]!;
      if (this.#present(batch, undefined)) return true;
      this.#cursor = Math.max(this.#cursor, batch.revision);
    }
    this.#cursor = Math.max(this.#cursor, this.#scanned);
    if (!this.#synced()) return false;
    const lane = this.#lane;
    for (;;) {
      const batch = lane.at(this.#position);
      if (batch === undefined) break;
      this.#position += 1;
      if (batch.revision > this.#cursor && this.#present(batch, batch)) return true;
      this.#cursor = Math.max(this.#cursor, batch.revision);
    }
    this.#cursor = Math.max(this.#cursor, this.#source.feed.visible);
    return this.#bookmarkDue && this.#bookmark();
  }

  /** What `take` gives once there is something; the watch may end between the one and the other. */
  async #filled<V>(take: () => V): Promise<IteratorResult<V, undefined>> {
    while (await this.#fill()) {
      if (this.#buffered !== undefined) return { done: false, value: take() };
    }
    return { done: true, value: undefined };
  }

  async #fill(): Promise<boolean> {
    for (;;) {
      if (this.#end !== undefined) {
        const error = this.#end.error;
        this.#end = { error: undefined };
        if (error !== undefined) throw error;
        return false;
      }
      if (this.#initial !== undefined) {
        if (await this.#fillInitial()) return true;
        continue;
      }
      if (this.#fillNow()) return true;
      if (this.#synced()) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          this.#lane.parked.add(this);
        });
        continue;
      }
      await this.#guard(async () => {
        const slice = await this.#source.replay(this.#cursor, this.#scope, REPLAY_SLICE);
        if (this.#end !== undefined) return;
        this.#replayed = slice.batches;
        this.#replayedNext = 0;
        this.#scanned = slice.scanned;
        if (this.#bookmarks && slice.scanned >= this.#source.feed.floor) this.#bookmarkDue = true;
      });
    }
  }

  async #fillInitial(): Promise<boolean> {
    const initial = this.#initial!;
    if (!initial.listed) {
      const events: AnyEvent[] = [];
      await this.#guard(async () => {
        const scope = this.#scope;
        initial.after = await this.#source.page(scope, initial, (key, object, source, error) => {
          if (error === undefined ? matches(scope, object) : mayMatch(scope, key)) events.push(initialEvent(key, object, source, error));
        });
        initial.listed = initial.after === undefined;
      });
      if (events.length === 0 || this.#end !== undefined) return false;
      this.#show({ resourceVersion: String(initial.revision), resume: INITIAL, events }, -1);
      return true;
    }
    this.#initial = undefined;
    this.#handedOut = -1;
    return this.#bookmark(initial.revision);
  }

  async #guard(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      this.#finish(error instanceof Error ? error : new Error(String(error), { cause: error }));
    }
  }

  #bookmark(revision = this.#cursor): boolean {
    this.#bookmarkDue = false;
    if (revision <= this.#handedOut) return false;
    const resume = String(revision);
    const event: AnyEvent = Object.freeze({ type: 'BOOKMARK', resourceType: this.#scope.type ?? '*', resourceVersion: resume, resume });
    this.#show({ resourceVersion: resume, resume, events: [event] }, revision);
    return true;
  }

  /** Puts what matches of a batch into the buffer; false when nothing does. */
  #present(batch: FeedBatch, lane: LaneBatch | undefined): boolean {
    const scope = this.#scope;
    const plain = scope.labels === undefined && scope.fields === undefined;
    // What was replayed is of this scope alone; a lane is of all that share the type.
    if (plain && lane === undefined) {
      this.#show(share(batch), batch.revision);
      return true;
    }
    if (
      lane !== undefined &&
      plain &&
      (scope.namespace === undefined || (batch.events.length === 1 && batch.events[0]!.key.namespace === scope.namespace))
    ) {
      lane.shared ??= share(batch);
      this.#show(lane.shared, batch.revision);
      return true;
    }
    const found: { readonly event: FeedEvent; readonly type: AnyEvent['type'] }[] = [];
    for (const event of batch.events) {
      if (scope.type !== undefined && event.key.type !== scope.type) continue;
      if (scope.namespace !== undefined && event.key.namespace !== scope.namespace) continue;
      const type = plain ? typeOf(event) : crossing(scope, event);
      if (type !== undefined) found.push({ event, type });
    }
    if (found.length === 0) return false;
    const resume = String(batch.revision);
    const before = String(batch.revision - 1);
    const events = found.map(({ event, type }, index) => publicEvent(event, type, resume, index === found.length - 1 ? resume : before));
    this.#show({ resourceVersion: resume, resume, events }, batch.revision);
    return true;
  }

  #show(batch: Batch, revision: number): void {
    this.#buffered = batch;
    this.#bufferedRevision = revision;
    this.#buffer = batch.events;
    this.#next = 0;
  }
}

function matches(scope: WatchScope, object: object): boolean {
  const labels = (object as { metadata?: { labels?: Record<string, string> } }).metadata?.labels;
  return (scope.labels?.matches(labels) ?? true) && (scope.fields?.matches(object) ?? true);
}

/** Whether an object that cannot be opened may be meant: only its name and namespace are known. */
function mayMatch({ fields }: WatchScope, { namespace, name }: Key): boolean {
  const known = { 'metadata.name': name, 'metadata.namespace': namespace };
  return (fields?.requirements ?? []).every(({ path, operator, value }) => {
    const field = path.replace(/^\./, '');
    return !Object.hasOwn(known, field) || (known[field as keyof typeof known] === value) === (operator === '=');
  });
}

/** What a change is under a selector: ceasing to match is a DELETED, starting to match a CREATED. */
function crossing(scope: WatchScope, event: FeedEvent): 'CREATED' | 'UPDATED' | 'DELETED' | undefined {
  if (event.error !== undefined) return mayMatch(scope, event.key) ? typeOf(event) : undefined;
  const now = event.verb !== 'delete' && matches(scope, event.object);
  const before = event.verb === 'delete' ? matches(scope, event.object) : event.previous !== undefined && matches(scope, event.previous);
  if (now) return before ? 'UPDATED' : 'CREATED';
  return before ? 'DELETED' : undefined;
}
