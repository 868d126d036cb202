/**
 * What a store remembers of its keys, beside the data and in the clear: ids, check values, seeds that a KMS wrapped. With
 * it a wrong or missing key is known when the store is opened, before anything is read.
 */
import { CorruptError } from '../../schemas/index.js';
import type { EngineMeta } from '../engine.js';
import type { KnownKey } from './key-provider.js';
import type { MasterKey } from './keyring.js';

/** One key that something may be sealed with. */
export interface RecordedKey {
  readonly check: string;
  /** The name of the provider that gave it. */
  readonly provider: string;
  /** Base64. */
  readonly wrapped?: string | undefined;
}

export interface KeyRecord {
  readonly format: 1;
  /** The id of the key that seals. */
  readonly primary: string;
  readonly keys: Readonly<Record<string, RecordedKey>>;
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

/** False when somebody else changed it meanwhile. */
export function writeKeyRecord(meta: EngineMeta, record: KeyRecord, before: string | undefined): Promise<boolean> {
  return meta.set(KEYS_META, JSON.stringify(record), { expect: before ?? null });
}

export function withKey(record: KeyRecord | undefined, key: MasterKey, provider: string, wrapped: Uint8Array | undefined): KeyRecord {
  const recorded: RecordedKey = {
    check: key.check,
    provider,
    ...(wrapped === undefined ? {} : { wrapped: Buffer.from(wrapped).toString('base64') }),
  };
  return { format: 1, primary: key.id, keys: { ...record?.keys, [key.id]: recorded } };
}

export function withoutKey(record: KeyRecord, id: string): KeyRecord {
  const { [id]: _, ...keys } = record.keys;
  return { ...record, keys };
}

/** The recorded keys as a provider is told of them; wrapped seeds go to the provider alone that asked to keep them. */
export function knownKeys(record: KeyRecord | undefined, provider: string): readonly KnownKey[] {
  return Object.entries(record?.keys ?? {}).map(([id, key]) => ({
    id,
    ...(key.wrapped === undefined || key.provider !== provider ? {} : { wrapped: Buffer.from(key.wrapped, 'base64') }),
  }));
}
