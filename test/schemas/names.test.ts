import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  annotationsCauses,
  dnsLabelCauses,
  finalizersCauses,
  isLabelValue,
  isName,
  isNamespace,
  isQualifiedName,
  isTypeName,
  labelsCauses,
  labelValueCauses,
  nameCauses,
  namespaceCauses,
  qualifiedNameCauses,
  typeNameCauses,
  type Cause,
} from '../../src/schemas/index.js';
import { hostileText, labelKey, labelValue, namespaceName, objectName, typeName } from './arbitraries.js';

// The rules once more, written as Kubernetes writes them.
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const QUALIFIED = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const nearMiss = fc.array(fc.constantFrom('a', 'Z', '0', '-', '.', '_', '/'), { maxLength: 8 }).map((parts) => parts.join(''));

function one(causes: readonly Cause[]): Cause {
  expect(causes).toHaveLength(1);
  return causes[0] as Cause;
}

describe('names', () => {
  it('of objects are DNS-1123 subdomains, as Kubernetes has them', () => {
    fc.assert(fc.property(objectName, (name) => isName(name) && nameCauses(name, 'x').length === 0));
    fc.assert(fc.property(fc.oneof(nearMiss, hostileText), (text) => isName(text) === (text.length <= 253 && SUBDOMAIN.test(text))));
  });

  it('of namespaces are DNS-1123 labels, without the reserved one', () => {
    fc.assert(fc.property(namespaceName, (name) => isNamespace(name) && namespaceCauses(name, 'x').length === 0));
    fc.assert(
      fc.property(
        fc.oneof(nearMiss, hostileText),
        (text) => isNamespace(text) === (text.length <= 63 && LABEL.test(text) && text !== 'all'),
      ),
    );
    expect(one(namespaceCauses('all', 'metadata.namespace'))).toMatchObject({
      reason: 'FieldValueForbidden',
      message: expect.stringContaining('every namespace'),
    });
    expect(dnsLabelCauses('all', 'plural')).toEqual([]);
  });

  it('of types are exact: lower case, dots, underscores and dashes', () => {
    fc.assert(fc.property(typeName, (name) => isTypeName(name) && typeNameCauses(name).length === 0));
    for (const name of ['Service', 'a/b', '', '-a', 'a_', 'a'.repeat(129), '*']) expect(one(typeNameCauses(name)).field).toBe('type');
  });

  it('of labels are qualified names, and their values bounded texts', () => {
    fc.assert(fc.property(labelKey, labelValue, (key, value) => isQualifiedName(key) && isLabelValue(value)));
    fc.assert(
      fc.property(
        fc.oneof(nearMiss, hostileText),
        (text) => isLabelValue(text) === (text === '' || (text.length <= 63 && QUALIFIED.test(text))),
      ),
    );
    fc.assert(
      fc.property(fc.oneof(nearMiss, hostileText), (text) => {
        const [name = '', prefix] = text.split('/').reverse();
        const expected =
          text.split('/').length <= 2 &&
          name.length <= 63 &&
          QUALIFIED.test(name) &&
          (prefix === undefined || (prefix.length <= 253 && SUBDOMAIN.test(prefix)));
        return isQualifiedName(text) === expected;
      }),
    );
  });

  it.each([
    ['a name', nameCauses, 'a'.repeat(253), 'a'.repeat(254)],
    ['a namespace', namespaceCauses, 'a'.repeat(63), 'a'.repeat(64)],
    ['a type', typeNameCauses, 'a'.repeat(128), 'a'.repeat(129)],
    ['a qualified name', qualifiedNameCauses, `${'a'.repeat(253)}/${'b'.repeat(63)}`, `${'a'.repeat(253)}/${'b'.repeat(64)}`],
    ['a label value', labelValueCauses, 'a'.repeat(63), 'a'.repeat(64)],
  ])('bounds %s: the longest is fine, one more is not', (_, causesOf, longest, tooLong) => {
    expect(causesOf(longest, 'f')).toEqual([]);
    expect(one(causesOf(tooLong, 'f'))).toMatchObject({ reason: 'FieldValueTooLong', field: 'f' });
  });

  it('say what is wrong, where, and what to do', () => {
    expect(one(nameCauses('Web', 'metadata.name'))).toEqual({
      reason: 'FieldValueInvalid',
      field: 'metadata.name',
      message:
        'must be a DNS-1123 subdomain: lower case letters, digits, "-" and ".", with a letter or digit at both ends of each part; got "Web"',
    });
    expect(one(nameCauses(undefined, 'metadata.name')).reason).toBe('FieldValueRequired');
    expect(one(nameCauses('', 'metadata.name')).reason).toBe('FieldValueRequired');
    expect(one(nameCauses(7, 'metadata.name'))).toMatchObject({ reason: 'FieldValueTypeInvalid', message: 'must be a text; got 7' });
  });

  it('are answered with causes that are safe to print, whatever they are', () => {
    const anything = fc.oneof(hostileText, fc.anything());
    for (const causesOf of [nameCauses, namespaceCauses, typeNameCauses, qualifiedNameCauses, labelValueCauses, dnsLabelCauses]) {
      fc.assert(
        fc.property(anything, (value) => {
          for (const cause of causesOf(value, 'f')) {
            expect(cause.message).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]|\p{Surrogate}/u);
            expect(cause.message.length).toBeLessThan(400);
          }
        }),
      );
    }
  });

  it('cost no list when they are fine', () => {
    expect(nameCauses('a', 'f')).toBe(labelsCauses({ a: 'b' }, 'f'));
  });

  it('are checked in linear time', () => {
    const long = `${'a-'.repeat(500_000)}!`;
    for (const check of [isName, isNamespace, isTypeName, isQualifiedName, isLabelValue]) expect(check(long)).toBe(false);
  });
});

