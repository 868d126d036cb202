/**
 * What touches kept versions outside reads and writes: walking over all of them, new bytes for them, checking them.
 */
import type { EntriesOf, Entry, IndexEntry, Key, Prefix, Rewrite, VersionPosition } from '../../engine.js';
import { indexText, isRising, keyText } from '../checks.js';
import { newestFirst } from './state.js';
import type { Item, MemoryState } from './state.js';

/** Every kept version under a prefix: by key, then oldest first. */
export function walkVersions(
  state: MemoryState,
  prefix: Prefix,
  after: VersionPosition | undefined,
  limit: number,
): { entries: Entry[]; more: boolean } {
  const from = after && keyText(after.key);
  const entries: Entry[] = [];
  let more = false;
  state.visit(prefix, after?.key, (item) => {
    for (const entry of newestFirst(item).toReversed()) {
      if (after !== undefined && item.text === from && entry.revision <= after.revision) continue;
      more = entries.length >= limit;
      if (more) return false;
      entries.push(entry);
    }
    return true;
  });
  return { entries, more };
}

/** Replaces bytes of versions that still are what was expected; how many. */
export function rewriteVersions(state: MemoryState, versions: readonly Rewrite[], decoded: boolean): number {
  let count = 0;
  for (const { key, revision, expect, value, decoded: object } of versions) {
    const item = state.find(key);
    const old = item && newestFirst(item).find((entry) => entry.revision === revision);
    if (old?.value === undefined || Buffer.compare(old.value, expect) !== 0) continue;
    const { decoded: before, ...rest } = old;
    const after = object ?? before;
    state.substitute(item as Item, old, decoded && after !== undefined ? { ...rest, value, decoded: after } : { ...rest, value });
    count++;
  }
  return count;
}

const OBJECTS_A_STEP = 200;

/** Adds index entries to a step of objects; the key to go on after, undefined at the end. */
export function reindexItems(state: MemoryState, prefix: Prefix, after: Key | undefined, entriesOf: EntriesOf): Key | undefined {
  const from = after && keyText(after);
  let last: Key | undefined;
  let count = 0;
  state.visit(prefix, after, (item) => {
    if (item.text === from || !item.live) return true;
    if (count === OBJECTS_A_STEP) return false;
    count++;
    last = item.key;
    for (const entry of entriesIn(item, entriesOf)) state.addIndex(entry, item);
    return true;
  });
  return count === OBJECTS_A_STEP ? last : undefined;
}

/** What should name an object; nothing where it cannot be read. */
function entriesIn(item: Item, entriesOf: EntriesOf): readonly IndexEntry[] {
  try {
    const entries = entriesOf(item.current);
    entries.forEach(indexText);
    return entries;
  } catch {
    return [];
  }
}

/** Holds log, items and indexes against each other. */
export function verifyMemory(state: MemoryState, entriesOf: EntriesOf = () => []): { ok: boolean; checked: number; problems: string[] } {
  const problems: string[] = [];
  let checked = 0;
  let live = 0;
  state.visit({}, undefined, (item) => {
    const versions = newestFirst(item);
    checked += versions.length;
    if (item.current.value !== undefined) {
      live++;
      for (const { index, value } of entriesIn(item, entriesOf))
        if (!state.isIndexed({ index, value }, item))
          problems.push(`index ${index} = ${JSON.stringify(value)} does not name ${describe(item)}`);
    }
    versions.forEach((entry, index) => {
      const older = versions[index + 1];
      if (older !== undefined && older.revision >= entry.revision)
        problems.push(`${describe(item)}: version ${entry.revision} comes after ${older.revision}`);
      if (older !== undefined && !isRising(older, entry)) {
        problems.push(
          `${describe(item)}: revision ${entry.revision} keeps version ${entry.version} of the object, and revision ${older.revision} before it version ${older.version}`,
        );
      }
      if (entry.revision > state.compacted && !told(state, entry))
        problems.push(`${describe(item)}: the log does not tell of revision ${entry.revision}`);
    });
    return true;
  });
  if (live !== state.live) problems.push(`${live} objects are there, ${state.live} were counted`);
  if (state.logStart + state.log.length - 1 !== state.revision)
    problems.push(`the log ends at ${state.logStart + state.log.length - 1}, not at ${state.revision}`);
  for (const [text, items] of state.indexed()) {
    for (const item of items)
      if (item.current.value === undefined) problems.push(`index ${text.replace('\0', ' ')} names ${describe(item)}, which is deleted`);
  }
  return { ok: problems.length === 0, checked, problems };
}

function told(state: MemoryState, entry: Entry): boolean {
  return state.log[entry.revision - state.logStart]?.batch.changes.some((change) => change.entry === entry) === true;
}

function describe(item: Item): string {
  return item.text.split('\0').join('/');
}
