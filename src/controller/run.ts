/**
 * One run of one key: what it is told, what it may write, what it wrote.
 *
 * Invariants: cheap to make (100,000 a second and more): whatever a run may not need is made when it is touched. Once
 * revoked, it writes no more. The revisions that are its own are known exactly, by the commits themselves: an event that
 * arrives while such a write is in flight is held back until the write says which revision it got.
 */
import { equalJson, ForbiddenError } from '../schemas/index.js';
import type { DeepReadonly, UnknownResource } from '../schemas/index.js';
import { ChangeCause, type Cause } from './causes.js';
import type { WriteFacts, WriteGuard } from './bound-store.js';
import type { Item, Worker } from './queue/index.js';
import type { CollectedEvent } from './recorder.js';

/** Why a key that was handed out was not reconciled. */
export type SkipReason = 'gone' | 'paused' | 'stopping' | 'slowed' | 'terminating';

/** A condition as the reconciler gave it. */
export interface CollectedCondition {
  readonly type: string;
  readonly status: boolean | 'True' | 'False' | 'Unknown';
  readonly reason: string | undefined;
  readonly message: string | undefined;
}

/** What a run knows of its controller. */
export interface RunHost {
  /** `controller/<name>`. */
  readonly source: string;
  /** Whether all its writes are kept from running the key again, or the framework's own, or none. */
  readonly echo: 'own-status' | 'all' | 'none';
  /** How often the informers have listed again; a change told by a list may hide another behind it. */
  relists(): number;
  /** An event that was held back is somebody else's. */
  wakeHeld(key: string, cause: Cause, priority: number): void;
  uuid(): string;
}

interface HeldBack {
  readonly revision: string;
  readonly cause: Cause;
  readonly priority: number;
}

/** What a run says of an event about its key: forget it, I keep it for now, or wake the key. */
export type Hearing = 'echo' | 'held' | 'wake';

export class Run implements WriteGuard {
  readonly host: RunHost;
  readonly key: string;
  /** 1 for a first try. */
  readonly attempt: number;
  readonly causes: readonly Cause[];
  readonly droppedCauses: number;
  readonly priority: number;
  readonly waitedMs: number;
  /** Monotonic ms. */
  readonly startedAt: number;
  /** What the cache showed when it began; undefined when there is no such object. */
  object: DeepReadonly<UnknownResource> | undefined = undefined;
  phase: 'reconcile' | 'finalize' = 'reconcile';
  skipped: SkipReason | undefined = undefined;

  /** Whose slot it has, while it is asynchronous. */
  worker: Worker | undefined = undefined;
  item: Item<Cause> | undefined = undefined;
  /** Past its deadline, not settled. */
  timedOut = false;
  /** The reconciler has settled; what is left is bookkeeping. */
  settled = false;
  /** Something else asked for another run meanwhile. */
  dirtied = false;

  /** Writes that made a revision, and those that changed nothing. */
  writes = 0;
  noops = 0;
  /** The newest revision it wrote. */
  lastRevision = 0;
  /** Every revision it wrote; after writes that changed nothing also ones of others. */
  revisions: string[] | undefined = undefined;
  /** What caches must show before the key runs again, by type; the type `*` stands for all. */
  waits: Map<string, number> | undefined = undefined;
  /** Revisions that are surely its own: those that do not wake the key, and those that do. */
  silentRevisions: string[] | undefined = undefined;
  loudRevisions: string[] | undefined = undefined;
  /** Inside the transaction of a transactional run: what its writes made, their number, and how many are not the framework's. */
  #staged: unknown[] | undefined = undefined;
  #stagedWrites = 0;
  #stagedByOthers = 0;
  /** What a committed transaction made: an event that shows one of these is its own, and tells its revision. */
  #candidates: readonly unknown[] | undefined = undefined;
  #pending = 0;
  #silentPending = 0;
  #relists = -1;
  #heldBack: HeldBack[] | undefined = undefined;
  #whenWritten: (() => void)[] | undefined = undefined;

  statusPatches: unknown[] | undefined = undefined;
  conditions: CollectedCondition[] | undefined = undefined;
  events: CollectedEvent[] | undefined = undefined;
  /** `type/key` of the children it ensured. */
  ensured: Set<string> | undefined = undefined;

  #revoked: string | undefined = undefined;
  #abort: AbortController | undefined = undefined;
  #abortReason: unknown = undefined;
  #aborted = false;
  #id: string | undefined = undefined;

