/**
 * A store that a test drives: awaiting it runs virtual time; its record of events; faults on order.
 *
 * Invariants: faults that are ordered here strike where the host says (a TestStore: its own calls; a rig: those of its
 * controllers); every object that is read is remembered with the store it came from, so that a matcher can tell its story.
 */
import type { AnyDefinition, CachedOf, Duration } from '../schemas/index.js';

import type { Deps, Repo } from '../store/index.js';
import type { StoreCommit, StoreEvent } from './commit-log.js';
import { drivenRepo } from './driven-repo.js';
import { eventsIn, type EventFilter } from './event-filter.js';
import type { FailOptions, Fault, Faults, FaultOptions, FaultVerb, StoreCall } from './faults.js';
import type { DriveOptions, Pump } from './pump.js';
import type { FaceHost } from './store-face.js';
import { remember } from './subjects.js';
import { TestDataStore } from './test-data.js';
import type { VirtualDeps } from './virtual-deps.js';

/** Whose driven store it is. */
export interface DrivenHost extends Omit<FaceHost, 'settle' | 'listen'> {
  /** Drives virtual time; undefined on real time. */
  readonly pump: Pump | undefined;
  /** Where faults are ordered. */
  readonly orders: Faults;
  readonly commits: readonly StoreCommit[];
  /** Who tells the story of an object that was read. Default: the store itself. */
  readonly teller?: object | undefined;
}

/** Whether time is virtual. */
export function isVirtual(deps: Deps): deps is VirtualDeps {
  return 'advanceTo' in deps;
}

export class DrivenStore extends TestDataStore {
  readonly #driven: DrivenHost;

  constructor(host: DrivenHost, types: readonly AnyDefinition[]) {
    const { pump } = host;
    const told = <R>(result: R): R => remember(result, host.teller ?? this);
    const face: FaceHost = {
      deps: host.deps,
      faults: host.faults,
      get alive() {
        return host.alive;
      },
      get opened() {
        return host.opened;
      },
      whenOpen: () => host.whenOpen(),
      through: host.through?.bind(host),
      watching: host.watching?.bind(host),
      settle: (work, call) => (pump === undefined ? work : pump.drive(work, { what: call.verb })).then(told),
      listen: (work) => (pump === undefined ? work.then(told) : pump.listen(work.then(told))),
    };
    super(face, types);
    this.#driven = host;
  }

  get #teller(): object {
    return this.#driven.teller ?? this;
  }

  /** A typed repo, whose `waitFor` moves virtual time as far as it takes. */
  repo<D extends AnyDefinition>(definition: D): Repo<D> {
    return drivenRepo(this, definition, { pump: this.#driven.pump, teller: this.#teller });
  }

  /** Runs what is due, and moves virtual time, until `work` settles: for what is waited for beside the store's own verbs. */
  run<T>(work: PromiseLike<T>, options?: DriveOptions): Promise<T> {
    const { pump } = this.#driven;
    return pump === undefined ? Promise.resolve(work) : pump.drive(work, options);
  }

  /**
   * Moves virtual time, with all that falls due on the way.
   *
   * @throws {TypeError} when the store runs on real time.
   */
  async advance(duration: Duration | number): Promise<void> {
    const { deps } = this.#driven;
    if (!isVirtual(deps)) throw new TypeError('this TestStore runs on real time: leave deps out, or give it virtualDeps()');
    await deps.advance(duration);
  }

  /** Every change that was committed, oldest first; secrets are sealed. */
  events<D extends AnyDefinition = AnyDefinition>(filter: EventFilter<D> = {}): readonly StoreEvent<CachedOf<D>>[] {
    return remember(eventsIn(this.#driven.commits, filter), this.#teller);
  }
  /** The same, a revision at a time: what was written together. */
  commits(): readonly StoreCommit[] {
    return this.#driven.commits;
  }

  /**
   * Makes the next calls of a verb fail.
   *
   * @param error what they fail with: an error, a message, or a function of the call. Default: a StoreError.
   */
  failNext(verb: FaultVerb, error?: Error | string | ((call: StoreCall) => Error), options?: FailOptions): Fault {
    return this.#driven.orders.failNext(verb, error, options);
  }
  /** Makes calls of a verb late, by ms or '50ms'; `watch`: each event comes late. Lasts until it is removed. */
  delay(verb: FaultVerb, duration: Duration | number, options?: FaultOptions): Fault {
    return this.#driven.orders.delay(verb, duration, options);
  }
  /** Makes the next write that could lose a race (update, patch, apply, delete, rollback) lose it. */
  conflictNext(verb?: FaultVerb, options?: FaultOptions): Fault {
    return this.#driven.orders.conflictNext(verb, options);
  }
  /** Takes all faults back. */
  clearFaults(): void {
    this.#driven.orders.clear();
  }
}
