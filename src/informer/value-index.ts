/**
 * An index: objects by the values a function gives for them, none, one or several each.
 *
 * Invariants: a value nobody has is not held; an update that gives the same values changes nothing. The function is given
 * frozen objects and must be pure: the values of an object are computed again to take it out. If it throws, or gives what
 * is neither text nor a list of texts, the object is under no value, and `onError` hears of it: nothing goes through here.
 */
import { addToBucket, eachSlot, removeFromBucket, type Bucket, type Slot } from './buckets.js';
import { InvalidError, type IndexFunction } from '../schemas/index.js';

type Values = string | readonly string[] | undefined;

function isValues(values: unknown): values is Values {
  if (typeof values === 'string' || values === undefined) return true;
  if (!Array.isArray(values)) return false;
  for (let i = 0; i < values.length; i++) if (typeof values[i] !== 'string') return false;
  return true;
}

function inWords(values: unknown): string {
  return Array.isArray(values) ? 'an array with something else in it' : values === null ? 'null' : typeof values;
}

function sameValues(a: Values, b: Values): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function hasValue(values: Values, value: string): boolean {
  return typeof values === 'object' ? values.includes(value) : values === value;
}

export class ValueIndex<T> {
  readonly #values: IndexFunction<T>;
  readonly #buckets = new Map<string, Bucket<T>>();
  readonly #onError: (error: unknown, object: T) => void;

  constructor(values: IndexFunction<T>, onError: (error: unknown, object: T) => void) {
    this.#values = values;
    this.#onError = onError;
  }

  /** How many values are held: what tests and stats look at. */
  get size(): number {
    return this.#buckets.size;
  }

  add(slot: Slot<T>): void {
    this.#put(this.#valuesOf(slot.object, true), slot);
  }

  /** To be called with `slot.object` already the new object. */
  update(slot: Slot<T>, previous: T): void {
    const before = this.#valuesOf(previous, false);
    const after = this.#valuesOf(slot.object, true);
    if (sameValues(before, after)) return;
    this.#take(before, slot);
    this.#put(after, slot);
  }

  remove(slot: Slot<T>): void {
    this.#take(this.#valuesOf(slot.object, false), slot);
  }

  each(value: string, visit: (slot: Slot<T>) => void): void {
    eachSlot(this.#buckets.get(value), visit);
  }

  /** Whether the function gives `value` for `object`. */
  holds(object: T, value: string): boolean {
    return hasValue(this.#valuesOf(object, false), value);
  }

  #valuesOf(object: T, report: boolean): Values {
    try {
      const values: unknown = this.#values(object);
      if (isValues(values)) return values;
      throw new InvalidError(`an index function must give a string, an array of strings or undefined, not ${inWords(values)}`);
    } catch (error) {
      // Taking an object out runs the function a second time; the first time has told.
      if (report) this.#onError(error, object);
      return undefined;
    }
  }

  #put(values: Values, slot: Slot<T>): void {
    if (typeof values === 'string') addToBucket(this.#buckets, values, slot);
    else if (values !== undefined) for (const value of values) addToBucket(this.#buckets, value, slot);
  }

  #take(values: Values, slot: Slot<T>): void {
    if (typeof values === 'string') removeFromBucket(this.#buckets, values, slot);
    else if (values !== undefined) for (const value of values) removeFromBucket(this.#buckets, value, slot);
  }
}
