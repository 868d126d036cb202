/**
 * An hour in the life of two processes that share a store under leader election, in virtual time: users write, and watches are
 * cut, writes fail, lose races or their answers, reconcilers throw, hang and ignore their signal, leases are stolen, deleted and
 * not renewed, processes are killed, stopped and started, the wall clock jumps.
 *
 * Invariants that are checked all the time: one leader at most; never two runs of one key; no run of a process that has
 * stopped; no write of a run past its timeout, and none of a process that does not hold the lease. After fifty minutes the faults
 * cease: by the end of the hour all has converged, nobody writes any more, and after the stop nothing is left.
 */
import { ForbiddenError, Lease, defineResource } from '../../../src/schemas/index.js';
import { memoryEngine, openStore, type Store } from '../../../src/store/index.js';
import {
  createManager,
  defineController,
  type ControllerDefinition,
  type Manager,
  type ReconcileContext,
} from '../../../src/controller/index.js';
import { seededRandom, virtualDeps, type SeededRandom, type VirtualDeps } from '../../../src/testing/index.js';
import { Faults } from '../../../src/testing/faults.js';
import { processDeps, type ProcessDeps } from '../../../src/testing/process-deps.js';
import { StoreFace } from '../../../src/testing/store-face.js';

const MINUTE = 60_000;
const DISTURBED = 50 * MINUTE;
const HOUR = 60 * MINUTE;
/** Of one run. */
const TIMEOUT = 20_000;
/** A leader whose lease was deleted finds out at its next renewal. */
const UNAWARE = 12_000;
const NAMES = 12;

const Ship = defineResource({
  kind: 'Ship',
  spec: { type: 'object', default: {}, properties: { crew: { type: 'integer', default: 1, minimum: 0 } } },
  status: { type: 'object', properties: { crew: { type: 'integer' } } },
  conditions: ['Ready'],
});
const Sailor = defineResource({
  kind: 'Sailor',
  spec: { type: 'object', default: {}, properties: { n: { type: 'integer' } } },
  status: { type: 'object', properties: { phase: { type: 'string' } } },
});

/** What an hour was like. */
export interface HourReport {
  readonly seed: number;
  readonly runs: number;
  readonly commits: number;
  /** How often each sort of fault was ordered. */
  readonly faults: Readonly<Record<string, number>>;
  /** How often a process began to lead. */
  readonly reigns: number;
  /** Reconciles that were past their timeout, and that had not settled when their process stopped. */
  readonly timeouts: number;
  readonly unsettled: number;
  /** What must not have happened; empty in a good hour. */
  readonly violations: readonly string[];
}

/** A run of the reconciler that has not settled. */
interface Mark {
  readonly life: Life;
  readonly signal: AbortSignal;
}

/** One life of a process. */
class Life {
  readonly name: string;
  readonly deps: ProcessDeps;
  readonly faults: Faults;
  readonly face: StoreFace;
  readonly stop = new AbortController();
  manager: Manager;
  led = false;
  /** Its manager has stopped, or it was killed. */
  over = false;

  constructor(name: string, hour: Hour) {
    this.name = name;
    const deps = processDeps(hour.deps);
    this.deps = deps;
    this.faults = new Faults(() => hour.store.revision);
    this.face = new StoreFace({
      deps,
      faults: this.faults,
      get alive() {
        return deps.alive;
      },
      opened: hour.store,
      whenOpen: async () => hour.store,
      settle: (work) => work,
      listen: (work) => work,
    });
    this.manager = createManager({
      store: this.face,
      controllers: [hour.controller(this)],
      gracePeriod: '10s',
      leaderElection: { name: 'harbour', identity: name },
    });
  }

  /** As a SIGKILL would: its connections end, and nothing of it goes on. */
  kill(): void {
    this.over = true;
    this.face.cutWatches();
    this.deps.kill();
  }
}

