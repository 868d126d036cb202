/**
 * The one way to the disk: operations are planned in order, on top of what is still under way, and committed in batches,
 * one at a time; writers in flight share a commit and its fsync.
 *
 * Invariants:
 * - An outcome that rests on something not yet durable is told only when that is durable; if it fails, the operation is planned anew.
 * - On success, in one turn: the visible revision moves, the ring grows, callers are resolved, watchers are woken.
 * - Changes of other processes enter the ring before our own later ones.
 * - What is sent was planned under the premises it is sent with; when they move, all that is not committed is planned anew.
 * - After a commit that failed nothing is acknowledged that was not found on disk; a failed fsync is never repeated.
 */
import { AbortedError, StoreFailedError, isExpired, isStatusError } from '../../schemas/index.js';
import type { CommitResult, Key, Premise } from '../engine.js';
import { keyId } from '../keys.js';
import { deferred, onAbort } from '../timing.js';
import { takeIn } from './foreign.js';
import { compactedSince, notWritten, unknownOutcome } from './not-written.js';
import { queueLimits } from './operation.js';
import type { Job, Operation, QueueHost, QueueLimits, Sent } from './operation.js';
import { CommittedEvent, canTell, isUnfounded, takeBatch } from './request.js';
import type { Batch } from './request.js';
import { Room } from './room.js';
import { Planned, absent } from './states.js';
import type { KeyState, Origin, PlannedExpect } from './states.js';

/** Operations planned in one turn of the event loop. */
const SLICE = 32;
/** The same beside a commit, which needs a turn of its own to get to the disk. */
const SLICE_BESIDE = 8;

export class CommitQueue {
  readonly #host: QueueHost;
  readonly #limits: QueueLimits;
  readonly #prefix: string;
  #toPlan: Job[] = [];
  #planning = false;
  #pending: Sent[] = [];
  #pendingBytes = 0;
  #sending = false;
  #order = 0;
  #ids = 0;
  #stopped: Error | undefined;
  readonly #room: Room;
  #idle: (() => void)[] = [];
  #catchUp = false;
  /** How long a commit takes lately, ms. */
  #commitMs = 0;
  /** Why the engine has to be opened anew, though no commit has failed. */
  #broken: unknown;
  /** What all that is pending was planned under; undefined when that is not so any more. */
  #premises: readonly Premise[] | undefined;

  /** `prefix` sets this process' request ids apart from those of others. */
  constructor(host: QueueHost, options: { readonly prefix: string; readonly limits?: QueueLimits }) {
    this.#host = host;
    this.#limits = options.limits ?? queueLimits;
    this.#prefix = options.prefix;
    const { waiting, waitingBytes } = this.#limits;
    this.#room = new Room({ full: (given) => this.size + given >= waiting || this.#pendingBytes >= waitingBytes, most: waiting * 16 });
  }

  /** Operations that have not been answered. */
  get size(): number {
    return this.#toPlan.length + this.#pending.length;
  }

  /** Answers once the operation's outcome is durable. */
  submit<R>(operation: Operation<R>, signal?: AbortSignal): Promise<R> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    if (signal === undefined && !this.#room.crowded) return new Promise<R>((resolve, reject) => this.#enqueue(operation, resolve, reject));
    return this.#submitCarefully(operation, signal);
  }

