/**
 * Seals what is sensitive in an object, and opens it: AES-256-GCM, a fresh data key for each version.
 *
 * Invariants:
 * - A seal opens under the identity it was made for: store, type, namespace, name, uid and the object's own version counter,
 *   as the caller asks for them and never as the bytes claim. The clear part of the object is authenticated with it.
 * - `open` decrypts nothing; shared forms hold ciphertext, and a value is in the clear only while somebody reveals it.
 * - A data key comes from the master key and 32 fresh random bytes (deriving costs a third of wrapping); a new master key
 *   takes it over by wrapping it. Keys and opened bytes are wiped after use; texts, which JavaScript cannot wipe, are left to the
 *   collector.
 */
import { createCipheriv, createDecipheriv, hash } from 'node:crypto';
import { CorruptError, DecryptionError, ForbiddenError, Sealed, cloneJson, invalid, isCorrupt, isDecryption } from '../../schemas/index.js';
import type { Cause, SealedOptions } from '../../schemas/index.js';
import type { Codec } from '../codecs/json.js';
import type { Entropy } from '../deps.js';
import type { Key } from '../engine.js';
import { describeKey } from '../keys.js';
import type { SealIdentity, SealedObject, Sealer } from '../object-codec.js';
import { detailsOf } from '../write/rules.js';
import type { Stored } from '../write/rules.js';
import { NONCE_BYTES, SALT_BYTES, TAG_BYTES, draftEnvelope, isEnvelope, keyIdOf, parseEnvelope, withWrappedKey } from './envelope.js';
import type { Envelope } from './envelope.js';
import type { Keyring } from './keyring.js';
import { parseValues, textOf } from './sealed-values.js';
import { acceptOperations, fieldOf, findMarks, needsTaking, plainOf, reveal, taking } from './plain-values.js';
import { compilePaths, isCovered, mapLeaves, someLeaf } from './sensitive-paths.js';
import type { PathNode, SensitivePaths } from './sensitive-paths.js';

const ALGORITHM = 'aes-256-gcm';
const LABEL = 'rune-runtime/sealed/1';
/** Randomness is drawn for so many seals at once: one call to the generator for each would cost as much as the cipher. */
const DRAW = 64;
const DRAWN_BYTES = SALT_BYTES + NONCE_BYTES;
const NAMING_BYTES = 32;
const CONTENT_ID_CHARS = 32;
/** Sensitive paths written in envelopes and no longer those of the type; kept compiled, up to so many. */
const MOST_PATTERNS = 256;

export interface SealerOptions {
  readonly storeId: string;
  readonly keyring: Keyring;
  readonly entropy: Entropy;
  /** Whether sensitive values that lie in the clear (from before they were marked) may be read. */
  readonly readPlaintext: boolean;
}

/** The sealer, and what rotation needs of it. */
export interface KeyedSealer extends Sealer {
  /** The master key that an envelope needs. @throws {CorruptError} when it is damaged anywhere that can be told without the key */
  keyOf(value: Uint8Array, key: Key): string;
  /** The envelope under the key that seals now; undefined when it is under that already. @throws {DecryptionError} @throws {CorruptError} */
  rewrap(value: Uint8Array, key: Key): Uint8Array | undefined;
}

/** The sensitive paths of a type, ready for use. */
interface Shape {
  readonly root: PathNode;
  readonly patterns: Buffer;
  readonly text: string;
}

/** One sealed version: everything needed to open it later, taken apart when that is asked for. */
class Version {
  readonly identity: SealIdentity;
  readonly #value: Uint8Array;
  #envelope: Envelope | undefined;

  constructor(identity: SealIdentity, value: Uint8Array) {
    this.identity = identity;
    this.#value = value;
  }

  /** @throws {CorruptError} */
  get envelope(): Envelope {
    return (this.#envelope ??= parseEnvelope(this.#value, this.identity.key));
  }
}

/** What opens and names sealed values. */
interface Vault {
  valueAt(version: Version, index: number): unknown;
  contentId(version: Version, index: number): string;
}

/** One sealed value of a version, as a seal holds it. */
class Content implements SealedOptions<unknown> {
  readonly #vault: Vault;
  readonly #version: Version;
  readonly #index: number;

