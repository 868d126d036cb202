/**
 * Keeps the opening of an environment apart from writes of this process under the same path.
 *
 * lmdb-js opens an environment under LMDB's write lock, and waits for that lock on this very thread. A write under way holds it until
 * this thread has run its body: the one would wait for the other for ever. The lock is the process's, so what stands for it
 * here is too, and not any one store's.
 *
 * Invariants: nothing is opened while a write is under way; a write that comes while somebody waits to open waits behind it.
 */
import { resolve } from 'node:path';

/** One path, as long as somebody has it open or opens it. */
interface Gate {
  users: number;
  writes: number;
  /** Openings that wait or are under way. */
  openings: number;
  waiting: (() => void)[];
}

const gates = new Map<string, Gate>();

/** A user of a path, from before it is opened until it is closed. */
export class OpenGate {
  readonly #path: string;
  readonly #gate: Gate;
  #left = false;

  constructor(path: string) {
    this.#path = resolve(path);
    this.#gate = gates.get(this.#path) ?? { users: 0, writes: 0, openings: 0, waiting: [] };
    this.#gate.users += 1;
    gates.set(this.#path, this.#gate);
  }

  /** Runs `open` in one go, when no write is under way. */
  async opening<T>(open: () => T): Promise<T> {
    const gate = this.#gate;
    gate.openings += 1;
    try {
      while (gate.writes > 0) await this.#moved();
      return open();
    } finally {
      gate.openings -= 1;
      this.#wake();
    }
  }

  /** A promise only where an opening has to be waited for. */
  enter(): Promise<void> | undefined {
    if (this.#gate.openings > 0) return this.#enterLater();
    this.#gate.writes += 1;
    return undefined;
  }

  async #enterLater(): Promise<void> {
    while (this.#gate.openings > 0) await this.#moved();
    this.#gate.writes += 1;
  }

  /** The write that entered is over. */
  exit(): void {
    this.#gate.writes -= 1;
    this.#wake();
  }

  /** Nothing is opened or written here any more. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#gate.users -= 1;
    if (this.#gate.users === 0) gates.delete(this.#path);
  }

  #moved(): Promise<void> {
    return new Promise((go) => this.#gate.waiting.push(go));
  }

  #wake(): void {
    for (const go of this.#gate.waiting.splice(0)) go();
  }
}
