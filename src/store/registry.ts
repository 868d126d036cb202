/**
 * Which types this store knows: built in, registered by definition, or remembered from an earlier run.
 *
 * Invariants: an exact type name has one definition; a second, different one under the same name is refused. What was
 * registered is remembered in the store (scope, sensitive paths, history), so a process that does not bring the
 * definition can read such objects but not write them: validation and encryption cannot be walked around. That holds at
 * commit: `text` is what infos were made from, and no write is committed when the store remembers something else by then.
 */
import { BadRequestError, ForbiddenError, InvalidError, UnknownTypeError, builtinTypes, show, validatorOf } from '../schemas/index.js';
import type { AnyDefinition, JsonSchema, ResourceValidator } from '../schemas/index.js';
import type { EngineMeta } from './engine.js';
import { indexesToRemember, keptIndexes, withFinished, withoutForeign } from './field-indexes.js';
import type { FieldIndex, RememberedIndexes } from './field-indexes.js';
import { checkTypeName } from './keys.js';
import type { TypeRef } from './types.js';

/** What is remembered of a registered type. */
export interface RememberedType extends RememberedIndexes {
  readonly scope: 'Namespaced' | 'Cluster';
  readonly sensitivePaths: readonly (readonly string[])[];
  readonly history: AnyDefinition['history'];
}

/** A type as the store's rules see it. `definition` undefined: schemaless, or remembered only. Never changed: another takes its place. */
export interface TypeInfo {
  readonly type: string;
  readonly scope: 'Namespaced' | 'Cluster' | 'Any';
  readonly definition: AnyDefinition | undefined;
  readonly validator: ResourceValidator | undefined;
  readonly sensitivePaths: readonly (readonly string[])[];
  /** Declared indexes, as far as all who write the type keep them. */
  readonly indexes: readonly FieldIndex[];
  readonly history: AnyDefinition['history'];
  readonly statusSubresource: boolean;
  /** Why this process may not write it. */
  readonly refusal: Refusal | undefined;
}

type Refusal = () => ForbiddenError | InvalidError;
type Recorded = Readonly<Record<string, RememberedType>>;

/** The name in `meta` under which types are remembered: what is written rests on its text. */
export const TYPES_META = 'types';
/** Default history of a type that nobody defined. */
const SCHEMALESS_HISTORY = { maxVersions: 50 } as const;

export class TypeRegistry {
  /** Types whose definition this process brings. */
  readonly #infos = new Map<string, TypeInfo>();
  /** Types without a definition here, as found in the data. */
  readonly #unnamed = new Map<string, TypeInfo>();
  /** Registered here, and not yet remembered in the store. */
  readonly #unsaved = new Set<string>();
  /** Not to be remembered before something is written: built in, or brought by a dry run. */
  readonly #unwritten = new Set<string>();
  readonly #meta: EngineMeta;
  readonly #strict: boolean;
  /** What the store remembers, as last read or written here. */
  #text: string | undefined;
  #recorded: Recorded = {};
  #saving: Promise<void> | undefined;

  readonly #adopted: () => void;

  /** `adopted` is called when something else is remembered than before, as far as this process knows. */
  constructor(options: { readonly meta: EngineMeta; readonly strict: boolean; readonly adopted?: () => void }) {
    this.#meta = options.meta;
    this.#strict = options.strict;
    this.#adopted = options.adopted ?? (() => {});
  }

  /** What is remembered in the store, as text; every info here fits it. */
  get text(): string | undefined {
    return this.#text;
  }

  /** Reads what earlier runs registered, then registers the built-in types and `types`. */
  async load(types: readonly AnyDefinition[]): Promise<void> {
    await this.reload();
    for (const definition of builtinTypes) this.register(definition, { remember: 'once written' });
    for (const definition of types) this.register(definition);
  }

