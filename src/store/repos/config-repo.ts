/** The repo of configs: the general verbs, and those on single keys. */
import { Config } from '../../schemas/index.js';
import type { Store } from '../types.js';
import { createDataRepo } from './data-repo.js';
import type { DataRepo } from './data-repo.js';
import type { RepoOptions } from './types.js';

/** Configs. */
export type ConfigRepo = DataRepo<typeof Config>;

/** @example await createConfigRepo(store).setValues({ namespace: 'prod', name: 'web' }, { 'log.level': 'debug' }) */
export function createConfigRepo(store: Store, options?: RepoOptions): ConfigRepo {
  return createDataRepo(store, Config, options);
}
