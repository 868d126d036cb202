/**
 * What the collector does about one object: a pure function of the graph. The rules are those of Kubernetes' collector.
 *
 * Invariants: an object with a living owner that is not itself going stays; owners are compared by uid, so one that was made
 * anew under the same name is another; a circle of objects that wait for each other is undone by no longer waiting.
 */
import type { Propagation } from '../../store/index.js';
import type { OwnerLike } from '../owners.js';
import { FOREGROUND, ORPHAN, orphansDependents, waitsForDependents, type Node, type OwnerGraph } from './graph.js';

/** What is to be done. */
export type Step =
  | { readonly do: 'nothing' }
  /** Its owners are gone. */
  | { readonly do: 'delete'; readonly propagation: Propagation }
  /** Some owners are gone: they are struck from the list. */
  | { readonly do: 'setOwners'; readonly owners: readonly OwnerLike[] }
  /** It waited, and needs not any more. */
  | { readonly do: 'release'; readonly finalizer: string }
  /** These are to be looked at first. */
  | { readonly do: 'visit'; readonly uids: readonly string[] }
  /** These are to lose it as an owner first. */
  | { readonly do: 'disown'; readonly uids: readonly string[] };

const nothing: Step = Object.freeze({ do: 'nothing' });

/** Decides about an object. Pure. */
export function planFor(graph: OwnerGraph, node: Node): Step {
  if (orphansDependents(node)) {
    const uids = [...graph.dependentsOf(node.uid)];
    return uids.length === 0 ? { do: 'release', finalizer: ORPHAN } : { do: 'disown', uids };
  }
  if (waitsForDependents(node)) return foreground(graph, node);
  if (node.terminating || node.owners.length === 0) return nothing;
  return dependent(graph, node);
}

function foreground(graph: OwnerGraph, node: Node): Step {
  if (graph.blockingCount(node.uid) === 0) return { do: 'release', finalizer: FOREGROUND };
  // One that waits too, and for this one, would wait for ever: it stops blocking.
  if (node.owners.some((owner) => owner.blockOwnerDeletion === true && isCircle(graph, node, owner))) {
    return { do: 'setOwners', owners: node.owners.map((owner) => ({ ...owner, blockOwnerDeletion: false })) };
  }
  const uids: string[] = [];
  for (const uid of graph.dependentsOf(node.uid)) {
    const dependent = graph.get(uid);
    if (dependent?.terminating === false && dependent.owners.some((owner) => owner.uid === node.uid && owner.blockOwnerDeletion === true))
      uids.push(uid);
  }
  return { do: 'visit', uids };
}

/** Whether `owner`, which waits for `node`, is itself among what `node` waits for, however far down. */
function isCircle(graph: OwnerGraph, node: Node, owner: OwnerLike): boolean {
  if (!waitsForDependents(graph.get(owner.uid))) return false;
  const seen = new Set<string>([node.uid]);
  const open = [node.uid];
  for (let uid = open.pop(); uid !== undefined; uid = open.pop()) {
    for (const next of graph.dependentsOf(uid)) {
      if (next === owner.uid) return true;
      if (seen.has(next)) continue;
      seen.add(next);
      open.push(next);
    }
  }
  return false;
}

function dependent(graph: OwnerGraph, node: Node): Step {
  const solid: OwnerLike[] = [];
  let waiting = false;
  for (const owner of node.owners) {
    if (!graph.isLive(owner.uid)) continue;
    if (waitsForDependents(graph.get(owner.uid))) waiting = true;
    else solid.push(owner);
  }
  if (solid.length === node.owners.length) return nothing;
  if (solid.length > 0) return { do: 'setOwners', owners: solid };
  // Its owner waits for it: then it waits for its own, so that the leaves go first.
  if (waiting && graph.dependentCount(node.uid) > 0) return { do: 'delete', propagation: 'foreground' };
  return { do: 'delete', propagation: 'background' };
}
