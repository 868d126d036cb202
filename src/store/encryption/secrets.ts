/**
 * The keys of an open store: loads them, holds them against what the store remembers, follows what other processes change.
 *
 * Invariants: a store never opens with a key missing that its secrets are sealed with, unless told to lock those secrets;
 * a key is remembered before anything is sealed with it; the record changes by compare-and-swap, so that processes that
 * open one store together agree.
 */
import { ConflictError, DecryptionError, InvalidError, NotFoundError } from '../../schemas/index.js';
import type { Deps, Timer } from '../deps.js';
import type { Engine, EngineMeta } from '../engine.js';
import type { KeyProvider, KeyRequest, ProvidedKey } from './key-provider.js';
import { knownKeys, readKeyRecord, withKey, withoutKey, writeKeyRecord } from './key-record.js';
import type { KeyRecord } from './key-record.js';
import { Keyring, masterKey } from './keyring.js';
import type { MasterKey } from './keyring.js';
import { createSealer } from './sealer.js';
import type { KeyedSealer } from './sealer.js';

export interface SecretsOptions {
  /**
   * Where master keys come from: `fileKeys`, `environmentKeys`, `kmsKeys`, `generatedKeys`, `ephemeralKeys`, or your own.
   * Default: generated once and kept in `<path>/keys` (which is no protection from somebody who has all of `path`); for
   * `memoryEngine()` in the memory of the engine; for other engines none, and then secrets are refused.
   */
  readonly keys?: KeyProvider | undefined;
  /** Where earlier keys come from, while moving from one provider to another. */
  readonly previous?: readonly KeyProvider[] | undefined;
  /** What a key does that is missing: refuses to open the store (the default), or locks what it sealed and leaves the rest usable. */
  readonly missing?: 'refuse' | 'lock' | undefined;
  /**
   * What becomes of sensitive values that lie in the clear, because the field was marked after they were written: they are
   * refused (the default), or read, until `rotateKeys()` has sealed them.
   */
  readonly plaintext?: 'refuse' | 'read' | undefined;
}

/** The options, checked. */
export interface CompiledSecrets {
  readonly keys: KeyProvider | undefined;
  readonly previous: readonly KeyProvider[];
  readonly missing: 'refuse' | 'lock';
  readonly plaintext: 'refuse' | 'read';
}

export interface SecretsHost {
  readonly storeId: string;
  readonly deps: Deps;
  engine(): Engine;
}

/** A key that a provider gave, as this store uses it. */
interface Given {
  readonly key: MasterKey;
  readonly wrapped: Uint8Array | undefined;
}

/** How often what other processes did to the keys is looked at, ms. */
export const KEY_BEAT = 2000;
/** How long a key that was not found is not looked for again, ms. */
const MISS_PAUSE = 1000;
/** Ids remembered as not found; more than a store ever has. */
const MOST_MISSES = 1024;

/** @throws {InvalidError} that names the option */
export function compileSecrets(options: SecretsOptions | undefined, otherwise: KeyProvider | undefined): CompiledSecrets {
  const { keys = otherwise, previous = [], missing = 'refuse', plaintext = 'refuse' } = options ?? {};
  for (const provider of [...(keys === undefined ? [] : [keys]), ...previous]) {
    if (typeof provider?.load !== 'function' || typeof provider.name !== 'string')
      throw bad('secrets.keys', 'must be a key provider, such as fileKeys({ path })');
  }
  if (missing !== 'refuse' && missing !== 'lock') throw bad('secrets.missing', `must be 'refuse' or 'lock', not ${String(missing)}`);
  if (plaintext !== 'refuse' && plaintext !== 'read')
    throw bad('secrets.plaintext', `must be 'refuse' or 'read', not ${String(plaintext)}`);
  return { keys, previous, missing, plaintext };
}

/** Loads the keys and checks them. @throws {DecryptionError} when one is wrong or missing */
export async function openSecrets(
  host: Omit<SecretsHost, 'engine'> & { readonly engine: Engine },
  options: CompiledSecrets,
): Promise<Secrets> {
  const { engine, ...rest } = host;
  const secrets = new Secrets({ ...rest, engine: () => engine }, options);
  await secrets.load();
  return secrets;
}

export class Secrets {
  readonly sealer: KeyedSealer;
  readonly keyring: Keyring;
  #host: SecretsHost;
  #options: CompiledSecrets;
  #text: string | undefined;
  #timer: Timer | undefined;
  #stopped = false;
  readonly #misses = new Map<string, number>();

