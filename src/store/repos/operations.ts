/**
 * What repos of operations (scaling, deletion) have in common: which are under way, and calling one off.
 *
 * Invariant: an operation without a phase counts as pending; completed, failed and cancelled ones never come back.
 */

/** How far an operation is. */
export type OperationPhase = 'pending' | 'in_progress' | 'completed' | 'failed' | 'cancelled';

/** The parts that all operations share. */
export interface OperationLike {
  readonly metadata: { readonly name: string; readonly creationTimestamp: string };
  readonly status?: { readonly phase?: OperationPhase | undefined } | undefined;
}

export function phaseOf(operation: OperationLike): OperationPhase {
  return operation.status?.phase ?? 'pending';
}

/** Whether an operation has come to its end, whichever. */
export function isFinished(operation: OperationLike): boolean {
  const phase = phaseOf(operation);
  return phase === 'completed' || phase === 'failed' || phase === 'cancelled';
}

/** The operation whose turn it is: the one in progress, else the oldest that waits. */
export function activeOf<T extends OperationLike>(operations: Iterable<T>): T | undefined {
  let best: T | undefined;
  for (const each of operations) {
    if (!isFinished(each) && (best === undefined || comesBefore(each, best))) best = each;
  }
  return best;
}

function comesBefore(a: OperationLike, b: OperationLike): boolean {
  const running = Number(phaseOf(b) === 'in_progress') - Number(phaseOf(a) === 'in_progress');
  if (running !== 0) return running < 0;
  const { creationTimestamp: made, name } = a.metadata;
  const other = b.metadata;
  return made === other.creationTimestamp ? name < other.name : made < other.creationTimestamp;
}
