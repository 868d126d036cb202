/**
 * Reads: single objects, lists and pages, history; at the present or at a revision inside the window.
 *
 * Invariants: a list shows one revision whole, however long it takes and whoever writes meanwhile; what is handed out
 * belongs to the caller; an object that cannot be opened fails alone.
 */
import {
  BadRequestError,
  DecryptionError,
  InvalidError,
  NotFoundError,
  isCorrupt,
  isDecryption,
  parseFieldSelector,
  parseLabelSelector,
  parsePath,
  touchesSensitive,
} from '../../schemas/index.js';
import type { FieldSelector, Selector } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import type { Engine, Entry, IndexEntry, Key, Prefix } from '../engine.js';
import { describeKey, keyId, parseRevision, scopeNamespace } from '../keys.js';
import type { ObjectCodec } from '../object-codec.js';
import type { TypeInfo, TypeRegistry } from '../registry.js';
import type { FailedItem, HistoricalVersion, HistoryOptions, ListOptions, ListResult, Selectors } from '../types.js';
import { checkWindow } from '../watch/watcher.js';
import type { FeedEvent } from '../watch/feed.js';
import { detailsOf } from '../write/rules.js';
import type { Stored } from '../write/rules.js';
import { fieldIndex } from '../write/writer.js';
import { decodeContinue, encodeContinue, questionOf } from './continue-token.js';
import { isKeyOrder, sortItems, sortPaths } from './sort.js';

export interface ReaderHost {
  /** Identity of the store, which its tokens carry. */
  readonly id: string;
  readonly deps: Deps;
  readonly codec: ObjectCodec;
  readonly registry: TypeRegistry;
  engine(): Engine;
  visible(): number;
}

/** Objects read in one synchronous slice: a few ms at most. */
const SLICE = 500;
/** `remaining` is told up to so many. */
const REMAINING = 1000;

/** Sealed objects that need not be checked again; a few MB at most. */
const MOST_VOUCHED = 16_384;

export interface ParsedSelectors {
  readonly labels: Selector | undefined;
  readonly fields: FieldSelector | undefined;
}

/** Selectors parsed once, at the edge; empty ones are as good as none. `info` undefined: of every type. @throws {InvalidError} */
export function parseSelectors(options: Selectors, info: TypeInfo | undefined): ParsedSelectors {
  const labels = options.labelSelector === undefined ? undefined : parseLabelSelector(options.labelSelector);
  const fields = options.fieldSelector === undefined ? undefined : parseFieldSelector(options.fieldSelector);
  for (const { path } of fields?.requirements ?? []) refuseSensitive(info, path, 'fieldSelector');
  return {
    labels: labels?.empty === true ? undefined : labels,
    fields: fields !== undefined && fields.requirements.length === 0 ? undefined : fields,
  };
}

/** What is sealed can be neither selected nor sorted by: asking often enough would tell it. */
function refuseSensitive(info: TypeInfo | undefined, path: string, field: string): void {
  if (info === undefined || info.sensitivePaths.length === 0 || !touchesSensitive(info.sensitivePaths, parsePath(path))) return;
  throw new InvalidError(`${field} cannot use ${path}: it is sealed in a ${info.type}`, {
    causes: [{ reason: 'FieldValueForbidden', field, message: `${path} is sensitive` }],
  });
}

export class Reader {
  readonly #host: ReaderHost;
  /** Sealed objects that were found to be the newest of their versions, by the revision they were found at. */
  readonly #vouched = new Map<string, number>();

  constructor(host: ReaderHost) {
    this.#host = host;
  }

  async get(info: TypeInfo, key: Key, resourceVersion: string | undefined): Promise<Stored> {
    const at = resourceVersion === undefined ? undefined : this.#at(resourceVersion);
    const entry = await this.#host.engine().get(key, at === undefined ? undefined : { at });
    if (entry !== undefined) await this.checkReplay(info, entry, at);
    if (entry === undefined) {
      throw new NotFoundError(`${describeKey(key)} does not exist${at === undefined ? '' : ` at revision ${at}`}`, {
        details: detailsOf(key),
      });
    }
    return this.#host.codec.plain(info, entry);
  }

  async getByUid(info: TypeInfo, uid: string): Promise<Stored> {
    const keys = await this.#host.engine().lookup({ index: 'uid', value: uid });
    const key = keys.find((each) => each.type === info.type);
    const entry = key === undefined ? undefined : await this.#host.engine().get(key);
    if (entry === undefined || entry.meta.uid !== uid) {
      throw new NotFoundError(`no ${info.type} has the uid ${uid.slice(0, 80)}`, { details: { kind: info.type, uid } });
    }
    await this.checkReplay(info, entry);
    return this.#host.codec.plain(info, entry);
  }

