/**
 * What users see of encryption: where keys come from. The rest is the store's own.
 */
export { ephemeralKeys, environmentKeys, fileKeys } from './providers.js';
export type { EnvironmentKeysOptions, FileKeysOptions } from './providers.js';
export { generatedKeys } from './generated-keys.js';
export type { GeneratedKeysOptions } from './generated-keys.js';
export { kmsKeys } from './kms-keys.js';
export type { KmsCall, KmsKeysOptions } from './kms-keys.js';
export type { KeyOwner, KeyProvider, KeyRequest, KnownKey, ProvidedKey, ProvidedKeys } from './key-provider.js';
export type { SecretsOptions } from './secrets.js';
