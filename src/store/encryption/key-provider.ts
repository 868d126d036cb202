/**
 * Where master keys come from. A provider gives the bytes when a store is opened; sealing and opening never wait for it.
 *
 * Invariant: a provider makes a new key only for a store that has none: for one that has, a missing key is an error.
 */
import { InvalidError } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import { KEY_BYTES } from './keyring.js';

/** A key that the store remembers having sealed with. */
export interface KnownKey {
  readonly id: string;
  /** What the provider asked to keep beside the data: a seed that its KMS wrapped. */
  readonly wrapped?: Uint8Array | undefined;
}

/** Whose keys are meant: stores that share a provider have keys of their own. */
export interface KeyOwner {
  readonly storeId: string;
}

/** What a provider is told. */
export interface KeyRequest extends KeyOwner {
  readonly deps: Pick<Deps, 'entropy' | 'clock' | 'scheduler' | 'logger'>;
  /** Empty for a store that has sealed nothing yet. */
  readonly known: readonly KnownKey[];
  /** The id of the key that seals, if the store remembers one. */
  readonly primary: string | undefined;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal?: AbortSignal | undefined;
}

/** A master key as it is provided. */
export interface ProvidedKey {
  /** 32 bytes. */
  readonly bytes: Uint8Array;
  /** Kept beside the data and given back at the next opening; no secret. */
  readonly wrapped?: Uint8Array | undefined;
}

export interface ProvidedKeys {
  /** Seals from now on. Undefined when it cannot be had, or when there is none yet: then `create` is asked for one. */
  readonly primary: ProvidedKey | undefined;
  /** Open what they once sealed. */
  readonly previous: readonly ProvidedKey[];
  /** Why keys were left out that should be there; told when they turn out to be needed. */
  readonly failures?: readonly unknown[] | undefined;
}

/**
 * A source of master keys: `fileKeys`, `environmentKeys`, `generatedKeys`, `kmsKeys`, `ephemeralKeys`, or your own.
 */
export interface KeyProvider {
  /** For messages and stats. */
  readonly name: string;
  /**
   * Called when a store opens, and when keys are rotated. Keys that it cannot give are left out, those it can are given all
   * the same; it throws when it can give none.
   */
  load(request: KeyRequest): Promise<ProvidedKeys>;
  /** Makes a new key: for a store that has none, and for `rotateKeys()`. Absent: new keys come from outside. */
  create?(request: KeyRequest): Promise<ProvidedKey>;
  /** Removes a key that seals nothing of its owner any more. Absent: that is done outside. */
  destroy?(id: string, owner: KeyOwner): Promise<void>;
  /** Looks for a key that another process may have made, without waiting. */
  find?(id: string, owner: KeyOwner): ProvidedKey | undefined;
}

/** Base64 of 32 bytes, blanks around it ignored. @throws {InvalidError} that says where, never what */
export function parseKey(text: string, where: string): Buffer {
  const trimmed = text.trim();
  const bytes = Buffer.from(trimmed, 'base64');
  // Node's decoder skips what is no base64: only the canonical text is taken, so that a key cut or mangled is noticed.
  const canonical = bytes.toString('base64');
  if (bytes.length !== KEY_BYTES || (trimmed !== canonical && trimmed !== canonical.replace(/=+$/, ''))) {
    throw new InvalidError(
      `${where} holds no key: base64 of ${KEY_BYTES} bytes is expected, as \`openssl rand -base64 ${KEY_BYTES}\` prints it`,
    );
  }
  return bytes;
}

export function formatKey(bytes: Uint8Array): string {
  return `${Buffer.from(bytes).toString('base64')}\n`;
}
