/**
 * Objects for tests: what a partial input lacks is filled in with something sensible.
 *
 * Invariants: what is given is never changed; a name that is not given is made from the type and a number, the same in each
 * run; nothing here writes.
 */
import {
  builtinTypes,
  Config,
  DeletionOperation,
  RuneEvent,
  Instance,
  InvalidError,
  Lease,
  mergePatch,
  Namespace,
  ScalingOperation,
  Secret,
  Service,
} from '../schemas/index.js';
import type { AnyDefinition, InputOf, ObjectMetaInput } from '../schemas/index.js';

/** All of it optional, at every depth. */
export type DeepPartial<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: DeepPartial<T[K]> | undefined }
    : T;

/** A part of an object; `name` and `namespace` may stand at the top, short for those of the metadata. */
export type TestInput<D extends AnyDefinition> = DeepPartial<Omit<InputOf<D>, 'metadata'>> & {
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
  readonly metadata?: ObjectMetaInput | undefined;
};

/** An object with its kind, as in a manifest. */
export interface TestManifest {
  readonly apiVersion?: string | undefined;
  readonly kind: string;
  readonly metadata?: ObjectMetaInput | undefined;
  readonly [field: string]: unknown;
}

/** An object of any type: with its definition, or with its kind. */
export type TestObject = readonly [definition: AnyDefinition, input: object] | TestManifest;

/** An object that is ready to be created. */
export interface PreparedObject {
  readonly definition: AnyDefinition;
  readonly namespace: string | undefined;
  /** undefined where `generateName` is given. */
  readonly name: string | undefined;
  readonly resource: Record<string, unknown>;
}

type Fill = (place: { readonly namespace: string | undefined; readonly name: string | undefined }) => object;

const SERVICE = 'test-service';
const IMAGE = 'nginx:latest';

const defaults: ReadonlyMap<string, Fill> = new Map<string, Fill>([
  [Namespace.type, () => ({})],
  [Service.type, () => ({ spec: { image: IMAGE } })],
  [Instance.type, () => ({ spec: { service: SERVICE, image: IMAGE } })],
  [ScalingOperation.type, () => ({ spec: { service: SERVICE, target: 1 } })],
  [DeletionOperation.type, () => ({ spec: { service: SERVICE } })],
  [Secret.type, () => ({ data: { password: 'test-password' } })],
  [Config.type, () => ({ data: { key: 'value' } })],
  [Lease.type, () => ({})],
  [RuneEvent.type, ({ namespace }) => ({ regarding: { type: Service.type, namespace, name: SERVICE }, type: 'Normal', reason: 'Tested' })],
]);

/** Where objects live when no namespace is given. */
export const TEST_NAMESPACE = 'default';

/** Makes objects out of parts; remembers how many of each type it has named. */
export class ObjectMaker {
  readonly #counts = new Map<string, number>();
  readonly #types: readonly AnyDefinition[];

  constructor(types: readonly AnyDefinition[] = []) {
    this.#types = [...types, ...builtinTypes];
  }

  /** Fills in what is missing. */
  prepare(definition: AnyDefinition, input: object): PreparedObject {
    const {
      name: shortName,
      namespace: shortNamespace,
      ...given
    } = input as { name?: string; namespace?: string; metadata?: ObjectMetaInput };
    const metadata = given.metadata ?? {};
    const namespace = definition.scope === 'Cluster' ? undefined : (shortNamespace ?? metadata.namespace ?? TEST_NAMESPACE);
    const generated = shortName === undefined && metadata.name === undefined && metadata.generateName !== undefined;
    const name = generated ? undefined : (shortName ?? metadata.name ?? this.#name(definition));
    // A deletion operation names a service or a target, and not both.
    const target = (given as { spec?: { target?: unknown } }).spec?.target;
    const fill = definition.type === DeletionOperation.type && target !== undefined ? undefined : defaults.get(definition.type);
    const filled = fill === undefined ? given : (mergePatch(fill({ namespace, name }), given) as object);
    const resource = {
      ...filled,
      metadata: { ...metadata, ...(name === undefined ? {} : { name }), ...(namespace === undefined ? {} : { namespace }) },
    };
    return { definition, namespace, name, resource };
  }

  /** An object given with its definition, or with its kind. @throws {InvalidError} for a kind that nobody defined. */
  prepareAny(object: TestObject): PreparedObject {
    if (isPair(object)) return this.prepare(object[0], object[1]);
    const { kind, apiVersion } = object;
    const definition = this.#types.find((type) => type.kind === kind && (apiVersion === undefined || type.apiVersion === apiVersion));
    if (definition !== undefined) return this.prepare(definition, object);
    throw new InvalidError(
      `no type of kind ${JSON.stringify(kind)}${apiVersion === undefined ? '' : ` in ${apiVersion}`} is known: give it in types, or write [Definition, object]`,
    );
  }

  #name(definition: AnyDefinition): string {
    const count = (this.#counts.get(definition.type) ?? 0) + 1;
    this.#counts.set(definition.type, count);
    return `test-${definition.kind.toLowerCase()}${count === 1 ? '' : `-${count}`}`;
  }

  reset(): void {
    this.#counts.clear();
  }
}

function isPair(object: TestObject): object is readonly [AnyDefinition, object] {
  return Array.isArray(object);
}
