/**
 * Why a key runs: the records that travel with it through the queue.
 *
 * Invariants: advisory only (the reconciler reads the present state whatever woke it); cheap to make, since one is made
 * for each event: the field diff is computed when somebody looks. Values never appear, only paths.
 */
import { diffPaths } from '../schemas/index.js';

/** Where a change came from: the controller's own type, one it owns, or one it watches. */
export type ChangeSource = 'for' | 'owns' | 'watches';
export type ChangeType = 'existing' | 'created' | 'updated' | 'deleted' | 'resync';

interface Versioned {
  readonly metadata: {
    readonly namespace?: string | undefined;
    readonly name: string;
    readonly resourceVersion: string;
    readonly deletionTimestamp?: string | undefined;
  };
}

/** How many paths of a field diff are told. */
const MAX_FIELDS = 8;
const none: readonly string[] = Object.freeze([]);

/** A change of an object. */
export class ChangeCause {
  readonly kind = 'change';
  readonly via: ChangeSource;
  readonly change: ChangeType;
  /** The exact type name of the changed object. */
  readonly type: string;
  #object: Versioned;
  #previous: Versioned | undefined;
  /** Of a deletion that was seen. */
  readonly #deletedAt: string | undefined;
  #fields: readonly string[] | undefined = undefined;

  constructor(via: ChangeSource, change: ChangeType, type: string, object: Versioned, previous?: Versioned, deletedAt?: string) {
    this.via = via;
    this.change = change;
    this.type = type;
    this.#object = object;
    this.#previous = previous;
    this.#deletedAt = deletedAt;
  }

  get namespace(): string | undefined {
    return this.#object.metadata.namespace;
  }
  get name(): string {
    return this.#object.metadata.name;
  }
  /** The revision of the change; for a deletion that was not seen that of the last state. */
  get revision(): string {
    return this.#deletedAt ?? this.#object.metadata.resourceVersion;
  }
  /** Whether the update marked the object for deletion. */
  get marksDeletion(): boolean {
    return this.#previous !== undefined && this.#object.metadata.deletionTimestamp !== this.#previous.metadata.deletionTimestamp;
  }
  /** The paths that differ, the first eight; bookkeeping of the store left out. Empty but for updates. */
  get fields(): readonly string[] {
    if (this.#fields !== undefined) return this.#fields;
    if (this.#previous === undefined || this.#previous === this.#object) return none;
    return diffPaths(this.#previous, this.#object, MAX_FIELDS + 2)
      .filter((path) => path !== 'metadata.resourceVersion' && path !== 'metadata.generation')
      .slice(0, MAX_FIELDS);
  }
  /** Lets go of the objects: what is told of them is kept, as a few words. */
  settle(): void {
    if (this.#fields !== undefined) return;
    this.#fields = this.fields;
    this.#previous = undefined;
    const { namespace, name, resourceVersion } = this.#object.metadata;
    this.#object = { metadata: { namespace, name, resourceVersion } };
  }
  toJSON(): Record<string, unknown> {
    const { kind, via, change, type, namespace, name, revision, fields } = this;
    return {
      kind,
      via,
      change,
      type,
      ...(namespace === undefined ? {} : { namespace }),
      name,
      revision,
      ...(fields.length === 0 ? {} : { fields }),
    };
  }
}

/** The time asked for by `requeueAfter` came. */
export interface TimerCause {
  readonly kind: 'timer';
  readonly afterMs: number;
}
/** The last run failed. */
export interface RetryCause {
  readonly kind: 'retry';
  readonly error: string;
  readonly failures: number;
}
/** The last run lost a race and is run again on what is there now. */
export interface ConflictCause {
  readonly kind: 'conflict';
  readonly revision: string | undefined;
}
/** A source of the user's own, or `manager.enqueue`. */
export interface PushCause {
  readonly kind: 'push';
  readonly source: string;
  readonly reason?: string | undefined;
}
/** It was paused when it changed, and is no more. */
export interface ResumeCause {
  readonly kind: 'resume';
}

/** Why a run took place. */
export type Cause = ChangeCause | TimerCause | RetryCause | ConflictCause | PushCause | ResumeCause;

/** One line for people: `updated instance prod/web-1 at 17 (status.phase)`. */
export function describeCause(cause: Cause): string {
  switch (cause.kind) {
    case 'change': {
      const where = cause.namespace === undefined ? cause.name : `${cause.namespace}/${cause.name}`;
      const fields = cause.fields;
      return `${cause.change} ${cause.type} ${where} at ${cause.revision}${fields.length === 0 ? '' : ` (${fields.join(', ')})`}`;
    }
    case 'timer':
      return `requeueAfter of ${cause.afterMs} ms`;
    case 'retry':
      return `retry ${cause.failures} after: ${cause.error}`;
    case 'conflict':
      return `a conflict${cause.revision === undefined ? '' : ` lost to revision ${cause.revision}`}`;
    case 'push':
      return `pushed by ${cause.source}${cause.reason === undefined ? '' : `: ${cause.reason}`}`;
    case 'resume':
      return 'no longer paused';
    default:
      return cause satisfies never;
  }
}
