/**
 * What planning knows of an object: the newest state, be it on disk, in a commit under way, or planned behind that.
 *
 * Invariants: a tentative state names the request that will make it true, and whatever is planned on it depends on that
 * request; committed states kept here are current as far as this process knows, and the engine checks them at commit.
 */
import type { Entry, Key, Prefix, Write } from '../engine.js';
import type { Form } from '../form.js';

/** Where a state comes from: a committed revision, nothing there, or a request that is not durable yet. */
export type Origin = number | 'absent' | Planned;

/** The newest state of a key. */
export interface KeyState {
  /** The key as one string, made once. */
  readonly id: string;
  readonly key: Key;
  readonly origin: Origin;
  /** Undefined: no such object. */
  readonly form: Form | undefined;
  /** The object's own version counter, 0 when absent. */
  readonly version: number;
  /** The revision that a committed state dates from; 0 while tentative or never there. */
  readonly at: number;
}

/** A write as planned: what the engine gets, and what the feed will tell. */
export interface PlannedWrite {
  readonly id: string;
  readonly write: Write;
  /** The object after the write; undefined for a removal. */
  readonly form: Form | undefined;
  /** Kept for a removal, and for an update that somebody is to hear of. */
  readonly previous: Form | undefined;
  readonly version: number;
}

export type PlannedExpect = { readonly key: Key; readonly origin: Origin } | { readonly prefix: Prefix; readonly since: number | Planned };

const NOTHING: readonly PlannedExpect[] = [];

/** A request on its way: planned, sent, then committed or failed. */
export class Planned {
  readonly id: string;
  readonly writes: readonly PlannedWrite[];
  expect: readonly PlannedExpect[];
  readonly bytes: number;
  state: 'planned' | 'committed' | 'failed' = 'planned';
  revision = 0;
  /** The place among all that was ever planned. */
  order = 0;
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
    // Each names the request before: a key that is never idle would keep them all.
    this.expect = NOTHING;
    const settled = this.#settled;
    this.#settled = undefined;
    if (settled !== undefined) for (const then of settled) then();
  }
}

/** How many recently written objects are known without a read: at least half as many, at most this many. */
const RECENT = 1024;
/** The same of those that are cheap to read again: keeping more costs the collector more than it saves. */
const RECENT_CHEAP = 256;

/** What happened last under a prefix: of a namespace of a type, a type, or everything. */
interface Mark {
  /** The newest planned request, while it is not settled. */
  planned: Planned | undefined;
  /** The revision that last changed something; 0 when nothing did since the store was opened. */
  changed: number;
}

export class States {
  readonly #tentative = new Map<string, KeyState>();
  /** What a tentative state was planned on and is on its way still, oldest first: taken back, it leaves that to be true. */
  readonly #beneath = new Map<string, KeyState[]>();
  /** Two generations: what was not written again while the younger one filled up is dropped with the older. */
  #recent = new Map<string, KeyState>();
  #older = new Map<string, KeyState>();
  readonly #marks = new Map<string, Mark>();
  /** Most writes are neighbours of the one before: their marks are found without a lookup. */
  #lastKey: Pick<Key, 'type' | 'namespace'> = { type: '', namespace: '' };
  #lastMarks: readonly Mark[] = [];
  #epoch = 0;
  #orders = 0;
  #jumps = 0;
  /** Nothing is known of what changed up to here. */
  #floor = 0;

  /** How often changes were missed: what was read before such a time may have changed unseen. */
  get jumps(): number {
    return this.#jumps;
  }

  /** Moves whenever something here does: who looked at one epoch need not look again before the next. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Keys that open transactions have read: never dropped, so that a change is never overlooked. */
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
    return this.#tentative.get(id) ?? this.#recent.get(id) ?? this.#older.get(id);
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
  settleRead(read: KeyState): KeyState {
    const known = this.known(read.id);
    return known !== undefined && (typeof known.origin === 'object' || known.at > read.at) ? known : read;
  }

