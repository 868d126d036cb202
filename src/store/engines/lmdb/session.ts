/**
 * One open environment: what this process knows of it, and the only ways to read and to write.
 *
 * Invariants:
 * - `read` takes a fresh snapshot and lets go of it before anything is awaited.
 * - While a commit is under way, reads show `visible` and nothing newer: what is on disk is not visible until its writers
 *   know, or until another process has compacted beyond it. Otherwise they show the newest, and `visible` follows.
 * - After a failed write every call rejects until the environment has been closed and opened again.
 */
import { statSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { StoreClosedError, StoreFailedError } from '../../../schemas/index.js';
import type { Deps, Timer } from '../../deps.js';
import { dataPath } from './directory.js';
import { commitFailure, commitReason, readFailure } from './failures.js';
import { readRevision, writeRevision } from './keys.js';
import { logHead } from './log.js';
import type { OpenGate } from './open-gate.js';
import { first } from './tables.js';
import type { Table, Tables } from './tables.js';

const COMPACTION = Buffer.from('\0compaction');
const SLOW_WRITE_MS = 10_000;
const STUCK_WRITE_MS = 60_000;
const CLOSE_AFTER_FAILURE_MS = 2_000;
const IDENTITY_CHECK_MS = 100;

/** Where the log ends. */
export interface Head {
  readonly revision: number;
  /** All bytes of log and superseded versions ever written. */
  readonly bytes: number;
}

/** How far compaction has been promised, and how far it has been done. */
export interface CompactionState {
  readonly compacted: number;
  readonly swept: number;
}

/** What one read works on. */
export interface Snapshot {
  /** The newest revision that may be shown. */
  readonly current: number;
  /** The newest revision in it, shown or not. */
  readonly newest: number;
  readonly compacted: number;
}

const SETTLED = Promise.resolve();
/** Of a transaction whose body was never called. */
const NOT_RUN = Object.freeze({ thrown: undefined });

interface OpenWrite {
  readonly since: number;
  readonly giveUp: (error: Error) => void;
  warned: boolean;
}

export class Session {
  readonly tables: Tables;
  readonly deps: Deps;
  readonly directory: string;
  /** How often this process has changed a text in `meta`. */
  metaChanges = 0;
  readonly #identity: string;
  readonly #gate: OpenGate;
  readonly #listeners = new Set<(revision: number) => void>();
  #visible = 0;
  #compacted = 0;
  #committing = false;
  /** Something was not there: it may have gone with a commit of another process, which is looked for when that matters. */
  #missed = false;
  #dead: (() => Error) | undefined;
  #failed = false;
  #closing: Promise<void> | undefined;
  readonly #writing = new Set<OpenWrite>();
  #watchdog: Timer | undefined;
  #identityChecked = 0;
  #isFresh = false;
  readonly #age = (): void => {
    this.#isFresh = false;
  };
  /** The end of the log as our last commit left it, and the transaction that did: valid while nobody else wrote since. */
  #left: { readonly transaction: number; readonly head: Head } | undefined;

  constructor(tables: Tables, deps: Deps, place: { readonly directory: string; readonly gate: OpenGate }) {
    const { directory, gate } = place;
    this.tables = tables;
    this.#gate = gate;
    this.deps = deps;
    this.directory = directory;
    this.#identity = identityOf(directory) ?? '';
    this.read(({ current }) => (this.#visible = current));
  }

  get visible(): number {
    return this.#visible;
  }

  noteMissed(): void {
    this.#missed = true;
  }

  /** Sees to it that `visible` is not older than what was found missing. */
  lookAgain(): void {
    if (!this.#missed || this.#committing) return;
    this.#missed = false;
    this.glance(() => this.noteForeign(this.head().revision));
  }

  get compacted(): number {
    return this.#compacted;
  }

  get committing(): boolean {
    return this.#committing;
  }

  check(): void {
    if (this.#dead) throw this.#dead();
  }

  /** Reads in one go, in a fresh snapshot. `body` must be synchronous. */
  read<T>(body: (snapshot: Snapshot) => T): T {
    this.check();
    try {
      this.tables.root.resetReadTxn();
      const { compacted } = this.compaction();
      this.#compacted = Math.max(this.#compacted, compacted);
      const newest = this.head().revision;
      // What lies below the compaction revision cannot be shown any more, whoever has still to be told of it.
      this.noteForeign(this.#committing ? this.#compacted : newest);
      return body({ current: this.#visible, newest, compacted: this.#compacted });
    } catch (error) {
      throw readFailure(error);
    }
  }

  /**
   * A read of one thing, for which it does not matter where the log ends, in a fresh snapshot. `shared`: those made in one go,
   * without a pause, share one. Renewing it, and lmdb-js' timer for it, cost as much as the read.
   */
  glance<T>(body: () => T, shared = false): T {
    this.check();
    try {
      if (!shared || !this.#isFresh) this.tables.root.resetReadTxn();
      if (shared && !this.#isFresh) {
        this.#isFresh = true;
        // Whoever goes on after this read gets his turn after this task.
        void SETTLED.then(this.#age);
      }
      return body();
    } catch (error) {
      throw readFailure(error);
    }
  }

  /** The end of the log, in the snapshot or transaction at hand. */
  head(): Head {
    const entry = first(this.tables.log, { reverse: true });
    if (entry === undefined) return { revision: 0, bytes: 0 };
    const { last, bytesAfter } = logHead(entry.value, entry.key);
    return { revision: last, bytes: bytesAfter };
  }

  /**
   * Where our last commit left the log, inside a write transaction that comes right behind it; else undefined. Transactions are
   * numbered without gaps, over all processes: nobody has written in between.
   */
  ownHead(): Head | undefined {
    const left = this.#left;
    return left !== undefined && this.tables.root.getWriteTxnId() === left.transaction + 1 ? left.head : undefined;
  }

  /** Notes where a transaction that did put something leaves the log. Inside it only. */
  leave(head: Head): void {
    this.#left = { transaction: this.tables.root.getWriteTxnId(), head };
  }

  compaction(): CompactionState {
    const bytes = this.tables.meta.getBinaryFast(COMPACTION);
    return bytes === undefined ? { compacted: 0, swept: 0 } : { compacted: readRevision(bytes, 0), swept: readRevision(bytes, 8) };
  }

  /** Inside a transaction only. */
  putCompaction({ compacted, swept }: CompactionState): void {
    const bytes = Buffer.alloc(16);
    writeRevision(bytes, compacted, 0);
    writeRevision(bytes, swept, 8);
    put(this.tables.meta, COMPACTION, bytes);
  }

  noteCompacted(compacted: number): void {
    this.#compacted = Math.max(this.#compacted, compacted);
  }

  /** Somebody else's revision was seen. */
  noteForeign(revision: number): void {
    if (revision <= this.#visible) return;
    this.#visible = revision;
    for (const listener of this.#listeners) listener(revision);
  }

  listen(listener: (revision: number) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  get listened(): boolean {
    return this.#listeners.size > 0;
  }

  /** Holds back what is newer than `visible` until `body` has settled and said what is visible now. */
  async exclusively<T>(body: () => Promise<T>): Promise<T> {
    this.lookAgain();
    this.#committing = true;
    try {
      return await body();
    } finally {
      this.#committing = false;
    }
  }

  advance(revision: number): void {
    this.#visible = Math.max(this.#visible, revision);
  }

  /**
   * Runs `body` in a write transaction; resolves when it is durable. `body` is synchronous, decides before its first put,
   * and does not throw after it: LMDB would keep the half.
   * @throws {StoreFullError | StoreFailedError} when in doubt; the session is dead then
   */
  async write<T>(body: () => T): Promise<T> {
    this.check();
    const wait = this.#gate.enter();
    if (wait !== undefined) {
      await wait;
      if (this.#dead !== undefined) {
        this.#gate.exit();
        throw this.#dead();
      }
    }
    let outcome: { readonly value: T } | { readonly thrown: unknown } = NOT_RUN;
    try {
      const written = this.tables.root.transaction(() => {
        try {
          outcome = { value: body() };
        } catch (error) {
          outcome = { thrown: error };
        }
      });
      await this.#watched(written);
      const done = outcome as { readonly value: T } | { readonly thrown: unknown };
      if (done === NOT_RUN) throw new Error('the transaction did not run');
      if ('thrown' in done) throw done.thrown;
      this.#checkIdentity();
      return done.value;
    } catch (error) {
      throw this.#fail(commitFailure(await commitReason(error, this.deps.scheduler)));
    } finally {
      this.#gate.exit();
    }
  }

  /** Settles as `written` does, or rejects when that takes too long. One timer serves all writes. */
  #watched(written: Promise<unknown>): Promise<void> {
    return new Promise((resolve, reject) => {
      const entry: OpenWrite = { since: this.deps.clock.monotonic(), warned: false, giveUp: reject };
      this.#writing.add(entry);
      this.#watchdog ??= this.#watch();
      written.then(
        () => {
          this.#writing.delete(entry);
          resolve();
        },
        (error: unknown) => {
          this.#writing.delete(entry);
          reject(error);
        },
      );
    });
  }

  #watch(): Timer {
    const { scheduler, clock, logger } = this.deps;
    return scheduler.after(
      SLOW_WRITE_MS / 2,
      () => {
        this.#watchdog = this.#writing.size > 0 ? this.#watch() : undefined;
        for (const write of this.#writing) {
          const age = clock.monotonic() - write.since;
          if (age >= STUCK_WRITE_MS) write.giveUp(new Error(`a write has not finished within ${STUCK_WRITE_MS / 1000} s`));
          else if (age >= SLOW_WRITE_MS && !write.warned) {
            write.warned = true;
            logger.warn({ directory: this.directory }, 'a write is taking long: another process may hold the lock, or the disk may hang');
          }
        }
      },
      { unref: true },
    );
  }

  /** A data file that was removed or replaced takes writes that nobody will ever find. */
  #checkIdentity(): void {
    const now = this.deps.clock.monotonic();
    if (now - this.#identityChecked < IDENTITY_CHECK_MS) return;
    this.#identityChecked = now;
    if (identityOf(this.directory) !== this.#identity) throw new Error(`the data file in ${this.directory} was removed or replaced`);
  }

  #fail(error: Error): Error {
    this.#failed = true;
    this.#dead ??= () =>
      new StoreFailedError('the store stopped after a failed commit: close it and open it again', { inDoubt: false, cause: error });
    return error;
  }

  /** Waits for what was begun, then lets go of the files. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const afterFailure = this.#failed;
    this.#dead = () => new StoreClosedError('the store is closed');
    this.#listeners.clear();
    this.#watchdog?.cancel();
    const closed = this.tables.root.close().finally(() => this.#gate.leave());
    if (!afterFailure) return closed;
    // A writer that hangs would keep a failed environment open for ever.
    await new Promise<void>((resolve) => {
      const timer = this.deps.scheduler.after(CLOSE_AFTER_FAILURE_MS, resolve, { unref: true });
      const done = (): void => {
        timer.cancel();
        resolve();
      };
      closed.then(done, done);
    });
  }
}

/** Writes at once; inside a transaction only. */
export function put(table: Table, key: Buffer, value: Buffer): void {
  void table.put(key, value);
}

/** Removes at once; inside a transaction only. */
export function remove(table: Table, key: Buffer): void {
  void table.remove(key);
}

function identityOf(directory: string): string | undefined {
  const stats: BigIntStats | undefined = statSync(dataPath(directory), { bigint: true, throwIfNoEntry: false });
  return stats && `${stats.dev}:${stats.ino}`;
}
