/**
 * The package as users get it: compiled into a folder of its own, never into the checkout's dist, so that tests do not
 * disturb a build. Real world: runs the compiler, npm and Node in processes of their own.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, rm, symlink, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '');
const compiler = join(root, 'node_modules/typescript/bin/tsc');

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  /** Standard output and standard error, in that order: what to show when something failed. */
  readonly output: string;
}

export interface RunOptions {
  readonly cwd: string;
  readonly timeoutMs?: number;
}

/** Runs a program to its end. A failure is an outcome, not a throw. */
export async function run(file: string, args: readonly string[], options: RunOptions): Promise<Outcome> {
  // Vitest's own settings (its loader, its mode) must not reach the program.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|NODE_ENV|VITEST.*|npm_.*|FORCE_COLOR)$/i.test(name)),
  );
  return await new Promise((resolve) => {
    execFile(
      file,
      args,
      { cwd: options.cwd, env: { ...env, NO_COLOR: '1' }, timeout: options.timeoutMs ?? 60_000, maxBuffer: 16 << 20 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ code, stdout, output: `${stdout}${stderr}${error?.signal ? `\nended by ${error.signal}` : ''}` });
      },
    );
  });
}

export function node(args: readonly string[], options: RunOptions): Promise<Outcome> {
  return run(process.execPath, args, options);
}
export function tsc(args: readonly string[], options: RunOptions): Promise<Outcome> {
  return node([compiler, ...args], options);
}

/** A new folder below the system's own for temporary files, removed at the end of the scope. */
export async function temporaryFolder(name: string): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), `rune-${name}-`));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
}

/** Compiles src into `folder`/dist, beside package.json and whatever else is published. */
export async function buildPackage(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const built = await tsc(['-p', join(root, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')], { cwd: root });
  if (built.code !== 0) throw new Error(`the package does not compile:\n${built.output}`);
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { files: readonly string[] };
  for (const file of ['package.json', ...manifest.files.filter((name) => name !== 'dist')]) await cp(join(root, file), join(folder, file));
}

/** A user's project with the built package in node_modules and its dependencies linked from the checkout: no network. */
export async function linkedProject(folder: string): Promise<void> {
  await buildPackage(join(folder, 'node_modules/rune-runtime'));
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
  for (const name of [...Object.keys(manifest.dependencies), '@types/node', 'undici-types', 'vitest']) {
    await mkdir(dirname(join(folder, 'node_modules', name)), { recursive: true });
    await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  }
  await writeFiles(folder, { 'package.json': JSON.stringify({ name: 'app', private: true, type: 'module' }), 'tsconfig.json': userConfig });
}

/** The settings the README asks of a user, strict as ours. */
export const userConfig = JSON.stringify({
  compilerOptions: {
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable'],
    module: 'nodenext',
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    skipLibCheck: true,
    outDir: 'out',
    rootDir: '.',
  },
  include: ['*.ts'],
});
