import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isTimestamp, metadataCauses, ownerReferencesCauses, type Cause } from '../../src/schemas/index.js';
import { hostileText, labelKey, labelValue, namespaceName, objectName } from './arbitraries.js';

const owner = { apiVersion: 'rune.dev/v1', kind: 'Service', name: 'web', uid: 'u-1', controller: true, blockOwnerDeletion: false };
const full = {
  name: 'web',
  namespace: 'prod',
  generateName: 'web-',
  uid: '6f1c3f6e-0f4e-4b0e-9b1a-1f2e3d4c5b6a',
  resourceVersion: '42',
  generation: 3,
  creationTimestamp: '2026-01-31T12:00:00.000Z',
  deletionTimestamp: '2026-01-31T12:00:00+01:00',
  deletionGracePeriodSeconds: 0,
  labels: { app: 'web' },
  annotations: { note: 'any text' },
  finalizers: ['rune.dev/cleanup'],
  ownerReferences: [owner],
};

function causesOf(change: Record<string, unknown>, scope: 'Namespaced' | 'Cluster' | 'Any' = 'Namespaced'): readonly Cause[] {
  return metadataCauses({ ...full, ...change }, { scope });
}

describe('metadataCauses', () => {
  it('finds nothing in full metadata, nor in empty metadata', () => {
    expect(metadataCauses(full, { scope: 'Namespaced' })).toEqual([]);
    expect(metadataCauses({}, { scope: 'Cluster' })).toEqual([]);
    expect(metadataCauses({ name: undefined, labels: undefined }, { scope: 'Any' })).toEqual([]);
  });

  it('costs no list for metadata that is fine', () => {
    expect(metadataCauses(full, { scope: 'Any' })).toBe(metadataCauses({}, { scope: 'Any' }));
  });

  it('accepts any legal names and labels', () => {
    fc.assert(
      fc.property(
        objectName,
        namespaceName,
        fc.dictionary(labelKey, labelValue, { noNullPrototype: true }),
        (name, namespace, labels) => metadataCauses({ name, namespace, labels }, { scope: 'Namespaced' }).length === 0,
      ),
    );
  });

  it.each<[string, Record<string, unknown>, string, Cause['reason']]>([
    ['a name that is none', { name: 'Web!' }, 'metadata.name', 'FieldValueInvalid'],
    ['a namespace that is none', { namespace: 'a.b' }, 'metadata.namespace', 'FieldValueInvalid'],
    ['the reserved namespace', { namespace: 'all' }, 'metadata.namespace', 'FieldValueForbidden'],
    ['a prefix that no name can begin with', { generateName: '-web' }, 'metadata.generateName', 'FieldValueInvalid'],
    ['a prefix that is too long', { generateName: 'a'.repeat(248) }, 'metadata.generateName', 'FieldValueInvalid'],
    ['a uid with blanks', { uid: 'a b' }, 'metadata.uid', 'FieldValueInvalid'],
    ['an empty uid', { uid: '' }, 'metadata.uid', 'FieldValueInvalid'],
    ['a numeric resourceVersion', { resourceVersion: 42 }, 'metadata.resourceVersion', 'FieldValueInvalid'],
    ['a resourceVersion that is no decimal', { resourceVersion: '0x2a' }, 'metadata.resourceVersion', 'FieldValueInvalid'],
    ['a resourceVersion with leading zeros', { resourceVersion: '042' }, 'metadata.resourceVersion', 'FieldValueInvalid'],
    ['an empty resourceVersion', { resourceVersion: '' }, 'metadata.resourceVersion', 'FieldValueInvalid'],
    ['a negative generation', { generation: -1 }, 'metadata.generation', 'FieldValueInvalid'],
    ['a date that is no timestamp', { creationTimestamp: '2026-01-31' }, 'metadata.creationTimestamp', 'FieldValueInvalid'],
    ['a Date', { deletionTimestamp: new Date(0) }, 'metadata.deletionTimestamp', 'FieldValueInvalid'],
    ['a fractional grace period', { deletionGracePeriodSeconds: 0.5 }, 'metadata.deletionGracePeriodSeconds', 'FieldValueInvalid'],
    ['labels that are a list', { labels: ['a'] }, 'metadata.labels', 'FieldValueTypeInvalid'],
    ['a label that is no text', { labels: { a: 1 } }, 'metadata.labels.a', 'FieldValueTypeInvalid'],
    ['annotations that are null', { annotations: null }, 'metadata.annotations', 'FieldValueTypeInvalid'],
    ['finalizers that are a text', { finalizers: 'a' }, 'metadata.finalizers', 'FieldValueTypeInvalid'],
    ['an owner that is a text', { ownerReferences: ['web'] }, 'metadata.ownerReferences[0]', 'FieldValueTypeInvalid'],
    ['managedFields', { managedFields: [] }, 'metadata.managedFields', 'FieldValueForbidden'],
    ['selfLink', { selfLink: '/x' }, 'metadata.selfLink', 'FieldValueForbidden'],
    ['a field of one’s own', { team: 'a' }, 'metadata.team', 'FieldValueForbidden'],
    ['__proto__', JSON.parse('{"__proto__":{}}') as Record<string, unknown>, 'metadata.__proto__', 'FieldValueForbidden'],
  ])('refuses %s', (_, change, field, reason) => {
    const meta = Object.keys(change)[0] === '__proto__' ? change : { ...full, ...change };
    expect(metadataCauses(meta, { scope: 'Namespaced' })).toMatchObject([{ field, reason }]);
  });

  it('refuses a namespace on a cluster-scoped object, and takes either where the scope is not known', () => {
    expect(causesOf({}, 'Cluster')).toMatchObject([{ field: 'metadata.namespace', reason: 'FieldValueForbidden' }]);
    expect(causesOf({}, 'Any')).toEqual([]);
    expect(causesOf({ namespace: undefined }, 'Any')).toEqual([]);
  });

  it('names everything that is wrong at once, under the path it is told', () => {
    const causes = metadataCauses({ name: '!', labels: { 'a b': 'x' }, nope: 1 }, { scope: 'Any', path: 'items[3].metadata' });
    expect(causes.map((cause) => cause.field)).toEqual(['items[3].metadata.name', 'items[3].metadata.labels', 'items[3].metadata.nope']);
  });

  it('says what to do about a field that is not known', () => {
    expect(causesOf({ team: 'a' })[0]?.message).toContain('labels, annotations or spec');
    expect(causesOf({ managedFields: [] })[0]?.message).toContain('remove it');
  });

  it('takes creationTimestamp: null, which kubectl writes into manifests', () => {
    expect(causesOf({ creationTimestamp: null })).toEqual([]);
    expect(causesOf({ deletionTimestamp: null })).toHaveLength(1);
  });

  it('refuses what is no object', () => {
    for (const value of [null, [], 'x', 1])
      expect(metadataCauses(value, { scope: 'Any' })).toMatchObject([{ field: 'metadata', reason: 'FieldValueTypeInvalid' }]);
    expect(metadataCauses(undefined, { scope: 'Any' })).toMatchObject([{ reason: 'FieldValueRequired' }]);
  });

  it('answers anything with causes, never with a throw', () => {
    const meta = fc.dictionary(fc.oneof(fc.constantFrom(...Object.keys(full)), hostileText), fc.oneof(hostileText, fc.anything()));
    fc.assert(
      fc.property(fc.oneof(meta, fc.anything()), (value) =>
        metadataCauses(value, { scope: 'Namespaced' }).every((cause) => cause.field.startsWith('metadata')),
      ),
    );
  });
});

