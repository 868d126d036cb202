/**
 * Which types this store knows: built in, registered by definition, or remembered from an earlier run.
 *
 * Invariants: an exact type name has one definition; a second, different one under the same name is refused. What was
 * registered is remembered in the store (scope, sensitive paths, history), so a process that does not bring the
 * definition can read such objects but not write them: validation and encryption cannot be walked around.
 */
import { ForbiddenError, InvalidError, UnknownTypeError, builtinTypes, validatorOf } from '../schemas/index.js';
import type { AnyDefinition, JsonSchema, ResourceValidator } from '../schemas/index.js';
import type { EngineMeta } from './engine.js';
import { checkTypeName } from './keys.js';
import type { TypeRef } from './types.js';

/** What is remembered of a registered type. */
export interface RememberedType {
  readonly scope: 'Namespaced' | 'Cluster';
  readonly sensitivePaths: readonly (readonly string[])[];
  readonly history: AnyDefinition['history'];
  readonly storeIndexes: readonly string[];
}

/** A type as the store's rules see it. `definition` undefined: schemaless, or remembered only. */
export interface TypeInfo {
  readonly type: string;
  readonly scope: 'Namespaced' | 'Cluster' | 'Any';
  readonly definition: AnyDefinition | undefined;
  readonly validator: ResourceValidator | undefined;
  readonly remembered: RememberedType | undefined;
  readonly sensitivePaths: readonly (readonly string[])[];
  readonly storeIndexes: readonly string[];
  readonly history: AnyDefinition['history'];
  readonly statusSubresource: boolean;
}

const META_NAME = 'types';
/** Default history of a type that nobody defined. */
const SCHEMALESS_HISTORY = { maxVersions: 50 } as const;

export class TypeRegistry {
  readonly #infos = new Map<string, TypeInfo>();
  /** Types without a definition here, as found in the data. */
  readonly #unnamed = new Map<string, TypeInfo>();
  readonly #remembered = new Map<string, RememberedType>();
  /** What this process registered and others have to know. */
  readonly #own = new Map<string, RememberedType>();
  readonly #meta: EngineMeta;
  readonly #strict: boolean;
  #registrations = 0;
  #saved = 0;
  #saving: Promise<void> | undefined;

  constructor(options: { readonly meta: EngineMeta; readonly strict: boolean }) {
    this.#meta = options.meta;
    this.#strict = options.strict;
  }

  /** Reads what earlier runs registered, then registers the built-in types and `types`. */
  async load(types: readonly AnyDefinition[]): Promise<void> {
    await this.reload();
    for (const definition of builtinTypes) this.register(definition, { remember: false });
    for (const definition of types) this.register(definition);
  }

  register(definition: AnyDefinition, options: { readonly remember?: boolean } = {}): TypeInfo {
    const known = this.#infos.get(definition.type);
    if (known?.definition === definition) return known;
    if (known?.definition !== undefined) {
      throw new InvalidError(
        `type "${definition.type}" is already defined differently in this store: give one of the two definitions another type name, or use the same definition object`,
        { causes: [{ reason: 'FieldValueDuplicate', field: 'type', message: `two definitions of "${definition.type}"` }] },
      );
    }
    const before = this.#remembered.get(definition.type);
    if (before !== undefined && before.scope !== definition.scope) {
      throw new InvalidError(`type "${definition.type}" was stored as ${before.scope} and cannot become ${definition.scope}`, {
        causes: [{ reason: 'FieldValueForbidden', field: 'scope', message: 'the scope of a stored type cannot change' }],
      });
    }
    const sensitivePaths = everSensitive(definition, before);
    const remembered: RememberedType = {
      scope: definition.scope,
      sensitivePaths,
      history: definition.history,
      storeIndexes: definition.storeIndexes,
    };
    const info: TypeInfo = Object.freeze({
      type: definition.type,
      scope: definition.scope,
      definition,
      validator: validatorOf(definition),
      remembered,
      sensitivePaths,
      storeIndexes: definition.storeIndexes,
      history: definition.history,
      statusSubresource: definition.subresources.status,
    });
    this.#infos.set(definition.type, info);
    // Built-in types come with every process: nothing to remember.
    if (options.remember !== false && (before === undefined || JSON.stringify(before) !== JSON.stringify(remembered))) {
      this.#remembered.set(definition.type, remembered);
      this.#own.set(definition.type, remembered);
      this.#registrations += 1;
    }
    return info;
  }

  /** The type behind a reference. @throws {UnknownTypeError} under strict types for a name nobody defined. */
  resolve(ref: TypeRef): TypeInfo {
    if (typeof ref !== 'string') return this.#infos.get(ref.type)?.definition === ref ? this.#infos.get(ref.type)! : this.register(ref);
    const known = this.#infos.get(ref);
    if (known !== undefined) return known;
    checkTypeName(ref);
    if (this.#strict && !this.#remembered.has(ref)) {
      throw new UnknownTypeError(
        `type "${ref}" is not known to this store: pass its definition (openStore({ types }) or the verb itself), or open the store with strictTypes: false. Types are exact names such as "service", not plurals`,
        { details: { kind: ref } },
      );
    }
    return this.found(ref);
  }

