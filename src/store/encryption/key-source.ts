/**
 * Asking providers for keys.
 *
 * Invariants: a key that one provider cannot give keeps no other from being given; whoever waits for a provider stops waiting
 * when its signal aborts, whatever the provider does. Who gave a key is no part of what it is: a seed that a service wrapped
 * is offered to whoever may be able to open it.
 */
import { AbortedError } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import { onAbort, throwIfAborted } from '../timing.js';
import type { KeyProvider, KeyRequest, KnownKey, ProvidedKey } from './key-provider.js';
import type { GivenKey, KeyRecord } from './key-record.js';
import { masterKey } from './keyring.js';

/** Who is asked, and on whose behalf. */
export interface KeySource {
  readonly storeId: string;
  readonly deps: Deps;
  /** All that the store has, the one that seals included. */
  readonly providers: readonly KeyProvider[];
  readonly record: KeyRecord | undefined;
  /** Ids that need not be asked for. */
  readonly have: ReadonlySet<string>;
  readonly signal?: AbortSignal | undefined;
}

/** What was given. */
export interface Gathered {
  /** What the provider that was asked last would seal with. */
  readonly primary: GivenKey | undefined;
  readonly all: readonly GivenKey[];
  /** Why there are not more. */
  readonly failures: readonly unknown[];
}

/** What a provider has for this store. @throws {AbortedError} and nothing else */
export async function askProvider(source: KeySource, provider: KeyProvider): Promise<Gathered> {
  try {
    const { primary, previous, failures = [] } = await waitedFor(provider.load(requestOf(source, provider)), source.signal);
    const all = [...(primary === undefined ? [] : [primary]), ...previous].map((one) => given(source, provider, one));
    return { primary: primary && all[0], all, failures };
  } catch (error) {
    throwIfAborted(source.signal, 'loading keys');
    return { primary: undefined, all: [], failures: [error] };
  }
}

/** Asks one provider after the other, as long as something recorded is missing. @throws {AbortedError} */
export async function askForMissing(source: KeySource, providers: readonly KeyProvider[]): Promise<Gathered> {
  const have = new Set(source.have);
  const all: GivenKey[] = [];
  const failures: unknown[] = [];
  for (const provider of providers) {
    if (Object.keys(source.record?.keys ?? {}).every((id) => have.has(id))) break;
    const asked = await askProvider({ ...source, have }, provider);
    failures.push(...asked.failures);
    for (const one of asked.all) {
      all.push(one);
      have.add(one.key.id);
    }
  }
  return { primary: undefined, all, failures };
}

/** A new key; undefined when the provider makes none. @throws what the provider does @throws {AbortedError} */
export async function createKey(source: KeySource, provider: KeyProvider): Promise<GivenKey | undefined> {
  if (provider.create === undefined) return undefined;
  return given(source, provider, await waitedFor(provider.create(requestOf(source, provider)), source.signal));
}

function given({ storeId }: KeySource, { name }: KeyProvider, { bytes, wrapped }: ProvidedKey): GivenKey {
  return { key: masterKey(bytes, storeId), wrapped, provider: name };
}

function requestOf(source: KeySource, provider: KeyProvider): KeyRequest {
  const { storeId, deps, record, signal } = source;
  return { storeId, deps, known: knownKeys(source, provider), primary: record?.primary, signal };
}

/** What is recorded and missing, as a provider is told of it. */
function knownKeys({ record, have, providers }: KeySource, provider: KeyProvider): readonly KnownKey[] {
  const known: KnownKey[] = [];
  for (const [id, { wrapped, provider: by }] of Object.entries(record?.keys ?? {})) {
    if (have.has(id)) continue;
    // The name tells who can open a seed, as long as anybody has it: services are renamed, and two may have one name.
    const mayOpen = by === provider.name || providers.every(({ name }) => name !== by);
    known.push({ id, ...(wrapped === undefined || !mayOpen ? {} : { wrapped: Buffer.from(wrapped, 'base64') }) });
  }
  return known;
}

/** As the promise settles, unless the signal aborts first. */
function waitedFor<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const unlisten = onAbort(signal, (reason) =>
      reject(new AbortedError('the wait for a key provider was aborted; the keys are as they were', { cause: reason })),
    );
    promise.then(resolve, reject).finally(unlisten);
  });
}
