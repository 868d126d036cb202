/**
 * Lists under way, by the revision that they show: a compaction of this process lets them finish first. Those of other
 * processes do not, so a list that was overtaken all the same begins again.
 */
export class ReadsUnderWay {
  readonly #reads = new Set<{ readonly revision: number; readonly settled: Promise<void> }>();

  /** Runs a read of a revision; settles as it does. */
  async run<T>(revision: number, read: () => Promise<T>): Promise<T> {
    const reading = read();
    const entry = { revision, settled: reading.then(nothing, nothing) };
    this.#reads.add(entry);
    try {
      return await reading;
    } finally {
      this.#reads.delete(entry);
    }
  }

  /** Resolves when what is under way now of revisions below has settled; what begins later is not waited for. */
  async settledBelow(revision: number): Promise<void> {
    for (const read of [...this.#reads]) if (read.revision < revision) await read.settled;
  }
}

function nothing(): void {}
