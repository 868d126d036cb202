import { describe, expect, it } from 'vitest';
import { Sealed, sealedCauses, visitSensitive } from '../../src/schemas/index.js';

const paths = [
  ['data', '*'],
  ['spec', 'users', '*', 'pass.word'],
  ['spec', 'token'],
];

function visited(object: unknown): [string, unknown][] {
  const found: [string, unknown][] = [];
  visitSensitive(object, paths, (value, _holder, _key, field) => found.push([field, value]));
  return found;
}

describe('visitSensitive', () => {
  it('finds every sensitive value with its field path', () => {
    expect(
      visited({ data: { a: '1', 'b.c': '2' }, spec: { token: '3', users: [{ 'pass.word': '4', name: 'x' }, {}, { 'pass.word': '5' }] } }),
    ).toEqual([
      ['data.a', '1'],
      ['data["b.c"]', '2'],
      ['spec.users[0]["pass.word"]', '4'],
      ['spec.users[2]["pass.word"]', '5'],
      ['spec.token', '3'],
    ]);
  });

  it('lets the visitor replace them', () => {
    const object = { data: { a: 'x', b: 'y' }, spec: { token: 'z' } };
    visitSensitive(object, paths, (value, holder, key) => {
      holder[key] = `<${String(value)}>`;
    });
    expect(object).toEqual({ data: { a: '<x>', b: '<y>' }, spec: { token: '<z>' } });
  });

  it('passes over what is absent, of another shape, inherited or sealed', () => {
    const seal = new Sealed({ id: '1', open: () => ({ a: 'x' }) });
    for (const object of [null, 5, {}, { data: 'x' }, { data: null }, { data: { a: undefined } }, { data: seal }, { spec: { users: {} } }])
      expect(visited(object)).toEqual([]);
    expect(visited({ spec: Object.create({ token: 'x' }) as object })).toEqual([]);
  });
});

describe('sealedCauses', () => {
  it('names seals and their text at sensitive paths only', () => {
    const seal = new Sealed({ id: '1', open: () => 'x' });
    expect(sealedCauses({ data: { a: seal, b: '[sealed]', c: 'fine' }, note: '[sealed]' }, paths).map((cause) => cause.field)).toEqual([
      'data.a',
      'data.b',
    ]);
  });
});
