/**
 * Waiting for an object to be as wanted, on a watch: no polling, no state missed between the look and the wait.
 *
 * Invariants: however the wait ends, its watch and its timer are gone; a wait for one very object (by uid) never takes
 * another of the same name for it; no message tells more than revisions, phases and conditions.
 */
import { cloneJson, isExpired, isNotFound, NotFoundError, printable, StoreClosedError, TimeoutError } from '../../schemas/index.js';
import type { AnyDefinition, CachedOf, Condition, ResourceOf, UnknownResource } from '../../schemas/index.js';
import { throwIfAborted, withTimeout } from '../timing.js';
import type { Target } from './address.js';
import { describe, storeOf } from './binding.js';
import type { Binding } from './binding.js';
import type { WaitOptions, WaitPredicate } from './types.js';

/** What a wait has seen, for the sentence of its timeout. */
interface Seen {
  resource: UnknownResource | undefined;
  any: boolean;
}

export async function waitFor<D extends AnyDefinition>(
  binding: Binding<D>,
  target: Target,
  wanted: string | WaitPredicate<D>,
  options: WaitOptions,
): Promise<ResourceOf<D> | undefined> {
  const { definition } = binding;
  const store = storeOf(binding.store, 'waitFor');
  const holds = typeof wanted === 'string' ? (conditionHolds(wanted) as WaitPredicate<D>) : wanted;
  const where = describe(definition, target);
  const what = typeof wanted === 'string' ? `waiting for ${printable(wanted)} of ${where}` : `waiting for ${where}`;
  const seen: Seen = { resource: undefined, any: false };
  const { timeout } = options;
  if (timeout === undefined) return watchUntil(binding, target, holds, what, seen, options.signal);
  try {
    return await withTimeout(store.deps, (signal) => watchUntil(binding, target, holds, what, seen, signal), {
      timeout,
      signal: options.signal,
      what,
    });
  } catch (error) {
    // The limit of this wait; a TimeoutError of the predicate's own has another sentence.
    if (!(error instanceof TimeoutError) || !error.message.startsWith(what)) throw error;
    throw new TimeoutError(`${error.message}; last seen: ${lastSeen(seen)}`, {
      cause: error,
      details: { kind: definition.kind, name: target.name, ...(target.namespace === undefined ? {} : { namespace: target.namespace }) },
    });
  }
}

async function watchUntil<D extends AnyDefinition>(
  binding: Binding<D>,
  target: Target,
  holds: WaitPredicate<D>,
  what: string,
  seen: Seen,
  signal: AbortSignal | undefined,
): Promise<ResourceOf<D> | undefined> {
  for (;;) {
    throwIfAborted(signal, what);
    try {
      const found = await watchOnce(binding, target, holds, seen, signal);
      if (found !== 'ended') return found.resource;
    } catch (error) {
      // So far behind that changes are gone: what is there now decides, as at the start.
      if (!isExpired(error)) throw error;
      continue;
    }
    throwIfAborted(signal, what);
    throw new StoreClosedError(`${what} ended: the store was closed`);
  }
}

type Found<D extends AnyDefinition> = { readonly resource: ResourceOf<D> | undefined };

async function watchOnce<D extends AnyDefinition>(
  binding: Binding<D>,
  target: Target,
  holds: WaitPredicate<D>,
  seen: Seen,
  signal: AbortSignal | undefined,
): Promise<Found<D> | 'ended'> {
  const watch = binding.watch(target.namespace, { initial: true, fieldSelector: { 'metadata.name': target.name }, signal });
  let there = false;
  for await (const event of watch) {
    // The bookmark after the initial objects: when none came, there is none.
    if (event.type === 'BOOKMARK' && (there || seen.any)) continue;
    if (event.type !== 'BOOKMARK' && event.type !== 'DELETED' && event.error !== undefined) throw event.error;
    const resource = event.type === 'BOOKMARK' || event.type === 'DELETED' ? undefined : event.resource;
    there = resource !== undefined;
    const meant = target.uid === undefined || resource?.metadata.uid === target.uid ? resource : undefined;
    seen.resource = meant as UnknownResource | undefined;
    seen.any = true;
    if (holds(meant)) return { resource: meant === undefined ? undefined : await owned(binding, target, meant) };
    if (meant === undefined && target.uid !== undefined) {
      throw new NotFoundError(
        `${describe(binding.definition, target)} with the uid ${target.uid} is gone: what was waited for can no longer come`,
        {
          details: { kind: binding.definition.kind, name: target.name, uid: target.uid },
        },
      );
    }
  }
  return 'ended';
}

/** The state that ended the wait, as the caller's own object, with its secrets in plain. */
async function owned<D extends AnyDefinition>(binding: Binding<D>, target: Target, resource: CachedOf<D>): Promise<ResourceOf<D>> {
  if (binding.definition.sensitivePaths.length === 0) return cloneJson(resource) as unknown as ResourceOf<D>;
  const { resourceVersion } = resource.metadata;
  try {
    return await binding.get(target, { resourceVersion });
  } catch (error) {
    // An object last written before the window: then it is what is there now.
    if (!isExpired(error) && !isNotFound(error)) throw error;
    return binding.get(target);
  }
}

/** `Ready` or `Ready=False`, observed at the current generation where the condition says at which. */
function conditionHolds(text: string): (resource: UnknownResource | undefined) => boolean {
  const equals = text.indexOf('=');
  const type = equals === -1 ? text : text.slice(0, equals);
  const status = equals === -1 ? 'True' : text.slice(equals + 1);
  return (resource) => {
    const condition = conditionsOf(resource).find((each) => each.type === type);
    if (condition === undefined || condition.status !== status || resource === undefined) return false;
    return condition.observedGeneration === undefined || condition.observedGeneration >= resource.metadata.generation;
  };
}

function conditionsOf(resource: UnknownResource | undefined): readonly Condition[] {
  const status = resource?.['status'] as { readonly conditions?: readonly Condition[] } | undefined;
  return Array.isArray(status?.conditions) ? status.conditions : [];
}

function lastSeen(seen: Seen): string {
  const { resource } = seen;
  if (!seen.any) return 'nothing yet';
  if (resource === undefined) return 'it did not exist';
  const { resourceVersion, generation, deletionTimestamp } = resource.metadata;
  const parts = [`resourceVersion ${resourceVersion}, generation ${generation}`];
  if (deletionTimestamp !== undefined) parts.push('being deleted');
  const phase = (resource['status'] as { readonly phase?: unknown } | undefined)?.phase;
  if (typeof phase === 'string') parts.push(`phase ${printable(phase)}`);
  for (const { type, status, reason, message, observedGeneration } of conditionsOf(resource)) {
    const at = observedGeneration !== undefined && observedGeneration < generation ? `, observed at generation ${observedGeneration}` : '';
    parts.push(`${printable(`${type}=${status} (${reason}${message === '' ? '' : `: ${message}`})`, 200)}${at}`);
  }
  return parts.join(', ');
}
