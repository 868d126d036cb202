/**
 * Whether a history of single-key operations can be put in one order that fits both real time and a register that starts
 * absent: the search of Wing and Gong with Lowe's memory of states already visited, a key at a time.
 *
 * An operation whose outcome is not known may have taken effect at any later moment, or never.
 */

/** What the register holds while the object does not exist; values that are written start at 1. */
export const ABSENT = 0;

interface Common {
  readonly id: number;
  readonly client: number;
  readonly key: string;
  /** Places in the order of all calls and returns. `returned` is Infinity while the outcome is not known. */
  readonly called: number;
  readonly returned: number;
}

/** One operation on one key, with what it was told. `value` and `read` are `ABSENT` for nothing. */
export type Operation = Common &
  (
    | { readonly kind: 'get'; readonly outcome: 'ok'; readonly read: number }
    | { readonly kind: 'create'; readonly outcome: 'ok' | 'exists' | 'unknown'; readonly value: number }
    | { readonly kind: 'put'; readonly outcome: 'ok' | 'missing' | 'unknown'; readonly value: number }
    | { readonly kind: 'delete'; readonly outcome: 'ok' | 'missing' | 'unknown'; readonly read: number }
    /** Writes whatever the register holds. */
    | { readonly kind: 'set'; readonly outcome: 'ok' | 'unknown'; readonly value: number }
    /** Writes if the register holds `expected`. */
    | {
        readonly kind: 'cas';
        readonly outcome: 'ok' | 'conflict' | 'missing' | 'unknown';
        readonly expected: number;
        readonly value: number;
      }
  );

/** The register after an operation, or undefined when it cannot have had that outcome there. */
function step(state: number, operation: Operation): number | undefined {
  const { kind, outcome } = operation;
  if (outcome === 'missing') return state === ABSENT ? state : undefined;
  switch (kind) {
    case 'get':
      return state === operation.read ? state : undefined;
    case 'create':
      if (outcome === 'unknown') return state === ABSENT ? operation.value : state;
      return (state === ABSENT) === (outcome === 'ok') ? (outcome === 'ok' ? operation.value : state) : undefined;
    case 'put':
      if (outcome === 'unknown') return state === ABSENT ? state : operation.value;
      return state === ABSENT ? undefined : operation.value;
    case 'set':
      return operation.value;
    case 'delete':
      if (outcome === 'unknown') return ABSENT;
      return state === operation.read && state !== ABSENT ? ABSENT : undefined;
    case 'cas':
      if (outcome === 'unknown') return state === operation.expected ? operation.value : state;
      if (outcome === 'conflict') return state !== operation.expected && state !== ABSENT ? state : undefined;
      return state === operation.expected ? operation.value : undefined;
    default:
      throw new Error(`unknown operation ${String(kind satisfies never)}`);
  }
}

/** A call or a return in the list of what is not yet in order. */
interface Entry {
  readonly operation: Operation;
  readonly index: number;
  /** Of a call: its return. */
  readonly match: Entry | undefined;
  readonly at: number;
  previous: Entry | undefined;
  next: Entry | undefined;
}

export interface Violation {
  readonly key: string;
  /** The longest beginning of an order that was found. */
  readonly longest: readonly Operation[];
  readonly operations: readonly Operation[];
}

/** The first key whose history cannot be ordered; undefined when all can. */
export function findViolation(history: readonly Operation[]): Violation | undefined {
  const keys = new Map<string, Operation[]>();
  for (const operation of history) {
    const found = keys.get(operation.key);
    if (found === undefined) keys.set(operation.key, [operation]);
    else found.push(operation);
  }
  for (const [key, operations] of keys) {
    const longest = order(operations);
    if (longest !== undefined) return { key, longest, operations };
  }
  return undefined;
}

/** undefined: there is an order. Otherwise the longest beginning of one. */
function order(operations: readonly Operation[]): readonly Operation[] | undefined {
  const head = linked(operations);
  const visited = new Set<string>();
  const taken: { readonly entry: Entry; readonly state: number }[] = [];
  let longest: readonly Operation[] = [];
  let done = 0n;
  let state = ABSENT;
  let entry = head.next;
  while (head.next !== undefined) {
    if (entry?.match !== undefined) {
      const next = step(state, entry.operation);
      const with1 = done | (1n << BigInt(entry.index));
      const mark = next === undefined ? '' : `${with1.toString(36)} ${next}`;
      if (next !== undefined && !visited.has(mark)) {
        visited.add(mark);
        taken.push({ entry, state });
        state = next;
        done = with1;
        lift(entry);
        entry = head.next;
      } else entry = entry.next;
      continue;
    }
    // A return whose call is not in the order yet: nothing later may come first, so the last choice was wrong.
    if (taken.length > longest.length) longest = taken.map((each) => each.entry.operation);
    const last = taken.pop();
    if (last === undefined) return longest;
    done &= ~(1n << BigInt(last.entry.index));
    state = last.state;
    unlift(last.entry);
    entry = last.entry.next;
  }
  return undefined;
}

function linked(operations: readonly Operation[]): Entry {
  const entries: Entry[] = [];
  operations.forEach((operation, index) => {
    const back: Entry = { operation, index, match: undefined, at: operation.returned, previous: undefined, next: undefined };
    entries.push({ operation, index, match: back, at: operation.called, previous: undefined, next: undefined }, back);
  });
  entries.sort((a, b) => a.at - b.at || (a.match === undefined ? 1 : -1));
  const head: Entry = { operation: operations[0]!, index: -1, match: undefined, at: -1, previous: undefined, next: undefined };
  let last = head;
  for (const entry of entries) {
    last.next = entry;
    entry.previous = last;
    last = entry;
  }
  return head;
}

function lift(entry: Entry): void {
  cut(entry);
  cut(entry.match!);
}

function cut(entry: Entry): void {
  entry.previous!.next = entry.next;
  if (entry.next !== undefined) entry.next.previous = entry.previous;
}

function unlift(entry: Entry): void {
  paste(entry.match!);
  paste(entry);
}

function paste(entry: Entry): void {
  entry.previous!.next = entry;
  if (entry.next !== undefined) entry.next.previous = entry;
}

/** A violation in words: where the order breaks off, and what was under way there. */
export function describeViolation({ key, longest, operations }: Violation): string {
  const left = operations.filter((operation) => !longest.includes(operation)).toSorted((a, b) => a.called - b.called);
  const line = (operation: Operation): string => {
    const { called, returned, client, kind, outcome } = operation;
    const rest = Object.entries(operation).flatMap(([name, value]) =>
      ['value', 'read', 'expected'].includes(name) ? [`${name} ${String(value)}`] : [],
    );
    return `  [${called}..${returned}] client ${client} ${kind} ${rest.join(', ')} -> ${outcome}`;
  };
  return [
    `the history of ${key} has no order; the longest beginning of one ends with`,
    ...longest.slice(-8).map(line),
    'and cannot go on with any of',
    ...left.slice(0, 8).map(line),
  ].join('\n');
}
