export { GarbageCollector, type CollectorStats } from './collector.js';
