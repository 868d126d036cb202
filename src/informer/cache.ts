/**
 * The objects an informer knows, by namespace and name, with their indexes.
 *
 * Invariants: every index shows exactly the objects of the cache after each call; objects are held as they were handed in,
 * never copied. The label index is built when it is first asked for, since most informers never are.
 */
import type { IndexFunction, ObjectKey, Selector } from '../schemas/index.js';
import { Slot } from './buckets.js';
import { keyName, keyNamespace, keyText } from './keys.js';
import { LabelIndex } from './label-index.js';
import type { Cacheable } from './types.js';
import { UndoLog } from './undo-log.js';
import { ValueIndex } from './value-index.js';

export class ObjectCache<T extends Cacheable> {
  readonly #namespaces = new Map<string, Map<string, Slot<T>>>();
  readonly #indexes = new Map<IndexFunction<T>, ValueIndex<T>>();
  readonly #onIndexError: (error: unknown, object: T) => void;
  #labels: LabelIndex<T> | undefined;
  #undo: WeakRef<UndoLog<T>> | undefined;
  #size = 0;

  constructor(onIndexError: (error: unknown, object: T) => void) {
    this.#onIndexError = onIndexError;
  }

  get size(): number {
    return this.#size;
  }

  get hasLabelIndex(): boolean {
    return this.#labels !== undefined;
  }

  slot(namespace: string, name: string): Slot<T> | undefined {
    return this.#namespaces.get(namespace)?.get(name);
  }

  slotOf(key: ObjectKey | string): Slot<T> | undefined {
    return this.slot(keyNamespace(key), keyName(key));
  }

  /** Puts a new object in; its key must be free. */
  add(namespace: string, name: string, object: T): void {
    let names = this.#namespaces.get(namespace);
    if (names === undefined) this.#namespaces.set(namespace, (names = new Map()));
    const slot = new Slot(object);
    names.set(name, slot);
    this.#size += 1;
    this.#undoLog()?.recordAdd(slot);
    for (const index of this.#indexes.values()) index.add(slot);
    this.#labels?.add(slot);
  }

  /** Replaces the object of a slot. */
  update(slot: Slot<T>, object: T): void {
    const previous = slot.object;
    this.#undoLog()?.recordUpdate(slot, previous);
    slot.object = object;
    for (const index of this.#indexes.values()) index.update(slot, previous);
    this.#labels?.update(slot, previous);
  }

  /** Takes a slot out. */
  remove(namespace: string, name: string, slot: Slot<T>): void {
    const names = this.#namespaces.get(namespace);
    if (names === undefined || !names.delete(name)) return;
    if (names.size === 0) this.#namespaces.delete(namespace);
    this.#size -= 1;
    this.#undoLog()?.recordRemove(keyText(namespace, name), slot);
    for (const index of this.#indexes.values()) index.remove(slot);
    this.#labels?.remove(slot);
  }

  /** The index over a function, built from what is there if it is new. One function has one index, whoever asks. */
  index(values: IndexFunction<T>): ValueIndex<T> {
    let index = this.#indexes.get(values);
    if (index === undefined) {
      const built = (index = new ValueIndex(values, this.#onIndexError));
      this.each((slot) => built.add(slot));
      this.#indexes.set(values, index);
    }
    return index;
  }

  dropIndex(values: IndexFunction<T>): void {
    this.#indexes.delete(values);
  }

  labelIndex(): LabelIndex<T> {
    if (this.#labels === undefined) {
      const built = new LabelIndex<T>();
      this.each((slot) => built.add(slot));
      this.#labels = built;
    }
    return this.#labels;
  }

  /** Calls `visit` for every slot. */
  each(visit: (slot: Slot<T>) => void): void {
    for (const names of this.#namespaces.values()) for (const slot of names.values()) visit(slot);
  }

  /** Calls `visit` for every slot that may match: the smaller of the namespace and what the label index leaves. */
  eachCandidate(namespace: string | undefined, selector: Selector | undefined, visit: (slot: Slot<T>) => void): void {
    const names = namespace === undefined ? undefined : this.#namespaces.get(namespace);
    if (namespace !== undefined && names === undefined) return;
    const lookups = selector?.requirements.some((requirement) => requirement.operator === 'In') === true;
    const byLabel = lookups ? this.labelIndex().candidates(selector) : undefined;
    if (byLabel !== undefined && byLabel.size < (names?.size ?? Number.POSITIVE_INFINITY)) byLabel.each(visit);
    else if (names !== undefined) for (const slot of names.values()) visit(slot);
    else this.each(visit);
  }

  /** All objects, in no promised order. */
  objects(): T[] {
    const objects: T[] = [];
    this.each((slot) => objects.push(slot.object));
    return objects;
  }

  /** The log that remembers what changes from now on; whoever reads a snapshot must hold on to it. */
  beginUndo(): UndoLog<T> {
    const current = this.#undoLog();
    if (current?.untouched === true) return current;
    const log = new UndoLog<T>();
    current?.continueIn(log);
    this.#undo = new WeakRef(log);
    return log;
  }

  #undoLog(): UndoLog<T> | undefined {
    if (this.#undo === undefined) return undefined;
    const log = this.#undo.deref();
    if (log === undefined) this.#undo = undefined;
    return log;
  }
}
