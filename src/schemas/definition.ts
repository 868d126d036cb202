/**
 * What a definition is once made, and the types it carries.
 *
 * Invariant: a definition is frozen plain data; everything derived from it (a compiled validator, say) is kept elsewhere.
 */
import type { Cause } from './errors.js';
import type { Flatten, Infer, InferInput, InferMode, IsGiven } from './infer.js';
import type { DeepReadonly } from './json.js';
import type { Condition, KubeObject, ObjectMeta, ObjectMetaInput } from './metadata.js';
import type { JsonSchema } from './schema.js';

/** Whether objects of a type live in a namespace. */
export type Scope = 'Namespaced' | 'Cluster';

/** An object whose definition is not known. */
export type UnknownResource = KubeObject & { [key: string]: unknown };

/** The types a definition carries: what writes accept, what reads give, what caches hold. */
export interface ResourceTypes {
  readonly input: DeepReadonly<Record<string, unknown>>;
  readonly output: UnknownResource;
  readonly cached: DeepReadonly<UnknownResource>;
  readonly scope: Scope;
  readonly conditions: string;
  readonly indexes: string;
}

/** A rule's complaint: a cause, or its short form (then the reason is FieldValueInvalid). */
export interface RuleCause {
  readonly field: string;
  readonly message: string;
  readonly reason?: Cause['reason'] | undefined;
}

// A method's parameters compare both ways: a definition of one type is then a definition of any.
interface Callbacks<Cached, Output> {
  index(object: Cached): string | readonly string[] | undefined;
  validate(next: DeepReadonly<Output>, previous: DeepReadonly<Output> | undefined): readonly RuleCause[];
}

/** Gives the values an object is found under; undefined or an empty list: none. */
export type IndexFunction<Cached = ResourceTypes['cached']> = Callbacks<Cached, never>['index'];
/** Rules over several fields, or over the change; `previous` is undefined on create. */
export type ResourceRule<Output = ResourceTypes['output']> = Callbacks<never, Output>['validate'];

/** A column for people. */
export interface Column {
  readonly name: string;
  /** For example `.spec.scale`. */
  readonly path: string;
}

/** How many superseded generations of an object are kept, and for how long. */
export interface HistoryPolicy {
  readonly maxVersions: number;
  readonly maxAgeMs?: number;
}

/** Bounds on an object; what is absent is the store's default. */
export interface ResourceLimits {
  /** Bytes of the whole object as stored. */
  readonly objectBytes?: number;
  /** UTF-8 bytes of a key in a top-level map such as `data`. */
  readonly keyBytes?: number;
  /** Keys in a top-level map. */
  readonly keys?: number;
}

/** The parts of an object that are written apart. */
export interface Subresources {
  /** `update` leaves the status alone, and `subresource: 'status'` changes nothing else. */
  readonly status: boolean;
  /** Where a scale is set and shown, for example `.spec.scale`. */
  readonly scale?: { readonly spec: string; readonly status: string };
}

/** A type of resource. Made by `defineResource`. */
export interface ResourceDefinition<Types extends ResourceTypes = ResourceTypes> {
  readonly kind: string;
  /** The exact name the store knows, for example `service`. */
  readonly type: string;
  readonly plural: string;
  readonly group: string;
  readonly version: string;
  /** `<group>/<version>`. */
  readonly apiVersion: string;
  readonly scope: Types['scope'];
  readonly shortNames: readonly string[];
  /** Of the whole object without apiVersion, kind and metadata; closed. */
  readonly schema: JsonSchema;
  readonly subresources: Subresources;
  readonly conditions: readonly Types['conditions'][] | undefined;
  readonly indexes: Readonly<Record<string, IndexFunction<Types['cached']>>>;
  readonly storeIndexes: readonly string[];
  readonly columns: readonly Column[];
  readonly history: false | HistoryPolicy;
  readonly limits: ResourceLimits;
  /** Where sensitive values are, from the object's root; `*` stands for every key of a map and every item of a list. */
  readonly sensitivePaths: readonly (readonly string[])[];
  readonly validate: ResourceRule<Types['output']> | undefined;
  /** Only for the compiler; never there at run time. */
  readonly '~types'?: Types;
}

