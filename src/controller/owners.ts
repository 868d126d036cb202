/**
 * Who owns whom: owner references made, checked and read.
 *
 * Invariants: an object has one controlling owner at most; an owner lives in the object's namespace, or is
 * cluster-scoped; a cluster-scoped object has no namespaced owner. Owners are told apart by group and kind, whatever the
 * version, and are the same only by uid.
 */
import { ForbiddenError } from '../schemas/index.js';
import type { AnyDefinition, OwnerReference } from '../schemas/index.js';
import { formatKey } from './keys.js';

/** What is read of an object that owns or is owned. */
export interface Ownable {
  readonly metadata?:
    | {
        readonly namespace?: string | undefined;
        readonly name?: string | undefined;
        readonly generateName?: string | undefined;
        readonly uid?: string | undefined;
        readonly ownerReferences?: readonly OwnerLike[] | undefined;
      }
    | undefined;
}
/** An owner reference, read-only. */
export interface OwnerLike {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean | undefined;
  readonly blockOwnerDeletion?: boolean | undefined;
}

/** The group of an apiVersion: `rune.dev` of `rune.dev/v1`, `''` of `v1`. */
export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? '' : apiVersion.slice(0, slash);
}

/** The reference of the owner that controls an object, if any. */
export function controllerOf(object: Ownable): OwnerLike | undefined {
  const references = object.metadata?.ownerReferences;
  if (references !== undefined) for (const reference of references) if (reference.controller === true) return reference;
  return undefined;
}

/** Whether a reference is to an object of this type; the version does not matter. */
export function refersTo(reference: OwnerLike, definition: AnyDefinition): boolean {
  return reference.kind === definition.kind && groupOf(reference.apiVersion) === definition.group;
}

/** The controlling reference to `owner`. */
export function controllerReference(owner: Ownable, definition: AnyDefinition): OwnerReference {
  const { name = '', uid = '' } = owner.metadata ?? {};
  return { apiVersion: definition.apiVersion, kind: definition.kind, name, uid, controller: true, blockOwnerDeletion: true };
}

/** The two objects and their types. */
export interface Ownership {
  readonly owner: Ownable;
  readonly ownerDefinition: AnyDefinition;
  readonly child: Ownable;
  readonly childDefinition: AnyDefinition;
}

/**
 * `child` with `owner` as its controlling owner, and with the owner's namespace where it names none.
 *
 * @throws {ForbiddenError} when another controls it, when it is in another namespace, or when it is cluster-scoped and the
 * owner is not.
 */
export function withController<C extends Ownable>({
  owner,
  ownerDefinition,
  child,
  childDefinition,
}: Ownership & { readonly child: C }): C {
  const namespace = owner.metadata?.namespace;
  const what = `${childDefinition.type} ${child.metadata?.name ?? child.metadata?.generateName ?? '(unnamed)'}`;
  const by = `${ownerDefinition.type} ${formatKey({ namespace, name: owner.metadata?.name ?? '' })}`;
  if (ownerDefinition.scope === 'Namespaced' && childDefinition.scope === 'Cluster') {
    throw new ForbiddenError(
      `${what} is cluster-scoped and cannot be owned by the namespaced ${by}: give it a cluster-scoped owner or none`,
    );
  }
  const childNamespace = child.metadata?.namespace;
  if (
    childDefinition.scope === 'Namespaced' &&
    ownerDefinition.scope === 'Namespaced' &&
    childNamespace !== undefined &&
    childNamespace !== '' &&
    childNamespace !== namespace
  ) {
    throw new ForbiddenError(`${what} in namespace ${childNamespace} cannot be owned by ${by}: an owner must be in the same namespace`);
  }
  const references = child.metadata?.ownerReferences ?? [];
  const mine = controllerReference(owner, ownerDefinition);
  const other = references.find((reference) => reference.controller === true && reference.uid !== mine.uid);
  if (other !== undefined) throw alreadyOwned(what, other);
  return {
    ...child,
    metadata: {
      ...child.metadata,
      ...(childDefinition.scope === 'Namespaced' && namespace !== undefined && (childNamespace === undefined || childNamespace === '')
        ? { namespace }
        : {}),
      ownerReferences: [...references.filter((reference) => reference.uid !== mine.uid), mine],
    },
  };
}

/** The refusal of a second controlling owner. */
export function alreadyOwned(what: string, owner: OwnerLike): ForbiddenError {
  return new ForbiddenError(
    `${what} is already controlled by ${owner.kind} ${owner.name} (uid ${owner.uid}): an object has one controlling owner; remove that reference first, or use another name`,
    { details: { kind: owner.kind, name: owner.name, uid: owner.uid } },
  );
}

/** Calls `wake` with the key of each owner of this type, the controlling one alone unless `every`. */
export function eachOwnerKey(
  object: Ownable,
  owner: { readonly definition: AnyDefinition; readonly every: boolean },
  wake: (key: string) => void,
): void {
  const references = object.metadata?.ownerReferences;
  if (references === undefined) return;
  for (const reference of references) {
    if (!owner.every && reference.controller !== true) continue;
    if (!refersTo(reference, owner.definition)) continue;
    const namespace = object.metadata?.namespace;
    wake(owner.definition.scope === 'Cluster' || namespace === undefined ? reference.name : `${namespace}/${reference.name}`);
  }
}
