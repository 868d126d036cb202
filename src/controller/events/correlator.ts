/**
 * Which events are told, and as what: the same again is counted, many alike become one, a flood is dropped. After
 * client-go's EventCorrelator.
 *
 * Invariants: pure but for its own bounded memory; time comes in with each call; what is dropped is dropped before it costs a
 * write.
 */
import { eventDefaults } from './defaults.js';

/** What an event is, for telling events apart. */
export interface EventFacts {
  readonly controller: string;
  /** `type/namespace/name/uid` of the object. */
  readonly object: string;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly note: string;
}

/** An event to be told; `id` is the same for the same event. */
export interface Correlated {
  readonly id: string;
  readonly note: string;
  /** How often it has happened. */
  readonly count: number;
  /** Wall clock, ms. */
  readonly first: number;
  readonly last: number;
  /** It stands for several notes. */
  readonly combined: boolean;
}

interface Similar {
  readonly notes: Set<string>;
  last: number;
}
interface Known {
  count: number;
  readonly first: number;
}
interface Bucket {
  tokens: number;
  at: number;
}

/** A map that forgets what was used longest ago. */
class Lru<V> {
  readonly #map = new Map<string, V>();
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
  }
  get(key: string): V | undefined {
    const value = this.#map.get(key);
    if (value !== undefined) {
      this.#map.delete(key);
      this.#map.set(key, value);
    }
    return value;
  }
  set(key: string, value: V): void {
    this.#map.delete(key);
    this.#map.set(key, value);
    if (this.#map.size > this.#size) this.#map.delete(this.#map.keys().next().value as string);
  }
  delete(key: string): void {
    this.#map.delete(key);
  }
  get size(): number {
    return this.#map.size;
  }
}

export class Correlator {
  readonly #similar = new Lru<Similar>(eventDefaults.cacheSize);
  readonly #known = new Lru<Known>(eventDefaults.cacheSize);
  readonly #buckets = new Lru<Bucket>(eventDefaults.cacheSize);

  /** The event to tell at wall clock `now`; undefined when it is dropped. */
  take(facts: EventFacts, now: number): Correlated | undefined {
    const { note, combined } = this.#aggregate(facts, now);
    const id = [facts.controller, facts.object, facts.type, facts.reason, combined ? '*' : note].join('\n');
    if (!this.#allow(`${facts.controller}\n${facts.object}`, now)) return undefined;
    const known = this.#known.get(id);
    if (known === undefined) {
      this.#known.set(id, { count: 1, first: now });
      return { id, note, count: 1, first: now, last: now, combined };
    }
    known.count += 1;
    return { id, note, count: known.count, first: known.first, last: now, combined };
  }

  /** The stored event is gone: the next of its kind begins anew. */
  forget(id: string): void {
    this.#known.delete(id);
  }

  /** Different notes with one reason become one event when there are too many of them. */
  #aggregate({ controller, object, type, reason, note }: EventFacts, now: number): { note: string; combined: boolean } {
    const key = [controller, object, type, reason].join('\n');
    let similar = this.#similar.get(key);
    if (similar === undefined || now - similar.last > eventDefaults.similarWithin) {
      similar = { notes: new Set(), last: now };
      this.#similar.set(key, similar);
    }
    similar.last = now;
    if (similar.notes.has(note)) return { note, combined: false };
    if (similar.notes.size < eventDefaults.maxSimilar) {
      similar.notes.add(note);
      return { note, combined: false };
    }
    return { note: `(combined from similar events): ${note}`, combined: true };
  }

  /** A bucket for each object: a burst, then one in a while. */
  #allow(key: string, now: number): boolean {
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = { tokens: eventDefaults.burst, at: now };
      this.#buckets.set(key, bucket);
    }
    // A clock that went back refills nothing, and takes nothing away.
    const refilled = Math.max(0, now - bucket.at) / eventDefaults.refill;
    bucket.tokens = Math.min(eventDefaults.burst, bucket.tokens + refilled);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  /** How much is remembered. */
  get size(): { readonly similar: number; readonly known: number; readonly buckets: number } {
    return { similar: this.#similar.size, known: this.#known.size, buckets: this.#buckets.size };
  }
}
