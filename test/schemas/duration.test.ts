import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { durationMs, isInvalid, parseDuration } from '../../src/schemas/index.js';
import { hostileText } from './arbitraries.js';

describe('parseDuration', () => {
  it.each([
    ['250ms', 250],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['7d', 604_800_000],
    ['1.5s', 1500],
    ['0s', 0],
    ['1m1ms', 60_001],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text, 'timeout')).toBe(ms);
    expect(durationMs(text)).toBe(ms);
  });

  it('takes a number for ms', () => {
    for (const ms of [0, 1, 0.5, Number.MAX_SAFE_INTEGER]) expect(parseDuration(ms, 'timeout')).toBe(ms);
  });

  it('reads any sum of units', () => {
    const part = fc.tuple(fc.nat(1000), fc.constantFrom('ms', 's', 'm', 'h', 'd'));
    const unit: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
        const sum = parts.reduce((total, [count, name]) => total + count * (unit[name] as number), 0);
        return parseDuration(parts.map(([count, name]) => `${count}${name}`).join(''), 'x') === sum;
      }),
    );
  });

  it.each([
    '',
    ' ',
    '5',
    's',
    '5 s',
    '5S',
    '-5s',
    '+5s',
    '5s ',
    '1e3s',
    '5s5',
    '.5s',
    '5.s',
    '5sec',
    '1d'.repeat(40),
    `${'9'.repeat(15)}d`,
  ])('refuses %j', (text) => {
    expect(() => parseDuration(text, 'timeout')).toThrow(expect.objectContaining({ reason: 'Invalid' }));
  });

  it.each([-1, Number.NaN, Infinity, 2 ** 60])('refuses %d', (ms) => {
    expect(() => parseDuration(ms, 'timeout')).toThrow(expect.objectContaining({ reason: 'Invalid' }));
  });

  it('names the option and the value', () => {
    expect(() => parseDuration('soon', 'leaseDuration')).toThrow(
      /option leaseDuration is invalid: leaseDuration: must be ms .*; got "soon"/,
    );
  });

  it('answers any text with ms or an InvalidError', () => {
    fc.assert(
      fc.property(fc.oneof(hostileText, fc.anything()), (value) => {
        try {
          return parseDuration(value as string, 'x') >= 0;
        } catch (error) {
          return isInvalid(error);
        }
      }),
    );
  });
});
