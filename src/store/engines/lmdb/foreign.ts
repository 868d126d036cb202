/**
 * Hearing of other processes' commits: LMDB tells nobody. A change of the data file is a hint to look at once; a slow poll
 * catches what the hint missed (it is not given on every system). The log is the truth in either case.
 *
 * Invariant: only while somebody listens, and never a reason for the process to stay alive.
 */
import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import type { Timer } from '../../deps.js';
import { dataPath } from './directory.js';
import type { Session } from './session.js';

const POLL_MS = 25;

export class ForeignWatch {
  readonly #session: Session;
  readonly #undo = new Set<() => void>();
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  #looking = false;

  constructor(session: Session) {
    this.#session = session;
  }

  listen(listener: (revision: number) => void): () => void {
    this.#session.check();
    const undo = this.#session.listen((revision) => listener(revision));
    this.#undo.add(undo);
    if (this.#undo.size === 1) this.#start();
    return () => {
      undo();
      if (this.#undo.delete(undo) && this.#undo.size === 0) this.stop();
    };
  }

  #start(): void {
    this.#poll();
    try {
      this.#watcher = watch(dataPath(this.#session.directory), { persistent: false }, () => this.#hint());
      this.#watcher.on('error', (error) => this.#unwatch(error));
    } catch (error) {
      this.#unwatch(error);
    }
  }

  #unwatch(error: unknown): void {
    this.#session.deps.logger.debug({ err: error }, 'the data file cannot be watched; polling for commits of other processes');
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #poll(): void {
    this.#timer = this.#session.deps.scheduler.after(
      POLL_MS,
      () => {
        this.#look();
        if (this.#timer !== undefined) this.#poll();
      },
      { unref: true },
    );
  }

  /** Our own commits change the file too, and look by themselves. */
  #hint(): void {
    if (this.#looking || this.#session.committing) return;
    this.#looking = true;
    this.#session.deps.scheduler.defer(() => {
      this.#looking = false;
      this.#look();
    });
  }

  #look(): void {
    if (this.#timer === undefined || this.#session.committing) return;
    try {
      this.#session.glance(() => this.#session.noteForeign(this.#session.head().revision));
    } catch (error) {
      // Whoever reads or writes next is told; nobody is waiting here.
      this.#session.deps.logger.debug({ err: error }, 'looking for commits of other processes failed');
    }
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#watcher?.close();
    this.#watcher = undefined;
    for (const undo of this.#undo) undo();
    this.#undo.clear();
  }
}
