/**
 * Runs a TypeScript file in a Node process of its own, on our output. An interrupt goes to the child, which may clean up;
 * the exit code is the child's.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

/**
 * Bundles a file with our sources, packages left out, and gives where the result lies. What is measured must be what users
 * run: the loader that runs TypeScript directly wraps every function to keep its name, which costs up to half the speed.
 */
export async function bundle(file: string, name: string): Promise<string> {
  const outfile = fileURLToPath(new URL(`../node_modules/.cache/rune-bench/${name}.mjs`, import.meta.url));
  await build({
    entryPoints: [file],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'warning',
  });
  return outfile;
}

export async function runScript(file: string, args: readonly string[], nodeFlags: readonly string[] = []): Promise<number> {
  const loader = file.endsWith('.ts') ? ['--import', 'tsx'] : [];
  const child = spawn(process.execPath, [...nodeFlags, ...loader, file, ...args], { stdio: 'inherit' });
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGINT', forward).on('SIGTERM', forward);
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    if (signal !== null) process.stderr.write(`${file} ended by ${signal}\n`);
    return code ?? 1;
  } finally {
    process.off('SIGINT', forward).off('SIGTERM', forward);
  }
}
