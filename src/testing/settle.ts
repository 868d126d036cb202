/**
 * Runs a rig until nothing is queued, running or due.
 *
 * Invariants: time moves only for what is under way (a reconcile that waits, a late call or event, a watch that is being opened
 * again, a process that will be started again), for retries, of which the first few are followed, and for keys that the runtime
 * slows because they run themselves; never for a `requeueAfter`. What goes on for ever ends with an error that names the key and
 * what keeps it going.
 */
import { ChangeCause } from '../controller/index.js';
import type { Manager } from '../controller/index.js';
import { parseDuration, StatusError, TimeoutError } from '../schemas/index.js';
import type { Duration } from '../schemas/index.js';
import type { RigProcess } from './rig-process.js';
import { whyDown, type RigState } from './rig-state.js';
import { didRun, whyRan, type RigRun, type RunLog, type SlowedKey } from './run-log.js';
import type { VirtualDeps } from './virtual-deps.js';

/** How far a rig settles. */
export interface SettleOptions {
  /** How many retries of a failing key are followed; the rest is left to `advance`. Default 5. */
  readonly retries?: number | undefined;
  /** More runs of one key than this are a livelock. Default 1,000. */
  readonly maxRuns?: number | undefined;
  /** Most virtual time that may pass; a key that is slowed for running itself and still is then is a livelock. Default '1h'. */
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
  readonly state: RigState;
  /** Whether there may be something to collect. */
  readonly collects: boolean;
}

export async function settle(host: () => SettleHost, options: SettleOptions = {}): Promise<SettleReport> {
  const { deps, runs } = host();
  const within = parseDuration(options.within ?? '1h', 'within');
  const retries = options.retries ?? 5;
  const began = deps.clock.monotonic();
  const before = runs.runs.length;
  runs.mark(options.maxRuns ?? 1_000, 'mark');
  for (;;) {
    await deps.flush({ while: () => runs.livelock === undefined });
    checkLivelock(runs);
    const busy = whatIsBusy(host(), retries);
    if (busy === undefined || isAtRest(host())) break;
    if (deps.clock.monotonic() - began >= within) {
      const slowed = runs.slowed().find(({ waits }) => waits);
      if (slowed !== undefined) throw slowLivelock(slowed, within);
      throw new TimeoutError(`the rig did not settle within ${within} ms of virtual time: ${busy}${hintOf(runs)}`);
    }
    // Due at once, where something became ready while we looked.
    if (deps.pending().deferred > 0) continue;
    if (!(await deps.step({ unref: true, while: () => runs.livelock === undefined }))) {
      throw new TimeoutError(`the rig cannot settle: ${busy}, and nothing is due that could end it${hintOf(runs)}`);
    }
  }
  const done = runs.runs;
  let count = 0;
  for (let index = before; index < done.length; index += 1) if (didRun(done[index] as RigRun)) count += 1;
  return { runs: count, elapsedMs: deps.clock.monotonic() - began, waiting: waitingKeys(host().process.manager) };
}

/** What a run that never ends may wait for. */
function hintOf(runs: RunLog): string {
  if (runs.running.length === 0) return '';
  return (
    '; does it wait for something real, as setTimeout, a file or a socket is? Real time does not pass here: ' +
    'wait by the deps of the context (sleep(deps, ...)), and put what is real behind a fake'
  );
}

/** A process that nobody has started, and one that is down while nothing is due that could start it again, have nothing to settle. */
function isAtRest({ state, deps }: SettleHost): boolean {
  return state === 'unstarted' || (state === 'down' && deps.pending().timers === 0);
}

/** What is under way, or keeps anything from being so, in words; undefined: nothing. */
export function whatIsBusy(
  { process, state, runs, collects }: Pick<SettleHost, 'process' | 'state' | 'runs' | 'collects'>,
  retries: number,
): string | undefined {
  const down = whyDown(state);
  if (down !== undefined) return down;
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
    const slowed = runs.slowed().find((each) => each.controller === controller && each.waits);
    if (slowed !== undefined) return `controller ${controller} is slowed in running ${slowed.key}, which runs itself`;
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

/** @throws {LivelockError} when a key ran more often than it may. */
export function checkLivelock(runs: RunLog): void {
  const { livelock } = runs;
  if (livelock === undefined) return;
  const { controller, key } = livelock;
  const told = runs.runs;
  const last = told.findLast((run) => run.controller === controller && run.key === key);
  const others = new Set(
    told
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

/** A key that the runtime slows, and that went on all the same. */
function slowLivelock({ controller, key, causes, times }: SlowedKey, within: number): LivelockError {
  const changes = [...new Set(causes.flatMap((cause) => (cause instanceof ChangeCause ? [describeWrite(cause)] : [])))];
  return new LivelockError(
    `livelock: controller ${controller} keeps running ${key} by its own writes${changes.length === 0 ? '' : `, which keep ${changes.join(', ')}`}; ` +
      `it was slowed ${times} times within ${within} ms of virtual time and goes on; write only when something has to change`,
    { controller, key },
  );
}

/** What a write did, of the object itself or of another: `changing status.runs`, `creating part default/p`. */
function describeWrite({ via, change, type, namespace, name, fields }: ChangeCause): string {
  const what = fields.join(', ');
  if (via === 'for') return what === '' ? 'writing the object itself' : `changing ${what}`;
  const place = `${type} ${namespace === undefined ? name : `${namespace}/${name}`}`;
  if (change === 'created' || change === 'deleted') return `${change === 'created' ? 'creating' : 'deleting'} ${place}`;
  return what === '' ? `writing ${place}` : `changing ${what} of ${place}`;
}
