/** The repo of secrets: what is special to them (sealing) is done by the store; here are only the verbs on single keys. */
import { Secret } from '../../schemas/index.js';
import type { Store } from '../types.js';
import { createDataRepo } from './data-repo.js';
import type { DataRepo } from './data-repo.js';
import type { RepoOptions } from './types.js';

/** Secrets, in plain text for their callers and sealed everywhere else. */
export type SecretRepo = DataRepo<typeof Secret>;

/** @example await createSecretRepo(store).value('secret:db.prod.rune/password') */
export function createSecretRepo(store: Store, options?: RepoOptions): SecretRepo {
  return createDataRepo(store, Secret, options);
}
