/**
 * What a piece of memory durably holds: objects with their versions, the log, indexes, meta. All synchronous.
 *
 * Invariants:
 * - `apply` is one step: nothing in between can be seen. Entries are never changed once made; readers share them.
 * - An item's `older` rises by revision and ends before `current`; a deleted key stays as an item whose current is a tombstone.
 * - The log holds each revision from `logStart` to `revision`, and every one above `compacted`.
 */
import type {
  ChangeBatch,
  CommitRequest,
  CommitResult,
  Entry,
  IndexEntry,
  Key,
  Precondition,
  Prefix,
  RangeOptions,
  RangeResult,
  Write,
  WriteMeta,
} from '../../engine.js';
import { indexText, keyText, prefixText, resolveRef } from '../checks.js';
import type { Checked } from '../checks.js';
import { SortedList, sortText } from './sorted-list.js';

/** What a version is counted with beside its value. */
const OVERHEAD = 128;

/** One key and all its kept versions. */
export interface Item {
  readonly key: Key;
  readonly text: string;
  readonly sort: string;
  current: Entry;
  /** Whether `current` is no tombstone. */
  live: boolean;
  older: Entry[] | undefined;
}

interface Table {
  readonly type: string;
  readonly sort: string;
  readonly items: SortedList<Item>;
  readonly namespaces: Map<string, number>;
  lastChange: number;
}

export interface LogRecord {
  readonly batch: ChangeBatch;
  readonly bytes: number;
}

export class MemoryState {
  readonly meta = new Map<string, string>();
  readonly #decoded: boolean;
  readonly #items = new Map<string, Item>();
  readonly #tables = new Map<string, Table>();
  readonly #sortedTables = new SortedList<Table>();
  /** `index NUL value` -> the item, or the sorted items where there is more than one. */
  readonly #index = new Map<string, Item | SortedList<Item>>();
  /** Items with more than their current version, by text: what a sweep visits. */
  readonly withHistory = new Map<string, Item>();
  readonly log: LogRecord[] = [];
  logStart = 1;
  revision = 0;
  compacted = 0;
  /** Compaction is done up to here; behind `compacted` while one is under way or was cut off. */
  swept = 0;
  live = 0;
  versions = 0;
  bytes = 0;
  windowBytes = 0;

  constructor(decoded: boolean) {
    this.#decoded = decoded;
  }

  find(key: Key): Item | undefined {
    return this.#items.get(keyText(key));
  }

  get(key: Key, at: number): Entry | undefined {
    const item = this.find(key);
    return item && shownAt(item, at);
  }

  range(prefix: Prefix, { after, index }: RangeOptions, limit: number, at: number): RangeResult {
    const from = after === undefined ? undefined : keyText(after);
    const entries: Entry[] = [];
    let more = false;
    const present = at === this.revision;
    const see = (item: Item): boolean => {
      // The present needs no look at the entries themselves: over many objects that is what a list costs.
      const entry = present ? (item.live ? item.current : undefined) : shownAt(item, at);
      if (entry === undefined || item.text === from) return true;
      more = entries.length >= limit;
      if (!more) entries.push(entry);
      return !more;
    };
    if (index === undefined) this.visit(prefix, after, see);
    else for (const item of this.#candidates(prefix, index, from === undefined ? '' : sortText(from), at)) if (!see(item)) break;
    return { entries, revision: at, more };
  }

  /** What an index may have named at a revision: what it names now, and what was written since, from a place on, in order. */
  #candidates(prefix: Prefix, index: IndexEntry, from: string, at: number): Item[] {
    const found = new Set<Item>();
    const add = (item: Item | undefined): boolean => {
      if (item !== undefined && item.sort >= from && isWithin(item.key, prefix)) found.add(item);
      return true;
    };
    const named = this.#index.get(indexText(index));
    if (named instanceof SortedList) named.walk(from, add);
    else add(named);
    for (const { batch } of this.log.slice(Math.max(0, at + 1 - this.logStart)))
      for (const { entry } of batch.changes) add(this.find(entry.key));
    return [...found].sort((a, b) => (a.sort < b.sort ? -1 : 1));
  }

  /** Calls `see` for each item of a prefix from `start` on, deleted ones included, in order, until it returns false. */
  visit(prefix: Prefix, start: Key | undefined, see: (item: Item) => boolean): void {
    prefixText(prefix);
    const from = start === undefined ? '' : sortText(keyText(start));
    const within = prefix.namespace;
    let going = true;
    const visitTable = (table: Table): boolean => {
      const first = within === undefined ? table.sort : `${table.sort}${sortText(within)}\0`;
      table.items.walk(from > first ? from : first, (item) => {
        if (within !== undefined && item.key.namespace !== within) return false;
        going = see(item);
        return going;
      });
      return going;
    };
    if (prefix.type === undefined) {
      // The table that `start` lies in sorts below it; those before that have nothing to say.
      this.#sortedTables.walk(start === undefined ? '' : sortText(`${start.type}\0`), visitTable);
    } else {
      const table = this.#tables.get(prefix.type);
      if (table) visitTable(table);
    }
  }

