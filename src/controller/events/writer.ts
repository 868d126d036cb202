/**
 * Writes events down, behind everybody's back.
 *
 * Invariants: `record` never waits and never throws; what cannot be kept is counted and dropped; the same event waits once,
 * with its newest count. Writes are plain (no transaction of a reconciler is touched) and are tried again a bounded number of
 * times. Events end: what has not happened for `ttl` is deleted.
 */
import { AsyncResource } from 'node:async_hooks';
import { Event, isForbidden, isInvalid, isNotFound } from '../../schemas/index.js';
import type { AnyDefinition, DeepReadonly, UnknownResource } from '../../schemas/index.js';
import { sleep } from '../../store/index.js';
import type { Deps, Logger, Store, Timer } from '../../store/index.js';
import type { CollectedEvent, EventRecorder } from '../recorder.js';
import { within, type Grace } from '../within.js';
import { Correlator, type Correlated } from './correlator.js';
import { eventDefaults } from './defaults.js';

export interface EventWriterOptions {
  readonly deps: Deps;
  readonly logger: Logger;
  /** Who reports, where several processes do. */
  readonly instance: string | undefined;
}

interface Regarding {
  readonly definition: AnyDefinition;
  readonly object: DeepReadonly<UnknownResource>;
}

interface Pending {
  readonly regarding: Regarding;
  readonly event: CollectedEvent & { readonly controller: string };
  told: Correlated;
}

/** Where cluster-scoped objects' events go. */
const CLUSTER_EVENTS = 'default';
const SUFFIX_LENGTH = 10;
const NAME_LENGTH = 253;

export class EventWriter implements EventRecorder {
  readonly #options: EventWriterOptions;
  readonly #correlator = new Correlator();
  readonly #pending = new Map<string, Pending>();
  /** Names of the events that were written, by id; the correlator's own limit bounds it. */
  readonly #names = new Map<string, { readonly namespace: string; readonly name: string }>();
  readonly #abort = new AbortController();
  /** The writer runs here, not in the async context (a transaction, say) of whoever recorded. */
  readonly #scope = new AsyncResource('rune.Events', { requireManualDestroy: true });
  #store: Store | undefined;
  #writing: Promise<void> | undefined;
  #sweeper: Timer | undefined;
  #sweeping: Promise<void> | undefined;
  #dropped = 0;
  #closed = false;

  constructor(options: EventWriterOptions) {
    this.#options = options;
  }

  /** Events that were not kept: too many at once, or not writable. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Starts to write what was and will be recorded. */
  start(store: Store): void {
    this.#store = store;
    this.#kick();
    this.#armSweep();
  }

