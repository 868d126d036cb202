/** `explain`: why a key ran, how it went, what comes next; from the journal, the queue and the run in progress. */
import { describeCause } from './causes.js';
import { controllerDefaults } from './defaults.js';
import { reportOf, type RunReport } from './journal.js';
import type { ControllerLoop } from './loop.js';
import type { Explanation } from './manager-types.js';
import { describeTerminating, terminatingOf } from './terminating.js';

/** Tells all that is known of a key. */
export function explainKey(loop: ControllerLoop, key: string): Explanation {
  const clock = loop.deps.clock;
  const at = { now: clock.now(), monotonic: clock.monotonic() };
  const run = loop.runOf(key);
  const object = loop.objectOf(key);
  const queued = loop.queue.inspect().find((each) => each.key === key);
  const paused = object === undefined ? undefined : loop.pauses.covering(object);
  const running = run === undefined ? undefined : reportOf(loop.name, run, at);
  const terminating = object === undefined ? undefined : terminatingOf(object, loop.controller, at.now);
  const runs = runsOf(loop, key, controllerDefaults.journalRunsOfKey);
  const nextRunInMs = queued === undefined || queued.state === 'processing' ? queued?.dueInMs : Math.max(0, queued.dueInMs ?? 0);
  const state =
    run !== undefined
      ? 'running'
      : paused !== undefined
        ? 'paused'
        : queued?.state === 'delayed'
          ? 'delayed'
          : queued !== undefined
            ? 'waiting'
            : object === undefined
              ? 'missing'
              : terminating !== undefined
                ? 'terminating'
                : 'idle';
  const facts = {
    controller: loop.name,
    key,
    state,
    resourceVersion: object?.metadata.resourceVersion,
    paused,
    terminating,
    nextRunInMs,
    pending: queued?.causes ?? [],
    failures: loop.queue.numRequeues(key),
    conflicts: loop.conflictsOf(key),
    ownRuns: loop.hotRunsOf(key),
    running,
    runs,
  } as const;
  return { ...facts, lines: linesOf(facts) };
}

/** Past runs, newest first; of one key or of all. */
export function runsOf(loop: ControllerLoop, key: string | undefined, limit: number): readonly RunReport[] {
  const clock = loop.deps.clock;
  const at = { now: clock.now(), monotonic: clock.monotonic() };
  return loop.journal.entries(key, limit).map((run) => reportOf(loop.name, run, at));
}

function linesOf(facts: Omit<Explanation, 'lines'>): string[] {
  const lines = [
    `${facts.controller} ${facts.key}: ${facts.state}${facts.resourceVersion === undefined ? '' : ` at revision ${facts.resourceVersion}`}`,
  ];
  if (facts.paused !== undefined)
    lines.push(`paused (${facts.paused.scope}): ${facts.paused.reason}${facts.paused.by === undefined ? '' : `, by ${facts.paused.by}`}`);
  if (facts.terminating !== undefined) lines.push(describeTerminating(facts.terminating));
  if (facts.nextRunInMs !== undefined) {
    lines.push(
      `runs next in ${Math.round(facts.nextRunInMs)} ms${facts.pending.length === 0 ? '' : `: ${facts.pending.map(describeCause).join('; ')}`}`,
    );
  }
  if (facts.failures > 0) lines.push(`${facts.failures} failures in a row`);
  if (facts.ownRuns > 0) lines.push(`${facts.ownRuns} runs in a row caused by its own writes`);
  for (const run of facts.running === undefined ? facts.runs : [facts.running, ...facts.runs]) lines.push(lineOf(run));
  return lines;
}

function lineOf(run: RunReport): string {
  const why = run.causes.length === 0 ? 'no cause kept' : run.causes.map(describeCause).join('; ');
  const next = run.requeueAfterMs === undefined ? '' : `, again in ${run.requeueAfterMs} ms`;
  const writes = run.writes === 0 ? '' : `, ${run.writes} writes up to revision ${run.lastRevision ?? '?'}`;
  const error = run.error === undefined ? '' : `: ${run.error}`;
  return `${run.startedAt} ${run.phase} (attempt ${run.attempt}, waited ${run.waitedMs.toFixed(1)} ms, took ${run.durationMs.toFixed(1)} ms) ${run.outcome}${next}${writes}${error} <- ${why}`;
}
