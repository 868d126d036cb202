/**
 * Whether the watches keep up with the store: a watch that delivers nothing more and does not fail is found by this alone.
 *
 * Invariant: an informer stands still when it has not reached a revision that the store had a while ago; one that is behind
 * because much is written does not, since it reaches what was there a moment ago. It costs a look now and then, and no timer.
 */
import type { Informers } from '../informer/index.js';
import type { Store } from '../store/index.js';

type AnyInformer = Informers['list'][number];

export class Freshness {
  readonly #store: Store;
  readonly #informers: Informers;
  /** The store had this revision, at this moment of monotonic ms, and not every informer has reached it. */
  #mark: { readonly revision: number; readonly at: number } | undefined = undefined;

  constructor(store: Store, informers: Informers) {
    this.#store = store;
    this.#informers = informers;
  }

  /** Sees who has got where; to be called every now and then. */
  look(): void {
    if (this.#mark !== undefined && this.#behind(this.#mark.revision).length > 0) return;
    const revision = Number(this.#store.revision);
    this.#mark = this.#behind(revision).length === 0 ? undefined : { revision, at: this.#store.deps.clock.monotonic() };
  }

  /** The informers that have stood still for `limitMs` or longer, in words. */
  standstills(limitMs: number): readonly string[] {
    this.look();
    if (this.#mark === undefined) return [];
    const { revision, at } = this.#mark;
    const forMs = this.#store.deps.clock.monotonic() - at;
    if (forMs < limitMs) return [];
    return this.#behind(revision).map(
      (informer) =>
        `${informer.definition.type} (at revision ${informer.resourceVersion} for ${Math.round(forMs / 1000)} s; the store is at ${this.#store.revision})`,
    );
  }

  /** One that has not synced has nothing to be behind with: its controller says so. */
  #behind(revision: number): AnyInformer[] {
    return this.#informers.list.filter((informer) => informer.synced && Number(informer.resourceVersion) < revision);
  }
}