  constructor(
    host: RunHost,
    item: {
      readonly key: string;
      readonly attempts: number;
      readonly causes: readonly Cause[];
      readonly droppedCauses: number;
      readonly priority: number;
      readonly waitedMs: number;
      readonly takenAt: number;
    },
  ) {
    this.host = host;
    this.key = item.key;
    this.attempt = item.attempts + 1;
    this.causes = item.causes.length > 1 ? withoutTimers(item.causes) : item.causes;
    this.droppedCauses = item.droppedCauses;
    this.priority = item.priority;
    this.waitedMs = item.waitedMs;
    this.startedAt = item.takenAt;
  }

  get id(): string {
    this.#id ??= this.host.uuid();
    return this.#id;
  }
  get idIfMade(): string | undefined {
    return this.#id;
  }
  get source(): string {
    return this.host.source;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#aborted) this.#abort.abort(this.#abortReason);
    }
    return this.#abort.signal;
  }
  get aborted(): boolean {
    return this.#aborted;
  }
  /** Tells the reconciler to stop. */
  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#abortReason = reason;
    this.#abort?.abort(reason);
  }

  /** Frees the worker's slot; the key stays held until the run has settled. */
  release(): void {
    if (this.item !== undefined) this.worker?.release(this.item);
  }

  /** From now on its writes are refused, with this sentence. */
  revoke(why: string): void {
    this.#revoked ??= why;
  }
  get revoked(): string | undefined {
    return this.#revoked;
  }

  /** @throws {ForbiddenError} when it may write no more. */
  begin(): void {
    this.#check();
    this.#beginWrite(this.host.echo === 'all');
  }
  end(settled: string | undefined, what?: WriteFacts): void {
    this.#endWrite(settled, what, this.host.echo === 'all');
  }

  /**
   * Runs a write of the framework's own on the run's object, conditional on the version of `base`; its echo does not wake the key.
   */
  async ownWrite<R extends { readonly metadata: { readonly resourceVersion: string } }>(
    base: { readonly type: string; readonly version: string },
    write: () => Promise<R>,
  ): Promise<R> {
    this.#check();
    const silent = this.host.echo !== 'none';
    this.#beginWrite(silent);
    let revision: string | undefined;
    try {
      const result = await write();
      if (this.#staged !== undefined) {
        this.#staged.push(result);
        this.#stagedByOthers -= 1;
      }
      revision = result.metadata.resourceVersion === base.version ? undefined : result.metadata.resourceVersion;
      return result;
    } finally {
      this.#endWrite(revision, { type: base.type, own: revision }, silent);
    }
  }

  /** From here on writes are those of one transaction. */
  beginTransaction(): void {
    this.#check();
    this.#beginWrite(this.host.echo !== 'none');
    this.#staged = [];
  }
  /** How many writes the transaction has. */
  get stagedWrites(): number {
    return this.#stagedWrites;
  }
  /** The object may not be what the run saw any more, by its own doing. */
  get wrote(): boolean {
    return this.writes > 0 || this.#stagedWrites > 0;
  }
  /** The transaction is over; `revision` is one that shows it, undefined when it wrote nothing or was undone. */
  endTransaction(revision: string | undefined): void {
    const staged = this.#staged;
    this.#staged = undefined;
    if (revision !== undefined && (this.host.echo === 'all' || this.#stagedByOthers === 0)) this.#candidates = staged;
    if (revision === undefined) this.noops -= 1;
    this.#endWrite(revision, undefined, this.host.echo !== 'none');
  }

  /** @throws {ForbiddenError} when it may write no more. */
  assertWritable(): void {
    this.#check();
  }

  #check(): void {
    if (this.#revoked !== undefined) {
      throw new ForbiddenError(`the write was refused: ${this.#revoked}`, { details: { key: this.key, controller: this.host.source } });
    }
  }

  #beginWrite(silent: boolean): void {
    this.#pending += 1;
    if (!silent) return;
    this.#silentPending += 1;
    if (this.#relists < 0) this.#relists = this.host.relists();
  }

  #endWrite(settled: string | undefined, what: WriteFacts | undefined, silent: boolean): void {
    this.#pending -= 1;
    if (this.#staged !== undefined) {
      this.#stagedWrites += 1;
      this.#stagedByOthers += 1;
      if (what?.staged !== undefined) this.#staged.push(what.staged);
    } else if (settled === undefined) this.noops += 1;
    else {
      const revision = Number(settled);
      const type = what?.type ?? '*';
      this.writes += 1;
      (this.revisions ??= []).push(settled);
      this.lastRevision = Math.max(this.lastRevision, revision);
      this.waits ??= new Map();
      this.waits.set(type, Math.max(this.waits.get(type) ?? 0, revision));
      if (what?.own !== undefined) {
        if (silent) (this.silentRevisions ??= []).push(what.own);
        else (this.loudRevisions ??= []).push(what.own);
      }
    }
    if (silent) {
      this.#silentPending -= 1;
      if (this.#heldBack !== undefined) this.#letGo();
    }
    if (this.#pending === 0 && this.#whenWritten !== undefined) {
      for (const resolve of this.#whenWritten) resolve();
      this.#whenWritten = undefined;
    }
  }

  /** Writes in flight. */
  get pendingWrites(): number {
    return this.#pending;
  }
  /** Resolves when no write is in flight. */
  whenWritten(): Promise<void> {
    if (this.#pending === 0) return Promise.resolve();
    return new Promise((resolve) => {
      (this.#whenWritten ??= []).push(resolve);
    });
  }

  /** Decides what an event about this key is, while the key is with this run. */
  hear(revision: string, cause: Cause, priority: number): Hearing {
    this.#learn(revision, cause);
    if (this.silentRevisions?.includes(revision) === true) return this.#isExact() ? 'echo' : 'wake';
    if (this.#silentPending === 0) return 'wake';
    (this.#heldBack ??= []).push({ revision, cause, priority });
    return 'held';
  }

  /** An event that shows exactly what the transaction made is the transaction's, and so are all of its revision. */
  #learn(revision: string, cause: Cause): void {
    if (this.#candidates === undefined || !(cause instanceof ChangeCause)) return;
    const { object } = cause;
    if (!this.#candidates.some((candidate) => sameButVersion(candidate, object))) return;
    this.#candidates = undefined;
    (this.silentRevisions ??= []).push(revision);
  }

  /** A list that came between may have merged somebody else's change into this one: then it counts. */
  #isExact(): boolean {
    return this.host.relists() === this.#relists;
  }

  #letGo(): void {
    const held = this.#heldBack as HeldBack[];
    this.#heldBack = undefined;
    for (const event of held) this.#learn(event.revision, event.cause);
    for (const event of held) {
      const hearing = this.hear(event.revision, event.cause, event.priority);
      if (hearing !== 'wake') continue;
      this.dirtied = true;
      this.host.wakeHeld(this.key, event.cause, event.priority);
    }
  }

  collectStatus(partial: unknown): void {
    (this.statusPatches ??= []).push(partial);
  }
  collectCondition(condition: CollectedCondition): void {
    const conditions = (this.conditions ??= []);
    const index = conditions.findIndex((other) => other.type === condition.type);
    if (index < 0) conditions.push(condition);
    else conditions[index] = condition;
  }
  /** Something is to be written after the run. */
  get collected(): boolean {
    return this.statusPatches !== undefined || this.conditions !== undefined;
  }

  /** Lets go of what only the running reconciler needs, so that a kept record stays small. */
  strip(): void {
    this.object = undefined;
    this.worker = undefined;
    this.item = undefined;
    this.statusPatches = undefined;
    this.conditions = undefined;
    this.events = undefined;
    this.waits = undefined;
    this.silentRevisions = undefined;
    this.loudRevisions = undefined;
    this.revisions = undefined;
    this.ensured = undefined;
    this.#abort = undefined;
    this.#abortReason = undefined;
    this.#heldBack = undefined;
    this.#candidates = undefined;
  }
}

/** Beside another cause a timer is none: the other came first and cancelled it. */
function withoutTimers(causes: readonly Cause[]): readonly Cause[] {
  const others = causes.filter((cause) => cause.kind !== 'timer');
  return others.length === 0 ? causes.slice(-1) : others;
}

interface Versioned {
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
}

function sameButVersion(a: unknown, b: unknown): boolean {
  const one = a as Versioned | undefined;
  const other = b as Versioned | undefined;
  if (one?.metadata?.['uid'] !== other?.metadata?.['uid']) return false;
  const bare = (object: Versioned | undefined): unknown => ({ ...object, metadata: { ...object?.metadata, resourceVersion: undefined } });
  return equalJson(bare(one), bare(other));
}
