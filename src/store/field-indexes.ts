/**
 * What an object can be looked up by: its uid, its owners, the fields that its type declares.
 *
 * Invariants: no engine refuses an entry made here, whatever the field holds. Several texts may share an entry, so whoever
 * looks a field up still compares the field itself. An index of a field has a rule, which says what its entries are made by,
 * and builds: entries made by another rule, or left alone by somebody for a while, are of a build that nobody looks at again.
 */
import { createHash } from 'node:crypto';
import { fieldText, getPath, isWellFormedText, joinPath, parsePath } from '../schemas/index.js';
import type { AnyDefinition, JsonSchema, ObjectMeta } from '../schemas/index.js';
import type { IndexEntry } from './engine.js';

/** How the store remembers an index of a field. */
export interface RememberedIndex {
  readonly rule: string;
  readonly build: number;
  /** Whether it names every object that has the field: until then the field is scanned for. */
  readonly complete: boolean;
}

/** The indexes of a type as the store remembers them. */
export interface RememberedIndexes {
  /** By the path of the field. */
  readonly indexes?: Readonly<Record<string, RememberedIndex>> | undefined;
  /** The last number that was given to a build: none is given twice. */
  readonly builds?: number | undefined;
  /** Builds that nobody keeps any more, and whose entries are still there. */
  readonly dropped?: readonly number[] | undefined;
}

/** An index that every writer of its type keeps. */
export interface FieldIndex {
  /** In its one spelling. */
  readonly path: string;
  readonly segments: readonly string[];
  /** What its entries are kept under. */
  readonly name: string;
  readonly build: number;
  readonly complete: boolean;
}

/** Moves with the form of entries, so that those of an older form are made anew. */
const FORM = 1;
/** How much of a text is looked at, in UTF-16 units. */
const VALUE_LENGTH = 256;
// In V8 since Node 20, in the compiler's library since ES2024.
const toWellFormed = (String.prototype as unknown as { toWellFormed(this: string): string }).toWellFormed;

interface Indexed {
  readonly metadata: Pick<ObjectMeta, 'uid' | 'ownerReferences'>;
}

/** Everything that should name an object. */
export function indexEntries(indexes: readonly FieldIndex[], object: Indexed): readonly IndexEntry[] {
  const entries: IndexEntry[] = [{ index: 'uid', value: object.metadata.uid }];
  const owners = object.metadata.ownerReferences;
  if (owners !== undefined) for (const owner of owners) entries.push(ownerEntry(owner.uid));
  return indexes.length === 0 ? entries : [...entries, ...fieldEntries(indexes, object)];
}

/** The entry of what this uid owns. Every object has had its own since it was first written: nothing is ever built. */
export function ownerEntry(uid: string): IndexEntry {
  return { index: 'owner', value: uid };
}

/** What should name an object for what is in its fields. */
export function fieldEntries(indexes: readonly FieldIndex[], object: object): readonly IndexEntry[] {
  const entries: IndexEntry[] = [];
  for (const index of indexes) {
    const text = fieldText(getPath(object, index.segments));
    // An absent field is not looked up but scanned for: most objects have most fields absent.
    if (text !== undefined && text !== '') entries.push(fieldEntry(index, text));
  }
  return entries;
}

/** The entry of what has this text in the field. */
export function fieldEntry(index: FieldIndex, text: string): IndexEntry {
  return { index: index.name, value: indexValue(text) };
}

/** A text as it is kept in an index: cut, without NUL, without half of what the cut went through. */
function indexValue(text: string): string {
  const start = text.length > VALUE_LENGTH ? text.slice(0, VALUE_LENGTH) : text;
  const whole = isWellFormedText(start) ? start : toWellFormed.call(start);
  return whole.includes('\0') ? whole.replaceAll('\0', '\uFFFD') : whole;
}

/** One spelling for `spec.node`, `.spec.node` and `spec["node"]`. */
export function fieldPath(path: string): string {
  return parsePath(path).reduce((at, segment) => joinPath(at, segment), '');
}

/** Under what the entries of a build are kept. */
export function buildName(type: string, build: number): string {
  return `field:${type}:${build}`;
}

