/**
 * What waits for one handler that is busy, in order and bounded.
 *
 * Invariants: up to `limit` changes wait one by one. Beyond that those of one object are merged until nothing waits any
 * more: the latest object with the first previous, a delete and an add where the uid changed, nothing for an object that
 * came and went. So no more waits than two changes for each object that is cached or that the handler knows, however long
 * it lags. Order within an object holds always; across objects until merging begins.
 */
import type { Change, Deletion, Item } from './change.js';
import { keyText } from './keys.js';
import type { Cacheable } from './types.js';

/** What all waiting changes of one object come to. */
interface Merged<T> {
  /** What the handler still has to be told is gone. */
  gone: { readonly last: T; readonly deletion: Deletion } | undefined;
  /** What the handler knows and is still there under a new state. */
  known: T | undefined;
  current: T | undefined;
  initial: boolean;
}

/** Changes that were taken and whose places the list may still hold, beyond as many as wait. */
const COMPACT_AT = 64;

// No key contains a slash at its start.
const SYNCED = '/synced';
const BOOKMARK = '/bookmark';

export class PendingChanges<T extends Cacheable> {
  readonly #limit: number;
  readonly #onMissed: (count: number) => void;
  /** What waits lies from `#head` on. */
  #list: (Item<T> | undefined)[] = [];
  #head = 0;
  /** Marks in the list. */
  #marks = 0;
  /** In place of the list once the limit was passed, until it is empty again. */
  #merged: Map<string, Merged<T> | Item<T>> | undefined;
  /** One walk through `#merged` for all that is taken: a new one each time would pass by everything taken before. */
  #walk: Iterator<[string, Merged<T> | Item<T>]> | undefined;
  /** The second half of a delete and add, taken next. */
  #next: Item<T> | undefined;

  constructor(limit: number, onMissed: (count: number) => void) {
    this.#limit = limit;
    this.#onMissed = onMissed;
  }

  /** Everything that waits, marks included. */
  get size(): number {
    return (this.#merged?.size ?? this.#list.length - this.#head) + (this.#next === undefined ? 0 : 1);
  }

  /** The changes among it. */
  get changes(): number {
    const merged = this.#merged;
    const marks = merged === undefined ? this.#marks : Number(merged.has(SYNCED)) + Number(merged.has(BOOKMARK));
    return this.size - marks;
  }

  push(item: Item<T>): void {
    if (this.#merged !== undefined) {
      this.#merge(this.#merged, item);
      if (this.#merged.size === 0) this.#dropMerged();
      return;
    }
    this.#list.push(item);
    if (isMark(item)) this.#marks += 1;
    if (this.#list.length - this.#head > this.#limit) {
      const merged = (this.#merged = new Map());
      for (let i = this.#head; i < this.#list.length; i++) this.#merge(merged, this.#list[i] as Item<T>);
      this.#list = [];
      this.#head = 0;
      this.#marks = 0;
      if (merged.size === 0) this.#merged = undefined;
    }
  }

  shift(): Item<T> | undefined {
    const next = this.#next;
    if (next !== undefined) {
      this.#next = undefined;
      return next;
    }
    return this.#merged === undefined ? this.#shiftList() : this.#shiftMerged(this.#merged);
  }

  clear(): void {
    this.#list = [];
    this.#head = 0;
    this.#marks = 0;
    this.#dropMerged();
    this.#next = undefined;
  }

  #dropMerged(): void {
    this.#merged = undefined;
    this.#walk = undefined;
  }

  #shiftList(): Item<T> | undefined {
    if (this.#head === this.#list.length) return undefined;
    const item = this.#list[this.#head];
    this.#list[this.#head] = undefined;
    this.#head += 1;
    if (item !== undefined && isMark(item)) this.#marks -= 1;
    const waiting = this.#list.length - this.#head;
    // Also while something waits, since a handler that keeps up may never be quite done. Each change is moved once at most.
    if (waiting === 0 || this.#head >= waiting + COMPACT_AT) {
      this.#list = this.#list.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  #shiftMerged(merged: Map<string, Merged<T> | Item<T>>): Item<T> | undefined {
    this.#walk ??= merged.entries();
    const step = this.#walk.next();
    if (step.done === true) return undefined;
    const [key, entry] = step.value;
    merged.delete(key);
    if (merged.size === 0) this.#dropMerged();
    if ('type' in entry) return entry;
    const add: Change<T> | undefined =
      entry.current !== undefined && entry.known === undefined ? { type: 'add', object: entry.current, initial: entry.initial } : undefined;
    if (entry.gone !== undefined) {
      this.#next = add;
      return { type: 'delete', object: entry.gone.last, deletion: entry.gone.deletion };
    }
    return add ?? { type: 'update', object: entry.current as T, previous: entry.known as T };
  }

  #merge(merged: Map<string, Merged<T> | Item<T>>, item: Item<T>): void {
    if (item.type === 'synced') {
      merged.set(SYNCED, item);
      return;
    }
    if (item.type === 'bookmark') {
      // Only the last one matters, and it must come after all that it speaks of.
      merged.delete(BOOKMARK);
      merged.set(BOOKMARK, item);
      return;
    }
    const key = keyText(item.object.metadata.namespace, item.object.metadata.name);
    const entry = merged.get(key) as Merged<T> | undefined;
    if (entry === undefined) merged.set(key, firstOf(item));
    else this.#onMissed(mergeInto(merged, key, entry, item));
  }
}

function isMark(item: Item<unknown>): boolean {
  return item.type === 'synced' || item.type === 'bookmark';
}

function firstOf<T>(change: Change<T>): Merged<T> {
  switch (change.type) {
    case 'add':
      return { gone: undefined, known: undefined, current: change.object, initial: change.initial };
    case 'update':
      return { gone: undefined, known: change.previous, current: change.object, initial: false };
    case 'delete':
      return {
        gone: { last: change.object, deletion: change.deletion },
        known: undefined,
        current: undefined,
        initial: false,
      };
    default:
      return change satisfies never;
  }
}

/** Merges a later change into an entry; returns how many changes the handler will now not be told. */
function mergeInto<T>(merged: Map<string, Merged<T> | Item<T>>, key: string, entry: Merged<T>, change: Change<T>): number {
  switch (change.type) {
    case 'add':
      // Something was deleted under this key before, or there would be no add: both are told.
      entry.current = change.object;
      entry.initial = change.initial;
      return 0;
    case 'update':
      entry.current = change.object;
      return 1;
    case 'delete': {
      const { gone, known } = entry;
      entry.current = undefined;
      entry.known = undefined;
      if (known !== undefined) {
        entry.gone = { last: change.object, deletion: change.deletion };
        return 1;
      }
      // The handler never heard of what was deleted now.
      if (gone === undefined) merged.delete(key);
      return 2;
    }
    default:
      return change satisfies never;
  }
}
