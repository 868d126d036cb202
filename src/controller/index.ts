export { ChangeCause, describeCause } from './causes.js';
export type { Cause, ChangeSource, ChangeType, ConflictCause, PushCause, ResumeCause, RetryCause, TimerCause } from './causes.js';
export { controllerDefaults, managerDefaults } from './defaults.js';
export { defineController } from './definition.js';
export { isTerminal, TerminalError } from './errors.js';
export type { CollectorStats } from './gc/index.js';
export type { Check as HealthCheck, Report as HealthReport } from './health.js';
export type { HttpOptions } from './http.js';
export type { RunReport } from './journal.js';
export type { LeaderElectionOptions } from './leases/index.js';
export { createManager } from './manager.js';
export type { Explanation, Manager, ManagerOptions, ManagerState, StopReport, UnsettledKey } from './manager-types.js';
export * from './metrics/index.js';
export { decide } from './outcome.js';
export type { Outcome, ReconcileResult, ResultLabel, RunEnd, RunPast } from './outcome.js';
export { controllerOf, controllerReference, refersTo, withController } from './owners.js';
export type { Ownable, OwnerLike, Ownership } from './owners.js';
export { PAUSED_ANNOTATION, PAUSED_BY_ANNOTATION } from './pause.js';
export type { Pause, PauseHandle, PauseOptions } from './pause.js';
export { and, annotationsChanged, generationChanged, labelsChanged, not, or, pathChanged } from './predicates.js';
export type { Predicate, PredicateEvent, PredicateObject } from './predicates.js';
export * from './queue/index.js';
export { createIterableSource, createPushSource } from './source.js';
export type { PushOptions, PushSource, Source, SourceContext, SourceItem, SourceSink } from './source.js';
export type { Terminating, TerminatingObject, TerminatingOptions } from './terminating.js';
export type {
  ControllerDefinition,
  ControllerInput,
  Echo,
  MapResult,
  OwnInput,
  OwnSpec,
  RateLimiterOptions,
  ReconcileContext,
  StatusInput,
  WatchInput,
  WatchSpec,
} from './types.js';
