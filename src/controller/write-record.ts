/**
 * What one run writes: how much, up to which revision, and which revisions are its own.
 *
 * Invariants: made at the first write, so that a run that writes nothing pays nothing. The revisions that are the run's own
 * are known exactly, by the commits themselves: an event that arrives while such a write is in flight is held back until
 * the write says which revision it got.
 */
import { equalJson } from '../schemas/index.js';
import { ChangeCause, type Cause } from './causes.js';
import type { WriteFacts } from './bound-store.js';

/** What a record knows of its run. */
export interface WriteRecordHost {
  readonly key: string;
  /** How often the informers have listed again; a change told by a list may hide another behind it. */
  relists(): number;
  /** An event that was held back is somebody else's. */
  wakeHeld(key: string, cause: Cause, priority: number): void;
}

interface HeldBack {
  readonly revision: string;
  readonly cause: Cause;
  readonly priority: number;
}

/** What a run says of an event about its key: forget it, I keep it for now, or wake the key. */
export type Hearing = 'echo' | 'held' | 'wake';

export class WriteRecord {
  readonly #host: WriteRecordHost;
  /** Writes that made a revision, and those that changed nothing. */
  count = 0;
  noops = 0;
  /** The newest revision it wrote. */
  lastRevision = 0;
  /** Every revision it wrote; after writes that changed nothing also ones of others. */
  revisions: string[] | undefined = undefined;
  /** What caches must show before the key runs again, by type; the type `*` stands for all. */
  waits: Map<string, number> | undefined = undefined;
  /** Revisions that are surely its own: those that do not wake the key, and those that do. */
  #silentRevisions: string[] | undefined = undefined;
  #loudRevisions: string[] | undefined = undefined;
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

  constructor(host: WriteRecordHost) {
    this.#host = host;
  }

  /** A write begins; a silent one does not run the key again. */
  begin(silent: boolean): void {
    this.#pending += 1;
    if (!silent) return;
    this.#silentPending += 1;
    if (this.#relists < 0) this.#relists = this.#host.relists();
  }

  /** A write has settled; undefined: it made no revision. */
  end(settled: string | undefined, what: WriteFacts | undefined, silent: boolean): void {
    this.#pending -= 1;
    if (this.#staged !== undefined) {
      this.#stagedWrites += 1;
      this.#stagedByOthers += 1;
      if (what?.staged !== undefined) this.#staged.push(what.staged);
    } else if (settled === undefined) this.noops += 1;
    else this.#wrote(settled, what, silent);
    if (silent) {
      this.#silentPending -= 1;
      if (this.#heldBack !== undefined) this.#letGo();
    }
    if (this.#pending === 0 && this.#whenWritten !== undefined) {
      for (const resolve of this.#whenWritten) resolve();
      this.#whenWritten = undefined;
    }
  }

  #wrote(settled: string, what: WriteFacts | undefined, silent: boolean): void {
    const revision = Number(settled);
    const type = what?.type ?? '*';
    this.count += 1;
    (this.revisions ??= []).push(settled);
    this.lastRevision = Math.max(this.lastRevision, revision);
    this.waits ??= new Map();
    this.waits.set(type, Math.max(this.waits.get(type) ?? 0, revision));
    if (what?.own === undefined) return;
    if (silent) (this.#silentRevisions ??= []).push(what.own);
    else (this.#loudRevisions ??= []).push(what.own);
  }

  /** From here on writes are those of one transaction. */
  beginTransaction(silent: boolean): void {
    this.begin(silent);
    this.#staged = [];
  }
  /** A write of the framework's own, inside the transaction. */
  stageOwn(result: unknown): void {
    if (this.#staged === undefined) return;
    this.#staged.push(result);
    this.#stagedByOthers -= 1;
  }
  /** How many writes the transaction has. */
  get stagedWrites(): number {
    return this.#stagedWrites;
  }
  /** The transaction is over; `revision` is one that shows it, undefined when it wrote nothing or was undone. */
  endTransaction(revision: string | undefined, options: { readonly silent: boolean; readonly echo: boolean }): void {
    const staged = this.#staged;
    this.#staged = undefined;
    if (revision !== undefined && (options.echo || this.#stagedByOthers === 0)) this.#candidates = staged;
    if (revision === undefined) this.noops -= 1;
    this.end(revision, undefined, options.silent);
  }

  /** Whether a version was written by this very run. */
  isOwn(version: string): boolean {
    return this.#silentRevisions?.includes(version) === true || this.#loudRevisions?.includes(version) === true;
  }

  /** Writes in flight. */
  get pending(): number {
    return this.#pending;
  }
  /** Resolves when no write is in flight. */
  whenWritten(): Promise<void> {
    if (this.#pending === 0) return Promise.resolve();
    return new Promise((resolve) => {
      (this.#whenWritten ??= []).push(resolve);
    });
  }

  /** Decides what an event about the key is. */
  hear(revision: string, cause: Cause, priority: number): Hearing {
    this.#learn(revision, cause);
    if (this.#silentRevisions?.includes(revision) === true) return this.#isExact() ? 'echo' : 'wake';
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
    (this.#silentRevisions ??= []).push(revision);
  }

  /** A list that came between may have merged somebody else's change into this one: then it counts. */
  #isExact(): boolean {
    return this.#host.relists() === this.#relists;
  }

  #letGo(): void {
    const held = this.#heldBack as HeldBack[];
    this.#heldBack = undefined;
    for (const event of held) this.#learn(event.revision, event.cause);
    for (const event of held) {
      if (this.hear(event.revision, event.cause, event.priority) === 'wake')
        this.#host.wakeHeld(this.#host.key, event.cause, event.priority);
    }
  }

  /** Keeps the figures alone. */
  strip(): void {
    this.revisions = undefined;
    this.waits = undefined;
    this.#silentRevisions = undefined;
    this.#loudRevisions = undefined;
    this.#heldBack = undefined;
    this.#candidates = undefined;
  }
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
