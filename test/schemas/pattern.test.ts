import { describe, expect, it } from 'vitest';
import { defineResource, isInvalid, validatorOf, type AnyDefinition } from '../../src/schemas/index.js';

function withPattern(pattern: string): AnyDefinition {
  return defineResource({ kind: 'Widget', spec: { type: 'object', properties: { x: { type: 'string', pattern } } } });
}

function isTaken(pattern: string): boolean {
  try {
    withPattern(pattern);
    return true;
  } catch (error) {
    if (isInvalid(error)) return false;
    throw error;
  }
}

describe('a pattern', () => {
  it.each([
    '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
    '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
    '^([0-9]+(ms|s|m|h|d))+$',
    '^(\\d+,)*\\d+$',
    '^[-._a-zA-Z0-9]+$',
    '^(foo|bar|qux)+$',
    '^(ab|cd){2,20}$',
    '^v[1-9][0-9]*((alpha|beta)[1-9][0-9]*)?$',
    '^sha256:[a-f0-9]{64}$',
    '^\\d{4}-\\d{2}-\\d{2}$',
    '^[^/]+/[^/]+$',
    '^(?:[A-Z][a-z]*)+$',
    '^(?=.*x)[a-z]*$',
    '^\\p{L}+$',
    '^[\\w.-]+@[\\w-]+\\.[a-z]{2,}$',
    'a|b|c',
    '^\\u{1f600}*\\x41\\u0042\\cA$',
    '',
  ])('may be %s', (pattern) => {
    expect(isTaken(pattern)).toBe(true);
  });

  it.each([
    '(a+)+',
    '(a+)+$',
    '^(a*)*$',
    '^((a+))+$',
    '^(?:a+){2,}$',
    '^(a|a)*$',
    '^(a|aa)+$',
    '^(a|ab)*c$',
    '^(.*a){12}$',
    '^([a-z]+[-_]?)*$',
    '^(\\w+\\s?)*$',
    '^(\\w|\\d)+$',
    '^(a?a)*$',
    '^(a*,*)*$',
    '^([a-zA-Z]+)*$',
    '^(x+x+)+y$',
    '^(\\.a*|a)*$',
    '^\\s*\\s*$',
    '^.*.*=.*$',
    '^\\d+\\d+$',
    '^(a)\\1*$',
    '^(?<n>a)\\k<n>$',
    '^(?=(a+)+$)',
    '[',
    '*',
    '\\',
    'a{2,1}',
    `^${'a?'.repeat(1500)}$`,
  ])('may not be %s', (pattern) => {
    expect(isTaken(pattern)).toBe(false);
  });

  it('that is taken is quick on the texts that slow such patterns down', () => {
    const taken = [
      '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
      '^([0-9]+(ms|s|m|h|d))+$',
      '^(\\d+,)*\\d+$',
      'a+b',
      '^[\\w.-]+@[\\w-]+\\.[a-z]{2,}$',
    ];
    const texts = [
      'a'.repeat(50_000),
      '1'.repeat(50_000),
      '1,'.repeat(20_000),
      'a-'.repeat(20_000),
      'a.'.repeat(20_000),
      'a@a.'.repeat(1000),
    ].map((text) => `${text}!`);
    const started = process.cpuUsage();
    for (const pattern of taken) for (const x of texts) expect(validatorOf(withPattern(pattern)).causes({ spec: { x } })).toHaveLength(1);
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(3000);
  });

  it('matches a text of any length when it is linear, and of 4096 characters otherwise', () => {
    const matches = (pattern: string, x: string): boolean => validatorOf(withPattern(pattern)).causes({ spec: { x } }).length === 0;
    expect(matches('^[a-z]+$', 'a'.repeat(100_000))).toBe(true);
    expect(matches('[a-z]+$', 'a'.repeat(4096))).toBe(true);
    expect(matches('[a-z]+$', 'a'.repeat(4097))).toBe(false);
  });
});
