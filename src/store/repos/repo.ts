/**
 * `repo(store, definition)`: the typed API of one resource type.
 *
 * Invariants: a repo holds no state of its own and may be made anew for each use; addresses are read, and input is handed to
 * the store, in the call itself, so that what a caller changes afterwards changes nothing.
 */
import { cloneJson, InvalidError, isNotFound } from '../../schemas/index.js';
import type { AnyDefinition, Condition, InputOf, ObjectKey, ResourceOf, UnknownResource } from '../../schemas/index.js';
import type { DeleteOptions, Store, Transaction, UpdateOptions, WriteOptions } from '../types.js';
import { placeOf, targetOf } from './address.js';
import type { Target } from './address.js';
import { bind, storeOf } from './binding.js';
import type { Binding } from './binding.js';
import { ensure } from './ensure.js';
import { modify, mutate } from './mutate.js';
import { setConditionIn } from './set-condition.js';
import type { Change, ConditionInput, Repo, RepoAddress, RepoOptions, RepoVerbs, WaitOptions, WaitPredicate } from './types.js';
import { waitFor } from './wait-for.js';

/**
 * The repo of a type, on a store or (without what only a store can do) inside a transaction.
 *
 * @example
 * const services = repo(store, Service);
 * const web = await services.get({ namespace: 'prod', name: 'web' });
 */
