/**
 * Checks the house rules that a linter cannot express: `npm run layering`. Prints `file:line: [rule] message` for each
 * violation and exits 1 if there is one. What is checked is in scripts/layering/rules.ts and told in CONTRIBUTING.md.
 */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { checkHouse } from './layering/rules.js';

const folders = ['src', 'test', 'bench', 'examples', 'scripts'];

const root = process.argv[2] ?? '.';
const files = new Map<string, string>();
for (const folder of folders) {
  const entries = await readdir(join(root, folder), { recursive: true }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  for (const entry of entries.toSorted()) {
    const path = `${folder}/${entry.replaceAll('\\', '/')}`;
    if (/\.[cm]?ts$/.test(path) && !path.includes('node_modules/')) files.set(path, await readFile(join(root, path), 'utf8'));
  }
}
if (files.size === 0) throw new Error(`no TypeScript files below ${root}: run this from the project's root`);
const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { name: string; dependencies?: Record<string, string> };
const violations = checkHouse({ files, packageName: manifest.name, dependencies: new Set(Object.keys(manifest.dependencies ?? {})) });
for (const { path, line, rule, message } of violations) process.stdout.write(`${path}:${line}: [${rule}] ${message}\n`);
process.stdout.write(`layering: ${files.size} files, ${violations.length} violation${violations.length === 1 ? '' : 's'}\n`);
process.exitCode = violations.length === 0 ? 0 : 1;
