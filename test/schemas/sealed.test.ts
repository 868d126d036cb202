import { format, inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { freezeJson, Sealed, SEALED_TEXT } from '../../src/schemas/index.js';

const SECRET = 'hunter2';
const seal = new Sealed({ id: 'k1', open: () => SECRET });
const holder = { data: { password: seal, list: [seal] } };

function inTemplate(value: unknown): string {
  return `value: ${value as string}`;
}

describe('Sealed', () => {
  it('gives its value to reveal(), and only to it', () => {
    expect(seal.reveal()).toBe(SECRET);
    expect(seal.id).toBe('k1');
  });

  it.each<[string, () => string]>([
    ['toString', () => seal.toString()],
    ['String()', () => String(seal)],
    ['a template', () => inTemplate(seal)],
    ['concatenation', () => 'x'.concat(seal as unknown as string)],
    ['JSON.stringify', () => JSON.stringify(holder)],
    ['inspect', () => inspect(holder, { depth: null })],
    ['inspect with everything shown', () => inspect(holder, { depth: null, showHidden: true, showProxy: true, getters: true })],
    ['inspect without custom functions', () => inspect(holder, { depth: null, customInspect: false, showHidden: true, getters: true })],
    ['format', () => format('%s %o %O %j %d', seal, seal, seal, seal, seal)],
    ['an error', () => inspect(new Error('failed', { cause: holder }), { depth: null })],
    ['structuredClone', () => JSON.stringify(structuredClone(Object.assign({}, seal)))],
    ['Object.entries', () => JSON.stringify(Object.entries(seal))],
    ['own property names', () => JSON.stringify(Reflect.ownKeys(seal).map(String))],
    ['Object.assign', () => inspect(Object.assign({}, seal))],
    ['join', () => [seal, seal].join()],
  ])('does not show its value under %s', (_, print) => {
    expect(print()).not.toContain(SECRET);
  });

  it('shows its text instead', () => {
    expect(inTemplate(seal)).toBe(`value: ${SEALED_TEXT}`);
    expect(JSON.stringify(holder)).toBe('{"data":{"password":"[sealed]","list":["[sealed]"]}}');
    expect(inspect(seal)).toBe(SEALED_TEXT);
  });

  it('is told from everything else', () => {
    expect(Sealed.is(seal)).toBe(true);
    for (const value of [null, undefined, SEALED_TEXT, {}, [], () => 1, Object.create(Sealed.prototype), { reveal: () => 1 }])
      expect(Sealed.is(value)).toBe(false);
  });

  it('equals a seal of the same content and nothing else', () => {
    expect(seal.equals(seal)).toBe(true);
    expect(seal.equals(new Sealed({ id: 'k1', open: () => 'other' }))).toBe(true);
    expect(seal.equals(new Sealed({ id: 'k2', open: () => SECRET }))).toBe(false);
    expect(seal.equals(SECRET)).toBe(false);
  });

  it('cannot be changed', () => {
    expect(Object.isFrozen(seal)).toBe(true);
    expect(freezeJson(holder).data.password.reveal()).toBe(SECRET);
    expect(() => Object.assign(seal, { reveal: () => 'x' })).toThrow(TypeError);
  });

  it('passes on what opening throws', () => {
    const broken = new Sealed({
      id: 'k3',
      open: () => {
        throw new Error('no key');
      },
    });
    expect(() => broken.reveal()).toThrow('no key');
    expect(inspect(broken)).toBe(SEALED_TEXT);
  });
});
