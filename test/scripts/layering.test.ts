/** The checker of the house rules against planted violations: each rule must be able to fail, and to stay silent. */
import { execFile } from 'node:child_process';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

import { checkHouse, type Violation } from '../../scripts/layering/rules.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

function check(files: Record<string, string>): readonly Violation[] {
  return checkHouse({ files: new Map(Object.entries(files)), packageName: 'rune-runtime', dependencies: new Set(['lmdb', '@scope/kept']) });
}
/** `path:line rule` of each violation. */
function found(files: Record<string, string>): readonly string[] {
  return check(files).map(({ path, line, rule }) => `${path}:${line} ${rule}`);
}
/** What is reported for one file of the store, without its header. */
function inStore(code: string): readonly string[] {
  return check({ 'src/store/a.ts': `/** A. */\n${code}\n` }).map(({ line, message }) => `${line - 1} ${message.split(':')[0]}`);
}

const leaf = '/** Leaf. */\nexport const a = 1;\n';

describe('layering', () => {
  it('is silent about a house in order', () => {
    const files = {
      'src/index.ts': `export * from './schemas/index.js';\nexport { b } from './store/index.js';\n`,
      'src/schemas/index.ts': `export { a } from './a.js';\nexport type { T } from './a.js';\n`,
      'src/schemas/a.ts': `/** A. */\nexport const a = 1;\nexport type T = number;\n`,
      'src/store/index.ts': `export { b } from './b.js';\n`,
      'src/store/b.ts': `/** B. */\nimport { open } from 'lmdb';\nimport { readFile } from 'node:fs/promises';\nimport { a } from '../schemas/index.js';\nexport const b = [a, open, readFile];\n`,
      'src/store/engines/deep.ts': `/** Deep. */\nimport { b } from '../b.js';\nexport const deep = b;\n`,
      'src/testing/index.ts': `export { kit } from './kit.js';\n`,
      'src/testing/kit.ts': `/** Kit. */\nimport { b } from '../store/index.js';\nexport const kit = b;\n`,
      'test/store/b.test.ts': `import { b } from '../../src/store/b.js';\nb;\n`,
      'examples/e/main.ts': `import { b } from '../../src/index.js';\nb;\n`,
    };
    expect(check(files)).toEqual([]);
  });

  it('refuses an import that points up, at its line', () => {
    const files = {
      'src/schemas/a.ts': `/** A. */\n\nimport type { B } from '../store/index.js';\nexport type A = B;\n`,
      'src/store/index.ts': `export type { B } from './b.js';\n`,
      'src/store/b.ts': `/** B. */\nexport type B = 1;\n`,
    };
    expect(found(files)).toEqual(['src/schemas/a.ts:3 layer']);
  });

  it.each(['schemas', 'store', 'informer', 'controller', 'server', 'cli'])('lets nothing in %s import testing', (folder) => {
    const files = {
      [`src/${folder}/a.ts`]: `/** A. */\nexport * from '../testing/index.js';\n`,
      'src/testing/index.ts': `export { a } from './a.js';\n`,
      'src/testing/a.ts': leaf,
    };
    expect(found(files)).toEqual([`src/${folder}/a.ts:2 layer`]);
  });

  it('orders all folders: each imports those below it and none above', () => {
    const order = ['schemas', 'store', 'informer', 'controller', 'server', 'cli'];
    for (const [i, from] of order.entries()) {
      for (const [j, to] of order.entries()) {
        if (i === j) continue;
        const files = {
          [`src/${from}/x.ts`]: `/** X. */\nimport '../${to}/index.js';\n`,
          [`src/${to}/index.ts`]: `export { a } from './a.js';\n`,
          [`src/${to}/a.ts`]: leaf,
        };
        expect(found(files), `${from} imports ${to}`).toEqual(i < j ? [`src/${from}/x.ts:2 layer`] : []);
      }
    }
  });

  it('refuses to pass by the door of another folder, however it is written', () => {
    const files = {
      'src/schemas/index.ts': `export { a } from './a.js';\n`,
      'src/schemas/a.ts': leaf,
      'src/store/b.ts': [
        '/** B. */',
        `import { a } from '../schemas/a.js';`,
        `export { a as c } from '../schemas/a.js';`,
        `export type T = import('../schemas/a.js').T;`,
        `export const later = () => import('../schemas/a.js');`,
        `export const sum = [a];`,
      ].join('\n'),
    };
    expect(found(files)).toEqual(['src/store/b.ts:2 door', 'src/store/b.ts:3 door', 'src/store/b.ts:4 door', 'src/store/b.ts:5 door']);
  });

  it('keeps the door of a nested folder that has one', () => {
    const files = {
      'src/store/b.ts': `/** B. */\nimport { r } from './repos/r.js';\nexport const b = r;\n`,
      'src/store/repos/index.ts': `export { r } from './r.js';\n`,
      'src/store/repos/r.ts': `/** R. */\nexport const r = 1;\n`,
    };
    expect(found(files)).toEqual(['src/store/b.ts:2 door']);
  });

  it('lets an example use public doors alone', () => {
    const files = {
      'src/store/index.ts': `export { a } from './a.js';\n`,
      'src/store/a.ts': leaf,
      'examples/e/main.ts': `import { a } from '../../src/store/a.js';\nimport { a as b } from '../../src/store/index.js';\na + b;\n`,
    };
    expect(found(files)).toEqual(['examples/e/main.ts:1 door']);
  });

  it('wants re-exports alone in index.ts', () => {
    const files = { 'src/store/index.ts': `export * from './a.js';\nexport const b = 1;\nimport './a.js';\n`, 'src/store/a.ts': leaf };
    expect(found(files)).toEqual(['src/store/index.ts:2 index', 'src/store/index.ts:3 index']);
  });

  it('finds circles of any length, of types too, and tells the way round', () => {
    const files = {
      'src/store/a.ts': `/** A. */\nimport type { B } from './b.js';\nexport type A = B;\n`,
      'src/store/b.ts': `/** B. */\nimport { c } from './c.js';\nexport type B = typeof c;\n`,
      'src/store/c.ts': `/** C. */\nimport type { A } from './a.js';\nexport const c = 1 as A;\n`,
      'src/store/self.ts': `/** S. */\nexport * from './self.js';\n`,
      'src/store/out.ts': `/** O. */\nexport * from './a.js';\n`,
    };
    const violations = check(files);
    expect(violations.map(({ path, line, rule }) => `${path}:${line} ${rule}`)).toEqual([
      'src/store/a.ts:2 circle',
      'src/store/self.ts:2 circle',
    ]);
    expect(violations[0]?.message).toContain('src/store/a.ts -> src/store/b.ts -> src/store/c.ts -> src/store/a.ts');
  });

  it('allows 500 lines and not 501', () => {
    const lines = (count: number) => `/** A. */\n${'// line\n'.repeat(count - 2)}export const a = 1;\n`;
    expect(found({ 'src/store/a.ts': lines(500) })).toEqual([]);
    // A suite is one subject however many cases it has.
    expect(found({ 'src/store/a.ts': lines(501), 'test/b.ts': lines(501) })).toEqual(['src/store/a.ts:501 length']);
  });

  it('refuses files that have no place, packages that are not dependencies, and names that lead nowhere', () => {
    const files = {
      'src/stray.ts': leaf,
      'src/attic/a.ts': leaf,
      'src/store/a.ts': `/** A. */\nimport 'left-pad';\nimport '@scope/kept/part';\nimport 'rune-runtime';\nimport 'fs';\nimport './gone.js';\nimport './b';\nimport 'vitest';\n`,
      'src/store/b.ts': leaf,
      'src/store/dynamic.ts': '/** D. */\nexport const load = (name: string) => import(`./${name}.js`);\n',
      'src/testing/vitest.ts': `/** V. */\nimport 'vitest';\n`,
    };
    expect(found(files)).toEqual([
      'src/attic/a.ts:1 layer',
      ...['2 external', '4 external', '5 external', '6 resolve', '7 resolve', '8 external'].map((tail) => `src/store/a.ts:${tail}`),
      'src/store/dynamic.ts:2 resolve',
      'src/stray.ts:1 layer',
    ]);
  });

  it('keeps the Kubernetes client out, but for the types in its one file', () => {
    const files = {
      'test/types/client-node.ts': `import type { V1Pod } from '@kubernetes/client-node/dist/gen/models/V1Pod.js';\nexport type P = V1Pod;\n`,
      'test/types/other.ts': `import type { V1Pod } from '@kubernetes/client-node';\nexport type P = V1Pod;\n`,
      'src/schemas/a.ts': `/** A. */\nexport type { V1Pod } from '@kubernetes/client-node';\n`,
    };
    expect(found(files)).toEqual(['src/schemas/a.ts:2 external', 'test/types/other.ts:1 external']);
    expect(found({ 'test/types/client-node.ts': `import { V1Pod } from '@kubernetes/client-node';\nV1Pod;\n` })).toEqual([
      'test/types/client-node.ts:1 external',
    ]);
  });

  it('reports faults of syntax and goes on', () => {
    expect(
      found({ 'src/store/a.ts': '/** A. */\nexport const = 1;\n', 'src/store/b.ts': '/** B. */\nexport const b = Date.now();\n' }),
    ).toEqual(['src/store/a.ts:2 syntax', 'src/store/b.ts:2 ban']);
  });

  it('refuses silenced checks, and takes @ts-expect-error in tests', () => {
    const comments = [
      '// oxlint-disable-next-line no-console',
      '/* eslint-disable */',
      '// @ts-ignore',
      '// @ts-nocheck',
      '/* v8 ignore next */',
      '// @ts-expect-error why',
    ];
    const text = `/** A. */\n${comments.join('\n')}\nexport const a = 1;\n`;
    expect(found({ 'src/store/a.ts': text })).toEqual([2, 3, 4, 5, 6, 7].map((line) => `src/store/a.ts:${line} suppress`));
    expect(found({ 'test/a.test.ts': text })).toEqual([2, 3, 4, 5, 6].map((line) => `test/a.test.ts:${line} suppress`));
    expect(inStore('// a comment may speak of @ts-ignore\nexport const a = 1;')).toEqual([]);
  });

  it('holds the style of modules: header, named exports, no state, no private keyword', () => {
    expect(found({ 'src/store/a.ts': 'export const a = 1;\n' })).toEqual(['src/store/a.ts:1 style']);
    expect(found({ 'src/store/a.ts': '/** A. */\nexport default 1;\nlet count = 0;\nexport let other = count;\n' })).toEqual([
      'src/store/a.ts:2 style',
      'src/store/a.ts:3 style',
      'src/store/a.ts:4 style',
    ]);
    expect(inStore('export class A {\n  private b = 1;\n  protected c() {}\n  #d = 1;\n  readonly e = 1;\n}')).toHaveLength(1);
  });
});

