/** A repo whose waits move virtual time (without it, a wait for what takes time would wait for ever), and say where objects came from. */
import type { AnyDefinition } from '../schemas/index.js';
import { repo, type Repo, type Store } from '../store/index.js';
import type { Pump } from './pump.js';
import { remember } from './subjects.js';

/** The repo of a type on a store that is driven by a pump; `teller` tells the story of its objects. */
export function drivenRepo<D extends AnyDefinition>(
  store: Store,
  definition: D,
  { pump, teller }: { readonly pump: Pump | undefined; readonly teller: object },
): Repo<D> {
  const plain = repo(store, definition);
  const waitFor = async (...args: Parameters<Repo<D>['waitFor']>): Promise<unknown> => {
    const waiting = plain.waitFor(...args);
    const within = args[2]?.timeout === undefined ? undefined : Infinity;
    return remember(await (pump === undefined ? waiting : pump.drive(waiting, { within, what: `waitFor of ${definition.type}` })), teller);
  };
  return { ...plain, waitFor } as Repo<D>;
}
