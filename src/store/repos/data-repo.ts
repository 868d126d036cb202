/**
 * What repos of data objects (secret, config) have in common: reading and changing single keys.
 *
 * Invariants: a key is in `data` or in `binaryData`, never in both; no message tells a value.
 */
import { formatRef, InvalidError, NotFoundError, printable } from '../../schemas/index.js';
import type { Config, ResourceOf, Secret } from '../../schemas/index.js';
import type { Store, WriteOptions } from '../types.js';
import { parseAddress } from './address.js';
import { repo } from './repo.js';
import type { Repo, RepoAddress, RepoOptions } from './types.js';

/** The definition of a data object. */
export type DataDefinition = typeof Secret | typeof Config;

/** A repo whose objects are maps from keys to texts and bytes. */
export interface DataRepo<D extends DataDefinition> extends Repo<D> {
  /**
   * The text under a key. The key may be part of a ref: `secret:db.prod.rune/password`. Bytes are read as UTF-8.
   * @throws {NotFoundError} when the object or the key is not there.
   */
  value(address: RepoAddress<D>, key?: string): Promise<string>;
  /** The same, as bytes. */
  bytes(address: RepoAddress<D>, key?: string): Promise<Uint8Array>;
  /** Sets the keys given and leaves the others: texts go to `data`, bytes to `binaryData`. */
  setValues(address: RepoAddress<D>, values: Readonly<Record<string, string | Uint8Array>>, options?: WriteOptions): Promise<DataObject<D>>;
  /** Removes keys; those that are not there are done already. */
  removeKeys(address: RepoAddress<D>, keys: readonly string[], options?: WriteOptions): Promise<DataObject<D>>;
}

type DataObject<D extends DataDefinition> = ResourceOf<D>;

/** The parts of a data object that these verbs touch. */
interface DataParts {
  data?: Record<string, string>;
  binaryData?: Record<string, string>;
}

export function createDataRepo<D extends DataDefinition>(store: Store, definition: D, options: RepoOptions = {}): DataRepo<D> {
  const base = repo(store, definition, options);
  const change = (address: RepoAddress<D>, edit: (parts: DataParts) => void, write: WriteOptions | undefined): Promise<DataObject<D>> =>
    base.mutate(address, (draft) => edit(draft), write);

  async function read(address: RepoAddress<D>, key: string | undefined): Promise<Buffer> {
    const split = splitKey(definition, address, key, options.defaultNamespace);
    const found = (await base.get(split.address)) as DataParts & DataObject<D>;
    const text = own(found.data, split.key);
    if (text !== undefined) return Buffer.from(text, 'utf8');
    const bytes = own(found.binaryData, split.key);
    if (bytes !== undefined) return Buffer.from(bytes, 'base64');
    const keys = [...Object.keys(found.data ?? {}), ...Object.keys(found.binaryData ?? {})].sort();
    const { namespace, name } = found.metadata;
    throw new NotFoundError(
      `${definition.type} "${namespace}/${name}" has no key "${printable(split.key)}"; it has ${keys.length === 0 ? 'none' : keys.slice(0, 20).join(', ')}`,
      { details: { kind: definition.kind, name, ...(namespace === undefined ? {} : { namespace }) } },
    );
  }

  return Object.freeze({
    ...base,
    value: async (address: RepoAddress<D>, key?: string) => (await read(address, key)).toString('utf8'),
    bytes: async (address: RepoAddress<D>, key?: string) => new Uint8Array(await read(address, key)),
    setValues: (address: RepoAddress<D>, values: Readonly<Record<string, string | Uint8Array>>, write?: WriteOptions) => {
      const texts: [string, string][] = [];
      const binaries: [string, string][] = [];
      for (const [key, value] of Object.entries(values)) {
        if (typeof value === 'string') texts.push([key, value]);
        else binaries.push([key, Buffer.from(value).toString('base64')]);
      }
      return change(
        address,
        (parts) => {
          replace(parts, 'data', texts, binaries);
          replace(parts, 'binaryData', binaries, texts);
        },
        write,
      );
    },
    removeKeys: (address: RepoAddress<D>, keys: readonly string[], write?: WriteOptions) => {
      const gone = keys.map((key): [string, string] => [key, '']);
      return change(
        address,
        (parts) => {
          replace(parts, 'data', [], gone);
          replace(parts, 'binaryData', [], gone);
        },
        write,
      );
    },
  }) as DataRepo<D>;
}

/** Sets some entries of one of the maps and removes others; the map goes with its last entry. */
function replace(
  parts: DataParts,
  part: keyof DataParts,
  set: readonly (readonly [string, string])[],
  gone: readonly (readonly [string, string])[],
): void {
  const before = parts[part];
  if (before === undefined && set.length === 0) return;
  // Entries, not assignments: no key can reach a prototype.
  const entries = new Map([...Object.entries(before ?? {}), ...set]);
  for (const [key] of gone) entries.delete(key);
  if (entries.size > 0) parts[part] = Object.fromEntries(entries);
  else delete parts[part];
}

function own(map: Readonly<Record<string, string>> | undefined, key: string): string | undefined {
  return map !== undefined && Object.hasOwn(map, key) ? map[key] : undefined;
}

function splitKey<D extends DataDefinition>(
  definition: D,
  address: RepoAddress<D>,
  key: string | undefined,
  defaultNamespace: string | undefined,
): { readonly address: RepoAddress<D>; readonly key: string } {
  if (typeof address !== 'string') {
    if (key === undefined) throw keyMissing(definition);
    return { address, key };
  }
  const { key: inRef, ...ref } = parseAddress(definition, address, defaultNamespace);
  const wanted = key ?? inRef;
  if (wanted === undefined) throw keyMissing(definition);
  return { address: formatRef(ref), key: wanted };
}

function keyMissing(definition: DataDefinition): InvalidError {
  return new InvalidError(`which key? Pass it, value(address, key), or in the ref: ${definition.type}:<name>.<namespace>.rune/<key>`, {
    causes: [{ reason: 'FieldValueRequired', field: 'key', message: 'must be given' }],
  });
}
