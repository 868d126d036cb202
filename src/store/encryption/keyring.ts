/**
 * Master keys of one store: what gives and wraps data keys, what tells a wrong key from the right one.
 *
 * Invariants:
 * - A key's id follows from its bytes, so the same key has the same id everywhere and another key never has it.
 * - What a key does is done by keys derived from it for this store (HKDF-SHA256, the store's id as salt): two stores that
 *   share a master key cannot open each other's data keys, and no key has two uses.
 * - A key that was dropped opens what is still in memory; it seals nothing.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hash, hkdfSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { InvalidError } from '../../schemas/index.js';

/** Bytes of a master key and of a data key. */
export const KEY_BYTES = 32;
/** RFC 3394, 2.2.3.1. */
const WRAP_IV = Buffer.from('a6a6a6a6a6a6a6a6', 'hex');

/** One master key, as one store uses it. */
export interface MasterKey {
  readonly id: string;
  /** Tells this key from others without telling anything about it; hex. */
  readonly check: string;
  /** The data key of a fresh salt (32 random bytes); there is no bound on how many versions one key seals. To be used at once, and wiped. */
  derive(salt: Uint8Array): Buffer;
  /** AES-256 key wrap, for a data key that another master key gave. */
  wrap(dataKey: Uint8Array): Buffer;
  /** undefined when this key, or these bytes, are not the ones that were wrapped. */
  unwrap(wrapped: Uint8Array): Buffer | undefined;
}

/** What one master key derives, each at its first use: most stores open and seal nothing. */
class DerivedKeys implements MasterKey {
  readonly id: string;
  readonly #bytes: Uint8Array;
  readonly #storeId: string;
  #check: string | undefined;
  #wrapping: KeyObject | undefined;
  #deriving: Buffer | undefined;
  /**
   * Where the data key at hand lies. The pool for small buffers is no place for it: all of the process shares that, and whoever passes
   * on the memory behind a buffer of his own passes on what lies beside it.
   */
  readonly #given = Buffer.allocUnsafeSlow(KEY_BYTES);

  constructor(bytes: Uint8Array, storeId: string) {
    // A copy: what is derived later comes from what was given now.
    this.#bytes = Uint8Array.from(bytes);
    this.#storeId = storeId;
    this.id = masterKeyId(bytes);
  }

  #use(use: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#bytes, this.#storeId, `rune-runtime/${use}/1`, KEY_BYTES));
  }

  get check(): string {
    this.#check ??= this.#use('check').toString('hex');
    return this.#check;
  }

  derive(salt: Uint8Array): Buffer {
    // The one-step key derivation of NIST SP 800-56C with a hash: counter, secret, fixed information (a label and the salt).
    this.#deriving ??= Buffer.concat([
      Buffer.from([0, 0, 0, 1]),
      this.#use('data'),
      Buffer.from('rune-runtime/data/1'),
      Buffer.alloc(KEY_BYTES),
    ]);
    this.#deriving.set(salt, this.#deriving.length - KEY_BYTES);
    // As text first: a Buffer of its own from the hash takes twice as long.
    this.#given.write(hash('sha512-256', this.#deriving, 'binary'), 'binary');
    return this.#given;
  }

  #wrap(): KeyObject {
    this.#wrapping ??= createSecretKey(this.#use('wrap'));
    return this.#wrapping;
  }

  wrap(dataKey: Uint8Array): Buffer {
    return createCipheriv('id-aes256-wrap', this.#wrap(), WRAP_IV).update(dataKey);
  }

  unwrap(wrapped: Uint8Array): Buffer | undefined {
    const wrapping = this.#wrap();
    try {
      const opened = createDecipheriv('id-aes256-wrap', wrapping, WRAP_IV).update(wrapped);
      return opened.length === KEY_BYTES ? opened : undefined;
    } catch {
      return undefined;
    }
  }
}

/** @throws {InvalidError} when it is not 32 bytes */
export function masterKey(bytes: Uint8Array, storeId: string): MasterKey {
  if (bytes.length !== KEY_BYTES) throw new InvalidError(`a master key has ${KEY_BYTES} bytes, not ${bytes.length}`);
  return new DerivedKeys(bytes, storeId);
}

/** The name of a master key, which says nothing about the rest of it. */
export function masterKeyId(bytes: Uint8Array): string {
  return `k${Buffer.from(hkdfSync('sha256', bytes, '', 'rune-runtime/id/1', 8)).toString('hex')}`;
}

/** The keys of an open store. */
export class Keyring {
  readonly #keys = new Map<string, MasterKey>();
  readonly #find: (id: string) => MasterKey | undefined;
  #primary: MasterKey | undefined;
  #wanted: string | undefined;

  /** `find` is asked for a key that is not here: another process may have made it meanwhile. */
  constructor(find: (id: string) => MasterKey | undefined = () => undefined) {
    this.#find = find;
  }

  /** The key that seals; undefined: nothing can be sealed. */
  get primary(): MasterKey | undefined {
    return this.#primary;
  }

  /** The id of the key that has to seal, whether it is here or not. */
  get wanted(): string | undefined {
    return this.#wanted;
  }

  get ids(): readonly string[] {
    return [...this.#keys.keys()];
  }

  has(id: string): boolean {
    return this.#keys.has(id);
  }

  /** Without looking elsewhere. */
  get(id: string): MasterKey | undefined {
    return this.#keys.get(id);
  }

  find(id: string): MasterKey | undefined {
    const known = this.#keys.get(id);
    if (known !== undefined) return known;
    const found = this.#find(id);
    if (found !== undefined) this.#keys.set(found.id, found);
    return found;
  }

  add(key: MasterKey): void {
    if (!this.#keys.has(key.id)) this.#keys.set(key.id, key);
  }

  /** Seals with this key from now on; with none when it is not here. */
  seal(id: string | undefined): void {
    this.#wanted = id;
    this.#primary = id === undefined ? undefined : this.find(id);
  }
}