  #enqueue<R>(operation: Operation<R>, resolve: (value: R) => void, reject: (error: unknown) => void): Job {
    const job: Job = { operation, order: (this.#order += 1), resolve, reject, answered: false, again: false };
    this.#toPlan.push(job);
    if (!this.#planning) void this.#planAll();
    return job;
  }

  async #submitCarefully<R>(operation: Operation<R>, signal: AbortSignal | undefined): Promise<R> {
    if (signal?.aborted === true)
      throw new AbortedError('the write was aborted before it began: nothing was written', { cause: signal.reason });
    if (this.#room.crowded) {
      await this.#room.enter(signal);
      if (this.#stopped !== undefined) throw this.#stopped;
    }
    const { promise, resolve, reject } = deferred<R>();
    const job = this.#enqueue(operation, resolve, reject);
    const unlisten = onAbort(signal, (reason) => {
      const index = this.#toPlan.indexOf(job);
      if (index >= 0) this.#toPlan.splice(index, 1);
      this.#reject(
        job,
        new AbortedError(
          index >= 0
            ? 'the write was aborted: nothing was written'
            : 'the wait for the write was aborted: the write itself may still happen',
          { cause: reason },
        ),
      );
    });
    try {
      return await promise;
    } finally {
      unlisten();
    }
  }

  /** Resolves when everything submitted so far has been answered. */
  async drain(): Promise<void> {
    while (this.#stopped === undefined && (this.#planning || this.#sending || this.size + this.#room.size > 0)) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
  }

  /** Refuses what comes, and (with `error`) what waits. */
  stop(error: Error): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    for (const job of this.#toPlan.splice(0)) this.#reject(job, error);
    for (const { job, planned } of this.#pending.splice(0)) {
      this.#reject(job, error);
      planned.settle('failed');
    }
    this.#host.states.clear();
    this.#room.dissolve();
    this.#signalIdle();
  }

  /** Somebody else advanced the revision: takes their changes in as soon as no commit of ours is under way. */
  foreignAdvance(): void {
    this.#catchUp = true;
    if (!this.#sending && this.#stopped === undefined) void this.#send();
  }

  /** The engine was found dead by somebody else than a commit: has it opened anew. False when nothing is done any more. */
  recover(cause: unknown): boolean {
    if (this.#stopped !== undefined) return false;
    this.#broken = cause;
    if (!this.#sending) void this.#send();
    return true;
  }

  async #planAll(): Promise<void> {
    this.#planning = true;
    const { clock, scheduler } = this.#host.deps;
    let began = clock.monotonic();
    let planned = 0;
    let rounds = 0;
    try {
      // The commit first that is on its way: what is planned while the disk works costs nobody time, what is planned before does.
      if (this.#sending) await scheduler.turn();
      for (;;) {
        const job = this.#toPlan.shift();
        if (job === undefined) {
          // One more round of promises: writers that resume together then share a commit.
          await Promise.resolve();
          if (this.#toPlan.length === 0) break;
          // Whoever is answered at once and asks again must not keep the rest of the process from its turn.
          if ((rounds += 1) % SLICE === 0) {
            if (!this.#sending) void this.#send();
            await scheduler.turn();
          }
          continue;
        }
        if (job.answered) continue;
        const states: KeyState[] = [];
        try {
          for (const key of job.operation.keys) {
            const id = keyId(key);
            const state = this.#known(job, id, key) ?? this.#host.read(key, id);
            // A promise that needs none would cost more than the read.
            states.push(state instanceof Promise ? await state : state);
          }
          if (this.#stopped !== undefined) throw this.#stopped;
          this.#plan(job, states);
        } catch (error) {
          this.#answer(
            job,
            states.map((state) => state.origin),
            () => this.#reject(job, error),
          );
        }
        planned += 1;
        if (this.#pending.length >= this.#limits.batch && !this.#sending) void this.#send();
        if (planned % (this.#sending ? SLICE_BESIDE : SLICE) === 0 && this.#toPlan.length > 0) {
          // Planning on while a commit is under way pays as soon as both take as long; before that a larger commit does.
          if (!this.#sending && clock.monotonic() - began > this.#commitMs) {
            void this.#send();
            began = clock.monotonic();
          }
          await scheduler.turn();
        }
      }
    } finally {
      this.#planning = false;
    }
    if (!this.#sending) void this.#send();
  }

  /** The state of a key as far as it takes no read. */
  #known(job: Job, id: string, key: Key): KeyState | undefined {
    const known = this.#host.states.known(id);
    return known !== undefined || job.operation.expectsNothing !== true || job.again ? known : absent(id, key);
  }

  #plan(job: Job, states: readonly KeyState[]): void {
    // A state read earlier may have moved while a later key was read.
    for (let index = 0; index < states.length - 1; index += 1) {
      const state = states[index]!;
      const known = this.#host.states.known(state.id);
      if (known !== undefined && known.origin !== state.origin) {
        this.#toPlan.unshift(job);
        return;
      }
    }
    const decision = job.operation.plan(states);
    if (decision.type === 'done') {
      const origins = states.map((state) => state.origin);
      this.#answer(job, decision.dependsOn === undefined ? origins : [...origins, ...decision.dependsOn], () => {
        // Whoever has gone must not be owed an answer that may fail.
        if (!job.answered) this.#resolve(job, decision.value());
      });
      return;
    }
    const expect: readonly PlannedExpect[] = decision.expect === undefined ? states : [...states, ...decision.expect];
    const planned = new Planned(`${this.#prefix}${(this.#ids += 1)}`, decision.writes, expect);
    this.#host.states.plan(planned);
    if (this.#pending.length === 0) this.#premises = this.#host.premises();
    this.#pending.push({ planned, job, value: decision.value });
    this.#pendingBytes += planned.bytes;
  }

  /** Tells an outcome once all it rests on is durable; plans again if some of that failed. */
  #answer(job: Job, origins: readonly Origin[], tell: () => void): void {
    const open = origins.filter((origin): origin is Planned => typeof origin === 'object' && origin.state !== 'committed');
    if (open.length === 0) {
      tell();
      return;
    }
    let left = open.length;
    let failed = false;
    for (const planned of open) {
      planned.whenSettled(() => {
        failed ||= planned.state === 'failed';
        left -= 1;
        if (left > 0) return;
        if (failed) this.#again(job);
        else tell();
      });
    }
  }

  /** Back to planning, in the order of arrival. */
  #again(job: Job): void {
    if (this.#stopped !== undefined) {
      this.#reject(job, this.#stopped);
      return;
    }
    const conflicted = job.operation.conflicted?.();
    if (conflicted !== undefined) {
      this.#reject(job, conflicted);
      return;
    }
    job.again = true;
    let at = 0;
    while (at < this.#toPlan.length && this.#toPlan[at]!.order < job.order) at += 1;
    this.#toPlan.splice(at, 0, job);
    if (!this.#planning) void this.#planAll();
  }

  #resolve(job: Job, value: unknown): void {
    if (job.answered) return;
    job.answered = true;
    job.resolve(value);
  }

  #reject(job: Job, error: unknown): void {
    if (job.answered) return;
    job.answered = true;
    job.reject(error);
  }

  async #send(): Promise<void> {
    this.#sending = true;
    let sent: readonly Sent[] = [];
    try {
      while (this.#stopped === undefined) {
        sent = [];
        if (this.#broken !== undefined) await this.#inDoubt([], this.#broken);
        if (this.#catchUp) {
          this.#catchUp = false;
          try {
            await takeIn(this.#host, this.#host.engine().revision().current);
          } catch (error) {
            await this.#inDoubt([], error);
          }
          this.#host.feed.announce();
        }
        const premises = this.#host.premises();
        if (premises !== this.#premises && this.#pending.length > 0) this.#replanAll();
        const { batch, requests } = this.#nextBatch();
        if (batch.length === 0) break;
        sent = batch;
        let results: readonly CommitResult[];
        try {
          const began = this.#host.deps.clock.monotonic();
          results = await this.#host.engine().commit(requests, premises);
          this.#commitMs += (this.#host.deps.clock.monotonic() - began - this.#commitMs) / 8;
        } catch (error) {
          await this.#inDoubt(batch, error);
          continue;
        }
        if (isUnfounded(results)) {
          sent = [];
          this.#pending = [...batch, ...this.#pending];
          this.#premises = undefined;
          await this.#host.reload().catch((error: unknown) => this.#inDoubt([], error));
          continue;
        }
        // Not awaited needlessly: the next commit is on its way before the callers of this one go on.
        const foreign = this.#complete(batch, results);
        if (foreign !== undefined) await foreign;
      }
    } catch (error) {
      for (const { job } of sent) this.#reject(job, unknownOutcome('the store has stopped while it wrote', error));
      this.#fail(error);
      for (const { planned } of sent) if (planned.state === 'planned') planned.settle('failed');
    } finally {
      this.#sending = false;
      this.#signalIdle();
    }
    if (this.#stopped === undefined && (this.#pending.length > 0 || this.#catchUp) && !this.#planning) void this.#send();
  }

  #nextBatch(): Batch {
    const next = takeBatch(this.#pending, this.#limits, (unfounded) => this.#replan(unfounded));
    for (const { planned } of this.#pending.splice(0, next.taken)) this.#pendingBytes -= planned.bytes;
    this.#room.admit();
    return next;
  }

  /** Nothing is planned before all of it is back in line: it comes in the order it came in. */
  #replanAll(): void {
    const pending = this.#pending.splice(0);
    this.#pendingBytes = 0;
    const planning = this.#planning;
    this.#planning = true;
    for (const { planned } of pending) this.#host.states.unplan(planned);
    for (const { planned, job } of pending) {
      planned.settle('failed');
      this.#again(job);
    }
    this.#planning = planning;
    if (!planning) void this.#planAll();
  }

  #replan(sent: Sent): void {
    this.#host.states.unplan(sent.planned);
    sent.planned.settle('failed');
    this.#again(sent.job);
  }

  /** Planning it again would come to the same. What rests on it is planned without it. */
  #drop({ planned, job }: Sent, error: Error): void {
    this.#host.states.unplan(planned);
    this.#reject(job, error);
    planned.settle('failed');
  }

  /** A promise only when revisions of others lie between ours: they come first. */
  #complete(batch: readonly Sent[], results: readonly CommitResult[]): Promise<void> | undefined {
    let expected = this.#host.feed.visible + 1;
    for (const result of results) {
      if (!result.ok) continue;
      if (result.revision !== expected) return this.#completeBehind(batch, results);
      expected += 1;
    }
    for (let index = 0; index < batch.length; index += 1) {
      const result = results[index]!;
      if (result.ok) this.#apply(batch[index]!, result.revision);
    }
    this.#tell(batch, results);
    return undefined;
  }

  async #completeBehind(batch: readonly Sent[], results: readonly CommitResult[]): Promise<void> {
    for (let index = 0; index < batch.length; index += 1) {
      const result = results[index]!;
      if (!result.ok) continue;
      if (result.revision !== this.#host.feed.visible + 1) await takeIn(this.#host, result.revision - 1);
      this.#apply(batch[index]!, result.revision);
    }
    this.#tell(batch, results);
  }

  #tell(batch: readonly Sent[], results: readonly CommitResult[]): void {
    for (let index = 0; index < batch.length; index += 1) {
      const { job, planned, value } = batch[index]!;
      if (results[index]!.ok) this.#resolve(job, value(planned.revision));
    }
    for (let index = 0; index < batch.length; index += 1) if (results[index]!.ok) batch[index]!.planned.settle('committed');
    this.#host.feed.announce();
    for (let index = 0; index < batch.length; index += 1) {
      const result = results[index]!;
      if (result.ok) continue;
      if ('refused' in result) this.#drop(batch[index]!, result.refused);
      else this.#replan(batch[index]!);
    }
    if (this.#host.engine().revision().current > this.#host.feed.visible) this.#catchUp = true;
  }

  #apply(sent: Sent, revision: number): void {
    const { planned } = sent;
    planned.revision = revision;
    for (const { write, form } of planned.writes) {
      form?.commit(revision);
      this.#host.applied(write.key, form);
    }
    this.#host.states.commit(planned);
    // With nobody to share the changes, whoever comes later finds them in the log.
    const { feed } = this.#host;
    if (!this.#host.followed()) feed.pass(revision);
    else if (canTell(planned.writes)) feed.append({ revision, events: planned.writes.map((write) => new CommittedEvent(write)) });
    else feed.reset(revision);
  }

  /** A commit failed: what became of it is read from the log of a freshly opened engine. */
  async #inDoubt(batch: readonly Sent[], cause: unknown): Promise<void> {
    this.#broken = undefined;
    try {
      await this.#host.reopen(cause);
    } catch (error) {
      for (const { job, planned } of batch) {
        this.#reject(job, unknownOutcome('the commit failed and the store could not be opened again', error));
        planned.settle('failed');
      }
      throw error;
    }
    const mine = new Map(batch.map((sent) => [sent.planned.id, sent]));
    const found = new Set<Sent>();
    let outcome = notWritten(cause);
    try {
      for await (const change of this.#host.engine().changes(this.#host.feed.visible)) {
        const sent = mine.get(change.id);
        if (sent === undefined) {
          await takeIn(this.#host, change.revision);
          continue;
        }
        found.add(sent);
        this.#apply(sent, change.revision);
      }
    } catch (error) {
      if (!isExpired(error)) throw error;
      outcome = compactedSince(cause);
      await takeIn(this.#host, this.#host.engine().revision().current);
    }
    // Told when all are known, as after any commit: nobody acts on half of it.
    for (const { job, planned, value } of found) this.#resolve(job, value(planned.revision));
    for (const { planned } of found) planned.settle('committed');
    this.#host.feed.announce();
    for (const sent of batch) {
      if (!found.has(sent)) this.#drop(sent, outcome);
    }
  }

  #fail(cause: unknown): void {
    const error = isStatusError(cause)
      ? cause
      : new StoreFailedError('the store has stopped after a failure: close it and open it again', { cause, inDoubt: false });
    this.stop(error);
    this.#host.failed(error);
  }

  #signalIdle(): void {
    for (const wake of this.#idle.splice(0)) wake();
  }
}
