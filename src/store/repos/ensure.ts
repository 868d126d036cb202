/**
 * Create or converge: afterwards the object says what was given, and what others say besides.
 *
 * Invariant: when it says so already, nothing is written.
 */
import { equalJson, invalid, InvalidError, isAlreadyExists, isNotFound, takeJson, tellingOf } from '../../schemas/index.js';
import type { AnyDefinition, InputOf, ResourceOf } from '../../schemas/index.js';
import { threeWayApply } from '../patch/index.js';
import { placeOf } from './address.js';
import { describe, findIn } from './binding.js';
import type { Binding } from './binding.js';
import { retryOnConflict } from './mutate.js';
import type { Ensured, EnsureOptions } from './types.js';

export async function ensure<D extends AnyDefinition>(
  binding: Binding<D>,
  resource: InputOf<D>,
  options: EnsureOptions,
): Promise<Ensured<D>> {
  const { definition } = binding;
  const { namespace, name } = placeOf(definition, resource, binding.options.defaultNamespace);
  if (name === undefined) {
    throw new InvalidError(`ensure needs a name to find the ${definition.type} by: give metadata.name, not generateName`, {
      causes: [{ reason: 'FieldValueRequired', field: 'metadata.name', message: 'must be given' }],
    });
  }
  const target = { namespace, name };
  const what = describe(definition, target);
  const { sensitivePaths } = definition;
  const { schema } = definition;
  // Taken now: what the caller changes while this waits is not part of it.
  const { causes, copy: wanted } = takeJson(resource, '', tellingOf({ schema, sensitivePaths, clear: [resource] }));
  if (causes !== undefined) throw invalid(what, causes);
  const { retries, ...write } = options;

  return retryOnConflict(binding, { what: `ensuring ${what}`, retries, signal: options.signal, lostTo }, async (again) => {
    const current = await findIn(binding, target);
    if (current === undefined) {
      const fresh = threeWayApply({ manifest: wanted, schema }) as InputOf<D>;
      return { resource: await again(binding.create(namespace, name, fresh, write)), operation: 'created' as const };
    }
    const converge = (live: unknown): ResourceOf<D> => threeWayApply({ manifest: wanted, live, schema }) as ResourceOf<D>;
    if (equalJson(converge(current), current)) return { resource: current, operation: 'unchanged' as const };
    const resource = await again(binding.modify(target, converge, write));
    return { resource, operation: equalJson(resource, current) ? ('unchanged' as const) : ('updated' as const) };
  });
}

/** Somebody created or deleted it between the look and the write: look again. */
function lostTo(error: unknown): boolean {
  return isAlreadyExists(error) || isNotFound(error);
}
