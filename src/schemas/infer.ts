/**
 * From a schema to its TypeScript types: what reads give, what writes accept, what caches hold.
 *
 * Modes: `out` (defaults are present), `in` (defaults may be left out, sensitive values may be seals), `seal` (as `out`, with sensitive values as
 * `Sealed`). A schema that is not known exactly gives `unknown`, never `any`. One conditional chain and one flattening a
 * node: the cost is measured in test/types.
 */
import type { Sealed } from './sealed.js';
import type { JsonSchema, SchemaInput, StandardJsonSchema } from './schema.js';

/** What the type is for. */
export type InferMode = 'in' | 'out' | 'seal';

/** An intersection as one object; the detour through `infer` makes editors show the result. */
export type Flatten<T> = T extends infer O ? { [K in keyof O]: O[K] } : never;
type IsAny<T> = 0 extends 1 & T ? true : false;

/** The type a schema describes, in a mode. */
export type Infer<S, M extends InferMode = 'out'> =
  IsAny<S> extends true ? unknown : S extends { readonly sensitive: true } ? InferSensitive<S, M> : InferNullable<S, M>;

/** Writes accept values and seals alike. */
type InferSensitive<S, M extends InferMode> = M extends 'out'
  ? InferNullable<S, M>
  : M extends 'in'
    ? InferNullable<S, M> | Sealed<InferNullable<S, 'out'>>
    : Sealed<InferNullable<S, 'out'>>;

type InferNullable<S, M extends InferMode> = S extends { readonly nullable: true } ? InferNode<S, M> | null : InferNode<S, M>;

type InferNode<S, M extends InferMode> = S extends { readonly const: infer C }
  ? Writable<C>
  : S extends { readonly enum: readonly (infer E)[] }
    ? Writable<E>
    : S extends { readonly properties: infer P }
      ? InferProperties<S, P, M>
      : S extends { readonly oneOf: readonly (infer B)[] }
        ? InferEach<B, M>
        : S extends { readonly anyOf: readonly (infer B)[] }
          ? InferEach<B, M>
          : S extends { readonly type: infer T }
            ? InferType<S, T, M>
            : unknown;

type InferEach<B, M extends InferMode> = B extends unknown ? Infer<B, M> : never;

type InferType<S, T, M extends InferMode> = T extends readonly (infer Each)[]
  ? InferType<S, Each, M>
  : T extends 'string'
    ? string
    : T extends 'integer' | 'number'
      ? number
      : T extends 'boolean'
        ? boolean
        : T extends 'null'
          ? null
          : T extends 'array'
            ? S extends { readonly items: infer I }
              ? Infer<I, M>[]
              : unknown[]
            : T extends 'object'
              ? S extends { readonly additionalProperties: infer A }
                ? A extends false
                  ? Record<string, never>
                  : { [key: string]: InferAdditional<A, M> }
                : { [key: string]: unknown }
              : unknown;

type InferAdditional<A, M extends InferMode> = A extends true ? unknown : Infer<A, M>;

type InferProperties<S, P, M extends InferMode> = S extends { readonly type: readonly (infer T)[] }
  ? InferObject<S, P, M> | InferType<S, Exclude<T, 'object'>, M>
  : InferObject<S, P, M>;

type InferObject<S, P, M extends InferMode> = S extends { readonly additionalProperties: infer A }
  ? A extends false
    ? InferClosed<S, P, M>
    : InferClosed<S, P, M> & { [key: string]: unknown }
  : InferClosed<S, P, M>;

type InferClosed<S, P, M extends InferMode> = InferKeys<P, PresentKeys<S, P, M>, M>;

type InferKeys<P, Present extends keyof P, M extends InferMode> = Flatten<
  { -readonly [K in Present]: Infer<P[K], M> } & {
    -readonly [K in Exclude<keyof P, Present>]?: M extends 'in' ? Infer<P[K], M> | undefined : Infer<P[K], M>;
  }
>;

/** The properties that are always there: required ones and, once written, those with a default. */
type PresentKeys<S, P, M extends InferMode> = M extends 'in'
  ? Exclude<RequiredKeys<S, P>, DefaultKeys<P>>
  : RequiredKeys<S, P> | DefaultKeys<P>;
type RequiredKeys<S, P> = S extends { readonly required: readonly (infer R)[] } ? Extract<keyof P, R> : never;
type DefaultKeys<P> = { [K in keyof P]: P[K] extends { readonly default: unknown } ? K : never }[keyof P];

/** A literal without the `readonly` that inference put on it. */
type Writable<T> = T extends string | number | boolean | null ? T : T extends object ? { -readonly [K in keyof T]: Writable<T[K]> } : T;

/** The type of a schema given in either form; a plain record when it is not known exactly. */
export type InferInput<S, M extends InferMode> =
  S extends StandardJsonSchema<infer In, infer Out> ? (M extends 'in' ? In : Out) : S extends JsonSchema ? OrRecord<Infer<S, M>> : never;

type OrRecord<T> = unknown extends T ? Record<string, unknown> : T;

/** Whether a type parameter that defaults to undefined was given. */
export type IsGiven<S> = [S] extends [undefined] ? false : [S] extends [SchemaInput] ? true : false;
