/**
 * Keys that are generated once and kept in a directory: `<store>-0001.key`, `<store>-0002.key` and so on, one for each rotation.
 *
 * Invariants: a key is on disk before anything is sealed with it; two processes that begin together end up with one key. A
 * key is generated only for a store that has none, or by a rotation. Stores that share a directory have files of their own there,
 * and touch no others.
 */
import { hash } from 'node:crypto';
import { readFileSync, statSync, readdirSync } from 'node:fs';
import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { DecryptionError, InvalidError } from '../../schemas/index.js';
import { checkKeyFile, createKeyFile, readKeyFile, syncDirectory, unreadable } from './key-files.js';
import { parseKey } from './key-provider.js';
import type { KeyOwner, KeyProvider, KeyRequest, ProvidedKey } from './key-provider.js';
import { KEY_BYTES, masterKeyId } from './keyring.js';

const KEY_FILE = /^([0-9a-f]{16})-(\d{4,9})\.key$/;

export interface GeneratedKeysOptions {
  /** Holds the key files (0600) and nothing else; made (0700) when missing. Several stores may share it. */
  readonly directory: string;
}

interface KeyFile {
  readonly path: string;
  readonly number: number;
}

interface Found extends KeyFile {
  readonly id: string;
  readonly bytes: Buffer;
}

/** Keys that are made when first needed and kept. Whoever copies the directory copies the keys: keep it away from the data's backups. */
export function generatedKeys(options: GeneratedKeysOptions): KeyProvider {
  const { directory } = options;
  if (typeof directory !== 'string' || directory === '') throw new InvalidError('generatedKeys needs directory, the name of one');

  const files = async (owner: KeyOwner): Promise<readonly KeyFile[]> => {
    const names = await readdir(directory).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw unreadable(directory, error);
    });
    return keyFiles(directory, names, owner);
  };

  const readAll = async (owner: KeyOwner): Promise<{ readonly found: readonly Found[]; readonly failures: readonly unknown[] }> => {
    const found: Found[] = [];
    const failures: unknown[] = [];
    for (const file of await files(owner)) {
      try {
        const bytes = await readKeyFile(file.path);
        if (bytes !== undefined) found.push({ ...file, id: masterKeyId(bytes), bytes });
      } catch (error) {
        failures.push(error);
      }
    }
    return { found, failures };
  };

  const generate = async (request: KeyRequest): Promise<Buffer> => {
    for (;;) {
      const next = ((await files(request)).at(-1)?.number ?? 0) + 1;
      const path = join(directory, `${tagOf(request)}-${String(next).padStart(4, '0')}.key`);
      const bytes = Buffer.from(request.deps.entropy.bytes(KEY_BYTES));
      if (await createKeyFile(path, bytes, request.deps)) {
        request.deps.logger.warn(
          { path, key: masterKeyId(bytes), store: request.storeId },
          'a key for secrets was generated and is kept here; without it they cannot be read, and whoever has both this directory and the data can read them',
        );
        return bytes;
      }
      // Another process was first: for a new store its key is the one to use.
      if (request.known.length > 0) continue;
      const [first] = (await readAll(request)).found;
      if (first !== undefined) return first.bytes;
    }
  };

  return {
    name: 'generated',
    async load(request) {
      const { found, failures } = await readAll(request);
      if (found.length === 0) {
        if (failures.length > 0) return { primary: undefined, previous: [], failures };
        if (request.known.length > 0) {
          throw new DecryptionError(
            `the key directory ${directory} holds no key of this store (${tagOf(request)}-....key), and it holds secrets sealed with key ${request.known.map(({ id }) => id).join(', ')}: restore the directory from where it was kept`,
          );
        }
        return { primary: { bytes: await generate(request) }, previous: [] };
      }
      // Without a remembered one the oldest is taken: all processes that begin together agree on it.
      const primary = found.find(({ id }) => id === request.primary) ?? found[0]!;
      return { primary, previous: found.filter((key) => key !== primary), failures };
    },
    async create(request) {
      return { bytes: await generate(request) };
    },
    async destroy(id, owner) {
      for (const key of (await readAll(owner)).found) if (key.id === id) await unlink(key.path);
      await syncDirectory(directory);
    },
    find(id, owner): ProvidedKey | undefined {
      for (const { path } of keyFiles(directory, readdirSync(directory), owner).reverse()) {
        checkKeyFile(statSync(path), path, { groupReadable: false, uid: process.getuid?.() });
        const bytes = parseKey(readFileSync(path, 'utf8'), `the key file ${path}`);
        if (masterKeyId(bytes) === id) return { bytes };
      }
      return undefined;
    },
  };
}

/** The files of one store, in the order in which they were made. */
function keyFiles(directory: string, names: readonly string[], owner: KeyOwner): KeyFile[] {
  const tag = tagOf(owner);
  return names
    .map((name) => KEY_FILE.exec(name))
    .filter((match) => match?.[1] === tag)
    .map((match) => ({ path: join(directory, match![0]), number: Number.parseInt(match![2]!, 10) }))
    .sort((a, b) => a.number - b.number);
}

/** A store's id as a part of a file's name, whatever it consists of. */
function tagOf({ storeId }: KeyOwner): string {
  return hash('sha256', storeId).slice(0, 16);
}
