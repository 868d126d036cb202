/**
 * Between objects and bytes: the codec, the sealing of what is sensitive, the defaults that a newer schema brought.
 *
 * Invariants: what is sensitive is sealed before bytes leave this file, whatever the path; `cached` forms are what watches
 * and informers share (secrets as Sealed), `plain` forms belong to the caller alone. Stored bytes never hold a
 * resourceVersion: it is put in here, from the entry's revision. What a codec wrote never begins as a seal does.
 */
import { CorruptError, InvalidError, cloneJson, freezeJson, show } from '../schemas/index.js';
import type { ResourceValidator } from '../schemas/index.js';
import type { Codec } from './codecs/json.js';
import type { Entry, Key } from './engine.js';
import { Form, UnopenedForm, stubOf, unopened } from './form.js';
import { describeKey } from './keys.js';
import type { TypeInfo } from './registry.js';
import { SharedStrings } from './shared-strings.js';
import { detailsOf, stampRevision } from './write/rules.js';
import type { Stored } from './write/rules.js';

/** What a sealed version is bound to: it opens under this identity and no other. */
export interface SealIdentity {
  readonly key: Key;
  readonly uid: string;
  readonly version: number;
}

/** What a seal made. */
export interface SealedObject {
  /** The bytes to store. */
  readonly value: Uint8Array;
  /** The object with Sealed in the sensitive places: made of the one that was sealed, and sharing the rest with it. */
  cached(object: Stored): Stored;
  /** The same, decoded anew. */
  fromBytes(): Stored;
}

/** Encrypts and decrypts the sensitive parts of objects. */
export interface Sealer {
  /** @throws {InvalidError} for the text of a seal @throws {ForbiddenError} without a key */
  seal(paths: TypeInfo['sensitivePaths'], identity: SealIdentity, object: Stored, codec: Codec): SealedObject;
  /** True for bytes that `seal` made. */
  owns(value: Uint8Array): boolean;
  /** The object with Sealed in the sensitive places. @throws {CorruptError} when the bytes are no envelope. */
  open(paths: TypeInfo['sensitivePaths'], identity: SealIdentity, value: Uint8Array, codec: Codec): Stored;
  /** The object with plain values. @throws {CorruptError} @throws {DecryptionError} */
  openPlain(identity: SealIdentity, value: Uint8Array, codec: Codec): Stored;
  /** The same object with plain values instead of Sealed; what holds none is shared with the result. @throws {DecryptionError} */
  reveal(paths: TypeInfo['sensitivePaths'], object: Stored): Stored;
  /** What a caller hands in (an object, or a patch of either type) with plain values instead of Sealed. @throws {InvalidError} for the text of a seal */
  accept<T>(paths: TypeInfo['sensitivePaths'], input: T, what: string): T;
  /** An object that was stored in the clear, with Sealed in the sensitive places. @throws {DecryptionError} unless that is allowed */
  cover(paths: TypeInfo['sensitivePaths'], identity: SealIdentity, object: Stored): Stored;
}

export class ObjectCodec {
  readonly #codec: Codec;
  readonly #sealer: Sealer;
  readonly #strings = new SharedStrings();
  /** Decoded forms that an engine kept and that lack defaults of the type in force, as it shows them. */
  readonly #shown = new WeakMap<object, { readonly info: TypeInfo; readonly object: Stored }>();

  constructor(codec: Codec, sealer: Sealer) {
    this.#codec = codec;
    this.#sealer = sealer;
  }