/** A definition of any type. */
export type AnyDefinition = ResourceDefinition;

type TypesIn<D extends AnyDefinition> = NonNullable<D['~types']>;

/** What reads of a type give: a fresh object with its defaults. */
export type ResourceOf<D extends AnyDefinition> = TypesIn<D>['output'];
/** What writes of a type accept: read-only is fine, defaults may be left out. */
export type InputOf<D extends AnyDefinition> = TypesIn<D>['input'];
/** What caches and watch events of a type hold: frozen, sensitive values sealed. */
export type CachedOf<D extends AnyDefinition> = TypesIn<D>['cached'];
/** The condition types of a type. */
export type ConditionTypeOf<D extends AnyDefinition> = TypesIn<D>['conditions'];
/** The names of a type's own indexes. */
export type IndexNameOf<D extends AnyDefinition> = TypesIn<D>['indexes'];
/** The scope of a type. */
export type ScopeOf<D extends AnyDefinition> = TypesIn<D>['scope'];

type Head<Kind extends string, M extends InferMode> = M extends 'in'
  ? { apiVersion?: string | undefined; kind?: Kind | undefined; metadata?: ObjectMetaInput | undefined }
  : { apiVersion: string; kind: Kind; metadata: ObjectMeta };

type SpecPart<Spec, M extends InferMode> =
  IsGiven<Spec> extends true
    ? M extends 'in'
      ? Spec extends { readonly default: unknown }
        ? { spec?: InferInput<Spec, M> | undefined }
        : { spec: InferInput<Spec, M> }
      : { spec: InferInput<Spec, M> }
    : unknown;

type StatusBody<Status, Conditions extends string, M extends InferMode> = (IsGiven<Status> extends true ? InferInput<Status, M> : unknown) &
  ([Conditions] extends [never] ? unknown : StatusHead<Conditions, M>);

type StatusHead<Conditions extends string, M extends InferMode> = M extends 'in'
  ? { conditions?: Condition<Conditions>[] | undefined; observedGeneration?: number | undefined }
  : { conditions?: Condition<Conditions>[]; observedGeneration?: number };

type StatusPart<Status, Conditions extends string, M extends InferMode> =
  IsGiven<Status> extends true
    ? StatusField<Flatten<StatusBody<Status, Conditions, M>>, M>
    : [Conditions] extends [never]
      ? unknown
      : StatusField<StatusHead<Conditions, M>, M>;

type StatusField<Body, M extends InferMode> = M extends 'in' ? { status?: Body | undefined } : { status?: Body };

type WholePart<Whole, M extends InferMode> = IsGiven<Whole> extends true ? Infer<Whole, M> : unknown;

/** The object a definition describes, in a mode. */
export type ObjectShape<Kind extends string, Spec, Status, Whole, Conditions extends string, M extends InferMode> = Flatten<
  Head<Kind, M> & SpecPart<Spec, M> & StatusPart<Status, Conditions, M> & WholePart<Whole, M>
>;

/** The types that `defineResource` gives to a definition. */
export interface DefinedTypes<
  Kind extends string,
  S extends Scope,
  Spec,
  Status,
  Whole,
  Conditions extends string,
  Indexes extends string,
> {
  readonly input: DeepReadonly<ObjectShape<Kind, Spec, Status, Whole, Conditions, 'in'>>;
  readonly output: ObjectShape<Kind, Spec, Status, Whole, Conditions, 'out'>;
  readonly cached: DeepReadonly<ObjectShape<Kind, Spec, Status, Whole, Conditions, 'seal'>>;
  readonly scope: S;
  readonly conditions: Conditions;
  readonly indexes: Indexes;
}
