/**
 * Leader election on a lease in the store, as client-go does it.
 *
 * Invariants: only local monotonic time decides: another's lease is over when it has not changed, as seen from here, for as
 * long as it promised. The leader counts its own time from before the write that renewed, and steps down when
 * `renewDeadline` has passed without one, which is before anybody else may step up. Each taking has a higher fencing token,
 * also when the lease was deleted between two of them.
 */
import { isAlreadyExists, isConflict, isNotFound, Lease, TimeoutError } from '../../schemas/index.js';
import { sleep } from '../../store/index.js';
import type { Deps, Logger, Store, Timer } from '../../store/index.js';
import { within } from '../within.js';
import { RETRY_JITTER, type Election } from './options.js';

/** A lease that is held. */
export interface Leadership {
  readonly identity: string;
  readonly namespace: string;
  readonly name: string;
  /** Grows with each taking of the lease. */
  readonly token: string;
}

/** Who is told. */
export interface ElectorHandlers {
  onStarted(leadership: Leadership): void;
  /** Called once at most, and only after `onStarted`; not for a stop. */
  onLost(error: Error): void;
  /** A lease was read or written with the slow path. */
  onSlowPath?(): void;
}

export interface ElectorOptions {
  readonly store: Store;
  readonly deps: Deps;
  readonly logger: Logger;
  readonly election: Election;
  readonly handlers: ElectorHandlers;
}

interface Seen {
  readonly lease: Lease;
  /** Monotonic ms, when this version was first seen. */
  readonly at: number;
}

const RELEASE_TRIES = 5;

export class LeaderElector {
  readonly #options: ElectorOptions;
  readonly #abort = new AbortController();
  #seen: Seen | undefined;
  #token: string | undefined;
  /** Monotonic ms: from before the last write that renewed. */
  #renewedAt = 0;
  #deadline: Timer | undefined;
  #running: Promise<void> | undefined;
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(options: ElectorOptions) {
    this.#options = options;
  }

  get leading(): boolean {
    return this.#token !== undefined;
  }
  /** Who held the lease when it was last read. */
  get holder(): string | undefined {
    const holder = this.#seen?.lease.spec.holderIdentity;
    return holder === '' ? undefined : holder;
  }
  /** ms since the lease was last read or written. */
  sinceRead(now: number): number {
    return now - this.#readAt;
  }

