/** What a definition's types are: exactly what its schema says. */
import { describe, it } from 'vitest';
import {
  defineResource,
  Secret,
  Service,
  type AnyDefinition,
  type CachedOf,
  type Condition,
  type ConditionTypeOf,
  type DeepReadonly,
  type Duration,
  type Event,
  type IndexNameOf,
  type Infer,
  type InputOf,
  type JsonSchema,
  type ObjectMeta,
  type ObjectMetaInput,
  type ResourceOf,
  type ScopeOf,
  type Sealed,
  type StandardJsonSchema,
  type UnknownResource,
} from '../../src/schemas/index.js';
import { check, type Equal, type Extends, type IsAny } from './expect.js';

const Widget = defineResource({
  kind: 'Widget',
  scope: 'Cluster',
  spec: {
    type: 'object',
    required: ['name', 'tier', 'sized', 'nested'],
    properties: {
      name: { type: 'string' },
      tier: { type: 'string', enum: ['gold', 'silver'] },
      sized: { type: 'integer', default: 1 },
      size: { type: 'number', default: 1.5 },
      flag: { type: 'boolean' },
      mixed: { enum: ['a', 1, true, null] },
      fixed: { const: 'x' },
      nested: { type: 'object', required: ['a'], properties: { a: { type: 'string' }, b: { type: 'integer', default: 2 } } },
      list: { type: 'array', items: { type: 'object', properties: { c: { type: 'boolean', default: true } } } },
      anything: { type: 'array' },
      labels: { type: 'object', additionalProperties: { type: 'string' } },
      open: { type: 'object', additionalProperties: true },
      maybe: { type: 'string', nullable: true },
      several: { type: ['string', 'null', 'integer'] },
      either: { oneOf: [{ type: 'string' }, { type: 'object', required: ['d'], properties: { d: { type: 'number' } } }] },
      any: { anyOf: [{ const: 1 }, { const: 2 }] },
      free: {},
      password: { type: 'string', sensitive: true },
      keys: { type: 'object', additionalProperties: { type: 'string', sensitive: true } },
    },
  },
  status: { type: 'object', properties: { phase: { enum: ['Up', 'Down'] } } },
  conditions: ['Ready', 'Degraded'],
  indexes: {
    byTier: (widget) => {
      check<Equal<typeof widget, CachedOf<typeof Widget>>>();
      return widget.spec.tier;
    },
    byList: (widget) => widget.spec.list?.map((item) => String(item.c)),
  },
  validate(next, previous) {
    check<Equal<typeof next, DeepReadonly<ResourceOf<typeof Widget>>>>();
    check<Equal<typeof previous, DeepReadonly<ResourceOf<typeof Widget>> | undefined>>();
    return next.spec.tier === previous?.spec.tier ? [] : [{ field: 'spec.tier', message: 'fixed' }];
  },
});
type Widget = ResourceOf<typeof Widget>;

interface WidgetSpec {
  name: string;
  tier: 'gold' | 'silver';
  sized: number;
  size: number;
  flag?: boolean;
  mixed?: 'a' | 1 | true | null;
  fixed?: 'x';
  nested: { a: string; b: number };
  list?: { c: boolean }[];
  anything?: unknown[];
  labels?: { [key: string]: string };
  open?: { [key: string]: unknown };
  maybe?: string | null;
  several?: string | null | number;
  either?: string | { d: number };
  any?: 1 | 2;
  free?: unknown;
  password?: string;
  keys?: { [key: string]: string };
}
type Same<A, B> = Equal<[Extends<A, B>, Extends<B, A>, Equal<keyof A, keyof B>], [true, true, true]>;

/** What is only there to be compiled. */
function checkCompiles(..._values: unknown[]): void {}