  constructor(host: SecretsHost, options: CompiledSecrets) {
    this.#host = host;
    this.#options = options;
    this.keyring = new Keyring((id) => this.#find(id));
    this.sealer = createSealer({
      storeId: host.storeId,
      keyring: this.keyring,
      entropy: host.deps.entropy,
      readPlaintext: options.plaintext === 'read',
    });
  }

  /** The record of the keys, as it was last read or written here. */
  get text(): string | undefined {
    return this.#text;
  }

  /** Takes in what others did to the keys. */
  async reload(meta: EngineMeta): Promise<void> {
    await this.#follow(meta);
  }

  /** The store's engine may be opened anew: from here on it is asked for. */
  attach(engine: () => Engine): void {
    this.#host = { ...this.#host, engine };
  }

  /** Begins to follow what other processes do. */
  start(): void {
    if (this.#host.engine().capabilities.shared) this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Reads keys and record, and brings them together; `keys` replaces the provider. */
  async load(keys?: KeyProvider): Promise<void> {
    if (keys !== undefined) {
      const { keys: before, previous } = this.#options;
      this.#options = compileSecrets(
        { ...this.#options, keys, previous: before === undefined ? previous : [before, ...previous] },
        undefined,
      );
    }
    for (;;) if (await this.#load()) return;
  }

  /** Makes a new key primary, if the provider makes keys. */
  async renew(): Promise<void> {
    const provider = this.#options.keys;
    if (provider?.create === undefined) return;
    const { record } = await readKeyRecord(this.#host.engine().meta);
    const provided = await provider.create(this.#request(provider, record));
    const key = this.#admit(provided);
    for (;;) {
      const { text, record: current } = await readKeyRecord(this.#host.engine().meta);
      if (await this.#write(withKey(current, key, provider.name, provided.wrapped), text)) break;
    }
    this.keyring.seal(key.id);
  }

  /** Forgets a key that seals nothing. @throws {NotFoundError} @throws {ConflictError} for the key that seals */
  async drop(id: string): Promise<void> {
    for (;;) {
      const { text, record } = await this.check(id);
      if (await this.#write(withoutKey(record, id), text)) break;
    }
    for (const provider of this.#providers()) await provider.destroy?.(id);
  }

  /** @throws {NotFoundError} @throws {ConflictError} when the key cannot be dropped, whatever uses it */
  async check(id: string): Promise<{ readonly text: string | undefined; readonly record: KeyRecord }> {
    const { text, record } = await readKeyRecord(this.#host.engine().meta);
    if (record === undefined || !Object.hasOwn(record.keys, id))
      throw new NotFoundError(`this store has no key ${id}: keys() lists those it has`, { details: { kind: 'key', name: id } });
    if (record.primary === id)
      throw new ConflictError(`key ${id} seals what is written now: rotateKeys() first, then drop it`, {
        details: { kind: 'key', name: id },
      });
    return { text, record };
  }

  record(): Promise<KeyRecord | undefined> {
    return readKeyRecord(this.#host.engine().meta).then(({ record }) => record);
  }

  #providers(): readonly KeyProvider[] {
    const { keys, previous } = this.#options;
    return keys === undefined ? previous : [keys, ...previous];
  }

  /** `given`: keys that other providers gave already, and this one need not have. */
  #request(provider: KeyProvider, record: KeyRecord | undefined, given: ReadonlySet<string> = new Set()): KeyRequest {
    const { storeId, deps } = this.#host;
    return { storeId, deps, known: knownKeys(record, provider.name).filter(({ id }) => !given.has(id)), primary: record?.primary };
  }

  async #load(): Promise<boolean> {
    const { meta } = this.#host.engine();
    const { keys: provider, missing } = this.#options;
    const { text, record } = await readKeyRecord(meta);
    this.#text = text;
    const provided = await this.#provided(provider, record);
    const mine = new Map<string, MasterKey>();
    for (const { key } of provided.all) mine.set(key.id, key);
    const lost = Object.keys(record?.keys ?? {}).filter((id) => mine.get(id)?.check !== record!.keys[id]!.check);
    if (lost.length > 0 && missing === 'refuse') throw missingKeys(lost, [...mine.keys()], this.#providers());
    for (const [id, key] of mine) if (!lost.includes(id)) this.keyring.add(key);
    if (provided.primary === undefined) {
      this.keyring.seal(undefined);
      return true;
    }
    const primary = provided.primary.key;
    const isNew = record === undefined || record.primary !== primary.id || !Object.hasOwn(record.keys, primary.id);
    if (isNew && lost.length > 0) {
      // Which key is the right one is not known: nothing is sealed with one that nobody may ever have again.
      this.keyring.seal(undefined);
      return true;
    }
    const wrapped = provided.primary.wrapped;
    if (isNew && !(await this.#write(withKey(record, primary, provider!.name, wrapped), text))) return false;
    this.keyring.seal(primary.id);
    if (isNew && record !== undefined) {
      this.#host.deps.logger.info(
        { key: primary.id, before: record.primary },
        'secrets are sealed with another key from now on; rotateKeys() brings what is there to it',
      );
    }
    return true;
  }

  async #provided(
    provider: KeyProvider | undefined,
    record: KeyRecord | undefined,
  ): Promise<{ readonly primary: Given | undefined; readonly all: readonly Given[] }> {
    const all: Given[] = [];
    const given = new Set<string>();
    let primary: Given | undefined;
    // The earlier providers first: what they give the new one need not have. A new store has nothing to ask them for.
    for (const each of [...(record === undefined ? [] : this.#options.previous), ...(provider === undefined ? [] : [provider])]) {
      let keys;
      try {
        keys = await each.load(this.#request(each, record, each === provider ? given : undefined));
      } catch (error) {
        if (this.#options.missing !== 'lock') throw error;
        this.#host.deps.logger.warn({ err: error }, 'keys cannot be had; what they sealed stays locked');
        continue;
      }
      for (const [index, one] of [keys.primary, ...keys.previous].entries()) {
        const mine: Given = { key: this.#master(one), wrapped: one.wrapped };
        if (index === 0 && each === provider) primary = mine;
        all.push(mine);
        given.add(mine.key.id);
      }
    }
    return { primary, all };
  }

  #master(provided: ProvidedKey): MasterKey {
    return masterKey(provided.bytes, this.#host.storeId);
  }

  #admit(provided: ProvidedKey): MasterKey {
    const key = this.#master(provided);
    this.keyring.add(key);
    return key;
  }

  async #write(record: KeyRecord, before: string | undefined): Promise<boolean> {
    if (!(await writeKeyRecord(this.#host.engine().meta, record, before))) return false;
    this.#text = JSON.stringify(record);
    return true;
  }

  /** A key that another process made since: asked for when something sealed with it is met. */
  #find(id: string): MasterKey | undefined {
    const now = this.#host.deps.clock.monotonic();
    const missed = this.#misses.get(id);
    if (missed !== undefined && now - missed < MISS_PAUSE) return undefined;
    for (const provider of this.#providers()) {
      try {
        const found = provider.find?.(id);
        if (found !== undefined) return this.#master(found);
      } catch (error) {
        this.#host.deps.logger.warn({ err: error, key: id }, 'looking for a key failed');
      }
    }
    if (this.#misses.size >= MOST_MISSES) this.#misses.clear();
    this.#misses.set(id, now);
    return undefined;
  }

  #arm(): void {
    this.#timer = this.#host.deps.scheduler.after(
      KEY_BEAT,
      () => {
        this.#follow(this.#host.engine().meta)
          .catch((error: unknown) => {
            if (!this.#stopped)
              this.#host.deps.logger.warn({ err: error }, 'the keys of the store could not be read anew; it is tried again');
          })
          .finally(() => {
            if (!this.#stopped) this.#arm();
          });
      },
      { unref: true },
    );
  }

  /** Another process has rotated: its key is taken over, so that nothing more is sealed with the old one. */
  async #follow(meta: EngineMeta): Promise<void> {
    const { text, record } = await readKeyRecord(meta);
    if (text === this.#text || record === undefined) return;
    this.#misses.clear();
    if (!this.keyring.has(record.primary)) {
      const { all } = await this.#provided(this.#options.keys, record);
      for (const { key } of all) this.keyring.add(key);
    }
    if (this.keyring.has(record.primary)) this.keyring.seal(record.primary);
    else
      this.#host.deps.logger.warn(
        { key: record.primary },
        'another process seals secrets with a key that this one does not have: give it that key too',
      );
    this.#text = text;
  }
}

function missingKeys(lost: readonly string[], given: readonly string[], providers: readonly KeyProvider[]): DecryptionError {
  const from =
    providers.length === 0
      ? 'no key provider was given'
      : `${providers.map(({ name }) => name).join(', ')} gave ${given.length === 0 ? 'no key' : `key ${given.join(', ')}`}`;
  return new DecryptionError(
    `this store holds secrets sealed with key ${lost.join(', ')}, and ${from}: pass every key that its secrets were sealed with, or open it with secrets: { missing: 'lock' } to use the rest`,
  );
}

function bad(field: string, message: string): InvalidError {
  return new InvalidError(`${field} ${message}`, { causes: [{ reason: 'FieldValueInvalid', field, message }] });
}
