/**
 * Who can tell the story of an object: the test store or rig that it was read from.
 *
 * Invariant: objects are held weakly; nothing is kept alive by having been read.
 */
const tellers = new WeakMap<object, object>();

/** What objects come in: a list, a batch of a watch, an event or a version, a step of an iteration. */
const parts = ['items', 'events', 'resource', 'value'] as const;

/** Remembers where an object, or those in what was given, came from; gives it back. */
export function remember<T>(result: T, teller: object): T {
  if (typeof result !== 'object' || result === null) return result;
  if ('metadata' in result) tellers.set(result, teller);
  else if (Array.isArray(result)) for (const item of result as unknown[]) remember(item, teller);
  else for (const part of parts) if (part in result) remember((result as Record<string, unknown>)[part], teller);
  return result;
}

/** Where an object came from; undefined when that is not known. */
export function tellerOf(subject: unknown): object | undefined {
  return typeof subject === 'object' && subject !== null ? tellers.get(subject) : undefined;
}
