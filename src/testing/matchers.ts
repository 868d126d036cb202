/**
 * What the matchers for vitest decide, without vitest: each gives a verdict and a message that tells the story of the key.
 *
 * Invariant: looking changes nothing, but for `eventually`, which moves virtual time.
 */
import { InvalidError, parseDuration, RuneEvent } from '../schemas/index.js';
import type { CachedOf, Duration } from '../schemas/index.js';
import { DrivenStore } from './driven-store.js';
import { TestRig } from './rig.js';
import { whyDown } from './rig-state.js';
import { tellerOf } from './subjects.js';
import { formatTimeline, timelineOf, type TimelineSubject } from './timeline.js';

/** A matcher's verdict. */
export interface Verdict {
  readonly pass: boolean;
  message(): string;
}

/** A condition's status as it is asked for. */
export type ConditionStatus = boolean | 'True' | 'False' | 'Unknown';

/** What a condition must say beside its status. */
export interface ConditionDetails {
  readonly reason?: string | undefined;
  readonly message?: string | RegExp | undefined;
}

/** An event that is asked for: its reason, or all that is known of it. */
export type EventQuery =
  | string
  | { readonly type?: 'Normal' | 'Warning' | undefined; readonly reason?: string | undefined; readonly note?: string | RegExp | undefined };

/** How long `toEventually` waits. */
export interface EventuallyOptions {
  /** Virtual time. Default '10m'. */
  readonly within?: Duration | number | undefined;
}

interface ObjectLike {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly namespace?: string;
    readonly name: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly generation?: number;
  };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason?: string;
      readonly message?: string;
    }[];
  };
}

function objectOf(subject: unknown, matcher: string): ObjectLike {
  const { metadata } = (typeof subject === 'object' && subject !== null ? subject : {}) as { metadata?: { name?: unknown } };
  if (typeof metadata?.name === 'string') return subject as ObjectLike;
  throw new InvalidError(
    `${matcher} looks at an object as a store gives it, with its metadata; it was given ${subject === null ? 'null' : typeof subject}`,
  );
}

function nameOf({ kind, metadata }: ObjectLike): string {
  return `${kind ?? 'object'} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name}`;
}

/** The story of an object, where it is known who can tell it. */
function storyOf(subject: unknown): string {
  const teller = subject instanceof TestRig || subject instanceof DrivenStore ? subject : tellerOf(subject);
  const object = subject === teller ? undefined : (subject as ObjectLike);
  const about: TimelineSubject | undefined =
    object === undefined ? undefined : { namespace: object.metadata.namespace, name: object.metadata.name, uid: object.metadata.uid };
  if (teller instanceof TestRig) return `\n\nwhat happened:\n${teller.story(about)}`;
  if (!(teller instanceof DrivenStore)) return '';
  const entries = timelineOf({ commits: teller.commits(), runs: [] }, about);
  return `\n\nwhat happened:\n${formatTimeline(entries, entries[0]?.time ?? 0)}`;
}

function fits(text: string | undefined, wanted: string | RegExp | undefined): boolean {
  if (wanted === undefined) return true;
  return typeof wanted === 'string' ? text === wanted : wanted.test(text ?? '');
}

/** Whether an object has a condition of a type and status. */
export function hasCondition(subject: unknown, type: string, status: ConditionStatus = true, details: ConditionDetails = {}): Verdict {
  const object = objectOf(subject, 'toHaveCondition');
  const wanted = typeof status === 'boolean' ? (status ? 'True' : 'False') : status;
  const conditions = object.status?.conditions ?? [];
  const found = conditions.find((condition) => condition.type === type);
  const pass = found?.status === wanted && fits(found.reason, details.reason) && fits(found.message, details.message);
  const asked = `${type}=${wanted}${details.reason === undefined ? '' : ` (${details.reason})`}${details.message === undefined ? '' : `: ${String(details.message)}`}`;
  const seen =
    conditions.length === 0
      ? 'it has none'
      : `it has ${conditions.map((each) => `${each.type}=${each.status} (${each.reason ?? ''}): ${each.message ?? ''}`).join('; ')}`;
  return { pass, message: () => `expected ${nameOf(object)} ${pass ? 'not ' : ''}to have condition ${asked}; ${seen}${storyOf(subject)}` };
}

/** Whether nothing is left to do for an object (or for all of a rig), and the last run went well. */
export function isReconciled(subject: unknown): Verdict {
  const rig = subject instanceof TestRig ? subject : tellerOf(subject);
  if (!(rig instanceof TestRig))
    throw new InvalidError('toBeReconciled looks at a rig, or at an object that was read through one (rig.repo, rig.store)');
  const object = rig === subject ? undefined : objectOf(subject, 'toBeReconciled');
  const problem = object === undefined ? problemOfAll(rig) : problemOf(rig, object);
  const what = object === undefined ? 'the rig' : nameOf(object);
  return {
    pass: problem === undefined,
    message: () =>
      `expected ${what} ${problem === undefined ? 'not to be reconciled, and it is' : `to be reconciled, but ${problem}`}${storyOf(subject)}`,
  };
}

