/** A repo whose waits move virtual time: without it, a wait for what takes time would wait for ever. */
import type { AnyDefinition } from '../schemas/index.js';
import { repo, type Repo, type Store } from '../store/index.js';
import type { Pump } from './pump.js';

/** The repo of a type on a store that is driven by a pump. */
export function drivenRepo<D extends AnyDefinition>(store: Store, definition: D, pump: Pump | undefined): Repo<D> {
  const plain = repo(store, definition);
  if (pump === undefined) return plain;
  const waitFor = (...args: Parameters<Repo<D>['waitFor']>): Promise<unknown> =>
    pump.drive(plain.waitFor(...args), {
      within: args[2]?.timeout === undefined ? undefined : Infinity,
      what: `waitFor of ${definition.type}`,
    });
  return { ...plain, waitFor } as Repo<D>;
}
