/**
 * Objects by label, key then value: what makes `=` and `in` of a label selector a lookup.
 *
 * Invariants: a value or key that no object carries is not held; an update that leaves the labels alone changes nothing.
 */
import type { Selector } from '../schemas/index.js';
import { addToBucket, bucketSize, eachSlot, removeFromBucket, type Bucket, type Slot } from './buckets.js';
import type { Cacheable } from './types.js';

type Labels = Readonly<Record<string, string>> | undefined;

function sameLabels(a: Labels, b: Labels): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  let extra = 0;
  for (const key in a) {
    if (a[key] !== b[key]) return false;
    extra += 1;
  }
  for (const _key in b) extra -= 1;
  return extra === 0;
}

/** Slots that a selector can match, found by lookup; a superset of the matches. */
export interface Candidates<T> {
  readonly size: number;
  each(visit: (slot: Slot<T>) => void): void;
}

export class LabelIndex<T extends Cacheable> {
  readonly #keys = new Map<string, Map<string, Bucket<T>>>();

  /** How many label keys are held. */
  get size(): number {
    return this.#keys.size;
  }

  add(slot: Slot<T>): void {
    this.#put(slot.object.metadata.labels, slot);
  }

  /** To be called with `slot.object` already the new object. */
  update(slot: Slot<T>, previous: T): void {
    const before: Labels = previous.metadata.labels;
    const after: Labels = slot.object.metadata.labels;
    if (sameLabels(before, after)) return;
    this.#take(before, slot);
    this.#put(after, slot);
  }

  remove(slot: Slot<T>): void {
    this.#take(slot.object.metadata.labels, slot);
  }

  /** The smallest set of slots that one `=` or `in` of the selector leaves, or undefined when it has neither. */
  candidates(selector: Selector): Candidates<T> | undefined {
    let best: readonly (Bucket<T> | undefined)[] | undefined;
    let size = Number.POSITIVE_INFINITY;
    for (const requirement of selector.requirements) {
      if (requirement.operator !== 'In') continue;
      const values = this.#keys.get(requirement.key);
      const buckets = [...new Set(requirement.values)].map((value) => values?.get(value));
      const total = buckets.reduce((sum, bucket) => sum + bucketSize(bucket), 0);
      if (total < size) {
        best = buckets;
        size = total;
      }
    }
    if (best === undefined) return undefined;
    const buckets = best;
    return {
      size,
      each(visit) {
        for (const bucket of buckets) eachSlot(bucket, visit);
      },
    };
  }

  #put(labels: Labels, slot: Slot<T>): void {
    for (const key in labels) {
      let values = this.#keys.get(key);
      if (values === undefined) this.#keys.set(key, (values = new Map()));
      addToBucket(values, labels[key] as string, slot);
    }
  }

  #take(labels: Labels, slot: Slot<T>): void {
    for (const key in labels) {
      const values = this.#keys.get(key);
      if (values === undefined) continue;
      removeFromBucket(values, labels[key] as string, slot);
      if (values.size === 0) this.#keys.delete(key);
    }
  }
}
