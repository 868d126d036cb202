/**
 * What one run writes: how much, up to which revision, and which revisions are its own.
 *
 * Invariants: made at the first write, so that a run that writes nothing pays nothing. The revisions that are the run's own
 * are known exactly, by the commits themselves: an event that arrives while such a write is in flight is held back until
 * the write says which revision it got.
 */
import type { WriteFacts } from './bound-store.js';
import type { Cause } from './causes.js';
import { mayBeEcho, type Echo } from './echoes.js';

/** What a record knows of its run. */
export interface WriteRecordHost {
  readonly key: string;
  /** Monotonic ms. */
  now(): number;
  /** How often changes were merged on their way here: one that is told then may hide another behind it. */
  merges(): number;
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
  /** The newest revision that its writes are shown at. */
  lastRevision = 0;
  /** Every revision that is its own. */
  revisions: string[] | undefined = undefined;
  /** What caches must show before the key runs again, by type; the type `*` stands for all. */
  waits: Map<string, number> | undefined = undefined;
  /** Those of its revisions that do not wake the key. */
  #silent: string[] | undefined = undefined;
  /** Inside the transaction of a transactional run. */
  #inTransaction = false;
  #committing = false;
  /** The writes of that transaction, and how many of them are not the framework's. */
  #stagedWrites = 0;
  #stagedByOthers = 0;
  #pending = 0;
  /** Those of them that the store has not answered: all but a transaction whose callback still runs. */
  #unanswered = 0;
  /** Monotonic ms: when the store last answered one, or was asked for the first. */
  #answeredAt = 0;
  #silentPending = 0;
  #merges = -1;
  #heldBack: HeldBack[] | undefined = undefined;
  #whenWritten: (() => void)[] | undefined = undefined;

  constructor(host: WriteRecordHost) {
    this.#host = host;
  }

  /** A write begins; a silent one does not run the key again. */
  begin(silent: boolean): void {
    this.ask();
    this.#begin(silent);
  }

  /** The store is asked for something. */
  ask(): void {
    if (this.#unanswered <= 0) this.#answeredAt = this.#host.now();
    this.#unanswered += 1;
  }

  /** The store has answered something. */
  answered(): void {
    this.#unanswered -= 1;
    this.#answeredAt = this.#host.now();
  }

  #begin(silent: boolean): void {
    this.#pending += 1;
    if (!silent) return;
    this.#silentPending += 1;
    if (this.#merges < 0) this.#merges = this.#host.merges();
  }

  /** A write has settled. */
  end(what: WriteFacts, silent: boolean): void {
    if (this.#inTransaction) {
      this.#stagedWrites += 1;
      this.#stagedByOthers += 1;
    } else this.#settled(what, silent);
    this.#ended(silent);
  }

  #ended(silent: boolean): void {
    this.answered();
    this.#pending -= 1;
    if (silent) {
      this.#silentPending -= 1;
      if (this.#heldBack !== undefined) this.#letGo();
    }
    if (this.#pending === 0 && this.#whenWritten !== undefined) {
      for (const resolve of this.#whenWritten) resolve();
      this.#whenWritten = undefined;
    }
  }

  #settled({ type = '*', made, shownAt }: WriteFacts, silent: boolean): void {
    if (made === null) {
      this.noops += 1;
      return;
    }
    const shown = made ?? shownAt;
    if (shown === undefined) return;
    const revision = Number(shown);
    this.count += 1;
    this.lastRevision = Math.max(this.lastRevision, revision);
    this.waits ??= new Map();
    this.waits.set(type, Math.max(this.waits.get(type) ?? 0, revision));
    if (made === undefined) return;
    (this.revisions ??= []).push(made);
    if (silent) (this.#silent ??= []).push(made);
  }

  /** From here on writes are those of one transaction. */
  beginTransaction(silent: boolean): void {
    this.#begin(silent);
    this.#inTransaction = true;
  }
  /** All of the transaction is there; from here on it is the store's turn. */
  commitTransaction(): void {
    if (this.#committing) return;
    this.#committing = true;
    this.ask();
  }
  /** A write of the transaction is the framework's own. */
  stageOwn(): void {
    if (this.#inTransaction) this.#stagedByOthers -= 1;
  }
  /** How many writes the transaction has. */
  get stagedWrites(): number {
    return this.#stagedWrites;
  }
  /** The transaction is over. What it made is silent when it began so, and the framework alone wrote in it or all is to be (`echo`). */
  endTransaction(what: WriteFacts, options: { readonly silent: boolean; readonly echo: boolean }): void {
    this.#inTransaction = false;
    if (!this.#committing) this.ask();
    this.#settled(what, options.silent && (options.echo || this.#stagedByOthers === 0));
    this.#ended(options.silent);
  }

  /** Whether a version was written by this very run. */
  isOwn(version: string): boolean {
    return this.revisions?.includes(version) === true;
  }

  /** Writes in flight. */
  get pending(): number {
    return this.#pending;
  }
  /** For how long the store has answered none of those that it was asked for, ms; 0 when there are none. */
  silentMs(now: number): number {
    // Less than none: a transaction was given up while its callback goes on.
    return this.#unanswered <= 0 ? 0 : now - this.#answeredAt;
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
    if (!mayBeEcho(cause)) return 'wake';
    // What was merged since may have put somebody else's change into this one: then it counts.
    if (this.#silent?.includes(revision) === true) return this.#host.merges() === this.#merges ? 'echo' : 'wake';
    if (this.#silentPending === 0) return 'wake';
    (this.#heldBack ??= []).push({ revision, cause, priority });
    return 'held';
  }

  /** What may still be told of its silent writes; undefined: nothing. */
  get echo(): Echo | undefined {
    return this.#silent === undefined ? undefined : { revisions: this.#silent, merges: this.#merges };
  }

  #letGo(): void {
    const held = this.#heldBack as HeldBack[];
    this.#heldBack = undefined;
    for (const event of held) {
      if (this.hear(event.revision, event.cause, event.priority) === 'wake')
        this.#host.wakeHeld(this.#host.key, event.cause, event.priority);
    }
  }

  /** Keeps the figures alone. */
  strip(): void {
    this.revisions = undefined;
    this.waits = undefined;
    this.#silent = undefined;
    this.#heldBack = undefined;
  }
}