  record(regarding: Regarding, event: CollectedEvent & { readonly controller: string }): void {
    if (this.#closed) return;
    const { definition, object } = regarding;
    const { namespace = '', name, uid } = object.metadata;
    const note = event.note.length > eventDefaults.noteLength ? `${event.note.slice(0, eventDefaults.noteLength - 1)}…` : event.note;
    const facts = { ...event, note, object: `${definition.type}/${namespace}/${name}/${uid}` };
    const told = this.#correlator.take(facts, this.#options.deps.clock.now());
    if (told === undefined) {
      this.#dropped += 1;
      return;
    }
    const waiting = this.#pending.get(told.id);
    if (waiting !== undefined) waiting.told = told;
    else if (this.#pending.size >= eventDefaults.queueSize) this.#dropped += 1;
    else this.#pending.set(told.id, { regarding, event, told });
    this.#kick();
  }

  #kick(): void {
    if (this.#writing !== undefined || this.#store === undefined || this.#pending.size === 0 || this.#closed) return;
    const store = this.#store;
    this.#writing = this.#scope
      .runInAsyncScope(() => this.#writeAll(store))
      .catch((error: unknown) => this.#options.logger.warn({ err: error }, 'events could not be written'))
      .finally(() => {
        this.#writing = undefined;
        this.#kick();
      });
  }

  async #writeAll(store: Store): Promise<void> {
    // In a later turn: what is recorded meanwhile is counted before it is written.
    await this.#options.deps.scheduler.turn();
    for (;;) {
      const [next] = this.#pending;
      if (next === undefined || this.#abort.signal.aborted) return;
      const [id, pending] = next;
      this.#pending.delete(id);
      await this.#writeOne(store, pending);
    }
  }

  async #writeOne(store: Store, pending: Pending): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#put(store, pending);
        return;
      } catch (error) {
        const hopeless = isInvalid(error) || isForbidden(error);
        if (hopeless || tries >= eventDefaults.tries || this.#abort.signal.aborted) {
          this.#dropped += 1;
          this.#options.logger.warn({ err: error, reason: pending.event.reason, tries }, 'an event could not be written and is dropped');
          return;
        }
        await sleep(this.#options.deps, eventDefaults.retryAfter, { signal: this.#abort.signal, unref: true }).catch(() => {});
      }
    }
  }

  async #put(store: Store, { regarding, event, told }: Pending): Promise<void> {
    const source = `controller/${event.controller}`;
    const lastTimestamp = new Date(told.last).toISOString();
    const there = this.#names.get(told.id);
    if (there !== undefined && told.count > 1) {
      try {
        await store.patch(
          Event,
          there.namespace,
          there.name,
          { count: told.count, note: cut(told.note), lastTimestamp },
          { type: 'merge', source },
        );
        return;
      } catch (error) {
        // Deleted meanwhile (its time was over, say): told anew.
        if (!isNotFound(error)) throw error;
      }
    }
    const { definition, object } = regarding;
    const { namespace, name, uid, resourceVersion } = object.metadata;
    const { deps, instance } = this.#options;
    const where = {
      namespace: namespace ?? CLUSTER_EVENTS,
      name: `${name.slice(0, NAME_LENGTH - SUFFIX_LENGTH - 1)}.${deps.ids.suffix(SUFFIX_LENGTH)}`,
    };
    await store.create(
      Event,
      where.namespace,
      where.name,
      {
        regarding: {
          apiVersion: definition.apiVersion,
          kind: definition.kind,
          type: definition.type,
          ...(namespace === undefined ? {} : { namespace }),
          name,
          uid,
          resourceVersion,
        },
        type: event.type,
        reason: event.reason,
        note: cut(told.note),
        reportingController: event.controller,
        ...(instance === undefined ? {} : { reportingInstance: instance }),
        count: told.count,
        firstTimestamp: new Date(told.first).toISOString(),
        lastTimestamp,
      },
      { source },
    );
    this.#remember(told.id, where);
  }

  #remember(id: string, where: { readonly namespace: string; readonly name: string }): void {
    this.#names.delete(id);
    this.#names.set(id, where);
    if (this.#names.size > eventDefaults.cacheSize) {
      const oldest = this.#names.keys().next().value as string;
      this.#names.delete(oldest);
      this.#correlator.forget(oldest);
    }
  }

  // ---- expiry

  #armSweep(): void {
    if (this.#closed) return;
    this.#sweeper = this.#options.deps.scheduler.after(eventDefaults.sweepEvery, () => this.#startSweep(), { unref: true });
  }

  #startSweep(): void {
    this.#sweeping = this.#sweep()
      .catch((error: unknown) => this.#options.logger.debug({ err: error }, 'old events could not be deleted; it is tried again'))
      .finally(() => {
        this.#sweeping = undefined;
        this.#armSweep();
      });
  }

  async #sweep(): Promise<void> {
    const store = this.#store;
    if (store === undefined) return;
    const before = this.#options.deps.clock.now() - eventDefaults.ttl;
    const { items } = await store.list(Event, undefined, {
      filter: (event) => Date.parse(event.lastTimestamp ?? event.metadata.creationTimestamp) < before,
    });
    for (const { metadata } of items) {
      if (this.#abort.signal.aborted) return;
      try {
        await store.delete(Event, metadata.namespace, metadata.name, {
          preconditions: { uid: metadata.uid, resourceVersion: metadata.resourceVersion },
          source: 'events',
        });
      } catch {
        // Gone, or it happened again.
      }
    }
  }

  /** Writes what waits, within the grace period, and stops. */
  async stop(grace: Grace): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#sweeper?.cancel();
    await within(this.#options.deps, grace, this.#writing);
    this.#abort.abort();
    // What hangs in the store is left behind: it touches nothing of ours any more.
    await within(this.#options.deps, grace, Promise.all([this.#sweeping, this.#writing]));
    this.#scope.emitDestroy();
  }
}

function cut(note: string): string {
  return note.length > eventDefaults.noteLength ? `${note.slice(0, eventDefaults.noteLength - 1)}…` : note;
}
