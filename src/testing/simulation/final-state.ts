/**
 * What a store holds in the end, told in a way that two runs can be compared: without what chance and time put there.
 *
 * Invariant: ids, revisions, times and generated suffixes are left out; everything else counts.
 */
import { Lease, RuneEvent } from '../../schemas/index.js';
import type { DeepReadonly, UnknownResource } from '../../schemas/index.js';
import type { StoreCommit } from '../commit-log.js';

type Stored = DeepReadonly<UnknownResource>;

const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** Kept by the runtime for itself. */
const own: ReadonlySet<string> = new Set([RuneEvent.type, Lease.type]);
const volatile: ReadonlySet<string> = new Set([
  'uid',
  'resourceVersion',
  'creationTimestamp',
  'generation',
  'observedGeneration',
  'generateName',
]);

/** Each object that there is, as `type namespace/name` and its comparable text. */
export function finalState(commits: readonly StoreCommit[]): ReadonlyMap<string, string> {
  const there = new Map<string, Stored>();
  for (const { events } of commits) {
    for (const event of events) {
      if (own.has(event.resourceType)) continue;
      const id = `${event.resourceType} ${event.namespace === undefined ? '' : `${event.namespace}/`}${event.name}`;
      if (event.type === 'DELETED') there.delete(id);
      else there.set(id, event.resource);
    }
  }
  const state = new Map<string, string>();
  for (const [id, object] of [...there].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { name, generateName } = object.metadata as { name: string; generateName?: string };
    const place = generateName !== undefined && name.startsWith(generateName) ? id.replace(name, `${generateName}*`) : id;
    const text = JSON.stringify(
      comparable(generateName === undefined ? object : { ...object, metadata: { ...object.metadata, name: undefined } }),
    );
    if (place === id) {
      state.set(id, text);
      continue;
    }
    // Objects with generated names are told apart by what they hold, and counted.
    let copy = 1;
    while (state.has(`${place} (${copy} of ${cut(text)})`)) copy += 1;
    state.set(`${place} (${copy} of ${cut(text)})`, text);
  }
  return state;
}

function comparable(value: unknown): unknown {
  if (typeof value === 'string') return time.test(value) ? '<time>' : uuid.test(value) ? '<uid>' : value;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(comparable);
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value).sort()) if (!volatile.has(key)) copy[key] = comparable((value as Record<string, unknown>)[key]);
  return copy;
}

/** How two final states differ, in words, the first three differences; undefined: not at all. */
export function differenceOf(expected: ReadonlyMap<string, string>, actual: ReadonlyMap<string, string>): string | undefined {
  const differences: string[] = [];
  for (const [id, text] of expected) {
    const other = actual.get(id);
    if (other === undefined) differences.push(`${id} is missing`);
    else if (other !== text) differences.push(`${id} is ${cut(other)} and not ${cut(text)}`);
  }
  for (const id of actual.keys()) if (!expected.has(id)) differences.push(`${id} is there and should not`);
  return differences.length === 0 ? undefined : differences.slice(0, 3).join('; ');
}

function cut(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}...` : text;
}
