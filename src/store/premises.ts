/**
 * What every write rests on beside its own preconditions: which types are registered, and which key seals. Other processes may
 * change either at any moment; the engine checks both in the transaction of each commit.
 *
 * Invariant: `now` is another object whenever a plan made before may be wrong, and fits what plans are made from at that moment.
 */
import type { EngineMeta, Premise } from './engine.js';
import { KEYS_META } from './encryption/key-record.js';
import { TYPES_META } from './registry.js';

/** Something that follows what the store remembers under a name of `meta`. */
interface Follower {
  /** As it was last read or written here. */
  readonly text: string | undefined;
  reload(meta: EngineMeta): Promise<void>;
}

export class Premises {
  readonly #types: Follower;
  readonly #keys: Follower;
  #now: readonly [Premise, Premise];

  constructor(types: Follower, keys: Follower) {
    this.#types = types;
    this.#keys = keys;
    this.#now = this.#made();
  }

  get now(): readonly Premise[] {
    const [types, keys] = this.#now;
    if (types.text !== (this.#types.text ?? null) || keys.text !== (this.#keys.text ?? null)) this.#now = this.#made();
    return this.#now;
  }

  /** Takes in what others have changed. */
  async reload(meta: EngineMeta): Promise<void> {
    await this.#types.reload(meta);
    await this.#keys.reload(meta);
  }

  #made(): readonly [Premise, Premise] {
    return [
      { meta: TYPES_META, text: this.#types.text ?? null },
      { meta: KEYS_META, text: this.#keys.text ?? null },
    ];
  }
}
