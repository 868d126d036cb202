/**
 * What goes wrong in one run of a simulation, as a list that can be told, replayed and made shorter.
 *
 * Invariants: the list follows from the seed and the size of the undisturbed run alone; each entry stands by itself, so that
 * any part of the list is a plan too.
 */
import { ConflictError, StoreError } from '../../schemas/index.js';
import type { StoreEvent } from '../commit-log.js';
import { describeCall, type Fault, type StoreCall } from '../faults.js';
import type { TestRig } from '../rig.js';
import { seededRandom } from '../seeded-random.js';
import { describeChange } from '../timeline.js';

/** One thing that goes wrong. Commits are counted from the start of the controllers, writes are those of controllers. */
export type PlannedFault =
  | { readonly kind: 'crash'; readonly afterCommit: number; readonly downtimeMs: number }
  | { readonly kind: 'fail'; readonly write: number; readonly applied: boolean }
  | { readonly kind: 'conflict'; readonly write: number }
  | { readonly kind: 'cut' | 'expire'; readonly afterCommit: number }
  | { readonly kind: 'slowWatch'; readonly type: string; readonly delayMs: number }
  | { readonly kind: 'slowWrites'; readonly delayMs: number }
  | { readonly kind: 'order'; readonly seed: number };

export type FaultKind = PlannedFault['kind'];

/** All that can go wrong. */
export const faultKinds: readonly FaultKind[] = ['crash', 'fail', 'conflict', 'cut', 'expire', 'slowWatch', 'slowWrites', 'order'];

/** What an undisturbed run was like. */
export interface RunSize {
  readonly commits: number;
  readonly writes: number;
  /** Types whose watches can be slow. */
  readonly types: readonly string[];
}

/** Most faults in one run: more hide each other. */
const MOST_FAULTS = 5;

/** The plan of a seed. */
export function planFaults(seed: number, size: RunSize, kinds: readonly FaultKind[]): readonly PlannedFault[] {
  if (kinds.length === 0) return [];
  const random = seededRandom(seed, 'faults');
  const from1 = (limit: number): number => 1 + random.below(Math.max(1, limit));
  const late = (): number => [1, 20, 300, 2_000][random.below(4)] as number;
  const count = random.below(MOST_FAULTS + 1);
  return Array.from({ length: count }, (): PlannedFault => {
    const kind = kinds[random.below(kinds.length)] as FaultKind;
    switch (kind) {
      case 'crash':
        return { kind, afterCommit: from1(size.commits), downtimeMs: [0, 0, 50, 30_000][random.below(4)] as number };
      case 'fail':
        return { kind, write: from1(size.writes), applied: random.below(2) === 0 };
      case 'conflict':
        return { kind, write: from1(size.writes) };
      case 'cut':
      case 'expire':
        return { kind, afterCommit: from1(size.commits) };
      case 'slowWatch':
        return { kind, type: size.types[random.below(size.types.length)] ?? '*', delayMs: late() };
      case 'slowWrites':
        return { kind, delayMs: late() };
      case 'order':
        return { kind, seed: random.below(1_000_000) };
      default:
        return kind satisfies never;
    }
  });
}

/** One line for people. */
export function describeFault(fault: PlannedFault): string {
  switch (fault.kind) {
    case 'crash':
      return `crash after commit ${fault.afterCommit}${fault.downtimeMs === 0 ? '' : `, down for ${fault.downtimeMs} ms`}`;
    case 'fail':
      return fault.applied ? `write ${fault.write} takes effect and its answer is lost` : `write ${fault.write} fails`;
    case 'conflict':
      return `write ${fault.write} loses a race`;
    case 'cut':
      return `watches are cut after commit ${fault.afterCommit}`;
    case 'expire':
      return `watches expire after commit ${fault.afterCommit}`;
    case 'slowWatch':
      return `events of ${fault.type} come ${fault.delayMs} ms late`;
    case 'slowWrites':
      return `writes take ${fault.delayMs} ms`;
    case 'order':
      return 'objects come late and in another order';
    default:
      return fault satisfies never;
  }
}

/** A fault that has struck, with what it hit. */
export interface StruckFault {
  readonly fault: PlannedFault;
  /** What it hit, in words. */
  readonly hit: string;
  /** It came with the end of an object that finalizers had held. */
  readonly released: boolean;
}

