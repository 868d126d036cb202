/**
 * The part of JSON Schema a definition may use, as a type, and schemas that come from other libraries.
 *
 * The subset is Kubernetes' structural one: what has one reading, one type, and one place for each default. Objects are
 * closed unless `additionalProperties` says otherwise.
 */

/** The types a value may have. */
export type JsonType = 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean' | 'null';

/** A schema of the subset. */
export interface JsonSchema {
  readonly type?: JsonType | readonly JsonType[];
  readonly properties?: { readonly [name: string]: JsonSchema };
  readonly required?: readonly string[];
  /** Absent: the object is closed. True: anything goes. A schema: what other properties must look like (a map). */
  readonly additionalProperties?: boolean | JsonSchema;
  readonly propertyNames?: JsonSchema;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly oneOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  /** Filled in on write when the property is absent. */
  readonly default?: unknown;
  readonly nullable?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly multipleOf?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: string;
  /** The value is sealed before it reaches a disk, and held as `Sealed<T>` by caches, events and logs. */
  readonly sensitive?: boolean;
  /** The fields that tell the items of a list apart; no two items may agree in all of them. */
  readonly 'x-list-map-keys'?: readonly string[];
  readonly title?: string;
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly deprecated?: boolean;
  readonly readOnly?: boolean;
  readonly writeOnly?: boolean;
  readonly $schema?: string;
  readonly $comment?: string;
  readonly [extension: `x-${string}`]: unknown;
}

/** A schema of another library (zod, ...) that knows its JSON Schema: the Standard JSON Schema interface. */
export interface StandardJsonSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
    readonly jsonSchema: {
      readonly input: (options: { readonly target: 'draft-2020-12' }) => Record<string, unknown>;
      readonly output: (options: { readonly target: 'draft-2020-12' }) => Record<string, unknown>;
    };
  };
}

/** Where a definition wants a schema, either form will do. */
export type SchemaInput = JsonSchema | StandardJsonSchema;
