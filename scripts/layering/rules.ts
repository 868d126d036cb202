/**
 * The rules of the house, over a set of parsed files: who may import whom, doors, circles, size, and what no file may use.
 *
 * Invariant: pure. The same files give the same violations, in the order of paths and lines.
 */
import { findBans, type BanFamily } from './bans.js';
import { findCircles } from './circles.js';
import { parseSource, walk, type Import, type Source } from './source.js';

export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly rule: Rule;
  readonly message: string;
}

export type Rule = 'syntax' | 'layer' | 'door' | 'index' | 'circle' | 'length' | 'external' | 'ban' | 'suppress' | 'style' | 'resolve';

export interface House {
  /** Path, relative to the root with forward slashes, to text. */
  readonly files: ReadonlyMap<string, string>;
  /** The package's own name: in src nobody reaches the package from outside. */
  readonly packageName: string;
  /** What src may import beside itself: `dependencies` of package.json. */
  readonly dependencies: ReadonlySet<string>;
}

/** Lowest first. A folder imports those before it. */
const layers = ['schemas', 'store', 'informer', 'controller', 'server', 'cli'] as const;
const maxLines = 500;

/** The test kit's adapter for vitest is the one place in src that may import it (an optional peer). */
const runnerAdapter = 'src/testing/vitest.ts';
/** Types of this package are compared with ours, in one file. Its code does not load on Node 20. */
const kubernetesClient = '@kubernetes/client-node';
const kubernetesTypes = 'test/types/client-node.ts';

/** Files that may touch clocks, timers and chance: they hand them in, or deal with the real world. */
const clockFiles: readonly RegExp[] = [
  /^src\/store\/system-deps\.ts$/,
  /^src\/testing\/(virtual-[\w-]+|seeded-random)\.ts$/,
  /^bench\//,
  /^scripts\//,
  /^test\/(reliability|integration|package|readme|scripts|examples)\//,
];
/** A test that deals with real processes, disks or time says so in its first comment: `Real world: why`. */
const realWorldMark = /\bReal world: \S/;

/** Checks everything. Unreadable files are reported as violations too. */
export function checkHouse(house: House): readonly Violation[] {
  const sources = new Map<string, Source>();
  const violations: Violation[] = [];
  for (const [path, text] of house.files) {
    const { source, faults } = parseSource(path, text);
    sources.set(path, source);
    for (const fault of faults) violations.push({ path, line: fault.line, rule: 'syntax', message: fault.message });
  }
  const edges = new Map<string, { readonly to: string; readonly line: number }[]>();
  for (const source of sources.values()) {
    const report: Report = (line, rule, message) => void violations.push({ path: source.path, line, rule, message });
    const out: { to: string; line: number }[] = [];
    for (const entry of source.imports) {
      const to = isRelative(entry.specifier) ? resolve(source.path, entry.specifier, house.files) : undefined;
      if (to !== undefined) out.push({ to, line: entry.line });
      checkImport(house, source, entry, to, report);
    }
    edges.set(source.path, out);
    checkFile(source, report);
  }
  for (const circle of findCircles(edges)) {
    const message = `a circle of imports: ${[...circle.path, circle.path[0]].join(' -> ')}`;
    violations.push({ path: circle.path[0] ?? '', line: circle.line, rule: 'circle', message });
  }
  return violations.toSorted((a, b) => (a.path === b.path ? a.line - b.line : a.path < b.path ? -1 : 1));
}

type Report = (line: number, rule: Rule, message: string) => void;

