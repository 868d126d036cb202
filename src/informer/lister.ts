/**
 * Reads over a cache: of the present, or (with an undo log) of the moment a snapshot was taken.
 *
 * Invariants: an index that nobody declared is an error, never a scan; a label selector with `=` or `in` is looked up.
 */
import { InvalidError, parseLabelSelector, type IndexFunction, type ObjectKey, type Selector } from '../schemas/index.js';
import type { LabelSelectorInput } from '../store/index.js';
import type { ObjectCache } from './cache.js';
import { keyName, keyNamespace, keyText, oneNamespace } from './keys.js';
import type { Cacheable, CacheQuery, Lister } from './types.js';
import type { UndoLog } from './undo-log.js';

/** Selectors as they were parsed before, since queries repeat the same few texts. */
export class SelectorMemory {
  readonly #parsed = new Map<string, Selector>();

  /** @throws {InvalidError} for a malformed selector. */
  parse(input: LabelSelectorInput): Selector {
    if (typeof input !== 'string') return parseLabelSelector(input);
    let selector = this.#parsed.get(input);
    if (selector === undefined) {
      selector = parseLabelSelector(input);
      if (this.#parsed.size >= 256) this.#parsed.clear();
      this.#parsed.set(input, selector);
    }
    return selector;
  }
}

/** The indexes of one user of an informer, by the names it gave them. */
export interface IndexNames<T> {
  /** What the informer is of, for errors. */
  readonly what: string;
  readonly functions: ReadonlyMap<string, IndexFunction<T>>;
}

function indexFunction<T>(names: IndexNames<T>, name: string): IndexFunction<T> {
  const values = names.functions.get(name);
  if (values !== undefined) return values;
  const known = [...names.functions.keys()];
  const hint = known.length === 0 ? 'it has none' : `it has ${known.map((each) => `"${each}"`).join(', ')}`;
  const message = `the informer of ${names.what} has no index "${name}": ${hint}; declare it in the definition's indexes or in the options of informers.for()`;
  throw new InvalidError(message, {
    causes: [{ reason: 'FieldValueNotSupported', field: 'index', message }],
  });
}

/** Whether an object is what a query asks for. */
function matcher<T extends Cacheable>(query: CacheQuery<T>, selector: Selector | undefined): (object: T) => boolean {
  const namespace = oneNamespace(query.namespace);
  const { filter } = query;
  return (object) =>
    (namespace === undefined || (object.metadata.namespace ?? '') === namespace) &&
    (selector === undefined || selector.matches(object.metadata.labels)) &&
    (filter === undefined || filter(object));
}

/** Reads the cache as it is now. */
export class LiveLister<T extends Cacheable> implements Lister<T> {
  readonly #cache: ObjectCache<T>;
  readonly #names: IndexNames<T>;
  readonly #selectors: SelectorMemory;

  constructor(cache: ObjectCache<T>, names: IndexNames<T>, selectors: SelectorMemory) {
    this.#cache = cache;
    this.#names = names;
    this.#selectors = selectors;
  }

  get size(): number {
    return this.#cache.size;
  }

  get(key: ObjectKey | string): T | undefined {
    return this.#cache.slotOf(key)?.object;
  }

  has(key: ObjectKey | string): boolean {
    return this.#cache.slotOf(key) !== undefined;
  }

  list(query?: CacheQuery<T>): readonly T[] {
    if (query === undefined) return this.#cache.objects();
    const selector = query.labelSelector === undefined ? undefined : this.#selectors.parse(query.labelSelector);
    const matches = matcher(query, selector);
    const found: T[] = [];
    this.#cache.eachCandidate(oneNamespace(query.namespace), selector, (slot) => {
      if (matches(slot.object)) found.push(slot.object);
    });
    return found;
  }

  byIndex(index: string, value: string): readonly T[] {
    const found: T[] = [];
    this.#cache.index(indexFunction(this.#names, index)).each(value, (slot) => found.push(slot.object));
    return found;
  }

  snapshot(): Lister<T> {
    return new SnapshotLister(this.#cache, this.#names, this.#selectors);
  }
}

/** Reads the cache as it was when this was made: the present, less what has changed since, plus what that was then. */
class SnapshotLister<T extends Cacheable> implements Lister<T> {
  readonly #cache: ObjectCache<T>;
  readonly #names: IndexNames<T>;
  readonly #selectors: SelectorMemory;
  readonly #undo: UndoLog<T>;
  readonly size: number;

  constructor(cache: ObjectCache<T>, names: IndexNames<T>, selectors: SelectorMemory) {
    this.#cache = cache;
    this.#names = names;
    this.#selectors = selectors;
    this.#undo = cache.beginUndo();
    this.size = cache.size;
  }

  get(key: ObjectKey | string): T | undefined {
    const removed = this.#undo.removedObject(keyText(keyNamespace(key), keyName(key)));
    if (removed !== undefined) return removed;
    const slot = this.#cache.slotOf(key);
    return slot === undefined ? undefined : this.#undo.objectThen(slot);
  }

  has(key: ObjectKey | string): boolean {
    return this.get(key) !== undefined;
  }

  list(query: CacheQuery<T> = {}): readonly T[] {
    const selector = query.labelSelector === undefined ? undefined : this.#selectors.parse(query.labelSelector);
    const matches = matcher(query, selector);
    const found: T[] = [];
    this.#cache.eachCandidate(oneNamespace(query.namespace), selector, (slot) => {
      if (!this.#undo.isChanged(slot) && matches(slot.object)) found.push(slot.object);
    });
    this.#undo.eachThen((object) => {
      if (matches(object)) found.push(object);
    });
    return found;
  }

  byIndex(name: string, value: string): readonly T[] {
    const index = this.#cache.index(indexFunction(this.#names, name));
    const found: T[] = [];
    index.each(value, (slot) => {
      if (!this.#undo.isChanged(slot)) found.push(slot.object);
    });
    this.#undo.eachThen((object) => {
      if (index.holds(object, value)) found.push(object);
    });
    return found;
  }
}
