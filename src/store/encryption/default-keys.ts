/**
 * The keys of a store whose user named none. They live where the data lives and as long, so that nothing that was written
 * can be lost by moving a directory or a container's volume; they are in no backup. That protects backups and copies of
 * the data file, not a copy of the whole directory.
 */
import { join } from 'node:path';
import { generatedKeys } from './generated-keys.js';
import type { KeyProvider } from './key-provider.js';
import { vaultKeys } from './providers.js';

/** Inside the directory of the data. */
export const KEYS_DIRECTORY = 'keys';

export function defaultKeys(keptWith: string | Map<string, Uint8Array> | undefined): KeyProvider | undefined {
  if (keptWith === undefined) return undefined;
  return typeof keptWith === 'string' ? generatedKeys({ directory: join(keptWith, KEYS_DIRECTORY) }) : vaultKeys('memory', keptWith);
}
