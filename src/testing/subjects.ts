/**
 * Who can tell the story of an object: the test store or rig that it was read from.
 *
 * Invariant: objects are held weakly; nothing is kept alive by having been read.
 */
const tellers = new WeakMap<object, object>();

/** Remembers where an object, or the items of a list, came from; gives it back. */
export function remember<T>(result: T, teller: object): T {
  if (typeof result !== 'object' || result === null) return result;
  if ('metadata' in result) tellers.set(result, teller);
  else if ('items' in result && Array.isArray(result.items)) for (const item of result.items as unknown[]) remember(item, teller);
  return result;
}

/** Where an object came from; undefined when that is not known. */
export function tellerOf(subject: unknown): object | undefined {
  return typeof subject === 'object' && subject !== null ? tellers.get(subject) : undefined;
}
