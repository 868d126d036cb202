/**
 * The tarball as npm would publish it, installed in an empty project: what is in it, that its types stand alone, that a
 * controller written against it runs. Real world: runs npm, the compiler and Node in processes of their own.
 */
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { buildPackage, node, root, run, temporaryFolder, tsc, userConfig, writeFiles } from '../support/built-package.js';

const controller = `
import { createManager, defineController, defineResource, openStore, repo } from 'rune-runtime';

const Site = defineResource({
  kind: 'Site',
  scope: 'Namespaced',
  spec: { type: 'object', required: ['title'], properties: { title: { type: 'string' } } },
  status: { type: 'object', properties: { shout: { type: 'string' } } },
  conditions: ['Ready'],
});
const shouting = defineController({
  name: 'shouting',
  for: Site,
  reconcile({ object, status, condition }) {
    status({ shout: object.spec.title.toUpperCase() });
    condition('Ready', true, { reason: 'Shouted' });
  },
});
await using store = await openStore({ path: './data', types: [Site] });
await using manager = createManager({ store, controllers: [shouting] });
await manager.start();
const sites = repo(store, Site);
await sites.create({ metadata: { namespace: 'default', name: 'home' }, spec: { title: 'welcome' } });
const site = await sites.waitFor({ namespace: 'default', name: 'home' }, 'Ready');
console.log(site.status?.shout);
`;

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly exports: Record<string, string | { readonly types: string; readonly default: string }>;
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let app: string;
let installed: string;
let manifest: Manifest;

beforeAll(async () => {
  folder = await temporaryFolder('package');
  const source = join(folder.path, 'source');
  await buildPackage(source);
  const packed = await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder.path], { cwd: source });
  if (packed.code !== 0) throw new Error(packed.output);
  manifest = JSON.parse(await readFile(join(source, 'package.json'), 'utf8')) as Manifest;
  app = join(folder.path, 'app');
  installed = join(app, 'node_modules', manifest.name);
  // Types that a library must not need: only what the README asks of a user is installed beside it.
  const types = JSON.parse(await readFile(join(root, 'node_modules/@types/node/package.json'), 'utf8')) as { version: string };
  await writeFiles(app, { 'package.json': JSON.stringify({ name: 'app', private: true, type: 'module' }), 'tsconfig.json': userConfig });
  const tarball = join(folder.path, `${manifest.name}-${manifest.version}.tgz`);
  const args = ['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', tarball, `@types/node@${types.version}`];
  const install = await run('npm', args, { cwd: app, timeoutMs: 120_000 });
  if (install.code !== 0) throw new Error(install.output);
}, 180_000);
afterAll(() => folder[Symbol.asyncDispose]());

describe('the package', () => {
  it('holds what its manifest promises, and nothing of the checkout', async () => {
    for (const [subpath, target] of Object.entries(manifest.exports)) {
      for (const file of typeof target === 'string' ? [target] : [target.types, target.default]) {
        expect(existsSync(join(installed, file)), `${subpath}: ${file}`).toBe(true);
      }
    }
    expect((await readdir(installed)).toSorted()).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'dist', 'package.json']);
  });

  it('brings no Kubernetes client and no test runner with it', () => {
    for (const name of ['@kubernetes/client-node', 'vitest', 'typescript', 'tsx'])
      expect(existsSync(join(app, 'node_modules', name)), name).toBe(false);
  });

  it('type-checks and runs a controller', { timeout: 60_000 }, async () => {
    await writeFiles(app, { 'main.ts': controller });
    const checked = await tsc(['-p', '.'], { cwd: app });
    expect(checked.code, checked.output).toBe(0);
    const outcome = await node(['out/main.js'], { cwd: app, timeoutMs: 30_000 });
    expect(outcome.code, outcome.output).toBe(0);
    expect(outcome.stdout.trimEnd().split('\n').at(-1)).toBe('WELCOME');
  });

  it(
    'has declarations that stand alone: checked as libraries too, only those of dependencies may complain',
    { timeout: 60_000 },
    async () => {
      const imports = subpaths().map((subpath, i) => `import * as part${i} from '${subpath}';\nvoid part${i};`);
      await writeFiles(app, { 'all.ts': imports.join('\n') });
      const checked = await tsc(['-p', '.', '--noEmit', '--skipLibCheck', 'false'], { cwd: app });
      const complaints = checked.output
        .split('\n')
        .filter((line) => / error TS/.test(line) && !/^node_modules\/(?!rune-runtime\/)/.test(line));
      expect(complaints).toEqual([]);
    },
  );

  it('loads each door in plain Node, and what a door needs not is not loaded', { timeout: 60_000 }, async () => {
    for (const subpath of subpaths()) {
      const outcome = await node(
        [
          '--input-type=module',
          '-e',
          `const all = await import('${subpath}'); if (Object.keys(all).length === 0) throw new Error('empty');`,
        ],
        { cwd: app },
      );
      expect(outcome.code, `${subpath}\n${outcome.output}`).toBe(0);
    }
  });
});

/** The doors that need nothing but the package: the adapter for vitest needs vitest. */
function subpaths(): readonly string[] {
  return Object.keys(manifest.exports)
    .filter((subpath) => subpath !== './package.json' && subpath !== './testing/vitest')
    .map((subpath) => `${manifest.name}${subpath.slice(1)}`);
}
