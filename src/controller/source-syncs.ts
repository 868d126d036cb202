/**
 * The initial syncs of a controller's own sources.
 *
 * Invariant: a sync that fails is told to who waits for all of them, and is nobody's unhandled rejection before.
 */
interface Sync {
  readonly name: string;
  readonly promise: Promise<void>;
  done: boolean;
}

export class SourceSyncs {
  readonly #syncs: Sync[] = [];

  /** `started` is what the source's `start` returned. */
  add(name: string, started: void | Promise<void>): void {
    if (started === undefined) return;
    const sync: Sync = { name, promise: started, done: false };
    started.then(
      () => {
        sync.done = true;
      },
      () => {},
    );
    this.#syncs.push(sync);
  }

  /** The sources that have not synced yet. */
  get unsynced(): readonly string[] {
    return this.#syncs.filter((sync) => !sync.done).map((sync) => `source ${sync.name}`);
  }

  /** Resolves when all have synced; rejects as the first that fails. */
  async whenSynced(): Promise<void> {
    await Promise.all(this.#syncs.map((sync) => sync.promise));
  }
}
