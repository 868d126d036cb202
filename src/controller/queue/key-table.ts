/**
 * The keys of a queue, a row each: columns of numbers instead of an object a key.
 *
 * Invariants: a key has a row as long as there is something to say about it; a freed row holds no reference to its key
 * or causes. Columns that only some queues need (priorities, causes, failures...) appear when first written to. `next` and
 * `prev` belong to whoever holds the row: a priority band, the line at the bucket, or the list of free rows.
 */
import { KeyIndex } from './key-index.js';
import { NONE } from './no-row.js';

const SMALLEST = 64;
/** From here on columns grow by half instead of doubling: less slack per key. */
const LARGE = 4096;

export class KeyTable {
  keys: string[] = noKeys();
  state = new Uint8Array(SMALLEST);
  next = new Int32Array(SMALLEST);
  prev = new Int32Array(SMALLEST);
  /** Monotonic ms: ready since, while it waits or is held; started at, while it is with a worker. */
  since = new Float64Array(SMALLEST);

  /** Priority of the run that is asked for. */
  priority: Float64Array | undefined;
  /** What `mergeCause` gave, of the run that is asked for. */
  causes: unknown[] | undefined;
  /** Rate-limited adds since the last forget. */
  failures: Uint32Array | undefined;
  /** When a key that is with a worker was added again. */
  dirtySince: Float64Array | undefined;
  /** Before this moment the key is not to start again. */
  notBefore: Float64Array | undefined;

  readonly #seed: number;
  /** Where each key's row is. */
  #index: KeyIndex;
  #free = NONE;
  #used = 0;

  /** `seed`: 32 bits of chance, for where keys go. */
  constructor(seed: number) {
    this.#seed = seed;
    this.#index = new KeyIndex(seed);
  }

  /** Rows from 0 up to this one were used; those that are free now are `idle`. */
  get used(): number {
    return this.#used;
  }

  /** Rows that there is room for. */
  get capacity(): number {
    return this.state.length;
  }

  /** The row of a key, or `NONE`. */
  find(key: string): number {
    return this.#index.find(this.keys, key);
  }

  /** The row of a key; one that has none gets one, with state `idle`. */
  rowOf(key: string): number {
    const fresh = this.#free === NONE ? this.#used : this.#free;
    const row = this.#index.findOrAdd(this.keys, key, fresh);
    if (row === fresh) this.#use(row, key);
    return row;
  }

  /** Puts a key into a row that is free. */
  #use(row: number, key: string): void {
    if (row === this.#used) {
      if (row === this.state.length) this.#grow();
      this.#used = row + 1;
      this.keys.push(key);
    } else {
      this.#free = this.next[row] as number;
      this.keys[row] = key;
    }
  }

  /** Takes the row of a key that nothing is left to say about. */
  free(row: number): void {
    this.#index.remove(row);
    if (this.#index.size === 0 && this.#used > LARGE) {
      this.#reset();
      return;
    }
    this.keys[row] = '';
    this.state[row] = 0;
    if (this.causes !== undefined) this.causes[row] = undefined;
    if (this.priority !== undefined) this.priority[row] = 0;
    if (this.notBefore !== undefined) this.notBefore[row] = 0;
    this.next[row] = this.#free;
    this.#free = row;
  }

  setPriority(row: number, priority: number): void {
    if (this.priority !== undefined) this.priority[row] = priority;
    else if (priority !== 0) (this.priority = new Float64Array(this.capacity))[row] = priority;
  }

  setCause(row: number, stored: unknown): void {
    if (this.causes === undefined) this.causes = this.keys.map(() => undefined);
    while (this.causes.length <= row) this.causes.push(undefined);
    this.causes[row] = stored;
  }

  /** Counts one more failure and gives the number before it. */
  countFailure(row: number): number {
    const failures = (this.failures ??= new Uint32Array(this.capacity));
    const before = failures[row] as number;
    if (before < 0xffffffff) failures[row] = before + 1;
    return before;
  }

  failuresOf(row: number): number {
    return this.failures === undefined ? 0 : (this.failures[row] as number);
  }

  setDirtySince(row: number, at: number): void {
    (this.dirtySince ??= new Float64Array(this.capacity))[row] = at;
  }

  setNotBefore(row: number, at: number): void {
    (this.notBefore ??= new Float64Array(this.capacity))[row] = at;
  }

  /** A burst has passed: give its memory back. */
  #reset(): void {
    this.#index = new KeyIndex(this.#seed);
    this.keys = noKeys();
    this.#free = NONE;
    this.#used = 0;
    this.state = new Uint8Array(SMALLEST);
    this.next = new Int32Array(SMALLEST);
    this.prev = new Int32Array(SMALLEST);
    this.since = new Float64Array(SMALLEST);
    this.priority = undefined;
    this.causes = undefined;
    this.failures = undefined;
    this.dirtySince = undefined;
    this.notBefore = undefined;
  }

  #grow(): void {
    const size = this.state.length;
    const larger = size < LARGE ? size * 2 : size + (size >> 1);
    this.state = copied(this.state, new Uint8Array(larger));
    this.next = copied(this.next, new Int32Array(larger));
    this.prev = copied(this.prev, new Int32Array(larger));
    this.since = copied(this.since, new Float64Array(larger));
    if (this.priority !== undefined) this.priority = copied(this.priority, new Float64Array(larger));
    if (this.failures !== undefined) this.failures = copied(this.failures, new Uint32Array(larger));
    if (this.dirtySince !== undefined) this.dirtySince = copied(this.dirtySince, new Float64Array(larger));
    if (this.notBefore !== undefined) this.notBefore = copied(this.notBefore, new Float64Array(larger));
  }
}

/** An empty array that is made for strings from the start: otherwise the first push changes what V8 takes it for. */
function noKeys(): string[] {
  const keys = [''];
  keys.length = 0;
  return keys;
}

function copied<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
