/**
 * Key files: read with their permissions checked, written whole or not at all.
 *
 * Invariants: a file that others may read is refused; the checks are made on the open file, not on its name. A file appears
 * with its content and mode in one step, and never replaces another.
 */
import { constants } from 'node:fs';
import { link, mkdir, open, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ForbiddenError, InvalidError } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import { formatKey, parseKey } from './key-provider.js';

/** The permission bits of a group and of others. */
const GROUP = 0o070;
const OTHERS = 0o007;
/** A key file is 45 bytes; whatever is longer than this is something else. */
const LONGEST = 4096;

/** What an open file says about itself. */
export interface FileFacts {
  readonly mode: number;
  readonly uid: number;
  readonly size: number;
  isFile(): boolean;
}

/** @throws {ForbiddenError} @throws {InvalidError} when the open file must not be used as a key */
export function checkKeyFile(
  facts: FileFacts,
  path: string,
  options: { readonly groupReadable: boolean; readonly uid: number | undefined },
): void {
  if (!facts.isFile()) throw new InvalidError(`the key file ${path} is not a regular file`);
  const wrong = facts.mode & (options.groupReadable ? OTHERS | 0o030 : GROUP | OTHERS);
  if (wrong !== 0) {
    throw new ForbiddenError(
      `the key file ${path} can be reached by others (mode ${(facts.mode & 0o777).toString(8).padStart(4, '0')}): run chmod 600 on it, and make a new key if somebody may have read it`,
    );
  }
  if (options.uid !== undefined && facts.uid !== options.uid && facts.uid !== 0) {
    throw new ForbiddenError(`the key file ${path} belongs to user ${facts.uid}, not to this process' user ${options.uid} nor to root`);
  }
  if (facts.size > LONGEST) throw new InvalidError(`the key file ${path} has ${facts.size} bytes: it is no key file`);
}

/** The key in a file; undefined when there is no such file. @throws {ForbiddenError} @throws {InvalidError} */
export async function readKeyFile(path: string, groupReadable = false): Promise<Buffer | undefined> {
  const file = await open(path, constants.O_RDONLY).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(path, error);
  });
  if (file === undefined) return undefined;
  try {
    checkKeyFile(await file.stat(), path, { groupReadable, uid: process.getuid?.() });
    return parseKey(await file.readFile('utf8'), `the key file ${path}`);
  } finally {
    await file.close();
  }
}

/** Writes a key where no file is; false when there is one by now. On disk when resolved. */
export async function createKeyFile(path: string, bytes: Uint8Array, deps: Pick<Deps, 'entropy'>): Promise<boolean> {
  const directory = dirname(path);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const draft = join(directory, `.${Buffer.from(deps.entropy.bytes(8)).toString('hex')}.tmp`);
  const file = await open(draft, 'wx', 0o600);
  try {
    try {
      await file.writeFile(formatKey(bytes));
      await file.sync();
    } finally {
      await file.close();
    }
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await unlink(draft);
  }
  await syncDirectory(directory);
  return true;
}

/** A name in a directory is on disk once the directory is. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export function unreadable(path: string, cause: unknown): ForbiddenError {
  return new ForbiddenError(
    `the key file ${path} cannot be read (${(cause as NodeJS.ErrnoException).code ?? String(cause)}): give this process' user the right to`,
    { cause },
  );
}