  constructor(vault: Vault, version: Version, index: number) {
    this.#vault = vault;
    this.#version = version;
    this.#index = index;
  }

  open(): unknown {
    return this.#vault.valueAt(this.#version, this.#index);
  }

  get id(): string {
    return this.#vault.contentId(this.#version, this.#index);
  }
}

export function createSealer(options: SealerOptions): KeyedSealer {
  const { storeId, keyring, entropy, readPlaintext } = options;
  const shapes = new WeakMap<SensitivePaths, Shape>();
  const patterns = new Map<string, PathNode>();
  let drawn = Buffer.alloc(0);
  let used = 0;
  let naming: string | undefined;
  /** While an object is revealed as a whole, each of its versions is decrypted once. */
  let opened: Map<Version, readonly unknown[]> | undefined;

  const prefix = `${LABEL.length}:${LABEL},${storeId.length}:${storeId},`;

  const shapeOf = (paths: SensitivePaths): Shape => {
    let shape = shapes.get(paths);
    if (shape === undefined) {
      const text = JSON.stringify(paths);
      shape = { root: compilePaths(paths), patterns: Buffer.from(text), text };
      shapes.set(paths, shape);
    }
    return shape;
  };

  /** Fresh random bytes for one seal: the salt of its data key, then its nonce; a view, to be used at once. */
  const fresh = (): Buffer => {
    if (used === drawn.length) {
      drawn = Buffer.from(entropy.bytes(DRAW * DRAWN_BYTES));
      used = 0;
    }
    used += DRAWN_BYTES;
    return drawn.subarray(used - DRAWN_BYTES, used);
  };

  /** What is authenticated first: the identity, each part with its length in front. The clear part of the envelope follows. */
  const associated = ({ key, uid, version }: SealIdentity): Buffer => {
    const { type, namespace, name } = key;
    return Buffer.from(
      `${prefix}${type.length}:${type},${namespace.length}:${namespace},${name.length}:${name},${uid.length}:${uid},${version}`,
    );
  };

  const decrypt = (version: Version): readonly unknown[] => {
    const { identity, envelope } = version;
    const dataKey = dataKeyOf(keyring, version);
    let body: Buffer | undefined;
    try {
      const decipher = createDecipheriv(ALGORITHM, dataKey, envelope.nonce);
      decipher.setAAD(associated(identity));
      decipher.setAAD(envelope.authenticated);
      decipher.setAuthTag(envelope.tag);
      body = decipher.update(envelope.body);
      decipher.final();
    } catch {
      body?.fill(0);
      throw locked(identity.key, 'its content is not what was sealed for this version of this object');
    } finally {
      dataKey.fill(0);
    }
    let values: readonly unknown[];
    try {
      values = parseValues(body);
    } catch {
      // Not as its cause: what a parser says quotes what it read.
      throw damaged(identity.key, 'its values are in no form that this version reads');
    } finally {
      body.fill(0);
    }
    if (values.length !== envelope.count) throw locked(identity.key, 'it holds another number of values than it says');
    return values;
  };

  const valuesOf = (version: Version): readonly unknown[] => {
    let values = opened?.get(version);
    if (values === undefined) {
      values = decrypt(version);
      opened?.set(version, values);
    }
    return values;
  };

  /** The value of one place; the caller's own. */
  const valueAt = (version: Version, index: number): unknown =>
    opened === undefined ? decrypt(version)[index] : cloneJson(valuesOf(version)[index]);

  /**
   * Names a value: the same for the same value, and nothing that helps to guess it (SHA-512/256 cannot be extended, so a secret
   * in front makes a MAC of it). That secret is this sealer's own: names outlive master keys, and are never stored.
   */
  const nameOf = (text: string): string => {
    naming ??= Buffer.from(entropy.bytes(NAMING_BYTES)).toString('hex');
    return hash('sha512-256', `${naming}${text}`).slice(0, CONTENT_ID_CHARS);
  };

  /** Tells a value from others, so that a change can be told; computed only when somebody compares. */
  const contentId = (version: Version, index: number): string => {
    try {
      return nameOf(JSON.stringify(valueAt(version, index)));
    } catch (error) {
      if (!isDecryption(error) && !isCorrupt(error)) throw error;
    }
    // What cannot be opened equals nothing but itself.
    const { key, uid, version: count } = version.identity;
    return `${describeKey(key)} ${uid} ${count} ${index}`;
  };

  const vault: Vault = { contentId, valueAt };
  const sealedAt = (version: Version, index: number): Sealed => new Sealed(new Content(vault, version, index));

  const patternsOf = (text: string, key: Key): PathNode => {
    let node = patterns.get(text);
    if (node !== undefined) return node;
    let paths: unknown;
    try {
      paths = JSON.parse(text);
    } catch (error) {
      throw damaged(key, 'its list of sealed places cannot be read', error);
    }
    if (
      !Array.isArray(paths) ||
      !paths.every((path) => Array.isArray(path) && path.length > 0 && path.length < 100 && path.every((part) => typeof part === 'string'))
    ) {
      throw damaged(key, 'its list of sealed places is none');
    }
    node = compilePaths(paths as SensitivePaths);
    if (patterns.size < MOST_PATTERNS) patterns.set(text, node);
    return node;
  };

  /** The object with `fill(index)` in the sealed places. `shape`: what the type says is sensitive; undefined: whatever was sealed. */
  const assemble = (
    envelope: Envelope,
    identity: SealIdentity,
    codec: Codec,
    shape: Shape | undefined,
    fill: (index: number) => unknown,
  ): Stored => {
    const { key } = identity;
    let clear: unknown;
    try {
      clear = codec.decode(envelope.clear);
    } catch (error) {
      throw damaged(key, `its clear part cannot be decoded as ${codec.name}`, error);
    }
    const { metadata } = (clear ?? {}) as { metadata?: Readonly<Record<string, unknown>> | null };
    if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) throw damaged(key, 'its clear part is no object');
    // Nothing is opened here, so nothing proves this; but who looks at it must not take one object for another.
    if (metadata['name'] !== key.name || (metadata['namespace'] ?? '') !== key.namespace || metadata['uid'] !== identity.uid)
      throw locked(key, 'its clear part is that of another object');
    const same = shape !== undefined && shape.text === envelope.patterns;
    return mapLeaves(same ? shape.root : patternsOf(envelope.patterns, key), clear, (index, trail) => {
      if (!Number.isInteger(index) || (index as number) < 0 || (index as number) >= envelope.count)
        throw damaged(key, 'a place in its clear part names no sealed value');
      if (shape !== undefined && !same && !isCovered(shape.root, trail)) {
        throw locked(
          key,
          `${fieldOf(trail)} is sealed, and the definition that this process brings does not say so: bring the one it was written with`,
        );
      }
      return fill(index as number);
    }) as Stored;
  };

