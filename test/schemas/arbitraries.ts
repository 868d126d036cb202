/** What the property tests of `schemas` draw from. */
import fc from 'fast-check';

/** Plain JSON as a store would hold it: no `-0`, which JSON does not have, and no keys that reach a prototype. */
export const plainJson: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom(null, true, false),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (Object.is(n, -0) ? 0 : n)),
    fc.string({ unit: 'grapheme' }),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(
      fc.string({ unit: 'grapheme' }).filter((key) => !['__proto__', 'constructor', 'prototype'].includes(key)),
      tie('value'),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ),
})).value;

/** Texts made to break parsers, logs, prototypes and file systems. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '.',
    '..',
    '/',
    '//',
    '-',
    '\0',
    '\n',
    '\u202e',
    '\ud800',
    '\udc00x',
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'a'.repeat(64),
    'a'.repeat(254),
    'A',
    'ü',
    '%',
    '%00',
    '%zz',
    '%2F',
    'rune://',
    'rune:///',
    'rune://a',
    'rune://a/b',
    'rune://a/b/id/',
    'id',
    'all',
    '*',
    'a,b',
    'a=b=c',
    'in',
    'a in',
    'a in (',
    'a in (b',
    '!',
    '!!a',
    'a\\',
    '[',
    'a["',
    "a['x",
    'a[0',
    '\\u0000',
    '1e400',
    '${x}',
    '<script>',
  ),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc
    .array(
      fc.constantFrom(
        'a',
        'b',
        '-',
        '.',
        '/',
        ':',
        '=',
        '!',
        ',',
        '(',
        ')',
        ' in ',
        ' notin ',
        '%',
        '[',
        ']',
        '"',
        '\\',
        'rune://',
        '.rune',
        'id',
        '\t',
      ),
    )
    .map((parts) => parts.join('')),
);

const alphanumeric = 'abcdefghijklmnopqrstuvwxyz0123456789';

function bounded(inner: string, ends: string, maxLength: number): fc.Arbitrary<string> {
  const end = fc.constantFrom(...Array.from(ends));
  return fc.oneof(
    end,
    fc
      .tuple(end, fc.array(fc.constantFrom(...Array.from(inner)), { maxLength: maxLength - 2 }), end)
      .map(([first, middle, last]) => `${first}${middle.join('')}${last}`),
  );
}

/** DNS-1123 labels. */
export const dnsLabel: fc.Arbitrary<string> = bounded(`${alphanumeric}-`, alphanumeric, 63);
/** DNS-1123 subdomains: what objects are called. */
export const objectName: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('id', 'a', 'a.rune', 'a.b.rune', '0', 'x-1.y-2'),
  fc
    .array(dnsLabel, { minLength: 1, maxLength: 4 })
    .map((labels) => labels.join('.'))
    .filter((name) => name.length <= 253),
);
/** What a namespace may be called. */
export const namespaceName: fc.Arbitrary<string> = dnsLabel.filter((label) => label !== 'all');
/** Exact type names. */
export const typeName: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('service', 'rune', 'scaling_operation', 'widgets.example.com'),
  bounded(`${alphanumeric}._-`, alphanumeric, 128),
);
const qualifiedPart = bounded(`${alphanumeric}ABC._-`, `${alphanumeric}ABC`, 63);
/** Label keys. */
export const labelKey: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('app', 'in', 'notin', 'exists', 'toString', 'app.kubernetes.io/name'),
  qualifiedPart.filter((key) => key !== 'constructor' && key !== 'prototype'),
  fc.tuple(dnsLabel, qualifiedPart).map(([prefix, name]) => `${prefix}/${name}`),
);
/** Label values. */
export const labelValue: fc.Arbitrary<string> = fc.oneof(fc.constantFrom('', 'web', 'in', 'notin'), qualifiedPart);
