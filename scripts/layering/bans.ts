/**
 * The ban on time, timers, turns and chance outside the files that hand them in.
 *
 * The check is by name and errs on the strict side: it knows no scopes, so a local that is called `setTimeout` is reported
 * too, and an alias (`const D = Date`, `const { random } = Math`, `globalThis['setTimeout']`) does not get past it.
 */
import { isNode, nameOf, nodesOf, walk, type Node, type Source } from './source.js';

export interface Ban {
  readonly line: number;
  readonly what: string;
}

/** Which family a file may not touch. `clock` covers time, timers, turns, chance; `missing` what Node 20 does not have. */
export type BanFamily = 'clock' | 'missing';

const missingOnNode20 = new Set(['DisposableStack', 'AsyncDisposableStack', 'SuppressedError']);
const bannedGlobals = new Set(['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'performance', 'requestIdleCallback']);

interface ObjectRule {
  readonly banned?: ReadonlySet<string>;
  readonly allowed?: ReadonlySet<string>;
  /** May the object itself be handed around? Then its members can no longer be followed. */
  readonly alias: boolean;
}
const cryptoBanned = new Set([
  'randomUUID',
  'randomUUIDv7',
  'randomBytes',
  'randomInt',
  'randomFill',
  'randomFillSync',
  'pseudoRandomBytes',
  'getRandomValues',
  'webcrypto',
]);
const objects: Readonly<Record<string, ObjectRule>> = {
  Date: { allowed: new Set(['parse', 'UTC', 'prototype']), alias: false },
  Math: { banned: new Set(['random']), alias: false },
  crypto: { banned: cryptoBanned, alias: false },
  process: { banned: new Set(['nextTick', 'hrtime', 'uptime']), alias: true },
  // `any` keeps about 60 bytes for each call on a long-lived signal, and `timeout` runs on the real clock.
  AbortSignal: { banned: new Set(['timeout', 'any']), alias: true },
  Atomics: { banned: new Set(['wait', 'waitAsync']), alias: true },
};
const globalObjects = new Set(['globalThis', 'global']);

/** Modules whose exports are held to the same rule. `all` bans each export that exists at run time. */
const modules: Readonly<Record<string, { readonly all: true } | { readonly as: string; readonly banned: ReadonlySet<string> }>> = {
  timers: { all: true },
  'timers/promises': { all: true },
  perf_hooks: { as: 'performance', banned: new Set(['performance', 'default', '*']) },
  crypto: { as: 'crypto', banned: cryptoBanned },
  process: { as: 'process', banned: new Set(['nextTick', 'hrtime', 'uptime']) },
};

/** Everything in one file that a family bans, in the order of the lines. */
export function findBans(source: Source, families: ReadonlySet<BanFamily>): readonly Ban[] {
  const bans: Ban[] = [];
  const aliases = new Map<string, string>();
  if (families.has('clock')) importBans(source, bans, aliases);
  for (const statement of source.body) {
    walk(statement, (node, parent, key) => {
      if (isTypeOnly(node)) return false;
      if (!isReference(node, parent, key)) return true;
      const name = referred(node, aliases);
      if (name === undefined) return true;
      const what = families.has('missing') && missingOnNode20.has(name) ? `${name} (typed, but absent on Node 20)` : undefined;
      const banned = what ?? (families.has('clock') ? bannedUse(name, node, parent, key) : undefined);
      if (banned !== undefined) bans.push({ line: source.lineOf(node.start), what: banned });
      return true;
    });
  }
  return bans.toSorted((a, b) => a.line - b.line);
}

function importBans(source: Source, bans: Ban[], aliases: Map<string, string>): void {
  for (const entry of source.imports) {
    const rule = modules[entry.specifier.replace(/^node:/, '')];
    if (rule === undefined || entry.typeOnly) continue;
    for (const name of entry.names) {
      if (name.typeOnly) continue;
      if ('all' in rule || rule.banned.has(name.imported)) bans.push({ line: entry.line, what: `${name.imported} of ${entry.specifier}` });
      else if ((name.imported === '*' || name.imported === 'default') && name.local !== undefined) aliases.set(name.local, rule.as);
      // A module handed on as a whole can no longer be followed.
      else if (name.imported === '*' || name.imported === 'default') bans.push({ line: entry.line, what: `all of ${entry.specifier}` });
    }
    if ('all' in rule && entry.names.length === 0) bans.push({ line: entry.line, what: entry.specifier });
  }
}

/** What a node stands for: the name of a global, also when written `globalThis.name` or `globalThis['name']`. */
function referred(node: unknown, aliases: ReadonlyMap<string, string>): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === 'ParenthesizedExpression' || node.type === 'TSNonNullExpression') return referred(node['expression'], aliases);
  if (node.type === 'Identifier') {
    const name = node['name'] as string;
    return aliases.get(name) ?? name;
  }
  if (node.type === 'MemberExpression') {
    const object = referred(node['object'], aliases);
    if (object !== undefined && globalObjects.has(object)) return memberName(node);
  }
  return undefined;
}