  /** What is under each index value, by its text. */
  *indexed(): IterableIterator<[string, readonly Item[]]> {
    for (const [text, found] of this.#index) {
      const items: Item[] = [];
      if (found instanceof SortedList) found.walk('', (item) => items.push(item) > 0);
      else items.push(found);
      yield [text, items];
    }
  }

  lookup(entry: IndexEntry, after: Key | undefined, limit: number): Key[] {
    const found = this.#index.get(indexText(entry));
    const keys: Key[] = [];
    if (found === undefined) return keys;
    const from = after === undefined ? '' : sortText(keyText(after));
    if (!(found instanceof SortedList)) return found.sort > from ? [found.key] : keys;
    found.walk(from, (item) => {
      if (item.sort !== from) keys.push(item.key);
      return keys.length < limit;
    });
    return keys;
  }

  /** Newest first. */
  versionsOf(key: Key): Entry[] {
    const item = this.find(key);
    return item ? newestFirst(item) : [];
  }

  /** Carries out, in order, the requests that were not refused and whose preconditions hold. */
  apply(batch: readonly CommitRequest[], checked: readonly Checked[]): CommitResult[] {
    const revisions: (number | undefined)[] = [];
    return batch.map((request, at) => {
      const check = checked[at] as Checked;
      const failed = 'refused' in check ? check : this.#failedPrecondition(request, revisions);
      const result: CommitResult = failed ?? { ok: true, revision: this.#write(request) };
      revisions.push(result.ok ? result.revision : undefined);
      return result;
    });
  }

  #failedPrecondition(request: CommitRequest, revisions: readonly (number | undefined)[]): CommitResult | undefined {
    for (const condition of request.expect) {
      if ('key' in condition) {
        const current = this.#live(condition.key);
        const wanted = condition.revision === 'absent' ? 'absent' : resolveRef(condition.revision, revisions);
        if ((current?.revision ?? 'absent') !== wanted) return { ok: false, failed: condition, current };
      } else {
        const since = resolveRef(condition.unchangedSince, revisions);
        if (since === undefined || this.#lastChange(condition.prefix) > since) return { ok: false, failed: condition };
      }
    }
    // A delete of what is not there fails as if it had named a revision.
    const missing = request.writes.find((write) => write.value === undefined && this.#live(write.key) === undefined);
    return missing && { ok: false, failed: { key: missing.key, revision: 0 } satisfies Precondition };
  }

  #live(key: Key): Entry | undefined {
    const current = this.find(key)?.current;
    return current?.value === undefined ? undefined : current;
  }

  #lastChange(prefix: Prefix): number {
    if (prefix.type === undefined) return this.revision;
    const table = this.#tables.get(prefix.type);
    if (table === undefined) return 0;
    return prefix.namespace === undefined ? table.lastChange : (table.namespaces.get(prefix.namespace) ?? 0);
  }

