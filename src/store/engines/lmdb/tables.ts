/**
 * The LMDB environment and its tables.
 *
 *     obj   key                         -> record of the current version
 *     hist  key, revision               -> records of superseded versions and tombstones
 *     log   last revision of a group    -> what changed (log.ts)
 *     idx   index, value, key           -> nothing
 *     meta  name                        -> text; names of the engine's own begin with NUL
 *
 * Invariants: every option that decides what is on disk is set here and nowhere else. `overlappingSync` stays off: it is
 * the only mode that loses nothing in a power cut. Values and keys are bytes; lmdb-js's own encodings, caches, shared
 * structures, versions and encryption are never used.
 */
import { open } from 'lmdb';
import type { Database, DatabaseOptions, RangeOptions, RootDatabase, RootDatabaseOptionsWithPath } from 'lmdb';

const PAGE_SIZE = 8192;
/** Address space, not memory: growing the map while it is in use is what this saves. */
const MAP_SIZE = 16 * 2 ** 30;

export type Table = Database<Buffer, Buffer>;

export interface Tables {
  readonly root: RootDatabase<Buffer, Buffer>;
  readonly obj: Table;
  readonly hist: Table;
  readonly log: Table;
  readonly idx: Table;
  readonly meta: Table;
  /** `obj` again, for walking it without copies. */
  readonly scan: Scan;
}

/** Opens the environment; the tables are created where they are missing. */
export function openTables(path: string, mapSize: number = MAP_SIZE): Tables {
  // `permissionsMode` is missing in lmdb-js's typings.
  const options: RootDatabaseOptionsWithPath & { permissionsMode: number } = {
    path,
    noSubdir: true,
    permissionsMode: 0o600,
    maxDbs: 16,
    maxReaders: 1024,
    mapSize,
    pageSize: PAGE_SIZE,
    overlappingSync: false,
    eventTurnBatching: false,
    encoding: 'binary',
    keyEncoding: 'binary',
  };
  const root = open<Buffer, Buffer>(options);
  const table = (name: string): Table => root.openDB<Buffer, Buffer>(name, { encoding: 'binary', keyEncoding: 'binary' });
  return {
    root,
    obj: table('obj'),
    hist: table('hist'),
    log: table('log'),
    idx: table('idx'),
    meta: table('meta'),
    scan: openScan(root, 'obj'),
  };
}

/** Is shown a key and a record where lmdb-js has them: both are overwritten by whatever is read next. True goes on. */
export type ScanVisit = (keys: Buffer, start: number, end: number, record: Buffer, length: number) => boolean;

/** Walks a range of a table, in order, until the visitor says false. Not to be used again by the visitor. */
export type Scan = (range: { readonly start: Buffer; readonly end: Buffer }, visit: ScanVisit) => void;

/** lmdb-js copies keys and values of binary tables; a codec that gives nothing of its own sees them before that. */
function openScan(root: RootDatabase<Buffer, Buffer>, name: string): Scan {
  let keys: Buffer = Buffer.alloc(0);
  let start = 0;
  let end = 0;
  let visit: ScanVisit = () => false;
  let thrown: { readonly error: unknown } | undefined;
  // `encoder` and `keyEncoder` are missing in lmdb-js's typings.
  const options: DatabaseOptions & { encoder: object; keyEncoder: object } = {
    encoder: {
      encode: () => {
        throw new Error('a scan writes nothing');
      },
      // Thrown through lmdb-js it would leave a cursor and its snapshot open for ever.
      decode: (record: Buffer, length?: number) => {
        try {
          return visit(keys, start, end, record, length ?? record.length);
        } catch (error) {
          thrown = { error };
          return false;
        }
      },
    },
    keyEncoder: {
      writeKey(key: Buffer, target: Buffer, at: number) {
        target.set(key, at);
        return at + key.length;
      },
      readKey(target: Buffer, from: number, to: number) {
        keys = target;
        start = from;
        end = to;
      },
    },
  };
  const table = root.openDB<boolean, Buffer>(name, options);
  return (range, visitor) => {
    visit = visitor;
    thrown = undefined;
    for (const { value } of table.getRange({ ...range })) if (!value) break;
    const failed = thrown as { readonly error: unknown } | undefined;
    if (failed !== undefined) throw failed.error;
  };
}

/** The first entry of a range, read inside the present turn. */
export function first(table: Table, range: RangeOptions): { key: Buffer; value: Buffer } | undefined {
  for (const entry of table.getRange({ ...range, limit: 1 })) return entry;
  return undefined;
}
