/**
 * Compaction of a piece of memory: first nothing below the revision can be read any more, then it is dropped, some keys a
 * turn. What is cut off half way (a crash, an abort) is gone on with by the next compaction.
 *
 * Beside the keys that the dropped log entries name, each compaction looks again at some that have kept versions, in turn,
 * so that retention by age reaches keys that nobody writes any more.
 */
import { AbortedError, BadRequestError } from '../../../schemas/index.js';
import type { CompactOptions } from '../../engine.js';
import type { Scheduler } from '../../deps.js';
import { isRevision } from '../checks.js';
import { versionsToDrop } from '../retention.js';
import { newestFirst, versionInfo } from './state.js';
import type { Item, MemoryState } from './state.js';

const KEYS_A_TURN = 500;
const SWEEP_KEYS = 2000;

export async function compactMemory(
  state: MemoryState,
  revision: number,
  { retain, signal, scheduler, check }: CompactOptions & { readonly scheduler: Scheduler; readonly check: () => void },
): Promise<void> {
  if (!isRevision(revision) || revision > state.revision) {
    throw new BadRequestError(`cannot compact to revision ${revision}: the newest is ${state.revision}`);
  }
  state.compacted = Math.max(state.compacted, revision);
  const target = state.compacted;
  const prune = (item: Item): void => {
    const drop = versionsToDrop(item.key, newestFirst(item).map(versionInfo), target, retain);
    if (drop.length > 0) state.drop(item, drop);
  };
  const pause = async (): Promise<void> => {
    await scheduler.turn();
    check();
    if (signal?.aborted) throw new AbortedError('the compaction was cut off; the next one goes on with it', { cause: signal.reason });
  };

  const seen = new Set<Item>();
  let sinceTurn = 0;
  while (state.swept < target) {
    const { changes } = (state.log[state.swept + 1 - state.logStart] as (typeof state.log)[number]).batch;
    for (const { entry } of changes) {
      const item = state.find(entry.key);
      if (item === undefined || seen.has(item)) continue;
      seen.add(item);
      prune(item);
      sinceTurn++;
    }
    state.swept++;
    if (++sinceTurn < KEYS_A_TURN) continue;
    state.dropLog(state.swept);
    sinceTurn = 0;
    await pause();
  }
  state.dropLog(target);

  // A map is walked in order of insertion: what was looked at goes to the end of it.
  let left = Math.min(SWEEP_KEYS, state.withHistory.size);
  sinceTurn = 0;
  for (const [text, item] of state.withHistory) {
    if (left-- <= 0) break;
    state.withHistory.delete(text);
    state.withHistory.set(text, item);
    if (!seen.has(item)) prune(item);
    if (++sinceTurn % KEYS_A_TURN === 0) await pause();
  }
}