function problemOfAll(rig: TestRig): string | undefined {
  const { busy, state } = rig;
  if (busy !== undefined) return busy;
  if (state === 'running' && rig.manager.state !== 'running') return `its manager is ${rig.manager.state}`;
  const last = new Map<string, { readonly outcome: string; readonly error: string | undefined }>();
  for (const run of rig.runs()) last.set(`${run.controller} ${run.key}`, run);
  for (const [id, run] of last)
    if (!went(run.outcome)) return `the last run of ${id} ended with ${run.outcome}${run.error === undefined ? '' : `: ${run.error}`}`;
  return undefined;
}

function problemOf(rig: TestRig, object: ObjectLike): string | undefined {
  const { namespace, name, resourceVersion = '0' } = object.metadata;
  const key = { namespace, name };
  const down = whyDown(rig.state);
  if (down !== undefined) return `the rig has nobody who could: ${down}`;
  const names = [...rig.primaries]
    .filter(([, definition]) => definition.kind === object.kind && definition.apiVersion === object.apiVersion)
    .map(([controller]) => controller);
  if (names.length === 0) return `no controller reconciles ${object.kind ?? 'its kind'}`;
  for (const controller of names) {
    const { state, failures, resourceVersion: cached, runs } = rig.explain(controller, key);
    if (state === 'running' || state === 'waiting' || state === 'paused') return `controller ${controller} has it ${state}`;
    if (failures > 0) return `controller ${controller} failed ${failures} times in a row: ${runs[0]?.error ?? ''}`;
    if (Number(cached ?? 0) < Number(resourceVersion)) return `controller ${controller} has not seen revision ${resourceVersion} yet`;
    const last = rig.runs(controller, key).at(-1);
    if (last === undefined) return `controller ${controller} has not run it`;
    if (!went(last.outcome))
      return `the last run of controller ${controller} ended with ${last.outcome}${last.error === undefined ? '' : `: ${last.error}`}`;
  }
  return undefined;
}

function went(outcome: string): boolean {
  return outcome === 'success' || outcome === 'requeueAfter';
}

/** Whether an event was recorded about an object, or about any of a rig's or a store's. */
export function hasEvent(subject: unknown, query: EventQuery): Verdict {
  const wanted = typeof query === 'string' ? { reason: query } : query;
  const teller = subject instanceof TestRig || subject instanceof DrivenStore ? subject : tellerOf(subject);
  if (!(teller instanceof TestRig) && !(teller instanceof DrivenStore)) {
    throw new InvalidError('toHaveEvent looks at a rig, at a TestStore, or at an object that was read through one');
  }
  const object = subject === teller ? undefined : objectOf(subject, 'toHaveEvent');
  const told = new Map<string, CachedOf<typeof RuneEvent>>();
  for (const { resource, name, namespace } of teller.events({ type: RuneEvent })) {
    const { regarding } = resource;
    const about =
      object === undefined ||
      (regarding.name === object.metadata.name &&
        regarding.namespace === object.metadata.namespace &&
        // Of one of the same name that was there before, say.
        (regarding.uid === undefined || object.metadata.uid === undefined || regarding.uid === object.metadata.uid) &&
        (regarding.kind === undefined || regarding.kind === object.kind));
    if (about) told.set(`${namespace ?? ''}/${name}`, resource);
  }
  const events = [...told.values()];
  const pass = events.some(
    (event) =>
      (wanted.type === undefined || event.type === wanted.type) && fits(event.reason, wanted.reason) && fits(event.note, wanted.note),
  );
  const asked = [wanted.type, wanted.reason, wanted.note === undefined ? undefined : String(wanted.note)]
    .filter((part) => part !== undefined)
    .join(' ');
  const seen =
    events.length === 0
      ? 'there is none'
      : `there are ${events.map((event) => `${event.type} ${event.reason}: ${event.note ?? ''}`).join('; ')}`;
  return {
    pass,
    message: () =>
      `expected ${object === undefined ? 'the store' : nameOf(object)} ${pass ? 'not ' : ''}to have event ${asked}; ${seen}${storyOf(subject)}`,
  };
}

/** Whether `holds` holds at last: it is tried again and again while virtual time moves. It fails by throwing, or with false. */
export async function eventually<S>(subject: S, holds: (value: S) => unknown, options: EventuallyOptions = {}): Promise<Verdict> {
  const within = parseDuration(options.within ?? '10m', 'within');
  if (!(subject instanceof TestRig) && !(subject instanceof DrivenStore))
    throw new InvalidError('toEventually is asked of a rig or a TestStore, whose time it can move');
  const tried = async (): Promise<{ readonly error: unknown } | undefined> => {
    try {
      return (await holds(subject)) === false ? { error: new Error('it does not hold') } : undefined;
    } catch (error) {
      return { error };
    }
  };
  let left = within;
  let step = 10;
  for (;;) {
    if (subject instanceof TestRig) await subject.settle();
    const failure = await tried();
    if (failure === undefined)
      return { pass: true, message: () => `expected it never to hold within ${within} ms of virtual time, and it does${storyOf(subject)}` };
    if (left <= 0) {
      const { error } = failure;
      return {
        pass: false,
        message: () =>
          `it did not come to hold within ${within} ms of virtual time: ${error instanceof Error ? error.message : String(error)}${storyOf(subject)}`,
      };
    }
    const by = Math.min(step, left);
    left -= by;
    step *= 2;
    await subject.advance(by);
  }
}
