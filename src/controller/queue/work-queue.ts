/**
 * The work queue: glues the state table to key table, bands, delay heap and limiters. The contract is docs/queue.md.
 *
 * Invariants: a key has one row and one state; the state changes only in `#move`, `#take` and the first add of a key, as
 * the table says; a row is in a band exactly while it waits, and has a time exactly while delayed, held, cooling or
 * processing with a delay: in the heap, or in line at the bucket. One timer at most. Nothing throws after an argument was
 * accepted.
 */
import { type Duration, InvalidError, parseDuration } from '../../schemas/index.js';
import { abortedError, onAbort } from '../../store/index.js';
import { Alarm } from './alarm.js';
import { Bell } from './bell.js';
import { causesOf, droppedOf, mergeCause } from './causes.js';
import { queueDefaults } from './defaults.js';
import { DelayHeap } from './delay-heap.js';
import { inspectKeys } from './inspect.js';
import { KeyTable } from './key-table.js';
import { NONE } from './no-row.js';
import { PriorityBands } from './priority-bands.js';
import { createQueueMetrics, type QueueMetrics } from './queue-metrics.js';
import type { Backoff } from './rate-limiters.js';
import { policyOf, priorityOf, resolveSettings } from './settings.js';
import { events, next as transition, states } from './state-table.js';
import { TokenGate } from './token-gate.js';
import type { AddAfterOptions, AddOptions, DelayPolicy, InspectedKey, Item, QueueDeps, WorkQueue, WorkQueueOptions } from './types.js';

const { idle, waiting, delayed, held, processing, processingDelayed, dirty, cooling } = states;
const { add, delay: delayEvent, due: dueEvent, take, done, cancel } = events;

const among = (...some: readonly number[]): readonly boolean[] => Object.values(states).map((state) => some.includes(state));
/** Whether rows in a state have a time, by number. */
const hasTime = among(delayed, held, processingDelayed, cooling);
const withWorker = among(processing, processingDelayed, dirty);

/** What an add says that says nothing. */
const none: AddAfterOptions<never> = {};

/** A timer may be this early, in ms: sums of fractions are not exact. */
const EARLY = 0.01;
/** Keys that one turn of the timer makes ready before it looks at the clock. */
const DUE_BATCH = 256;

/**
 * Makes a work queue.
 *
 * @throws {InvalidError} when an option is out of range.
 * @example
 * const queue = createWorkQueue({ name: 'scaling' });
 * queue.add('prod/web');
 * const item = await queue.get();
 */
export function createWorkQueue<Cause = unknown>(options: WorkQueueOptions = {}): WorkQueue<Cause> {
  return new KeyedWorkQueue<Cause>(options);
}

class KeyedWorkQueue<Cause> implements WorkQueue<Cause> {
  readonly name: string;
  readonly #deps: QueueDeps;
  readonly #clock: QueueDeps['clock'];
  readonly #backoff: Backoff;
  /** With a bucket only. */
  readonly #gate: TokenGate | undefined;
  readonly #minInterval: number;
  readonly #table: KeyTable;
  readonly #bands: PriorityBands;
  readonly #delays = new DelayHeap();
  readonly #metrics: QueueMetrics | undefined;
  #processing = 0;
  /** The row handed out last, until the next `done`. */
  #lastTaken = NONE;
  #cooling = 0;
  readonly #alarm: Alarm;
  #shut = false;
  readonly #bell: Bell<Cause>;
  readonly #drains = new Set<() => void>();