function checkImport(house: House, source: Source, entry: Import, to: string | undefined, report: Report): void {
  const from = source.path;
  const { specifier, line } = entry;
  if (specifier === '<computed>') {
    if (inSrc(from)) report(line, 'resolve', 'import() of a computed name cannot be checked: write the name out');
    return;
  }
  if (packageOf(specifier) === kubernetesClient && (from !== kubernetesTypes || !entry.typeOnly)) {
    report(line, 'external', `${kubernetesClient} is imported in ${kubernetesTypes} alone, with \`import type\``);
    return;
  }
  if (!isRelative(specifier)) {
    if (inSrc(from)) checkExternal(house, from, specifier, line, report);
    return;
  }
  if (to === undefined) {
    if (!isData(specifier)) report(line, 'resolve', `${specifier} is not a file of the project (relative imports end in .js)`);
    return;
  }
  if (inSrc(from)) {
    if (inSrc(to)) checkInside(house, from, to, line, report);
    else report(line, 'layer', `src imports nothing outside src: ${to}`);
  } else if (inSrc(to) && from.startsWith('examples/')) {
    if (to !== runnerAdapter && !/^src\/(\w+\/)?index\.ts$/.test(to))
      report(line, 'door', `an example uses the public doors (src/index.ts, src/<folder>/index.ts): ${to}`);
  }
}

function checkExternal(house: House, from: string, specifier: string, line: number, report: Report): void {
  const name = packageOf(specifier);
  if (specifier.startsWith('node:')) return;
  if (name === house.packageName) report(line, 'external', `inside the package, import relatively: ${specifier}`);
  else if (name === 'vitest' && from === runnerAdapter) return;
  else if (!house.dependencies.has(name)) report(line, 'external', `${name} is not in dependencies of package.json${builtinHint(name)}`);
}

function checkInside(house: House, from: string, to: string, line: number, report: Report): void {
  const fromFolder = from.split('/')[1] ?? '';
  const toFolder = to.split('/')[1] ?? '';
  if (to === 'src/index.ts') {
    report(line, 'layer', 'src/index.ts is the face for users: inside, import the folder that has it');
    return;
  }
  if (fromFolder !== toFolder) {
    const face = from === 'src/index.ts';
    if (toFolder === 'testing') report(line, 'layer', 'nothing imports testing');
    else if (!face && fromFolder !== 'testing' && rank(fromFolder) < rank(toFolder)) {
      report(line, 'layer', `imports point down (${layers.toReversed().join(' > ')}): ${fromFolder} may not import ${toFolder}`);
    }
  }
  const door = closedDoor(from, to, house.files);
  if (door !== undefined) report(line, 'door', `other folders import ${door}, not ${to}`);
}

/** The `index.ts` that an import should have taken: of the first folder it enters that has one, or has to have one. */
function closedDoor(from: string, to: string, files: ReadonlyMap<string, string>): string | undefined {
  const fromParts = from.split('/').slice(0, -1);
  const toParts = to.split('/').slice(0, -1);
  let common = 0;
  while (common < toParts.length && fromParts[common] === toParts[common]) common += 1;
  for (let depth = common + 1; depth <= toParts.length; depth++) {
    const door = `${toParts.slice(0, depth).join('/')}/index.ts`;
    const houseFolder = depth === 2 && toParts[0] === 'src';
    if ((houseFolder || files.has(door)) && to !== door) return door;
  }
  return undefined;
}

