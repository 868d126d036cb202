import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatRef, InvalidRefError, parseRef, type Ref, type RefInput } from '../../src/schemas/index.js';
import { anyRef } from './any-input.js';
import { namespaceName, objectName, typeName } from './arbitraries.js';

const freeText = fc
  .oneof(
    fc.constantFrom('id', '.', '..', 'a/b', 'a b', '%41', '?x#y', 'ü', 'a.rune'),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
  )
  .filter((text) => !/[\u0000-\u001f\u007f-\u009f]/.test(text));
const legalRef: fc.Arbitrary<Ref> = fc
  .record(
    {
      type: typeName,
      namespace: namespaceName,
      target: fc.oneof(
        objectName.map((name) => ({ name })),
        freeText.map((uid) => ({ uid })),
      ),
      key: freeText,
    },
    { requiredKeys: ['type', 'target'] },
  )
  .map(({ target, ...rest }) => ({ ...rest, ...target }));

function partOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof InvalidRefError) return error.part;
    throw error;
  }
  return 'nothing';
}

describe('parseRef', () => {
  it.each<[string, Ref]>([
    ['rune://secret/prod/db', { type: 'secret', namespace: 'prod', name: 'db' }],
    ['rune://secret/prod/db/password', { type: 'secret', namespace: 'prod', name: 'db', key: 'password' }],
    ['rune://instance/prod/id/6f1c', { type: 'instance', namespace: 'prod', uid: '6f1c' }],
    ['rune://instance/prod/id/6f1c/key', { type: 'instance', namespace: 'prod', uid: '6f1c', key: 'key' }],
    ['rune://secret/prod/id', { type: 'secret', namespace: 'prod', name: 'id' }],
    ['rune://secret/prod/%69d/key', { type: 'secret', namespace: 'prod', name: 'id', key: 'key' }],
    ['rune://namespace/-/prod', { type: 'namespace', name: 'prod' }],
    ['rune://namespace/-/id/6f1c', { type: 'namespace', uid: '6f1c' }],
    ['rune://secret/prod/db/a%2Fb', { type: 'secret', namespace: 'prod', name: 'db', key: 'a/b' }],
    ['secret:db.prod.rune', { type: 'secret', namespace: 'prod', name: 'db' }],
    ['secret:db.prod.rune/password', { type: 'secret', namespace: 'prod', name: 'db', key: 'password' }],
    ['secret:my.db.prod.rune', { type: 'secret', namespace: 'prod', name: 'my.db' }],
    ['secret:db', { type: 'secret', name: 'db' }],
    ['secret:db/password', { type: 'secret', name: 'db', key: 'password' }],
    ['secret:my.db', { type: 'secret', name: 'my.db' }],
    ['secret:db.rune', { type: 'secret', name: 'db.rune' }],
    ['rune:db', { type: 'rune', name: 'db' }],
    ['widgets.example.com:w', { type: 'widgets.example.com', name: 'w' }],
  ])('reads %s', (text, ref) => {
    expect(parseRef(text)).toEqual(ref);
  });

  it('gives the namespace of the caller to the shortest form, and to no other', () => {
    expect(parseRef('secret:db', { defaultNamespace: 'dev' }).namespace).toBe('dev');
    expect(parseRef('secret:db.prod.rune', { defaultNamespace: 'dev' }).namespace).toBe('prod');
    expect(parseRef('rune://secret/prod/db', { defaultNamespace: 'dev' }).namespace).toBe('prod');
    expect(parseRef('rune://namespace/-/prod', { defaultNamespace: 'dev' }).namespace).toBeUndefined();
  });

  it.each([
    ['', 'scheme'],
    ['db', 'scheme'],
    ['http://secret/prod/db', 'scheme'],
    ['RUNE://secret/prod/db', 'scheme'],
    ['rune:/secret/prod/db', 'scheme'],
    ['rune://', 'type'],
    ['rune://Secret/prod/db', 'type'],
    ['rune:///prod/db', 'type'],
    [':db', 'type'],
    ['rune://secret', 'namespace'],
    ['rune://secret//db', 'namespace'],
    ['rune://secret/all/db', 'namespace'],
    ['rune://secret/a.b/db', 'namespace'],
    ['secret:db.PROD.rune', 'namespace'],
    ['secret:db..rune', 'namespace'],
    ['rune://secret/prod', 'name'],
    ['rune://secret/prod/', 'name'],
    ['rune://secret/prod/..', 'name'],
    ['rune://secret/prod/a%2Fb', 'name'],
    ['rune://secret/prod/db%zz', 'name'],
    ['rune://secret/prod/d b', 'name'],
    ['rune://secret/prod/db?x=1', 'name'],
    ['rune://secret/prod/db#x', 'name'],
    ['secret:', 'name'],
    ['secret:.prod.rune', 'name'],
    ['rune://secret/prod/id/', 'uid'],
    ['rune://secret/prod/id/%00', 'uid'],
    ['rune://secret/prod/db/', 'key'],
    ['rune://secret/prod/db/a/b', 'key'],
    ['rune://secret/prod/db/%0A', 'key'],
    [`rune://secret/prod/db/${'k'.repeat(254)}`, 'key'],
    ['secret:db/', 'key'],
    ['secret:db/a/b', 'key'],
    ['x'.repeat(9000), 'scheme'],
  ])('refuses %j because of its %s', (text, part) => {
    expect(partOf(() => parseRef(text))).toBe(part);
  });

  it('refuses a default namespace that is none', () => {
    expect(partOf(() => parseRef('secret:db', { defaultNamespace: 'all' }))).toBe('namespace');
  });

  it('says in words what is wrong', () => {
    expect(() => parseRef('rune://secret/prod/DB')).toThrow(
      'reference "rune://secret/prod/DB" has a wrong name: "DB" is not a DNS-1123 subdomain of at most 253 characters',
    );
  });

  it('answers any text with a reference that formats, or an InvalidRefError', () => {
    expect(() => anyRef(2000)).not.toThrow();
  });

  it('answers anything else with an InvalidRefError', () => {
    for (const value of [undefined, null, 5, {}, []]) expect(partOf(() => parseRef(value as string))).toBe('scheme');
  });
});