describe('ResourceOf', () => {
  it('is what the schema says, with defaults present', () => {
    check<Same<Widget['spec'], WidgetSpec>>();
    check<Equal<Required<Widget['spec']>, Required<WidgetSpec>>>();
    check<Equal<Widget['kind'], 'Widget'>>();
    check<Equal<Widget['apiVersion'], string>>();
    check<Equal<Widget['metadata'], ObjectMeta>>();
  });

  it('has a status that may be absent, with conditions of the declared types', () => {
    type Status = NonNullable<Widget['status']>;
    check<Equal<Required<Status>, { phase: 'Up' | 'Down'; conditions: Condition<'Ready' | 'Degraded'>[]; observedGeneration: number }>>();
    check<Extends<{ status?: never }, Pick<Widget, 'status'>>>();
  });

  it('is the caller’s own to change', () => {
    const change = (widget: Widget): void => {
      widget.spec.tier = 'gold';
      widget.spec.list?.push({ c: true });
      widget.metadata.labels = { a: 'b' };
      delete widget.status;
    };
    checkCompiles(change);
  });

  it('refuses what the schema does not say', () => {
    const read = (widget: Widget): void => {
      // @ts-expect-error no such tier
      widget.spec.tier = 'bronze';
      // @ts-expect-error no such field
      void widget.spec.color;
      // @ts-expect-error may be absent
      void widget.status.phase;
      // @ts-expect-error misspelt condition
      widget.status?.conditions?.find((condition) => condition.type === 'Reddy');
      // @ts-expect-error timestamps are texts
      widget.metadata.creationTimestamp = new Date(0);
      // @ts-expect-error absent and undefined differ in what is read
      widget.spec.flag = undefined;
    };
    checkCompiles(read);
  });

  it('gives built-in types their own', () => {
    check<Equal<ServiceObject['spec']['scale'], number>>();
    check<Equal<NonNullable<ServiceObject['spec']['ports']>[number]['protocol'], 'TCP' | 'UDP'>>();
    check<Equal<SecretObject['data'], { [key: string]: string } | undefined>>();
    check<Equal<SecretObject['type'], string>>();
    check<Equal<Event['regarding']['name'], string>>();
    check<Equal<Extract<keyof SecretObject, 'spec'>, never>>();
  });
});
type ServiceObject = ResourceOf<typeof Service>;
type SecretObject = ResourceOf<typeof Secret>;

describe('InputOf', () => {
  type Input = InputOf<typeof Widget>;

  it('lets defaults, metadata and the envelope be left out', () => {
    const least: Input = { spec: { name: 'a', tier: 'gold', nested: { a: 'x' } } };
    const undef: Input = {
      apiVersion: undefined,
      metadata: undefined,
      spec: { name: 'a', tier: 'gold', sized: undefined, flag: undefined, nested: { a: 'x', b: undefined } },
      status: undefined,
    };
    checkCompiles([least, undef]);
    check<Equal<Input['metadata'], DeepReadonly<ObjectMetaInput> | undefined>>();
  });

  it('accepts what was read, also frozen', () => {
    check<Extends<Widget, Input>>();
    check<Extends<DeepReadonly<Widget>, Input>>();
  });

  it('refuses what the schema does not say', () => {
    // @ts-expect-error the name is required
    const noName: Input = { spec: { tier: 'gold', nested: { a: 'x' } } };
    // @ts-expect-error the spec is required
    const noSpec: Input = {};
    // @ts-expect-error unknown field
    const unknownField: Input = { spec: { name: 'a', tier: 'gold', nested: { a: 'x' }, color: 'red' } };
    // @ts-expect-error another kind
    const otherKind: Input = { kind: 'Gadget', spec: { name: 'a', tier: 'gold', nested: { a: 'x' } } };
    checkCompiles([noName, noSpec, unknownField, otherKind]);
  });

  it('lets a spec with a default be left out', () => {
    const WithDefault = defineResource({
      kind: 'WithDefault',
      spec: { type: 'object', default: {}, properties: { a: { type: 'string' } } },
    });
    const empty: InputOf<typeof WithDefault> = {};
    check<Equal<ResourceOf<typeof WithDefault>['spec'], { a?: string }>>();
    checkCompiles(empty);
  });
});

describe('CachedOf', () => {
  type Cached = CachedOf<typeof Widget>;

  it('is frozen and holds seals', () => {
    check<Equal<Cached['spec']['password'], Sealed<string> | undefined>>();
    check<Equal<NonNullable<Cached['spec']['keys']>, { readonly [key: string]: Sealed<string> }>>();
    check<Equal<NonNullable<CachedOf<typeof Secret>['data']>[string], Sealed<string>>>();
    const write = (cached: Cached): void => {
      // @ts-expect-error read-only
      cached.spec.tier = 'gold';
      // @ts-expect-error read-only list
      cached.spec.list?.push({ c: true });
      // @ts-expect-error sealed
      const text: string | undefined = cached.spec.password;
      void text;
    };
    checkCompiles(write);
  });
});

