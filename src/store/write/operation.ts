/**
 * What the commit queue is given, and what it needs of the store around it.
 */
import type { Deps } from '../deps.js';
import type { Engine, Key, Premise } from '../engine.js';
import type { Form } from '../form.js';
import type { Feed, FeedBatch } from '../watch/feed.js';
import type { KeyState, Origin, Planned, PlannedExpect, PlannedWrite, States } from './states.js';

/** What an operation decided. `value` is made when the outcome is told; what writes nothing may have something to ask before. */
export type Decision<R> =
  | {
      readonly type: 'write';
      readonly writes: readonly PlannedWrite[];
      readonly expect?: readonly PlannedExpect[] | undefined;
      readonly value: (revision: number) => R;
    }
  | { readonly type: 'done'; readonly value: () => R | Promise<R>; readonly dependsOn?: readonly Origin[] };

/** An operation: which keys it reads, and what it decides from their states. Planned again when what it rested on changed. */
export interface Operation<R> {
  readonly keys: readonly Key[];
  /** Planned the first time as if nothing were there, without a read: the engine's check finds out. */
  readonly expectsNothing?: boolean | undefined;
  plan(states: readonly KeyState[]): Decision<R>;
  /** Instead of planning again after a conflict (a transaction has to run its callback anew). */
  conflicted?(): Error;
}

/** An operation in the queue, and who waits for it. */
export interface Job {
  readonly operation: Operation<unknown>;
  readonly order: number;
  resolve(value: unknown): void;
  reject(error: unknown): void;
  /** True once the caller has been answered. */
  answered: boolean;
  /** True when it was planned before: what it assumed then did not hold. */
  again: boolean;
}

/** A request in the queue or on its way, and what its caller gets. */
export interface Sent {
  readonly planned: Planned;
  readonly job: Job;
  readonly value: (revision: number) => unknown;
}

export interface QueueLimits {
  /** Requests in one commit, at most. */
  readonly batch: number;
  readonly batchBytes: number;
  /** Operations that wait, at most, before writers have to. */
  readonly waiting: number;
  readonly waitingBytes: number;
}

export const queueLimits: QueueLimits = Object.freeze({
  batch: 512,
  batchBytes: 4 * 1024 * 1024,
  waiting: 8192,
  waitingBytes: 64 * 1024 * 1024,
});

/** What the queue needs of the store. */
export interface QueueHost {
  readonly deps: Deps;
  engine(): Engine;
  readonly feed: Feed;
  readonly states: States;
  read(key: Key, id: string): KeyState | Promise<KeyState>;
  /** What others committed after `from`, up to `until`, as the feed takes it. */
  foreign(from: number, until: number): Promise<readonly { readonly batch: FeedBatch; readonly versions: readonly number[] }[]>;
  /** Reads anew what is otherwise learned change by change, when some of them were missed. */
  relearn(): Promise<void>;
  /** After a failed commit: a fresh engine on the same data. Rejects when there is none to be had. */
  reopen(cause: unknown): Promise<void>;
  /** What all plans rest on at the moment: the same object for as long as they do. */
  premises(): readonly Premise[];
  /** Takes in what others did to the premises; what is planned is planned anew then. */
  reload(): Promise<void>;
  /** Told once the queue has stopped for good. */
  failed(error: Error): void;
  /** Told of each change in the committing turn; `form` undefined: removed. */
  applied(key: Key, form: Form | undefined): void;
  /** Whether anybody watches. */
  followed(): boolean;
}
