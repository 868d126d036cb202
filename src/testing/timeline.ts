/**
 * What happened to a key, in order: changes and who made them, runs, why they ran and how they ended.
 *
 * Invariant: derived from the record alone; looking changes nothing. Times are virtual, counted from the start of the record.
 */
import { diffPaths, RuneEvent } from '../schemas/index.js';
import type { StoreCommit, StoreEvent } from './commit-log.js';
import { didRun, whyRan, type RigRun } from './run-log.js';

/** Whose story is told: an object and what it owns. Nothing given: everybody's. */
export interface TimelineSubject {
  /** The exact type name. */
  readonly type?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly uid?: string | undefined;
}

/** Something that happened. */
export interface TimelineEntry {
  /** Wall clock, ms since the epoch. */
  readonly time: number;
  readonly kind: 'change' | 'run' | 'event';
  /** One line for people. */
  readonly text: string;
}

export interface Record {
  readonly commits: readonly StoreCommit[];
  readonly runs: readonly RigRun[];
}

const MOST_PATHS = 6;

/** The story of a subject, oldest first. */
export function timelineOf(record: Record, subject: TimelineSubject = {}): readonly TimelineEntry[] {
  const entries: (TimelineEntry & { readonly order: number })[] = [];
  const key =
    subject.name === undefined ? undefined : subject.namespace === undefined ? subject.name : `${subject.namespace}/${subject.name}`;
  const uids = new Set<string>(subject.uid === undefined ? [] : [subject.uid]);
  const types = new Set<string>();
  for (const { revision, events } of record.commits) {
    for (const event of events) {
      const isEvent = event.resourceType === RuneEvent.type;
      if (isEvent ? !isRegarding(event, subject) : !isAbout(event, subject, uids)) continue;
      if (!isEvent && event.name === subject.name) uids.add(event.resource.metadata.uid);
      types.add(event.resourceType);
      entries.push({
        time: event.time,
        kind: isEvent ? 'event' : 'change',
        text: isEvent ? describeEvent(event) : describeChange(event),
        order: revision,
      });
    }
  }
  for (const run of record.runs) {
    if ((key !== undefined && run.key !== key) || run.outcome === 'stopping') continue;
    entries.push({ time: run.time, kind: 'run', text: describeRun(run), order: lastSeen(run) + 0.5 });
  }
  return entries.sort((a, b) => a.time - b.time || a.order - b.order).map(({ time, kind, text }) => ({ time, kind, text }));
}

/** The newest revision that a run wrote, or was caused by: within one moment it comes after that. */
function lastSeen({ lastRevision, causes }: RigRun): number {
  const seen = causes.map((cause) => (cause.kind === 'change' ? Number(cause.revision) : 0));
  return Math.max(Number(lastRevision ?? 0), ...seen);
}

/** The last `limit` lines of a story, with times counted from `start`. */
export function formatTimeline(entries: readonly TimelineEntry[], start: number, limit = 40): string {
  const shown = entries.slice(-limit).map(({ time, kind, text }) => `  +${((time - start) / 1000).toFixed(3)}s ${kind.padEnd(6)} ${text}`);
  if (entries.length > shown.length) shown.unshift(`  ... ${entries.length - shown.length} earlier`);
  return shown.length === 0 ? '  nothing happened' : shown.join('\n');
}

/** Which fields a change changed. */
export function changedPaths(event: Pick<StoreEvent, 'previous' | 'resource'>): readonly string[] {
  if (event.previous === undefined || event.previous === event.resource) return [];
  return diffPaths(event.previous, event.resource, MOST_PATHS + 2)
    .filter((path) => path !== 'metadata.resourceVersion' && path !== 'metadata.generation')
    .slice(0, MOST_PATHS);
}

/** `rev 12 UPDATED service prod/web by controller/scaling: spec.scale`. */
export function describeChange(event: StoreEvent): string {
  const place = event.namespace === undefined ? event.name : `${event.namespace}/${event.name}`;
  const paths = event.type === 'UPDATED' ? changedPaths(event) : [];
  return `rev ${event.resourceVersion} ${event.type} ${event.resourceType} ${place}${event.source === undefined ? '' : ` by ${event.source}`}${paths.length === 0 ? '' : `: ${paths.join(', ')}`}`;
}

function describeRun(run: RigRun): string {
  const after = run.requeueAfterMs === undefined ? '' : `, again in ${run.requeueAfterMs} ms`;
  const writes = run.writes === 0 ? '' : `, ${run.writes} ${run.writes === 1 ? 'write' : 'writes'}`;
  const attempt = run.attempt === 1 ? '' : ` (attempt ${run.attempt})`;
  const what = didRun(run) ? run.phase : 'skipped';
  return `${run.controller} ${what} ${run.key}${attempt}: ${run.outcome}${after}${writes}${run.error === undefined ? '' : `: ${run.error}`} <- ${whyRan(run)}`;
}

interface EventFields {
  readonly type?: string;
  readonly reason?: string;
  readonly note?: string;
  readonly count?: number;
  readonly regarding?: { readonly type?: string; readonly namespace?: string; readonly name?: string; readonly uid?: string };
}

function describeEvent(event: StoreEvent): string {
  const { type, reason, note, count } = event.resource as EventFields;
  return `${type ?? ''} ${reason ?? ''}${(count ?? 1) > 1 ? ` (${count} times)` : ''}: ${note ?? ''}`;
}

function isRegarding(event: StoreEvent, { type, namespace, name }: TimelineSubject): boolean {
  const { regarding } = event.resource as EventFields;
  if (name === undefined) return true;
  return regarding?.name === name && regarding.namespace === namespace && (type === undefined || regarding.type === type);
}

function isAbout(event: StoreEvent, { type, namespace, name }: TimelineSubject, uids: ReadonlySet<string>): boolean {
  if (name === undefined) return true;
  if (event.name === name && event.namespace === namespace && (type === undefined || event.resourceType === type)) return true;
  return event.resource.metadata.ownerReferences?.some(({ uid }) => uids.has(uid)) === true;
}
