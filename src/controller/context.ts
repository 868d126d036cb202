/**
 * The context of one run. Every member can be taken out of it, since getters hand out functions that need no `this`.
 *
 * Invariant: nothing is made before it is touched: a reconciler that only looks at `object` pays for nothing else.
 */
import { InvalidError, isInvalid } from '../schemas/index.js';
import type { AnyDefinition, CachedOf, DeepReadonly, InputOf, ObjectKey, ResourceOf, UnknownResource } from '../schemas/index.js';
import { repo } from '../store/index.js';
import type { Clock, Deps, Logger, Repo, Store, Transaction } from '../store/index.js';
import type { Lister } from '../informer/index.js';
import { bindStore } from './bound-store.js';
import type { Cause } from './causes.js';
import { formatKey, parseKey } from './keys.js';
import { alreadyOwned, withController, type Ownable } from './owners.js';
import type { CollectedEvent } from './recorder.js';
import type { Run } from './run.js';
import type { ReconcileContext } from './types.js';

/** What contexts need of their controller. */
export interface ContextHost {
  readonly name: string;
  readonly definition: AnyDefinition;
  readonly deps: Deps;
  readonly store: Store;
  readonly logger: Logger;
  /** The cache of a declared type, or undefined. */
  cache(type: string): Lister<DeepReadonly<UnknownResource>> | undefined;
  /** The cached objects of an owned type that `uid` controls; undefined for a type that is not owned. */
  controlled(type: string, uid: string): readonly DeepReadonly<UnknownResource>[] | undefined;
  /** Hands an event to the recorder. */
  record(run: Run, event: CollectedEvent): void;
  /** For the hint: the types that may be listed. */
  readonly declared: readonly string[];
}

/** Makes the context of a run. */
export function createContext(host: ContextHost, run: Run, transaction?: Transaction): ReconcileContext {
  return new RunContext(host, run, transaction);
}

class RunContext implements ReconcileContext {
  readonly #host: ContextHost;
  readonly #run: Run;
  readonly #transaction: Transaction | undefined;
  readonly object: DeepReadonly<UnknownResource>;
  #store: Store | undefined = undefined;
  #log: Logger | undefined = undefined;

  constructor(host: ContextHost, run: Run, transaction: Transaction | undefined) {
    this.#host = host;
    this.#run = run;
    this.#transaction = transaction;
    this.object = run.object as DeepReadonly<UnknownResource>;
  }

  get key(): ObjectKey {
    return parseKey(this.#run.key);
  }
  get attempt(): number {
    return this.#run.attempt;
  }
  get causes(): readonly Cause[] {
    return this.#run.causes;
  }
  get clock(): Clock {
    return this.#host.deps.clock;
  }
  get deps(): Deps {
    return this.#host.deps;
  }
  get reconcileId(): string {
    return this.#run.id;
  }
  get signal(): AbortSignal {
    return this.#run.signal;
  }
  get log(): Logger {
    const run = this.#run;
    this.#log ??= this.#host.logger.child({ key: run.key, reconcileID: run.id });
    return this.#log;
  }
  get store(): Store {
    this.#store ??= bindStore(this.#host.store, this.#run, this.#transaction);
    return this.#store;
  }
  get repo(): <T extends AnyDefinition>(definition: T) => Repo<T> {
    return (definition) => repo(this.store, definition);
  }

  get lister(): <T extends AnyDefinition>(definition: T) => Lister<CachedOf<T>> {
    return <T extends AnyDefinition>(definition: T) => {
      const cache = this.#host.cache(definition.type);
      if (cache === undefined) throw undeclared(this.#host, definition, `add ${definition.kind} to owns, watches or reads`);
      return cache;
    };
  }

  get children(): <T extends AnyDefinition>(definition: T) => readonly CachedOf<T>[] {
    return <T extends AnyDefinition>(definition: T) => {
      const children = this.#host.controlled(definition.type, this.object.metadata.uid);
      if (children === undefined) throw undeclared(this.#host, definition, `add ${definition.kind} to owns`);
      return children;
    };
  }

  get ensure(): <T extends AnyDefinition>(definition: T, resource: InputOf<T>) => Promise<ResourceOf<T>> {
    return (definition, resource) => this.#ensure(definition, resource);
  }

  async #ensure<T extends AnyDefinition>(definition: T, resource: InputOf<T>): Promise<ResourceOf<T>> {
    const owner = this.object;
    const child = withController<Ownable>({ owner, ownerDefinition: this.#host.definition, child: resource, childDefinition: definition });
    const { namespace, name } = child.metadata ?? {};
    if (name === undefined || name === '') {
      throw new InvalidError(`ensure of a ${definition.type} needs metadata.name: a generated name would make another child on each run`, {
        causes: [{ reason: 'FieldValueRequired', field: 'metadata.name', message: 'give the child a name that follows from its owner' }],
      });
    }
    const key = formatKey({ namespace, name });
    const cached = this.#host.cache(definition.type)?.get(key);
    if (cached !== undefined) this.#refuseOther(definition, key, cached);
    this.#run.collectEnsured(`${definition.type}/${key}`);
    const target = this.repo(definition);
    try {
      return (await target.ensure(child as InputOf<T>)).resource;
    } catch (error) {
      // Someone else may have come between: then say who, rather than that two references are invalid.
      if (isInvalid(error) && error.causes.some((cause) => cause.field.includes('ownerReferences'))) {
        const live = await target.find({ namespace, name });
        if (live !== undefined) this.#refuseOther(definition, key, live);
      }
      throw error;
    }
  }

  #refuseOther(definition: AnyDefinition, key: string, child: Ownable): void {
    const { uid } = this.object.metadata;
    const other = child.metadata?.ownerReferences?.find((reference) => reference.controller === true && reference.uid !== uid);
    if (other !== undefined) throw alreadyOwned(`${definition.type} ${key}`, other);
  }

  get status(): ReconcileContext['status'] {
    return (partial) => this.#run.collectStatus(partial);
  }
  get condition(): ReconcileContext['condition'] {
    return (type, status, why) => this.#run.collectCondition({ type, status, reason: why?.reason, message: why?.message });
  }
  get event(): ReconcileContext['event'] {
    return (type, reason, note = '') => {
      const run = this.#run;
      if (run.revoked !== undefined) {
        this.log.debug({ reason }, `an event was dropped: ${run.revoked}`);
        return;
      }
      const event = { type, reason, note };
      // What a transaction may still undo is told when it is done.
      if (this.#transaction === undefined) this.#host.record(run, event);
      else run.collectEvent(event);
    };
  }
}

function undeclared(host: ContextHost, definition: AnyDefinition, hint: string): InvalidError {
  return new InvalidError(
    `controller ${host.name} did not declare ${definition.type}, so it has no cache of it: ${hint}, or read it through repo (declared: ${host.declared.join(', ')})`,
    { causes: [{ reason: 'FieldValueNotFound', field: 'definition', message: `${definition.type} is not declared` }] },
  );
}
