/**
 * Wires a controller to its informers: handlers that only enqueue.
 *
 * Invariants: nothing is decided here but which keys an event wakes; a predicate or map that throws loses no wake-up (a
 * throwing predicate counts as true, a throwing map is tried again). What exists at the start wakes its own key alone:
 * every object of `for` runs once then anyway, so children and watched objects need not wake it a second time.
 */
import { InvalidError } from '../schemas/index.js';
import type { AnyDefinition, CachedOf, DeepReadonly, UnknownResource } from '../schemas/index.js';
import type { Deps, LabelSelectorInput, Logger, Timer } from '../store/index.js';
import type { HandlerHandle, Informer, InformerHandler, Informers } from '../informer/index.js';
import { ChangeCause, type Cause, type ChangeType } from './causes.js';
import { controllerDefaults } from './defaults.js';
import { checkKey, formatKey, keyOf } from './keys.js';
import { controllerOf, eachOwnerKey } from './owners.js';
import { pauseChanged } from './pause.js';
import type { Predicate } from './predicates.js';
import type { ControllerDefinition, MapContext, MapResult, OwnSpec, WatchSpec } from './types.js';

/** An object as informers hold it. */
export type CachedObject = DeepReadonly<UnknownResource>;
/** A declared type's informer, whatever the type. */
export type AnyInformer = Informer<AnyDefinition, string, CachedObject>;

/** The index of owned types: by the uid of the controlling owner. */
export const CONTROLLER_INDEX = 'rune.dev/controller';

/** Takes what the sources find. */
export interface WakeSink {
  /** Wakes a key; `revision` is that of the change. */
  wake(key: string, cause: Cause, options: { readonly priority: number; readonly revision: string }): void;
  /** An update of an object of `for` that counts for nothing by `where`. */
  passedOver(object: CachedObject): void;
}

/** What wiring needs. */
export interface WiringOptions {
  readonly definition: ControllerDefinition;
  readonly informers: Informers;
  readonly deps: Deps;
  readonly logger: Logger;
  readonly sink: WakeSink;
}

/** A change of a watched object. */
interface WatchedEvent {
  readonly change: ChangeType;
  readonly object: CachedObject;
  readonly previous?: CachedObject | undefined;
  /** Of a deletion that was seen: its revision. */
  readonly deletedAt?: string | undefined;
}

