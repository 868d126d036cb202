/**
 * `defineResource`: from what a user writes to a checked, closed, frozen definition.
 *
 * Invariant: whatever is wrong with a definition is said here, at once and all together; nothing is compiled yet.
 */
import type {
  Column,
  DefinedTypes,
  IndexFunction,
  ObjectShape,
  ResourceDefinition,
  ResourceLimits,
  ResourceRule,
  Scope,
} from './definition.js';
import type { Duration } from './duration.js';
import type { DeepReadonly } from './json.js';
import type { JsonSchema, SchemaInput } from './schema.js';
import { buildDefinition } from './define-build.js';

/** What `defineResource` takes. Everything but `kind` has a default. */
export interface ResourceOptions<
  Kind extends string,
  S extends Scope,
  Spec,
  Status,
  Whole,
  Conditions extends string,
  Indexes extends string,
> {
  /** CamelCase, for example `ScalingOperation`. */
  readonly kind: Kind;
  /** The exact name in the store. Default: the kind in lower case; outside `rune.dev` `<plural>.<group>`. */
  readonly type?: string | undefined;
  /** Default: the kind in lower case, in the plural. */
  readonly plural?: string | undefined;
  /** Default `rune.dev`. */
  readonly group?: string | undefined;
  /** Default `v1`. */
  readonly version?: string | undefined;
  /** Default `Namespaced`. */
  readonly scope?: S | undefined;
  readonly shortNames?: readonly string[] | undefined;
  /** What is wanted: a JSON Schema, or a schema of another library through Standard JSON Schema. */
  readonly spec?: Spec;
  /** What is observed. Always optional in an object. */
  readonly status?: Status;
  /** Other top-level properties, for objects that are not spec and status: `data`, say. May not be combined with `spec`. */
  readonly schema?: Whole;
  /** Closes the condition types, and adds `conditions` and `observedGeneration` to the status. */
  readonly conditions?: readonly Conditions[] | undefined;
  /** Indexes that informers keep, by name. */
  readonly indexes?:
    | Readonly<Record<Indexes, IndexFunction<DeepReadonly<ObjectShape<Kind, Spec, Status, Whole, Conditions, 'seal'>>>>>
    | undefined;
  /** Fields the store keeps an index of, for example `spec.node`. */
  readonly storeIndexes?: readonly string[] | undefined;
  readonly columns?: readonly Column[] | undefined;
  /** `status` is on by default when there is a status. */
  readonly subresources?:
    | { readonly status?: boolean | undefined; readonly scale?: { readonly spec: string; readonly status: string } | undefined }
    | undefined;
  /** Superseded generations to keep below the store's window. Default `{ maxVersions: 50 }`. */
  readonly history?: boolean | { readonly maxVersions?: number | undefined; readonly maxAge?: Duration | undefined } | undefined;
  readonly limits?: ResourceLimits | undefined;
  /** Rules over several fields, or over the change. */
  readonly validate?: ResourceRule<ObjectShape<Kind, Spec, Status, Whole, Conditions, 'out'>> | undefined;
}

/**
 * Defines a type of resource.
 *
 * @throws {InvalidError} naming everything that is wrong with the definition
 * @example
 * export const Widget = defineResource({
 *   kind: 'Widget',
 *   spec: { type: 'object', required: ['size'], properties: { size: { type: 'integer', minimum: 1 } } },
 *   indexes: { bySize: (widget) => String(widget.spec.size) },
 * });
 * export type Widget = ResourceOf<typeof Widget>;
 */
export function defineResource<
  const Kind extends string,
  const S extends Scope = 'Namespaced',
  const Spec extends SchemaInput | undefined = undefined,
  const Status extends SchemaInput | undefined = undefined,
  const Whole extends JsonSchema | undefined = undefined,
  const Conditions extends string = never,
  const Indexes extends string = never,
>(
  options: ResourceOptions<Kind, S, Spec, Status, Whole, Conditions, Indexes>,
): ResourceDefinition<DefinedTypes<Kind, S, Spec, Status, Whole, Conditions, Indexes>> {
  return buildDefinition(options) as unknown as ResourceDefinition<DefinedTypes<Kind, S, Spec, Status, Whole, Conditions, Indexes>>;
}
