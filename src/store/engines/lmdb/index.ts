/** The LMDB engine. */
export { lmdbEngine } from './engine.js';
export type { LmdbEngineOptions } from './engine.js';
