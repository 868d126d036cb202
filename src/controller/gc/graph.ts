/**
 * Who depends on whom, by uid: what the collector knows, fed by the watch of all types in commit order.
 *
 * Invariants: a uid is live exactly while the object is there, at the revision the watch has reached; nodes are kept for
 * objects that have owners or wait for the collector, and for no others.
 */
import type { DeepReadonly, UnknownResource } from '../../schemas/index.js';
import type { OwnerLike } from '../owners.js';

/** Finalizers that carry a propagation policy, as Kubernetes names them. */
export const FOREGROUND = 'foregroundDeletion';
export const ORPHAN = 'orphan';

/** An object that owns, is owned, or waits. */
export interface Node {
  readonly uid: string;
  readonly type: string;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly resourceVersion: string;
  readonly owners: readonly OwnerLike[];
  readonly terminating: boolean;
  readonly finalizers: readonly string[];
}

type Shown = DeepReadonly<UnknownResource>;

const none: readonly never[] = Object.freeze([]);

export class OwnerGraph {
  readonly #live = new Set<string>();
  readonly #nodes = new Map<string, Node>();
  readonly #dependents = new Map<string, Set<string>>();
  /** How many of an object's dependents block its foreground deletion. */
  readonly #blocking = new Map<string, number>();

  /** An object as it is now. */
  put(type: string, object: Shown): Node | undefined {
    const { uid, namespace, name, resourceVersion, ownerReferences: owners = none, deletionTimestamp, finalizers = none } = object.metadata;
    this.#live.add(uid);
    const before = this.#nodes.get(uid);
    const terminating = deletionTimestamp !== undefined;
    if (owners.length === 0 && !(terminating && (finalizers.includes(FOREGROUND) || finalizers.includes(ORPHAN)))) {
      if (before !== undefined) this.#drop(before);
      return undefined;
    }
    const node: Node = { uid, type, namespace, name, resourceVersion, owners, terminating, finalizers };
    this.#nodes.set(uid, node);
    if (before?.owners !== owners) {
      if (before !== undefined) this.#unlink(before);
      this.#link(node);
    }
    return node;
  }

  /** An object is gone; gives what it was, if that was known. */
  remove(uid: string): Node | undefined {
    this.#live.delete(uid);
    const node = this.#nodes.get(uid);
    if (node !== undefined) this.#drop(node);
    return node;
  }

  #drop(node: Node): void {
    this.#unlink(node);
    this.#nodes.delete(node.uid);
  }

  #link(node: Node): void {
    for (const owner of node.owners) {
      let dependents = this.#dependents.get(owner.uid);
      if (dependents === undefined) this.#dependents.set(owner.uid, (dependents = new Set()));
      dependents.add(node.uid);
      if (owner.blockOwnerDeletion === true) this.#blocking.set(owner.uid, this.blockingCount(owner.uid) + 1);
    }
  }

  #unlink(node: Node): void {
    for (const owner of node.owners) {
      if (owner.blockOwnerDeletion === true) {
        const left = this.blockingCount(owner.uid) - 1;
        if (left > 0) this.#blocking.set(owner.uid, left);
        else this.#blocking.delete(owner.uid);
      }
      const dependents = this.#dependents.get(owner.uid);
      if (dependents?.delete(node.uid) === true && dependents.size === 0) this.#dependents.delete(owner.uid);
    }
  }

  get(uid: string): Node | undefined {
    return this.#nodes.get(uid);
  }
  isLive(uid: string): boolean {
    return this.#live.has(uid);
  }
  /** The objects that name `uid` as an owner. */
  dependentsOf(uid: string): Iterable<string> {
    return this.#dependents.get(uid) ?? none;
  }
  dependentCount(uid: string): number {
    return this.#dependents.get(uid)?.size ?? 0;
  }
  /** Dependents that block the foreground deletion of an object. */
  blockingCount(uid: string): number {
    return this.#blocking.get(uid) ?? 0;
  }
  nodes(): IterableIterator<Node> {
    return this.#nodes.values();
  }
  get size(): number {
    return this.#nodes.size;
  }
  clear(): void {
    this.#live.clear();
    this.#nodes.clear();
    this.#dependents.clear();
    this.#blocking.clear();
  }
}

/** It is being deleted and waits until its dependents are gone. */
export function waitsForDependents(node: Node | undefined): boolean {
  return node !== undefined && node.terminating && node.finalizers.includes(FOREGROUND);
}
/** It is being deleted and its dependents are to be left. */
export function orphansDependents(node: Node | undefined): boolean {
  return node !== undefined && node.terminating && node.finalizers.includes(ORPHAN);
}
