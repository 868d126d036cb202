/**
 * Keys that are generated once and kept in a directory: `0001.key`, `0002.key` and so on, one for each rotation.
 *
 * Invariants: a key is on disk before anything is sealed with it; two processes that begin together end up with one key. A
 * key is generated only for a store that has none, or by a rotation.
 */
import { readFileSync, statSync, readdirSync } from 'node:fs';
import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { DecryptionError, InvalidError } from '../../schemas/index.js';
import { checkKeyFile, createKeyFile, readKeyFile, syncDirectory, unreadable } from './key-files.js';
import { parseKey } from './key-provider.js';
import type { KeyProvider, KeyRequest, ProvidedKey } from './key-provider.js';
import { KEY_BYTES, masterKeyId } from './keyring.js';

const KEY_FILE = /^(\d{4,9})\.key$/;

export interface GeneratedKeysOptions {
  /** Holds the key files (0600) and nothing else; made (0700) when missing. */
  readonly directory: string;
}

interface KeyFile {
  readonly path: string;
  readonly number: number;
}

/** Keys that are made when first needed and kept. Whoever copies the directory copies the keys: keep it away from the data's backups. */
export function generatedKeys(options: GeneratedKeysOptions): KeyProvider {
  const { directory } = options;
  if (typeof directory !== 'string' || directory === '') throw new InvalidError('generatedKeys needs directory, the name of one');

  const files = async (): Promise<readonly KeyFile[]> => {
    const names = await readdir(directory).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw unreadable(directory, error);
    });
    return keyFiles(directory, names);
  };

  const readAll = async (): Promise<{ readonly id: string; readonly path: string; readonly bytes: Buffer }[]> => {
    const found: { id: string; path: string; bytes: Buffer }[] = [];
    for (const { path } of await files()) {
      const bytes = await readKeyFile(path);
      if (bytes !== undefined) found.push({ id: masterKeyId(bytes), path, bytes });
    }
    return found;
  };

  const generate = async (request: KeyRequest): Promise<Buffer> => {
    for (;;) {
      const next = ((await files()).at(-1)?.number ?? 0) + 1;
      const path = join(directory, `${String(next).padStart(4, '0')}.key`);
      const bytes = Buffer.from(request.deps.entropy.bytes(KEY_BYTES));
      if (await createKeyFile(path, bytes, request.deps)) {
        request.deps.logger.warn(
          { directory, key: masterKeyId(bytes), store: request.storeId },
          'a key for secrets was generated and is kept here; without it they cannot be read, and whoever has both this directory and the data can read them',
        );
        return bytes;
      }
      // Another process was first: for a new store its key is the one to use.
      if (request.known.length === 0) return (await readAll())[0]!.bytes;
    }
  };

  return {
    name: 'generated',
    async load(request) {
      const found = await readAll();
      if (found.length === 0) {
        if (request.known.length > 0) {
          throw new DecryptionError(
            `the key directory ${directory} holds no key, and this store holds secrets sealed with key ${request.known.map(({ id }) => id).join(', ')}: restore the directory from where it was kept`,
          );
        }
        return { primary: { bytes: await generate(request) }, previous: [] };
      }
      // Without a remembered one the oldest is taken: all processes that begin together agree on it.
      const primary = found.find(({ id }) => id === request.primary) ?? found[0]!;
      return { primary, previous: found.filter((key) => key !== primary) };
    },
    async create(request) {
      return { bytes: await generate(request) };
    },
    async destroy(id) {
      for (const key of await readAll()) if (key.id === id) await unlink(key.path);
      await syncDirectory(directory);
    },
    find(id): ProvidedKey | undefined {
      for (const { path } of keyFiles(directory, readdirSync(directory)).reverse()) {
        checkKeyFile(statSync(path), path, { groupReadable: false, uid: process.getuid?.() });
        const bytes = parseKey(readFileSync(path, 'utf8'), `the key file ${path}`);
        if (masterKeyId(bytes) === id) return { bytes };
      }
      return undefined;
    },
  };
}

function keyFiles(directory: string, names: readonly string[]): KeyFile[] {
  return names
    .filter((name) => KEY_FILE.test(name))
    .map((name) => ({ path: join(directory, name), number: Number.parseInt(name, 10) }))
    .sort((a, b) => a.number - b.number);
}