describe('formatRef', () => {
  it('is read back as it was, for every legal reference', () => {
    fc.assert(
      fc.property(legalRef, (ref) => {
        expect(parseRef(formatRef(ref))).toEqual(ref);
        expect(parseRef(formatRef(ref), { defaultNamespace: 'other' })).toEqual(ref);
      }),
      { numRuns: 2000 },
    );
  });

  it('gives different texts to different references', () => {
    fc.assert(
      fc.property(
        legalRef,
        legalRef,
        (a, b) => (formatRef(a) === formatRef(b)) === (JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))),
      ),
    );
  });

  it('emits only characters that a URI may hold', () => {
    fc.assert(fc.property(legalRef, (ref) => /^rune:\/\/[A-Za-z0-9._~!*'()%/-]+$/.test(formatRef(ref))));
  });

  it.each<[RefInput, string]>([
    [{ type: 'secret', namespace: 'prod', name: 'id', key: 'x' }, 'rune://secret/prod/%69d/x'],
    [{ type: 'secret', namespace: 'prod', name: 'id' }, 'rune://secret/prod/id'],
    [{ type: 'secret', namespace: 'prod', uid: 'u', key: 'x' }, 'rune://secret/prod/id/u/x'],
    [{ type: 'namespace', name: 'prod' }, 'rune://namespace/-/prod'],
    [{ type: 'secret', namespace: undefined, name: 'db', uid: undefined, key: 'a/b' }, 'rune://secret/-/db/a%2Fb'],
  ])('writes %j as %s', (ref, text) => {
    expect(formatRef(ref)).toBe(text);
  });

  it('takes type, namespace and name too', () => {
    expect(formatRef('service', 'prod', 'web')).toBe('rune://service/prod/web');
    expect(formatRef('namespace', undefined, 'prod')).toBe('rune://namespace/-/prod');
    expect(formatRef('namespace', '', 'prod')).toBe('rune://namespace/-/prod');
  });

  it.each<[unknown, string]>([
    [{ type: 'A', name: 'x' }, 'type'],
    [{ type: 'a', namespace: '-', name: 'x' }, 'namespace'],
    [{ type: 'a', namespace: 'all', name: 'x' }, 'namespace'],
    [{ type: 'a' }, 'name'],
    [{ type: 'a', name: 'x', uid: 'y' }, 'name'],
    [{ type: 'a', uid: '' }, 'uid'],
    [{ type: 'a', name: 'x', key: '' }, 'key'],
    [{ type: 'a', name: 'x', key: '\ud800' }, 'key'],
    [null, 'scheme'],
  ])('refuses %j because of its %s', (ref, part) => {
    expect(partOf(() => formatRef(ref as Ref))).toBe(part);
  });
});

function sorted(ref: Ref): unknown {
  return Object.entries(ref).toSorted(([a], [b]) => (a < b ? -1 : 1));
}
