/**
 * What has changed since a snapshot was taken: the state of each changed slot as it was then.
 *
 * Undo logs form a chain from older to newer; the cache writes to the newest alone and holds it weakly, so a snapshot that
 * nobody keeps costs nothing, and many snapshots share what they have in common. An older one folds the finished logs
 * behind it into itself when it is read, so a read looks into two logs at most: its own and the newest.
 */
import type { Slot } from './buckets.js';

export class UndoLog<T> {
  /** Slot -> object then; undefined: it was not there. */
  readonly #changed = new Map<Slot<T>, T | undefined>();
  /** Key -> slot that was there then and is no more. */
  readonly #removed = new Map<string, Slot<T>>();
  #next: UndoLog<T> | undefined;

  /** Nothing has changed yet: the next snapshot can use this log too. */
  get untouched(): boolean {
    return this.#changed.size === 0;
  }

  /** How many slots are remembered: what tests look at. */
  get size(): number {
    return this.#changed.size;
  }

  /** Hands the writing over to the log of a newer snapshot. */
  continueIn(next: UndoLog<T>): void {
    this.#next = next;
  }

  recordAdd(slot: Slot<T>): void {
    this.#changed.set(slot, undefined);
  }

  recordUpdate(slot: Slot<T>, previous: T): void {
    if (!this.#changed.has(slot)) this.#changed.set(slot, previous);
  }

  /** To be called with `slot.object` still the last object. */
  recordRemove(key: string, slot: Slot<T>): void {
    if (!this.#changed.has(slot)) this.#changed.set(slot, slot.object);
    else if (this.#changed.get(slot) === undefined) {
      // Came and went since: nobody needs to know.
      this.#changed.delete(slot);
      return;
    }
    this.#removed.set(key, slot);
  }

  /** Whether the slot is not now what it was then. */
  isChanged(slot: Slot<T>): boolean {
    const newest = this.#newest();
    return this.#changed.has(slot) || (newest !== undefined && newest.#changed.has(slot));
  }

  /** The slot's object then; undefined when it was not there. */
  objectThen(slot: Slot<T>): T | undefined {
    const newest = this.#newest();
    if (this.#changed.has(slot)) return this.#changed.get(slot);
    return newest !== undefined && newest.#changed.has(slot) ? newest.#changed.get(slot) : slot.object;
  }

  /** The object that was under a key then and whose slot is gone. */
  removedObject(key: string): T | undefined {
    const newest = this.#newest();
    const own = this.#removed.get(key);
    if (own !== undefined) return this.#changed.get(own);
    const later = newest === undefined ? undefined : newest.#removed.get(key);
    return later === undefined ? undefined : this.objectThen(later);
  }

  /** Calls `visit` with each object that was there then and has changed or gone since. */
  eachThen(visit: (object: T) => void): void {
    const newest = this.#newest();
    for (const object of this.#changed.values()) if (object !== undefined) visit(object);
    if (newest === undefined) return;
    for (const [slot, object] of newest.#changed) if (object !== undefined && !this.#changed.has(slot)) visit(object);
  }

  /** The log that is written to now, when it is not this one; finished ones on the way are folded in, so ask this before reading. */
  #newest(): UndoLog<T> | undefined {
    let next = this.#next;
    while (next !== undefined && next.#next !== undefined) {
      for (const [slot, object] of next.#changed) if (!this.#changed.has(slot)) this.#changed.set(slot, object);
      for (const [key, slot] of next.#removed) if (this.#changed.get(slot) !== undefined) this.#removed.set(key, slot);
      next = next.#next;
    }
    this.#next = next;
    return next;
  }
}
