/**
 * The store as a map and a list of revisions: what random histories are checked against.
 *
 * It knows nothing of engines, queues and rings; where it and a store differ, one of them is wrong.
 */

/** What the model keeps of an object: all that the rules of writing speak of, and no stamps of time or chance. */
export interface ModelObject {
  readonly incarnation: number;
  readonly generation: number;
  readonly revision: number;
  readonly size: number;
  readonly label: string | undefined;
  readonly ready: boolean | undefined;
  readonly finalizer: boolean;
  readonly terminating: boolean;
}

/** One step of a random history. */
export type ModelStep =
  | {
      readonly verb: 'create';
      readonly key: string;
      readonly size: number;
      readonly label: string | undefined;
      readonly finalizer: boolean;
    }
  | { readonly verb: 'update'; readonly key: string; readonly size: number; readonly label: string | undefined; readonly stale: boolean }
  | { readonly verb: 'status'; readonly key: string; readonly ready: boolean }
  | { readonly verb: 'patch'; readonly key: string; readonly size: number }
  | { readonly verb: 'delete'; readonly key: string }
  | { readonly verb: 'release'; readonly key: string }
  | { readonly verb: 'transaction'; readonly steps: readonly ModelStep[]; readonly fails: boolean };

/** What a step came to. */
export type ModelOutcome = 'ok' | 'AlreadyExists' | 'NotFound' | 'Conflict' | 'failed';

export interface ModelEvent {
  readonly revision: number;
  readonly type: 'CREATED' | 'UPDATED' | 'DELETED';
  readonly key: string;
  readonly object: ModelObject;
}

type State = ReadonlyMap<string, ModelObject>;

export class StoreModel {
  /** The state at each revision; index 0 is the empty store. */
  readonly states: State[] = [new Map()];
  readonly events: ModelEvent[] = [];
  #incarnations = 0;

  get revision(): number {
    return this.states.length - 1;
  }

  get state(): State {
    return this.states[this.revision]!;
  }

  /** Runs a step; a step that changes nothing makes no revision. */
  run(step: ModelStep): ModelOutcome {
    const working = new Map(this.state);
    const outcome = step.verb === 'transaction' ? this.#transaction(working, step) : this.#one(working, step);
    if (outcome === 'ok') this.#commit(working);
    return outcome;
  }

  #transaction(working: Map<string, ModelObject>, step: ModelStep & { verb: 'transaction' }): ModelOutcome {
    for (const inner of step.steps) {
      const outcome = this.#one(working, inner);
      if (outcome !== 'ok') return outcome;
    }
    return step.fails ? 'failed' : 'ok';
  }

  #one(working: Map<string, ModelObject>, step: ModelStep): ModelOutcome {
    if (step.verb === 'transaction') throw new Error('transactions do not nest');
    const before = working.get(step.key);
    if (step.verb === 'create') {
      if (before !== undefined) return 'AlreadyExists';
      const { size, label, finalizer } = step;
      this.#incarnations += 1;
      working.set(step.key, {
        incarnation: this.#incarnations,
        generation: 1,
        revision: 0,
        size,
        label,
        ready: undefined,
        finalizer,
        terminating: false,
      });
      return 'ok';
    }
    if (before === undefined) return 'NotFound';
    switch (step.verb) {
      case 'update':
        if (step.stale) return 'Conflict';
        this.#put(working, step.key, before, { size: step.size, label: step.label });
        return 'ok';
      case 'patch':
        this.#put(working, step.key, before, { size: step.size });
        return 'ok';
      case 'status':
        this.#put(working, step.key, before, { ready: step.ready });
        return 'ok';
      case 'delete':
        if (before.terminating) return 'ok';
        if (before.finalizer) this.#put(working, step.key, before, { terminating: true });
        else working.delete(step.key);
        return 'ok';
      case 'release':
        if (before.terminating) working.delete(step.key);
        else this.#put(working, step.key, before, { finalizer: false });
        return 'ok';
      default:
        throw new Error(`unknown step ${String(step satisfies never)}`);
    }
  }

  #put(working: Map<string, ModelObject>, key: string, before: ModelObject, change: Partial<ModelObject>): void {
    const next = { ...before, ...change };
    const moved = next.size !== before.size ? { generation: before.generation + 1 } : {};
    working.set(key, { ...next, ...moved });
  }

  /** One revision for all that is different, with the net event of each key. */
  #commit(working: Map<string, ModelObject>): void {
    const before = this.state;
    const revision = this.revision + 1;
    const events: ModelEvent[] = [];
    for (const key of new Set([...before.keys(), ...working.keys()])) {
      const old = before.get(key);
      const now = working.get(key);
      if (old === undefined && now !== undefined) events.push({ revision, type: 'CREATED', key, object: now });
      else if (old !== undefined && now === undefined) events.push({ revision, type: 'DELETED', key, object: old });
      else if (old !== undefined && now !== undefined && !same(old, now)) events.push({ revision, type: 'UPDATED', key, object: now });
    }
    if (events.length === 0) return;
    for (const event of events) {
      if (event.type !== 'DELETED') working.set(event.key, { ...event.object, revision });
    }
    for (const [key, object] of before) if (same(object, working.get(key))) working.set(key, object);
    this.states.push(working);
    this.events.push(...events);
  }
}

/** Equal in all but the revision. */
function same(a: ModelObject, b: ModelObject | undefined): boolean {
  return (
    b !== undefined &&
    a.incarnation === b.incarnation &&
    a.generation === b.generation &&
    a.size === b.size &&
    a.label === b.label &&
    a.ready === b.ready &&
    a.finalizer === b.finalizer &&
    a.terminating === b.terminating
  );
}
