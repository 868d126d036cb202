/**
 * Where sensitive values are in an object, compiled from paths such as `['data', '*']`, and a walk that replaces them.
 *
 * Invariants: the input is never changed; what holds nothing sensitive is shared with the result, what leads to something
 * replaced is copied. Each place is visited once, whatever paths overlap there.
 */

/** Paths from the root of the object; `*` stands for every key of a map and every item of a list. */
export type SensitivePaths = readonly (readonly string[])[];

/** A place on the way: `named` children, and what holds for all `other` ones. */
export interface PathNode {
  leaf: boolean;
  readonly named: Map<string, PathNode>;
  other: PathNode | undefined;
}

/** Told of each sensitive value and where it is; gives what takes its place. `trail` is reused: copy it to keep it. */
export type LeafVisitor = (value: unknown, trail: readonly (string | number)[]) => unknown;

export function compilePaths(paths: SensitivePaths): PathNode {
  const root: PathNode = { leaf: false, named: new Map(), other: undefined };
  for (const path of paths) {
    let node = root;
    for (const segment of path) {
      let next = segment === '*' ? node.other : node.named.get(segment);
      if (next === undefined) {
        next = { leaf: false, named: new Map(), other: undefined };
        if (segment === '*') node.other = next;
        else node.named.set(segment, next);
      }
      node = next;
    }
    node.leaf = true;
  }
  spread(root);
  return root;
}

/** What holds for every key holds for the named ones too. */
function spread(node: PathNode): void {
  if (node.other !== undefined) {
    spread(node.other);
    for (const named of node.named.values()) merge(named, node.other);
  }
  for (const named of node.named.values()) spread(named);
}

function merge(into: PathNode, from: PathNode): void {
  into.leaf ||= from.leaf;
  if (from.other !== undefined) {
    into.other ??= { leaf: false, named: new Map(), other: undefined };
    merge(into.other, from.other);
  }
  for (const [name, child] of from.named) {
    let own = into.named.get(name);
    if (own === undefined) into.named.set(name, (own = { leaf: false, named: new Map(), other: undefined }));
    merge(own, child);
  }
}

/** The node one step further; undefined when nothing there is sensitive. */
export function childOf(node: PathNode, segment: string | number): PathNode | undefined {
  return (
    (typeof segment === 'string' ? node.named.get(segment) : node.named.size === 0 ? undefined : node.named.get(String(segment))) ??
    node.other
  );
}

/** Whether a place is sensitive, or inside something that is. */
export function isCovered(node: PathNode, trail: readonly (string | number)[]): boolean {
  let at: PathNode | undefined = node;
  for (const segment of trail) {
    if (at.leaf) return true;
    at = childOf(at, segment);
    if (at === undefined) return false;
  }
  return at.leaf;
}

/** Whether any sensitive value passes a test; most objects are through with that. */
export function someLeaf(node: PathNode, value: unknown, test: (value: unknown) => boolean): boolean {
  if (node.leaf) return test(value);
  if (typeof value !== 'object' || value === null) return false;
  const bag = value as Readonly<Record<string, unknown>>;
  if (node.other === undefined) {
    for (const [key, child] of node.named) if (Object.hasOwn(bag, key) && someLeaf(child, bag[key], test)) return true;
    return false;
  }
  for (const key in bag) {
    const child = node.named.size === 0 ? node.other : childOf(node, key);
    if (child !== undefined && someLeaf(child, bag[key], test)) return true;
  }
  return false;
}

/** The value with each sensitive part replaced; the value itself when nothing was. */
export function mapLeaves<T>(node: PathNode, value: T, visit: LeafVisitor, trail: (string | number)[] = []): T {
  return map(node, value, visit, trail) as T;
}

function map(node: PathNode, value: unknown, visit: LeafVisitor, trail: (string | number)[]): unknown {
  if (node.leaf) return visit(value, trail);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    let items: unknown[] | undefined;
    for (let index = 0; index < value.length; index += 1) {
      const next = step(node, index, value[index] as unknown, visit, trail);
      if (next !== value[index]) (items ??= value.slice())[index] = next;
    }
    return items ?? value;
  }
  const every = node.named.size === 0 && node.other?.leaf === true;
  if (every) return mapValues(value as Record<string, unknown>, visit, trail);
  // Few names in the schema, maybe many keys in the object: without `other`, only the names are looked at.
  const keys = node.other === undefined ? node.named.keys() : Object.keys(value);
  let copy: Record<string, unknown> | undefined;
  for (const key of keys) {
    if (!Object.hasOwn(value, key)) continue;
    const before = (value as Record<string, unknown>)[key];
    const next = step(node, key, before, visit, trail);
    if (next !== before) setOwn((copy ??= { ...value }), key, next);
  }
  return copy ?? value;
}

/** A map whose values are all sensitive: what secrets are, and so worth a loop of its own. */
function mapValues(value: Record<string, unknown>, visit: LeafVisitor, trail: (string | number)[]): unknown {
  let isChanged = false;
  const copy: Record<string, unknown> = {};
  const last = trail.length;
  for (const key of Object.keys(value)) {
    const before = value[key];
    if (before === undefined) continue;
    trail[last] = key;
    const next = visit(before, trail);
    isChanged ||= next !== before;
    setOwn(copy, key, next);
  }
  trail.length = last;
  return isChanged ? copy : value;
}

function step(node: PathNode, segment: string | number, value: unknown, visit: LeafVisitor, trail: (string | number)[]): unknown {
  const child = value === undefined ? undefined : childOf(node, segment);
  if (child === undefined) return value;
  trail.push(segment);
  const next = map(child, value, visit, trail);
  trail.pop();
  return next;
}

function setOwn(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  else object[key] = value;
}