describe('labelsCauses', () => {
  it('accepts any legal labels', () => {
    fc.assert(
      fc.property(
        fc.dictionary(labelKey, labelValue, { noNullPrototype: true }),
        (labels) => labelsCauses(labels, 'metadata.labels').length === 0,
      ),
    );
  });

  it('names every key and value that is wrong', () => {
    expect(labelsCauses({ 'a b': 'x', ok: 'y', app: 'not ok', n: 5, u: undefined }, 'metadata.labels')).toMatchObject([
      { field: 'metadata.labels', message: expect.stringContaining('has the key "a b"') },
      { field: 'metadata.labels.app', reason: 'FieldValueInvalid' },
      { field: 'metadata.labels.n', reason: 'FieldValueTypeInvalid' },
    ]);
  });

  it('refuses keys that reach a prototype', () => {
    expect(labelsCauses(JSON.parse('{"constructor":"x"}'), 'l')).toMatchObject([{ field: 'l.constructor', reason: 'FieldValueForbidden' }]);
    expect(labelsCauses(JSON.parse('{"__proto__":"x"}'), 'l')).toMatchObject([{ reason: 'FieldValueForbidden' }]);
  });

  it('refuses what is no map', () => {
    for (const value of [null, [], 'a=b', 1]) expect(one(labelsCauses(value, 'l')).reason).toBe('FieldValueTypeInvalid');
  });
});

describe('annotationsCauses', () => {
  it('accepts any text as a value, and upper case in a key', () => {
    expect(annotationsCauses({ 'Example.com/Key': 'anything\nat all', empty: '' }, 'a')).toEqual([]);
  });

  it('bounds all of them together at 256 KiB of UTF-8', () => {
    expect(annotationsCauses({ k: 'x'.repeat(256 * 1024 - 1) }, 'a')).toEqual([]);
    expect(one(annotationsCauses({ k: 'x'.repeat(256 * 1024) }, 'a'))).toMatchObject({ reason: 'FieldValueTooLong', field: 'a' });
    expect(one(annotationsCauses({ k: 'ü'.repeat(128 * 1024) }, 'a')).message).toContain('262145');
  });

  it('names the keys and values that are wrong', () => {
    expect(annotationsCauses({ 'a b': 'x', n: null, s: '\ud800' }, 'a')).toMatchObject([
      { field: 'a' },
      { field: 'a.n', reason: 'FieldValueTypeInvalid' },
      { field: 'a.s', message: expect.stringContaining('well-formed') },
    ]);
  });
});

describe('finalizersCauses', () => {
  it('accepts qualified names, each once', () => {
    expect(finalizersCauses(['rune.dev/cleanup', 'other'], 'f')).toEqual([]);
    expect(finalizersCauses(['a', 'b', 'a'], 'f')).toMatchObject([{ field: 'f[2]', reason: 'FieldValueDuplicate' }]);
    expect(finalizersCauses(['a', 'not ok', 3], 'f')).toMatchObject([
      { field: 'f[1]' },
      { field: 'f[2]', reason: 'FieldValueTypeInvalid' },
    ]);
    expect(one(finalizersCauses('a', 'f')).reason).toBe('FieldValueTypeInvalid');
  });

  it('checks a hundred thousand in no time', () => {
    const many = Array.from({ length: 100_000 }, (_, i) => `f${i}`);
    expect(finalizersCauses(many, 'f')).toEqual([]);
  });
});