  /** Made apart from `seal`, so that what is kept of a version does not hold its plain values too. */
  const sealedObject = (version: Version, value: Uint8Array, shape: Shape, codec: Codec): SealedObject => ({
    value,
    cached(object) {
      let index = 0;
      return mapLeaves(shape.root, object, () => sealedAt(version, index++));
    },
    fromBytes: () => assemble(version.envelope, version.identity, codec, shape, (index) => sealedAt(version, index)),
  });

  /** Runs something that reveals several values: each version is decrypted once. */
  const together = <T>(run: () => T): T => {
    const outer = opened;
    opened ??= new Map();
    try {
      return run();
    } finally {
      opened = outer;
    }
  };

  return {
    seal(paths, identity, object, codec) {
      const primary = keyring.primary;
      if (primary === undefined) throw noKey(identity.key, keyring.wanted);
      const shape = shapeOf(paths);
      const values: unknown[] = [];
      const causes: Cause[] = [];
      const clear = mapLeaves(shape.root, object, (value, trail) => {
        findMarks(value, trail, causes);
        return values.push(plainOf(value)) - 1;
      });
      if (causes.length > 0) throw invalid(describeKey(identity.key), causes, detailsOf(identity.key));
      const random = fresh();
      const salt = random.subarray(0, SALT_BYTES);
      const nonce = random.subarray(SALT_BYTES);
      const text = textOf(values);
      const draft = draftEnvelope({
        keyId: primary.id,
        salt,
        nonce,
        patterns: shape.patterns,
        count: values.length,
        clear: codec.encode(clear),
        bodyBytes: Buffer.byteLength(text),
      });
      const { bytes: value, start, end } = draft;
      const dataKey = primary.derive(salt);
      const cipher = createCipheriv(ALGORITHM, dataKey, nonce);
      dataKey.fill(0);
      cipher.setAAD(associated(identity));
      cipher.setAAD(value.subarray(start, end));
      value.set(cipher.update(text, 'utf8'), end + TAG_BYTES);
      cipher.final();
      value.set(cipher.getAuthTag(), end);
      return sealedObject(new Version(identity, value), value, shape, codec);
    },

    owns: isEnvelope,

    open(paths, identity, value, codec) {
      const version = new Version(identity, value);
      return assemble(version.envelope, identity, codec, shapeOf(paths), (index) => sealedAt(version, index));
    },

    openPlain(identity, value, codec) {
      const version = new Version(identity, value);
      const values = decrypt(version);
      return assemble(version.envelope, identity, codec, undefined, (index) => values[index]);
    },

    reveal: (paths, object) => together(() => mapLeaves(shapeOf(paths).root, object, reveal)),

    accept(paths, input, what) {
      const shape = shapeOf(paths);
      if (!Array.isArray(input) && !someLeaf(shape.root, input, needsTaking)) return input;
      const causes: Cause[] = [];
      const accepted = together(() => {
        const take = taking(causes);
        return Array.isArray(input) ? acceptOperations(shape.root, input, take) : mapLeaves(shape.root, input, take);
      });
      if (causes.length > 0) throw invalid(what, causes);
      return accepted as typeof input;
    },

    cover(paths, identity, object) {
      let found: string | undefined;
      const covered = mapLeaves(shapeOf(paths).root, object, (value, trail) => {
        found ??= fieldOf(trail);
        const text = JSON.stringify(value);
        return new Sealed({
          open: () => JSON.parse(text) as unknown,
          get id() {
            return nameOf(text);
          },
        });
      });
      if (found !== undefined && !readPlaintext) {
        throw locked(
          identity.key,
          `${found} lies in the clear: it was written before the field was marked sensitive, or put there past the store. To seal what was written before, open the store with secrets.plaintext: 'read' and run rotateKeys()`,
        );
      }
      return covered;
    },

    keyOf: (value, key) => parseEnvelope(value, key).keyId,

    rewrap(value, key) {
      const primary = keyring.primary;
      if (primary === undefined) throw noKey(key, keyring.wanted);
      if (keyIdOf(value, key) === primary.id) return undefined;
      const envelope = parseEnvelope(value, key);
      const dataKey = dataKeyOf(keyring, { identity: { key }, envelope });
      const next = withWrappedKey(envelope, primary.id, primary.wrap(dataKey));
      dataKey.fill(0);
      return next;
    },
  };
}

