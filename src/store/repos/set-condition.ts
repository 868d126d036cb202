/**
 * Conditions as Kubernetes keeps them: one of each type, and a `lastTransitionTime` that moves only when the status does.
 *
 * Invariant: a list that would say the same is given back as it is (the same reference), so that callers see at once that
 * there is nothing to write.
 */
import type { Condition } from '../../schemas/index.js';
import type { ConditionInput } from './types.js';

/** When a condition is set, and of which generation it speaks. */
export interface ConditionMoment {
  /** RFC 3339. */
  readonly now: string;
  readonly observedGeneration?: number | undefined;
}

/**
 * The list with one condition set. Pure.
 *
 * @example setConditionIn([], { type: 'Ready', status: true, reason: 'Up' }, { now: '2026-01-01T00:00:00Z', observedGeneration: 1 })
 */
export function setConditionIn<T extends string = string>(
  conditions: readonly Readonly<Condition<T>>[] | undefined,
  next: ConditionInput<NoInfer<T>>,
  moment: ConditionMoment,
): readonly Readonly<Condition<T>>[] {
  const list = conditions ?? [];
  const index = list.findIndex((each) => each.type === next.type);
  const before = list[index];
  const status = typeof next.status === 'boolean' ? (next.status ? 'True' : 'False') : next.status;
  const made: Condition<T> = {
    type: next.type,
    status,
    reason: next.reason,
    message: next.message ?? '',
    lastTransitionTime: before?.status === status ? before.lastTransitionTime : moment.now,
  };
  if (moment.observedGeneration !== undefined) made.observedGeneration = moment.observedGeneration;
  if (before === undefined) return [...list, made];
  if (sameCondition(before, made)) return list;
  return list.map((each, at) => (at === index ? made : each));
}

function sameCondition(a: Readonly<Condition>, b: Readonly<Condition>): boolean {
  return (
    a.status === b.status &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.observedGeneration === b.observedGeneration &&
    a.lastTransitionTime === b.lastTransitionTime
  );
}
