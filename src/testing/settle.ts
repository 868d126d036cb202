/**
 * Runs a rig until nothing is queued, running or due.
 *
 * Invariants: time moves only for what is under way (a reconcile that waits, a late call or event, a watch that is being opened
 * again) and for retries, of which the first few are followed; never for a `requeueAfter`. What goes on for ever ends with an
 * error that names the key and what keeps it going.
 */
import { ChangeCause } from '../controller/index.js';
import type { Manager } from '../controller/index.js';
import { parseDuration, StatusError, TimeoutError } from '../schemas/index.js';
import type { Duration } from '../schemas/index.js';
import type { RigProcess } from './rig-process.js';
import { didRun, whyRan, type RigRun, type RunLog } from './run-log.js';
import type { VirtualDeps } from './virtual-deps.js';

/** How far a rig settles. */
export interface SettleOptions {
  /** How many retries of a failing key are followed; the rest is left to `advance`. Default 5. */
  readonly retries?: number | undefined;
  /** More runs of one key than this are a livelock. Default 1,000. */
  readonly maxRuns?: number | undefined;
  /** Most virtual time that may pass. Default '1h'. */
  readonly within?: Duration | number | undefined;
}

/** A key that will run later. */
export interface WaitingKey {
  readonly controller: string;
  readonly key: string;
  /** ms until it runs. */
  readonly dueInMs: number;
  /** Failures in a row. */
  readonly failures: number;
  readonly why: string;
}

/** What settling did. */
export interface SettleReport {
  /** Runs that took place. */
  readonly runs: number;
  /** Virtual time that passed, ms. */
  readonly elapsedMs: number;
  /** Keys that wait for their time: a `requeueAfter`, or a backoff. */
  readonly waiting: readonly WaitingKey[];
}

/** A key goes on for ever. */
export class LivelockError extends StatusError {
  readonly controller: string;
  readonly key: string;

  constructor(message: string, at: { readonly controller: string; readonly key: string }) {
    super(message, { code: 508, reason: 'InternalError', name: 'LivelockError', details: at });
    this.controller = at.controller;
    this.key = at.key;
  }
}

/** What settling looks at: asked for anew whenever something may have changed. */
export interface SettleHost {
  readonly deps: VirtualDeps;
  readonly runs: RunLog;
  readonly process: RigProcess;
  /** While it is being started there is nothing to settle yet. */
  readonly starting: boolean;
  /** Whether there may be something to collect. */
  readonly collects: boolean;
}

export async function settle(host: () => SettleHost, options: SettleOptions = {}): Promise<SettleReport> {
  const { deps, runs } = host();
  const within = parseDuration(options.within ?? '1h', 'within');
  const retries = options.retries ?? 5;
  const began = deps.clock.monotonic();
  const before = runs.runs.length;
  runs.mark(options.maxRuns ?? 1_000);
  for (;;) {
    await deps.flush({ while: () => runs.livelock === undefined });
    if (runs.livelock !== undefined) checkLivelock(runs, before);
    if (!host().starting) {
      const busy = whatIsBusy(host(), retries);
      if (busy === undefined) break;
      if (deps.clock.monotonic() - began >= within) {
        checkLivelock(runs, before);
        throw new TimeoutError(`the rig did not settle within ${within} ms of virtual time: ${busy}`);
      }
    }
    // Due at once, where something became ready while we looked.
    if (deps.pending().deferred > 0) continue;
    if (!(await deps.step({ unref: true, while: () => runs.livelock === undefined }))) {
      throw new TimeoutError(
        `the rig cannot settle: ${whatIsBusy(host(), retries) ?? 'it is starting'}, and nothing is due that could end it`,
      );
    }
  }
  const done = runs.runs;
  checkLivelock(runs, before, done);
  let count = 0;
  for (let index = before; index < done.length; index += 1) if (didRun(done[index] as RigRun)) count += 1;
  return { runs: count, elapsedMs: deps.clock.monotonic() - began, waiting: waitingKeys(host().process.manager) };
}

