/**
 * Runs benches: `npm run bench -- store queue`. Each is a file of this folder and gets a process of its own with
 * `--expose-gc`, one after the other, so that no heap and no compiled code of one bends the figures of the next.
 * Without a name it lists what there is. What follows `--` goes to each bench.
 */
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { bundle, runScript } from '../scripts/run-script.js';

const folder = fileURLToPath(new URL('.', import.meta.url));
const separator = process.argv.indexOf('--', 2);
const names = process.argv.slice(2, separator === -1 ? undefined : separator);
const passed = separator === -1 ? [] : process.argv.slice(separator + 1);

const known = (await readdir(folder))
  .filter((file) => file.endsWith('.ts') && file !== 'run.ts' && !file.startsWith('_'))
  .map((file) => file.slice(0, -'.ts'.length))
  .toSorted();
const unknown = names.filter((name) => !known.includes(name));

if (names.length === 0 || unknown.length > 0) {
  for (const name of unknown) process.stderr.write(`no bench is called ${name}\n`);
  process.stdout.write(`npm run bench -- NAME...   there ${known.length === 1 ? 'is' : 'are'}: ${known.join(' ') || 'none yet'}\n`);
  process.exitCode = unknown.length > 0 ? 1 : 0;
} else {
  for (const name of names) {
    process.stdout.write(`\n== ${name} ==\n`);
    const code = await runScript(await bundle(`${folder}${name}.ts`, name), passed, ['--expose-gc']);
    if (code !== 0) process.exitCode = 1;
  }
}
