/** A manager as the program that runs it sees it. The contract in prose is docs/manager.md. */
import type { Duration, ObjectKey } from '../schemas/index.js';
import type { Logger, Store } from '../store/index.js';
import type { Informers } from '../informer/index.js';
import type { Cause } from './causes.js';
import type { CollectorStats } from './gc/index.js';
import type { Report } from './health.js';
import type { HttpOptions } from './http.js';
import type { RunReport } from './journal.js';
import type { LeaderElectionOptions } from './leases/index.js';
import type { MetricsRegistry } from './metrics/index.js';
import type { Pause, PauseHandle, PauseOptions } from './pause.js';
import type { WorkQueue } from './queue/index.js';
import type { PushOptions } from './source.js';
import type { Terminating, TerminatingObject, TerminatingOptions } from './terminating.js';
import type { ControllerDefinition } from './types.js';

/** What `createManager` is given. */
export interface ManagerOptions {
  readonly store: Store;
  readonly controllers?: readonly ControllerDefinition[] | undefined;
  /** Shared with others, who stop them. Default: its own. */
  readonly informers?: Informers | undefined;
  /** pino, or anything of its shape. Default: the store's. */
  readonly logger?: Logger | undefined;
  /** Default: its own registry. */
  readonly metrics?: MetricsRegistry | undefined;
  /** Only one of several processes runs the controllers. Default false: it runs alone and writes no lease. */
  readonly leaderElection?: false | LeaderElectionOptions | undefined;
  /** How long a stop waits for running reconciles. Default '30s'. */
  readonly gracePeriod?: Duration | undefined;
  /** Of `run`: stops on SIGINT and SIGTERM; a second one exits with 1. Default false: nothing is installed. */
  readonly signals?: boolean | undefined;
  /** Serves /metrics, /healthz and /readyz. Default: no server. */
  readonly http?: HttpOptions | undefined;
  /** Starts the sources while it stands by, so that a new leader starts at once. Default true. */
  readonly warmup?: boolean | undefined;
  /** Runs the garbage collector. Default true. */
  readonly garbageCollection?: boolean | undefined;
  /** Work that waits while nothing finishes for this long fails readiness, and so do a watch that stands still and a write that is not answered. Default '60s'. */
  readonly wedgedAfter?: Duration | undefined;
  /** A store that takes longer to answer a read fails readiness. Default '5s'. */
  readonly storeTimeout?: Duration | undefined;
  /** An event loop that is late by this much fails liveness. Default '10s'. */
  readonly loopLagLimit?: Duration | undefined;
}

export type ManagerState = 'new' | 'starting' | 'standby' | 'running' | 'stopping' | 'stopped';

/** A reconcile that did not settle. */
export interface UnsettledKey {
  readonly controller: string;
  readonly key: string;
}
/** What a stop found. */
export interface StopReport {
  /** Reconciles that did not settle within the grace period; what they still do has no effect. */
  readonly unsettled: readonly UnsettledKey[];
}

/** Why a key ran, how it went, and what comes next. */
export interface Explanation {
  readonly controller: string;
  readonly key: string;
  /**
   * `idle`: nothing to do until something changes. `terminating`: the same, of an object that is being deleted. `missing`: there is no
   * such object.
   */
  readonly state: 'running' | 'waiting' | 'delayed' | 'paused' | 'terminating' | 'idle' | 'missing';
  readonly resourceVersion: string | undefined;
  readonly paused: Pause | undefined;
  /** Of an object that is being deleted: since when, and which finalizers it waits for. */
  readonly terminating: Terminating | undefined;
  /** ms until it runs by itself; undefined when it does not. */
  readonly nextRunInMs: number | undefined;
  /** Why it will run. */
  readonly pending: readonly Cause[];
  /** Failures in a row. */
  readonly failures: number;
  readonly conflicts: number;
  /** Runs in a row that its own writes caused. */
  readonly ownRuns: number;
  /** The run in progress. */
  readonly running: RunReport | undefined;
  /** Past runs, newest first. */
  readonly runs: readonly RunReport[];
  /** All of that for people, one line each. */
  readonly lines: readonly string[];
}

/** Runs controllers. */
export interface Manager extends AsyncDisposable {
  readonly state: ManagerState;
  readonly informers: Informers;
  readonly metrics: MetricsRegistry;
  /** The names of its controllers. */
  readonly controllers: readonly string[];
  /**
   * Starts, waits for the signal (or a failure), and stops. Keeps the process alive until then, which `start` does not.
   *
   * @throws {Error} the failure that ended it, that of the stop, or both in an AggregateError. @throws {TimeoutError} when
   * reconciles did not settle within the grace period; it names them.
   */
  run(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /**
   * Starts: resolves when the controllers run, or stand by. When it fails, everything is stopped again.
   *
   * @throws {TimeoutError} when a source did not sync. @throws {InvalidError} when it was started before.
   */
  start(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** Stops, draining within the grace period. Stopping twice gives the same report. */
  stop(): Promise<StopReport>;
  /** Rejects when it fails while it runs (its lease is lost, its store closed); never resolves before it stops. */
  readonly failed: Promise<never>;
  /**
   * Adds a controller: resolves when its sources have synced, and it runs if the manager leads; at once where nothing has started
   * yet. One that fails is not added.
   *
   * @throws {ForbiddenError} while stopping. @throws {InvalidError} when its name is taken, be it by one that was removed and has
   * runs that have not settled. @throws {TimeoutError} when a source did not sync. @throws {AbortedError} when it is removed meanwhile.
   */
  add(controller: ControllerDefinition): Promise<void>;
  /** Stops a controller and forgets it, its metrics included; undefined when there is none of the name. */
  remove(name: string): Promise<StopReport | undefined>;
  /** Runs a key. False when it is stopped. @throws {NotFoundError} for an unknown controller. */
  enqueue(controller: string, key: ObjectKey | string, options?: PushOptions): boolean;
  /** Pauses a controller, or some of its objects. @throws {NotFoundError} */
  pause(controller: string, options: PauseOptions): PauseHandle;
  pauses(controller: string): readonly Pause[];
  /** @throws {NotFoundError} for an unknown controller. */
  explain(controller: string, key: ObjectKey | string): Explanation;
  /**
   * Past runs, newest first: of one key all that are kept, without one the newest 1,000 of all keys; at most `limit` (default 1,000).
   * @throws {NotFoundError}
   */
  runs(controller: string, key?: ObjectKey | string, options?: { readonly limit?: number | undefined }): readonly RunReport[];
  /** The queue of a controller, to look at. @throws {NotFoundError} */
  queue(controller: string): Pick<WorkQueue<Cause>, 'inspect' | 'len' | 'processing' | 'delayed' | 'oldestWait'>;
  /**
   * The finalizer age report: objects that their controllers see being deleted and that do not go, oldest first, with the finalizers
   * they wait for. @throws {NotFoundError} for an unknown controller. @throws {InvalidError}
   */
  terminating(options?: TerminatingOptions): readonly TerminatingObject[];
  /** Is the process alive? */
  healthz(): Report;
  /** Does it do its work? What it says of the store is the answer to the last question; each call asks anew. */
  readyz(): Report;
  /** What the garbage collector has in hand; undefined where it does not run. */
  collection(): CollectorStats | undefined;
  /** Where the HTTP server listens. */
  readonly address: { readonly host: string; readonly port: number } | undefined;
}