  start(): void {
    this.#running ??= this.#run().catch((error: unknown) => {
      if (!this.#abort.signal.aborted) this.#options.logger.error({ err: error }, 'leader election ended with an error');
    });
  }

  /** Ends the election; gives the lease back if it is held and `release` is set. */
  async stop(options: { readonly release: boolean }): Promise<void> {
    const held = this.leading;
    this.#abort.abort();
    this.#deadline?.cancel();
    // A store that hangs must not keep a process from ending.
    const { deps, election } = this.#options;
    await within(deps, { ms: election.retryPeriod }, this.#running);
    if (held && options.release) await within(deps, { ms: election.retryPeriod }, this.#release());
    this.#token = undefined;
  }

  async #run(): Promise<void> {
    const { deps, election, logger, handlers } = this.#options;
    const { signal } = this.#abort;
    const retry = (): Promise<void> => sleep(deps, election.retryPeriod * (1 + RETRY_JITTER * deps.random.next()), { signal, unref: true });
    while (!(await this.#take())) {
      if (signal.aborted) return;
      await retry();
    }
    if (signal.aborted) {
      await this.#release();
      this.#token = undefined;
      return;
    }
    const token = this.#token as string;
    logger.info({ lease: election.name, identity: election.identity, token }, 'became leader');
    handlers.onStarted({ identity: election.identity, namespace: election.namespace, name: election.name, token });
    this.#armDeadline();
    while (this.leading) {
      await sleep(deps, election.retryPeriod, { signal, unref: true });
      // A process that was frozen wakes here: its time may be long over.
      if (this.#overdue()) return this.#lose('was not renewed in time');
      if (await this.#try()) this.#armDeadline();
      else if (this.leading && this.holder !== election.identity) return this.#lose(`was taken by ${this.holder ?? 'nobody'}`);
    }
  }

  /**
   * Takes the lease. A taking that came too late to be relied on (the store let it wait) is none, and given back: whom the store
   * lets wait each time would hold it for ever and never lead. Once told to stop it counts all the same, and is given back then.
   */
  async #take(): Promise<boolean> {
    if (!(await this.#try())) return false;
    if (this.#abort.signal.aborted || !this.#overdue()) return true;
    const { election, logger } = this.#options;
    logger.warn({ lease: election.name, identity: election.identity }, 'the lease was taken too late to lead by it: it is given back');
    this.#token = undefined;
    await this.#release();
    return false;
  }

  #overdue(): boolean {
    return this.#options.deps.clock.monotonic() - this.#renewedAt >= this.#options.election.renewDeadline;
  }

  /** A write that hangs must not keep a leader leading. */
  #armDeadline(): void {
    this.#deadline?.cancel();
    if (!this.leading || this.#abort.signal.aborted) return;
    const { clock, scheduler } = this.#options.deps;
    const left = this.#renewedAt + this.#options.election.renewDeadline - clock.monotonic();
    this.#deadline = scheduler.after(Math.max(0, left), () => this.#lose('was not renewed in time'), { unref: true });
  }

  #lose(why: string): void {
    if (!this.leading || this.#abort.signal.aborted) return;
    const { election, handlers, logger } = this.#options;
    this.#token = undefined;
    this.#deadline?.cancel();
    this.#abort.abort();
    logger.error({ lease: election.name, identity: election.identity }, `leadership lost: the lease ${why}`);
    handlers.onLost(new TimeoutError(`leadership lost: lease ${election.namespace}/${election.name} ${why}; another process may lead now`));
  }

  /** Takes or renews the lease; false when it is another's, or could not be written. */
  async #try(): Promise<boolean> {
    const { logger, election, deps } = this.#options;
    const began = deps.clock.monotonic();
    try {
      const done = (await this.#renewFast()) || (await this.#readAndTake());
      if (done) this.#renewedAt = began;
      return done;
    } catch (error) {
      const level = isConflict(error) || isAlreadyExists(error) ? 'debug' : 'warn';
      logger[level]({ lease: election.name, err: error }, 'the lease could not be taken or renewed; it is tried again');
      return false;
    }
  }

  /** The common case: nobody wrote since the last renewal, so it need not be read. */
  async #renewFast(): Promise<boolean> {
    if (!this.leading || this.#seen === undefined) return false;
    try {
      await this.#write(this.#seen.lease);
      return true;
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) throw error;
      this.#options.handlers.onSlowPath?.();
      return false;
    }
  }

  async #readAndTake(): Promise<boolean> {
    const { store, election, deps } = this.#options;
    const { identity, namespace, name } = election;
    let lease: Lease | undefined;
    try {
      lease = await store.get(Lease, namespace, name);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    const now = deps.clock.monotonic();
    this.#readAt = now;
    if (lease === undefined) {
      // A leader whose lease was deleted does not make it anew in silence: somebody else may be about to.
      if (this.leading) this.#lose('was deleted');
      if (this.#abort.signal.aborted || this.#mayBeHeld(now)) return false;
      this.#token = this.#firstToken();
      try {
        this.#saw(await store.create(Lease, namespace, name, { spec: this.#spec(undefined) }, { source: `lease/${identity}` }));
      } catch (error) {
        this.#token = undefined;
        throw error;
      }
      return true;
    }
    if (this.#seen?.lease.metadata.resourceVersion !== lease.metadata.resourceVersion) this.#saw(lease);
    const { holderIdentity: holder = '' } = lease.spec;
    if (holder !== '' && holder !== identity) {
      if (this.leading) return false;
      if (now - (this.#seen as Seen).at < this.#promisedBy(lease)) return false;
    }
    const before = this.#token;
    this.#token ??= String(Number(lease.spec.fencingToken ?? '0') + 1);
    try {
      await this.#write(lease);
      return true;
    } catch (error) {
      this.#token = before;
      throw error;
    }
  }

  /** Whether who held a lease that was deleted may still lead: somebody took it away, and the leader finds out at its next renewal. */
  #mayBeHeld(now: number): boolean {
    const seen = this.#seen;
    const holder = seen?.lease.spec.holderIdentity ?? '';
    return (
      seen !== undefined && holder !== '' && holder !== this.#options.election.identity && now - seen.at < this.#promisedBy(seen.lease)
    );
  }

  #promisedBy({ spec: { leaseDurationSeconds } }: Lease): number {
    return leaseDurationSeconds === undefined ? this.#options.election.leaseDuration : leaseDurationSeconds * 1000;
  }

  /**
   * The token of a lease that is made, perhaps not for the first time: beyond those of leases that were deleted. A token grows
   * by one with a write, as the revision does, so none is ever ahead of the revision.
   */
  #firstToken(): string {
    return String(Math.max(Number(this.#options.store.revision), Number(this.#seen?.lease.spec.fencingToken ?? '0')) + 1);
  }

  async #write(lease: Lease): Promise<void> {
    const { store, election } = this.#options;
    const { namespace, name, identity } = election;
    const { resourceVersion } = lease.metadata;
    this.#saw(
      await store.patch(
        Lease,
        namespace,
        name,
        { metadata: { resourceVersion }, spec: this.#spec(lease) },
        { source: `lease/${identity}`, signal: this.#abort.signal },
      ),
    );
  }

  #saw(lease: Lease): void {
    const at = this.#options.deps.clock.monotonic();
    this.#seen = { lease, at };
    this.#readAt = at;
  }

  #spec(lease: Lease | undefined): NonNullable<Lease['spec']> {
    const { election, deps } = this.#options;
    const now = new Date(deps.clock.now()).toISOString();
    const same = lease?.spec.holderIdentity === election.identity;
    return {
      holderIdentity: election.identity,
      leaseDurationSeconds: Math.ceil(election.leaseDuration / 1000),
      acquireTime: same && lease.spec.acquireTime !== undefined && this.leading ? lease.spec.acquireTime : now,
      renewTime: now,
      leaseTransitions: (lease?.spec.leaseTransitions ?? 0) + (same || lease === undefined ? 0 : 1),
      fencingToken: this.#token ?? '1',
    };
  }

  /** Gives the lease back, so that another need not wait for its end. */
  async #release(): Promise<void> {
    const { store, election, logger, deps } = this.#options;
    const { namespace, name, identity } = election;
    for (let tries = 0; tries < RELEASE_TRIES; tries += 1) {
      try {
        const lease = await store.get(Lease, namespace, name);
        if (lease.spec.holderIdentity !== identity) return;
        const renewTime = new Date(deps.clock.now()).toISOString();
        await store.patch(
          Lease,
          namespace,
          name,
          {
            metadata: { resourceVersion: lease.metadata.resourceVersion },
            spec: { holderIdentity: '', leaseDurationSeconds: 1, renewTime },
          },
          { source: `lease/${identity}` },
        );
        logger.info({ lease: name, identity }, 'gave the lease back');
        return;
      } catch (error) {
        if (isNotFound(error)) return;
        if (isConflict(error)) continue;
        logger.warn({ lease: name, err: error }, 'the lease could not be given back; others wait for its end');
        return;
      }
    }
  }
}