  #write(request: CommitRequest): number {
    const revision = ++this.revision;
    let bytes = OVERHEAD;
    const changes = request.writes.map((write) => {
      const text = keyText(write.key);
      const item = this.#items.get(text);
      const before = item?.current;
      const previous = before?.value === undefined ? undefined : before;
      const entry = this.#entry(write, previous, revision);
      if (item === undefined) this.#insert(text, entry);
      else this.#replace(item, entry);
      this.#reindex(text, write);
      const table = this.#tables.get(write.key.type) as Table;
      table.lastChange = revision;
      table.namespaces.set(write.key.namespace, revision);
      this.live += Number(entry.value !== undefined) - Number(previous !== undefined);
      bytes += OVERHEAD + (previous?.value?.byteLength ?? 0);
      return { entry, previous };
    });
    this.log.push({ batch: { revision, id: request.id, changes }, bytes });
    this.windowBytes += bytes;
    return revision;
  }

  #entry(write: Write, previous: Entry | undefined, revision: number): Entry {
    const entry = {
      key: write.key,
      value: write.value,
      meta: write.meta,
      revision,
      created: previous?.created ?? revision,
      version: (previous?.version ?? 0) + 1,
    };
    return this.#decoded && write.decoded !== undefined ? { ...entry, decoded: write.decoded } : entry;
  }

  #insert(text: string, entry: Entry): void {
    const item: Item = { key: entry.key, text, sort: sortText(text), current: entry, live: entry.value !== undefined, older: undefined };
    this.#items.set(text, item);
    this.#tableOf(entry.key.type).items.add(item);
    this.#count(entry, 1);
  }

  #replace(item: Item, entry: Entry): void {
    if (item.older === undefined) {
      item.older = [];
      this.withHistory.set(item.text, item);
    }
    item.older.push(item.current);
    item.current = entry;
    item.live = entry.value !== undefined;
    this.#count(entry, 1);
  }

  #tableOf(type: string): Table {
    let table = this.#tables.get(type);
    if (table === undefined) {
      table = { type, sort: sortText(`${type}\0`), items: new SortedList(), namespaces: new Map(), lastChange: 0 };
      this.#tables.set(type, table);
      this.#sortedTables.add(table);
    }
    return table;
  }

  #count(entry: Entry, sign: 1 | -1): void {
    this.versions += sign;
    this.bytes += sign * (OVERHEAD + (entry.value?.byteLength ?? 0));
  }

  #reindex(text: string, write: Write): void {
    const item = this.#items.get(text) as Item;
    for (const entry of write.removeIndex ?? []) this.#removeIndex(indexText(entry), item);
    for (const entry of write.addIndex ?? []) this.addIndex(entry, item);
  }

  addIndex(entry: IndexEntry, item: Item): void {
    const text = indexText(entry);
    const found = this.#index.get(text);
    if (found === undefined) {
      this.#index.set(text, item);
    } else if (found instanceof SortedList) {
      found.remove(item);
      found.add(item);
    } else if (found !== item) {
      const items = new SortedList<Item>();
      items.add(found);
      items.add(item);
      this.#index.set(text, items);
    }
  }

  isIndexed(entry: IndexEntry, item: Item): boolean {
    const found = this.#index.get(indexText(entry));
    return found instanceof SortedList ? found.has(item) : found === item;
  }

  dropIndex(index: string): void {
    for (const text of this.#index.keys()) if (text.startsWith(`${index}\0`)) this.#index.delete(text);
  }

  #removeIndex(text: string, item: Item): void {
    const found = this.#index.get(text);
    if (found instanceof SortedList) {
      found.remove(item);
      if (found.size > 0) return;
    } else if (found !== item) {
      return;
    }
    this.#index.delete(text);
  }

  /** Drops versions of an item; the item itself with the last of them. */
  drop(item: Item, revisions: readonly number[]): void {
    const gone = new Set(revisions);
    for (const entry of newestFirst(item)) if (gone.has(entry.revision)) this.#count(entry, -1);
    const older = item.older?.filter((entry) => !gone.has(entry.revision)) ?? [];
    item.older = older.length > 0 ? older : undefined;
    if (item.older === undefined) this.withHistory.delete(item.text);
    if (!gone.has(item.current.revision)) return;
    // A current version is dropped only as a tombstone that hides nothing.
    this.#items.delete(item.text);
    this.#tables.get(item.key.type)?.items.remove(item);
  }

  /** Puts another entry in the place of one that is kept, also where the log tells of it. */
  substitute(item: Item, old: Entry, entry: Entry): void {
    const versions = newestFirst(item);
    const newer = versions[versions.indexOf(old) - 1];
    if (item.current === old) item.current = entry;
    else item.older = item.older?.map((each) => (each === old ? entry : each));
    this.#count(old, -1);
    this.#count(entry, 1);
    for (const revision of [entry.revision, newer?.revision ?? 0]) {
      const record = this.log[revision - this.logStart];
      if (record === undefined) continue;
      const swap = (each: Entry): Entry => (each === old ? entry : each);
      const changes = record.batch.changes.map((change) => ({
        entry: swap(change.entry),
        previous: change.previous && swap(change.previous),
      }));
      this.log[revision - this.logStart] = { ...record, batch: { ...record.batch, changes } };
    }
  }

  /** Drops the log up to and with a revision. */
  dropLog(upTo: number): void {
    const dropped = this.log.splice(0, upTo - this.logStart + 1);
    this.logStart += dropped.length;
    for (const record of dropped) this.windowBytes -= record.bytes;
  }
}

/** All versions of an item, newest first. */
export function newestFirst(item: Item): Entry[] {
  return item.older === undefined ? [item.current] : [item.current, ...item.older.toReversed()];
}

/** What of an entry a retention policy sees. */
export function versionInfo(entry: Entry): { revision: number } & Pick<WriteMeta, 'generation' | 'time' | 'uid' | 'verb'> {
  const { generation, time, uid, verb } = entry.meta;
  return { revision: entry.revision, generation, time, uid, verb };
}

function shownAt(item: Item, at: number): Entry | undefined {
  if (item.current.revision <= at) return item.current.value === undefined ? undefined : item.current;
  const older = item.older ?? [];
  let low = 0;
  let high = older.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((older[middle] as Entry).revision <= at) low = middle + 1;
    else high = middle;
  }
  const entry = older[low - 1];
  return entry?.value === undefined ? undefined : entry;
}

function isWithin(key: Key, prefix: Prefix): boolean {
  return (prefix.type === undefined || key.type === prefix.type) && (prefix.namespace === undefined || key.namespace === prefix.namespace);
}
