/**
 * Reads: single objects, lists and pages, history; at the present or at a revision inside the window.
 *
 * Invariants: a list shows one revision whole, however long it takes and whoever writes meanwhile; what is handed out
 * belongs to the caller; an object that cannot be opened fails alone.
 */
import {
  BadRequestError,
  ExpiredError,
  InvalidError,
  NotFoundError,
  isExpired,
  parseFieldSelector,
  parseLabelSelector,
  parsePath,
  touchesSensitive,
} from '../../schemas/index.js';
import type { FieldSelector, Selector } from '../../schemas/index.js';
import type { Engine, Entry, IndexEntry, InPlaceReads, Key, Prefix, RangeOptions } from '../engine.js';
import { fieldEntry, fieldPath, ownerEntry } from '../field-indexes.js';
import type { FieldIndex } from '../field-indexes.js';
import { UnopenedForm, stubOf, unopened } from '../form.js';
import type { Form } from '../form.js';
import { describeKey, parseRevision, scopeNamespace } from '../keys.js';
import type { ObjectCodec } from '../object-codec.js';
import type { TypeInfo, TypeRegistry } from '../registry.js';
import { EngineGone } from '../steady-engine.js';
import type { FailedItem, GetOptions, HistoricalVersion, HistoryOptions, ListOptions, ListResult, Selectors } from '../types.js';
import { throwIfAborted } from '../timing.js';
import { checkWindow } from '../watch/window.js';
import type { PagePosition, SeeFound } from '../watch/watcher.js';
import { detailsOf } from '../write/rules.js';
import type { Stored } from '../write/rules.js';
import { decodeContinue, encodeContinue, questionOf } from './continue-token.js';
import { Places } from './places.js';
import { isKeyOrder, parseSort, sortItems } from './sort.js';
import type { SortField } from './sort.js';
import { whenVisible } from './to-come.js';
import type { ToComeHost } from './to-come.js';
import type { ReadsUnderWay } from './under-way.js';

export interface ReaderHost extends ToComeHost {
  /** Identity of the store, which its tokens carry. */
  readonly id: string;
  /** What vouches for them. */
  readonly tokenKey: Uint8Array;
  readonly codec: ObjectCodec;
  readonly registry: TypeRegistry;
  readonly reads: ReadsUnderWay;
  engine(): Engine;
  visible(): number;
}

/** Objects read in one synchronous slice: a few ms at most. */
const SLICE = 500;
/** Objects read by an index for a page, at least: each slice begins with a look at what was written since. */
const PAGE_BY_INDEX = 64;
/** `remaining` is told up to so many. */
const REMAINING = 1000;

export interface ParsedSelectors {
  readonly labels: Selector | undefined;
  readonly fields: FieldSelector | undefined;
  /** Of an owner. */
  readonly ownerUid: string | undefined;
}

/** Selectors parsed once, at the edge; empty ones are as good as none. `info` undefined: of every type. @throws {InvalidError} */
export function parseSelectors(options: Selectors & Pick<ListOptions, 'ownerUid'>, info: TypeInfo | undefined): ParsedSelectors {
  const labels = options.labelSelector === undefined ? undefined : parseLabelSelector(options.labelSelector);
  const fields = options.fieldSelector === undefined ? undefined : parseFieldSelector(options.fieldSelector);
  for (const { path } of fields?.requirements ?? []) refuseSensitive(info, path, 'fieldSelector');
  return {
    labels: labels?.empty === true ? undefined : labels,
    fields: fields !== undefined && fields.requirements.length === 0 ? undefined : fields,
    ownerUid: options.ownerUid,
  };
}

/** What is sealed can be neither selected nor sorted by: asking often enough would tell it. */
function refuseSensitive(info: TypeInfo | undefined, path: string, field: string): void {
  if (info === undefined || info.sensitivePaths.length === 0 || !touchesSensitive(info.sensitivePaths, parsePath(path))) return;
  throw new InvalidError(`${field} cannot use ${path}: it is sealed in a ${info.type}`, {
    causes: [{ reason: 'FieldValueForbidden', field, message: `${path} is sensitive` }],
  });
}

