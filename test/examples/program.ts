/** The example as a program of its own: compiled once, beside the compiled package, and run by plain Node. */
import { spawn } from 'node:child_process';
import { cp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { linkedProject, root, tsc, writeFiles } from '../support/built-package.js';

/** What a run printed and how it ended. */
export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Program {
  run(args: readonly string[], options?: { readonly killAfterMs?: number }): Promise<Run>;
  readonly folder: string;
}

/** Compiles the example into `folder`. */
export async function compileExample(folder: string): Promise<Program> {
  await linkedProject(folder);
  await symlink(join(root, 'node_modules/yaml'), join(folder, 'node_modules/yaml'));
  await cp(join(root, 'examples/scaling-controller'), join(folder, 'example'), { recursive: true });
  const config = {
    compilerOptions: {
      target: 'es2022',
      lib: ['es2023', 'esnext.disposable'],
      module: 'nodenext',
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: true,
    },
    include: ['example'],
  };
  await writeFiles(folder, { 'tsconfig.example.json': JSON.stringify(config) });
  const compiled = await tsc(['-p', 'tsconfig.example.json'], { cwd: folder });
  if (compiled.code !== 0) throw new Error(`the example does not compile against the built package:\n${compiled.output}`);
  const main = join(folder, 'example/main.js');
  return {
    folder,
    run: (args, options = {}) =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [main, ...args], {
          cwd: folder,
          stdio: ['ignore', 'pipe', 'pipe'],
          env: { PATH: process.env['PATH'], NO_COLOR: '1' },
        });
        let stdout = '';
        let stderr = '';
        child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
        child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
        const timer = options.killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), options.killAfterMs);
        child.on('error', reject);
        child.on('close', (code) => {
          clearTimeout(timer);
          resolve({ code, stdout, stderr });
        });
      }),
  };
}

/** The summary that `--json` prints last. */
export interface Summary {
  readonly converged: boolean;
  readonly revision: string;
  readonly services: readonly { readonly namespace: string; readonly name: string; readonly desired: number; readonly ready: number }[];
  readonly operations: readonly { readonly namespace: string; readonly name: string; readonly phase: string }[];
  readonly elapsedMs: number;
}

export function summaryOf(run: Run): Summary {
  const last = run.stdout.trimEnd().split('\n').at(-1) ?? '';
  return JSON.parse(last) as Summary;
}
