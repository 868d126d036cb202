/**
 * The keys of an open store: loads them, holds them against what the store remembers, changes them, follows other processes.
 *
 * Invariants: a store never opens with a key missing that its secrets are sealed with, unless told to lock those secrets;
 * a key is remembered before anything is sealed with it; the record changes by compare-and-swap, so that processes that
 * open one store together agree. This process seals with the key that the record names, as it knows it, or not at all.
 */
import {
  ConflictError,
  DecryptionError,
  ForbiddenError,
  InvalidError,
  NotFoundError,
  isForbidden,
  isInvalid,
  isStatusError,
} from '../../schemas/index.js';
import type { Deps, Timer } from '../deps.js';
import type { Engine, EngineMeta, Entry } from '../engine.js';
import { abortedError, sleep } from '../timing.js';
import { closedError } from '../write/not-written.js';
import type { KeyProvider } from './key-provider.js';
import { readKeyRecord, withNext, withPrimary, withoutKey, writeKeyRecord } from './key-record.js';
import type { GivenKey, KeyRecord } from './key-record.js';
import { askForMissing, askProvider, createKey } from './key-source.js';
import type { Gathered, KeySource } from './key-source.js';
import { Keyring, masterKey } from './keyring.js';
import type { MasterKey } from './keyring.js';
import { countKeys } from './rotation.js';
import type { KeyCounts } from './rotation.js';
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
  /**
   * What a key does that is missing and needed, because it seals or because something is sealed with it: refuses to open the
   * store (the default), or locks what it sealed and leaves the rest usable.
   */
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
  /** Whether an entry that is no envelope is what it should be, in the clear. */
  isClear(entry: Entry): boolean;
}

/** How often what other processes did to the keys is looked at, ms. */
export const KEY_BEAT = 2000;
/** How long others have to get a key that seals next from their provider, once they have seen it announced, ms; at least. */
const FETCH_TIME = 1000;
/** A key that could not be had is asked for less and less often, down to this, ms. */
const LONGEST_PAUSE = 60_000;
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
  host: Pick<SecretsHost, 'storeId' | 'deps'> & { readonly engine: Engine },
  options: CompiledSecrets,
): Promise<Secrets> {
  const { engine, ...rest } = host;
  // Before types are known, what is no envelope is taken for what it should be.
  const secrets = new Secrets({ ...rest, engine: () => engine, isClear: () => true }, options);
  await secrets.load();
  return secrets;
}

export class Secrets {
  readonly sealer: KeyedSealer;
  readonly keyring: Keyring;
  #host: SecretsHost;
  #options: CompiledSecrets;
  /** The record as last read or written here, and its text. What seals is what it names. */
  #text: string | undefined;
  #record: KeyRecord | undefined;
  /** Missing since the store was opened: those who might have them have been asked. */
  #lost: ReadonlySet<string> = new Set();
  #timer: Timer | undefined;
  readonly #ended = new AbortController();
  readonly #misses = new Map<string, number>();
  /** When a missing key is asked for again, and how long after that. */
  #askAt = 0;
  #pause = KEY_BEAT;

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

  get record(): KeyRecord | undefined {
    return this.#record;
  }

  /** The store's engine may be opened anew: from here on it is asked for. */
  attach(store: Pick<SecretsHost, 'engine' | 'isClear'>): void {
    this.#host = { ...this.#host, ...store };
  }