  plan(planned: Planned): void {
    this.#epoch += 1;
    planned.order = this.#orders += 1;
    for (const { id, write, form, version } of planned.writes) {
      const { key } = write;
      const before = this.#tentative.get(id);
      if (before !== undefined) this.#bury(id, before);
      this.#tentative.set(id, { id, key, origin: planned, form, version: form === undefined ? 0 : version, at: 0 });
      for (const mark of this.#marksOf(key)) mark.planned = planned;
    }
  }

  /** Takes a request back (it failed, or is to be planned again). */
  unplan(planned: Planned): void {
    this.#epoch += 1;
    for (const { id } of planned.writes) {
      this.#settle(id, planned);
      const wasRecent = this.#recent.delete(id);
      const wasOlder = this.#older.delete(id);
      // A transaction that has read the state before could not tell any more that it has changed.
      if ((wasRecent || wasOlder) && this.#pins.has(id)) this.#jumps += 1;
    }
    for (const { write } of planned.writes) {
      const { type, namespace } = write.key;
      const prefixes: readonly Prefix[] = [{}, { type }, { type, namespace }];
      for (const [depth, mark] of this.#marksOf(write.key).entries())
        if (mark.planned === planned) mark.planned = this.#newestUnder(prefixes[depth]!);
    }
  }

  /** The newest request under a prefix that is on its way: whoever listed before it must not take an older one for the last change. */
  #newestUnder(prefix: Prefix): Planned | undefined {
    let newest: Planned | undefined;
    for (const states of [this.#tentative.values(), ...this.#beneath.values()])
      for (const { key, origin } of states)
        if (typeof origin === 'object' && isUnder(key, prefix) && !(newest !== undefined && newest.order > origin.order)) newest = origin;
    return newest;
  }

  /** Moves what a request planned to what is committed. */
  commit(planned: Planned): void {
    this.#epoch += 1;
    for (const { id, write, form, version } of planned.writes) {
      this.#settle(id, planned);
      for (const mark of this.#marksOf(write.key)) if (mark.planned === planned) mark.planned = undefined;
      this.#remember(id, write.key, form, planned.revision, version);
    }
  }

  /** Takes over what somebody else committed; `form` undefined: removed. */
  foreign(key: Key, id: string, form: Form | undefined, revision: number, version: number): void {
    this.#epoch += 1;
    this.#remember(id, key, form, revision, version);
  }

  /** Somebody else committed what cannot be opened here: it has to be read. */
  forget(key: Key, id: string, revision: number): void {
    this.#epoch += 1;
    this.#recent.delete(id);
    this.#older.delete(id);
    for (const mark of this.#marksOf(key)) mark.changed = revision;
    // A transaction that has read the state before could not tell by the key that it has changed.
    if (this.#pins.has(id)) this.#jumps += 1;
  }

  /** Anything may have changed up to `revision`: what is committed is known no longer, what is under way finds out at its commit. */
  jump(revision: number): void {
    this.#epoch += 1;
    this.#jumps += 1;
    this.#floor = revision;
    this.#recent.clear();
    this.#older.clear();
    for (const mark of this.#marks.values()) mark.changed = revision;
  }

  clear(): void {
    this.#epoch += 1;
    this.#tentative.clear();
    this.#beneath.clear();
    this.#recent.clear();
    this.#older.clear();
    for (const mark of this.#marks.values()) mark.planned = undefined;
  }

  /** The revision or request that last changed something under a prefix; 0 when nothing can have since the store was opened. */
  lastChange(prefixId: string): number | Planned {
    const mark = this.#marks.get(prefixId);
    return mark?.planned ?? mark?.changed ?? this.#floor;
  }

  #remember(id: string, key: Key, form: Form | undefined, at: number, version: number): void {
    for (const mark of this.#marksOf(key)) mark.changed = at;
    this.#recent.set(
      id,
      form === undefined ? { id, key, origin: 'absent', form, version: 0, at } : { id, key, origin: at, form, version, at },
    );
    if (this.#recent.size < (form?.isDear === false ? RECENT_CHEAP : RECENT) / 2 + this.#pins.size) return;
    const dropped = this.#older;
    this.#older = this.#recent;
    this.#recent = new Map();
    for (const pinned of this.#pins.keys()) {
      const state = this.#older.get(pinned) ?? dropped.get(pinned);
      if (state !== undefined) this.#recent.set(pinned, state);
    }
  }

  #bury(id: string, state: KeyState): void {
    const beneath = this.#beneath.get(id);
    if (beneath === undefined) this.#beneath.set(id, [state]);
    else beneath.push(state);
  }

  /** A request is not on its way any more: what it made of a key is tentative no longer, be it the newest or beneath. */
  #settle(id: string, planned: Planned): void {
    const beneath = this.#beneath.size === 0 ? undefined : this.#beneath.get(id);
    if (this.#tentative.get(id)?.origin === planned) {
      const before = beneath?.pop();
      if (before === undefined) this.#tentative.delete(id);
      else this.#tentative.set(id, before);
    } else if (beneath !== undefined) {
      const at = beneath.findIndex(({ origin }) => origin === planned);
      if (at >= 0) beneath.splice(at, 1);
    }
    if (beneath?.length === 0) this.#beneath.delete(id);
  }

  /** The marks of all prefixes that a key is under. */
  #marksOf(key: Key): readonly Mark[] {
    if (key.type !== this.#lastKey.type || key.namespace !== this.#lastKey.namespace || this.#lastMarks.length === 0) {
      this.#lastKey = key;
      this.#lastMarks = ['', key.type, `${key.type}\0${key.namespace}`].map((prefix) => {
        let mark = this.#marks.get(prefix);
        if (mark === undefined) this.#marks.set(prefix, (mark = { planned: undefined, changed: this.#floor }));
        return mark;
      });
    }
    return this.#lastMarks;
  }
}

/** What a read found. */
export function stateOf(
  id: string,
  key: Key,
  { revision, version }: Pick<Entry, 'revision' | 'version'>,
  form: Form | undefined,
): KeyState {
  return { id, key, origin: revision, form, version, at: revision };
}

/** What a read found that found nothing. */
export function absent(id: string, key: Key): KeyState {
  return { id, key, origin: 'absent', form: undefined, version: 0, at: 0 };
}

export function isUnder(key: Key, prefix: Prefix): boolean {
  return prefix.type === undefined || (key.type === prefix.type && (prefix.namespace === undefined || key.namespace === prefix.namespace));
}
