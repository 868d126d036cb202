/**
 * What a store remembers of its keys, beside the data and in the clear: ids, check values, seeds that a KMS wrapped. With
 * it a wrong or missing key is known when the store is opened, before anything is read.
 *
 * Invariant: every commit and every rewrite rests on the text of the record, so what is in the store is sealed with the key
 * that was primary at that moment, whichever process wrote it.
 */
import { CorruptError } from '../../schemas/index.js';
import type { EngineMeta } from '../engine.js';
import type { MasterKey } from './keyring.js';

/** One key that something may be sealed with. */
export interface RecordedKey {
  readonly check: string;
  /** The name of the provider that gave it: for messages, and a hint whom to ask. */
  readonly provider: string;
  /** Base64. */
  readonly wrapped?: string | undefined;
}

export interface KeyRecord {
  readonly format: 1;
  /** The id of the key that seals. */
  readonly primary: string;
  readonly keys: Readonly<Record<string, RecordedKey>>;
  /** The id of a key that is about to seal: other processes get it in time. */
  readonly next?: string | undefined;
  /** Not everything is known to be under the primary key: a rotation has begun and not come to its end. */
  readonly rotating?: true | undefined;
  /** Counts the changes, so that no two records have the same text. */
  readonly serial?: number | undefined;
}

/** A key that a provider gave, as this store uses it. */
export interface GivenKey {
  readonly key: MasterKey;
  readonly wrapped: Uint8Array | undefined;
  /** The name of the provider. */
  readonly provider: string;
}

/** The name in `meta` of the record: what is written rests on its text. */
export const KEYS_META = 'secrets';

export async function readKeyRecord(
  meta: EngineMeta,
): Promise<{ readonly text: string | undefined; readonly record: KeyRecord | undefined }> {
  const text = await meta.get(KEYS_META);
  if (text === undefined) return { text, record: undefined };
  let record: KeyRecord;
  try {
    record = JSON.parse(text) as KeyRecord;
  } catch (error) {
    throw new CorruptError("the store's record of its keys cannot be read: restore a backup", { cause: error });
  }
  if (record.format !== 1)
    throw new CorruptError(
      `the store's record of its keys has format ${String(record.format)}, and this version knows 1: use the version that wrote it`,
    );
  return { text, record };
}

/** The text that was written; undefined when somebody else changed it meanwhile. */
export async function writeKeyRecord(
  meta: EngineMeta,
  record: KeyRecord,
  before: string | undefined,
): Promise<{ readonly text: string; readonly record: KeyRecord } | undefined> {
  const next = { ...record, serial: (record.serial ?? 0) + 1 };
  const text = JSON.stringify(next);
  return (await meta.set(KEYS_META, text, { expect: before ?? null })) ? { text, record: next } : undefined;
}

/** With a key that seals from now on. */
export function withPrimary(record: KeyRecord | undefined, given: GivenKey): KeyRecord {
  return { ...record, format: 1, primary: given.key.id, keys: withKey(record, given), next: undefined };
}

/** With a key that is about to seal. */
export function withNext(record: KeyRecord, given: GivenKey): KeyRecord {
  return { ...record, keys: withKey(record, given), next: given.key.id };
}

export function withoutKey(record: KeyRecord, id: string): KeyRecord {
  const { [id]: _, ...keys } = record.keys;
  return { ...record, keys };
}

function withKey(record: KeyRecord | undefined, { key, provider, wrapped }: GivenKey): KeyRecord['keys'] {
  if (record !== undefined && Object.hasOwn(record.keys, key.id)) return record.keys;
  const recorded: RecordedKey = {
    check: key.check,
    provider,
    ...(wrapped === undefined ? {} : { wrapped: Buffer.from(wrapped).toString('base64') }),
  };
  return { ...record?.keys, [key.id]: recorded };
}
