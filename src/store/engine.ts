/**
 * What a backend must do, and all it must do: keep bytes under keys, commit several writes at once, remember what
 * changed in which order. Every rule about resources lives above, in the store.
 *
 * Invariants an engine keeps:
 * - One revision a request, rising by exactly one with each request that succeeded; it starts at 0 for an empty store.
 * - A request is applied whole or not at all. `commit` resolves when its writes are durable, and no reader sees them before.
 * - Nothing newer than `compacted` is lost: `get`, `range` and `changes` work at every revision from `compacted` on.
 */
import type { StatusError } from '../schemas/index.js';
import type { Deps } from './deps.js';

/** An object's address. `namespace` is `''` for cluster scope. None of the three parts contains a NUL. */
export interface Key {
  readonly type: string;
  readonly namespace: string;
  readonly name: string;
}

/** A set of keys: all of a type, of a namespace of it, or (no type) everything. */
export interface Prefix {
  readonly type?: string | undefined;
  readonly namespace?: string | undefined;
}

export type Verb = 'create' | 'update' | 'delete';

/** What is kept beside the bytes of a version, readable without decoding them. */
export interface WriteMeta {
  readonly verb: Verb;
  /** One for each object, from its creation to its deletion. */
  readonly uid: string;
  readonly generation: number;
  /** ms since the epoch, as the writer's clock told it: information, never order. */
  readonly time: number;
  /** Who wrote, for echo rules and history. */
  readonly source?: string | undefined;
}

/** A secondary index entry: `index` names it (`uid`, `owner`, `field:<type>:<path>`), `value` is what is looked up. */
export interface IndexEntry {
  readonly index: string;
  readonly value: string;
}

/** The index entries that an object should have. Synchronous, and pure. */
export type EntriesOf = (entry: Entry) => readonly IndexEntry[];

/** One key's change inside a request. `value` undefined deletes. */
export interface Write {
  readonly key: Key;
  readonly value: Uint8Array | undefined;
  readonly meta: WriteMeta;
  readonly addIndex?: readonly IndexEntry[] | undefined;
  readonly removeIndex?: readonly IndexEntry[] | undefined;
  /** The decoded, deep-frozen form of `value`. An engine that keeps objects in memory may hand it back in `Entry.decoded`. */
  readonly decoded?: unknown;
}

/** A version of an object as an engine returns it. `value` undefined: a tombstone (only from `versions` and `changes`). */
export interface Entry {
  readonly key: Key;
  readonly value: Uint8Array | undefined;
  readonly meta: WriteMeta;
  /** The revision that wrote this version. */
  readonly revision: number;
  /** The revision that created the object. */
  readonly created: number;
  /** The object's own counter: 1 at creation, then one more with each write. */
  readonly version: number;
  readonly decoded?: unknown;
}

/** A revision already known, or the one that another request of the same batch (by its index) is about to get. */
export type RevisionRef = number | { readonly request: number };

/** What must still hold inside the write transaction. */
export type Precondition =
  | { readonly key: Key; readonly revision: RevisionRef | 'absent' }
  | { readonly prefix: Prefix; readonly unchangedSince: RevisionRef };

/** Writes that happen together, as one revision. `id` is remembered in the log, to settle what a failed commit left in doubt. */
export interface CommitRequest {
  readonly id: string;
  readonly writes: readonly Write[];
  readonly expect: readonly Precondition[];
}

/** What a store planned its writes from, and what must still hold when they happen: the text under a name of `meta`, null for none. */
export interface Premise {
  readonly meta: string;
  readonly text: string | null;
}

/** A request that could never be carried out (a key or an index entry that cannot be kept, a limit passed). It fails alone. */
export interface Refusal {
  readonly ok: false;
  readonly refused: StatusError;
}

export type CommitResult =
  | { readonly ok: true; readonly revision: number }
  | Refusal
  | { readonly ok: false; readonly failed: Precondition | Premise; readonly current?: Entry | undefined };

/** One key's change as the log tells it, with the versions before and after. */
export interface Change {
  readonly entry: Entry;
  /** The version that was replaced or deleted; undefined for a create. */
  readonly previous: Entry | undefined;
}

/** All changes of one revision, in the order of the request's writes. */
export interface ChangeBatch {
  readonly revision: number;
  readonly id: string;
  readonly changes: readonly Change[];
}

/** A write as the log names it, without the version that it made. */
export interface LoggedWrite {
  readonly key: Key;
  readonly revision: number;
  /** What `versionMark` gives for the version, or for the tombstone. */
  readonly mark: number;
}

