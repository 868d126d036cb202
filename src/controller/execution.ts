/**
 * What a run does around the reconciler: the finalizer before it, status, pruning and the finalizer after it, all but the
 * first in one transaction where the controller asks for that.
 *
 * Invariants: the finalizer is stored, and shown by the cache, before `reconcile` sees the object, since what that does outside
 * the store no transaction undoes; it is removed after `finalize` returned without asking to come again, and kept when it
 * threw. A transactional run commits whole or not at all.
 */
import { ConflictError } from '../schemas/index.js';
import type { Deps, Logger, Store, Transaction, WriteReceipt } from '../store/index.js';
import { bindStore } from './bound-store.js';
import { createContext, type ContextHost } from './context.js';
import { addFinalizer, hasFinalizer, removeFinalizer } from './finalizer.js';
import { decide, type RunEnd } from './outcome.js';
import { pruneChildren } from './prune.js';
import type { Run } from './run.js';
import { writeStatus } from './status-writer.js';
import type { ControllerDefinition } from './types.js';
import type { CachedObject, Wiring } from './wiring.js';

/** What execution needs of the loop. */
export interface ExecutionHost extends ContextHost {
  readonly controller: ControllerDefinition;
  readonly deps: Deps;
  readonly logger: Logger;
  readonly store: Store;
  readonly wiring: Wiring;
  /** Aborts when the loop stops. */
  readonly stopSignal: AbortSignal;
}

/** `finalize` returned nothing, or nothing to wait for (a duration of 0 is none): the cleanup is complete. What means nothing is not. */
function isDone(result: unknown): boolean {
  return decide({ ended: 'returned', result }, { conflicts: 0, failures: 0, maxRetries: undefined }).kind === 'success';
}

/** Runs the reconciler on `run.object`; what it returns may be a promise. Sets `run.skipped` when there is nothing to do. */
export function execute(host: ExecutionHost, run: Run): unknown {
  const { controller } = host;
  if (controller.finalize !== undefined) {
    const object = run.object as CachedObject;
    const marked = hasFinalizer(object, controller.finalizer);
    if (object.metadata.deletionTimestamp !== undefined) {
      if (!marked) {
        run.skipped = 'terminating';
        return undefined;
      }
      run.phase = 'finalize';
    } else if (!marked) return executeMarked(host, run);
  }
  return controller.transactional ? executeInTransaction(host, run) : call(host, run, undefined);
}

/** Calls what the phase asks for. */
function call(host: ExecutionHost, run: Run, tx: Transaction | undefined): unknown {
  const { controller } = host;
  const context = createContext(host, run, tx);
  return run.phase === 'finalize' ? controller.finalize?.(context) : controller.reconcile(context);
}

/** Stores the finalizer, waits until the cache shows it, and only then reconciles. */
async function executeMarked(host: ExecutionHost, run: Run): Promise<unknown> {
  const { controller, wiring, store } = host;
  const revision = await addFinalizer(run, { store, definition: controller.for, finalizer: controller.finalizer });
  await wiring.primary.caughtUp(revision, { signal: host.stopSignal });
  const object = wiring.primary.get(run.key);
  if (object === undefined || object.metadata.deletionTimestamp !== undefined || host.stopSignal.aborted || run.revoked !== undefined) {
    // It went, or began to, between the two: that change runs the key again.
    run.skipped = 'terminating';
    return undefined;
  }
  if (!hasFinalizer(object, controller.finalizer)) {
    const { resourceVersion } = object.metadata;
    throw new ConflictError(
      `finalizer ${controller.finalizer} was taken off ${controller.for.type} ${run.key} by another at revision ${resourceVersion}, right after it was stored; it is stored again before anything else`,
      { currentRevision: resourceVersion },
    );
  }
  run.object = object;
  return controller.transactional ? executeInTransaction(host, run) : call(host, run, undefined);
}

/** The whole run as one transaction: committed when the reconciler returns, undone when it throws. */
async function executeInTransaction(host: ExecutionHost, run: Run): Promise<unknown> {
  const { store } = host;
  const receipt: WriteReceipt = {};
  run.beginTransaction();
  let committed = false;
  try {
    const result = await store.transaction(
      async (tx) => {
        const value = await insideTransaction(host, run, tx);
        // Revoked while it ran: throwing here undoes it all.
        run.assertWritable();
        run.commitTransaction();
        return value;
      },
      { retries: 0, source: run.source, receipt },
    );
    committed = run.stagedWrites > 0;
    return result;
  } finally {
    run.endTransaction(committed ? { made: receipt.revision, shownAt: store.revision } : {});
  }
}

async function insideTransaction(host: ExecutionHost, run: Run, tx: Transaction): Promise<unknown> {
  const { controller, deps } = host;
  const result = await call(host, run, tx);
  if (run.phase === 'reconcile') await prune(host, run, tx);
  if (run.collected) await writeStatus(run, { store: tx, definition: controller.for, clock: deps.clock }, false);
  if (run.phase === 'finalize' && isDone(result)) {
    await removeFinalizer(run, { store: tx, definition: controller.for, finalizer: controller.finalizer });
  }
  run.statusWritten();
  return result;
}

/** Whether something is to be written now that the reconciler has settled. */
export function owesWrites(host: ExecutionHost, run: Run, end: RunEnd): boolean {
  const { controller } = host;
  if (run.skipped !== undefined || run.revoked !== undefined) return false;
  if (end.ended !== 'returned') return run.conditions !== undefined && !run.aborted;
  return run.collected || (!controller.transactional && (run.phase === 'finalize' || controller.prune.length > 0));
}

/** Writes what is owed. A failure makes a run that returned one that threw; that of a run that threw is only told. */
export async function writeOwed(host: ExecutionHost, run: Run, end: RunEnd): Promise<RunEnd> {
  const { controller, store, deps } = host;
  try {
    if (end.ended === 'returned' && run.phase === 'reconcile' && !controller.transactional) await prune(host, run, undefined);
    if (run.collected) await writeStatus(run, { store, definition: controller.for, clock: deps.clock }, end.ended !== 'returned');
    if (end.ended === 'returned' && run.phase === 'finalize' && !controller.transactional && isDone(end.result)) {
      await removeFinalizer(run, { store, definition: controller.for, finalizer: controller.finalizer });
    }
    return end;
  } catch (error) {
    if (end.ended === 'returned') return { ended: 'threw', error };
    host.logger.debug({ key: run.key, reconcileID: run.id, err: error }, 'the conditions of a failed reconcile could not be written');
    return end;
  }
}

async function prune(host: ExecutionHost, run: Run, tx: Transaction | undefined): Promise<void> {
  const types = host.controller.prune;
  if (types.length === 0) return;
  const { uid } = (run.object as CachedObject).metadata;
  const store = bindStore(host.store, run, tx);
  await pruneChildren({ store, types, ensured: run.ensured, owner: uid, children: (type) => host.controlled(type, uid) ?? [] });
}