  /** Keys of everything that names `uid` as an owner. */
  owned(uid: string): Promise<readonly Key[]> {
    return this.#host.engine().lookup({ index: 'owner', value: uid });
  }

  async list(info: TypeInfo, namespace: string | undefined, options: ListOptions<never>): Promise<ListResult<Stored>> {
    const prefix: Prefix = { type: info.type, namespace: scopeNamespace(namespace) };
    const selectors = parseSelectors(options, info);
    const { limit } = options;
    if (limit !== undefined && (!Number.isInteger(limit) || limit < 1))
      throw new BadRequestError(`limit must be a whole number of at least 1, not ${String(limit)}`);
    if (limit !== undefined && options.sortBy !== undefined && !isKeyOrder(options.sortBy)) {
      throw new InvalidError(
        'sortBy cannot be combined with limit: pages come in key order. Leave out limit, or sort by metadata.namespace and metadata.name',
        {
          causes: [{ reason: 'FieldValueForbidden', field: 'sortBy', message: 'not together with limit, unless by key' }],
        },
      );
    }
    for (const path of sortPaths(options.sortBy)) refuseSensitive(info, path, 'sortBy');
    const question = questionOf([this.#host.id, info.type, prefix.namespace, selectors.labels?.toString(), selectors.fields?.toString()]);
    let at = options.resourceVersion === undefined ? undefined : this.#at(options.resourceVersion);
    let after: Key | undefined;
    if (options.continue !== undefined) {
      const position = decodeContinue(options.continue, question);
      if (at !== undefined && at !== position.revision)
        throw new BadRequestError('resourceVersion and continue disagree: leave resourceVersion out for the pages that follow');
      at = this.#at(String(position.revision));
      after = position.after;
    }
    const revision = at ?? this.#host.visible();
    const items: Stored[] = [];
    const failed: FailedItem[] = [];
    const indexed = at === undefined && limit === undefined ? this.#indexEntry(info, selectors.fields) : undefined;
    let last: Key | undefined;
    let more = false;
    const { filter } = options as { filter?: (object: unknown) => boolean };
    const everything = selectors.labels === undefined && selectors.fields === undefined && filter === undefined;
    const sealed = info.sensitivePaths.length > 0;
    pages: for await (const entries of indexed === undefined
      ? this.#range(prefix, revision, after, limit)
      : this.#lookup(indexed, prefix)) {
      for (const entry of entries) {
        if (limit !== undefined && items.length + failed.length === limit) {
          more = true;
          break pages;
        }
        last = entry.key;
        // Awaited only where it has to be: a promise for each of 10,000 objects costs as much as decoding them.
        if (sealed && !(await this.#isOpenable(info, entry, at, failed))) continue;
        const object = this.#open(info, entry, failed);
        if (object !== undefined && (everything || matchesAll(object, selectors, filter))) items.push(object);
      }
    }
    const sorted = options.sortBy === undefined ? items : sortItems(items, options.sortBy);
    const remaining = more && everything ? await this.#count(prefix, revision, last!) : undefined;
    return {
      items: sorted,
      resourceVersion: String(revision),
      failed,
      ...(more && last !== undefined ? { continue: encodeContinue({ revision, after: last }, question) } : {}),
      ...(remaining === undefined ? {} : { remaining }),
      [Symbol.iterator]: () => sorted[Symbol.iterator](),
    };
  }

  /** Everything under a prefix at one revision, as shared forms. */
  async shared(prefix: Prefix, revision: number): Promise<readonly { readonly key: Key; readonly object: Stored }[]> {
    const found: { key: Key; object: Stored }[] = [];
    for await (const entries of this.#range(prefix, revision, undefined, undefined)) {
      for (const entry of entries) {
        const object = this.#shared(entry, revision);
        found.push({ key: entry.key, object: object instanceof Promise ? await object : object });
      }
    }
    return found;
  }

  /** A page of shared forms for a watch that begins with what exists. */
  async page(prefix: Prefix, revision: number, after: Key | undefined): Promise<{ events: FeedEvent[]; after: Key | undefined }> {
    const page = await this.#host.engine().range(prefix, { after, limit: SLICE, at: revision });
    const events: FeedEvent[] = [];
    for (const entry of page.entries) {
      const info = this.#host.registry.found(entry.key.type);
      events.push({
        verb: 'create',
        key: entry.key,
        object: info.sensitivePaths.length === 0 ? this.#host.codec.cached(info, entry) : await this.cached(info, entry, revision),
        previous: undefined,
        source: entry.meta.source,
        bytes: entry.value?.length ?? 0,
      });
    }
    return { events, after: page.more ? page.entries.at(-1)?.key : undefined };
  }

  async history(info: TypeInfo, key: Key, options: HistoryOptions): Promise<HistoricalVersion<Stored>[]> {
    const { limit } = options;
    if (limit !== undefined && (!Number.isInteger(limit) || limit < 1))
      throw new BadRequestError(`limit must be a whole number of at least 1, not ${String(limit)}`);
    const before = options.before === undefined ? undefined : parseRevision(options.before, 'before');
    // One more than asked: a deletion shows the state before it.
    const entries = await this.#host
      .engine()
      .versions(key, { ...(limit === undefined ? {} : { limit: limit + 1 }), ...(before === undefined ? {} : { before }) });
    const history: HistoricalVersion<Stored>[] = [];
    for (let index = 0; index < entries.length && history.length < (limit ?? Number.POSITIVE_INFINITY); index += 1) {
      const entry = entries[index]!;
      const shown = entry.value === undefined ? entries[index + 1] : entry;
      if (shown?.value === undefined) continue;
      history.push({
        version: String(entry.revision),
        timestamp: new Date(entry.meta.time).toISOString(),
        change: entry.meta.verb === 'create' ? 'created' : entry.meta.verb === 'update' ? 'updated' : 'deleted',
        generation: entry.meta.generation,
        ...(entry.meta.source === undefined ? {} : { source: entry.meta.source }),
        resource: this.#host.codec.cached(info, shown),
      });
    }
    return history;
  }

  async version(info: TypeInfo, key: Key, version: string): Promise<Stored> {
    const revision = parseRevision(version, 'version');
    const [entry, older] = await this.#host.engine().versions(key, { limit: 2, before: revision + 1 });
    if (entry === undefined || entry.revision !== revision) {
      throw new NotFoundError(`${describeKey(key)} has no version ${revision}: getHistory tells which are kept`, {
        details: detailsOf(key),
      });
    }
    const shown = entry.value === undefined ? older : entry;
    if (shown === undefined)
      throw new NotFoundError(`${describeKey(key)} was deleted at ${revision} and its last state is no longer kept`, {
        details: detailsOf(key),
      });
    return this.#host.codec.plain(info, shown);
  }

  /** Reads in slices at one revision, with a turn of the event loop between them. */
  async *#range(prefix: Prefix, revision: number, after: Key | undefined, limit: number | undefined): AsyncGenerator<readonly Entry[]> {
    let from = after;
    let first = true;
    const size = limit === undefined ? SLICE : Math.min(SLICE, limit + 1);
    for (;;) {
      if (!first) await this.#host.deps.scheduler.turn();
      first = false;
      const page = await this.#host.engine().range(prefix, { after: from, limit: size, at: revision });
      yield page.entries;
      from = page.entries.at(-1)?.key;
      if (!page.more || from === undefined) return;
    }
  }

  async *#lookup(entry: IndexEntry, prefix: Prefix): AsyncGenerator<readonly Entry[]> {
    const entries: Entry[] = [];
    for (const key of await this.#host.engine().lookup(entry)) {
      if (key.type !== prefix.type || (prefix.namespace !== undefined && key.namespace !== prefix.namespace)) continue;
      const found = await this.#host.engine().get(key);
      if (found !== undefined) entries.push(found);
    }
    yield entries;
  }

  /** A declared field asked for by equality can be looked up instead of scanned for. */
  #indexEntry(info: TypeInfo, fields: FieldSelector | undefined): IndexEntry | undefined {
    for (const requirement of fields?.requirements ?? []) {
      if (
        requirement.operator === '=' &&
        requirement.value !== '' &&
        requirement.value.length <= 256 &&
        info.storeIndexes.some((path) => samePath(path, requirement.path))
      ) {
        return { index: fieldIndex(info.type, requirement.path), value: requirement.value };
      }
    }
    return undefined;
  }

  /** How many follow; undefined beyond a bound, so that paging through a large type stays linear. */
  async #count(prefix: Prefix, revision: number, after: Key): Promise<number | undefined> {
    const rest = await this.#host.engine().range(prefix, { after, limit: REMAINING, at: revision });
    return rest.more ? undefined : rest.entries.length;
  }

