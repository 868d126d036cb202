/**
 * One run of one key: what it is told, what it may write, what it collects.
 *
 * Invariants: cheap to make (100,000 a second and more): whatever a run may not need is made when it is touched. Once
 * revoked, it writes no more.
 */
import { ForbiddenError } from '../schemas/index.js';
import type { DeepReadonly, UnknownResource } from '../schemas/index.js';
import type { Clock, WriteReceipt } from '../store/index.js';
import { ChangeCause, type Cause } from './causes.js';
import type { WriteFacts, WriteGuard } from './bound-store.js';
import type { Outcome } from './outcome.js';
import type { Item, Worker } from './queue/index.js';
import type { CollectedEvent } from './recorder.js';
import { WriteRecord, type Hearing } from './write-record.js';

/** Why a key that was handed out was not reconciled. */
export type SkipReason = 'gone' | 'paused' | 'stopping' | 'slowed' | 'terminating';

/** A condition as the reconciler gave it. */
export interface CollectedCondition {
  readonly type: string;
  readonly status: boolean | 'True' | 'False' | 'Unknown';
  readonly reason: string | undefined;
  readonly message: string | undefined;
}

/** What is dealt with after the reconciler has settled. */
interface Collected {
  statusPatches: unknown[] | undefined;
  conditions: CollectedCondition[] | undefined;
  events: CollectedEvent[] | undefined;
  /** `type/key` of the children it ensured. */
  ensured: Set<string> | undefined;
}

/** What a run knows of its controller. */
export interface RunHost {
  /** `controller/<name>`. */
  readonly source: string;
  /** Whether all its writes are kept from running the key again, or the framework's own, or none. */
  readonly echo: 'own-status' | 'all' | 'none';
  /** How often changes were merged on their way here. */
  merges(): number;
  /** An event that was held back is somebody else's. */
  wakeHeld(key: string, cause: Cause, priority: number): void;
  uuid(): string;
  readonly deps: { readonly clock: Pick<Clock, 'monotonic'> };
}

export class Run implements WriteGuard {
  readonly host: RunHost;
  /** What the queue said. */
  readonly item: Item<Cause>;
  /** What the cache showed when it began; undefined when there is no such object. */
  object: DeepReadonly<UnknownResource> | undefined = undefined;
  phase: 'reconcile' | 'finalize' = 'reconcile';
  skipped: SkipReason | undefined = undefined;
  /** How it ended; undefined while it runs. */
  outcome: Outcome | undefined = undefined;
  tookMs = 0;

  /** Whose slot it has, while it is asynchronous. */
  worker: Worker | undefined = undefined;
  /** Past its deadline, not settled. */
  timedOut = false;
  /** The reconciler has settled, and what it left to be written is written: what remains is bookkeeping. */
  settled = false;
  /** Something else asked for another run meanwhile. */
  dirtied = false;

  #record: WriteRecord | undefined = undefined;
  #collected: Collected | undefined = undefined;
  #revoked: string | undefined = undefined;
  #abort: AbortController | undefined = undefined;
  #id: string | undefined = undefined;

  constructor(host: RunHost, item: Item<Cause>) {
    this.host = host;
    this.item = item;
  }

  get key(): string {
    return this.item.key;
  }
  /** It was handed out and is not reconciled now, though there is something to do. */
  get heldBack(): boolean {
    return this.skipped === 'paused' || this.skipped === 'slowed' || this.skipped === 'stopping';
  }
  /** 1 for a first try. */
  get attempt(): number {
    return this.item.attempts + 1;
  }
  get causes(): readonly Cause[] {
    const { causes } = this.item;
    return causes.length > 1 ? withoutTimers(causes) : causes;
  }
  /** Monotonic ms. */
  get startedAt(): number {
    return this.item.takenAt;
  }
  get id(): string {
    this.#id ??= this.host.uuid();
    return this.#id;
  }
  get source(): string {
    return this.host.source;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    return this.#abort.signal;
  }
  get aborted(): boolean {
    return this.#abort?.signal.aborted === true;
  }
  /** Tells the reconciler to stop; the first reason holds. */
  abort(reason: unknown): void {
    this.#abort ??= new AbortController();
    this.#abort.abort(reason);
  }

  /** Frees the worker's slot; the key stays held until the run has settled. */
  release(): void {
    this.worker?.release(this.item);
  }

  /** From now on its writes are refused, with this sentence. */
  revoke(why: string): void {
    this.#revoked ??= why;
  }
  get revoked(): string | undefined {
    return this.#revoked;
  }
  /** @throws {ForbiddenError} when it may write no more. */
  assertWritable(): void {
    if (this.#revoked !== undefined) {
      throw new ForbiddenError(`the write was refused: ${this.#revoked}`, { details: { key: this.key, controller: this.host.source } });
    }
  }

  // ---- what it writes