function memberName(node: Node): string | undefined {
  if (node['computed'] === true)
    return isNode(node['property']) && node['property'].type === 'Identifier' ? undefined : nameOf(node['property']);
  return nameOf(node['property']);
}

function bannedUse(name: string, node: Node, parent: Node | undefined, key: string): string | undefined {
  if (bannedGlobals.has(name)) return name;
  if (globalObjects.has(name) && node.type === 'Identifier') return globalAlias(name, node, parent, key);
  const rule = Object.hasOwn(objects, name) ? objects[name] : undefined;
  if (rule === undefined || parent === undefined) return undefined;
  const refused = (member: string): boolean =>
    (rule.banned?.has(member) ?? false) || (rule.allowed !== undefined && !rule.allowed.has(member));

  if (parent.type === 'MemberExpression' && key === 'object') {
    const member = memberName(parent);
    if (member === undefined) return `${name}[computed]`;
    return refused(member) ? `${name}.${member}` : undefined;
  }
  if (parent.type === 'ParenthesizedExpression' || parent.type === 'TSNonNullExpression' || parent.type === 'TSAsExpression') {
    return rule.alias ? undefined : `an alias of ${name}`;
  }
  if (parent.type === 'VariableDeclarator' && key === 'init' && isNode(parent['id']) && parent['id'].type === 'ObjectPattern') {
    for (const property of nodesOf(parent['id']['properties'])) {
      const member = property.type === 'Property' && property['computed'] !== true ? nameOf(property['key']) : undefined;
      if (member === undefined) return `parts of ${name}`;
      if (refused(member)) return `${name}.${member}`;
    }
    return undefined;
  }
  if (name === 'Date') {
    if (parent.type === 'NewExpression' && key === 'callee') return newDate(parent);
    if (parent.type === 'BinaryExpression' && parent['operator'] === 'instanceof') return undefined;
    if (parent.type === 'CallExpression' && key === 'callee') return 'Date()';
  }
  if (parent.type === 'UnaryExpression' && parent['operator'] === 'typeof') return undefined;
  return rule.alias ? undefined : `an alias of ${name}`;
}

/** `new Date(ms)` formats a given moment and is fine; without an argument it reads the clock. */
function newDate(node: Node): string | undefined {
  const first = nodesOf(node['arguments'])[0];
  return first === undefined || first.type === 'SpreadElement' ? 'new Date() without an argument' : undefined;
}

/** `globalThis.name` is looked at as `name`; taking `globalThis` apart or handing it on would hide what is used. */
function globalAlias(name: string, node: Node, parent: Node | undefined, key: string): string | undefined {
  if (parent?.type === 'MemberExpression' && key === 'object') return memberName(parent) === undefined ? `${name}[computed]` : undefined;
  if (parent?.type === 'UnaryExpression' || parent?.type === 'BinaryExpression') return undefined;
  return `an alias of ${(node['name'] as string | undefined) ?? name}`;
}

/** Types, interfaces and declarations without code: nothing in them exists at run time. */
function isTypeOnly(node: Node): boolean {
  if (!node.type.startsWith('TS'))
    return node.type === 'ImportDeclaration' || (node.type === 'ExportNamedDeclaration' && node['source'] !== null);
  return !valueBearing.has(node.type);
}
const valueBearing = new Set([
  'TSAsExpression',
  'TSSatisfiesExpression',
  'TSNonNullExpression',
  'TSTypeAssertion',
  'TSInstantiationExpression',
  'TSParameterProperty',
  'TSEnumDeclaration',
  'TSEnumBody',
  'TSEnumMember',
  'TSModuleDeclaration',
  'TSModuleBlock',
  'TSExportAssignment',
  'TSImportEqualsDeclaration',
  'TSAbstractPropertyDefinition',
]);

/** Is this a use of a value, and not the name of a property, a key or a label? */
function isReference(node: Node, parent: Node | undefined, key: string): boolean {
  if (node.type === 'MemberExpression') return true;
  if (node.type !== 'Identifier') return false;
  switch (parent?.type) {
    case 'MemberExpression':
      return key === 'object' || parent['computed'] === true;
    case 'Property':
      return key === 'value' || parent['computed'] === true;
    case 'MethodDefinition':
    case 'PropertyDefinition':
    case 'AccessorProperty':
      return key === 'value' || (key === 'key' && parent['computed'] === true);
    case 'LabeledStatement':
    case 'BreakStatement':
    case 'ContinueStatement':
    case 'MetaProperty':
      return false;
    case 'ExportSpecifier':
      return key === 'local';
    default:
      return true;
  }
}
