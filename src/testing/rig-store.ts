/**
 * The store of a rig as the test uses it: another client of the store, which outlives the crashes of the process.
 *
 * Invariants: a call settles once, with what the store answered to that very call: one that a crash cut off before it took effect
 * is made again in the next life, one that had taken effect is not. A watch goes on from where it stood. Once the rig is closed,
 * calls are refused and watches end. Faults that are ordered here strike the process, not the test.
 */
import { StoreClosedError } from '../schemas/index.js';
import type { AnyDefinition } from '../schemas/index.js';
import type { StoreCommit } from './commit-log.js';
import { DrivenStore } from './driven-store.js';
import { Faults, type CallMatch } from './faults.js';
import type { Pump } from './pump.js';
import { ResumedWatch, type ResumeHost } from './resumed-watch.js';
import type { VirtualDeps } from './virtual-deps.js';

/** Whose store it is. */
export interface RigStoreHost extends ResumeHost {
  readonly deps: VirtualDeps;
  readonly pump: Pump;
  /** Those of the process. */
  readonly faults: Faults;
  readonly commits: readonly StoreCommit[];
  /** Who tells the story of an object that was read. */
  readonly teller: object;
}

const noFaults = new Faults(() => '0');

export class RigStore extends DrivenStore {
  readonly #rig: RigStoreHost;

  constructor(rig: RigStoreHost, types: readonly AnyDefinition[]) {
    const check = (): void => {
      if (!rig.closed) return;
      throw new StoreClosedError(
        'the rig is closed, and its store with it: use it before close(), discard() or expectNoLeaks(), or make another rig',
      );
    };
    super(
      {
        deps: rig.deps,
        pump: rig.pump,
        faults: noFaults,
        orders: rig.faults,
        teller: rig.teller,
        alive: true,
        get opened() {
          return rig.process.store;
        },
        get commits() {
          return rig.commits;
        },
        whenOpen: () => rig.process.open(),
        async through(run) {
          for (;;) {
            check();
            const { process } = rig;
            const outcome = await process.answer(process.store === undefined ? process.open().then(run) : run(process.store));
            if (outcome === undefined) await process.killed.promise;
            else if ('error' in outcome) throw outcome.error;
            else return outcome.value;
          }
        },
        watching(type, namespace, options) {
          check();
          return new ResumedWatch(rig, (store, from) => store.watch(type, namespace, from), options);
        },
      },
      types,
    );
    this.#rig = rig;
  }

  override cutWatches(where?: CallMatch): number {
    return this.#rig.process.face.cutWatches(where);
  }
  override expireWatches(where?: CallMatch): number {
    return this.#rig.process.face.expireWatches(where);
  }
  override close(): Promise<void> {
    return this.#rig.closed ? Promise.resolve() : super.close();
  }
}