  /** Begins to follow what other processes do. */
  start(): void {
    if (this.#host.engine().capabilities.shared) this.#arm();
  }

  stop(): void {
    this.#ended.abort(closedError());
    this.#timer?.cancel();
  }

  /** Reads keys and record, and brings them together. @throws {DecryptionError} when a key is missing that may not be */
  async load(): Promise<void> {
    while (!(await this.#load()));
  }

  /** Takes in what others did to the keys. Waits for no provider. */
  async reload(meta: EngineMeta = this.#host.engine().meta): Promise<void> {
    const { text, record } = await readKeyRecord(meta);
    if (text !== this.#text) this.#adopt(text, record);
  }

  /**
   * Begins a rotation: another key seals from now on, if there is one to take, or the same when one that was begun is to be
   * finished. Noted together with the key, so that nothing is half begun, whatever happens.
   */
  async rotate({ keys, signal }: { readonly keys?: KeyProvider | undefined; readonly signal: AbortSignal }): Promise<void> {
    await this.reload();
    const { clock } = this.#host.deps;
    const began = clock.monotonic();
    const given = keys === undefined ? await this.#next(signal) : await this.#from(keys, signal);
    this.keyring.add(given.key);
    await this.#announce(given, clock.monotonic() - began, signal);
    await this.#change((record) => ({ ...withPrimary(record, given), rotating: true }));
    if (keys === undefined) return;
    const { keys: before, previous } = this.#options;
    this.#options = { ...this.#options, keys, previous: before === undefined ? previous : [before, ...previous] };
  }

  /** The id of the key that seals. @throws {ForbiddenError} when this process does not have it */
  primary(): string {
    const { primary, wanted } = this.keyring;
    if (primary === undefined) throw nothingToRotate(wanted);
    return primary.id;
  }

  /** Notes that everything is under a key. False when another one seals by now. */
  async finish(key: string): Promise<boolean> {
    await this.#change((record) => (record?.primary === key && record.rotating === true ? { ...record, rotating: undefined } : undefined));
    return this.#record?.primary === key;
  }

  /** Forgets a key that seals nothing. @throws {NotFoundError} @throws {ConflictError} when something needs it */
  async drop(id: string): Promise<void> {
    for (;;) {
      await this.reload();
      const [text, record] = [this.#text, this.#record];
      checkDroppable(record, id);
      // While the record stays as it is, nothing more is sealed with this key: what is counted is all there will be.
      checkUnused(id, await this.count(), (each) => record!.keys[each] !== undefined || this.keyring.find(each) !== undefined);
      if (await this.#write(withoutKey(record!, id), text)) break;
    }
    for (const provider of this.#providers()) await provider.destroy?.(id, { storeId: this.#host.storeId });
  }

  /** How many kept versions each key seals. */
  count(): Promise<KeyCounts> {
    return countKeys({ ...this.#host, sealer: this.sealer });
  }

  #providers(): readonly KeyProvider[] {
    const { keys, previous } = this.#options;
    return keys === undefined ? previous : [keys, ...previous];
  }

  #source(have: ReadonlySet<string>, signal: AbortSignal = this.#ended.signal): KeySource {
    const { storeId, deps } = this.#host;
    return { storeId, deps, providers: this.#providers(), record: this.#record, have, signal };
  }

  async #load(): Promise<boolean> {
    const { keys: provider, previous, missing } = this.#options;
    const { text, record } = await readKeyRecord(this.#host.engine().meta);
    this.#record = record;
    // The earlier providers first: what they give the new one need not have.
    const earlier = await askForMissing(this.#source(NONE), previous);
    const source = this.#source(new Set(earlier.all.map(({ key }) => key.id)));
    const own = provider === undefined ? NOTHING_GIVEN : await askProvider(source, provider);
    const failures = [...own.failures, ...earlier.failures];
    for (const { key } of [...earlier.all, ...own.all]) this.keyring.add(key);
    const lost = Object.entries(record?.keys ?? {}).filter(([id, { check }]) => this.keyring.get(id)?.check !== check);
    const needed = await this.#needed(lost.map(([id]) => id));
    if (missing === 'refuse') {
      // What is there and must not be used is to be mended; what is not there may not be missed.
      const wrong = failures.find((error) => isForbidden(error) || isInvalid(error));
      if (wrong !== undefined) throw wrong;
      if (own.primary === undefined && own.failures.length > 0) throw noPrimary(provider!, own.failures);
      if (needed.length > 0) throw missingKeys(needed, this.#providers(), this.keyring, failures[0]);
    }
    for (const error of failures)
      this.#host.deps.logger.warn({ err: error }, 'a key cannot be had; whatever is sealed with it stays locked');
    this.#lost = new Set(lost.map(([id]) => id));
    // Which key is the right one is not known while one is missing: then nothing is sealed with one that nobody may ever have again.
    const isFree = needed.length === 0 && own.failures.length === 0;
    const primary = own.primary ?? (isFree ? await this.#made(source, provider) : undefined);
    if (needed.length > 0 || primary === undefined || record?.primary === primary.key.id) {
      this.#adopt(text, record);
      return true;
    }
    this.keyring.add(primary.key);
    if (!(await this.#write(withPrimary(record, primary), text))) return false;
    if (record !== undefined) {
      this.#host.deps.logger.info(
        { key: primary.key.id, before: record.primary },
        'secrets are sealed with another key from now on; rotateKeys() brings what is there to it',
      );
    }
    return true;
  }

  async #made(source: KeySource, provider: KeyProvider | undefined): Promise<GivenKey | undefined> {
    try {
      return provider && (await createKey(source, provider));
    } catch (error) {
      if (this.#options.missing === 'refuse') throw error;
      this.#host.deps.logger.warn({ err: error }, 'no key could be made; secrets are refused');
      return undefined;
    }
  }

  /** Which of these keys are missed: the one that seals, and those that something is sealed with. */
  async #needed(lost: readonly string[]): Promise<readonly string[]> {
    if (lost.length === 0 || lost.includes(this.#record!.primary)) return lost;
    const { versions } = await this.count();
    return lost.filter((id) => versions.has(id));
  }

  /** The key that a rotation goes to. */
  async #next(signal: AbortSignal): Promise<GivenKey> {
    const { keyring } = this;
    const { keys: provider } = this.#options;
    const primary = keyring.get(this.primary())!;
    const { next, rotating } = this.#record!;
    // Announced and then cut off; or begun and not finished: two keys in motion would help nobody.
    const known = rotating === true ? primary : next === undefined ? undefined : keyring.find(next);
    const created = known !== undefined || provider === undefined ? undefined : await createKey(this.#source(NONE, signal), provider);
    return created ?? this.#recorded(known ?? primary);
  }

  /** The key of a provider that takes over. @throws when it does not have what is needed; then all is as it was */
  async #from(provider: KeyProvider, signal: AbortSignal): Promise<GivenKey> {
    const source = { ...this.#source(new Set(this.keyring.ids), signal), providers: [provider, ...this.#providers()] };
    const { primary: loaded, all, failures } = await askProvider(source, provider);
    const primary = loaded ?? (failures.length > 0 ? undefined : await createKey(source, provider));
    if (primary === undefined) throw noPrimary(provider, failures);
    for (const { key } of all) this.keyring.add(key);
    const needed = await this.#needed([...this.#lost].filter((id) => !this.keyring.has(id)));
    if (needed.length > 0) throw missingKeys(needed, [provider, ...this.#providers()], this.keyring, failures[0]);
    return primary;
  }

  #recorded(key: MasterKey): GivenKey {
    const { provider = '', wrapped } = this.#record?.keys[key.id] ?? {};
    return { key, provider, wrapped: wrapped === undefined ? undefined : Buffer.from(wrapped, 'base64') };
  }

  /**
   * A key that others can have of their provider only once it is recorded is recorded before it seals: they see it within a
   * beat and ask for it, and can open at once what is sealed with it. `took`: how long it took here, ms.
   */
  async #announce(given: GivenKey, took: number, signal: AbortSignal): Promise<void> {
    const { deps, engine } = this.#host;
    if (given.wrapped === undefined || given.key.id === this.#record?.primary || !engine().capabilities.shared) return;
    await this.#change((record) => record && withNext(record, given));
    await sleep(deps, KEY_BEAT + Math.max(FETCH_TIME, 2 * took), { signal }).catch((error: unknown) => {
      throw signal.aborted ? abortedError(signal, 'the rotation of keys') : error;
    });
  }

  /** Changes the record as it is by then; `change` gives undefined to leave it. */
  async #change(change: (record: KeyRecord | undefined) => KeyRecord | undefined): Promise<void> {
    for (;;) {
      await this.reload();
      const next = change(this.#record);
      if (next === undefined || (await this.#write(next, this.#text))) return;
    }
  }

  async #write(record: KeyRecord, before: string | undefined): Promise<boolean> {
    const written = await writeKeyRecord(this.#host.engine().meta, record, before);
    if (written !== undefined) this.#adopt(written.text, written.record);
    return written !== undefined;
  }

  /** In one step: what is remembered, and the key that seals by it. */
  #adopt(text: string | undefined, record: KeyRecord | undefined): void {
    this.#text = text;
    this.#record = record;
    this.#misses.clear();
    this.#askAt = 0;
    this.#pause = KEY_BEAT;
    this.keyring.seal(record?.primary);
  }

  /** A key that another process made since: asked for when something sealed with it is met. */
  #find(id: string): MasterKey | undefined {
    const now = this.#host.deps.clock.monotonic();
    const missed = this.#misses.get(id);
    if (missed !== undefined && now - missed < MISS_PAUSE) return undefined;
    for (const provider of this.#providers()) {
      try {
        const found = provider.find?.(id, { storeId: this.#host.storeId });
        if (found !== undefined) return masterKey(found.bytes, this.#host.storeId);
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
        this.#follow()
          .catch((error: unknown) => {
            if (!this.#ended.signal.aborted)
              this.#host.deps.logger.warn({ err: error }, 'the keys of the store could not be read anew; it is tried again');
          })
          .finally(() => {
            if (!this.#ended.signal.aborted) this.#arm();
          });
      },
      { unref: true },
    );
  }

  /** Another process has rotated, or is about to: its key is taken over. */
  async #follow(): Promise<void> {
    await this.reload();
    const { clock, logger } = this.#host.deps;
    const isMissing = (id: string): boolean => this.keyring.find(id) === undefined && !this.#lost.has(id);
    const missing = Object.keys(this.#record?.keys ?? {}).filter(isMissing);
    if (missing.length === 0 || clock.monotonic() < this.#askAt) return;
    const { all, failures } = await askForMissing(this.#source(new Set([...this.keyring.ids, ...this.#lost])), this.#providers());
    for (const { key } of all) this.keyring.add(key);
    this.keyring.seal(this.#record?.primary);
    if (!missing.some(isMissing)) return;
    logger.warn(
      { keys: missing.filter(isMissing), err: failures[0] },
      'another process seals secrets with a key that this one cannot get: give it that key too; it is asked for again',
    );
    this.#askAt = clock.monotonic() + this.#pause;
    this.#pause = Math.min(LONGEST_PAUSE, this.#pause * 2);
  }
}

const NONE: ReadonlySet<string> = new Set();
const NOTHING_GIVEN: Gathered = { primary: undefined, all: [], failures: [] };

/** @throws {NotFoundError} @throws {ConflictError} when the key must stay, whatever uses it */
function checkDroppable(record: KeyRecord | undefined, id: string): void {
  const details = { kind: 'key', name: id };
  if (record === undefined || !Object.hasOwn(record.keys, id))
    throw new NotFoundError(`this store has no key ${id}: keys() lists those it has`, { details });
  if (record.primary === id) throw new ConflictError(`key ${id} seals what is written now: rotateKeys() first, then drop it`, { details });
  if (record.next === id)
    throw new ConflictError(`key ${id} is about to seal what is written: a rotation that has begun goes to it`, { details });
}

/** @throws {ConflictError} when something needs the key, or may need it */
function checkUnused(id: string, { versions, unreadable }: KeyCounts, isKnown: (id: string) => boolean): void {
  const details = { kind: 'key', name: id };
  const refuse = (why: string): ConflictError =>
    new ConflictError(
      `key ${id} cannot be dropped: ${why}: restore them from a backup, or delete those objects and wait until their history is no longer kept`,
      { details },
    );
  if (unreadable.count > 0)
    throw refuse(`${unreadable.count} kept versions are damaged and may need it (${unreadable.named.slice(0, 5).join(', ')})`);
  const strange = [...versions.keys()].filter((each) => !isKnown(each));
  if (strange.length > 0)
    throw refuse(`kept versions name key ${strange.slice(0, 5).join(', ')}, which this store never had, and may need it`);
  const count = versions.get(id) ?? 0;
  if (count > 0) throw new ConflictError(`key ${id} still seals ${count} kept versions, history included: rotateKeys() first`, { details });
}

function nothingToRotate(wanted: string | undefined): ForbiddenError {
  return new ForbiddenError(
    wanted === undefined
      ? 'this store has no key to rotate to: open it with secrets: { keys }, and with every key it was sealed with before'
      : `this store seals secrets with key ${wanted}, which this process does not have: open it with that key, or pass a provider that has it to rotateKeys({ keys })`,
  );
}

/** Why a provider gave no key to seal with: its own words, where there are any. */
function noPrimary({ name }: KeyProvider, [cause]: readonly unknown[]): Error {
  if (isStatusError(cause)) return cause;
  return new DecryptionError(`${name} gave no key to seal with (${cause instanceof Error ? cause.message : 'it has none'})`, { cause });
}

function missingKeys(lost: readonly string[], providers: readonly KeyProvider[], { ids }: Keyring, cause: unknown): DecryptionError {
  const from =
    providers.length === 0
      ? 'no key provider was given'
      : `${providers.map(({ name }) => name).join(', ')} gave ${ids.length === 0 ? 'no key' : `key ${ids.join(', ')}`}`;
  const why = cause instanceof Error ? ` (${cause.message})` : '';
  return new DecryptionError(
    `this store holds secrets sealed with key ${lost.join(', ')}, and ${from}${why}: pass every key that its secrets were sealed with, or open it with secrets: { missing: 'lock' } to use the rest`,
    { cause },
  );
}

function bad(field: string, message: string): InvalidError {
  return new InvalidError(`${field} ${message}`, { causes: [{ reason: 'FieldValueInvalid', field, message }] });
}
