export { informerDefaults } from './defaults.js';
export { createInformers } from './informers.js';
export type {
  Cacheable,
  CacheQuery,
  HandlerHandle,
  HandlerOptions,
  Informer,
  InformerHandler,
  InformerMetrics,
  InformerOptions,
  Informers,
  InformersOptions,
  InformerStats,
  Lister,
  WaitOptions,
} from './types.js';
