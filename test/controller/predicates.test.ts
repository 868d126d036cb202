import { describe, expect, it } from 'vitest';
import {
  and,
  annotationsChanged,
  generationChanged,
  labelsChanged,
  not,
  or,
  pathChanged,
  type PredicateObject,
} from '../../src/controller/index.js';

interface Thing extends PredicateObject {
  readonly spec: { readonly size: number };
}
function thing(
  over: { uid?: string; generation?: number; labels?: Record<string, string>; annotations?: Record<string, string>; size?: number } = {},
): Thing {
  const { uid = 'u1', generation = 1, labels, annotations, size = 1 } = over;
  return { metadata: { uid, generation, ...(labels && { labels }), ...(annotations && { annotations }) }, spec: { size } };
}
const update = (previous: Thing, object: Thing) => ({ type: 'update', object, previous }) as const;

describe('predicates', () => {
  it('generation: passes when the spec changed, not when the status did', () => {
    expect(generationChanged()(update(thing(), thing({ generation: 2 })))).toBe(true);
    expect(generationChanged()(update(thing(), thing()))).toBe(false);
  });
  it('labels and annotations: added, changed, removed', () => {
    for (const [predicate, field] of [
      [labelsChanged(), 'labels'],
      [annotationsChanged(), 'annotations'],
    ] as const) {
      expect(predicate(update(thing(), thing({ [field]: { a: '1' } })))).toBe(true);
      expect(predicate(update(thing({ [field]: { a: '1' } }), thing({ [field]: { a: '2' } })))).toBe(true);
      expect(predicate(update(thing({ [field]: { a: '1' } }), thing()))).toBe(true);
      expect(predicate(update(thing({ [field]: { a: '1' } }), thing({ [field]: { a: '1' } })))).toBe(false);
      expect(predicate(update(thing(), thing({ [field]: {} })))).toBe(false);
    }
  });
  it('a spec path', () => {
    expect(pathChanged('spec.size')(update(thing(), thing({ size: 2 })))).toBe(true);
    expect(pathChanged('spec.other', 'metadata.labels')(update(thing(), thing({ size: 2 })))).toBe(false);
  });
  it('a delete and a create always pass', () => {
    for (const predicate of [generationChanged(), labelsChanged(), annotationsChanged(), pathChanged('spec.size')]) {
      expect(predicate({ type: 'delete', object: thing() })).toBe(true);
      expect(predicate({ type: 'create', object: thing() })).toBe(true);
    }
  });
  it('a recreated object with the same generation passes', () => {
    for (const predicate of [generationChanged(), labelsChanged(), annotationsChanged(), pathChanged('spec.size')]) {
      expect(predicate(update(thing(), thing({ uid: 'u2' })))).toBe(true);
    }
  });
  it('a resync passes', () => {
    const same = thing();
    expect(generationChanged()(update(same, same))).toBe(true);
  });
  it('and, or, not', () => {
    const labelled = update(thing(), thing({ labels: { a: '1' } }));
    expect(and(generationChanged(), labelsChanged())(labelled)).toBe(false);
    expect(or(generationChanged(), labelsChanged())(labelled)).toBe(true);
    expect(not(generationChanged())(labelled)).toBe(true);
  });
});
