/**
 * Writes the status and conditions that a run collected: once, after it, and only if they change something.
 *
 * Invariants: the write is conditional on the version it was computed from. When another wrote meanwhile, it is computed
 * again on what is there now, unless that other changed the status: then it is a conflict, and the key runs again.
 */
import { ConflictError, equalJson, getPath, isConflict, isNotFound, mergePatch } from '../schemas/index.js';
import type { AnyDefinition, Condition, DeepReadonly, UnknownResource } from '../schemas/index.js';
import { setConditionIn } from '../store/index.js';
import type { Clock, StoreVerbs } from '../store/index.js';
import { controllerDefaults } from './defaults.js';
import type { Run } from './run.js';

/** What the write needs of the controller. */
export interface StatusTarget {
  readonly store: StoreVerbs;
  readonly definition: AnyDefinition;
  readonly clock: Clock;
}

type StatusObject = DeepReadonly<UnknownResource> & { readonly status?: Readonly<Record<string, unknown>> | undefined };

/**
 * Writes what was collected; with `conditionsOnly` the status given through `status()` is left out (the run threw).
 *
 * @throws {ConflictError} when the status was changed by another since the run began.
 */
export async function writeStatus(run: Run, target: StatusTarget, conditionsOnly: boolean): Promise<void> {
  const seen = run.object as StatusObject;
  const { name, uid, generation } = seen.metadata;
  // After writes of its own the version the run saw is surely old: do not lose a round finding out.
  let live: StatusObject | undefined = !run.wrote ? seen : undefined;
  for (let tries = 1; ; tries += 1) {
    live ??= await find(target, seen);
    if (live === undefined || live.metadata.uid !== uid) return;
    if (live !== seen && !isOwn(run, live) && !sameStatus(live, seen, target.definition)) {
      const { resourceVersion } = live.metadata;
      throw new ConflictError(
        `the status of ${target.definition.type} ${name} was changed by another at revision ${resourceVersion}, while the reconciler worked on revision ${seen.metadata.resourceVersion}; it runs again on what is there now`,
        { currentRevision: resourceVersion },
      );
    }
    const status = nextStatus(run, target, { base: live.status, generation, conditionsOnly });
    const patch = statusDiff(live.status ?? {}, status);
    if (patch === undefined) return;
    try {
      await write(run, target, live, patch);
      return;
    } catch (error) {
      if (isNotFound(error)) return;
      if (!isConflict(error) || tries >= controllerDefaults.writeTries) throw error;
      live = undefined;
    }
  }
}

async function find({ store, definition }: StatusTarget, { metadata }: StatusObject): Promise<StatusObject | undefined> {
  try {
    return (await store.get(definition, metadata.namespace, metadata.name)) as StatusObject;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function write(run: Run, { store, definition }: StatusTarget, base: StatusObject, status: Record<string, unknown>): Promise<void> {
  const { namespace, name, resourceVersion } = base.metadata;
  await run.ownWrite({ type: definition.type, version: resourceVersion }, (receipt) =>
    store.patch(
      definition,
      namespace,
      name,
      { metadata: { resourceVersion }, status },
      { type: 'merge', source: run.source, receipt, ...(definition.subresources.status ? { subresource: 'status' } : {}) },
    ),
  );
}

/** Sealed values cannot be compared with opened ones: then only the version would tell, and it differs. */
function sameStatus(live: StatusObject, seen: StatusObject, definition: AnyDefinition): boolean {
  return definition.sensitivePaths.some((path) => path[0] === 'status') || equalJson(live.status, seen.status);
}

/** Whether the object's present version was written by this very run. */
function isOwn(run: Run, object: StatusObject): boolean {
  // Without a version it was written in this run's own transaction.
  const version = object.metadata.resourceVersion as string | undefined;
  if (version === undefined) return true;
  return run.record?.isOwn(version) === true;
}

function nextStatus(
  run: Run,
  { definition, clock }: StatusTarget,
  {
    base,
    generation,
    conditionsOnly,
  }: { readonly base: StatusObject['status']; readonly generation: number; readonly conditionsOnly: boolean },
): Record<string, unknown> {
  let status = (base ?? {}) as Record<string, unknown>;
  if (!conditionsOnly) for (const patch of run.statusPatches ?? []) status = mergePatch(status, patch) as Record<string, unknown>;
  if (run.conditions !== undefined) {
    const now = new Date(clock.now()).toISOString();
    let conditions = (status['conditions'] ?? []) as readonly Condition[];
    for (const { type, status: value, reason, message } of run.conditions) {
      conditions = setConditionIn(
        conditions,
        { type, status: value, reason: reason ?? type, message: message ?? '' },
        { now, observedGeneration: generation },
      );
    }
    status = { ...status, conditions };
  }
  // A throw means that the generation was not dealt with.
  if (!conditionsOnly && observesGeneration(definition)) status = { ...status, observedGeneration: generation };
  return status;
}

/** Whether the type's status has an `observedGeneration`. */
function observesGeneration(definition: AnyDefinition): boolean {
  return getPath(definition.schema, 'properties.status.properties.observedGeneration') !== undefined;
}

/** The merge patch that makes `to` of `from`; undefined when they are equal. */
export function statusDiff(
  from: Readonly<Record<string, unknown>>,
  to: Readonly<Record<string, unknown>>,
): Record<string, unknown> | undefined {
  let patch: Record<string, unknown> | undefined;
  for (const key of Object.keys(to)) {
    const before = from[key];
    const after = to[key];
    if (after === undefined || equalJson(before, after)) continue;
    const inner = isRecord(before) && isRecord(after) ? statusDiff(before, after) : after;
    if (inner !== undefined) (patch ??= {})[key] = inner;
  }
  for (const key of Object.keys(from)) {
    if (from[key] !== undefined && to[key] === undefined) (patch ??= {})[key] = null;
  }
  return patch;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
