import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Condition } from '../../../src/schemas/index.js';
import { setConditionIn } from '../../../src/store/repos/index.js';

const early = '2026-01-01T00:00:00.000Z';
const late = '2026-01-02T00:00:00.000Z';
const ready: Condition = {
  type: 'Ready',
  status: 'True',
  reason: 'Up',
  message: 'all good',
  lastTransitionTime: early,
  observedGeneration: 1,
};

describe('setConditionIn', () => {
  it('adds a condition that is not there, at the end', () => {
    expect(setConditionIn([ready], { type: 'Broken', status: false, reason: 'Fine' }, { now: late, observedGeneration: 2 })).toEqual([
      ready,
      { type: 'Broken', status: 'False', reason: 'Fine', message: '', lastTransitionTime: late, observedGeneration: 2 },
    ]);
    expect(setConditionIn(undefined, { type: 'Broken', status: 'Unknown', reason: 'New' }, { now: late })).toEqual([
      { type: 'Broken', status: 'Unknown', reason: 'New', message: '', lastTransitionTime: late },
    ]);
  });

  it('moves lastTransitionTime when the status changes, and only then', () => {
    const [worded] = setConditionIn(
      [ready],
      { type: 'Ready', status: true, reason: 'StillUp', message: 'other words' },
      { now: late, observedGeneration: 2 },
    );
    expect(worded).toEqual({ ...ready, reason: 'StillUp', message: 'other words', observedGeneration: 2 });
    const [changed] = setConditionIn([ready], { type: 'Ready', status: false, reason: 'Down' }, { now: late, observedGeneration: 2 });
    expect(changed?.lastTransitionTime).toBe(late);
  });

  it('gives the same list back when nothing changed', () => {
    const list = [ready];
    expect(
      setConditionIn(list, { type: 'Ready', status: 'True', reason: 'Up', message: 'all good' }, { now: late, observedGeneration: 1 }),
    ).toBe(list);
  });

  it('leaves the list and its conditions as they were', () => {
    const list = Object.freeze([Object.freeze({ ...ready })]);
    setConditionIn(list, { type: 'Ready', status: false, reason: 'Down' }, { now: late, observedGeneration: 2 });
    expect(list).toEqual([ready]);
  });

  it('keeps one condition of each type, in order, and the time of the last change of status (property)', () => {
    const step = fc.record({
      type: fc.constantFrom('A', 'B', 'C'),
      status: fc.constantFrom<'True' | 'False' | 'Unknown' | boolean>('True', 'False', 'Unknown', true, false),
      reason: fc.constantFrom('X', 'Y'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        let list: readonly Readonly<Condition>[] = [];
        const model = new Map<string, { status: string; since: string }>();
        steps.forEach((each, index) => {
          const now = new Date(index).toISOString();
          list = setConditionIn(list, each, { now, observedGeneration: index });
          const status = typeof each.status === 'boolean' ? (each.status ? 'True' : 'False') : each.status;
          if (model.get(each.type)?.status !== status) model.set(each.type, { status, since: now });
        });
        expect(list.map(({ type, status, lastTransitionTime }) => [type, status, lastTransitionTime])).toEqual(
          [...model].map(([type, { status, since }]) => [type, status, since]),
        );
      }),
    );
  });
});
