/**
 * Reads: single objects, lists and pages, history; at the present or at a revision inside the window.
 *
 * Invariants: a list shows one revision whole, however long it takes and whoever writes meanwhile; what is handed out
 * belongs to the caller; an object that cannot be opened fails alone.
 */
import {
  BadRequestError,
  DecryptionError,
  ExpiredError,
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
import type { Engine, Entry, IndexEntry, InPlaceReads, Key, Prefix, RangeOptions } from '../engine.js';
import { describeKey, keyId, parseRevision, scopeNamespace } from '../keys.js';
import type { ObjectCodec } from '../object-codec.js';
import type { TypeInfo, TypeRegistry } from '../registry.js';
import { EngineGone } from '../steady-engine.js';
import type { FailedItem, HistoricalVersion, HistoryOptions, ListOptions, ListResult, Selectors } from '../types.js';
import { checkWindow } from '../watch/window.js';
import type { PagePosition, SeeFound } from '../watch/watcher.js';
import { detailsOf } from '../write/rules.js';
import type { Stored } from '../write/rules.js';
import { fieldIndex } from '../write/writer.js';
import { decodeContinue, encodeContinue, questionOf } from './continue-token.js';
import { isKeyOrder, sortItems, sortPaths } from './sort.js';
import { whenVisible } from './to-come.js';
import type { ToComeHost } from './to-come.js';

export interface ReaderHost extends ToComeHost {
  /** Identity of the store, which its tokens carry. */
  readonly id: string;
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

  /** An object for its reader alone; without waiting where nothing has to be waited for. */
  get(info: TypeInfo, key: Key, resourceVersion: string | undefined): Stored | Promise<Stored> {
    const inPlace = resourceVersion === undefined ? this.#inPlace(info) : undefined;
    if (inPlace === undefined) return this.#get(info, key, resourceVersion);
    let object: Stored | undefined;
    try {
      object = inPlace.get(key, (entry) => this.#host.codec.plain(info, entry));
    } catch (error) {
      if (error instanceof EngineGone) return this.#get(info, key, resourceVersion);
      throw error;
    }
    if (object === undefined) throw notFound(key);
    return object;
  }

  async #get(info: TypeInfo, key: Key, resourceVersion: string | undefined): Promise<Stored> {
    const at = resourceVersion === undefined ? undefined : await this.#at(resourceVersion);
    const entry = await this.#host.engine().get(key, at === undefined ? undefined : { at });
    if (entry === undefined) throw notFound(key, at);
    await this.checkReplay(info, entry, at);
    return this.#host.codec.plain(info, entry);
  }

  /** What reads a type in place. What may hold seals is not: they outlive the reading, and are held against older versions. */
  #inPlace(info: TypeInfo): InPlaceReads | undefined {
    return info.sensitivePaths.length === 0 ? this.#host.engine().inPlace : undefined;
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
    let at = options.resourceVersion === undefined ? undefined : await this.#at(options.resourceVersion);
    let after: Key | undefined;
    if (options.continue !== undefined) {
      const position = decodeContinue(options.continue, question);
      if (at !== undefined && at !== position.revision)
        throw new BadRequestError('resourceVersion and continue disagree: leave resourceVersion out for the pages that follow');
      at = await this.#at(String(position.revision));
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
    // May be called again for the same entries, when the engine fails half way through a page: it notes nothing.
    const open = (entry: Entry): Opened | Promise<Opened> =>
      info.sensitivePaths.length === 0 ? this.#open(info, entry) : this.#openChecked(info, entry, at);
    const size = limit === undefined ? SLICE : Math.min(SLICE, limit + 1);
    pages: for await (const opened of indexed === undefined
      ? this.#range(prefix, revision, { after, size }, open)
      : this.#lookup(indexed, prefix, open)) {
      for (const object of opened) {
        if (limit !== undefined) {
          more = items.length + failed.length === limit;
          if (more) break pages;
          last = keyOf(info.type, object);
        }
        if (object instanceof Failed) failed.push(object.item);
        else if (everything || matchesAll(object, selectors, filter)) items.push(object);
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
    const position: { revision: number; after: Key | undefined } = { revision, after: undefined };
    for (;;) {
      position.after = await this.page(prefix, position, (key, object) => found.push({ key, object: object as Stored }));
      if (position.after === undefined) return found;
      await this.#host.deps.scheduler.turn();
    }
  }

  /** Shows a page of shared forms; gives the key to go on after, undefined at the end. */
  async page(prefix: Prefix, { revision, after }: PagePosition, see: SeeFound): Promise<Key | undefined> {
    const { next } = await this.#page(prefix, { after, limit: SLICE, at: revision }, (entry) => {
      const { key } = entry;
      const { source } = entry.meta;
      const info = this.#host.registry.found(key.type);
      if (info.sensitivePaths.length > 0) return this.cached(info, entry, revision).then((object) => see(key, object, source));
      see(key, this.#host.codec.cached(info, entry), source);
      return undefined;
    });
    return next;
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
    const shown = entry?.value === undefined ? older : entry;
    if (entry?.revision === revision && shown !== undefined) return this.#host.codec.plain(info, shown);
    const { compacted } = this.#host.engine().revision();
    if (compacted > 0 && revision <= compacted) {
      throw new ExpiredError(
        `version ${revision} of ${describeKey(key)} is no longer kept, if it was ever there: getHistory tells which are`,
        { compactedRevision: String(compacted), currentRevision: String(this.#host.visible()) },
      );
    }
    throw new NotFoundError(`${describeKey(key)} has no version ${revision}: getHistory tells which are kept`, { details: detailsOf(key) });
  }

  /** Reads in slices at one revision, with a turn of the event loop between them. */
  async *#range<T>(
    prefix: Prefix,
    revision: number,
    { after, size }: { readonly after?: Key | undefined; readonly size: number },
    use: (entry: Entry) => T | Promise<T>,
  ): AsyncGenerator<readonly T[]> {
    let from = after;
    for (;;) {
      const { items, next } = await this.#page(prefix, { after: from, limit: size, at: revision }, use);
      yield items;
      if (next === undefined) return;
      from = next;
      await this.#host.deps.scheduler.turn();
    }
  }

  /** A page as `use` makes it of the entries; promises are waited for where there are any. */
  async #page<T>(
    prefix: Prefix,
    options: RangeOptions,
    use: (entry: Entry) => T | Promise<T>,
  ): Promise<{ readonly items: readonly T[]; readonly next: Key | undefined }> {
    const inPlace = prefix.type === undefined ? undefined : this.#inPlace(this.#host.registry.found(prefix.type));
    // In place nothing is sealed, so nothing is waited for.
    if (inPlace !== undefined) return inPlace.range(prefix, options, use as (entry: Entry) => T);
    const { entries, more } = await this.#host.engine().range(prefix, options);
    return { items: await eachSettled(entries, use), next: more ? entries.at(-1)?.key : undefined };
  }

  async *#lookup<T>(entry: IndexEntry, prefix: Prefix, use: (entry: Entry) => T | Promise<T>): AsyncGenerator<readonly T[]> {
    const entries: Entry[] = [];
    for (const key of await this.#host.engine().lookup(entry)) {
      if (key.type !== prefix.type || (prefix.namespace !== undefined && key.namespace !== prefix.namespace)) continue;
      const found = await this.#host.engine().get(key);
      if (found !== undefined) entries.push(found);
    }
    yield eachSettled(entries, use);
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

  async #openChecked(info: TypeInfo, entry: Entry, at: number | undefined): Promise<Opened> {
    try {
      await this.checkReplay(info, entry, at);
    } catch (error) {
      return failedItem(entry, error);
    }
    return this.#open(info, entry);
  }

  #open(info: TypeInfo, entry: Entry): Opened {
    try {
      return this.#host.codec.plain(info, entry);
    } catch (error) {
      return failedItem(entry, error);
    }
  }

  async #at(resourceVersion: string): Promise<number> {
    const revision = parseRevision(resourceVersion, 'resourceVersion');
    if (revision > this.#host.visible()) await whenVisible(this.#host, revision);
    checkWindow(revision, this.#host.engine().revision().compacted, this.#host.visible());
    return revision;
  }
}

/** An object of a list that could not be opened. */
class Failed {
  readonly item: FailedItem;
  constructor(item: FailedItem) {
    this.item = item;
  }
}

type Opened = Stored | Failed;

function keyOf(type: string, object: Opened): Key {
  const { namespace, name } = object instanceof Failed ? object.item : object.metadata;
  return { type, namespace: namespace ?? '', name };
}

function failedItem({ key }: Entry, error: unknown): Failed {
  if (!isDecryption(error) && !isCorrupt(error)) throw error;
  return new Failed({ namespace: key.namespace, name: key.name, error });
}

function notFound(key: Key, at?: number): NotFoundError {
  return new NotFoundError(`${describeKey(key)} does not exist${at === undefined ? '' : ` at revision ${at}`}`, {
    details: detailsOf(key),
  });
}

/** One after the other, so that what fails first is what is thrown. */
async function eachSettled<T>(entries: readonly Entry[], use: (entry: Entry) => T | Promise<T>): Promise<T[]> {
  const found: T[] = [];
  for (const entry of entries) {
    const item = use(entry);
    found.push(item instanceof Promise ? await item : item);
  }
  return found;
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
