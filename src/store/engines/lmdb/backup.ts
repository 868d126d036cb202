/**
 * A copy of an open store in a directory of its own, made by LMDB from one snapshot while writers go on.
 *
 * Invariants: the directory appears whole, synced and checked, under its name, or not at all; it holds the data and the
 * store's identity, and no key. Free pages are left out, so nothing that was deleted is in it.
 */
import { chmod, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { BadRequestError, StoreFullError } from '../../../schemas/index.js';
import { dataPath, readId, syncDirectory, unusable, writeId } from './directory.js';
import { logHead } from './log.js';
import { checkDataFile } from './preflight.js';
import type { Session } from './session.js';
import { first, openTables } from './tables.js';

const FULL: ReadonlySet<unknown> = new Set([28, 'ENOSPC', 122, 'EDQUOT', 27, 'EFBIG']);
const TAKEN: ReadonlySet<unknown> = new Set(['ENOTEMPTY', 'EEXIST', 'ENOTDIR']);

/**
 * Copies into `directory`, which must be empty or not there yet.
 * @returns the revision that the copy shows: everything durable when this was called is in it
 * @throws {BadRequestError} when something is there already @throws {StoreFullError} @throws {StoreError}
 */
export async function backupLmdb(session: Session, directory: string): Promise<{ readonly revision: number }> {
  session.check();
  const target = resolve(directory);
  await refuseTaken(target);
  const id = await readId(session.directory);
  const unfinished = `${target}.unfinished-${session.deps.ids.suffix(8)}`;
  try {
    await mkdir(dirname(target), { recursive: true });
    await mkdir(unfinished, { mode: 0o700 });
    await session.tables.root.backup(dataPath(unfinished), true);
    await chmod(dataPath(unfinished), 0o600);
    await checkCopy(unfinished);
    const revision = await headOf(unfinished);
    if (id !== undefined) await writeId(unfinished, id);
    await rename(unfinished, target);
    await syncDirectory(dirname(target));
    return { revision };
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    const { code } = error as { code?: unknown };
    if (FULL.has(code)) throw new StoreFullError(`no room for a backup in ${target}: nothing was left there`, { cause: error });
    if (TAKEN.has(code)) throw taken(target);
    throw unusable(target, error);
  }
}

async function refuseTaken(target: string): Promise<void> {
  const found = await readdir(target).catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return [];
    if (TAKEN.has(code)) throw taken(target);
    throw unusable(target, error);
  });
  if (found.length > 0) throw taken(target);
}

function taken(target: string): BadRequestError {
  return new BadRequestError(`${target} is not empty: a backup takes a directory of its own, one that is empty or not there yet`);
}

/** Syncs the copy, and holds its pages against the file's length as every opening does. */
async function checkCopy(directory: string): Promise<void> {
  const file = await open(dataPath(directory), 'r+');
  try {
    await file.sync();
    await checkDataFile(file, dataPath(directory));
  } finally {
    await file.close();
  }
}

/** The newest revision in a copy that nobody else has open. */
async function headOf(directory: string): Promise<number> {
  const { root, log } = openTables(dataPath(directory));
  try {
    const entry = first(log, { reverse: true });
    return entry === undefined ? 0 : logHead(entry.value, entry.key).last;
  } finally {
    await root.close();
    await rm(`${dataPath(directory)}-lock`, { force: true });
  }
}