  constructor(options: WorkQueueOptions) {
    const { name, deps, backoff, bucket, minInterval, ageing } = resolveSettings(options);
    this.name = name;
    this.#deps = deps;
    this.#clock = deps.clock;
    this.#table = new KeyTable((deps.random.next() * 2 ** 32) | 0);
    this.#alarm = new Alarm(deps.scheduler, () => this.#fire());
    this.#backoff = backoff;
    this.#gate = bucket === undefined ? undefined : new TokenGate(bucket, this.#table);
    this.#minInterval = minInterval;
    this.#bands = new PriorityBands(this.#table, ageing);
    this.#bell = new Bell<Cause>(deps.scheduler, () => this.tryGet());
    const { metrics } = options;
    if (metrics !== undefined) this.#metrics = createQueueMetrics(metrics, name, this.#clock, this.#table, this.#bands);
  }

  get shuttingDown(): boolean {
    return this.#shut;
  }

  add(key: string, options?: AddOptions<Cause>): boolean {
    if (this.#shut) return false;
    const priority = options === undefined ? 0 : priorityOf(options);
    const row = this.#rowFor(key);
    if (this.#table.state[row] === idle) this.#first(row, priority, options?.cause);
    else this.#again(row, priority, options?.cause);
    return true;
  }

  addAfter(key: string, delay: Duration, options: AddAfterOptions<Cause> = none): boolean {
    if (this.#shut) return false;
    const ms = typeof delay === 'number' && delay < Infinity ? delay : parseDuration(delay, 'delay');
    const policy = policyOf(options);
    const priority = priorityOf(options);
    const row = this.#rowFor(key);
    if (ms > 0) this.#metrics?.retried();
    this.#later(row, ms, false, policy, priority, options.cause);
    return true;
  }

  addRateLimited(key: string, options: AddAfterOptions<Cause> = none): boolean {
    if (this.#shut) return false;
    const policy = policyOf(options);
    const priority = priorityOf(options);
    const known = this.#rowOf(key);
    const failures = known === NONE ? 0 : this.#table.failuresOf(known);
    const ms = this.#backoff(failures, this.#deps.random);
    if (!(ms < Infinity)) {
      throw new InvalidError(
        `the backoff of work queue ${this.name} gave ${ms} after ${failures} failures: it must be a finite number of ms`,
      );
    }
    const row = known === NONE ? this.#rowFor(key) : known;
    this.#table.countFailure(row);
    this.#metrics?.retried();
    this.#later(row, ms, this.#gate !== undefined, policy, priority, options.cause);
    return true;
  }

  tryGet(): Item<Cause> | undefined {
    return this.#bands.size === 0 ? undefined : this.#take(this.#clock.monotonic());
  }

  get(options?: { readonly signal?: AbortSignal | undefined }): Promise<Item<Cause> | undefined> {
    const signal = options?.signal;
    if (signal?.aborted === true) return Promise.reject(this.#aborted(signal));
    if (this.#bands.size !== 0 || this.#shut) return Promise.resolve(this.tryGet());
    return this.#bell.wait(signal, (aborted) => this.#aborted(aborted));
  }

  done(key: string): void {
    const row = this.#rowOf(key);
    if (row === NONE) return;
    const state = this.#table.state[row] as number;
    if (withWorker[state] !== true) return;
    this.#processing -= 1;
    this.#lastTaken = NONE;
    const simple = this.#minInterval === 0 && this.#metrics === undefined;
    if (state === processing && simple) {
      this.#settle(row, idle);
    } else {
      const now = this.#clock.monotonic();
      this.#metrics?.done(now - (this.#table.since[row] as number));
      if (state === dirty) this.#table.since[row] = (this.#table.dirtySince as Float64Array)[row] as number;
      this.#move(row, state, done, now);
    }
    if (this.#shut) this.#checkDrained();
  }

  forget(key: string): void {
    const failures = this.#table.failures;
    if (failures === undefined) return;
    const row = this.#rowOf(key);
    if (row === NONE) return;
    failures[row] = 0;
    if (this.#table.state[row] === idle) this.#table.free(row);
  }

  numRequeues(key: string): number {
    if (this.#table.failures === undefined) return 0;
    const row = this.#rowOf(key);
    return row === NONE ? 0 : this.#table.failuresOf(row);
  }

  cancel(key: string): boolean {
    const row = this.#table.find(key);
    if (row === NONE) return false;
    const state = this.#table.state[row] as number;
    if (state === transition[(state << 3) | cancel]) return false;
    this.#clearRun(row);
    this.#move(row, state, cancel, this.#clock.monotonic());
    if (this.#shut) this.#checkDrained();
    return true;
  }

  len(): number {
    return this.#bands.size;
  }

  processing(): number {
    return this.#processing;
  }

  delayed(): number {
    return this.#times - this.#cooling;
  }

  oldestWait(): number {
    return Math.max(0, this.#clock.monotonic() - this.#bands.oldestHead());
  }

  inspect(): readonly InspectedKey<Cause>[] {
    const parts = { table: this.#table, bands: this.#bands, delays: this.#delays, gate: this.#gate };
    return inspectKeys<Cause>(parts, this.#clock.monotonic());
  }

  onReady(listener: () => void): () => void {
    return this.#bell.listen(listener);
  }

  shutDown(): void {
    this.#close();
    for (const end of this.#drains) end();
  }

  async shutDownWithDrain(options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    const signal = options?.signal;
    this.#close();
    if (this.#bands.size === 0 && this.#processing === 0) return;
    if (signal?.aborted === true) throw this.#aborted(signal);
    await new Promise<void>((resolve, reject) => {
      const end = (): void => {
        this.#drains.delete(end);
        removeListener();
        resolve();
      };
      this.#drains.add(end);
      const removeListener = onAbort(signal, () => {
        this.#drains.delete(end);
        reject(this.#aborted(signal as AbortSignal));
      });
    });
  }

  /** Shuts down and drops what waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.shutDown();
    const keys: string[] = [];
    this.#bands.forEachRow((row) => keys.push(this.#table.keys[row] as string));
    for (const key of keys) this.cancel(key);
    this.#bell.removeListeners();
    this.#metrics?.close();
  }

  /** A plain add of a key that is idle: the common case, kept short. */
  #first(row: number, priority: number, cause: unknown): void {
    const table = this.#table;
    table.state[row] = waiting;
    table.since[row] = this.#clock.monotonic();
    if (priority !== 0 || table.priority !== undefined) table.setPriority(row, priority);
    if (cause !== undefined) table.setCause(row, cause);
    this.#metrics?.added();
    this.#bands.push(row, priority);
    this.#bell.ring();
  }

  /** A plain add of a key. */
  #again(row: number, priority: number, cause: unknown): void {
    const table = this.#table;
    const state = table.state[row] as number;
    this.#ask(row, state, priority, cause);
    // Waiting, held or dirty: it is ready, or will be at the end of its interval or run.
    if (transition[(state << 3) | add] === state) return;
    this.#metrics?.added();
    const now = this.#clock.monotonic();
    if (withWorker[state] === true) table.setDirtySince(row, now);
    else table.since[row] = now;
    this.#move(row, state, add, now);
  }

  /** A delayed add; `limited`: the bucket has a word in it. */
  #later(row: number, ms: number, limited: boolean, policy: DelayPolicy, priority: number, cause: unknown): void {
    const state = this.#table.state[row] as number;
    const pending = state === delayed || state === processingDelayed;
    if (!(ms > 0) && !limited && !(pending && policy === 'latest')) {
      this.#again(row, priority, cause);
      return;
    }
    this.#ask(row, state, priority, cause);
    const to = transition[(state << 3) | delayEvent] as number;
    const now = this.#clock.monotonic();
    const due = now + Math.max(0, ms);
    if (pending) this.#meet(row, due, limited, policy);
    else if (to !== state) {
      if (state === cooling) this.#cooling -= 1;
      this.#table.state[row] = to;
      this.#delays.set(row, due);
      this.#gate?.set(row, limited);
    }
    this.#arm(now);
  }

  /** Notes priority and cause of an add. */
  #ask(row: number, state: number, priority: number, cause: unknown): void {
    const table = this.#table;
    if (cause !== undefined) table.setCause(row, mergeCause(table.causes?.[row], cause));
    if (state === idle || state === processing || state === cooling) table.setPriority(row, priority);
    else this.#raise(row, state, priority);
  }

  /** A delay meets the pending one of its key. The delay of a key in line is over: every other is a later one. */
  #meet(row: number, due: number, limited: boolean, policy: DelayPolicy): void {
    const pending = this.#gate?.isInLine(row) === true ? -Infinity : this.#delays.dueOf(row);
    if (policy === 'earliest' ? due >= pending : policy === 'latest' ? due <= pending : false) return;
    this.#delays.set(row, due);
    this.#gate?.set(row, limited);
  }

  /** Rows that have a time. */
  get #times(): number {
    return this.#delays.size + (this.#gate === undefined ? 0 : this.#gate.size);
  }

  /** The row of a key, or `NONE`. What workers speak of is mostly what they have just taken: no look-up for that. */
  #rowOf(key: string): number {
    const last = this.#lastTaken;
    return last !== NONE && this.#table.keys[last] === key ? last : this.#table.find(key);
  }

  /** The row of a key, which gets one if it has none. */
  #rowFor(key: string): number {
    if (typeof key !== 'string') throw new InvalidError(`a key of work queue ${this.name} must be a string, got ${typeof key}`);
    return this.#table.rowOf(key);
  }

  /** Gives a key the higher of its priority and another; one that waits goes to the end of its new band. */
  #raise(row: number, state: number, priority: number): void {
    const table = this.#table;
    const before = table.priority === undefined ? 0 : (table.priority[row] as number);
    if (priority <= before) return;
    table.setPriority(row, priority);
    if (state !== waiting) return;
    this.#bands.remove(row, before);
    this.#bands.push(row, priority);
  }

  /** Applies an event to a key. */
  #move(row: number, from: number, event: number, now: number): void {
    let to = transition[(from << 3) | event] as number;
    if (this.#minInterval !== 0 && !this.#shut && now < (this.#table.notBefore?.[row] ?? 0) - EARLY) {
      if (to === waiting) to = held;
      else if (to === idle) to = cooling;
    }
    if (from === waiting) this.#bands.remove(row, this.#priorityOf(row));
    if (from === cooling) this.#cooling -= 1;
    // Only a key that goes on waiting for its delay keeps its place in line.
    if (hasTime[from] === true && to !== delayed) this.#gate?.leave(row);
    if (to === held || to === cooling) {
      if (to === cooling) this.#cooling += 1;
      this.#table.state[row] = to;
      this.#delays.set(row, (this.#table.notBefore as Float64Array)[row] as number);
      this.#arm(now);
      return;
    }
    if (hasTime[from] === true && hasTime[to] !== true) {
      this.#delays.remove(row);
      if (this.#times === 0) this.#alarm.cancel();
    }
    this.#settle(row, to);
  }

  /** Puts a row into a state, and where that state belongs. */
  #settle(row: number, state: number): void {
    this.#table.state[row] = state;
    if (state === waiting) {
      this.#bands.push(row, this.#priorityOf(row));
      this.#bell.ring();
    } else if (state === idle && this.#table.failuresOf(row) === 0) {
      this.#table.free(row);
    }
  }

  #priorityOf(row: number): number {
    return this.#table.priority === undefined ? 0 : (this.#table.priority[row] as number);
  }

  /** Hands out the next key; there is one. */
  #take(now: number): Item<Cause> {
    const table = this.#table;
    const row = this.#bands.shift(now);
    const stored = table.causes === undefined ? undefined : table.causes[row];
    const waitedMs = now - (table.since[row] as number);
    const item: Item<Cause> = {
      key: table.keys[row] as string,
      priority: this.#priorityOf(row),
      causes: causesOf<Cause>(stored),
      droppedCauses: stored === undefined ? 0 : droppedOf(stored),
      waitedMs,
      attempts: table.failuresOf(row),
      takenAt: now,
    };
    this.#clearRun(row);
    table.state[row] = transition[(waiting << 3) | take] as number;
    table.since[row] = now;
    this.#processing += 1;
    this.#lastTaken = row;
    if (this.#minInterval !== 0) table.setNotBefore(row, now + this.#minInterval);
    this.#metrics?.taken(waitedMs);
    return item;
  }

  /** Forgets what was said about a run that has begun, or will not. */
  #clearRun(row: number): void {
    const table = this.#table;
    if (table.causes !== undefined && row < table.causes.length) table.causes[row] = undefined;
  }

  /** Sees to it that the timer is not later than what is due first. */
  #arm(now: number): void {
    const row = this.#delays.peek();
    const delay = row === NONE ? Infinity : this.#delays.dueOf(row);
    this.#alarm.set(this.#gate === undefined ? delay : Math.min(delay, this.#gate.nextAt(now)), now);
  }

  /** Makes ready what is due; a great many keys take several turns. */
  #fire(): void {
    const start = this.#clock.monotonic();
    let now = start;
    for (let count = 1; ; count += 1) {
      const row = this.#nextDue(now);
      if (row === NONE) break;
      this.#due(row, now);
      if (count % DUE_BATCH === 0) {
        now = this.#clock.monotonic();
        if (now - start > queueDefaults.sliceMs || count >= queueDefaults.sliceItems * 4) break;
      }
    }
    this.#arm(now);
  }

  /** The row whose time has come: who got its token, or else whose delay is over; `NONE` if there is none. */
  #nextDue(now: number): number {
    const admitted = this.#gate === undefined ? NONE : this.#gate.admit(now, EARLY);
    if (admitted !== NONE) return admitted;
    const row = this.#delays.peek();
    return row === NONE || this.#delays.dueOf(row) > now + EARLY ? NONE : row;
  }

  #due(row: number, now: number): void {
    const table = this.#table;
    const state = table.state[row] as number;
    if (state === delayed || state === processingDelayed) {
      if (this.#gate?.arrive(row) === true) {
        this.#delays.remove(row);
        return;
      }
      this.#metrics?.added();
      if (state === delayed) table.since[row] = now;
      else table.setDirtySince(row, now);
    }
    this.#move(row, state, dueEvent, now);
  }