  /**
   * Encodes a planned object. `keep`: the object itself, secrets as Sealed, becomes the shared form; otherwise the caller
   * keeps it, and the form is decoded from the bytes once somebody asks. @throws {InvalidError} for bytes of the codec that
   * would be read as a seal
   */
  encode(
    info: TypeInfo,
    identity: SealIdentity,
    object: Stored,
    options: { readonly keep: boolean },
  ): { readonly value: Uint8Array; readonly form: Form } {
    if (info.sensitivePaths.length === 0) {
      const value = this.#codec.encode(object);
      if (this.#sealer.owns(value)) throw beginsAsSeal(this.#codec, identity.key);
      return { value, form: new Form(options.keep ? object : () => this.#codec.decode(value) as Stored) };
    }
    const { value, cached, fromBytes } = this.#sealer.seal(info.sensitivePaths, identity, object, this.#codec);
    return { value, form: options.keep ? new Form(cached(object)) : new Form(fromBytes, true) };
  }

  /** The shared form of an entry, decoded now. */
  form(info: TypeInfo, entry: Entry): Form {
    try {
      return new Form(entry.decoded === undefined ? this.#decode(info, entry, false) : this.cached(info, entry));
    } catch (error) {
      return new UnopenedForm(stubOf(entry), unopened(error));
    }
  }

  /** The shared, frozen form of an entry. */
  cached(info: TypeInfo, entry: Entry): Stored {
    const shared = this.#isClear(info, entry) ? (entry.decoded as Stored | undefined) : undefined;
    if (shared !== undefined) {
      if (shared.metadata.resourceVersion === undefined) stampRevision(shared, entry.revision);
      return this.#show(info, freezeJson(shared) as Stored);
    }
    const object = this.#decode(info, entry, false);
    freezeFresh(object, this.#strings);
    return object;
  }

  /** A kept form with the defaults of the type in force, which may be newer than the form. */
  #show(info: TypeInfo, shared: Stored): Stored {
    if (info.validator === undefined || isComplete(info.validator, shared)) return shared;
    const shown = this.#shown.get(shared);
    if (shown?.info === info) return shown.object;
    const filled = cloneJson(shared);
    info.validator.applyDefaults(filled);
    const object = freezeJson(filled) as Stored;
    this.#shown.set(shared, { info, object });
    return object;
  }

  /** A fresh object for the caller, secrets in plain; sealed where this process did not bring the definition. */
  plain(info: TypeInfo, entry: Entry): Stored {
    if (this.#isClear(info, entry))
      return entry.decoded === undefined ? this.#decode(info, entry, false) : cloneJson(this.cached(info, entry));
    return this.#decode(info, entry, info.definition !== undefined);
  }

  /** Plain values in place of Sealed; what holds none is shared with the result. */
  reveal(info: TypeInfo, object: Stored): Stored {
    return info.sensitivePaths.length === 0 ? object : this.#sealer.reveal(info.sensitivePaths, object);
  }

  /** What a caller wants written, with plain values in place of Sealed. @throws {InvalidError} for the text of a seal in a sensitive place */
  accept<T>(info: TypeInfo, input: T): T {
    return info.sensitivePaths.length === 0 ? input : this.#sealer.accept(info.sensitivePaths, input, info.type);
  }

  /** The sealed bytes of an entry that lies in the clear although its type is sensitive; undefined when there is nothing to seal. @throws {DecryptionError} unless that may be read */
  sealClear(info: TypeInfo, entry: Entry): Uint8Array | undefined {
    if (entry.value === undefined || info.sensitivePaths.length === 0 || this.#sealer.owns(entry.value)) return undefined;
    const object = this.#decodeSensitive(entry, entry.value);
    // Refuses, unless reading what lies in the clear is allowed: sealing it would vouch for it.
    this.#sealer.cover(info.sensitivePaths, identityOf(entry), object);
    return this.encode(info, identityOf(entry), object, { keep: true }).value;
  }

  /** False for bytes of a type that holds secrets that are not what the codec wrote: a seal perhaps, damaged. */
  isObject(info: TypeInfo, entry: Entry): boolean {
    if (info.sensitivePaths.length === 0 || entry.value === undefined) return true;
    try {
      this.#decodeSensitive(entry, entry.value);
      return true;
    } catch (error) {
      unopened(error);
      return false;
    }
  }

  /** Whether what is stored holds no seals and needs none: then a decoded form that an engine kept can be shared. */
  #isClear(info: TypeInfo, entry: Entry): boolean {
    return info.sensitivePaths.length === 0 && (entry.value === undefined || !this.#sealer.owns(entry.value));
  }

  #decode(info: TypeInfo, entry: Entry, plain: boolean): Stored {
    const value = entry.value;
    if (value === undefined) throw new CorruptError(`${describeKey(entry.key)} has no content at revision ${entry.revision}`);
    const paths = info.sensitivePaths;
    let object: Stored;
    if (this.#sealer.owns(value)) {
      const identity = identityOf(entry);
      // What stays sealed keeps its bytes, and those of an entry read in place are gone in a moment.
      object = plain
        ? this.#sealer.openPlain(identity, value, this.#codec)
        : this.#sealer.open(paths, identity, Buffer.from(value), this.#codec);
    } else {
      object = paths.length === 0 ? this.#decodeClear(entry, value) : this.#decodeSensitive(entry, value);
      if (paths.length > 0) {
        object = this.#sealer.cover(paths, identityOf(entry), object);
        if (plain) object = this.#sealer.reveal(paths, object);
      }
    }
    info.validator?.applyDefaults(object);
    stampRevision(object, entry.revision);
    return object;
  }

  /** What lies in the clear and should not; if it was sealed once, it may be anything by now. */
  #decodeSensitive(entry: Entry, value: Uint8Array): Stored {
    const object = this.#decodeClear(entry, value) as Partial<Stored> | null;
    if (typeof object?.metadata === 'object' && object.metadata !== null) return object as Stored;
    throw new CorruptError(`${describeKey(entry.key)} at revision ${entry.revision} is no object`);
  }

  #decodeClear(entry: Entry, value: Uint8Array): Stored {
    try {
      return this.#codec.decode(value) as Stored;
    } catch (error) {
      throw new CorruptError(`${describeKey(entry.key)} at revision ${entry.revision} cannot be decoded as ${this.#codec.name}`, {
        cause: error,
      });
    }
  }
}

/** Written, they could never be read again: nothing else tells a seal from what a codec wrote. */
function beginsAsSeal({ name }: Codec, key: Key): InvalidError {
  const message = 'its bytes may not begin with 0xC1, which marks what the store seals';
  return new InvalidError(
    `${describeKey(key)} cannot be written with the codec ${show(name)}: ${message}. Let its encode put another byte in front`,
    { causes: [{ reason: 'FieldValueInvalid', field: 'codec', message }], details: detailsOf(key) },
  );
}

function identityOf(entry: Entry): SealIdentity {
  return { key: entry.key, uid: entry.meta.uid, version: entry.version };
}

/** Whether a frozen object has all its defaults. Only what is absent is written, and what is frozen does not let itself be written to. */
function isComplete(validator: ResourceValidator, object: Stored): boolean {
  try {
    validator.applyDefaults(object);
    return true;
  } catch {
    return false;
  }
}

/**
 * `freezeJson` for what was decoded a moment ago: nothing in it is frozen, so nothing is asked, and equal texts become one.
 * Seals are frozen when made.
 */
function freezeFresh(value: object, strings: SharedStrings): void {
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) if (typeof item === 'object' && item !== null) freezeFresh(item, strings);
  } else {
    for (const key in value) {
      const item = (value as Readonly<Record<string, unknown>>)[key];
      if (typeof item === 'string') {
        const shared = strings.find(item);
        if (shared !== undefined) (value as Record<string, unknown>)[key] = shared;
      } else if (typeof item === 'object' && item !== null) freezeFresh(item, strings);
    }
  }
  Object.freeze(value);
}
