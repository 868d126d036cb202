/**
 * The ring of recent changes, decoded once and shared by every watcher.
 *
 * Invariants: batches are appended in revision order and never change. Every lane (one per type, one for all types) holds
 * all its batches with a revision above `floor`; what is older has to be read from the engine's log. Memory is bounded by
 * the number of events and by the bytes they stand for, whatever watchers do: a slow one is only a cursor.
 */
import type { Key } from '../engine.js';
import type { WatchBatch } from '../types.js';

/** A change as watchers share it: frozen objects, secrets sealed. */
export interface FeedEvent {
  readonly verb: 'create' | 'update' | 'delete';
  readonly key: Key;
  /** The object after the change; for a delete its last state. */
  readonly object: object;
  /** The object before an update. */
  readonly previous: object | undefined;
  readonly source: string | undefined;
  readonly bytes: number;
  /** Set when what is stored cannot be opened; `object` is a stub then. */
  readonly error?: Error | undefined;
}

export interface FeedBatch {
  readonly revision: number;
  readonly events: readonly FeedEvent[];
}

/** A batch in a lane: the events of one type, and the public form of them once somebody asked. */
export interface LaneBatch extends FeedBatch {
  shared: WatchBatch<object> | undefined;
}

/** Called in the committing turn. */
export interface LaneListener {
  wake(): void;
}

/** One type's part of the ring. Positions count from the first batch ever appended (a skip is one too) and survive trimming. */
export class Lane {
  #batches: LaneBatch[] = [];
  #head = 0;
  #base = 0;
  readonly parked = new Set<LaneListener>();

  get end(): number {
    return this.#base + this.#batches.length - this.#head;
  }

  at(position: number): LaneBatch | undefined {
    const index = position - this.#base;
    return index < 0 ? undefined : this.#batches[this.#head + index];
  }

  append(batch: LaneBatch): void {
    this.#batches.push(batch);
  }

  shift(): LaneBatch | undefined {
    const batch = this.#batches[this.#head];
    if (batch === undefined) return undefined;
    (this.#batches as (LaneBatch | undefined)[])[this.#head] = undefined;
    this.#head += 1;
    this.#base += 1;
    if (this.#head > 1024 && this.#head * 2 > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#head);
      this.#head = 0;
    }
    return batch;
  }

  /** Passes over what is in the log alone: no position found before is one any more. */
  skip(): void {
    this.#base += 1;
  }

  get first(): LaneBatch | undefined {
    return this.#batches[this.#head];
  }

  /** The position of the first batch with a revision above `revision`. */
  positionAfter(revision: number): number {
    let low = this.#head;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#batches[middle]!.revision > revision) high = middle;
      else low = middle + 1;
    }
    return this.#base + low - this.#head;
  }

  /** True when a batch above `position` is there and none was trimmed before it. */
  holds(position: number): boolean {
    return position >= this.#base;
  }
}

export interface FeedLimits {
  readonly events: number;
  readonly bytes: number;
}

export class Feed {
  readonly all = new Lane();
  readonly #lanes = new Map<string, Lane>();
  readonly #limits: FeedLimits;
  readonly #progress = new Set<(revision: number) => void>();
  #events = 0;
  #bytes = 0;
  #floor: number;
  #visible: number;
  #touched = new Set<Lane>();

  constructor(revision: number, limits: FeedLimits) {
    this.#floor = revision;
    this.#visible = revision;
    this.#limits = limits;
  }

  /** The newest revision that callers and watchers may know of. */
  get visible(): number {
    return this.#visible;
  }

  /** Everything above this revision is in the ring. */
  get floor(): number {
    return this.#floor;
  }

  lane(type: string | undefined): Lane {
    if (type === undefined) return this.all;
    let lane = this.#lanes.get(type);
    if (lane === undefined) {
      lane = new Lane();
      this.#lanes.set(type, lane);
    }
    return lane;
  }

  /** Appends one revision; nobody is woken before `announce`, so that callers are resolved in between. */
  append(batch: FeedBatch): void {
    this.#visible = batch.revision;
    const events = batch.events;
    if (events.length === 0) return;
    const whole: LaneBatch = { revision: batch.revision, events, shared: undefined };
    this.all.append(whole);
    this.#touched.add(this.all);
    for (const event of events) {
      this.#events += 1;
      this.#bytes += event.bytes;
    }
    const type = events[0]!.key.type;
    if (events.length === 1 || events.every((event) => event.key.type === type)) {
      const lane = this.lane(type);
      lane.append(whole);
      this.#touched.add(lane);
    } else {
      for (const each of new Set(events.map((event) => event.key.type))) {
        const lane = this.lane(each);
        lane.append({ revision: batch.revision, events: events.filter((event) => event.key.type === each), shared: undefined });
        this.#touched.add(lane);
      }
    }
    this.#trim();
  }

  /** Wakes who waited for what was appended, then tells who follows the revision itself. */
  announce(): void {
    const touched = this.#touched;
    if (touched.size > 0) {
      this.#touched = new Set();
      for (const lane of touched) {
        if (lane.parked.size === 0) continue;
        const parked = [...lane.parked];
        lane.parked.clear();
        for (const listener of parked) listener.wake();
      }
    }
    for (const listener of [...this.#progress]) listener(this.#visible);
  }

  /** Jumps over revisions that are in the log alone, or not even there any more: the ring starts anew behind them. */
  reset(revision: number): void {
    this.pass(revision);
    this.#skip(this.all);
    for (const lane of this.#lanes.values()) this.#skip(lane);
  }

  /** The same while nobody watches: there is no position to invalidate. */
  pass(revision: number): void {
    while (this.all.first !== undefined) this.#drop();
    this.#floor = revision;
    this.#visible = revision;
  }

  /** Whoever began to watch meanwhile has to look into the log. */
  #skip(lane: Lane): void {
    lane.skip();
    if (lane.parked.size > 0) this.#touched.add(lane);
  }

  onProgress(listener: (revision: number) => void): () => void {
    this.#progress.add(listener);
    return () => this.#progress.delete(listener);
  }

  #trim(): void {
    while (this.#events > this.#limits.events || (this.#bytes > this.#limits.bytes && this.#events > 1)) this.#drop();
  }

  #drop(): void {
    const oldest = this.all.shift();
    if (oldest === undefined) return;
    for (const event of oldest.events) {
      this.#events -= 1;
      this.#bytes -= event.bytes;
      const lane = this.lane(event.key.type);
      if (lane.first?.revision === oldest.revision) lane.shift();
    }
    this.#floor = oldest.revision;
  }
}
