/** The engines that ship. */
export { memoryEngine } from './memory/index.js';
export type { MemoryEngineOptions, MemorySource } from './memory/index.js';
export { lmdbEngine } from './lmdb/index.js';
export type { LmdbEngineOptions } from './lmdb/index.js';
