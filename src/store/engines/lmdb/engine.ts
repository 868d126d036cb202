/**
 * The engine that keeps a store in a directory, in one LMDB file: the embedded default.
 *
 * Invariants: a commit's promise resolves after fdatasync; after a failed one every call rejects until it is opened again.
 */
import { stat } from 'node:fs/promises';
import type { Deps } from '../../deps.js';
import type { Engine, EngineSource, EngineStats } from '../../engine.js';
import { checkLimit } from '../checks.js';
import { backupLmdb } from './backup.js';
import { changesInPlace, readChanges, readLogged } from './changes.js';
import { Committer } from './commit.js';
import { compactLmdb } from './compaction.js';
import { dataPath, prepareDirectory, unusable } from './directory.js';
import { readFailure } from './failures.js';
import { ForeignWatch } from './foreign.js';
import { revisionKey } from './keys.js';
import { logHead } from './log.js';
import { claim, createMeta } from './meta.js';
import { OpenGate } from './open-gate.js';
import { Reader } from './reads.js';
import { dropIndexLmdb, reindexLmdb } from './reindex.js';
import { rewriteLmdb } from './rewrite.js';
import { Session } from './session.js';
import { first, openTables } from './tables.js';
import { verifyLmdb } from './verify.js';

const LIMITS = { operations: 1024, bytes: 8 * 1024 * 1024 };

export interface LmdbEngineOptions {
  /** The directory of the store; created, for its owner alone, when it is missing. */
  readonly path: string;
  /** Address space to reserve for the file, in bytes; it grows beyond it by itself. Default 16 GiB. */
  readonly mapSize?: number | undefined;
  /** Names the options that a store must always be opened with; kept at creation, another one is refused later. */
  readonly fingerprint?: string | undefined;
}

/**
 * A durable engine on the local disk.
 * @example await using store = await openStore({ engine: lmdbEngine({ path: './data' }) });
 */
export function lmdbEngine(options: LmdbEngineOptions): EngineSource {
  return { name: 'lmdb', keptWith: options.path, open: ({ deps }) => openLmdb(options, deps) };
}

/**
 * @throws {CorruptError} for a data file that is damaged, gone, or of another store
 * @throws {StoreError} for a directory that cannot be used
 */
async function openLmdb({ path, mapSize, fingerprint }: LmdbEngineOptions, deps: Deps): Promise<Engine> {
  const id = await prepareDirectory(path, deps.scheduler);
  const gate = new OpenGate(path);
  let session: Session;
  try {
    session = await gate.opening(() => openSession({ path, mapSize, gate }, deps));
  } catch (error) {
    gate.leave();
    throw error;
  }
  try {
    await claim(session, id, fingerprint);
  } catch (error) {
    await session.close();
    throw error;
  }
  return createEngine(session);
}

function openSession(
  { path, mapSize, gate }: { readonly path: string; readonly mapSize: number | undefined; readonly gate: OpenGate },
  deps: Deps,
): Session {
  let tables: ReturnType<typeof openTables>;
  try {
    tables = openTables(dataPath(path), mapSize);
  } catch (error) {
    throw unusable(path, readFailure(error));
  }
  try {
    return new Session(tables, deps, { directory: path, gate });
  } catch (error) {
    void tables.root.close();
    throw error;
  }
}

function createEngine(session: Session): Engine {
  const reader = new Reader(session);
  const committer = new Committer(session, LIMITS);
  const foreign = new ForeignWatch(session);
  /** Copies that are being made: the environment must stay open under them. */
  const copying = new Set<Promise<unknown>>();
  return {
    name: 'lmdb',
    limits: LIMITS,
    capabilities: { history: 'perKey', shared: true, decoded: false },
    meta: createMeta(session),
    inPlace: {
      get: (key, use, planning) => reader.getInPlace(key, use, planning),
      range: (prefix, options, use) => reader.rangeInPlace(prefix, options, use),
      changes: (from, limit, use) => changesInPlace(session, from, limit, use),
    },
    revision() {
      session.check();
      session.lookAgain();
      return { current: session.visible, compacted: session.compacted };
    },
    get: async (key, options) => reader.get(key, options?.at),
    range: (prefix, options = {}) => reader.range(prefix, options),
    lookup: async (entry, options) => reader.lookup(entry, options?.after, checkLimit(options?.limit)),
    commit: (batch, premises) => committer.commit(batch, premises),
    changes: (from, options) => readChanges(session, from, options),
    logged: async (type, from) => readLogged(session, type, from),
    versions: async (key, options) => reader.versions(key, options),
    walk: (prefix, options) => reader.walk(prefix, options?.after, checkLimit(options?.limit)),
    rewrite: (versions, premises) => rewriteLmdb(session, versions, premises),
    reindex: (prefix, after, options) => reindexLmdb(session, prefix, after, options),
    dropIndex: (index) => dropIndexLmdb(session, index),
    compact: (revision, options) => compactLmdb(session, revision, options),
    onForeignCommit: (listener) => foreign.listen(listener),
    stats: () => readStats(session),
    verify: (entriesOf) => verifyLmdb(session, entriesOf),
    backup(directory) {
      const copy = backupLmdb(session, directory).finally(() => copying.delete(copy));
      copying.add(copy);
      return copy;
    },
    async close() {
      foreign.stop();
      await Promise.allSettled(copying);
      await session.close();
    },
  };
}

/** Bytes of log and superseded versions above a revision; within a log record they count as spread evenly. */
function bytesSince(session: Session, revision: number): number {
  const oldest = first(session.tables.log, { start: revisionKey(revision + 1) });
  if (oldest === undefined) return 0;
  const { first: begin, last, bytesBefore, bytesAfter } = logHead(oldest.value, oldest.key);
  const gone = Math.max(0, revision + 1 - begin) / (last - begin + 1);
  return Math.round(session.head().bytes - bytesBefore - gone * (bytesAfter - bytesBefore));
}

async function readStats(session: Session): Promise<EngineStats> {
  const { obj, hist, idx } = session.tables;
  const counted = session.read(({ current, compacted }) => {
    const windowBytes = bytesSince(session, compacted);
    const entries = (table: typeof obj): number => (table.getStats() as { entryCount: number }).entryCount;
    return {
      revision: current,
      compacted,
      objects: entries(obj),
      versions: entries(obj) + entries(hist),
      indexEntries: entries(idx),
      windowBytes,
    };
  });
  return { ...counted, bytes: (await stat(dataPath(session.directory))).size };
}
