/** A picture of every key in a queue, for people and tools: keys with workers, then ready ones in bands, then delayed ones. */
import { causesOf } from './causes.js';
import type { DelayHeap } from './delay-heap.js';
import type { KeyTable } from './key-table.js';
import type { PriorityBands } from './priority-bands.js';
import { states } from './state-table.js';
import type { TokenGate } from './token-gate.js';
import type { InspectedKey } from './types.js';

/** What a queue is made of. */
export interface QueueParts {
  readonly table: KeyTable;
  readonly bands: PriorityBands;
  readonly delays: DelayHeap;
  readonly gate: TokenGate | undefined;
}

/** The picture at monotonic `now`. */
export function inspectKeys<Cause>({ table, bands, delays, gate }: QueueParts, now: number): InspectedKey<Cause>[] {
  const running: InspectedKey<Cause>[] = [];
  // In the order of the line, and before what is due at the same moment.
  const inLine = new Map<number, number>();
  gate?.forEach(now, (row, due) => inLine.set(row, due));
  const dueOf = (row: number): number => inLine.get(row) ?? delays.dueOf(row);
  const describe = (row: number, what: Pick<InspectedKey<Cause>, 'state' | 'waitedMs' | 'dueInMs' | 'runningMs'>): InspectedKey<Cause> => ({
    key: table.keys[row] as string,
    priority: table.priority === undefined ? 0 : (table.priority[row] as number),
    attempts: table.failuresOf(row),
    // A copy: the list inside goes on growing.
    causes: [...causesOf<Cause>(table.causes?.[row])],
    ...what,
  });
  const later: number[] = [];
  for (let row = 0; row < table.used; row += 1) {
    const state = table.state[row] as number;
    const since = table.since[row] as number;
    if (state === states.processing) running.push(describe(row, { state: 'processing', waitedMs: 0, runningMs: now - since }));
    else if (state === states.processingDelayed) {
      running.push(describe(row, { state: 'processing', waitedMs: 0, runningMs: now - since, dueInMs: dueOf(row) - now }));
    } else if (state === states.dirty) {
      const waitedMs = now - ((table.dirtySince as Float64Array)[row] as number);
      running.push(describe(row, { state: 'dirty', waitedMs, runningMs: now - since }));
    } else if (!inLine.has(row) && (state === states.delayed || state === states.held)) later.push(row);
  }
  bands.forEachRow((row) => running.push(describe(row, { state: 'waiting', waitedMs: now - (table.since[row] as number) })));
  later.sort((a, b) => delays.compare(a, b));
  const lined = [...inLine.keys()].filter((row) => table.state[row] === states.delayed);
  for (const row of [...lined, ...later].sort((a, b) => dueOf(a) - dueOf(b))) {
    const waitedMs = table.state[row] === states.held ? now - (table.since[row] as number) : 0;
    running.push(describe(row, { state: 'delayed', waitedMs, dueInMs: dueOf(row) - now }));
  }
  return running;
}
