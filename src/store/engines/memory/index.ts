/** The memory engine. */
export { memoryEngine } from './source.js';
export type { MemoryEngineOptions, MemorySource } from './source.js';