export interface RangeOptions {
  /** Keys strictly after this one. */
  readonly after?: Key | undefined;
  readonly limit?: number | undefined;
  /** A past revision, at least `compacted`. Default: the present. */
  readonly at?: number | undefined;
  /** Only what this names at that revision has to be shown. Anything else may be shown as well, so whoever asks looks for himself. */
  readonly index?: IndexEntry | undefined;
}

export interface RangeResult {
  readonly entries: readonly Entry[];
  /** The revision this page shows. */
  readonly revision: number;
  readonly more: boolean;
}

export interface VersionsOptions {
  readonly limit?: number | undefined;
  /** Only versions older than this revision. */
  readonly before?: number | undefined;
}

/** A version as retention sees it, newest first in the list given to `RetentionPolicy`. */
export interface VersionInfo {
  readonly revision: number;
  readonly generation: number;
  readonly time: number;
  readonly uid: string;
  readonly verb: Verb;
}

/**
 * Which superseded versions of one object stay below the window. Given all its versions, newest first (the current or last
 * one included), it returns the revisions to keep; the engine keeps what the window needs whatever this says.
 */
export type RetentionPolicy = (key: Key, versions: readonly VersionInfo[]) => ReadonlySet<number>;

export interface CompactOptions {
  readonly retain: RetentionPolicy;
  readonly signal?: AbortSignal | undefined;
}

export interface EngineStats {
  readonly revision: number;
  readonly compacted: number;
  readonly objects: number;
  /** Bytes that the storage takes (file size, or the sum of the values in memory). */
  readonly bytes: number;
  /** Bytes of log and superseded versions inside the window, roughly: what the byte bound of the window is held against. */
  readonly windowBytes: number;
  readonly [name: string]: number | string;
}

/** The keyed text that a store keeps for itself (fingerprint, registered types, keys, sweep positions). Not versioned, not watched. */
export interface EngineMeta {
  get(name: string): Promise<string | undefined>;
  /** Durable when resolved. `expect` (the old text, or null for absent) makes it a compare-and-swap; false when it did not hold. */
  set(name: string, text: string | undefined, options?: { readonly expect?: string | null }): Promise<boolean>;
}

/** A kept version: its key and the revision that wrote it. */
export interface VersionPosition {
  readonly key: Key;
  readonly revision: number;
}

/** New bytes for a kept version. */
export interface Rewrite extends VersionPosition {
  readonly expect: Uint8Array;
  readonly value: Uint8Array;
  readonly decoded?: unknown;
}

/**
 * Reads that wait for nothing and copy nothing. `use` is given each entry where it lies: the entry and its bytes are valid
 * until it returns, and meanwhile the engine may not be called. What `use` gives takes the entry's place.
 */
export interface InPlaceReads {
  /**
   * As `get`, of the present. `planning`: a commit will check what was found, so that reads made in one go, without a pause,
   * may all show the moment of the first.
   */
  get<T>(key: Key, use: (entry: Entry) => T, planning?: boolean): T | undefined;
  /** As `range`. */
  range<T>(prefix: Prefix, options: RangeOptions, use: (entry: Entry) => T): Promise<InPlaceRange<T>>;
  /** What came after revision `from`, a slice of it: at most `limit` revisions, at least one unless there is none. Throws as `changes` does. */
  changes<T>(from: number, limit: number, use: (entry: Entry) => T): readonly InPlaceBatch<T>[];
}

export interface InPlaceRange<T> {
  readonly items: readonly T[];
  /** The key to go on after; undefined at the end. */
  readonly next: Key | undefined;
}

export interface InPlaceBatch<T> {
  readonly revision: number;
  /** In the order of the request's writes; `previous` undefined for a create. */
  readonly changes: readonly { readonly entry: T; readonly previous: T | undefined }[];
}

export interface Engine {
  readonly name: string;
  readonly limits: { readonly operations: number; readonly bytes: number };
  readonly capabilities: {
    /** `perKey`: versions of an object survive compaction as retention says. `window`: only the global window is kept. */
    readonly history: 'perKey' | 'window';
    /** Other processes may commit to the same storage. */
    readonly shared: boolean;
    /** Entries carry `decoded` objects. */
    readonly decoded: boolean;
  };
  readonly meta: EngineMeta;
  /** Absent where a read takes a round trip: the other reads serve then. */
  readonly inPlace?: InPlaceReads | undefined;