describe('the ban on clocks, timers and chance', () => {
  it.each([
    ['Date.now()', 'Date.now'],
    ["Date['now']()", 'Date.now'],
    ['Date[`now`]()', 'Date.now'],
    ['new Date()', 'new Date() without an argument'],
    ['new Date(...parts)', 'new Date() without an argument'],
    ['Date()', 'Date()'],
    ['Date', 'an alias of Date'],
    ['(Date).now()', 'an alias of Date'],
    ['[Date]', 'an alias of Date'],
    ['{ Date }', 'an alias of Date'],
    ['globalThis.Date.now()', 'Date.now'],
    ['Math.random()', 'Math.random'],
    ['Math', 'an alias of Math'],
    ['Math[name]()', 'Math[computed]'],
    ['setTimeout(f, 1)', 'setTimeout'],
    ["globalThis['setTimeout'](f, 1)", 'setTimeout'],
    ['globalThis[name](f, 1)', 'globalThis[computed]'],
    ['globalThis', 'an alias of globalThis'],
    ['setInterval(f, 1)', 'setInterval'],
    ['setImmediate(f)', 'setImmediate'],
    ['queueMicrotask(f)', 'queueMicrotask'],
    ['{ later: queueMicrotask }', 'queueMicrotask'],
    ['process.nextTick(f)', 'process.nextTick'],
    ['process.hrtime.bigint()', 'process.hrtime'],
    ['performance.now()', 'performance'],
    ['crypto.randomUUID()', 'crypto.randomUUID'],
    ['crypto.getRandomValues(f)', 'crypto.getRandomValues'],
    ['AbortSignal.timeout(5)', 'AbortSignal.timeout'],
    ['AbortSignal.any([])', 'AbortSignal.any'],
    ['setTimeout as unknown', 'setTimeout'],
    ['new DisposableStack()', 'DisposableStack (typed, but absent on Node 20)'],
    ['new AsyncDisposableStack()', 'AsyncDisposableStack (typed, but absent on Node 20)'],
  ])('finds %s', (code, what) => {
    expect(inStore(`export const a = () => (${code});`)).toEqual([`1 ${what}`]);
  });

  it.each([
    [`import { setTimeout as sleep } from 'node:timers/promises';`, 'setTimeout of node'],
    [`import * as timers from 'node:timers';`, '* of node'],
    [`import { randomUUID } from 'node:crypto';`, 'randomUUID of node'],
    [`import { randomUUID as id, createHash } from 'node:crypto';`, 'randomUUID of node'],
    [`export { randomBytes } from 'node:crypto';`, 'randomBytes of node'],
    [`export * from 'node:crypto';`, 'all of node'],
    [`import { performance } from 'node:perf_hooks';`, 'performance of node'],
    [`import { nextTick } from 'node:process';`, 'nextTick of node'],
    [`import * as c from 'node:crypto';export const a = c.randomUUID();`, 'crypto.randomUUID'],
    [`import c from 'node:crypto';export const { randomUUID } = c;`, 'crypto.randomUUID'],
    [`import p from 'node:process';p.nextTick(() => {});`, 'process.nextTick'],
    ['export const { random } = Math;', 'Math.random'],
    ['export const { nextTick: later } = process;', 'process.nextTick'],
    ['export const { ...rest } = Math;', 'parts of Math'],
  ])('finds it behind %s', (code, what) => {
    expect(inStore(code)).toEqual([`1 ${what}`]);
  });

  it.each([
    'new Date(ms).toISOString()',
    "Date.parse('2026-01-01T00:00:00Z')",
    'Date.UTC(2026, 0)',
    'x instanceof Date',
    'typeof Date',
    'Math.floor(1.5)',
    'deps.clock.now()',
    'deps.performance',
    '{ setTimeout: 1, Date: 2 }',
    'class { setTimeout() {} performance = 1 }',
    'process.env',
    'process.pid',
    'clearTimeout(x)',
    "'Date.now()'",
    '`setTimeout ${ms}`',
    '/Math.random/',
    'signal instanceof AbortSignal',
  ])('lets %s pass', (code) => {
    expect(inStore(`export const a = (deps, ms, x, signal) => (${code});`)).toEqual([]);
  });

  it('lets types and comments pass', () => {
    const code = [
      '// Date.now() is read elsewhere',
      `import type { setTimeout as Later } from 'node:timers/promises';`,
      `import { createHash, type randomUUID } from 'node:crypto';`,
      'export type A = Date | ReturnType<typeof setTimeout> | Later | typeof randomUUID;',
      'export interface B { performance: Performance; at(date: Date): Date }',
      'export const c = createHash;',
    ];
    expect(inStore(code.join('\n'))).toEqual([]);
  });

  it('exempts the files that hand the real thing in, and tests of the real world that say so', () => {
    const use = 'export const a = () => Date.now();\n';
    for (const path of ['src/store/system-deps.ts', 'src/testing/virtual-deps.ts'])
      expect(found({ [path]: `/** A. */\n${use}` }), path).toEqual([]);
    for (const path of ['bench/store.ts', 'test/reliability/soak.ts', 'scripts/a.ts']) expect(found({ [path]: use }), path).toEqual([]);
    expect(found({ 'test/store/a.test.ts': use, 'examples/e/main.ts': use })).toEqual([
      'examples/e/main.ts:1 ban',
      'test/store/a.test.ts:1 ban',
    ]);
    expect(found({ 'test/store/a.test.ts': `/** Kills a process. Real world: waits for it. */\n${use}` })).toEqual([]);
    expect(found({ 'test/store/a.test.ts': `${use}// Real world: too late, this belongs at the top\n` })).toEqual([
      'test/store/a.test.ts:1 ban',
    ]);
    expect(found({ 'src/store/a.ts': `/** Real world: src has no way out. */\n${use}` })).toEqual(['src/store/a.ts:2 ban']);
  });

  it('holds what Node 20 lacks against every file', () => {
    const use = '/** A. */\nexport const a = () => new DisposableStack();\n';
    expect(found({ 'src/store/system-deps.ts': use, 'bench/a.ts': use })).toEqual(['bench/a.ts:2 ban', 'src/store/system-deps.ts:2 ban']);
  });
});