function checkFile(source: Source, report: Report): void {
  const { path } = source;
  // A suite or a bench is one subject however many cases it has.
  if (source.lines > maxLines && !/^(test|bench)\//.test(source.path))
    report(maxLines + 1, 'length', `${source.lines} lines: a file has ${maxLines} at most, split it by concept`);
  for (const ban of findBans(source, familiesFor(source))) report(ban.line, 'ban', banMessage(ban.what));
  for (const comment of source.comments) {
    const directive = /^[\s/*]*((?:oxlint|eslint)-disable\S*|@ts-(?:ignore|nocheck)|@ts-expect-error|(?:v8|c8|istanbul) ignore\b)/.exec(
      comment.text,
    )?.[1];
    if (directive === undefined || (directive === '@ts-expect-error' && path.startsWith('test/'))) continue;
    report(comment.line, 'suppress', `${directive}: change the code instead of silencing the check`);
  }
  if (inSrc(path)) checkSrcFile(source, report);
}

function checkSrcFile(source: Source, report: Report): void {
  const parts = source.path.split('/');
  const folder = parts[1] ?? '';
  if (parts.length === 2 && folder !== 'index.ts') report(1, 'layer', 'src itself holds index.ts alone: put the file into a folder');
  if (parts.length > 2 && folder !== 'testing' && rank(folder) === -1)
    report(1, 'layer', `src/${folder} has no place in the house: give it one in scripts/layering/rules.ts`);
  if (parts.at(-1) === 'index.ts') {
    for (const statement of source.body) {
      const reExport =
        statement.type === 'ExportAllDeclaration' || (statement.type === 'ExportNamedDeclaration' && statement['source'] !== null);
      if (!reExport) report(source.lineOf(statement.start), 'index', 'index.ts holds re-exports alone');
    }
  } else if (source.body.length > 0 && !source.comments.some((comment) => source.text.slice(0, comment.start).trim() === '')) {
    report(1, 'style', 'a file opens with a comment: what it is and its invariants');
  }
  for (const statement of source.body) {
    const line = source.lineOf(statement.start);
    if (statement.type === 'ExportDefaultDeclaration') report(line, 'style', 'named exports only');
    const declaration = statement.type === 'ExportNamedDeclaration' ? (statement['declaration'] as typeof statement | null) : statement;
    if (declaration?.type === 'VariableDeclaration' && declaration['declare'] !== true && declaration['kind'] !== 'const') {
      report(line, 'style', 'no mutable state at module level: keep it in what createX or openX returns');
    }
    walk(statement, (node) => {
      if (node['accessibility'] === 'private') {
        report(source.lineOf(node.start), 'style', `\`${node['accessibility']}\` ends at the compiler: use #name`);
      }
    });
  }
}

function familiesFor(source: Source): ReadonlySet<BanFamily> {
  const families = new Set<BanFamily>(['missing']);
  const exempt = clockFiles.some((pattern) => pattern.test(source.path)) || (source.path.startsWith('test/') && isRealWorld(source));
  if (!exempt) families.add('clock');
  return families;
}

function isRealWorld(source: Source): boolean {
  const firstCode = source.body[0]?.start ?? source.text.length;
  return source.comments.some((comment) => comment.start < firstCode && realWorldMark.test(comment.text));
}

function banMessage(what: string): string {
  if (what.includes('Node 20')) return what;
  if (what.startsWith('AbortSignal.any')) return `${what}: it leaks on a long-lived signal; add a listener and remove it`;
  return `${what}: time, timers, turns and chance come in through Deps (src/store/deps.ts)`;
}

/** The file that a relative import means, or undefined. */
function resolve(from: string, specifier: string, files: ReadonlyMap<string, string>): string | undefined {
  const parts = from.split('/').slice(0, -1);
  for (const part of specifier.split('/')) {
    if (part === '.' || part === '') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  const path = parts.join('/');
  const candidates = path.endsWith('.js')
    ? [`${path.slice(0, -3)}.ts`, `${path.slice(0, -3)}.d.ts`]
    : path.endsWith('.mjs')
      ? [`${path.slice(0, -4)}.mts`]
      : [];
  return candidates.find((candidate) => files.has(candidate));
}

function inSrc(path: string): boolean {
  return path.startsWith('src/');
}
function isRelative(specifier: string): boolean {
  return specifier.startsWith('./') || specifier.startsWith('../') || specifier === '.' || specifier === '..';
}
function isData(specifier: string): boolean {
  return specifier.endsWith('.json');
}
function rank(folder: string): number {
  return layers.findIndex((layer) => layer === folder);
}
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
function builtinHint(name: string): string {
  return /^(fs|path|crypto|timers|util|os|events|url|http|net|stream|buffer|process|child_process|perf_hooks|worker_threads)$/.test(name)
    ? ` (Node's own modules are written node:${name})`
    : '';
}
