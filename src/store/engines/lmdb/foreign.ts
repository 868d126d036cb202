/**
 * Hearing of other processes' commits: LMDB tells nobody, so the end of the log is looked at again and again. Watching the
 * data file instead would cost every commit of our own several events, more than all else that a single write does.
 *
 * Invariant: only while somebody listens, and never a reason for the process to stay alive.
 */
import type { Timer } from '../../deps.js';
import type { Session } from './session.js';

/** A look is a few microseconds; the contract is 50 ms from the commit to the watcher elsewhere. */
const POLL_MS = 20;

export class ForeignWatch {
  readonly #session: Session;
  readonly #undo = new Set<() => void>();
  #timer: Timer | undefined;

  constructor(session: Session) {
    this.#session = session;
  }

  listen(listener: (revision: number) => void): () => void {
    this.#session.check();
    const undo = this.#session.listen((revision) => listener(revision));
    this.#undo.add(undo);
    if (this.#undo.size === 1) this.#poll();
    return () => {
      undo();
      if (this.#undo.delete(undo) && this.#undo.size === 0) this.stop();
    };
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
    for (const undo of this.#undo) undo();
    this.#undo.clear();
  }
}
