/**
 * What outlives the window: per object, a number of generations and an age.
 *
 * Invariant: versions that differ in status only count as one (the newest of them stays); what the window needs is kept by
 * the engine whatever is said here.
 */
import type { AnyDefinition } from '../schemas/index.js';
import type { RetentionPolicy } from './engine.js';

/** Versions older than this are dropped where a type sets no age of its own, ms: 30 days. */
export const historyAgeDefaultMs = 30 * 24 * 3600 * 1000;

export interface RetentionOptions {
  historyOf(type: string): AnyDefinition['history'];
  /** For how long a revision has been there, ms. Not by the time that is written in it: that was told by a wall clock, which jumps. */
  ageOf(revision: number): number;
}

export function retentionPolicy(options: RetentionOptions): RetentionPolicy {
  return (key, versions) => {
    const keep = new Set<number>();
    const history = options.historyOf(key.type);
    if (history === false) return keep;
    const oldest = history.maxAgeMs ?? historyAgeDefaultMs;
    let generations = 0;
    let last: string | undefined;
    for (const version of versions) {
      const generation = `${version.uid}/${version.generation}/${version.verb === 'delete' ? 'gone' : ''}`;
      if (generation === last) continue;
      last = generation;
      generations += 1;
      if (generations > history.maxVersions) break;
      // The newest version tells what the object is, or that it is gone: it goes with the rest of its history, by age.
      if (generations > 1 && options.ageOf(version.revision) > oldest) break;
      keep.add(version.revision);
    }
    return keep;
  };
}
