/**
 * One parsed source file, as the rules see it: its syntax tree, its comments, and what it imports.
 *
 * Invariant: every way TypeScript has of naming another module (import, export from, import type, import(), import = require)
 * ends up in `imports`, type-only or not, so no rule can be passed by writing the same dependency differently.
 */
import { parseSync, visitorKeys } from 'oxc-parser';

/** A node of the ESTree that the parser gives. Only `type`, `start` and `end` are certain. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [property: string]: unknown;
}

/** One mention of another module. `names` lists what is taken by name; `*` stands for all of it. */
export interface Import {
  readonly specifier: string;
  readonly line: number;
  readonly typeOnly: boolean;
  readonly names: readonly ImportedName[];
}

export interface ImportedName {
  readonly imported: string;
  /** What it is called in this file; undefined for a re-export. */
  readonly local: string | undefined;
  readonly typeOnly: boolean;
}

export interface Comment {
  readonly text: string;
  readonly line: number;
  readonly start: number;
}

export interface Source {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: number;
  readonly body: readonly Node[];
  readonly comments: readonly Comment[];
  readonly imports: readonly Import[];
  lineOf(offset: number): number;
}

export interface SyntaxFault {
  readonly line: number;
  readonly message: string;
}

/** Parses one file. Faults of syntax are given back, not thrown, so that the others are still checked. */
export function parseSource(path: string, text: string): { readonly source: Source; readonly faults: readonly SyntaxFault[] } {
  const starts = lineStarts(text);
  const lineOf = (offset: number): number => lineAt(starts, offset);
  const parsed = parseSync(path, text, { sourceType: 'module', lang: 'ts' });
  const program = parsed.program as unknown as Node;
  const body = nodesOf(program['body']);
  const imports: Import[] = [];
  walk(program, (node) => {
    const found = importOf(node, lineOf);
    if (found !== undefined) imports.push(found);
  });
  const source: Source = {
    path,
    text,
    lines: text === '' ? 0 : starts.length - (text.endsWith('\n') ? 1 : 0),
    body,
    comments: parsed.comments.map((comment) => ({ text: comment.value, line: lineOf(comment.start), start: comment.start })),
    imports,
    lineOf,
  };
  const faults = parsed.errors.map((error) => ({ line: lineOf(error.labels[0]?.start ?? 0), message: error.message }));
  return { source, faults };
}

/** Calls `visit` for a node and all below it, parents first. `visit` gives false to leave out what is below. */
export function walk(node: Node, visit: (node: Node, parent: Node | undefined, key: string) => boolean | void): void {
  const step = (current: Node, parent: Node | undefined, key: string): void => {
    if (visit(current, parent, key) === false) return;
    for (const childKey of visitorKeys[current.type] ?? []) {
      for (const child of nodesOf(current[childKey])) step(child, current, childKey);
    }
  };
  step(node, undefined, '');
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';
}

/** A child or a list of children as a list of nodes, holes left out. */
export function nodesOf(value: unknown): readonly Node[] {
  if (Array.isArray(value)) return value.filter(isNode);
  return isNode(value) ? [value] : [];
}

/** The name of an identifier, or the text of a string literal or of a template without parts; else undefined. */
export function nameOf(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === 'Identifier') return node['name'] as string;
  if (node.type === 'Literal') return typeof node['value'] === 'string' ? node['value'] : undefined;
  if (node.type === 'TemplateLiteral' && nodesOf(node['expressions']).length === 0) {
    const cooked = (nodesOf(node['quasis'])[0]?.['value'] as { cooked?: string } | undefined)?.cooked;
    return cooked;
  }
  return undefined;
}

function importOf(node: Node, lineOf: (offset: number) => number): Import | undefined {
  const line = lineOf(node.start);
  switch (node.type) {
    case 'ImportDeclaration': {
      const all = node['importKind'] === 'type';
      const names = nodesOf(node['specifiers']).map((specifier): ImportedName => {
        const local = nameOf(specifier['local']);
        const typeOnly = all || specifier['importKind'] === 'type';
        if (specifier.type === 'ImportNamespaceSpecifier') return { imported: '*', local, typeOnly };
        if (specifier.type === 'ImportDefaultSpecifier') return { imported: 'default', local, typeOnly };
        return { imported: nameOf(specifier['imported']) ?? '*', local, typeOnly };
      });
      const typeOnly = all || (names.length > 0 && names.every((name) => name.typeOnly));
      return { specifier: nameOf(node['source']) ?? '', line, typeOnly, names };
    }
    case 'ExportNamedDeclaration': {
      const specifier = nameOf(node['source']);
      if (specifier === undefined) return undefined;
      const all = node['exportKind'] === 'type';
      const names = nodesOf(node['specifiers']).map((entry): ImportedName => {
        return { imported: nameOf(entry['local']) ?? '*', local: undefined, typeOnly: all || entry['exportKind'] === 'type' };
      });
      return { specifier, line, typeOnly: all || (names.length > 0 && names.every((name) => name.typeOnly)), names };
    }
    case 'ExportAllDeclaration': {
      const typeOnly = node['exportKind'] === 'type';
      return { specifier: nameOf(node['source']) ?? '', line, typeOnly, names: [{ imported: '*', local: undefined, typeOnly }] };
    }
    case 'ImportExpression': {
      // A module named by a computed text cannot be followed: it is kept under a name that resolves to nothing, and reported.
      const specifier = nameOf(node['source']) ?? '<computed>';
      return { specifier, line, typeOnly: false, names: [{ imported: '*', local: undefined, typeOnly: false }] };
    }
    case 'TSImportType': {
      const source = node['source'] ?? (isNode(node['argument']) ? node['argument']['literal'] : undefined);
      return {
        specifier: nameOf(source) ?? '<computed>',
        line,
        typeOnly: true,
        names: [{ imported: '*', local: undefined, typeOnly: true }],
      };
    }
    case 'TSExternalModuleReference':
      return {
        specifier: nameOf(node['expression']) ?? '<computed>',
        line,
        typeOnly: false,
        names: [{ imported: '*', local: undefined, typeOnly: false }],
      };
    default:
      return undefined;
  }
}

function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

function lineAt(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return low + 1;
}
