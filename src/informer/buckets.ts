/**
 * Sets of cached objects by text value, kept small: a value with one object holds it without a set, an emptied value is gone.
 *
 * A `Slot` is an object's place in the cache for as long as its key exists: indexes point at slots, so an update that
 * changes no indexed value touches no index.
 */

/** An object's place. `object` is replaced by updates and stays as it last was when the key is deleted. */
export class Slot<T> {
  object: T;
  constructor(object: T) {
    this.object = object;
  }
}

/** The slots under one value: one, or a set of several. */
export type Bucket<T> = Slot<T> | Set<Slot<T>>;

/** Puts `slot` under `value`. */
export function addToBucket<T>(buckets: Map<string, Bucket<T>>, value: string, slot: Slot<T>): void {
  const bucket = buckets.get(value);
  if (bucket === undefined) buckets.set(value, slot);
  else if (bucket instanceof Set) bucket.add(slot);
  else if (bucket !== slot) buckets.set(value, new Set([bucket, slot]));
}

/** Takes `slot` from `value`; the value goes when nothing is left. */
export function removeFromBucket<T>(buckets: Map<string, Bucket<T>>, value: string, slot: Slot<T>): void {
  const bucket = buckets.get(value);
  if (bucket === slot) buckets.delete(value);
  else if (bucket instanceof Set) {
    bucket.delete(slot);
    if (bucket.size === 0) buckets.delete(value);
  }
}

export function bucketSize(bucket: Bucket<unknown> | undefined): number {
  if (bucket === undefined) return 0;
  return bucket instanceof Set ? bucket.size : 1;
}

/** Calls `visit` for each slot of a bucket. */
export function eachSlot<T>(bucket: Bucket<T> | undefined, visit: (slot: Slot<T>) => void): void {
  if (bucket === undefined) return;
  if (bucket instanceof Set) for (const slot of bucket) visit(slot);
  else visit(bucket);
}
