/**
 * Each example of the README and the guides is type-checked and run against the built package, as its reader would.
 * Real world: compiles and runs them in processes of their own.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { linkedProject, node, root, temporaryFolder, tsc, writeFiles } from '../support/built-package.js';
import { programsOf, type Program } from './programs.js';

interface Example extends Program {
  readonly page: string;
  readonly file: string;
}

const pages = [
  'README.md',
  'docs/testing.md',
  'docs/controller.md',
  'docs/manager.md',
  'docs/secrets.md',
  'docs/from-controller-runtime.md',
].filter((page) => existsSync(join(root, page)));
const examples: Example[] = [];
for (const page of pages) {
  const programs = programsOf(await readFile(join(root, page), 'utf8'));
  for (const [i, program] of programs.entries()) {
    examples.push({ ...program, page, file: `${page.replaceAll(/\W+/g, '-').toLowerCase()}-${i + 1}` });
  }
}

let project: Awaited<ReturnType<typeof temporaryFolder>>;
let complaints = '';

beforeAll(async () => {
  project = await temporaryFolder('readme');
  await linkedProject(project.path);
  await writeFiles(project.path, Object.fromEntries(examples.map(({ file, code }) => [`${file}.ts`, code])));
  await writeFiles(project.path, { 'vitest.config.mjs': "export default { test: { include: ['*.ts'] } };\n" });
  complaints = (await tsc(['-p', '.'], { cwd: project.path })).output;
}, 60_000);
afterAll(() => project[Symbol.asyncDispose]());

describe('the examples', () => {
  it('are there', () => {
    expect(examples.filter((example) => example.page === 'README.md').length).toBeGreaterThanOrEqual(2);
  });

  describe.each(examples)('$page, "$title" (line $line)', (example) => {
    it('type-checks', () => {
      const own = complaints.split('\n').filter((line) => line.startsWith(`${example.file}.ts`));
      expect(own).toEqual([]);
    });

    it('runs', { timeout: 30_000 }, async () => {
      const cwd = join(project.path, `run-${example.file}`);
      await mkdir(cwd);
      // A test file of a guide is run by the runner, from the folder where the package is installed.
      const ofRunner = /from 'vitest'/.test(example.code);
      const outcome = ofRunner
        ? await node(
            [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', project.path, '--dir', project.path, `${example.file}.ts`],
            { cwd: project.path },
          )
        : await node([join(project.path, 'out', `${example.file}.js`)], { cwd, timeoutMs: 20_000 });
      expect(outcome.code, outcome.output).toBe(0);
      if (example.prints !== undefined) expect(outcome.stdout).toBe(example.prints);
    });
  });
});
