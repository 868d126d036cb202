/**
 * Fencing: writes that carry a lease as a precondition, so that a leader frozen past its lease cannot write.
 *
 * Invariant: the lease is read when a write is planned and checked again inside the engine's commit; a write that passes was
 * committed while the token was the newest. A renewal in between only makes the write be planned once more.
 */
import { ForbiddenError } from '../../schemas/index.js';
import type { Key } from '../engine.js';
import { describeKey } from '../keys.js';
import type { Fence } from '../types.js';
import type { Decision, Operation } from './operation.js';
import { detailsOf } from './rules.js';
import type { KeyState } from './states.js';

/** The same operation, which only happens while the fence stands. */
export function fencedOperation<R>(operation: Operation<R>, fence: Fence): Operation<R> {
  const lease: Key = { type: 'lease', namespace: fence.namespace, name: fence.name };
  return {
    keys: [lease, ...operation.keys],
    ...(operation.conflicted === undefined ? {} : { conflicted: () => operation.conflicted!() }),
    plan: ([held, ...states]: readonly KeyState[]): Decision<R> => {
      const spec = held?.form?.glimpse['spec'] as { fencingToken?: string } | undefined;
      if (spec?.fencingToken !== fence.token) {
        throw new ForbiddenError(
          `the write was refused: ${describeKey(lease)} was taken by another since (its fencing token is ${spec?.fencingToken ?? 'gone'}, not ${fence.token}). Stop what runs under it`,
          { details: detailsOf(lease) },
        );
      }
      return operation.plan(states);
    },
  };
}
