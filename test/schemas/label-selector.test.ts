import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSelector, isInvalid, parseLabelSelector, type LabelSelectorObject, type Requirement } from '../../src/schemas/index.js';
import { anyLabelSelector } from './any-input.js';
import { labelKey, labelValue } from './arbitraries.js';

const requirement: fc.Arbitrary<Requirement> = fc.oneof(
  fc.record({
    key: labelKey,
    operator: fc.constantFrom('In' as const, 'NotIn' as const),
    values: fc.uniqueArray(labelValue, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({ key: labelKey, operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const), values: fc.constant([]) }),
);
// Few keys and values, so that selectors and labels meet.
const smallKey = fc.constantFrom('app', 'tier', 'in', 'x/y');
const smallValue = fc.constantFrom('', 'a', 'b', 'notin');
const smallRequirement: fc.Arbitrary<Requirement> = fc.oneof(
  fc.record({
    key: smallKey,
    operator: fc.constantFrom('In' as const, 'NotIn' as const),
    values: fc.uniqueArray(smallValue, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ key: smallKey, operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const), values: fc.constant([]) }),
);
const smallLabels = fc.dictionary(smallKey, smallValue, { noNullPrototype: true });

function naive(requirements: readonly Requirement[], labels: Record<string, string>): boolean {
  return requirements.every(({ key, operator, values }) => {
    const has = Object.hasOwn(labels, key);
    const among = has && values.includes(labels[key] as string);
    return { In: among, NotIn: !among, Exists: has, DoesNotExist: !has }[operator];
  });
}

function text(input: Parameters<typeof parseLabelSelector>[0]): string {
  return parseLabelSelector(input).toString();
}

describe('parseLabelSelector', () => {
  it.each([
    ['app=web', 'app=web'],
    ['app==web', 'app=web'],
    ['app != web', 'app!=web'],
    [' app = web , tier != back ', 'app=web,tier!=back'],
    ['tier in (a, b)', 'tier in (a,b)'],
    ['tier in (b,a,b)', 'tier in (a,b)'],
    ['tier in (a)', 'tier=a'],
    ['tier notin (a,b)', 'tier notin (a,b)'],
    ['tier notin(a)', 'tier!=a'],
    ['tier\tin\n(a)', 'tier=a'],
    ['app', 'app'],
    ['!app', '!app'],
    ['! app', '!app'],
    ['app=', 'app='],
    ['app in (,a)', 'app in (,a)'],
    ['app in ()', 'app='],
    ['z,a', 'a,z'],
    ['a,a', 'a'],
    ['in in (in)', 'in=in'],
    ['in,notin', 'in,notin'],
    ['app.kubernetes.io/name=web', 'app.kubernetes.io/name=web'],
    ['', ''],
    ['  ', ''],
  ])('reads %j as %j', (input, canonical) => {
    expect(text(input)).toBe(canonical);
    expect(text(canonical)).toBe(canonical);
  });

  it.each([
    ['app web', 5],
    ['app=a b', 7],
    ['app=a,', 7],
    [',app', 1],
    ['a,,b', 3],
    ['app in', 7],
    ['app in a', 8],
    ['app in (a', 10],
    ['app in (a b)', 11],
    ['app in (a)b', 11],
    ['=a', 1],
    ['!', 2],
    ['!!a', 2],
    ['!app=a', 5],
    ['app>1', 4],
    ['app=-a', 5],
    ['a b c', 3],
    ['Ä=1', 1],
    ['a/b/c=1', 1],
    [`a=${'x'.repeat(64)}`, 3],
  ])('refuses %j and says that it is wrong at character %d', (input, position) => {
    expect(() => parseLabelSelector(input)).toThrow(
      expect.objectContaining({ reason: 'Invalid', message: expect.stringContaining(`at character ${position}:`) }),
    );
  });

  it('reads the object form', () => {
    expect(
      text({
        matchLabels: { app: 'web' },
        matchExpressions: [
          { key: 'tier', operator: 'In', values: ['b', 'a'] },
          { key: 'old', operator: 'DoesNotExist' },
          { key: 'new', operator: 'Exists', values: [] },
        ],
      }),
    ).toBe('app=web,new,!old,tier in (a,b)');
    expect(text({ matchLabels: {} })).toBe('');
    expect(text({ matchExpressions: [] })).toBe('');
  });

  it('reads a plain map of labels, also one with labels called matchLabels', () => {
    expect(text({ app: 'web', tier: 'a' })).toBe('app=web,tier=a');
    expect(text({ matchLabels: 'x' })).toBe('matchLabels=x');
    expect(text({})).toBe('');
  });

  it.each<[string, unknown, string]>([
    [
      'an unknown operator',
      { matchExpressions: [{ key: 'a', operator: 'Gt', values: ['1'] }] },
      'labelSelector.matchExpressions[0].operator',
    ],
    ['In without values', { matchExpressions: [{ key: 'a', operator: 'In' }] }, 'labelSelector.matchExpressions[0]'],
    ['Exists with values', { matchExpressions: [{ key: 'a', operator: 'Exists', values: ['x'] }] }, 'labelSelector.matchExpressions[0]'],
    [
      'values that are no list',
      { matchExpressions: [{ key: 'a', operator: 'In', values: 'x' }] },
      'labelSelector.matchExpressions[0].values',
    ],
    ['a field that is not known', { matchLabels: {}, matchFields: {} }, 'labelSelector'],
    [
      'a field of an expression that is not known',
      { matchExpressions: [{ key: 'a', operator: 'Exists', value: 'x' }] },
      'labelSelector.matchExpressions[0]',
    ],
    ['labels that are a list', { matchLabels: ['a'] }, 'labelSelector.matchLabels'],
    ['expressions that are a map', { matchExpressions: {} }, 'labelSelector.matchExpressions'],
    ['an expression that is null', { matchExpressions: [null] }, 'labelSelector.matchExpressions[0]'],
    ['a value that is a number', { app: 1 }, 'labelSelector'],
    ['a key that is none', { 'a b': 'x' }, 'labelSelector'],
    ['null', null, 'labelSelector'],
    ['a list', [], 'labelSelector'],
    ['a number', 5, 'labelSelector'],
  ])('refuses %s', (_, input, field) => {
    expect(() => parseLabelSelector(input as LabelSelectorObject)).toThrow(
      expect.objectContaining({ reason: 'Invalid', causes: [expect.objectContaining({ field })] }),
    );
  });

  it('gives back the same selector from its text, for any requirements', () => {
    fc.assert(
      fc.property(fc.array(requirement, { maxLength: 5 }), (requirements) => {
        const selector = createSelector(requirements.map((one) => ({ ...one, values: one.values.toSorted() })));
        expect(parseLabelSelector(selector.toString()).requirements).toEqual(selector.requirements);
        expect(parseLabelSelector(selector.toString()).toString()).toBe(selector.toString());
      }),
    );
  });

  it('gives one text for one meaning, in whatever order it is written', () => {
    fc.assert(
      fc.property(fc.array(smallRequirement, { maxLength: 4 }), fc.array(smallRequirement, { maxLength: 4 }), (a, b) => {
        const sorted = (list: readonly Requirement[]): Requirement[] => list.map((one) => ({ ...one, values: one.values.toSorted() }));
        return createSelector(sorted([...a, ...b])).toString() === createSelector(sorted([...b, ...a, ...b])).toString();
      }),
    );
  });

  it('matches as a naive evaluator does', () => {
    fc.assert(
      fc.property(fc.array(smallRequirement, { maxLength: 3 }), smallLabels, (requirements, labels) => {
        const selector = parseLabelSelector({ matchExpressions: requirements });
        return selector.matches(labels) === naive(requirements, labels) && selector.empty === (requirements.length === 0);
      }),
      { numRuns: 1000 },
    );
  });

  it('answers any text with a selector or an InvalidError', () => {
    expect(() => anyLabelSelector(1000)).not.toThrow();
  });

  it('answers any value with a selector or an InvalidError', () => {
    fc.assert(
      fc.property(fc.anything(), (input) => {
        try {
          parseLabelSelector(input as string);
        } catch (error) {
          expect(isInvalid(error)).toBe(true);
        }
      }),
    );
  });
});

describe('Selector', () => {
  it('matches absent labels under != and notin, and not under = and in', () => {
    expect(parseLabelSelector('a!=x').matches({})).toBe(true);
    expect(parseLabelSelector('a notin (x,y)').matches(undefined)).toBe(true);
    expect(parseLabelSelector('a=x').matches(undefined)).toBe(false);
    expect(parseLabelSelector('a=').matches({})).toBe(false);
    expect(parseLabelSelector('a=').matches({ a: '' })).toBe(true);
  });

  it('does not take what an object inherits for a label', () => {
    for (const key of ['toString', 'constructor', 'hasOwnProperty']) {
      expect(parseLabelSelector(key).matches({})).toBe(false);
      expect(parseLabelSelector(`!${key}`).matches({})).toBe(true);
    }
  });

  it('cannot be changed', () => {
    const selector = parseLabelSelector('a in (x,y)');
    expect(Object.isFrozen(selector) && Object.isFrozen(selector.requirements) && Object.isFrozen(selector.requirements[0]?.values)).toBe(
      true,
    );
  });

  it('reads twenty thousand requirements in no time', () => {
    const many = Array.from({ length: 20_000 }, (_, i) => `k${i}=v`).join(',');
    expect(parseLabelSelector(many).requirements).toHaveLength(20_000);
  });
});