  register(definition: AnyDefinition, options: { readonly remember?: 'once written' } = {}): TypeInfo {
    const known = this.#infos.get(definition.type);
    if (known?.definition === definition) return known;
    if (known !== undefined) {
      throw new InvalidError(
        `type "${definition.type}" is already defined differently in this store: give one of the two definitions another type name, or use the same definition object`,
        { causes: [{ reason: 'FieldValueDuplicate', field: 'type', message: `two definitions of "${definition.type}"` }] },
      );
    }
    const before = this.#recordOf(definition.type);
    const info = infoOf(definition, before);
    if (info.refusal !== undefined) throw info.refusal();
    this.#infos.set(definition.type, info);
    if (JSON.stringify(before) === JSON.stringify(rememberedOf(info, before))) return info;
    if (options.remember === undefined) this.#unsaved.add(definition.type);
    // Built-in types come with every process: there is nothing to remember but what is indexed.
    else if (!builtinTypes.includes(definition) || definition.storeIndexes.length > 0) this.#unwritten.add(definition.type);
    return info;
  }

  /** The type behind a reference. @throws {UnknownTypeError} under strict types for a name nobody defined. */
  resolve(ref: TypeRef, options: { readonly remember?: 'once written' } = {}): TypeInfo {
    if (typeof ref !== 'string' && typeof (ref as AnyDefinition | null)?.type !== 'string')
      throw new BadRequestError(`a type is named by its definition, or by its exact name such as "service", not by ${show(ref)}`);
    if (typeof ref !== 'string')
      return this.#infos.get(ref.type)?.definition === ref ? this.#infos.get(ref.type)! : this.register(ref, options);
    const known = this.#infos.get(ref);
    if (known !== undefined) return known;
    checkTypeName(ref);
    if (this.#strict && this.#recordOf(ref) === undefined) {
      throw new UnknownTypeError(
        `type "${ref}" is not known to this store: pass its definition (openStore({ types }) or the verb itself), or open the store with strictTypes: false. Types are exact names such as "service", not plurals`,
        { details: { kind: ref } },
      );
    }
    return this.found(ref);
  }

