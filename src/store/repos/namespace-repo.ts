/** The repo of namespaces: the general verbs, and what may be asked of one by its bare name. */
import { Namespace } from '../../schemas/index.js';
import type { Store, WriteOptions } from '../types.js';
import { repo } from './repo.js';
import type { Ensured, Repo, RepoOptions } from './types.js';

/** `absent`: never made, or gone. A terminating namespace takes no new objects. */
export type NamespaceState = 'active' | 'terminating' | 'absent';

/** Namespaces. */
export interface NamespaceRepo extends Repo<typeof Namespace> {
  /** Makes a namespace unless it is there. */
  ensureExists(name: string, options?: WriteOptions): Promise<Ensured<typeof Namespace>>;
  state(name: string): Promise<NamespaceState>;
}

export function createNamespaceRepo(store: Store, options?: RepoOptions): NamespaceRepo {
  const base = repo(store, Namespace, options);
  return Object.freeze({
    ...base,
    ensureExists: (name: string, write?: WriteOptions) => base.ensure({ metadata: { name } }, write),
    async state(name: string): Promise<NamespaceState> {
      const found = await base.find({ name });
      if (found === undefined) return 'absent';
      return found.metadata.deletionTimestamp === undefined && found.status?.phase !== 'Terminating' ? 'active' : 'terminating';
    },
  });
}