export function repo<D extends AnyDefinition>(store: Store, definition: D, options?: RepoOptions): Repo<D>;
export function repo<D extends AnyDefinition>(storeOrTransaction: Store | Transaction, definition: D, options?: RepoOptions): RepoVerbs<D>;
export function repo<D extends AnyDefinition>(storeOrTransaction: Store | Transaction, definition: D, options: RepoOptions = {}): Repo<D> {
  const binding = bind(storeOrTransaction, definition, options);
  const verbs: Repo<D> = {
    definition,
    create: async (first: InputOf<D> | ObjectKey | string, second?: InputOf<D> | WriteOptions, third?: WriteOptions) =>
      isAddress(first)
        ? createAt(binding, first, second as InputOf<D>, third ?? {})
        : createNamed(binding, first, (second ?? {}) as WriteOptions),
    get: async (address, each) => on(binding, address, (target) => binding.get(target, each)),
    find: async (address, each) => {
      try {
        return await on(binding, address, (target) => binding.get(target, each));
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    update: async (resource, each) => binding.update(named(binding, resource), resource, each ?? {}),
    updateStatus: async (resource, each) => binding.update(named(binding, resource), resource, { ...each, subresource: 'status' }),
    patch: async (address, patch, each) => {
      const target = binding.locate(address);
      if (target instanceof Promise) {
        const taken = cloneJson(patch);
        return binding.patch(await target, taken, each ?? {});
      }
      return binding.patch(target, patch, each ?? {});
    },
    apply: async (manifest, each) => binding.apply(named(binding, manifest), manifest, each ?? {}),
    delete: async (address, each) => on(binding, address, (target) => remove(binding, target, each ?? {})),
    list: async (each = {}) => {
      const { namespace, ...rest } = each;
      return binding.list(namespace, rest);
    },
    mutate: async (address, change, each) => on(binding, address, (target) => mutate(binding, target, change, each ?? {})),
    ensure: async (resource, each) => ensure(binding, resource, each ?? {}),
    addFinalizer: async (address, finalizer, each) =>
      on(binding, address, (target) => addFinalizer(binding, target, finalizer, each ?? {})),
    removeFinalizer: async (address, finalizer, each) => removeFinalizer(binding, address, finalizer, each ?? {}),
    setCondition: async (address, condition, each) => {
      const taken = { ...condition };
      return on(binding, address, (target) => setCondition(binding, target, taken, each ?? {}));
    },
    watch: (each = {}) => {
      const { namespace, ...rest } = each;
      return binding.watch(namespace, rest);
    },
    history: async (address, each) => {
      const store = storeOf(binding.store, 'history');
      return on(
        binding,
        address,
        ({ namespace, name }) => store.getHistory(definition, namespace, name, each) as unknown as ReturnType<Repo<D>['history']>,
      );
    },
    version: async (address, version) => {
      const store = storeOf(binding.store, 'version');
      return on(
        binding,
        address,
        ({ namespace, name }) => store.getVersion(definition, namespace, name, version) as Promise<unknown> as Promise<ResourceOf<D>>,
      );
    },
    rollback: async (address, version, each = {}) => {
      const store = storeOf(binding.store, 'rollback');
      const source = each.source ?? options.source;
      return on(binding, address, ({ namespace, name, uid }) => {
        const preconditions = uid === undefined ? each.preconditions : { uid, ...each.preconditions };
        return store.rollback(definition, namespace, name, version, { ...each, source, preconditions }) as Promise<unknown> as Promise<
          ResourceOf<D>
        >;
      });
    },
    // One implementation of both forms: a name of a condition always resolves to an object.
    waitFor: (async (address: RepoAddress<D>, wanted: string | WaitPredicate<D>, each?: WaitOptions) =>
      on(binding, address, (target) => waitFor(binding, target, wanted, each ?? {}))) as Repo<D>['waitFor'],
  };
  return Object.freeze(verbs);
}

/** Runs a verb on what an address means: in this very turn, unless a uid must be looked up first. */
function on<R>(binding: Binding<AnyDefinition>, address: unknown, run: (target: Target) => Promise<R>): Promise<R> {
  const target = binding.locate(address);
  return target instanceof Promise ? target.then(run) : run(target);
}

function isAddress(first: unknown): first is ObjectKey | string {
  if (typeof first !== 'object' || first === null) return typeof first === 'string';
  return !('metadata' in first) && 'name' in first && typeof first.name === 'string';
}

async function createNamed<D extends AnyDefinition>(
  binding: Binding<D>,
  resource: InputOf<D>,
  options: WriteOptions,
): Promise<ResourceOf<D>> {
  const { namespace, name } = placeOf(binding.definition, resource, binding.options.defaultNamespace);
  return binding.create(namespace, name, withKind(binding.definition, resource), options);
}

async function createAt<D extends AnyDefinition>(
  binding: Binding<D>,
  address: ObjectKey | string,
  resource: InputOf<D>,
  options: WriteOptions,
): Promise<ResourceOf<D>> {
  const { definition } = binding;
  const target = targetOf(definition, address, binding.options.defaultNamespace);
  if (target.name === undefined)
    throw new InvalidError(`a ${definition.type} cannot be created by its uid: the store gives that. Address it by name`);
  return binding.create(target.namespace, target.name, withKind(definition, resource), options);
}

function withKind<D extends AnyDefinition>(definition: D, resource: InputOf<D>): InputOf<D> {
  const { apiVersion, kind } = resource as { readonly apiVersion?: unknown; readonly kind?: unknown };
  if (apiVersion !== undefined && kind !== undefined) return resource;
  return { ...resource, apiVersion: apiVersion ?? definition.apiVersion, kind: kind ?? definition.kind };
}

/** Where a resource that is to be written belongs. */
function named(binding: Binding<AnyDefinition>, resource: unknown): Target {
  const { namespace, name } = placeOf(binding.definition, resource, binding.options.defaultNamespace);
  if (name === undefined) {
    throw new InvalidError(`a ${binding.definition.type} is written by its name: give metadata.name`, {
      causes: [{ reason: 'FieldValueRequired', field: 'metadata.name', message: 'must be given' }],
    });
  }
  return { namespace, name };
}

async function remove<D extends AnyDefinition>(binding: Binding<D>, target: Target, options: DeleteOptions): Promise<ResourceOf<D>> {
  if (target.uid === undefined) return binding.delete(target, options);
  return binding.delete(target, { ...options, preconditions: { uid: target.uid, ...options.preconditions } });
}

async function addFinalizer<D extends AnyDefinition>(
  binding: Binding<D>,
  target: Target,
  finalizer: string,
  options: UpdateOptions,
): Promise<ResourceOf<D>> {
  const add: Change<D> = (draft) => {
    const { metadata } = draft as UnknownResource;
    if (metadata.finalizers?.includes(finalizer) !== true) metadata.finalizers = [...(metadata.finalizers ?? []), finalizer];
  };
  return modify(binding, target, add, options);
}

async function removeFinalizer<D extends AnyDefinition>(
  binding: Binding<D>,
  address: unknown,
  finalizer: string,
  options: UpdateOptions,
): Promise<ResourceOf<D> | undefined> {
  try {
    return await on(binding, address, async ({ uid, ...target }) => {
      let gone = false;
      const remove: Change<D> = (draft) => {
        const { metadata } = draft as UnknownResource;
        // The name has gone to another object: the one that was meant is gone, and its finalizer with it.
        gone = uid !== undefined && metadata.uid !== uid;
        if (!gone && metadata.finalizers?.includes(finalizer) === true)
          metadata.finalizers = metadata.finalizers.filter((each) => each !== finalizer);
      };
      const resource = await modify(binding, target, remove, options);
      return gone ? undefined : resource;
    });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function setCondition<D extends AnyDefinition>(
  binding: Binding<D>,
  target: Target,
  condition: ConditionInput,
  options: UpdateOptions,
): Promise<ResourceOf<D>> {
  const now = new Date(binding.now()).toISOString();
  const set: Change<D> = (draft) => {
    const object = draft as UnknownResource & { status?: { conditions?: readonly Condition[] } };
    const before = object.status?.conditions;
    const after = setConditionIn(before, condition, { now, observedGeneration: object.metadata.generation });
    if (after !== before) object.status = { ...object.status, conditions: after };
  };
  const subresource = binding.definition.subresources.status ? ('status' as const) : undefined;
  return modify(binding, target, set, { ...options, subresource });
}