describe('ownerReferencesCauses', () => {
  it('accepts several owners of which one is the controller', () => {
    expect(
      ownerReferencesCauses([owner, { ...owner, uid: 'u-2', controller: false }, { ...owner, uid: 'u-3', controller: undefined }], 'o'),
    ).toEqual([]);
  });

  it('refuses a second controller', () => {
    expect(ownerReferencesCauses([owner, { ...owner, uid: 'u-2' }], 'o')).toMatchObject([
      { field: 'o[1].controller', message: 'must not be true: o[0] is the controller already' },
    ]);
  });

  it('refuses an owner twice', () => {
    expect(ownerReferencesCauses([owner, { ...owner, controller: false }], 'o')).toMatchObject([
      { field: 'o[1].uid', reason: 'FieldValueDuplicate' },
    ]);
  });

  it('names what is missing, unknown or of the wrong type', () => {
    expect(
      ownerReferencesCauses([{ apiVersion: '', kind: 'K', name: 'x'.repeat(400), controller: 'yes', extra: 1 }], 'o').map(
        ({ reason, field }) => `${reason} ${field}`,
      ),
    ).toEqual([
      'FieldValueForbidden o[0].extra',
      'FieldValueRequired o[0].apiVersion',
      'FieldValueTooLong o[0].name',
      'FieldValueRequired o[0].uid',
      'FieldValueTypeInvalid o[0].controller',
    ]);
  });
});

describe('isTimestamp', () => {
  it('accepts what toISOString gives, and offsets', () => {
    fc.assert(
      fc.property(fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }), (date) =>
        isTimestamp(date.toISOString()),
      ),
    );
    for (const text of ['2026-01-31T12:00:00Z', '2026-01-31T12:00:60Z', '2026-01-31T23:59:59.123456789+14:00'])
      expect(isTimestamp(text)).toBe(true);
  });

  it('refuses what only looks like one', () => {
    for (const text of [
      '',
      '2026-01-31',
      '2026-13-01T00:00:00Z',
      '2026-01-32T00:00:00Z',
      '2026-01-31T24:00:00Z',
      '2026-01-31 12:00:00Z',
      '2026-01-31T12:00:00',
      '2026-01-31T12:00:00Z\n',
    ]) {
      expect([text, isTimestamp(text)]).toEqual([text, false]);
    }
  });
});
