/** What a process left behind that should have gone with it. */
import type { StopReport } from '../controller/index.js';
import type { RigProcess } from './rig-process.js';
import type { VirtualDeps } from './virtual-deps.js';

/** In words, one for each sort; empty when nothing is left. */
export function leaksOf(
  process: RigProcess,
  { unsettled, deps }: { readonly unsettled: StopReport['unsettled']; readonly deps: VirtualDeps },
): readonly string[] {
  const { timers, deferred } = process.deps;
  const { calls, watches } = process.face;
  const others = deps.pending();
  const othersTimers = others.timers + others.unref - timers;
  const many = (count: number, what: string): string | undefined => (count <= 0 ? undefined : `${count} ${what}${count === 1 ? '' : 's'}`);
  return [
    unsettled.length === 0
      ? undefined
      : `reconciles that never settled: ${unsettled.map(({ controller, key }) => `${controller} ${key}`).join(', ')} (heed ctx.signal)`,
    many(timers, 'timer that a controller set'),
    many(deferred, 'task that a controller put off'),
    many(othersTimers, 'timer that was set outside the controllers'),
    many(watches, 'watch that was not closed'),
    many(calls, 'call of the store that never settled'),
  ].filter((leak) => leak !== undefined);
}
