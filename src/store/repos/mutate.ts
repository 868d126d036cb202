/**
 * Read, change, write; and again from the new state when somebody else wrote in between. A change that turns out to be
 * synchronous is then made in the writers' line, where it cannot lose again; one that awaits is repeated with backoff.
 *
 * Invariants: a change that changes nothing writes nothing; what the write would not carry (the status without the
 * subresource, anything else with it) is refused instead of being lost; every retry works on a fresh copy.
 */
import { cloneJson, ConflictError, diffPaths, equalJson, InvalidError, isConflict } from '../../schemas/index.js';
import type { AnyDefinition, InputOf, ResourceOf } from '../../schemas/index.js';
import { sleep, throwIfAborted } from '../timing.js';
import type { UpdateOptions } from '../types.js';
import { checkUid, describe } from './binding.js';
import type { Binding } from './binding.js';
import type { Target } from './address.js';
import type { Change, MutateOptions } from './types.js';

/** Retries at once so often; from then on, writers of one object step out of each other's way. */
const RETRIES_AT_ONCE = 3;
const BACKOFF_BASE_MS = 5;
const BACKOFF_MOST_MS = 250;
const DEFAULT_RETRIES = 10;

export async function mutate<D extends AnyDefinition>(
  binding: Binding<D>,
  target: Target,
  change: Change<D>,
  options: MutateOptions,
): Promise<ResourceOf<D>> {
  const { retries, ...write } = options;
  let synchronous = false;
  return retryOnConflict(
    binding,
    { what: `the change of ${describe(binding.definition, target)}`, retries, signal: options.signal },
    async (again) => {
      if (synchronous) return modify(binding, target, change, write);
      const current = await binding.get(target);
      checkUid(binding.definition, target, current.metadata);
      const draft = cloneJson(current);
      const returned = change(draft);
      synchronous = !(returned instanceof Promise);
      const next = ((await returned) ?? draft) as ResourceOf<D>;
      checkReach(binding.definition, current, next, options.subresource);
      if (equalJson(next, current)) return current;
      throwIfAborted(options.signal, 'a change');
      return again(binding.update(target, pinned(binding, next, current), write));
    },
  );
}

/** A synchronous change on the newest state, held to the same rules; it is never lost to another writer. */
export function modify<D extends AnyDefinition>(
  binding: Binding<D>,
  target: Target,
  change: Change<D>,
  options: UpdateOptions,
): Promise<ResourceOf<D>> {
  const { definition } = binding;
  return binding.modify(
    target,
    (draft) => {
      checkUid(definition, target, draft.metadata);
      const before = cloneJson(draft);
      const returned = change(draft);
      // The store says that a change must not be a promise.
      if (returned instanceof Promise) return returned;
      const next = (returned ?? draft) as ResourceOf<D>;
      checkReach(definition, before, next, options.subresource);
      return next;
    },
    options,
  );
}

/**
 * Runs `attempt` until its write goes through. Only a conflict of the write passed to `again` is retried: another comes from
 * the caller's own code or means something else.
 *
 * @throws {ConflictError} after the last retry.
 */
export async function retryOnConflict<R>(
  binding: Binding<AnyDefinition>,
  options: {
    readonly what: string;
    readonly retries?: number | undefined;
    readonly signal?: AbortSignal | undefined;
    /** Which errors of a write mean that somebody else was faster. Default: conflicts. */
    readonly lostTo?: ((error: unknown) => boolean) | undefined;
  },
  attempt: (again: <T>(write: Promise<T>) => Promise<T>) => Promise<R>,
): Promise<R> {
  const { what, retries = DEFAULT_RETRIES, signal, lostTo = isConflict } = options;
  if (!Number.isInteger(retries) || retries < 0) {
    throw new InvalidError(`retries must be a whole number, 0 or more, not ${String(retries)}`, {
      causes: [{ reason: 'FieldValueInvalid', field: 'retries', message: 'must be a whole number, 0 or more' }],
    });
  }
  for (let failures = 0; ;) {
    throwIfAborted(signal, what);
    let lost: unknown;
    try {
      return await attempt((write) =>
        write.catch((error: unknown) => {
          lost = error;
          throw error;
        }),
      );
    } catch (error) {
      if (lost === undefined || error !== lost || !lostTo(error)) throw error;
      failures += 1;
      if (failures > retries) {
        throw new ConflictError(`${what} lost to other writers ${failures} times: try again later`, {
          cause: error,
          ...(isConflict(error) ? { details: error.details, currentRevision: error.currentRevision } : {}),
        });
      }
    }
    await stepAside(binding, failures, signal);
  }
}

async function stepAside(binding: Binding<AnyDefinition>, failures: number, signal: AbortSignal | undefined): Promise<void> {
  const { store } = binding;
  if (store === undefined || failures <= RETRIES_AT_ONCE) return;
  const most = Math.min(BACKOFF_MOST_MS, BACKOFF_BASE_MS * 2 ** (failures - RETRIES_AT_ONCE));
  await sleep(store.deps, Math.ceil(store.deps.random.next() * most), { signal });
}

/** The object with the resourceVersion that was read: the write is lost when that is no longer current. */
function pinned<D extends AnyDefinition>(binding: Binding<D>, next: ResourceOf<D>, current: ResourceOf<D>): InputOf<D> {
  const { resourceVersion: _, ...metadata } = next.metadata;
  // A transaction checks at its commit what it has read, and has no revision for what it wrote itself.
  const { resourceVersion } = current.metadata;
  const pin = binding.store === undefined ? {} : { resourceVersion };
  return { ...next, metadata: { ...metadata, ...pin } };
}

/** @throws {InvalidError} when the change would be lost, or is of another object. */
function checkReach(
  definition: AnyDefinition,
  current: ResourceOf<AnyDefinition>,
  next: ResourceOf<AnyDefinition>,
  subresource: 'status' | undefined,
): void {
  const what = describe(definition, current.metadata);
  for (const field of ['name', 'namespace', 'uid'] as const) {
    if (next.metadata?.[field] !== current.metadata[field]) {
      throw refused(`the change of ${what} must leave metadata.${field} alone`, `metadata.${field}`);
    }
  }
  if (subresource === 'status') {
    const lost = diffPaths(withoutStatus(current), withoutStatus(next), 3);
    if (lost.length > 0)
      throw refused(
        `a status write of ${what} cannot change ${lost.join(', ')}: leave subresource out, and change the status in a write of its own`,
        lost[0] as string,
      );
  } else if (definition.subresources.status && !equalJson(next['status'], current['status'])) {
    throw refused(`this write of ${what} cannot change its status: pass { subresource: 'status' }, in a write of its own`, 'status');
  }
}

function withoutStatus(resource: ResourceOf<AnyDefinition>): unknown {
  const { status: _, ...rest } = resource;
  const { resourceVersion: __, ...metadata } = rest.metadata;
  return { ...rest, metadata };
}

function refused(message: string, field: string): InvalidError {
  return new InvalidError(message, { causes: [{ reason: 'FieldValueForbidden', field, message: 'would not be written' }] });
}
