/**
 * Which versions of one key a compaction drops: one decision for all engines.
 *
 * Invariant: whatever the policy says, each revision from the compaction revision on still reads as it did.
 */
import type { Key, RetentionPolicy, VersionInfo } from '../engine.js';

/**
 * The revisions to drop, of `versions` (newest first), when everything below `compacted` may go.
 *
 * The newest version at or below `compacted` is what reads at `compacted` show. Where that is a tombstone it is as good as
 * nothing, unless something older stays that would shine through.
 */
export function versionsToDrop(key: Key, versions: readonly VersionInfo[], compacted: number, retain: RetentionPolicy): number[] {
  const base = versions.findIndex((version) => version.revision <= compacted);
  const shown = versions[base];
  if (shown === undefined || (base === versions.length - 1 && shown.verb !== 'delete')) return [];
  const kept = retain(key, versions);
  const drop: number[] = [];
  let olderStays = false;
  for (let index = versions.length - 1; index >= base; index--) {
    const { revision, verb } = versions[index] as VersionInfo;
    const needed = index === base && (verb !== 'delete' || olderStays);
    if (needed || kept.has(revision)) olderStays = true;
    else drop.push(revision);
  }
  return drop;
}
