/**
 * A value that may be held but not seen: what caches, watch events, history and logs carry instead of a secret.
 *
 * Invariants:
 * - Nothing that prints, stringifies, spreads or enumerates an object shows the value; only `reveal()` gives it.
 * - A seal is immutable, and shared freely between frozen objects.
 */

/** What a seal shows in place of its value. */
export const SEALED_TEXT = '[sealed]';

/** How a seal is made: what opens it, and a name for its content. */
export interface SealedOptions<T> {
  /** Gives the value; called on each `reveal()`. */
  open(): T;
  /**
   * Names the content: two seals with one id hold the same value. Must not be derivable from the value without a key. A
   * getter is asked once, when the id is first needed.
   */
  readonly id: string;
}

/**
 * An opaque box around a sensitive value.
 *
 * @example
 * const password = secret.data.password; // Sealed<string>
 * `${password}`;                         // '[sealed]'
 * password.reveal();                     // the text
 */
export class Sealed<out T = unknown> {
  // Held as given: a seal for each value of each cached object should be small.
  readonly #content: SealedOptions<T>;
  #id: string | undefined;

  constructor(content: SealedOptions<T>) {
    this.#content = content;
    Object.freeze(this);
  }

  /** Whether `value` is a seal. */
  static is(value: unknown): value is Sealed {
    return typeof value === 'object' && value !== null && #content in value;
  }

  /** Names the content, not the instance. */
  get id(): string {
    return (this.#id ??= this.#content.id);
  }

  /** The value. May throw a `DecryptionError` when the store can no longer open it. */
  reveal(): T {
    return this.#content.open();
  }

  /** Whether both hold the same content, told without showing either. */
  equals(other: unknown): boolean {
    return Sealed.is(other) && (other === this || other.id === this.id);
  }

  toString(): string {
    return SEALED_TEXT;
  }

  toJSON(): string {
    return SEALED_TEXT;
  }

  [Symbol.toPrimitive](): string {
    return SEALED_TEXT;
  }

  get [Symbol.toStringTag](): string {
    return 'Sealed';
  }

  /** What `console.log` and `util.inspect` show. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return SEALED_TEXT;
  }
}