/** What a list is about, checked. */
interface Listing {
  readonly info: TypeInfo;
  readonly prefix: Prefix;
  readonly selectors: ParsedSelectors;
  readonly options: ListOptions<never>;
  readonly order: readonly SortField[];
  readonly question: string;
  readonly after: Key | undefined;
}

/** An index to go by, and what to look up in it. */
interface Lookup {
  readonly index: FieldIndex;
  readonly entry: IndexEntry;
}

export class Reader {
  readonly #host: ReaderHost;
  /** Where the versions of types that hold secrets belong. */
  readonly places: Places;

  constructor(host: ReaderHost) {
    this.#host = host;
    this.places = new Places(host);
  }

  /** An object for its reader alone; without waiting where nothing has to be waited for. */
  get(info: TypeInfo, key: Key, options: GetOptions): Stored | Promise<Stored> {
    const inPlace = options.resourceVersion === undefined ? this.#inPlace(info) : undefined;
    if (inPlace === undefined) return this.#get(info, key, options);
    let object: Stored | undefined;
    try {
      object = inPlace.get(key, (entry) => this.#host.codec.plain(info, entry));
    } catch (error) {
      if (error instanceof EngineGone) return this.#get(info, key, options);
      throw error;
    }
    if (object === undefined) throw notFound(key);
    return object;
  }

  async #get(info: TypeInfo, key: Key, { resourceVersion, signal }: GetOptions): Promise<Stored> {
    const at = resourceVersion === undefined ? undefined : await this.#at(resourceVersion, signal);
    const { current } = this.#host.engine().revision();
    const entry = await this.#host.engine().get(key, at === undefined ? undefined : { at });
    if (entry === undefined) throw notFound(key, at);
    return this.#plain(info, entry, at ?? current);
  }

