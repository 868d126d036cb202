/** The test kit's door: re-exports alone. */
export { createCollectingLogger } from './collecting-logger.js';
export type { CollectingLogger, CollectingLoggerOptions, LogLevel, LogLine } from './collecting-logger.js';
export type { StoreCommit, StoreEvent } from './commit-log.js';
export type { EventFilter } from './event-filter.js';
export type { CallMatch, FailOptions, Fault, FaultOptions, FaultVerb, StoreCall, StoreVerb } from './faults.js';
export { eventually, hasCondition, hasEvent, isReconciled } from './matchers.js';
export type { ConditionDetails, ConditionStatus, EventQuery, EventuallyOptions, Verdict } from './matchers.js';
export { createMockStore } from './mock-store.js';
export type {
  MockedVerb,
  MockStoreOf,
  MockStoreOptions,
  MockStubs,
  RecordedCalls,
  SpyFunction,
  StubAnswer,
  StubOptions,
} from './mock-store.js';
export type { MockEvent, MockWatchHandle } from './mock-watch.js';
export type { DriveOptions } from './pump.js';
export { testRig, TestRig } from './rig.js';
export type { RigControllers, RunFilter, TestRigOptions } from './rig.js';
export type { RigState } from './rig-state.js';
export { whyRan } from './run-log.js';
export type { RigRun } from './run-log.js';
export { seededRandom } from './seeded-random.js';
export type { SeededRandom } from './seeded-random.js';
export { LivelockError } from './settle.js';
export type { SettleOptions, SettleReport, WaitingKey } from './settle.js';
export type { LoadedTestData, TestData } from './test-data.js';
export type { DeepPartial, TestInput, TestManifest, TestObject } from './test-objects.js';
export { openTestStore, TestStore } from './test-store.js';
export type { TestStoreOptions } from './test-store.js';
export { checkContract, ContractError } from './simulation/contract.js';
export type { ContractCheck, ContractCheckName, ContractOptions, ContractReport, ContractSubject } from './simulation/contract.js';
export { crashMatrix, CrashMatrixError } from './simulation/crash-matrix.js';
export type { CrashMatrixOptions, CrashMatrixReport } from './simulation/crash-matrix.js';
export { describeFault } from './simulation/fault-plan.js';
export type { FaultKind, PlannedFault } from './simulation/fault-plan.js';
export { defineScenario } from './simulation/scenario.js';
export type { Scenario, ScenarioControllers } from './simulation/scenario.js';
export { simulate, SimulationError } from './simulation/simulate.js';
export type { SimulateOptions, SimulationReport } from './simulation/simulate.js';
export { formatTimeline } from './timeline.js';
export type { TimelineEntry, TimelineSubject } from './timeline.js';
export { virtualDeps } from './virtual-deps.js';
export type { VirtualDeps, VirtualDepsOptions } from './virtual-deps.js';
export type { PendingTasks, RunOptions } from './virtual-scheduler.js';
export { engineConformance } from './conformance/engine-suite.js';
export type { EngineConformanceOptions } from './conformance/engine-kit.js';
export { storeConformance } from './conformance/store-suite.js';
export type { StoreSuiteOptions } from './conformance/store-suite.js';
export { StoreModel } from './conformance/store-model.js';
export type { ModelEvent, ModelObject, ModelOutcome, ModelStep } from './conformance/store-model.js';
export type { Runner } from './conformance/suite.js';
