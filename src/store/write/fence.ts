/**
 * Fencing: writes that carry a lease as a precondition, so that a leader frozen past its lease cannot write.
 *
 * Invariant: the lease is read when a write is planned and checked again inside the engine's commit; a write that passes was
 * committed while the token was the newest. A renewal in between only makes the write be planned once more. What turns out to
 * change nothing has no commit: there the lease is read past all that this process knows, before it is answered.
 */
import { ForbiddenError } from '../../schemas/index.js';
import type { Engine, Entry, Key } from '../engine.js';
import type { Form } from '../form.js';
import { describeKey } from '../keys.js';
import type { ObjectCodec } from '../object-codec.js';
import type { TypeRegistry } from '../registry.js';
import type { Fence } from '../types.js';
import type { Decision, Operation } from './operation.js';
import { detailsOf } from './rules.js';
import type { KeyState } from './states.js';

/** What fences need of the store. */
export interface FenceHost {
  engine(): Engine;
  readonly codec: Pick<ObjectCodec, 'form'>;
  readonly registry: Pick<TypeRegistry, 'found'>;
}

/** The same operation, which only happens while the fence stands. */
export function fencedOperation<R>(operation: Operation<R>, fence: Fence, host: FenceHost): Operation<R> {
  const lease: Key = { type: 'lease', namespace: fence.namespace, name: fence.name };
  return {
    keys: [lease, ...operation.keys],
    ...(operation.conflicted === undefined ? {} : { conflicted: () => operation.conflicted!() }),
    plan: ([held, ...states]: readonly KeyState[]): Decision<R> => {
      assertHeld(lease, fence, held?.form);
      const decision = operation.plan(states);
      if (decision.type !== 'done' || held === undefined || !host.engine().capabilities.shared) return decision;
      return {
        ...decision,
        value: async () => {
          const { origin } = held;
          const seen = typeof origin === 'object' ? origin.revision : Number(origin);
          const now = await newest(host.engine(), lease, seen);
          if (now?.revision !== seen) assertHeld(lease, fence, now?.value && host.codec.form(host.registry.found(lease.type), now));
          return decision.value();
        },
      };
    },
  };
}

/** @throws {ForbiddenError} unless the lease has the token of the fence */
function assertHeld(lease: Key, fence: Fence, form: Form | undefined): void {
  const spec = form?.glimpse['spec'] as { fencingToken?: string } | undefined;
  if (spec?.fencingToken === fence.token) return;
  throw new ForbiddenError(
    `the write was refused: ${describeKey(lease)} was taken by another since (its fencing token is ${spec?.fencingToken ?? 'gone'}, not ${fence.token}). Stop what runs under it`,
    { details: detailsOf(lease) },
  );
}

/** The newest version of a key, from the one of revision `seen` on, by whomever, also what this process has not been told of yet. */
async function newest(engine: Engine, key: Key, seen: number): Promise<Entry | undefined> {
  let found: Entry | undefined;
  for (let revision = seen - 1; ; revision = found!.revision) {
    const { entries } = await engine.walk({ type: key.type, namespace: key.namespace }, { after: { key, revision }, limit: 2 });
    const own = entries.filter((entry) => entry.key.name === key.name);
    found = own.at(-1) ?? found;
    if (own.length < 2) return found;
  }
}