describe('a definition', () => {
  it('carries its scope, conditions and index names', () => {
    check<Equal<ScopeOf<typeof Widget>, 'Cluster'>>();
    check<Equal<ScopeOf<typeof Service>, 'Namespaced'>>();
    check<Equal<ConditionTypeOf<typeof Widget>, 'Ready' | 'Degraded'>>();
    check<Equal<IndexNameOf<typeof Widget>, 'byTier' | 'byList'>>();
    check<Equal<IndexNameOf<typeof Secret>, never>>();
  });

  it('of any type is a definition', () => {
    const definitions: readonly AnyDefinition[] = [Widget, Service, Secret];
    checkCompiles(definitions);
    check<Equal<ResourceOf<AnyDefinition>, UnknownResource>>();
    check<Extends<Widget, UnknownResource>>();
    check<Equal<ResourceOf<AnyDefinition>['spec'], unknown>>();
    check<Equal<IsAny<ResourceOf<AnyDefinition>[string]>, false>>();
    check<Equal<FirstOf<readonly [typeof Widget, typeof Service]>, Widget>>();
  });

  it('of a schema that is not known exactly holds unknown records, never any', () => {
    const wide: JsonSchema = { type: 'object', properties: {} };
    const Wide = defineResource({ kind: 'Wide', spec: wide, status: wide });
    check<Equal<ResourceOf<typeof Wide>['spec'], Record<string, unknown>>>();
    check<Equal<Infer<JsonSchema>, unknown>>();
    check<Equal<Infer<any>, unknown>>();
    check<Extends<{ spec: { whatever: 1 } }, InputOf<typeof Wide>>>();
  });

  it('takes its types from a schema of another library', () => {
    const foreign: StandardJsonSchema<{ a: string; b?: number | undefined }, { a: string; b: number }> = {
      '~standard': { version: 1, vendor: 'test', jsonSchema: { input: () => ({ type: 'object', properties: {} }), output: () => ({}) } },
    };
    const Foreign = defineResource({
      kind: 'Foreign',
      spec: foreign,
      validate: (next) => (next.spec.b > 1 ? [] : [{ field: 'spec.b', message: 'small' }]),
    });
    check<Equal<ResourceOf<typeof Foreign>['spec'], { a: string; b: number }>>();
    check<Equal<InputOf<typeof Foreign>['spec'], { readonly a: string; readonly b?: number | undefined }>>();
  });

  it('without a spec has none', () => {
    const Bare = defineResource({ kind: 'Bare' });
    check<Equal<keyof ResourceOf<typeof Bare>, 'apiVersion' | 'kind' | 'metadata'>>();
    const OnlyConditions = defineResource({ kind: 'Only', conditions: ['Ready'] });
    check<
      Equal<
        Required<NonNullable<ResourceOf<typeof OnlyConditions>['status']>>,
        { conditions: Condition<'Ready'>[]; observedGeneration: number }
      >
    >();
  });

  it('refuses wrong schemas as they are typed', () => {
    const define = (): void => {
      // @ts-expect-error no such type
      defineResource({ kind: 'A', spec: { type: 'objekt' } });
      // @ts-expect-error no such scope
      defineResource({ kind: 'A', scope: 'Global' });
      // @ts-expect-error no such option
      defineResource({ kind: 'A', specs: {} });
      // @ts-expect-error an index gives texts
      defineResource({ kind: 'A', indexes: { a: () => 5 } });
    };
    checkCompiles(define);
  });

  it('takes durations as people write them', () => {
    const durations: Duration[] = [5, '250ms', '30s', '1h30m', '1.5h', '1d2h3m'];
    // @ts-expect-error no unit
    const noUnit: Duration = '30';
    checkCompiles([durations, noUnit]);
  });
});
type FirstOf<T extends readonly AnyDefinition[]> = T extends readonly [infer D extends AnyDefinition, ...unknown[]] ? ResourceOf<D> : never;