/** A plan at work in a rig. */
export interface ActivePlan {
  /** Faults that have struck so far. */
  readonly struck: readonly StruckFault[];
  /** Commits and controllers' writes until it healed. */
  readonly commits: number;
  readonly writes: number;
  /** When the last fault had struck and its downtime was over, ms of monotonic time; 0: none has. */
  readonly lastStrikeMs: number;
  /** From now on nothing is slow any more. */
  calm(): void;
  /** From now on nothing goes wrong any more. */
  heal(): void;
}

/** Puts a plan to work. `onCommit` is told of each commit, first. */
export function installPlan(
  rig: TestRig,
  plan: readonly PlannedFault[],
  onCommit: (commit: Parameters<Parameters<TestRig['onCommit']>[0]>[0]) => void,
): ActivePlan {
  const struck: { -readonly [K in keyof StruckFault]: StruckFault[K] }[] = [];
  /** A write that takes effect and whose answer is lost: its commit will tell what it was. */
  let lost: (typeof struck)[number] | undefined;
  let commits = 0;
  let writes = 0;
  let healed = false;
  let lastStrikeMs = 0;
  const slow: Fault[] = [];
  const strike = (fault: PlannedFault, hit: string, released = false): void => void struck.push({ fault, hit, released });
  const strikeNow = (fault: PlannedFault, hit: string, released = false): void => {
    strike(fault, hit, released);
    lastStrikeMs = rig.deps.clock.monotonic() + (fault.kind === 'crash' ? fault.downtimeMs : 0);
  };

  for (const fault of plan) {
    if (fault.kind === 'slowWatch') {
      slow.push(rig.store.delay('watch', fault.delayMs, fault.type === '*' ? {} : { where: { type: fault.type } }));
      strike(fault, '');
    } else if (fault.kind === 'slowWrites') {
      slow.push(rig.store.delay('write', fault.delayMs));
      strike(fault, '');
    } else if (fault.kind === 'order') strike(fault, '');
  }
  // Not by the faults' own counting: a write is counted once, whatever befalls it.
  let fate: Error | undefined;
  let applied = false;
  const meet = (call: StoreCall): boolean => {
    fate = undefined;
    if (healed || call.source?.startsWith('controller/') !== true) return false;
    writes += 1;
    for (const fault of plan) {
      if ((fault.kind !== 'fail' && fault.kind !== 'conflict') || fault.write !== writes) continue;
      const hit = `${call.verb} ${describeCall(call)} by ${call.source}`;
      applied = fault.kind === 'fail' && fault.applied;
      fate =
        fault.kind === 'fail'
          ? new StoreError(`simulated: ${hit} fails`)
          : new ConflictError(`simulated: ${hit} loses a race`, { currentRevision: rig.store.revision });
      strikeNow(fault, hit);
      if (applied) lost = struck.at(-1);
    }
    return fate !== undefined;
  };
  rig.store.failNext('write', () => fate as Error, { times: Infinity, where: (call) => meet(call) && !applied });
  rig.store.failNext('write', () => fate as Error, { times: Infinity, applied: true, where: () => fate !== undefined && applied });

  rig.onCommit((commit) => {
    onCommit(commit);
    if (healed) return;
    commits += 1;
    // Only of what is hit: to say what a change changed takes longer than many a commit.
    const change = (): string => commit.events.map(describeChange).join(', ');
    if (lost !== undefined) {
      lost.hit = change();
      lost.released = commit.events.some(isRelease);
      lost = undefined;
    }
    for (const fault of plan) {
      if (!('afterCommit' in fault) || fault.afterCommit !== commits) continue;
      strikeNow(fault, change(), commit.events.some(isRelease));
      if (fault.kind === 'crash') rig.kill({ downtime: fault.downtimeMs });
      else if (fault.kind === 'cut') rig.store.cutWatches();
      else rig.store.expireWatches();
    }
  });
  return {
    struck,
    get commits() {
      return commits;
    },
    get writes() {
      return writes;
    },
    get lastStrikeMs() {
      return lastStrikeMs;
    },
    calm() {
      for (const each of slow) each.remove();
    },
    heal() {
      healed = true;
      rig.store.clearFaults();
    },
  };
}

/** Whether a change lets an object go that was being deleted, or takes a step towards it. */
function isRelease({ type, resource, previous }: StoreEvent): boolean {
  if (previous?.metadata.deletionTimestamp === undefined) return false;
  return type === 'DELETED' || (resource.metadata.finalizers?.length ?? 0) < (previous.metadata.finalizers?.length ?? 0);
}
