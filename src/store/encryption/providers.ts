/**
 * Keys from a file, from the environment, from this process alone.
 *
 * Invariant: a key that exists is never replaced, and one that is missing for a store that has sealed with it is never
 * made up: the store refuses to open.
 */
import { DecryptionError, InvalidError } from '../../schemas/index.js';
import { createKeyFile, readKeyFile } from './key-files.js';
import type { KeyOwner, KeyProvider, KeyRequest, ProvidedKey } from './key-provider.js';
import { parseKey } from './key-provider.js';
import { KEY_BYTES, masterKeyId } from './keyring.js';

export interface FileKeysOptions {
  /** A file with base64 of 32 bytes, readable by this user alone. */
  readonly path: string;
  /** Files of earlier keys, which open what they sealed. */
  readonly previous?: readonly string[] | undefined;
  /** Makes the file (0600, in a directory of 0700) when it is missing and the store has sealed nothing yet. Default false. */
  readonly create?: boolean | undefined;
  /** Allows a file that its group may read, as some mounts of secrets have it. Default false. */
  readonly groupReadable?: boolean | undefined;
}

/**
 * Keys in files.
 * @throws {InvalidError} for wrong options
 * @example await openStore({ path: './data', secrets: { keys: fileKeys({ path: '/etc/rune/secrets.key' }) } });
 */
export function fileKeys(options: FileKeysOptions): KeyProvider {
  const { path, previous = [], create = false, groupReadable = false } = options;
  for (const each of [path, ...previous])
    if (typeof each !== 'string' || each === '')
      throw new InvalidError('fileKeys needs path, the name of a key file, and previous, a list of such names');
  return {
    name: 'file',
    async load(request) {
      const failures: unknown[] = [];
      const read = async (file: string, absent: string): Promise<ProvidedKey | undefined> => {
        try {
          const bytes = await readKeyFile(file, groupReadable);
          if (bytes !== undefined) return { bytes };
          failures.push(missing(absent));
        } catch (error) {
          failures.push(error);
        }
        return undefined;
      };
      if (create && request.known.length === 0 && (await readKeyFile(path, groupReadable)) === undefined)
        await createKeyFile(path, request.deps.entropy.bytes(KEY_BYTES), request.deps);
      const primary = await read(
        path,
        request.known.length === 0
          ? `the key file ${path} does not exist: make one (umask 077; openssl rand -base64 ${KEY_BYTES} > ${path}), or pass create: true`
          : `the key file ${path} does not exist, and this store holds secrets sealed with ${names(request)}: restore the file`,
      );
      const earlier = await Promise.all(previous.map((file) => read(file, `the key file ${file} does not exist`)));
      return { primary, previous: earlier.filter((key) => key !== undefined), failures };
    },
  };
}

export interface EnvironmentKeysOptions {
  /** The variable that holds base64 of 32 bytes. Default `RUNE_SECRETS_KEY`. */
  readonly variable?: string | undefined;
  /** Variables of earlier keys. */
  readonly previous?: readonly string[] | undefined;
  /** Where variables are looked up. Default `process.env`. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
}

/** Keys in environment variables. Child processes inherit them, and whoever may look at the process may read them: prefer a file. */
export function environmentKeys(options: EnvironmentKeysOptions = {}): KeyProvider {
  const { variable = 'RUNE_SECRETS_KEY', previous = [], environment = process.env } = options;
  return {
    name: 'environment',
    async load() {
      const failures: unknown[] = [];
      const read = (name: string): ProvidedKey | undefined => {
        const text = environment[name];
        try {
          if (text !== undefined && text !== '') return { bytes: parseKey(text, `the environment variable ${name}`) };
          failures.push(missing(`the environment variable ${name} is not set: it must hold base64 of ${KEY_BYTES} bytes`));
        } catch (error) {
          failures.push(error);
        }
        return undefined;
      };
      const primary = read(variable);
      return { primary, previous: previous.map(read).filter((key) => key !== undefined), failures };
    },
  };
}

/**
 * A key that lives in this provider alone: when the process ends, what it sealed is lost. For tests, and for data that dies
 * with the process; a durable store that was sealed with one cannot be opened again.
 */
export function ephemeralKeys(): KeyProvider {
  return vaultKeys('ephemeral', new Map());
}

/** Keys kept in a map, which lives as long as the data does (a piece of memory); each store has its own. */
export function vaultKeys(name: string, vault: Map<string, Uint8Array>): KeyProvider {
  const place = ({ storeId }: KeyOwner, id: string): string => `${storeId} ${id}`;
  const make = (request: KeyRequest): Uint8Array => {
    const bytes = request.deps.entropy.bytes(KEY_BYTES);
    vault.set(place(request, masterKeyId(bytes)), bytes);
    return bytes;
  };
  return {
    name,
    async load(request) {
      const own = [...vault].filter(([at]) => at.startsWith(place(request, ''))).map(([, bytes]) => bytes);
      if (request.known.length > 0 && !request.known.some(({ id }) => vault.has(place(request, id)))) {
        throw missing(`the ${name} key that this store was sealed with (${names(request)}) went with the process that made it`);
      }
      const sealing = request.primary === undefined ? undefined : vault.get(place(request, request.primary));
      const current = sealing ?? own.at(-1) ?? make(request);
      return { primary: { bytes: current }, previous: own.filter((bytes) => bytes !== current).map((bytes) => ({ bytes })) };
    },
    async create(request) {
      return { bytes: make(request) };
    },
    async destroy(id, owner) {
      vault.delete(place(owner, id));
    },
  };
}

function names({ known }: KeyRequest): string {
  return `key ${known.map(({ id }) => id).join(', ')}`;
}

function missing(message: string): DecryptionError {
  return new DecryptionError(message);
}