  /** What reads a type in place. What may hold seals is not: they outlive the reading, and are held against older versions. */
  #inPlace(info: TypeInfo): InPlaceReads | undefined {
    return info.sensitivePaths.length === 0 ? this.#host.engine().inPlace : undefined;
  }

  async getByUid(info: TypeInfo, uid: string): Promise<Stored> {
    const keys = await this.#host.engine().lookup({ index: 'uid', value: uid });
    const key = keys.find((each) => each.type === info.type);
    const { current } = this.#host.engine().revision();
    const entry = key === undefined ? undefined : await this.#host.engine().get(key);
    if (entry === undefined || entry.meta.uid !== uid) {
      throw new NotFoundError(`no ${info.type} has the uid ${uid.slice(0, 80)}`, { details: { kind: info.type, uid } });
    }
    return this.#plain(info, entry, current);
  }

  /** Plain values of what was read as shown at a revision. @throws {DecryptionError} @throws {CorruptError} */
  async #plain(info: TypeInfo, entry: Entry, at: number): Promise<Stored> {
    const fault = info.sensitivePaths.length === 0 ? undefined : await this.places.fault(entry, at);
    if (fault !== undefined) throw fault;
    return this.#host.codec.plain(info, entry);
  }

  async list(info: TypeInfo, namespace: string | undefined, options: ListOptions<never>): Promise<ListResult<Stored>> {
    const prefix: Prefix = { type: info.type, namespace: scopeNamespace(namespace) };
    const selectors = parseSelectors(options, info);
    const { limit, signal } = options;
    throwIfAborted(signal, 'the list');
    const order = sortOf(info, options);
    const spaces = prefix.namespace !== undefined || info.scope === 'Cluster' ? 'one' : info.scope === 'Any' ? 'mixed' : 'several';
    if ((limit !== undefined || options.continue !== undefined) && !isKeyOrder(order, spaces)) {
      throw new InvalidError(
        'sortBy cannot be combined with limit: pages come in the order of the keys. Leave out limit, or sort by metadata.namespace and then metadata.name (in one namespace by metadata.name)',
        {
          causes: [{ reason: 'FieldValueForbidden', field: 'sortBy', message: 'not together with limit, unless by key' }],
        },
      );
    }
    const { labels, fields, ownerUid } = selectors;
    const asked = [this.#host.id, info.type, prefix.namespace, labels?.toString(), fields?.toString()];
    const question = questionOf(ownerUid === undefined ? asked : [...asked, ownerUid]);
    const byOwner = ownerUid === undefined ? undefined : ownerEntry(ownerUid);
    let at = options.resourceVersion === undefined ? undefined : await this.#at(options.resourceVersion, signal);
    let after: Key | undefined;
    if (options.continue !== undefined) {
      const position = decodeContinue(this.#host.tokenKey, options.continue, { type: info.type, question });
      if (at !== undefined && at !== position.revision)
        throw new BadRequestError('resourceVersion and continue disagree: leave resourceVersion out for the pages that follow');
      at = await this.#at(String(position.revision), signal);
      after = position.after;
    }
    const list = { info, prefix, selectors, options, order, question, after };
    if (at !== undefined) return this.#listAt(at, list, byOwner);
    for (;;) {
      // Whatever a read of this process has shown is in it, also what another process has written a moment ago.
      const { current } = this.#host.engine().revision();
      try {
        const lookup = limit === undefined && byOwner === undefined ? await this.#lookup(info.type, fields) : undefined;
        const found = await this.#listAt(current, list, byOwner ?? lookup?.entry);
        // What was dropped meanwhile may have been gone while it was read.
        if (lookup === undefined || (await this.#completeIndexes(info.type)).some(({ name }) => name === lookup.index.name)) return found;
      } catch (error) {
        if (!isExpired(error)) throw error;
        // Another process has compacted meanwhile: nobody asked for this revision, so a newer one serves as well.
        await this.#host.deps.scheduler.turn();
      }
    }
  }

  /** A list, or a page of it, as of one revision. */
  #listAt(revision: number, list: Listing, index: IndexEntry | undefined): Promise<ListResult<Stored>> {
    return this.#host.reads.run(revision, () => this.#readList(revision, list, index));
  }

  async #readList(revision: number, list: Listing, index: IndexEntry | undefined): Promise<ListResult<Stored>> {
    const { info, prefix, selectors, options, order, question, after } = list;
    const { limit, signal } = options;
    const items: Stored[] = [];
    const failed: FailedItem[] = [];
    let last: Key | undefined;
    let more = false;
    const { filter } = options as { filter?: (object: unknown) => boolean };
    const everything = Object.values(selectors).every((each) => each === undefined) && filter === undefined;
    // May be called again for the same entries, when the engine fails half way through a page: it notes nothing.
    const open = (entry: Entry): Opened | Promise<Opened> =>
      info.sensitivePaths.length === 0 ? this.#open(info, entry) : this.#openChecked(info, entry, revision);
    // What an index names is read in one go: what was written since is then looked through once. Of the past that may be everything.
    const whole = index === undefined || options.resourceVersion !== undefined ? SLICE : undefined;
    const least = index === undefined ? 1 : PAGE_BY_INDEX;
    const size = limit === undefined ? whole : Math.min(SLICE, Math.max(least, limit + 1));
    pages: for await (const opened of this.#range(prefix, { after, limit: size, at: revision, index }, open)) {
      throwIfAborted(signal, 'the list');
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
    const sorted = order.length === 0 || limit !== undefined ? items : sortItems(items, order);
    const remaining = more && everything ? await this.#count(prefix, revision, last!) : undefined;
    return {
      items: sorted,
      resourceVersion: String(revision),
      failed,
      ...(more && last !== undefined ? { continue: encodeContinue(this.#host.tokenKey, { revision, after: last }, question) } : {}),
      ...(remaining === undefined ? {} : { remaining }),
      [Symbol.iterator]: () => sorted[Symbol.iterator](),
    };
  }

  /** Everything under a prefix at one revision, as shared forms. */
  shared(prefix: Prefix, revision: number): Promise<readonly SharedItem[]> {
    return this.#host.reads.run(revision, async () => {
      const found: SharedItem[] = [];
      const position: { revision: number; after: Key | undefined } = { revision, after: undefined };
      for (;;) {
        position.after = await this.page(prefix, position, (key, object, _source, error) =>
          found.push({ key, object: object as Stored, error }),
        );
        if (position.after === undefined) return found;
        await this.#host.deps.scheduler.turn();
      }
    });
  }

  /** Shows a page of shared forms; gives the key to go on after, undefined at the end. */
  async page(prefix: Prefix, { revision, after }: PagePosition, see: SeeFound): Promise<Key | undefined> {
    const { next } = await this.#page(prefix, { after, limit: SLICE, at: revision }, (entry) => {
      const info = this.#host.registry.found(entry.key.type);
      const fault = info.sensitivePaths.length === 0 ? undefined : this.places.fault(entry, revision);
      return fault instanceof Promise ? fault.then((found) => this.#see(info, entry, found, see)) : this.#see(info, entry, fault, see);
    });
    return next;
  }

  /** Shows a shared form; with `fault`, and where it cannot be opened, a stub and the error. */
  #see(info: TypeInfo, entry: Entry, fault: Error | undefined, see: SeeFound): void {
    let object: Stored;
    let error = fault;
    try {
      object = error === undefined ? this.#host.codec.cached(info, entry) : stubOf(entry);
    } catch (thrown) {
      error = unopened(thrown);
      object = stubOf(entry);
    }
    see(entry.key, object, entry.meta.source, error);
  }

  /** The shared form of what was read as shown at a revision. */
  async form(info: TypeInfo, entry: Entry, at: number): Promise<Form> {
    const fault = info.sensitivePaths.length === 0 ? undefined : await this.places.fault(entry, at);
    return fault === undefined ? this.#host.codec.form(info, entry) : new UnopenedForm(stubOf(entry), fault);
  }

  async history(info: TypeInfo, key: Key, options: HistoryOptions): Promise<HistoricalVersion<Stored>[]> {
    const { limit } = options;
    const before = options.before === undefined ? undefined : parseRevision(options.before, 'before');
    // One more than asked: a deletion shows the state before it.
    const entries = await this.#host
      .engine()
      .versions(key, { ...(limit === undefined ? {} : { limit: limit + 1 }), ...(before === undefined ? {} : { before }) });
    const faults = info.sensitivePaths.length === 0 ? [] : await this.places.among(key, entries);
    const history: HistoricalVersion<Stored>[] = [];
    for (let index = 0; index < entries.length && history.length < (limit ?? Number.POSITIVE_INFINITY); index += 1) {
      const entry = entries[index]!;
      const at = entry.value === undefined ? index + 1 : index;
      const shown = entries[at];
      if (shown?.value === undefined) continue;
      const form = faults[at] === undefined ? this.#host.codec.form(info, shown) : new UnopenedForm(stubOf(shown), faults[at]);
      history.push({
        version: String(entry.revision),
        timestamp: new Date(entry.meta.time).toISOString(),
        change: entry.meta.verb === 'create' ? 'created' : entry.meta.verb === 'update' ? 'updated' : 'deleted',
        generation: entry.meta.generation,
        ...(entry.meta.source === undefined ? {} : { source: entry.meta.source }),
        resource: form.object,
        ...(form.error === undefined ? {} : { error: form.error }),
      });
    }
    return history;
  }

  async version(info: TypeInfo, key: Key, version: string): Promise<Stored> {
    const revision = parseRevision(version, 'version');
    const [entry, older] = await this.#host.engine().versions(key, { limit: 2, before: revision + 1 });
    const shown = entry?.value === undefined ? older : entry;
    if (entry?.revision === revision && shown !== undefined) {
      const [fault] = info.sensitivePaths.length === 0 ? [] : await this.places.among(key, [shown]);
      if (fault !== undefined) throw fault;
      return this.#host.codec.plain(info, shown);
    }
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
  async *#range<T>(prefix: Prefix, options: RangeOptions, use: (entry: Entry) => T | Promise<T>): AsyncGenerator<readonly T[]> {
    let { after } = options;
    for (;;) {
      const { items, next } = await this.#page(prefix, { ...options, after }, use);
      yield items;
      if (next === undefined) return;
      after = next;
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

  /** A declared field asked for by equality can be looked up instead of scanned for, if its index names every object. */
  async #lookup(type: string, fields: FieldSelector | undefined): Promise<Lookup | undefined> {
    if (fields === undefined || this.#host.registry.found(type).indexes.length === 0) return undefined;
    const indexes = await this.#completeIndexes(type);
    for (const { path, operator, value } of fields.requirements) {
      if (operator !== '=' || value === '') continue;
      const index = indexes.find((each) => each.path === fieldPath(path));
      if (index !== undefined) return { index, entry: fieldEntry(index, value) };
    }
    return undefined;
  }

  /** Those that are kept at this moment: another process may have come that does not. */
  async #completeIndexes(type: string): Promise<readonly FieldIndex[]> {
    if (this.#host.engine().capabilities.shared) await this.#host.registry.reload();
    return this.#host.registry.found(type).indexes.filter(({ complete }) => complete);
  }

  /** How many follow; undefined beyond a bound, so that paging through a large type stays linear. */
  async #count(prefix: Prefix, revision: number, after: Key): Promise<number | undefined> {
    const rest = await this.#host.engine().range(prefix, { after, limit: REMAINING, at: revision });
    return rest.more ? undefined : rest.entries.length;
  }

  #openChecked(info: TypeInfo, entry: Entry, at: number): Opened | Promise<Opened> {
    const open = (fault: Error | undefined): Opened => (fault === undefined ? this.#open(info, entry) : failedItem(entry, fault));
    const fault = this.places.fault(entry, at);
    return fault instanceof Promise ? fault.then(open) : open(fault);
  }

  #open(info: TypeInfo, entry: Entry): Opened {
    try {
      return this.#host.codec.plain(info, entry);
    } catch (error) {
      return failedItem(entry, error);
    }
  }

  async #at(resourceVersion: string, signal: AbortSignal | undefined): Promise<number> {
    const revision = parseRevision(resourceVersion, 'resourceVersion');
    if (revision > this.#host.visible()) await whenVisible(this.#host, revision, signal);
    checkWindow(revision, this.#host.engine().revision().compacted, this.#host.visible());
    return revision;
  }
}

/** A shared form under its key; with an error a stub. */
export interface SharedItem {
  readonly key: Key;
  readonly object: Stored;
  readonly error: Error | undefined;
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
  return new Failed({ namespace: key.namespace, name: key.name, error: unopened(error) });
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
  const order = sortOf(info, options);
  const found = items.filter((item) => matchesAll(item, selectors, options.filter as ((object: unknown) => boolean) | undefined));
  return order.length === 0 ? found : sortItems(found, order);
}

function sortOf(info: TypeInfo, options: ListOptions<never>): readonly SortField[] {
  const order = parseSort(options.sortBy);
  for (const { text } of order) refuseSensitive(info, text, 'sortBy');
  return order;
}

export function matchesAll(object: Stored, selectors: ParsedSelectors, filter: ((object: unknown) => boolean) | undefined): boolean {
  const { labels, fields, ownerUid } = selectors;
  if (labels?.matches(object.metadata.labels) === false || fields?.matches(object) === false) return false;
  if (ownerUid !== undefined && object.metadata.ownerReferences?.some(({ uid }) => uid === ownerUid) !== true) return false;
  if (filter === undefined) return true;
  const kept: unknown = filter(object);
  if (typeof kept !== 'object' || kept === null || !('then' in kept)) return Boolean(kept);
  throw new InvalidError('filter must answer at once: await what it needs before the list, or filter what was listed', {
    causes: [{ reason: 'FieldValueInvalid', field: 'filter', message: 'gave a promise' }],
  });
}