  #close(): void {
    if (this.#shut) return;
    this.#shut = true;
    this.#dropDelays();
    if (this.#bands.size !== 0) return;
    this.#bell.end();
  }

  /** At shutdown: delays end; what only its interval held back is ready, so that a drain does not wait for it. */
  #dropDelays(): void {
    const rows: number[] = [];
    for (let row = this.#delays.peek(); row !== NONE; row = this.#delays.peek()) {
      rows.push(row);
      this.#delays.remove(row);
    }
    this.#gate?.forEach(0, (row) => rows.push(row));
    for (const row of rows) this.#gate?.leave(row);
    this.#alarm.cancel();
    this.#cooling = 0;
    const wereHeld = rows.filter((row) => this.#table.state[row] === held);
    for (const row of rows) {
      const state = this.#table.state[row] as number;
      if (state === processingDelayed) this.#table.state[row] = processing;
      if (state === delayed || state === cooling) {
        this.#clearRun(row);
        this.#settle(row, idle);
      }
    }
    // Last, and with a look: whoever hears of the first may already have cancelled the next.
    for (const row of wereHeld) if (this.#table.state[row] === held) this.#settle(row, waiting);
  }

  #checkDrained(): void {
    if (this.#bands.size !== 0 || this.#processing !== 0) return;
    for (const end of this.#drains) end();
  }

  #aborted(signal: AbortSignal): Error {
    return abortedError(signal, `the wait on work queue ${this.name}`);
  }
}
