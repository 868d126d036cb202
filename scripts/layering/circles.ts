/**
 * Circles among imports, by Tarjan's strongly connected components: each component with a circle is reported once, with the
 * shortest way round from its first file.
 */
export interface Circle {
  /** The files in order; the last imports the first. */
  readonly path: readonly string[];
  /** Where the first file imports the second. */
  readonly line: number;
}

type Edges = ReadonlyMap<string, readonly { readonly to: string; readonly line: number }[]>;

export function findCircles(edges: Edges): readonly Circle[] {
  const circles: Circle[] = [];
  for (const component of components(edges)) {
    const inside = new Set(component);
    const start = component.toSorted()[0];
    if (start === undefined) continue;
    const path = shortestRound(start, inside, edges);
    if (path === undefined) continue;
    const second = path[1] ?? start;
    circles.push({ path, line: edges.get(start)?.find((edge) => edge.to === second)?.line ?? 1 });
  }
  return circles;
}

function shortestRound(start: string, inside: ReadonlySet<string>, edges: Edges): readonly string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (let at = 0; at < queue.length; at++) {
    const file = queue[at] ?? start;
    for (const { to } of edges.get(file) ?? []) {
      if (to === start) {
        const path = [file];
        for (let back = file; back !== start;) {
          back = cameFrom.get(back) ?? start;
          path.unshift(back);
        }
        return path;
      }
      if (inside.has(to) && !cameFrom.has(to)) {
        cameFrom.set(to, file);
        queue.push(to);
      }
    }
  }
  return undefined;
}

function components(edges: Edges): readonly (readonly string[])[] {
  const index = new Map<string, number>();
  const onStack = new Set<string>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (file: string): number => {
    const own = index.size;
    let lowest = own;
    index.set(file, own);
    stack.push(file);
    onStack.add(file);
    for (const { to } of edges.get(file) ?? []) {
      if (!index.has(to)) lowest = Math.min(lowest, visit(to));
      else if (onStack.has(to)) lowest = Math.min(lowest, index.get(to) ?? own);
    }
    if (lowest === own) {
      const component: string[] = [];
      for (let member = stack.pop(); member !== undefined; member = stack.pop()) {
        onStack.delete(member);
        component.push(member);
        if (member === file) break;
      }
      found.push(component);
    }
    return lowest;
  };
  for (const file of edges.keys()) if (!index.has(file)) visit(file);
  return found;
}
