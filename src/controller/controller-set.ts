/**
 * The controllers of a manager: which there are, how far each has come, and when a name is free again.
 *
 * Invariants: a name has one loop at most, from its definition until nothing of the loop runs any more, what did not settle
 * included. A controller runs when its sources have synced and the manager leads, whichever comes last. What becomes of one
 * (added, removed, failed) holds up and harms no other.
 */
import { AbortedError, InvalidError, NotFoundError } from '../schemas/index.js';
import type { Store } from '../store/index.js';
import { dropControllerSeries } from './controller-metrics.js';
import type { ControllerLoop } from './loop.js';
import type { UnsettledKey } from './manager-types.js';
import type { MetricsRegistry } from './metrics/index.js';
import type { ControllerDefinition } from './types.js';
import type { Grace } from './within.js';

/** What the set needs of its manager. */
export interface ControllerSetOptions {
  /** Makes a loop, and starts nothing of it. */
  readonly make: (definition: ControllerDefinition) => ControllerLoop;
  readonly metrics: MetricsRegistry;
  /** Aborts when the manager stops. */
  readonly stopping: AbortSignal;
}

/** `cold`: loops are made; `warm`: their sources are started; `leading`: they run. */
type Phase = 'new' | 'cold' | 'warm' | 'leading';

interface Member {
  readonly definition: ControllerDefinition;
  /** Undefined while the manager has not started. */
  loop: ControllerLoop | undefined;
}

export class ControllerSet {
  readonly #options: ControllerSetOptions;
  readonly #members = new Map<string, Member>();
  /** Removed; their names are taken until the last of their runs has settled. */
  readonly #leaving = new Map<string, ControllerLoop>();
  #phase: Phase = 'new';
  /** What runs write through, once the manager leads. */
  #store: Store | undefined;

  constructor(options: ControllerSetOptions) {
    this.#options = options;
  }

  get names(): readonly string[] {
    return [...this.#members.keys()];
  }
  /** Those that have not been removed. */
  get loops(): readonly ControllerLoop[] {
    return [...this.#members.values()].flatMap(({ loop }) => (loop === undefined ? [] : [loop]));
  }

  /** @throws {NotFoundError} */
  loop(name: string): ControllerLoop {
    const member = this.#members.get(name);
    if (member?.loop !== undefined) return member.loop;
    const why = member === undefined ? 'is not known' : 'has not been started';
    throw new NotFoundError(`controller ${name} ${why}; there are: ${this.names.join(', ') || 'none'}`);
  }

  /** Takes a controller in. @throws {InvalidError} when its name is taken. */
  define(definition: ControllerDefinition): Member {
    const { name } = definition;
    this.#refuseTaken(name);
    const member: Member = { definition, loop: this.#phase === 'new' ? undefined : this.#options.make(definition) };
    this.#members.set(name, member);
    return member;
  }

  #refuseTaken(name: string): void {
    const leaving = this.#leaving.get(name);
    if (leaving === undefined && !this.#members.has(name)) return;
    const keys = leaving?.running.map((run) => run.key).join(', ');
    const message =
      leaving === undefined
        ? `two controllers are called ${name}: names tell them apart in logs, metrics and finalizers`
        : leaving.state === 'stopped'
          ? `controller ${name} was removed, but reconciles of it still run (${keys}), and others of that name would run beside them: have them heed their signal, or use another name`
          : `controller ${name} is still being removed: wait for remove() before adding another of that name`;
    throw new InvalidError(message, { causes: [{ reason: 'FieldValueDuplicate', field: 'controllers', message: name }] });
  }

  /**
   * Takes a controller in, and resolves when it has come as far as the others: its sources have synced, and it runs if the
   * manager leads. One that cannot is not in the set.
   *
   * @throws {InvalidError} when its name is taken. @throws {TimeoutError} when a source did not sync. @throws {AbortedError}
   */
  async add(definition: ControllerDefinition): Promise<void> {
    const { name } = definition;
    let member: Member | undefined;
    try {
      member = this.define(definition);
      if (this.#phase === 'warm' || this.#phase === 'leading') await this.#bringUp(member);
    } catch (error) {
      // It may have been removed meanwhile, and there may be another of its name.
      if (member !== undefined && this.#members.get(name) === member) await this.#end(member, { reason: error, grace: { ms: 0 } });
      throw error;
    }
  }

  async #bringUp({ loop }: Member): Promise<void> {
    if (loop === undefined) return;
    loop.warm();
    await loop.whenSynced(this.#options.stopping);
    // Nobody runs it before it has synced: not the manager that began to lead meanwhile either.
    if (this.#phase === 'leading' && loop.state === 'warm') loop.run(this.#store);
  }

  /** The manager has started: loops are made, and nothing of them runs. */
  open(): void {
    this.#phase = 'cold';
    for (const member of this.#members.values()) member.loop ??= this.#options.make(member.definition);
  }

  /**
   * Starts all sources, and resolves when they have synced; those of a controller that is being added are for its `add`, and
   * those of one that is removed meanwhile for nobody.
   */
  async warm(): Promise<void> {
    this.#phase = 'warm';
    const cold = [...this.#members.values()].filter(({ loop }) => loop?.state === 'new');
    await Promise.all(
      cold.map(async (member) => {
        try {
          await this.#bringUp(member);
        } catch (error) {
          if (this.#members.get(member.definition.name) === member) throw error;
        }
      }),
    );
  }

  /** The manager leads: what has synced runs now, and what has not as soon as it has. */
  lead(store: Store): void {
    this.#phase = 'leading';
    this.#store = store;
    for (const loop of this.loops) if (loop.state === 'warm') loop.run(store);
  }

  /** Stops a controller and forgets it; undefined when there is none of the name. */
  async remove(name: string, grace: Grace): Promise<readonly UnsettledKey[] | undefined> {
    const member = this.#members.get(name);
    return member && this.#end(member, { reason: new AbortedError(`controller ${name} was removed`), grace });
  }

  async #end({ definition: { name }, loop }: Member, how: Parameters<ControllerLoop['stop']>[0]): Promise<readonly UnsettledKey[]> {
    this.#members.delete(name);
    if (loop === undefined) return [];
    this.#leaving.set(name, loop);
    await loop.stop(how);
    dropControllerSeries(this.#options.metrics, name);
    void loop.ended.then(() => this.#leaving.delete(name));
    return unsettledOf(loop);
  }

  /** Stops all, those that are being removed included, and tells what did not settle. */
  async stop(grace: Grace): Promise<readonly UnsettledKey[]> {
    const reason = new AbortedError('the manager stops');
    const loops = [...this.loops, ...this.#leaving.values()];
    await Promise.all(loops.map((loop) => loop.stop({ reason, grace })));
    return loops.flatMap(unsettledOf);
  }
}

function unsettledOf(loop: ControllerLoop): UnsettledKey[] {
  return loop.unsettled.map((key) => ({ controller: loop.name, key }));
}