class Hour {
  readonly deps: VirtualDeps;
  readonly random: SeededRandom;
  readonly faults: Record<string, number> = {};
  readonly violations: string[] = [];
  store!: Store;
  runs = 0;
  reigns = 0;
  timeouts = 0;
  unsettled = 0;
  /** The world outside the store. */
  readonly harbour = new Map<string, string>();
  readonly #marks = new Map<string, Set<Mark>>();
  readonly #lives: Life[] = [];
  readonly #ended: Life[] = [];
  #born = 0;
  /** Of the lease, as the last write said. */
  #holder = '';
  #disturbed = true;
  #leaseDeletedAt = Number.NEGATIVE_INFINITY;
  #closing = false;

  constructor(seed: number) {
    this.deps = virtualDeps({ seed, maxLogs: 200 });
    this.random = seededRandom(seed, 'hour');
  }

  violation(what: string): void {
    if (this.violations.length < 10) this.violations.push(`at ${(this.deps.clock.monotonic() / 1000).toFixed(1)} s: ${what}`);
  }
  chance(share: number): boolean {
    return this.#disturbed && this.random.next() < share;
  }
  between(from: number, to: number): number {
    return from + this.random.below(to - from + 1);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.random.below(list.length)] as T;
  }
  /** Time outside any process: what hangs in here goes on when its process is long gone. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.deps.scheduler.after(ms, resolve));
  }

  // ---- the controller

  controller(life: Life): ControllerDefinition {
    return defineController({
      name: `ships-${life.name}`,
      finalizer: 'ships.rune.dev/finalizer',
      for: Ship,
      owns: [Sailor],
      prune: true,
      concurrency: 3,
      timeout: TIMEOUT,
      reconcile: (context) => this.#run(life, context, () => this.#man(life, context)),
      finalize: (context) =>
        this.#run(life, context, async () => {
          await this.#mood(life, context);
          this.#harbourOf(life).delete(context.object.metadata.name);
        }),
    });
  }

  async #run<R>(life: Life, { object, signal }: ReconcileContext<typeof Ship>, work: () => Promise<R>): Promise<R> {
    const { name } = object.metadata;
    // A promise that was on its way when its process was killed: in a real one nothing would be left to begin this run.
    if (!life.deps.alive) return new Promise(() => {});
    if (life.over) this.violation(`${life.name} ran ${name} after its stop`);
    const others = this.#marks.get(name) ?? new Set();
    this.#marks.set(name, others);
    for (const other of others) {
      if (other.life === life) this.violation(`${life.name} has two runs of ${name}`);
      else if (!other.life.over && !other.signal.aborted && !this.#unaware)
        this.violation(`${life.name} runs ${name} beside ${other.life.name}`);
    }
    const leaders = this.#lives.filter((each) => !each.over && each.manager.state === 'running');
    if (leaders.length !== 1 && !this.#unaware) this.violation(`${leaders.length} leaders: ${leaders.map((each) => each.name).join(', ')}`);
    if (!life.led) this.reigns += 1;
    life.led = true;
    this.runs += 1;
    const mark: Mark = { life, signal };
    others.add(mark);
    try {
      return await work();
    } finally {
      others.delete(mark);
    }
  }

  async #man(life: Life, context: ReconcileContext<typeof Ship>): Promise<void> {
    const { object: ship, children, ensure, status, condition } = context;
    const { name, uid } = ship.metadata;
    const { crew } = ship.spec;
    await this.#mood(life, context);
    this.#harbourOf(life).set(name, uid);
    for (let n = 0; n < crew; n += 1) await ensure(Sailor, { metadata: { name: `${name}-${n}` }, spec: { n } });
    const present = children(Sailor).length;
    status({ crew: present });
    condition('Ready', present === crew, { reason: present === crew ? 'Manned' : 'Manning' });
  }

  /** What reconcilers do that they should not. */
  async #mood(life: Life, context: ReconcileContext<typeof Ship>): Promise<void> {
    const { signal } = context;
    if (this.chance(0.04)) throw new TypeError('a mistake in the program');
    if (this.chance(0.02)) throw 'a text, not an Error';
    if (this.chance(0.05)) await this.sleep(this.between(1, 4_000));
    if (this.chance(0.01)) {
      // Hangs past its timeout, and then writes all the same, whoever told it to stop.
      await this.sleep(this.between(TIMEOUT, 2 * TIMEOUT));
      await this.#writeLate(life, context);
    }
    if (signal.aborted) throw signal.reason;
  }

  async #writeLate(life: Life, { object, signal, repo }: ReconcileContext<typeof Ship>): Promise<void> {
    const { namespace, name } = object.metadata;
    const late = signal.aborted && (signal.reason as Error | undefined)?.name === 'TimeoutError';
    const stopped = life.over;
    if (late) this.timeouts += 1;
    try {
      await repo(Ship).patch({ namespace, name }, { metadata: { annotations: { late: life.name } } });
      if (late || stopped) this.violation(`${life.name} wrote ${name} ${stopped ? 'after its stop' : 'past its timeout'}`);
    } catch (error) {
      if (late && !(error instanceof ForbiddenError)) this.violation(`a late write of ${name} failed with ${String(error)}`);
    }
  }

  /** Like the store, the world outside takes nothing from a process that does not hold the lease. */
  #harbourOf(life: Life): Map<string, string> {
    if (this.#holder !== life.name) throw new Error(`the harbour does not take orders from ${life.name}`);
    return this.harbour;
  }

  // ---- processes

  launch(slot: string): void {
    if (this.#closing) return;
    this.#born += 1;
    const life = new Life(`${slot}-${this.#born}`, this);
    this.#lives.push(life);
    const { manager } = life;
    const ended = (error?: unknown): void => {
      if (!life.deps.alive) return;
      const told = /did not settle within the grace period/.exec(String(error));
      if (told !== null) this.unsettled += 1;
      life.over = true;
      if (manager.state !== 'stopped') this.violation(`${life.name} ended ${manager.state}`);
      this.#bury(life);
      if (!this.#closing) this.deps.scheduler.after(this.between(500, 8_000), () => this.launch(slot));
    };
    manager.run({ signal: life.stop.signal }).then(ended, ended);
  }

  #bury(life: Life): void {
    this.#lives.splice(this.#lives.indexOf(life), 1);
    this.#ended.push(life);
  }

  #kill(life: Life): void {
    life.kill();
    // What it was doing is gone with it.
    for (const marks of this.#marks.values()) for (const mark of marks) if (mark.life === life) marks.delete(mark);
    this.#bury(life);
    this.deps.scheduler.after(this.between(100, 30_000), () => this.launch(life.name.slice(0, 1)));
  }

  // ---- what goes wrong

  disturb(): void {
    if (this.#lives.length === 0) return;
    const life = this.pick(this.#lives);
    const { faults, face } = life;
    const lift = (fault: { remove(): void }, after: number): void => void this.deps.scheduler.after(after, () => fault.remove());
    const lease = { type: Lease };
    const kinds: Record<string, () => unknown> = {
      cut: () => face.cutWatches(),
      expire: () => face.expireWatches(),
      fail: () =>
        lift(
          faults.failNext(this.pick(['write', 'read', 'watch', '*'] as const), undefined, {
            times: this.between(1, 6),
            applied: this.random.next() < 0.4,
          }),
          MINUTE,
        ),
      conflict: () => lift(faults.conflictNext(undefined, { times: this.between(1, 8) }), MINUTE),
      slowStore: () => lift(faults.delay('*', this.between(1, 1_500)), this.between(5_000, 30_000)),
      slowWatch: () => lift(faults.delay('watch', this.between(10, 8_000)), this.between(10_000, 90_000)),
      leaseFails: () =>
        lift(faults.failNext('*', 'the lease cannot be reached', { times: Infinity, where: lease }), this.between(5_000, 25_000)),
      leaseHangs: () => lift(faults.delay('*', this.between(5_000, 20_000), { where: lease }), this.between(5_000, 15_000)),
      leaseStolen: () => {
        this.store
          .modify(Lease, 'default', 'harbour', ({ spec }) => {
            spec.holderIdentity = 'thief';
            spec.fencingToken = String(Number(spec.fencingToken) + 1);
          })
          .catch(() => {});
      },
      leaseDeleted: () => {
        this.#leaseDeletedAt = this.deps.clock.monotonic();
        this.store.delete(Lease, 'default', 'harbour').catch(() => {});
      },
      kill: () => this.#kill(life),
      stop: () => life.stop.abort(new Error('told to stop')),
      clock: () => this.deps.jumpWallClock(this.between(-60, 60) * MINUTE),
    };
    const kind = this.pick(Object.keys(kinds));
    this.faults[kind] = (this.faults[kind] ?? 0) + 1;
    kinds[kind]?.();
  }

  /** Somebody deleted the lease, and its leader may not know yet: two may run then, and one may write. */
  get #unaware(): boolean {
    return this.deps.clock.monotonic() - this.#leaseDeletedAt < UNAWARE;
  }

  /** Follows all writes: who holds the lease, and that nobody else's controllers write. */
  async #watchWrites(): Promise<void> {
    for await (const event of this.store.watch('*')) {
      if (event.type === 'BOOKMARK') continue;
      if (event.resourceType === Lease.type) {
        this.#holder = event.type === 'DELETED' ? '' : ((event.resource as unknown as Lease).spec.holderIdentity ?? '');
      } else if (event.source?.startsWith('controller/') === true && event.source !== `controller/ships-${this.#holder}`) {
        this.violation(
          `${event.source} wrote ${event.resourceType} ${event.name} while the lease was of ${this.#holder === '' ? 'nobody' : this.#holder}`,
        );
      }
    }
  }

  // ---- users

  use(): void {
    const name = `ship-${this.random.below(NAMES)}`;
    const n = this.random.below(4);
    const acts: (() => Promise<unknown>)[] = [
      () => this.store.create(Ship, 'sea', name, { spec: { crew: n } }),
      () => this.store.create(Ship, 'sea', name, { spec: { crew: n } }),
      () => this.store.patch(Ship, 'sea', name, { spec: { crew: n } }),
      () => this.store.patch(Ship, 'sea', name, { spec: { crew: n } }),
      () => this.store.patch(Ship, 'sea', name, { metadata: { labels: { n: String(n) } } }),
      () => this.store.patch(Ship, 'sea', name, { status: { crew: 99 } }, { subresource: 'status' }),
      () => this.store.delete(Ship, 'sea', name),
      () => this.store.delete(Sailor, 'sea', `${name}-${n}`),
      () => this.store.patch(Sailor, 'sea', `${name}-${n}`, { status: { phase: `p${n}` } }, { subresource: 'status' }),
    ];
    // It may exist already, or not yet: users err, too.
    this.pick(acts)().catch(() => {});
  }

  // ---- the hour

  async run(): Promise<void> {
    await this.#drive(openStore({ engine: memoryEngine(), deps: this.deps, types: [Ship, Sailor] }).then((store) => (this.store = store)));
    const watching = this.#watchWrites().catch((error: unknown) => {
      if (!this.#closing) this.violation(`the watch of all writes ended: ${String(error)}`);
    });
    this.launch('a');
    this.launch('b');
    let nextFault = 5_000;
    let nextUse = 0;
    for (let now = 0; now < DISTURBED; now = Math.min(nextFault, nextUse)) {
      await this.deps.advance(Math.max(0, now - this.deps.clock.monotonic()));
      if (now === nextUse) {
        this.use();
        nextUse += this.between(100, 12_000);
      }
      if (now === nextFault) {
        this.disturb();
        nextFault += this.between(500, 25_000);
      }
    }
    this.#disturbed = false;
    for (const life of this.#lives) life.faults.clear();
    await this.deps.advance(HOUR - 3 * MINUTE - this.deps.clock.monotonic());
    await this.#converged();
    const quiet = await this.#written();
    await this.deps.advance(3 * MINUTE);
    if ((await this.#written()) !== quiet) this.violation('somebody still writes ships or sailors, long after all had converged');
    await this.#close();
    await this.#drive(watching);
  }

  /** Awaits what the store does at this moment. */
  async #drive<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const done = (): void => void (settled = true);
    work.then(done, done);
    for (let i = 0; i < 50 && !settled; i += 1) await this.deps.flush();
    if (!settled) throw new Error('the store does not answer');
    return work;
  }

  /** The newest version of what the controllers write. */
  async #written(): Promise<number> {
    let newest = 0;
    for (const type of [Ship, Sailor]) {
      const { items } = await this.#drive(this.store.list(type));
      for (const { metadata } of items) newest = Math.max(newest, Number(metadata.resourceVersion));
    }
    return newest;
  }

  async #converged(): Promise<void> {
    const ships = (await this.#drive(this.store.list(Ship))).items;
    const sailors = (await this.#drive(this.store.list(Sailor))).items;
    const wanted = new Map(
      ships.flatMap((ship) => Array.from({ length: ship.spec.crew }, (_, n) => [`${ship.metadata.name}-${n}`, ship.metadata.uid])),
    );
    for (const { metadata, spec, status } of ships) {
      const { name, deletionTimestamp, generation } = metadata;
      if (deletionTimestamp !== undefined) this.violation(`${name} is still being deleted`);
      if (status?.crew !== spec.crew || status.observedGeneration !== generation) {
        this.violation(
          `${name} did not converge: crew ${status?.crew} of ${spec.crew}, generation ${status?.observedGeneration} of ${generation}`,
        );
      }
      const ready = status?.conditions?.find((condition) => condition.type === 'Ready');
      if (ready?.status !== 'True') this.violation(`${name} is not ready: ${JSON.stringify(ready)}`);
      if (this.harbour.get(name) !== metadata.uid) this.violation(`${name} is not in the harbour`);
    }
    for (const { metadata } of sailors) {
      const owner = metadata.ownerReferences?.find((reference) => reference.controller === true)?.uid;
      if (owner === undefined || wanted.get(metadata.name) !== owner) this.violation(`sailor ${metadata.name} has no ship`);
      wanted.delete(metadata.name);
    }
    for (const name of wanted.keys()) this.violation(`sailor ${name} is missing`);
    for (const name of this.harbour.keys())
      if (!ships.some((ship) => ship.metadata.name === name)) this.violation(`${name} is gone, and still in the harbour`);
  }

  async #close(): Promise<void> {
    this.#closing = true;
    const lives = [...this.#lives];
    for (const life of lives) life.stop.abort(new Error('the hour is over'));
    await this.deps.advance(MINUTE);
    for (const life of lives) if (!life.over) this.violation(`${life.name} did not stop`);
    for (const life of this.#ended) {
      const left = {
        timers: life.deps.timers,
        deferred: life.deps.deferred,
        watches: life.face.watches,
        calls: life.deps.alive ? life.face.calls : 0,
      };
      for (const [what, count] of Object.entries(left)) if (count !== 0) this.violation(`${life.name} left ${count} ${what} behind`);
    }
    for (const [name, marks] of this.#marks) if (marks.size > 0) this.violation(`a run of ${name} never settled`);
    await this.#drive(this.store.close());
    const { timers, deferred, unref } = this.deps.pending();
    if (timers + deferred + unref !== 0) this.violation(`left after all: ${timers} timers, ${deferred} tasks, ${unref} idle timers`);
  }
}

/** Lives through one hour; never throws for what goes wrong in it: that is the report. */
export async function hourOfFaults(seed: number): Promise<HourReport> {
  const hour = new Hour(seed);
  try {
    await hour.run();
  } catch (error) {
    hour.violation(`the hour ended early: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }
  const { runs, faults, reigns, timeouts, unsettled, violations } = hour;
  return { seed, runs, commits: Number(hour.store.revision), faults, reigns, timeouts, unsettled, violations };
}
