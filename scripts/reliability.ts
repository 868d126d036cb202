/**
 * Runs one long test: `npm run reliability -- NAME --minutes N` runs test/reliability/NAME.ts, which gets `--minutes N` and
 * whatever else was said. Without a name it lists what there is.
 */
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { runScript } from './run-script.js';

const folder = fileURLToPath(new URL('../test/reliability/', import.meta.url));
const { positionals, values } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: { minutes: { type: 'string', default: '10' } },
});
const [name] = positionals;
const minutes = Number(values.minutes);

const files = await readdir(folder).catch((error: unknown) => {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
  throw error;
});
const known = files
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  .map((file) => file.slice(0, -'.ts'.length))
  .toSorted();

if (name === undefined || !known.includes(name)) {
  if (name !== undefined) process.stderr.write(`no reliability test is called ${name}\n`);
  process.stdout.write(`npm run reliability -- NAME --minutes N   NAME: ${known.join(' ') || 'none yet'}\n`);
  process.exitCode = name === undefined ? 0 : 1;
} else if (!(minutes > 0)) {
  process.stderr.write(`--minutes takes a number above 0, not ${String(values.minutes)}\n`);
  process.exitCode = 1;
} else {
  const given = process.argv.slice(2);
  const args = given.filter((_, i) => i !== given.indexOf(name));
  process.exitCode = await runScript(
    `${folder}${name}.ts`,
    args.some((arg) => arg.startsWith('--minutes')) ? args : [...args, '--minutes', String(minutes)],
  );
}