  #writing(): WriteRecord {
    this.assertWritable();
    this.#record ??= new WriteRecord(this);
    return this.#record;
  }
  /** The revisions it wrote, and what the caches have to show; undefined before the first write. */
  get record(): WriteRecord | undefined {
    return this.#record;
  }
  /** Writes that made a revision. */
  get writes(): number {
    return this.#record === undefined ? 0 : this.#record.count;
  }
  /** Writes that changed nothing. */
  get noops(): number {
    return this.#record === undefined ? 0 : this.#record.noops;
  }
  /** The object may not be what the run saw any more, by its own doing. */
  get wrote(): boolean {
    return this.#record !== undefined && (this.#record.count > 0 || this.#record.stagedWrites > 0);
  }

  /** @throws {ForbiddenError} when it may write no more. */
  begin(): void {
    this.#writing().begin(this.host.echo === 'all');
  }
  answered(): void {
    this.#record?.answered();
  }
  ask(): void {
    this.#record?.ask();
  }
  end(what: WriteFacts): void {
    this.#record?.end(what, this.host.echo === 'all');
  }

  /**
   * Runs a write of the framework's own on the run's object, conditional on the version of `base`; its echo does not wake the key.
   */
  async ownWrite<R extends { readonly metadata: { readonly resourceVersion: string } }>(
    base: { readonly type: string; readonly version: string },
    write: (receipt: WriteReceipt) => Promise<R>,
  ): Promise<R> {
    const record = this.#writing();
    const silent = this.host.echo !== 'none';
    record.begin(silent);
    const receipt: WriteReceipt = {};
    try {
      const result = await write(receipt);
      const { resourceVersion } = result.metadata;
      // Where a wrapped store does not pass the receipt on: nobody else can have made what a conditional write gives back.
      if (receipt.revision === undefined) receipt.revision = resourceVersion === base.version ? null : resourceVersion;
      return result;
    } finally {
      record.stageOwn();
      record.end({ type: base.type, made: receipt.revision }, silent);
    }
  }

  /** From here on writes are those of one transaction. */
  beginTransaction(): void {
    this.#writing().beginTransaction(this.host.echo !== 'none');
  }
  /** The transaction is whole, and about to be committed. */
  commitTransaction(): void {
    this.#record?.commitTransaction();
  }
  /** How many writes the transaction has. */
  get stagedWrites(): number {
    return this.#record === undefined ? 0 : this.#record.stagedWrites;
  }
  /** The transaction is over; nothing is known of one that was undone. */
  endTransaction(what: WriteFacts): void {
    this.#record?.endTransaction(what, { silent: this.host.echo !== 'none', echo: this.host.echo === 'all' });
  }

  /** Writes in flight. */
  get pendingWrites(): number {
    return this.#record === undefined ? 0 : this.#record.pending;
  }

  /** For how long the store has answered none of them, ms. */
  writesSilentMs(now: number): number {
    return this.#record === undefined ? 0 : this.#record.silentMs(now);
  }

  /** Decides what an event about this key is, while the key is with this run. */
  hear(revision: string, cause: Cause, priority: number): Hearing {
    return this.#record === undefined ? 'wake' : this.#record.hear(revision, cause, priority);
  }
  now(): number {
    return this.host.deps.clock.monotonic();
  }
  merges(): number {
    return this.host.merges();
  }
  wakeHeld(key: string, cause: Cause, priority: number): void {
    this.dirtied = true;
    this.host.wakeHeld(key, cause, priority);
  }

  // ---- what it collects

  #collecting(): Collected {
    this.#collected ??= { statusPatches: undefined, conditions: undefined, events: undefined, ensured: undefined };
    return this.#collected;
  }
  collectStatus(partial: unknown): void {
    (this.#collecting().statusPatches ??= []).push(partial);
  }
  collectCondition(condition: CollectedCondition): void {
    const conditions = (this.#collecting().conditions ??= []);
    const index = conditions.findIndex((other) => other.type === condition.type);
    if (index < 0) conditions.push(condition);
    else conditions[index] = condition;
  }
  collectEvent(event: CollectedEvent): void {
    (this.#collecting().events ??= []).push(event);
  }
  collectEnsured(child: string): void {
    (this.#collecting().ensured ??= new Set()).add(child);
  }
  get statusPatches(): readonly unknown[] | undefined {
    return this.#collected?.statusPatches;
  }
  get conditions(): readonly CollectedCondition[] | undefined {
    return this.#collected?.conditions;
  }
  get events(): readonly CollectedEvent[] | undefined {
    return this.#collected?.events;
  }
  get ensured(): ReadonlySet<string> | undefined {
    return this.#collected?.ensured;
  }
  /** Status or conditions are to be written after the run. */
  get collected(): boolean {
    return this.#collected !== undefined && (this.#collected.statusPatches !== undefined || this.#collected.conditions !== undefined);
  }
  /** They have been written. */
  statusWritten(): void {
    if (this.#collected === undefined) return;
    this.#collected.statusPatches = undefined;
    this.#collected.conditions = undefined;
  }

  /** Lets go of the objects that caused it, and of what its error holds on to: they are told in a few words from now on. */
  settle(): void {
    for (const cause of this.item.causes) if (cause instanceof ChangeCause) cause.settle();
    const { outcome } = this;
    if (outcome?.error === undefined) return;
    const { name, message } = outcome.error;
    this.outcome = { ...outcome, error: { name, message } };
  }

  /** Lets go of what only the running reconciler needs, so that a kept record stays small. */
  strip(): void {
    this.object = undefined;
    this.worker = undefined;
    this.#collected = undefined;
    this.#abort = undefined;
    this.#record?.strip();
  }
}

/** Beside another cause a timer is none: the other came first and cancelled it. */
function withoutTimers(causes: readonly Cause[]): readonly Cause[] {
  const others = causes.filter((cause) => cause.kind !== 'timer');
  return others.length === 0 ? causes.slice(-1) : others;
}