/** The informers of one controller and its handlers on them. */
export class Wiring {
  readonly #definition: ControllerDefinition;
  readonly #options: WiringOptions;
  readonly #handles: { readonly what: string; readonly handle: HandlerHandle }[] = [];
  readonly #retries = new Set<Timer>();
  readonly #controlled = new Map<string, AnyInformer>();
  /** By type, the one that is read: one that holds all objects where one is declared, otherwise the first declared. */
  readonly caches = new Map<string, AnyInformer>();
  /** The types whose cache holds all objects. */
  readonly #whole = new Set<string>();
  /** All of them. */
  readonly informers: AnyInformer[] = [];
  readonly primary: AnyInformer;
  readonly #mapContext: MapContext = {
    lister: <T extends AnyDefinition>(definition: T) => {
      const cache = this.caches.get(definition.type);
      if (cache === undefined)
        throw new InvalidError(`controller ${this.#definition.name} does not read ${definition.type}: add it to owns, watches or reads`);
      return cache;
    },
  };
  #closed = false;

  constructor(options: WiringOptions) {
    this.#options = options;
    const { definition, informers } = options;
    this.#definition = definition;
    const { namespace, labelSelector } = definition;
    const within = (resource: AnyDefinition): string | undefined => (resource.scope === 'Namespaced' ? namespace : undefined);
    this.primary = this.#keep(informers.for(definition.for, { namespace: within(definition.for), labelSelector }), labelSelector);
    for (const { resource } of definition.owns) {
      const informer = informers.for(resource, {
        namespace: within(resource),
        indexes: { [CONTROLLER_INDEX]: (object: CachedOf<AnyDefinition>) => controllerOf(object)?.uid },
      });
      this.#controlled.set(resource.type, this.#keep(informer, undefined));
    }
    for (const { resource, namespace: where, labelSelector: labels } of definition.watches) {
      this.#keep(informers.for(resource, { namespace: where, labelSelector: labels }), labels);
    }
    // To read a type is to read all of it, whatever part of it is watched.
    for (const resource of definition.reads) if (!this.#whole.has(resource.type)) this.#keep(informers.for(resource), undefined);
  }

  #keep(informer: AnyInformer, labelSelector: LabelSelectorInput | undefined): AnyInformer {
    const { type } = informer.definition;
    const whole = informer.namespace === undefined && labelSelector === undefined && !this.#whole.has(type);
    if (whole) this.#whole.add(type);
    if (whole || !this.caches.has(type)) this.caches.set(type, informer);
    this.informers.push(informer);
    return informer;
  }

  /** Adds the handlers: from now on keys are woken. */
  listen(): void {
    const { name, owns, watches, resync } = this.#definition;
    this.#listen(this.primary, this.#forHandler(), { name, resync });
    let index = 1;
    for (const own of owns) this.#listen(this.informers[index++] as AnyInformer, this.#ownHandler(own), { name });
    for (const watch of watches) this.#listen(this.informers[index++] as AnyInformer, this.#watchHandler(watch), { name });
  }

  #listen(
    informer: AnyInformer,
    handler: InformerHandler<CachedObject>,
    options: { readonly name: string; readonly resync?: number | undefined },
  ): void {
    const { type } = informer.definition;
    const handle = informer.addHandler(handler, { name: `${options.name}/${type}`, resync: options.resync });
    this.#handles.push({ what: type, handle });
  }

  /** The types whose handlers have not been fed yet. */
  get unsynced(): readonly string[] {
    const waiting = this.#handles.filter(({ handle }) => !handle.synced).map(({ what }) => what);
    for (const informer of this.informers)
      if (!informer.synced && !waiting.includes(informer.definition.type)) waiting.push(informer.definition.type);
    return waiting;
  }

  /** Resolves when every informer has synced and every handler was fed what was there. @throws {AbortedError} */
  async whenSynced(signal: AbortSignal): Promise<void> {
    await Promise.all([
      ...this.informers.map((informer) => informer.whenSynced({ signal })),
      ...this.#handles.map(({ handle }) => handle.whenSynced({ signal })),
    ]);
  }

  /** How often changes of one object were told as one: by informers that listed again, and by handlers that were behind. */
  merges(): number {
    let sum = 0;
    for (const informer of this.informers) sum += informer.relists;
    for (const { handle } of this.#handles) sum += handle.missed;
    return sum;
  }

  /** Whether changes that the caches show wait for a handler. */
  get lagging(): boolean {
    return this.#handles.some(({ handle }) => handle.lag > 0);
  }

  /** Whether a cache is older than what `waits` asks for. */
  behind(waits: ReadonlyMap<string, number> | undefined): boolean {
    if (waits === undefined) return false;
    for (const informer of this.informers) {
      const revision = wanted(waits, informer);
      if (revision !== 0 && Number(informer.resourceVersion) < revision) return true;
    }
    return false;
  }

  /** Resolves when no cache is older than what `waits` asks for. @throws {AbortedError} */
  async caughtUp(waits: ReadonlyMap<string, number>, signal: AbortSignal): Promise<void> {
    const late = this.informers.filter((informer) => Number(informer.resourceVersion) < wanted(waits, informer));
    await Promise.all(late.map((informer) => informer.caughtUp(String(wanted(waits, informer)), { signal })));
  }

  /** The cached objects of an owned type that `uid` controls; undefined for a type that is not owned. */
  controlled(type: string, uid: string): readonly CachedObject[] | undefined {
    return this.#controlled.get(type)?.byIndex(CONTROLLER_INDEX, uid);
  }

  /** Removes the handlers: no key is woken after this. */
  deafen(): void {
    this.#closed = true;
    for (const timer of this.#retries) timer.cancel();
    this.#retries.clear();
    // Not waiting: these handlers return nothing, so none is running.
    for (const { handle } of this.#handles) void handle.remove();
    this.#handles.length = 0;
  }

  async close(): Promise<void> {
    this.deafen();
    await Promise.all(this.informers.map((informer) => informer.release()));
  }

  #forHandler(): InformerHandler<CachedObject> {
    const { where, priority, for: resource } = this.#definition;
    const { type } = resource;
    const initialPriority = priority + controllerDefaults.initialPriority;
    const { sink } = this.#options;
    const wake = (change: ChangeType, object: CachedObject, previous?: CachedObject, deletedAt?: string): void => {
      const cause = new ChangeCause('for', change, type, object, previous, deletedAt);
      const low = change === 'existing' || change === 'resync';
      sink.wake(keyOf(object), cause, { priority: low ? initialPriority : priority, revision: object.metadata.resourceVersion });
    };
    return {
      onAdd: (object, { initial }) => wake(initial ? 'existing' : 'created', object),
      onUpdate: (object, previous) => {
        if (object === previous) wake('resync', object);
        else if (this.#passes(where, object, previous)) wake('updated', object, previous);
        else sink.passedOver(object);
      },
      onDelete: (last, { resourceVersion }) => wake('deleted', last, undefined, resourceVersion),
    };
  }

  #ownHandler({ resource, where, everyOwner }: OwnSpec): InformerHandler<CachedObject> {
    const { sink } = this.#options;
    const { priority } = this.#definition;
    const owner = { definition: this.#definition.for, every: everyOwner };
    const wake = (key: string, change: ChangeType, object: CachedObject, previous?: CachedObject, deletedAt?: string): void =>
      sink.wake(key, new ChangeCause('owns', change, resource.type, object, previous, deletedAt), {
        priority,
        revision: object.metadata.resourceVersion,
      });
    return {
      onAdd: (object, { initial }) => {
        if (!initial) eachOwnerKey(object, owner, (key) => wake(key, 'created', object));
      },
      onUpdate: (object, previous) => {
        if (object === previous) return;
        const sameOwners = object.metadata.ownerReferences === previous.metadata.ownerReferences;
        const keys: string[] = [];
        const collect = (key: string): void => {
          if (!keys.includes(key)) keys.push(key);
        };
        eachOwnerKey(object, owner, collect);
        const now = keys.length;
        // Who lost the object must hear of it as much as who got it.
        if (!sameOwners) eachOwnerKey(previous, owner, collect);
        if (keys.length === 0) return;
        const changedHands = keys.length !== now || (!sameOwners && gained(object, previous));
        if (changedHands || this.#passes(where, object, previous)) for (const key of keys) wake(key, 'updated', object, previous);
      },
      onDelete: (last, { resourceVersion }) => eachOwnerKey(last, owner, (key) => wake(key, 'deleted', last, undefined, resourceVersion)),
    };
  }

  #watchHandler(watch: WatchSpec): InformerHandler<CachedObject> {
    return {
      onAdd: (object, { initial }) => {
        if (!initial) this.#map(watch, { change: 'created', object });
      },
      onUpdate: (object, previous) => {
        if (object !== previous && this.#passes(watch.where, object, previous)) this.#map(watch, { change: 'updated', object, previous });
      },
      onDelete: (last, { resourceVersion }) => this.#map(watch, { change: 'deleted', object: last, deletedAt: resourceVersion }),
    };
  }

  /** Whether an update counts; a deletion mark, a new uid and a change of the pause always do. */
  #passes(where: Predicate<never> | undefined, object: CachedObject, previous: CachedObject): boolean {
    if (where === undefined) return true;
    const meta = object.metadata;
    if (
      meta.uid !== previous.metadata.uid ||
      meta.deletionTimestamp !== previous.metadata.deletionTimestamp ||
      pauseChanged(object, previous)
    )
      return true;
    try {
      return (where as unknown as Predicate<CachedObject>)({ type: 'update', object, previous });
    } catch (error) {
      this.#options.logger.error({ err: error, key: keyOf(object) }, 'a predicate threw; the update counts');
      return true;
    }
  }

  /** Calls `map` for both sides of a change, and wakes each key once. */
  #map(watch: WatchSpec, event: WatchedEvent, tries = 1): void {
    const { object, previous } = event;
    const seen = new Set<string>();
    const take = (result: MapResult): void => {
      for (const key of this.#keysOf(watch, result)) {
        if (seen.has(key)) continue;
        seen.add(key);
        this.#wakeMapped(key, watch, event);
      }
    };
    const failed = (error: unknown): void => this.#mapFailed(error, tries, watch, () => this.#map(watch, event, tries + 1), object);
    const map = watch.map as unknown as (object: CachedObject, context: MapContext) => MapResult | Promise<MapResult>;
    try {
      const results =
        previous === undefined ? [map(object, this.#mapContext)] : [map(object, this.#mapContext), map(previous, this.#mapContext)];
      for (const result of results) {
        if (result instanceof Promise) result.then(take).catch(failed);
        else take(result);
      }
    } catch (error) {
      failed(error);
    }
  }

  #keysOf(watch: WatchSpec, result: MapResult): readonly string[] {
    if (result === undefined) return [];
    const list = Array.isArray(result)
      ? (result as readonly (string | { readonly name: string })[])
      : [result as string | { readonly name: string }];
    const scope = this.#definition.for.scope;
    const what = `map of ${watch.resource.type} in controller ${this.#definition.name}`;
    return list.map((key) =>
      checkKey(typeof key === 'object' && scope === 'Cluster' ? formatKey({ name: key.name }) : key, { scope, what }),
    );
  }

  #wakeMapped(key: string, watch: WatchSpec, { change, object, previous, deletedAt }: WatchedEvent): void {
    if (this.#closed) return;
    const cause = new ChangeCause('watches', change, watch.resource.type, object, previous, deletedAt);
    this.#options.sink.wake(key, cause, { priority: this.#definition.priority, revision: object.metadata.resourceVersion });
  }

  /** A map that throws would lose a wake-up: it is tried again, a bounded number of times. */
  #mapFailed(error: unknown, tries: number, watch: WatchSpec, again: () => void, object: CachedObject): void {
    if (this.#closed) return;
    const { logger, deps } = this.#options;
    const fields = { err: error, resource: watch.resource.type, key: keyOf(object), tries };
    if (tries >= controllerDefaults.mapTries) {
      logger.error(fields, 'map threw and is given up; the keys it would have woken are not run for this change');
      return;
    }
    logger.warn(fields, 'map threw; it is tried again');
    const timer = deps.scheduler.after(controllerDefaults.mapRetryDelay * 2 ** (tries - 1), () => {
      this.#retries.delete(timer);
      again();
    });
    this.#retries.add(timer);
  }
}

function wanted(waits: ReadonlyMap<string, number>, informer: AnyInformer): number {
  return Math.max(waits.get(informer.definition.type) ?? 0, waits.get('*') ?? 0);
}

/** Whether an update gave the object an owner it did not have. */
function gained(object: CachedObject, previous: CachedObject): boolean {
  const before = previous.metadata.ownerReferences;
  return (
    object.metadata.ownerReferences?.some(
      (reference) => before?.some((other) => other.uid === reference.uid && other.controller === reference.controller) !== true,
    ) === true
  );
}