/** What is under way, in words; undefined: nothing. */
export function whatIsBusy({ process, collects }: Pick<SettleHost, 'process' | 'collects'>, retries: number): string | undefined {
  const { manager, face, store } = process;
  if (manager === undefined || store === undefined) return undefined;
  if (manager.state === 'stopped' || manager.state === 'stopping') return undefined;
  if (manager.state === 'standby') return 'the manager stands by for its lease';
  for (const controller of manager.controllers) {
    const queue = manager.queue(controller);
    if (queue.len() > 0 || queue.processing() > 0) {
      const item = queue.inspect().find((each) => each.state !== 'delayed');
      if (item !== undefined)
        return `controller ${controller} has ${item.key} in hand (${item.state}${item.runningMs === undefined ? '' : ` for ${Math.round(item.runningMs)} ms`})`;
    }
    if (queue.delayed() === 0) continue;
    const retry = queue.inspect().find((each) => each.state === 'delayed' && each.attempts > 0 && each.attempts <= retries);
    if (retry !== undefined) return `controller ${controller} retries ${retry.key} after ${retry.attempts} failures`;
  }
  if (face.calls > 0) return `${face.calls} calls of the store are under way`;
  if (face.late) return 'events are on their way to a watch';
  const revision = Number(store.revision);
  for (const informer of manager.informers.list) {
    if (!informer.synced) return `the informer of ${informer.definition.type} has not synced`;
    if (Number(informer.resourceVersion) < revision) return `the informer of ${informer.definition.type} is behind`;
  }
  const collection = manager.collection();
  if (collects && collection !== undefined && (!collection.synced || !face.isWatched('*')))
    return 'the garbage collector is finding out what exists';
  if (collection !== undefined && collection.pending > 0) return 'the garbage collector is at work';
  return undefined;
}

/** Keys that will run by themselves, soonest first. */
export function waitingKeys(manager: Manager | undefined): readonly WaitingKey[] {
  if (manager === undefined || manager.state === 'stopped') return [];
  const found: WaitingKey[] = [];
  for (const controller of manager.controllers) {
    for (const { state, key, dueInMs, attempts, causes } of manager.queue(controller).inspect()) {
      if (state === 'delayed') found.push({ controller, key, dueInMs: dueInMs ?? 0, failures: attempts, why: whyRan({ causes }) });
    }
  }
  return found.sort((a, b) => a.dueInMs - b.dueInMs);
}

/** @throws {LivelockError} when a key goes on for ever, or would if the runtime did not slow it. */
export function checkLivelock(runs: RunLog, since: number, all: readonly RigRun[] = runs.runs): void {
  const { livelock } = runs;
  if (livelock !== undefined) {
    const { controller, key } = livelock;
    const last = all.findLast((run) => run.controller === controller && run.key === key);
    const others = new Set(
      all
        .slice(-50)
        .filter((run) => run.controller !== controller || run.key !== key)
        .map((run) => `${run.controller} ${run.key}`),
    );
    const beside = others.size === 0 ? '' : `; beside it ran ${[...others].slice(0, 5).join(', ')}`;
    throw new LivelockError(
      `livelock: controller ${controller} has run ${key} ${livelock.runs} times and it does not come to rest; its last run was caused by: ${last === undefined ? 'unknown' : whyRan(last)}${beside}`,
      { controller, key },
    );
  }
  for (let index = since; index < all.length; index += 1) {
    const slowed = all[index] as RigRun;
    if (slowed.outcome !== 'slowed') continue;
    const { controller, key } = slowed;
    const fields = [...new Set(slowed.causes.flatMap((cause) => (cause instanceof ChangeCause ? cause.fields : [])))];
    throw new LivelockError(
      `livelock: controller ${controller} keeps running ${key} by its own writes${fields.length === 0 ? '' : `, which keep changing ${fields.join(', ')}`}; write only when something has to change`,
      { controller, key },
    );
  }
}
