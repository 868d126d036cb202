/**
 * One version of an object as everybody in the process shares it, made when somebody first asks: a write that nobody
 * watches and nobody writes upon is never decoded, nor kept in memory as more than its bytes.
 *
 * Invariant: what `object` gives is deep-frozen and carries its resourceVersion as soon as that is known. Of a version that
 * cannot be opened there is a form too: a stub of what is known without, and the error.
 */
import { freezeJson, isCorrupt, isDecryption } from '../schemas/index.js';
import type { Entry } from './engine.js';
import { stampRevision } from './write/rules.js';
import type { Stored } from './write/rules.js';

export class Form {
  #made: Stored | undefined;
  #make: (() => Stored) | undefined;
  #revision = 0;
  #isPrepared = false;
  readonly #isDear: boolean;

  /** `make` is called at most once; what it gives is this form's own. `dear`: it takes more than decoding what is stored. */
  constructor(make: (() => Stored) | Stored, dear = typeof make !== 'function') {
    this.#isDear = dear;
    if (typeof make === 'function') this.#make = make;
    else this.#made = make;
  }

  /** Whether having it saves more than a read of what is stored. */
  get isDear(): boolean {
    return this.#isDear || this.#made !== undefined;
  }

  /** Why the version cannot be opened; the object is a stub then. */
  get error(): Error | undefined {
    return undefined;
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
    this.#isPrepared = true;
    for (const part in made) if (part !== 'metadata') freezeJson(made[part]);
    const metadata: object = made.metadata;
    for (const part in metadata) freezeJson((metadata as Readonly<Record<string, unknown>>)[part]);
  }

  /** Told the revision in the committing turn. */
  commit(revision: number): void {
    this.#revision = revision;
    // An engine that keeps decoded forms may have shown this one already, after a commit that was in doubt.
    const made = this.#made;
    if (made === undefined || Object.isFrozen(made)) return;
    stampRevision(made, revision);
    if (!this.#isPrepared) return;
    // While it is at hand: whoever watches may come to it much later.
    Object.freeze(made.metadata);
    Object.freeze(made);
  }
}

/** Stands for a version that cannot be opened. */
export class UnopenedForm extends Form {
  readonly #error: Error;

  /** `stub` as `stubOf` gives it. */
  constructor(stub: Stored, error: Error) {
    super(stub);
    this.#error = error;
  }

  override get error(): Error {
    return this.#error;
  }
}

/** What is known of a version without opening it, frozen: who it is, and which version. */
export function stubOf({ key, meta, revision }: Pick<Entry, 'key' | 'meta' | 'revision'>): Stored {
  const { name, namespace } = key;
  const { uid, generation } = meta;
  const where = namespace === '' ? { name } : { name, namespace };
  return Object.freeze({ metadata: Object.freeze({ ...where, uid, generation, resourceVersion: String(revision) }) }) as Stored;
}

/** The error, when it says that one version cannot be opened. @throws what is thrown otherwise */
export function unopened(error: unknown): Error {
  if (isDecryption(error) || isCorrupt(error)) return error;
  throw error;
}