/** Of the indexes that the store remembers, those that a process with this definition keeps; without one: all. */
export function keptIndexes(type: string, remembered: RememberedIndexes | undefined, definition?: AnyDefinition): readonly FieldIndex[] {
  const rules = definition && rulesOf(definition);
  return Object.entries(remembered?.indexes ?? {})
    .filter(([path, { rule }]) => rules === undefined || rules.get(path) === rule)
    .map(([path, { build, complete }]) =>
      Object.freeze({ path, segments: parsePath(path), name: buildName(type, build), build, complete }),
    );
}

/** What is to be remembered of a type's indexes once a process with this definition writes it: what that keeps, and nothing else. */
export function indexesToRemember(definition: AnyDefinition, before: RememberedIndexes | undefined): RememberedIndexes {
  const rules = rulesOf(definition);
  const known = before?.indexes ?? {};
  let builds = before?.builds ?? 0;
  const indexes: Record<string, RememberedIndex> = {};
  for (const [path, rule] of [...rules].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const same = Object.hasOwn(known, path) && known[path]!.rule === rule ? known[path] : undefined;
    indexes[path] = same ?? { rule, build: (builds += 1), complete: false };
  }
  const kept = new Set(Object.values(indexes).map(({ build }) => build));
  const gone = Object.values(known).filter(({ build }) => !kept.has(build));
  return remembered({ indexes, builds, dropped: [...(before?.dropped ?? []), ...gone.map(({ build }) => build)] });
}

/** What is remembered, without the indexes that a process with this definition does not keep; as it is, when there are none. */
export function withoutForeign<T extends RememberedIndexes>(type: string, before: T, definition: AnyDefinition): T {
  const kept = new Set(keptIndexes(type, before, definition).map(({ path }) => path));
  const all = Object.entries(before.indexes ?? {});
  const gone = all.filter(([path]) => !kept.has(path));
  if (gone.length === 0) return before;
  return changed(before, {
    indexes: Object.fromEntries(all.filter(([path]) => kept.has(path))),
    dropped: [...(before.dropped ?? []), ...gone.map(([, { build }]) => build)],
  });
}

/** What is remembered once some builds name every object, and what others have left behind is gone. */
export function withFinished<T extends RememberedIndexes>(before: T, complete: readonly number[], gone: readonly number[]): T {
  const indexes = Object.entries(before.indexes ?? {}).map(
    ([path, index]) => [path, complete.includes(index.build) ? { ...index, complete: true } : index] as const,
  );
  return changed(before, {
    indexes: Object.fromEntries(indexes),
    dropped: (before.dropped ?? []).filter((build) => !gone.includes(build)),
  });
}

function changed<T extends RememberedIndexes>(before: T, { indexes, dropped }: RememberedIndexes): T {
  const { indexes: _, builds, dropped: __, ...rest } = before;
  return { ...rest, ...remembered({ indexes, builds, dropped }) } as T;
}

/** In one form, so that the same is written as the same text. */
function remembered({ indexes = {}, builds = 0, dropped = [] }: RememberedIndexes): RememberedIndexes {
  return {
    ...(Object.keys(indexes).length === 0 ? {} : { indexes }),
    ...(builds === 0 ? {} : { builds }),
    ...(dropped.length === 0 ? {} : { dropped }),
  };
}

/** By path, what entries are made by: the form, and the defaults that an object without the field is shown with. */
function rulesOf(definition: AnyDefinition): ReadonlyMap<string, string> {
  const rules = new Map<string, string>();
  for (const declared of definition.storeIndexes) {
    const defaults: unknown[] = [];
    let at: JsonSchema | undefined = definition.schema;
    for (const segment of parsePath(declared)) {
      const inner: JsonSchema = at ?? {};
      const others = typeof inner.additionalProperties === 'object' ? inner.additionalProperties : undefined;
      at = inner.properties?.[segment] ?? inner.items ?? others;
      defaults.push(at?.default ?? null);
    }
    const digest = createHash('sha256')
      .update(JSON.stringify([FORM, defaults]))
      .digest('base64url');
    rules.set(fieldPath(declared), digest.slice(0, 16));
  }
  return rules;
}
