export type { Clock, Deps, Entropy, Ids, Logger, Random, Scheduler, Timer } from './deps.js';
export { systemDeps } from './system-deps.js';
export * from './timing.js';
export type {
  Change as EngineChange,
  ChangeBatch,
  CommitRequest,
  CommitResult,
  CompactOptions,
  Engine,
  EngineMeta,
  EngineSource,
  EngineStats,
  EntriesOf,
  Entry,
  IndexEntry,
  Key,
  Precondition,
  Prefix,
  Premise,
  RangeOptions,
  InPlaceBatch,
  InPlaceRange,
  InPlaceReads,
  LoggedWrite,
  RangeResult,
  RetentionPolicy,
  RevisionRef,
  Rewrite,
  Verb,
  VersionInfo,
  VersionPosition,
  VersionsOptions,
  Write,
  WriteMeta,
} from './engine.js';
export { versionMark } from './version-mark.js';
export * from './engines/index.js';
export { jsonCodec } from './codecs/json.js';
export type { Codec } from './codecs/json.js';
export { msgpackCodec } from './codecs/msgpack.js';
export * from './encryption/public.js';
export { openStore } from './open-store.js';
export type { OpenStoreOptions } from './options.js';
export type * from './types.js';
export * from './repos/index.js';