/** @throws {DecryptionError} when the master key is missing, or is not the one that gave it */
function dataKeyOf(
  keyring: Keyring,
  { identity, envelope }: { readonly identity: Pick<SealIdentity, 'key'>; readonly envelope: Envelope },
): Buffer {
  const master = keyring.find(envelope.keyId);
  if (master === undefined) throw locked(identity.key, `it is sealed with key ${envelope.keyId}, which this process does not have`);
  const { dataKey } = envelope;
  const found = dataKey.length === SALT_BYTES ? master.derive(dataKey) : master.unwrap(dataKey);
  if (found === undefined) throw locked(identity.key, 'its data key is not one that was made for it');
  return found;
}

function locked(key: Key, why: string): DecryptionError {
  return new DecryptionError(`${describeKey(key)} cannot be opened: ${why}`, { details: detailsOf(key) });
}

function damaged(key: Key, why: string, cause?: unknown): CorruptError {
  return new CorruptError(`the sealed content of ${describeKey(key)} is damaged: ${why}`, { details: detailsOf(key), cause });
}

function noKey(key: Key, wanted: string | undefined): ForbiddenError {
  return new ForbiddenError(
    wanted === undefined
      ? `${describeKey(key)} holds secrets and this store has no key to seal them with: open it with secrets: { keys }, for example fileKeys({ path })`
      : `${describeKey(key)} holds secrets, the store seals them with key ${wanted}, and this process does not have it: give it that key (secrets: { keys, previous }) and open the store again`,
    { details: detailsOf(key) },
  );
}
