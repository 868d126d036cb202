/**
 * The directory of a store: created for its owner alone, on a local file system, with a file that tells which store it is.
 *
 * Invariant: `store.id` is written after the data file was made durable. So a directory that has it and no data has lost
 * them, and must not become a new, empty store.
 */
import { constants } from 'node:fs';
import { mkdir, open, readFile, rename, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { BadRequestError, CorruptError, StoreError } from '../../../schemas/index.js';
import type { Scheduler } from '../../deps.js';
import { checkDataFile } from './preflight.js';

const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9p'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x00c36400, 'Ceph'],
  [0x01161970, 'GFS2'],
  [0x0bd00bd0, 'Lustre'],
  [0x7461636f, 'OCFS2'],
  [0x73757245, 'Coda'],
  [0x564c, 'NCP'],
  [0x786f4256, 'a VirtualBox shared folder'],
]);
const PREFLIGHT_TRIES = 4;
const NOT_ALLOWED: ReadonlySet<unknown> = new Set(['EACCES', 'EPERM', 'EROFS', 13, 1, 30]);

/** What `store.id` tells. */
export interface StoreId {
  readonly format: number;
  readonly storeId: string;
}

export const dataPath = (directory: string): string => join(directory, 'data.mdb');
const idPath = (directory: string): string => join(directory, 'store.id');

/** Refuses file systems whose locks and maps LMDB cannot rely on. @throws {BadRequestError} */
export function checkFileSystem(type: number, directory: string): void {
  const name = NETWORK_FILE_SYSTEMS.get(type >>> 0);
  if (name !== undefined) {
    throw new BadRequestError(
      `${directory} is on a network file system (${name}), where locks and memory maps cannot be trusted: put the store on a local disk`,
    );
  }
}

/**
 * Makes the directory ready, and refuses a damaged one.
 * @returns what `store.id` told, or undefined for a store that is new or was never finished
 * @throws {CorruptError} for a data file that is damaged or gone
 * @throws {StoreError} when the directory cannot be used
 */
export async function prepareDirectory(directory: string, scheduler: Scheduler): Promise<StoreId | undefined> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    checkFileSystem((await statfs(directory)).type, directory);
  } catch (error) {
    throw unusable(directory, error);
  }
  const id = await readId(directory);
  const size = await fileSize(dataPath(directory));
  if (size === 0) {
    if (id === undefined) return undefined;
    throw new CorruptError(
      `${directory} held the store ${id.storeId}, and its data file is empty or gone: restore it from a backup, or remove the directory to begin anew`,
    );
  }
  await preflight(dataPath(directory), scheduler);
  return id;
}

async function fileSize(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw unusable(path, error);
  }
}

/** A writer in another process may be between two pages: what looks damaged is read again before it is called so. */
async function preflight(path: string, scheduler: Scheduler): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const file = await open(path, constants.O_RDWR).catch((error: unknown) => {
      throw unusable(path, error);
    });
    try {
      return await checkDataFile(file, path);
    } catch (error) {
      if (!(error instanceof CorruptError) || attempt === PREFLIGHT_TRIES) throw error;
    } finally {
      await file.close();
    }
    await new Promise<void>((resolve) => void scheduler.after(5 * attempt, resolve));
  }
}

/** What `store.id` tells, if it is there. @throws {CorruptError} */
export async function readId(directory: string): Promise<StoreId | undefined> {
  let text: string;
  try {
    text = await readFile(idPath(directory), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(idPath(directory), error);
  }
  try {
    const id = JSON.parse(text) as StoreId;
    if (typeof id.storeId === 'string' && typeof id.format === 'number') return id;
  } catch {
    // Falls through: whatever it is, it is not an id.
  }
  throw new CorruptError(`${idPath(directory)} is damaged: restore it from a backup, or remove it to take over the data file beside it`);
}

/** Writes `store.id`, durably and whole. */
export async function writeId(directory: string, id: StoreId): Promise<void> {
  const temporary = `${idPath(directory)}.${process.pid}`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(id)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, idPath(directory));
  await syncDirectory(directory);
}

/** Makes the names in a directory durable. */
export async function syncDirectory(directory: string): Promise<void> {
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** An error of the file system as one of the family. */
export function unusable(path: string, error: unknown): Error {
  if (error instanceof BadRequestError || error instanceof CorruptError) return error;
  // LMDB gives the number, Node the name.
  const code: unknown = (error as { code?: unknown }).code;
  const hint = NOT_ALLOWED.has(code) ? ': the process may not write there' : '';
  return new StoreError(`cannot use ${path} (${String(code ?? error)})${hint}`, { cause: error });
}