  /**
   * Refuses an old sealed version that was put back as the one to show: those kept beside it are newer. `at`: the past
   * revision it was read at. (Putting back the whole storage as it once was cannot be told from inside it.)
   * @throws {DecryptionError}
   */
  async checkReplay(info: TypeInfo, entry: Entry, at?: number): Promise<void> {
    if (info.sensitivePaths.length === 0 || !(await this.#isReplayed(entry, at))) return;
    throw new DecryptionError(
      `${describeKey(entry.key)} cannot be opened: it shows version ${entry.version} of revision ${entry.revision}, and a newer one is kept beside it`,
      {
        details: detailsOf(entry.key),
      },
    );
  }

  async #isReplayed(entry: Entry, at: number | undefined): Promise<boolean> {
    const { key } = entry;
    const id = keyId(key);
    if (this.#vouched.get(id) === entry.revision) return false;
    const [newest, older] = await this.#host.engine().versions(key, { limit: 2, ...(at === undefined ? {} : { before: at + 1 }) });
    if (newest === undefined) return false;
    if (newest.revision === entry.revision) {
      if (older !== undefined && isBefore(entry, older)) return true;
      if (at === undefined) this.#vouch(id, entry.revision);
      return false;
    }
    // Written again since it was read, or not: then the newest is not what is shown.
    return (await this.#host.engine().get(key, at === undefined ? undefined : { at }))?.revision === entry.revision;
  }

  #vouch(id: string, revision: number): void {
    if (this.#vouched.size >= MOST_VOUCHED)
      for (const oldest of [...this.#vouched.keys()].slice(0, MOST_VOUCHED / 4)) this.#vouched.delete(oldest);
    this.#vouched.set(id, revision);
  }

  /** The shared form; of a version that was put back, one whose secrets do not open. */
  async cached(info: TypeInfo, entry: Entry, at?: number): Promise<Stored> {
    const isReplayed = info.sensitivePaths.length > 0 && (await this.#isReplayed(entry, at));
    return this.#host.codec.cached(info, isReplayed ? { ...entry, version: 0 } : entry);
  }

  #shared(entry: Entry, revision: number): Stored | Promise<Stored> {
    const info = this.#host.registry.found(entry.key.type);
    return info.sensitivePaths.length === 0 ? this.#host.codec.cached(info, entry) : this.cached(info, entry, revision);
  }

  async #isOpenable(info: TypeInfo, entry: Entry, at: number | undefined, failed: FailedItem[]): Promise<boolean> {
    try {
      await this.checkReplay(info, entry, at);
      return true;
    } catch (error) {
      this.#failed(entry, error, failed);
      return false;
    }
  }

  #open(info: TypeInfo, entry: Entry, failed: FailedItem[]): Stored | undefined {
    try {
      return this.#host.codec.plain(info, entry);
    } catch (error) {
      this.#failed(entry, error, failed);
      return undefined;
    }
  }

  #failed({ key }: Entry, error: unknown, failed: FailedItem[]): void {
    if (!isDecryption(error) && !isCorrupt(error)) throw error;
    failed.push({ namespace: key.namespace, name: key.name, error });
  }

  #at(resourceVersion: string): number {
    const revision = parseRevision(resourceVersion, 'resourceVersion');
    const current = this.#host.visible();
    checkWindow(revision, this.#host.engine().revision().compacted, current);
    if (revision > current) throw new BadRequestError(`revision ${revision} is in the future: the newest is ${current}`);
    return revision;
  }
}

/** Filters and sorts what a transaction listed. */
export function selectItems(info: TypeInfo, items: readonly Stored[], options: ListOptions<never>): Stored[] {
  const selectors = parseSelectors(options, info);
  for (const path of sortPaths(options.sortBy)) refuseSensitive(info, path, 'sortBy');
  const found = items.filter((item) => matchesAll(item, selectors, options.filter as ((object: unknown) => boolean) | undefined));
  return options.sortBy === undefined ? found : sortItems(found, options.sortBy);
}

export function matchesAll(object: Stored, selectors: ParsedSelectors, filter: ((object: unknown) => boolean) | undefined): boolean {
  return (
    (selectors.labels?.matches(object.metadata.labels) ?? true) && (selectors.fields?.matches(object) ?? true) && (filter?.(object) ?? true)
  );
}

function samePath(a: string, b: string): boolean {
  return (a.startsWith('.') ? a.slice(1) : a) === (b.startsWith('.') ? b.slice(1) : b);
}

/** Whether what is shown as newer than another version of its key is not. */
function isBefore(shown: Entry, older: Entry): boolean {
  return shown.revision <= older.revision || (shown.meta.uid === older.meta.uid && shown.version <= older.version);
}