  /** The newest durable revision this engine knows of, and the compaction revision (reads below it throw `ExpiredError`). */
  revision(): { readonly current: number; readonly compacted: number };
  get(key: Key, options?: { readonly at?: number | undefined }): Promise<Entry | undefined>;
  range(prefix: Prefix, options?: RangeOptions): Promise<RangeResult>;
  /** Keys under an index value, in key order. */
  lookup(entry: IndexEntry, options?: { readonly after?: Key | undefined; readonly limit?: number | undefined }): Promise<readonly Key[]>;
  /**
   * Durable when resolved. A rejection means in doubt: the engine must be closed and opened again. Never two at once. What is
   * wrong with one request is told in its result, and harms no other. The premises are checked inside the write transaction, once
   * for the batch: when one does not hold, nothing is written and every request fails with it. (On etcd: comparisons of the mod
   * revisions that these texts were read at.)
   */
  commit(batch: readonly CommitRequest[], premises?: readonly Premise[]): Promise<readonly CommitResult[]>;
  /** Replays what came after revision `from`, a revision at a time, then ends when it has reached the present. Throws `ExpiredError` below `compacted`. */
  changes(
    from: number,
    options?: { readonly limit?: number | undefined; readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<ChangeBatch>;
  /**
   * What the log says was written to a type after revision `from`, oldest first, a slice of it, and the revision up to which
   * that is all. It reads no version, so it tells what there should be, whatever there is. Throws as `changes` does.
   */
  logged(type: string, from: number): Promise<{ readonly writes: readonly LoggedWrite[]; readonly upTo: number }>;
  /** All kept versions of one key, newest first, tombstones included. */
  versions(key: Key, options?: VersionsOptions): Promise<readonly Entry[]>;
  /**
   * Every kept version under a prefix, current and superseded, tombstones included: by key, then oldest first. `after` goes on
   * behind a version. Shows all that was committed before the call, by whomever, also what no other read shows yet.
   */
  walk(
    prefix: Prefix,
    options?: { readonly after?: VersionPosition | undefined; readonly limit?: number | undefined },
  ): Promise<{ readonly entries: readonly Entry[]; readonly more: boolean }>;
  /**
   * Replaces the bytes of kept versions in place: no revision, no event, nothing else changes (key rotation). A version that
   * is gone, or whose bytes are no longer `expect`, is left alone. Durable when resolved; gives how many were replaced, and
   * undefined when a premise did not hold: then some or all of them are as they were.
   */
  rewrite(versions: readonly Rewrite[], premises?: readonly Premise[]): Promise<number | undefined>;
  /**
   * Adds index entries to objects as they are, in key order, a step of them behind `after`: no revision, no event, nothing else
   * changes. Each object gets what `entriesOf` makes of it as it is at that moment, whoever wrote it last; one for which that
   * throws is left out. Durable when resolved; gives where to go on (undefined: that was all), and `unmet` when a premise did
   * not hold: then nothing was added.
   */
  reindex(
    prefix: Prefix,
    after: Key | undefined,
    options: { readonly entriesOf: EntriesOf; readonly premises?: readonly Premise[] | undefined },
  ): Promise<Key | undefined | 'unmet'>;
  /** Drops entries of an index, a step of them, whatever they name. Durable when resolved; false when there were no more. */
  dropIndex(index: string): Promise<boolean>;
  /** Moves the compaction revision up and drops what neither the window nor `retain` keeps, in small steps; resumes by itself after a crash. */
  compact(revision: number, options: CompactOptions): Promise<void>;
  /** Tells when somebody else advanced the revision. Returns the way to stop listening. */
  onForeignCommit(listener: (revision: number) => void): () => void;
  stats(): Promise<EngineStats>;
  /**
   * Reads everything and holds it against itself: checksums, log against objects, indexes against both. `entriesOf` says what
   * has to name an object; what it throws for is left out.
   */
  verify(entriesOf?: EntriesOf): Promise<{ readonly ok: boolean; readonly checked: number; readonly problems: readonly string[] }>;
  /**
   * Copies everything, as of one revision not older than the call, into a directory that is empty or not there, from which
   * a store can be opened. Absent where there is nothing to copy to a directory.
   */
  backup?(directory: string): Promise<{ readonly revision: number }>;
  close(): Promise<void>;
}

/** Where an engine comes from: a directory, a piece of memory. Opening it again after a crash finds what was durable. */
export interface EngineSource {
  readonly name: string;
  /**
   * Where a key is kept that was made for this data because the user named none: a directory, or a piece of memory, that
   * lives as long as the data. Absent: no key is made.
   */
  readonly keptWith?: string | Map<string, Uint8Array> | undefined;
  open(context: { readonly deps: Deps }): Promise<Engine>;
}