  /**
   * As `resolve`, for a write: a remembered type is refused without its definition, or with one that would unseal it. `dryRun`:
   * nothing will be written, so nothing is to be remembered.
   */
  writable(ref: TypeRef, options: { readonly dryRun?: boolean | undefined } = {}): TypeInfo {
    const info = this.resolve(ref, options.dryRun === true ? { remember: 'once written' } : undefined);
    if (info.refusal !== undefined) throw info.refusal();
    if (options.dryRun !== true && this.#unwritten.size > 0 && this.#unwritten.delete(info.type)) this.#unsaved.add(info.type);
    return info;
  }

  /** What is in force by now in the place of an info that was resolved for a write before. @throws as `writable` does */
  inForce(info: TypeInfo): TypeInfo {
    const known = this.#infos.get(info.type) ?? this.#unnamed.get(info.type);
    return known === info ? info : this.writable(info.definition ?? info.type);
  }

  definition(type: string): AnyDefinition | undefined {
    return this.#infos.get(type)?.definition;
  }

  /** The scope of a kind, whatever its version; undefined when no definition here has it. Reads them all. */
  scopeOf({ apiVersion, kind }: { readonly apiVersion: string; readonly kind: string }): 'Namespaced' | 'Cluster' | undefined {
    const slash = apiVersion.indexOf('/');
    const group = slash < 0 ? '' : apiVersion.slice(0, slash);
    let scope: 'Namespaced' | undefined;
    for (const { definition } of this.#infos.values()) {
      if (definition?.kind !== kind || definition.group !== group) continue;
      if (definition.scope === 'Cluster') return 'Cluster';
      scope = 'Namespaced';
    }
    return scope;
  }

  /** History policy by exact type name, for compaction: never throws, whatever is in the file. */
  historyOf(type: string): AnyDefinition['history'] {
    return this.#infos.get(type)?.history ?? this.#recordOf(type)?.history ?? SCHEMALESS_HISTORY;
  }

  /** A type as it is found in the data, never refused: strictness is about what callers name, not about what is there. */
  found(type: string): TypeInfo {
    const known = this.#infos.get(type) ?? this.#unnamed.get(type);
    if (known !== undefined) return known;
    const remembered = this.#recordOf(type);
    const info: TypeInfo = Object.freeze({
      type,
      scope: remembered?.scope ?? 'Any',
      definition: undefined,
      validator: undefined,
      sensitivePaths: remembered?.sensitivePaths ?? [],
      indexes: keptIndexes(type, remembered),
      history: remembered?.history ?? SCHEMALESS_HISTORY,
      statusSubresource: false,
      refusal: remembered && (() => withoutDefinition(type)),
    });
    this.#unnamed.set(type, info);
    return info;
  }

  /** False for a type that neither this process nor what it has read of the store knows. */
  knows(type: string): boolean {
    return this.#infos.has(type) || this.#recordOf(type) !== undefined;
  }

  /**
   * Takes in what other processes have registered since. An index that others keep, and this process does not, is not one any
   * more from here on: that is written before it is adopted, so that no write is committed which the index would miss.
   */
  async reload(meta: EngineMeta = this.#meta): Promise<void> {
    for (;;) {
      const text = await meta.get(TYPES_META);
      if (text === this.#text) return;
      const fitting = text === undefined ? undefined : this.#fitting(text);
      if (fitting !== text && !(await meta.set(TYPES_META, fitting, { expect: text ?? null }))) continue;
      this.#adopt(fitting);
      return;
    }
  }

  /** What is remembered, without the indexes that this process does not keep of types that it may be writing at this moment. */
  #fitting(text: string): string {
    const fitting = Object.entries(JSON.parse(text) as Recorded).map(([type, before]) => {
      const definition = this.#unsaved.has(type) || this.#unwritten.has(type) ? undefined : this.#infos.get(type)?.definition;
      return [type, definition === undefined ? before : withoutForeign(type, before, definition)] as const;
    });
    return JSON.stringify(Object.fromEntries(fitting));
  }

  /** Types of ours whose indexes are not complete, or have left something behind. */
  unfinished(): readonly TypeInfo[] {
    return [...this.#infos.values()].filter(
      ({ type, indexes }) => indexes.some(({ complete }) => !complete) || (this.#recordOf(type)?.dropped ?? []).length > 0,
    );
  }

  /** Builds of a type that nobody keeps any more. */
  dropped(type: string): readonly number[] {
    return this.#recordOf(type)?.dropped ?? [];
  }

  /** Remembers that builds of a type name every object, or that what was dropped has left nothing behind. */
  async finish(type: string, done: { readonly complete?: readonly number[]; readonly gone?: readonly number[] }): Promise<void> {
    for (;;) {
      await this.reload();
      const before = this.#recordOf(type);
      if (before === undefined) return;
      const next = withFinished(before, done.complete ?? [], done.gone ?? []);
      if (await this.#replace({ ...this.#recorded, [type]: next })) return;
    }
  }

  /** True when a definition was registered and is not remembered yet: writes wait for `save` first. */
  get unsaved(): boolean {
    return this.#unsaved.size > 0;
  }

  /** Remembers what this process registered; what only others registered stays as they left it. */
  save(): Promise<void> {
    this.#saving ??= this.#save().finally(() => {
      this.#saving = undefined;
    });
    return this.#saving;
  }

  async #save(): Promise<void> {
    while (this.unsaved) {
      await this.reload();
      const all: Record<string, RememberedType> = { ...this.#recorded };
      const names = [...this.#unsaved];
      for (const name of names) {
        const info = this.#infos.get(name)!;
        // What others remember meanwhile may rule this one out: then its writes are refused, and nothing of it is remembered.
        if (info.refusal === undefined) all[name] = rememberedOf(info, all[name]);
      }
      if (!(await this.#replace(all))) continue;
      for (const name of names) this.#unsaved.delete(name);
    }
  }

  /** Writes down what is to be remembered in the place of what was; false when others have done so meanwhile. */
  async #replace(all: Recorded): Promise<boolean> {
    const before = this.#text;
    const text = JSON.stringify(Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1))));
    if (text !== before && !(await this.#meta.set(TYPES_META, text, { expect: before ?? null }))) return false;
    this.#adopt(text);
    return true;
  }

  #recordOf(type: string): RememberedType | undefined {
    return Object.hasOwn(this.#recorded, type) ? this.#recorded[type] : undefined;
  }

  /** In one step: what is remembered, and infos that fit it. */
  #adopt(text: string | undefined): void {
    if (text === this.#text) return;
    this.#text = text;
    this.#recorded = text === undefined ? {} : (JSON.parse(text) as Recorded);
    this.#unnamed.clear();
    for (const info of this.#infos.values()) {
      const next = infoOf(info.definition!, this.#recordOf(info.type));
      const isSame =
        (next.refusal === undefined) === (info.refusal === undefined) &&
        JSON.stringify(next.sensitivePaths) === JSON.stringify(info.sensitivePaths) &&
        JSON.stringify(next.indexes) === JSON.stringify(info.indexes);
      if (!isSame) this.#infos.set(info.type, next);
    }
    this.#adopted();
  }
}

/** What is to be remembered of a type that has a definition here, in the place of what is. */
function rememberedOf({ scope, definition, sensitivePaths, history }: TypeInfo, before: RememberedType | undefined): RememberedType {
  return { scope: scope as RememberedType['scope'], sensitivePaths, history, ...indexesToRemember(definition!, before) };
}

/** A type as its definition has it, and as what is remembered of it allows. */
function infoOf(definition: AnyDefinition, before: RememberedType | undefined): TypeInfo {
  const { type, scope } = definition;
  // What was sensitive to anybody stays so, also a field that the definition no longer has.
  const now = new Set(definition.sensitivePaths.map((path) => JSON.stringify(path)));
  const gone = (before?.sensitivePaths ?? []).filter((path) => !now.has(JSON.stringify(path)));
  const unsealed = gone.find((path) => wouldBeClear(definition.schema, path));
  return Object.freeze({
    type,
    scope,
    definition,
    validator: validatorOf(definition),
    sensitivePaths: gone.length === 0 ? definition.sensitivePaths : [...definition.sensitivePaths, ...gone],
    indexes: keptIndexes(type, before, definition),
    history: definition.history,
    statusSubresource: definition.subresources.status,
    refusal:
      before !== undefined && before.scope !== scope
        ? () => otherScope(type, before.scope, scope)
        : unsealed && (() => unseals(type, unsealed.join('.'))),
  });
}

function withoutDefinition(type: string): ForbiddenError {
  return new ForbiddenError(
    `type "${type}" has a definition that this process did not bring: register it (openStore({ types }) or store.register) before writing, so that its rules and its encryption hold`,
    { details: { kind: type } },
  );
}

function otherScope(type: string, before: string, now: string): InvalidError {
  return new InvalidError(`type "${type}" was stored as ${before} and cannot become ${now}`, {
    causes: [{ reason: 'FieldValueForbidden', field: 'scope', message: 'the scope of a stored type cannot change' }],
  });
}

function unseals(type: string, field: string): InvalidError {
  return new InvalidError(
    `type "${type}" sealed ${field} until now, and this definition would store it in the clear: mark it sensitive, or give the field another name`,
    {
      causes: [{ reason: 'FieldValueForbidden', field, message: 'was sensitive and must stay so' }],
    },
  );
}

/** Whether a schema has a field at a path and marks neither it nor what it lies in. */
function wouldBeClear(schema: JsonSchema, path: readonly string[]): boolean {
  let at: JsonSchema | undefined = schema;
  for (const segment of path) {
    if (at.sensitive === true) return false;
    if (segment === '*') at = at.items ?? (typeof at.additionalProperties === 'object' ? at.additionalProperties : undefined);
    else at = at.properties?.[segment] ?? (typeof at.additionalProperties === 'object' ? at.additionalProperties : undefined);
    if (at === undefined) return false;
  }
  // Sealed piece by piece is sealed.
  return at.sensitive !== true && at.type !== 'object' && at.type !== 'array';
}