  /** As `resolve`, for a write: a remembered type without its definition is refused. */
  writable(ref: TypeRef): TypeInfo {
    const info = this.resolve(ref);
    if (info.definition === undefined && info.remembered !== undefined) {
      throw new ForbiddenError(
        `type "${info.type}" has a definition that this process did not bring: register it (openStore({ types }) or store.register) before writing, so that its rules and its encryption hold`,
        { details: { kind: info.type } },
      );
    }
    return info;
  }

  definition(type: string): AnyDefinition | undefined {
    return this.#infos.get(type)?.definition;
  }

  /** History policy by exact type name, for compaction: never throws, whatever is in the file. */
  historyOf(type: string): AnyDefinition['history'] {
    return this.#infos.get(type)?.history ?? this.#remembered.get(type)?.history ?? SCHEMALESS_HISTORY;
  }

  /** A type as it is found in the data, never refused: strictness is about what callers name, not about what is there. */
  found(type: string): TypeInfo {
    const known = this.#infos.get(type) ?? this.#unnamed.get(type);
    if (known !== undefined) return known;
    const remembered = this.#remembered.get(type);
    const info: TypeInfo = Object.freeze({
      type,
      scope: remembered?.scope ?? 'Any',
      definition: undefined,
      validator: undefined,
      remembered,
      sensitivePaths: remembered?.sensitivePaths ?? [],
      storeIndexes: remembered?.storeIndexes ?? [],
      history: remembered?.history ?? SCHEMALESS_HISTORY,
      statusSubresource: false,
    });
    this.#unnamed.set(type, info);
    return info;
  }

  /** False for a type that neither this process nor what it has read of the store knows. */
  knows(type: string): boolean {
    return this.#infos.has(type) || this.#remembered.has(type);
  }

  /** Takes in what other processes have registered since. */
  async reload(meta: EngineMeta = this.#meta): Promise<void> {
    for (const [type, remembered] of Object.entries(await readTypes(meta)))
      if (!this.#own.has(type)) this.#remembered.set(type, remembered);
    this.#unnamed.clear();
  }

  /** True when a definition was registered and is not remembered yet: writes wait for `save` first. */
  get unsaved(): boolean {
    return this.#saved !== this.#registrations;
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
      const registrations = this.#registrations;
      const before = await this.#meta.get(META_NAME);
      const all = before === undefined ? {} : (JSON.parse(before) as Record<string, RememberedType>);
      for (const [type, own] of this.#own) all[type] = withPaths(own, all[type]);
      const text = JSON.stringify(Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1))));
      if (text !== before && !(await this.#meta.set(META_NAME, text, { expect: before ?? null }))) continue;
      for (const [type, remembered] of Object.entries(all)) this.#remembered.set(type, remembered);
      this.#unnamed.clear();
      this.#saved = registrations;
    }
  }
}

async function readTypes(meta: EngineMeta): Promise<Record<string, RememberedType>> {
  const text = await meta.get(META_NAME);
  return text === undefined ? {} : (JSON.parse(text) as Record<string, RememberedType>);
}

/** What was sensitive to anybody stays so. */
function withPaths(own: RememberedType, other: RememberedType | undefined): RememberedType {
  const known = new Set(own.sensitivePaths.map((path) => JSON.stringify(path)));
  const more = (other?.sensitivePaths ?? []).filter((path) => !known.has(JSON.stringify(path)));
  return more.length === 0 ? own : { ...own, sensitivePaths: [...own.sensitivePaths, ...more] };
}

/**
 * What is sensitive now or was once: a field that the definition no longer has stays sealed where it was written.
 * @throws {InvalidError} when a field was sealed and is to be stored in the clear
 */
function everSensitive(definition: AnyDefinition, before: RememberedType | undefined): TypeInfo['sensitivePaths'] {
  const now = new Set(definition.sensitivePaths.map((path) => JSON.stringify(path)));
  const gone = (before?.sensitivePaths ?? []).filter((path) => !now.has(JSON.stringify(path)));
  if (gone.length === 0) return definition.sensitivePaths;
  for (const path of gone) {
    if (!wouldBeClear(definition.schema, path)) continue;
    const field = path.join('.');
    throw new InvalidError(
      `type "${definition.type}" sealed ${field} until now, and this definition would store it in the clear: mark it sensitive, or give the field another name`,
      {
        causes: [{ reason: 'FieldValueForbidden', field, message: 'was sensitive and must stay so' }],
      },
    );
  }
  return [...definition.sensitivePaths, ...gone];
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
