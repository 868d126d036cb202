import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Secret, defineResource } from '../../../src/schemas/index.js';
import { memoryEngine } from '../../../src/store/index.js';
import { Account, hitsIn, open } from './support.js';

/** Everything that an error shows to somebody. */
async function shownBy(what: Promise<unknown>): Promise<string> {
  const error = await what.then(
    (value) => {
      throw new Error(`an error was expected, not ${JSON.stringify(value)}`);
    },
    (thrown: unknown) => thrown as Error & { toStatus?(): unknown },
  );
  expect(error).toMatchObject({ reason: expect.stringMatching(/^(Invalid|Conflict)$/) as string });
  return [
    String(error),
    error.stack,
    inspect(error, { depth: 20, showHidden: true, getters: true }),
    JSON.stringify(error.toStatus?.()),
  ].join('\n');
}

let canaries = 0;
/** Fits no name, no key and no label. */
const canary = (): string => `Ku7${(canaries += 1)}qzWmP4xRt9vLbN2!`;

describe('the error of a write', () => {
  it('quotes no stored secret, wherever a JSON patch has copied it to', async () => {
    await using store = await open({ engine: memoryEngine(), types: [Account] });
    const [text, key, deep, pem] = [canary(), canary(), canary(), canary()];
    await store.create(Secret, 'prod', 's', { data: { v: text } });
    await store.create(Account, 'prod', 'a', {
      spec: { user: 'me', password: text, pin: 987654321, limits: { [key]: { [deep]: pem } }, keys: [{ name: 'k', pem }] },
    });
    const secrets = [text, key, deep, pem, '987654321'];
    const places = [
      ...['name', 'namespace', 'uid', 'resourceVersion', 'generation', 'creationTimestamp', 'labels', 'annotations', 'finalizers'],
      ...['ownerReferences', 'deletionTimestamp', 'generateName', 'unknown', 'labels/x', 'annotations/x', 'finalizers/0'],
    ].map((field) => `/metadata/${field}`);
    const maps = { labels: {}, annotations: {}, finalizers: ['a/b'], ownerReferences: [] };
    const prepare = [{ op: 'add', path: '/metadata', value: { ...maps } }];
    for (const path of [...places, '/immutable', '/type', '/data', '/binaryData', '/nope', '/kind', '/apiVersion', '/binaryData/x']) {
      const patch = [...prepare, { op: 'add', path: '/binaryData', value: {} }, { op: 'copy', from: '/data/v', path }];
      if (['/metadata/annotations/x', '/type'].includes(path)) continue;
      expect(hitsIn(path, Buffer.from(await shownBy(store.patch(Secret, 'prod', 's', patch))), secrets)).toEqual([]);
    }
    const sources = ['/spec/password', '/spec/limits', `/spec/limits/${key}`, '/spec/pin', '/spec/keys/0/pem'];
    for (const from of sources) {
      for (const path of [
        ...places,
        '/spec/keys',
        '/spec/keys/0',
        '/spec/nope',
        '/spec',
        '/status',
        '/kind',
        '/spec/tokens',
        '/spec/user',
      ]) {
        const patch = [...prepare, { op: 'copy', from, path }];
        const fits = await store.patch(Account, 'prod', 'a', patch, { dryRun: true }).then(
          () => true,
          () => false,
        );
        if (fits) continue;
        expect(hitsIn(`${from} ${path}`, Buffer.from(await shownBy(store.patch(Account, 'prod', 'a', patch))), secrets)).toEqual([]);
      }
    }
    for (const operation of [
      { op: 'test', path: `/spec/limits/${key}/${deep}`, value: 'x' },
      { op: 'test', path: '/spec/limits', value: { [key]: 1 } },
      { op: 'remove', path: `/spec/limits/${key}/none` },
      { op: 'replace', path: `/spec/limits/${key}/none/${deep}`, value: pem },
      { op: 'move', from: `/spec/limits/${key}`, path: `/spec/limits/${key}/${deep}` },
      { op: 'add', path: `/spec/limits/${key}`, value: { [deep]: () => pem } },
      { op: 'add', path: '/spec/nope/x', value: { [deep]: pem } },
    ]) {
      expect(
        hitsIn(JSON.stringify(operation), Buffer.from(await shownBy(store.patch(Account, 'prod', 'a', [operation]))), secrets),
      ).toEqual([]);
    }
  });

  it('quotes none that a function has moved, and none of what a caller gives', async () => {
    const Odd = defineResource({
      kind: 'Odd',
      spec: {
        type: 'object',
        properties: {
          short: { type: 'string', maxLength: 3, sensitive: true },
          whole: { type: 'object', sensitive: true, properties: { a: { type: 'string' } } },
          size: { type: 'integer' },
          map: { type: 'object', additionalProperties: { type: 'integer' } },
          user: { type: 'string' },
        },
      },
      validate: (next) => (next.spec.user === undefined ? [] : [{ field: 'spec.user', message: `no user is called ${next.spec.user}` }]),
    });
    await using store = await open({ engine: memoryEngine(), types: [Account, Odd] });
    const [text, key] = [canary(), canary()];
    await store.create(Account, 'prod', 'a', { spec: { password: text, limits: { [key]: 1 } } });
    await store.create(Odd, 'prod', 'o', { spec: { short: 'abc', whole: { a: text } } });
    type Draft = Record<string, Record<string, unknown>>;
    const modify = (type: typeof Account, name: string, change: (draft: Draft, secret: string) => unknown): Promise<unknown> =>
      store.modify(type, 'prod', name, (draft) => void change(draft as unknown as Draft, draft.spec.password ?? text));
    const odd = (spec: object): Promise<unknown> => store.create(Odd, 'prod', 'p', { spec });
    const failing: (() => Promise<unknown>)[] = [
      () => modify(Account, 'a', (draft, secret) => (draft['metadata']!['uid'] = secret)),
      () => modify(Account, 'a', (draft, secret) => (draft['metadata']!['labels'] = { [secret]: secret })),
      () => modify(Account, 'a', (draft, secret) => (draft['spec']![secret] = secret)),
      () => modify(Account, 'a', (draft, secret) => (draft['spec']!['tokens'] = { [secret]: 1, ...(draft['spec']!['limits'] as object) })),
      () => modify(Account, 'a', (draft, secret) => (draft['spec']!['user'] = { [secret]: () => secret })),
      () => modify(Odd as never, 'o', (draft) => (draft['spec']!['map'] = { [text]: text })),
      () => store.patch(Odd, 'prod', 'o', [{ op: 'copy', from: '/spec/whole/a', path: '/spec/user' }]),
      () => store.patch(Odd, 'prod', 'o', { spec: { size: text, whole: { [key]: text } } }),
      () => store.update(Odd, 'prod', 'o', { spec: { short: text, whole: text, map: text } } as never),
      () => store.apply(Odd, 'prod', 'o', { spec: { whole: { a: [text], [key]: 1 } } } as never),
      () => odd({ short: text, size: text, whole: { a: 1, [key]: text } }),
      () => odd({ whole: { [key]: () => text, map: new Map() } }),
      () => odd({ whole: { [key]: { deep: '[sealed]' } } }),
      () => store.transaction((tx) => tx.patch(Odd, 'prod', 'o', [{ op: 'copy', from: '/spec/whole/a', path: '/spec/size' }])),
    ];
    for (const [index, fail] of failing.entries())
      expect(hitsIn(`case ${index}`, Buffer.from(await shownBy(fail())), [text, key])).toEqual([]);
  });

  it('still says what is wrong, and where', async () => {
    await using store = await open({ engine: memoryEngine(), types: [Account] });
    await store.create(Secret, 'prod', 's', { data: { known: 'x' } });
    const told = async (what: Promise<unknown>): Promise<string> => ((await what.catch((error: unknown) => error)) as Error).message;
    expect(await told(store.create(Secret, 'prod', 't', { data: { password: 42 } } as never))).toContain('data.password: must be a text');
    expect(await told(store.update(Secret, 'prod', 's', { data: { more: 42 } } as never))).toContain('data.more: must be a text');
    expect(await told(store.patch(Secret, 'prod', 's', [{ op: 'add', path: '/data/more', value: 42 }]))).toContain(
      'data.*: must be a text',
    );
    expect(await told(store.patch(Secret, 'prod', 's', [{ op: 'add', path: '/data/known', value: 42 }]))).toContain(
      'data.known: must be a text',
    );
    expect(await told(store.patch(Secret, 'prod', 's', [{ op: 'remove', path: '/data/none' }]))).toContain(
      '(remove /data/none): path points at nothing',
    );
    expect(await told(store.patch(Secret, 'prod', 's', { metadata: { labels: { 'a b': 'x', c: '!' } } }))).toMatch(
      /metadata\.labels: has the key "a b": a key must be at most 63 .*metadata\.labels\.c: must be empty, or letters/,
    );
    expect(await told(store.create(Secret, 'prod', 't', { pasword: 'x' } as never))).toContain('pasword: unknown field');
  });
});
