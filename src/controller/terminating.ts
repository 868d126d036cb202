/**
 * The finalizer age report: what is being deleted and does not go, since when, and whose finalizers hold it.
 *
 * Invariants: whoever's finalizers they are, an object of a controller's type that does not go is told; the report names objects
 * when it is asked for, metrics have a number and an age for each controller.
 */
import { parseDuration } from '../schemas/index.js';
import type { DeepReadonly, Duration, UnknownResource } from '../schemas/index.js';
import type { ControllerSeries } from './controller-metrics.js';
import { managerDefaults } from './defaults.js';
import { keyOf } from './keys.js';
import type { ControllerDefinition } from './types.js';

type Seen = DeepReadonly<UnknownResource>;

/** An object that is being deleted, and what it waits for. */
export interface Terminating {
  /** When its deletion was asked for, RFC 3339. */
  readonly since: string;
  readonly forMs: number;
  /** All that have to be removed before it goes. */
  readonly finalizers: readonly string[];
  /** Whether one of them is this controller's to remove. */
  readonly own: boolean;
}

/** A line of the report. */
export interface TerminatingObject extends Terminating {
  readonly controller: string;
  readonly type: string;
  readonly key: string;
  readonly uid: string;
}

/** What is asked of the report. */
export interface TerminatingOptions {
  /** Only what this controller reconciles. Default: what all of them do. */
  readonly controller?: string | undefined;
  /** Only what has been terminating for this long. Default '5m'. */
  readonly olderThan?: Duration | undefined;
  /** Default 1,000. */
  readonly limit?: number | undefined;
}

/** What the report needs of a controller. */
export interface TerminatingHost {
  readonly name: string;
  readonly controller: ControllerDefinition;
  readonly wiring: { readonly primary: { list(query?: { readonly filter: (object: Seen) => boolean }): readonly Seen[] } };
}

const LINES = 1_000;

/** What an object that is being deleted waits for; undefined for one that is not. `now`: wall clock, ms. */
export function terminatingOf(object: Seen, controller: ControllerDefinition, now: number): Terminating | undefined {
  const { deletionTimestamp: since, finalizers = [] } = object.metadata;
  if (since === undefined) return undefined;
  const own = controller.finalize !== undefined && finalizers.includes(controller.finalizer);
  return { since, forMs: Math.max(0, now - Date.parse(since)), finalizers, own };
}

/** The report, oldest first. @throws {InvalidError} for an age that is no duration. */
export function reportTerminating(hosts: Iterable<TerminatingHost>, options: TerminatingOptions, now: number): TerminatingObject[] {
  const atLeast = parseDuration(options.olderThan ?? managerDefaults.terminatingAfter, 'olderThan');
  const found: TerminatingObject[] = [];
  for (const { name, controller, wiring } of hosts) {
    for (const object of wiring.primary.list({ filter: isTerminating })) {
      const terminating = terminatingOf(object, controller, now);
      if (terminating === undefined || terminating.forMs < atLeast) continue;
      found.push({ controller: name, type: controller.for.type, key: keyOf(object), uid: object.metadata.uid, ...terminating });
    }
  }
  return found.toSorted((a, b) => b.forMs - a.forMs).slice(0, options.limit ?? LINES);
}

/** Sets the gauges of a controller; undefined: of one that has stopped, about which nothing is known any more. */
export function measureTerminating(series: ControllerSeries, host: TerminatingHost | undefined, now: number): void {
  const objects = host?.wiring.primary.list({ filter: isTerminating }) ?? [];
  let oldest = 0;
  if (host !== undefined) for (const object of objects) oldest = Math.max(oldest, terminatingOf(object, host.controller, now)?.forMs ?? 0);
  series.terminating.set(objects.length);
  series.finalizerPending.set(oldest / 1000);
}

/** One line for people. */
export function describeTerminating({ since, forMs, finalizers, own }: Terminating): string {
  const whose = own ? '' : ", none of which is this controller's";
  return `being deleted since ${since} (${Math.round(forMs / 1000)} s); it waits for its finalizers ${finalizers.join(', ')}${whose}`;
}

function isTerminating(object: Seen): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}
