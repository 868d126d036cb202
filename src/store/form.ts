/**
 * One version of an object as everybody in the process shares it, made when somebody first asks: a write that nobody
 * watches and nobody writes upon is never decoded, nor kept in memory as more than its bytes.
 *
 * Invariant: what `object` gives is deep-frozen and carries its resourceVersion as soon as that is known.
 */
import { freezeJson } from '../schemas/index.js';
import { stampRevision } from './write/rules.js';
import type { Stored } from './write/rules.js';

export class Form {
  #made: Stored | undefined;
  #make: (() => Stored) | undefined;
  #revision = 0;

  /** `make` is called at most once; what it gives is this form's own. */
  constructor(make: (() => Stored) | Stored) {
    if (typeof make === 'function') this.#make = make;
    else this.#made = make;
  }

  /** For reading at once, inside the store: perhaps not frozen, and before the commit without its resourceVersion. */
  get glimpse(): Stored {
    if (this.#made === undefined) {
      this.#made = this.#make!();
      this.#make = undefined;
      if (this.#revision > 0 && !Object.isFrozen(this.#made)) stampRevision(this.#made, this.#revision);
    }
    return this.#made;
  }

  /** For everybody. */
  get object(): Stored {
    return freezeJson(this.glimpse) as Stored;
  }

  /** Freezes what the commit will not touch: while a write waits for the disk that costs nobody time, afterwards it delays the news. */
  prepare(): void {
    const made = this.#made;
    if (made === undefined || Object.isFrozen(made)) return;
    for (const part in made) if (part !== 'metadata') freezeJson(made[part]);
    const metadata: object = made.metadata;
    for (const part in metadata) freezeJson((metadata as Readonly<Record<string, unknown>>)[part]);
  }

  /** Told the revision in the committing turn. */
  commit(revision: number): void {
    this.#revision = revision;
    // An engine that keeps decoded forms may have shown this one already, after a commit that was in doubt.
    if (this.#made !== undefined && !Object.isFrozen(this.#made)) stampRevision(this.#made, revision);
  }
}
