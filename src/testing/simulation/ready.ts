/**
 * Controllers that are the same objects in every life of the process: what a crash cannot take from them.
 *
 * Invariant: nothing is guessed: whether a closure remembers anything cannot be seen, only that nobody made it anew.
 */
import type { RunVerdict } from './run-scenario.js';

/** What crashes in this scenario cannot find out, in words; nothing when each life makes its controllers anew. */
export function warningsOf({ ready }: Pick<RunVerdict, 'ready'>): readonly string[] {
  if (ready.length === 0) return [];
  const one = ready.length === 1;
  return [
    `controller${one ? '' : 's'} ${ready.join(', ')} ${one ? 'is the same object' : 'are the same objects'} in every life of the process: ` +
      `what a closure or a module remembers outlives the crashes of a test, and not those of a real process, so no crash check can find it; ` +
      'give a function that makes controllers anew each time: () => defineController(...)',
  ];
}

/** Prints warnings as Node does; `--disable-warning=RUNE_READY_CONTROLLERS` silences them. */
export function warn(warnings: readonly string[]): void {
  for (const warning of warnings) process.emitWarning(warning, { type: 'RuneTestingWarning', code: 'RUNE_READY_CONTROLLERS' });
}