describe('npm run layering', () => {
  async function run(files: Record<string, string>): Promise<{ code: number; stdout: string }> {
    const folder = await mkdtemp(join(tmpdir(), 'rune-layering-'));
    try {
      for (const [path, text] of Object.entries({ 'package.json': '{"name":"rune-runtime"}', ...files })) {
        await mkdir(dirname(join(folder, path)), { recursive: true });
        await writeFile(join(folder, path), text);
      }
      const args = ['--import', 'tsx', join(root, 'scripts/layering.ts'), folder];
      const { code, stdout } = await promisify(execFile)(process.execPath, args, { cwd: root }).then(
        ({ stdout }) => ({ code: 0, stdout }),
        (error: unknown) => error as { code: number; stdout: string },
      );
      return { code, stdout };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  it('exits 1 with file:line of what it found, and 0 when all is well', async () => {
    const bad = await run({ 'src/store/a.ts': '/** A. */\nexport const a = Date.now();\n', 'src/store/b.ts': leaf });
    expect(bad.stdout).toContain('src/store/a.ts:2: [ban] Date.now');
    expect(bad.stdout).toContain('layering: 2 files, 1 violation\n');
    expect(bad.code).toBe(1);
    const good = await run({ 'src/store/b.ts': leaf });
    expect(good).toEqual({ code: 0, stdout: 'layering: 1 files, 0 violations\n' });
  });

  it('fails when there is nothing to check', async () => {
    expect((await run({ 'readme.txt': '' })).code).toBe(1);
  });
});
