/**
 * What planning knows of an object: the newest state, be it on disk, in a commit under way, or planned behind that.
 *
 * Invariants: a tentative state names the request that will make it true, and whatever is planned on it depends on that
 * request; committed states kept here are current as far as this process knows, and the engine checks them at commit.
 */
import type { Entry, Key, Prefix, Write } from '../engine.js';
import type { FeedEvent } from '../watch/feed.js';
import type { Stored } from './rules.js';

/** Where a state comes from: a committed revision, nothing there, or a request that is not durable yet. */
export type Origin = number | 'absent' | Planned;

/** The newest state of a key. */
export interface KeyState {
  readonly key: Key;
  readonly origin: Origin;
  /** Shared form; undefined: no such object. */
  readonly object: Stored | undefined;
  /** The object's own version counter, 0 when absent. */
  readonly version: number;
  /** The revision that a committed state dates from; 0 while tentative or never there. */
  readonly at: number;
}

/** A write as planned: what the engine gets, and what the feed will tell. */
export interface PlannedWrite {
  readonly id: string;
  readonly write: Write;
  /** The shared form after the write; undefined for a removal. */
  readonly cached: Stored | undefined;
  readonly previous: Stored | undefined;
  readonly version: number;
}

export type PlannedExpect = { readonly key: Key; readonly origin: Origin } | { readonly prefix: Prefix; readonly since: number | Planned };

/** A request on its way: planned, sent, then committed or failed. */
export class Planned {
  readonly id: string;
  readonly writes: readonly PlannedWrite[];
  readonly expect: readonly PlannedExpect[];
  readonly bytes: number;
  state: 'planned' | 'committed' | 'failed' = 'planned';
  revision = 0;
  /** The place in the batch under way, while it is being sent. */
  place = -1;
  #settled: (() => void)[] | undefined;

  constructor(id: string, writes: readonly PlannedWrite[], expect: readonly PlannedExpect[]) {
    this.id = id;
    this.writes = writes;
    this.expect = expect;
    let bytes = 0;
    for (const { write } of writes) bytes += (write.value?.length ?? 0) + 256;
    this.bytes = bytes;
  }

  /** Runs `then` once the outcome is known; at once if it is. */
  whenSettled(then: () => void): void {
    if (this.state === 'planned') (this.#settled ??= []).push(then);
    else then();
  }

  settle(state: 'committed' | 'failed'): void {
    this.state = state;
    const settled = this.#settled;
    this.#settled = undefined;
    if (settled !== undefined) for (const then of settled) then();
  }
}

/** How many recently written objects are kept decoded for the next write to them. */
const RECENT = 4096;

export class States {
  readonly #tentative = new Map<string, KeyState>();
  readonly #recent = new Map<string, KeyState>();
  /** The newest planned request per prefix, while it is not settled. */
  readonly #prefixes = new Map<string, Planned>();
  /** The revision that last changed something per prefix. */
  readonly #changed = new Map<string, number>();
  #epoch = 0;

  /** Moves whenever something here does: who looked at one epoch need not look again before the next. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Keys that open transactions have read: kept in `#recent` so that a change is never overlooked. */
  readonly #pins = new Map<string, number>();

  pin(id: string): void {
    this.#pins.set(id, (this.#pins.get(id) ?? 0) + 1);
  }

  unpin(id: string): void {
    const left = (this.#pins.get(id) ?? 1) - 1;
    if (left === 0) this.#pins.delete(id);
    else this.#pins.set(id, left);
  }

  /** What is known without reading: tentative first, then recent. */
  known(id: string): KeyState | undefined {
    return this.#tentative.get(id) ?? this.#recent.get(id);
  }

  tentative(id: string): KeyState | undefined {
    return this.#tentative.get(id);
  }

  /** All tentative states under a prefix, at this instant. */
  tentativeUnder(prefix: Prefix): KeyState[] {
    const found: KeyState[] = [];
    for (const state of this.#tentative.values()) if (isUnder(state.key, prefix)) found.push(state);
    return found;
  }

  /** What an engine read gave, unless something newer is known by now. */
  settleRead(id: string, key: Key, entry: Entry | undefined, object: Stored | undefined): KeyState {
    const known = this.known(id);
    if (known !== undefined && (typeof known.origin === 'object' || known.at > (entry?.revision ?? 0))) return known;
    return { key, origin: entry === undefined ? 'absent' : entry.revision, object, version: entry?.version ?? 0, at: entry?.revision ?? 0 };
  }

  plan(planned: Planned): void {
    this.#epoch += 1;
    for (const { id, write, cached, version } of planned.writes) {
      const key = write.key;
      this.#tentative.set(id, { key, origin: planned, object: cached, version: cached === undefined ? 0 : version, at: 0 });
      this.#prefixes.set(key.type, planned);
      this.#prefixes.set(spaceOf(id), planned);
    }
  }

  /** Takes a request back (it failed, or is to be planned again). */
  unplan(planned: Planned): void {
    this.#epoch += 1;
    for (const { id, write } of planned.writes) {
      if (this.#tentative.get(id)?.origin === planned) this.#tentative.delete(id);
      this.#recent.delete(id);
      this.#forgetPrefixes(id, write.key.type, planned);
    }
  }

  /** Moves what a request planned to what is committed. */
  commit(planned: Planned): void {
    this.#epoch += 1;
    for (const { id, write, cached, version } of planned.writes) {
      if (this.#tentative.get(id)?.origin === planned) this.#tentative.delete(id);
      this.#forgetPrefixes(id, write.key.type, planned);
      this.#remember(id, write.key, cached, planned.revision, version);
    }
  }

  /** Takes over what somebody else committed. */
  foreign(id: string, event: FeedEvent, revision: number, version: number): void {
    this.#epoch += 1;
    this.#remember(id, event.key, event.verb === 'delete' ? undefined : (event.object as Stored), revision, version);
  }

  forget(id: string): void {
    this.#epoch += 1;
    this.#recent.delete(id);
  }

  clear(): void {
    this.#epoch += 1;
    this.#tentative.clear();
    this.#recent.clear();
    this.#prefixes.clear();
  }

  /** The revision or request that last changed something under a prefix; 0 when nothing did since the store was opened. */
  lastChange(prefixId: string): number | Planned {
    return this.#prefixes.get(prefixId) ?? this.#changed.get(prefixId) ?? 0;
  }

  #remember(id: string, key: Key, object: Stored | undefined, at: number, version: number): void {
    this.#changed.set(key.type, at);
    this.#changed.set(spaceOf(id), at);
    this.#recent.delete(id);
    this.#recent.set(
      id,
      object === undefined ? { key, origin: 'absent', object, version: 0, at } : { key, origin: at, object, version, at },
    );
    if (this.#recent.size > RECENT) {
      for (const oldest of this.#recent.keys()) {
        if (this.#pins.has(oldest)) continue;
        this.#recent.delete(oldest);
        break;
      }
    }
  }

  #forgetPrefixes(id: string, type: string, planned: Planned): void {
    if (this.#prefixes.get(type) === planned) this.#prefixes.delete(type);
    const space = spaceOf(id);
    if (this.#prefixes.get(space) === planned) this.#prefixes.delete(space);
  }
}

/** The (type, namespace) part of a key's id: the id of that prefix. */
function spaceOf(id: string): string {
  return id.slice(0, id.lastIndexOf('\0'));
}

export function isUnder(key: Key, prefix: Prefix): boolean {
  return prefix.type === undefined || (key.type === prefix.type && (prefix.namespace === undefined || key.namespace === prefix.namespace));
}
