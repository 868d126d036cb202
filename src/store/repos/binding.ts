/**
 * A store's or transaction's verbs, bound to one type and typed by its definition.
 *
 * Invariant: the only place where the definition's `InputOf<D>` is taken for the store's `ResourceInput<D>` (the same type,
 * which the compiler cannot see while `D` is open).
 */
import { BadRequestError, ConflictError, isNotFound, NotFoundError } from '../../schemas/index.js';
import type { AnyDefinition, CachedOf, InputOf, ResourceOf } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import type {
  DeleteOptions,
  GetOptions,
  ListOptions,
  ListResult,
  PatchOptions,
  ResourceInput,
  Store,
  Transaction,
  UpdateOptions,
  Watch,
  WatchOptions,
  WriteOptions,
} from '../types.js';
import { targetOf } from './address.js';
import type { Target } from './address.js';
import type { RepoOptions } from './types.js';

/** The verbs of one type. */
export interface Binding<D extends AnyDefinition> {
  readonly definition: D;
  /** The store; undefined inside a transaction. */
  readonly store: Store | undefined;
  readonly options: RepoOptions;
  /** The wall clock. @throws {BadRequestError} inside a transaction, when the repo was given none. */
  now(): number;
  /** What is meant by an address; at once unless it is a uid, which is looked up. */
  locate(address: unknown): Target | Promise<Target>;
  create(namespace: string | undefined, name: string | undefined, resource: InputOf<D>, options: WriteOptions): Promise<ResourceOf<D>>;
  get(target: Target, options?: GetOptions): Promise<ResourceOf<D>>;
  update(target: Target, resource: InputOf<D>, options: UpdateOptions): Promise<ResourceOf<D>>;
  /** A synchronous change, made on the newest state in the writers' line: it loses to nobody. */
  modify(target: Target, change: (draft: ResourceOf<D>) => unknown, options: UpdateOptions): Promise<ResourceOf<D>>;
  patch(target: Target, patch: unknown, options: PatchOptions): Promise<ResourceOf<D>>;
  apply(target: Target, manifest: InputOf<D>, options: WriteOptions): Promise<ResourceOf<D>>;
  delete(target: Target, options: DeleteOptions): Promise<ResourceOf<D>>;
  list(namespace: string | undefined, options: ListOptions<ResourceOf<D>>): Promise<ListResult<ResourceOf<D>>>;
  watch(namespace: string | undefined, options: WatchOptions): Watch<CachedOf<D>>;
}

export function bind<D extends AnyDefinition>(verbs: Store | Transaction, definition: D, options: RepoOptions): Binding<D> {
  const store = 'watch' in verbs ? verbs : undefined;
  const clock: Deps['clock'] | undefined = options.clock ?? store?.deps.clock;
  const write = <O extends WriteOptions>(given: O): O =>
    options.source === undefined || given.source !== undefined ? given : { ...given, source: options.source };
  const given = (resource: InputOf<D>): ResourceInput<D> => resource as unknown as ResourceInput<D>;
  return {
    definition,
    store,
    options,
    now() {
      if (clock === undefined) {
        throw new BadRequestError(
          'a repo inside a transaction has no clock of its own: pass one, repo(tx, definition, { clock: store.deps.clock })',
        );
      }
      return clock.now();
    },
    locate(address) {
      const target = targetOf(definition, address, options.defaultNamespace);
      if (target.name !== undefined) return target;
      return verbs.getByUid(definition, target.uid).then((resource) => {
        const { name, namespace } = resource.metadata;
        if (target.namespace !== undefined && target.namespace !== namespace) {
          throw new NotFoundError(`no ${definition.type} in namespace "${target.namespace}" has the uid ${target.uid}`, {
            details: { kind: definition.type, namespace: target.namespace, uid: target.uid },
          });
        }
        return { namespace, name, uid: target.uid };
      });
    },
    create: (namespace, name, resource, each) => verbs.create(definition, namespace, name, given(resource), write(each)),
    get: (target, each) => verbs.get(definition, target.namespace, target.name, each),
    update: (target, resource, each) => verbs.update(definition, target.namespace, target.name, given(resource), write(each)),
    modify: (target, change, each) => verbs.modify(definition, target.namespace, target.name, change, write(each)),
    patch: (target, patch, each) => verbs.patch(definition, target.namespace, target.name, patch, write(each)),
    apply: (target, manifest, each) => verbs.apply(definition, target.namespace, target.name, given(manifest), write(each)),
    delete: (target, each) => verbs.delete(definition, target.namespace, target.name, write(each)),
    list: (namespace, each) => verbs.list(definition, namespace, each),
    watch: (namespace, each) => storeOf(store, 'watch').watch(definition, namespace, each),
  };
}

/** The store of a repo. @throws {BadRequestError} inside a transaction. */
export function storeOf(store: Store | undefined, verb: string): Store {
  if (store !== undefined) return store;
  throw new BadRequestError(`${verb} is not there inside a transaction: use a repo on the store, before or after it`);
}

/** The object, or undefined when there is none. */
export async function findIn<D extends AnyDefinition>(
  binding: Binding<D>,
  target: Target,
  options?: GetOptions,
): Promise<ResourceOf<D> | undefined> {
  try {
    return await binding.get(target, options);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Refuses to go on with an object whose name has gone to another. @throws {ConflictError} */
export function checkUid(
  definition: AnyDefinition,
  target: Target,
  found: { readonly uid: string; readonly resourceVersion?: string },
): void {
  if (target.uid === undefined || target.uid === found.uid) return;
  throw new ConflictError(
    `${describe(definition, target)} with the uid ${target.uid} is gone: another object has its name now (uid ${found.uid})`,
    {
      details: {
        kind: definition.kind,
        name: target.name,
        uid: found.uid,
        ...(target.namespace === undefined ? {} : { namespace: target.namespace }),
      },
      currentRevision: found.resourceVersion,
    },
  );
}

/** An object as sentences name it. */
export function describe(definition: AnyDefinition, target: { readonly namespace?: string | undefined; readonly name: string }): string {
  return `${definition.type} "${target.namespace === undefined ? '' : `${target.namespace}/`}${target.name}"`;
}
