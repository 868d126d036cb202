/** A picture of every key in a queue, for people and tools: keys with workers, then ready ones in bands, then delayed ones. */
import { causesOf } from './causes.js';
import type { DelayHeap } from './delay-heap.js';
import type { KeyTable } from './key-table.js';
import type { PriorityBands } from './priority-bands.js';
import { states } from './state-table.js';
import type { InspectedKey } from './types.js';

/** The picture at monotonic `now`. */
export function inspectKeys<Cause>(table: KeyTable, bands: PriorityBands, delays: DelayHeap, now: number): InspectedKey<Cause>[] {
  const running: InspectedKey<Cause>[] = [];
  const later: number[] = [];
  const describe = (row: number, what: Pick<InspectedKey<Cause>, 'state' | 'waitedMs' | 'dueInMs' | 'runningMs'>): InspectedKey<Cause> => ({
    key: table.keys[row] as string,
    priority: table.priority === undefined ? 0 : (table.priority[row] as number),
    attempts: table.failuresOf(row),
    // A copy: the list inside goes on growing.
    causes: [...causesOf<Cause>(table.causes?.[row])],
    ...what,
  });
  for (const row of table.rows.values()) {
    const state = table.state[row] as number;
    const since = table.since[row] as number;
    if (state === states.processing) running.push(describe(row, { state: 'processing', waitedMs: 0, runningMs: now - since }));
    else if (state === states.processingDelayed) {
      running.push(describe(row, { state: 'processing', waitedMs: 0, runningMs: now - since, dueInMs: delays.dueOf(row) - now }));
    } else if (state === states.dirty) {
      const waitedMs = now - ((table.dirtySince as Float64Array)[row] as number);
      running.push(describe(row, { state: 'dirty', waitedMs, runningMs: now - since }));
    } else if (state === states.delayed || state === states.held) later.push(row);
  }
  bands.forEachRow((row) => running.push(describe(row, { state: 'waiting', waitedMs: now - (table.since[row] as number) })));
  later.sort((a, b) => delays.compare(a, b));
  for (const row of later) {
    const waitedMs = table.state[row] === states.held ? now - (table.since[row] as number) : 0;
    running.push(describe(row, { state: 'delayed', waitedMs, dueInMs: delays.dueOf(row) - now }));
  }
  return running;
}
