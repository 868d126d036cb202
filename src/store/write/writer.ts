/**
 * Turns mutations into writes: plain values in, encoded and indexed writes out, checked against the limits.
 *
 * Invariant: this is the only place that makes a `Write`, so sealing, size limits, index entries and stamps hold on every path.
 */
import { cloneJson } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import type { IndexEntry, Key, Verb } from '../engine.js';
import { indexEntries } from '../field-indexes.js';
import { unopened } from '../form.js';
import type { Form } from '../form.js';
import type { ObjectCodec } from '../object-codec.js';
import type { TypeInfo } from '../registry.js';
import type { WriteOptions, WriteReceipt } from '../types.js';
import type { Decision, Operation } from './operation.js';
import { remove } from './mutations.js';
import type { Effect, Mutation } from './mutations.js';
import { checkNamespace, checkSize, stampRevision } from './rules.js';
import type { Stored, Subject } from './rules.js';
import type { KeyState, Origin, PlannedWrite } from './states.js';

/** A namespace object, and where its state comes from: what is made in it rests on that. */
export interface Namespace {
  readonly key: Key;
  readonly origin: Origin;
  readonly form: Form;
}

export interface WriterHost {
  readonly deps: Deps;
  readonly codec: ObjectCodec;
  readonly strictNamespaces: boolean;
  /** The info to write by, in the place of one that was resolved before. @throws when the type may not be written by now */
  inForce(info: TypeInfo): TypeInfo;
  /** Whether what is written is kept decoded, instead of being decoded again once somebody looks at it. */
  keeps(): boolean;
  /** Whether anybody watches. */
  followed(): boolean;
  /** The newest state of a namespace, as far as it takes no read; undefined: there is none. */
  namespace(name: string): Namespace | undefined;
  readonly scopeOf: Subject['scopeOf'];
}

/** What a mutation is given of a state. */
export interface Seen {
  /** Plain values; of what cannot be opened, what is known without. undefined: there is nothing. */
  readonly object: Stored | undefined;
  /** Why it cannot be opened. */
  readonly error: Error | undefined;
}

const NONE: readonly IndexEntry[] = [];

export class Writer {
  readonly #host: WriterHost;
  readonly #uuid: () => string;
  readonly #scopeOf: Subject['scopeOf'];
  #moment = { ms: Number.NaN, text: '' };

  constructor(host: WriterHost) {
    this.#host = host;
    this.#uuid = () => host.deps.ids.uuid();
    this.#scopeOf = host.scopeOf;
  }

  subject(info: TypeInfo, key: Key): Subject {
    const ms = this.#host.deps.clock.now();
    // Many writes share a millisecond, and formatting one costs as much as a small encode.
    if (ms !== this.#moment.ms) this.#moment = { ms, text: new Date(ms).toISOString() };
    return { info, key, now: this.#moment.text, uuid: this.#uuid, scopeOf: this.#scopeOf };
  }

  /** Whether an info that was resolved before still says how to write. @throws when the type may not be written by now */
  isInForce(info: TypeInfo): boolean {
    return this.#host.inForce(info) === info;
  }

  /** What can be seen of a state; the caller must not change it. */
  seen(info: TypeInfo, form: Form | undefined): Seen {
    if (form === undefined) return { object: undefined, error: undefined };
    const { glimpse, error } = form;
    if (error !== undefined || info.sensitivePaths.length === 0) return { object: glimpse, error };
    try {
      return { object: this.#host.codec.reveal(info, glimpse), error };
    } catch (thrown) {
      return { object: glimpse, error: unopened(thrown) };
    }
  }

  /** Runs a mutation; what it makes has to be admitted to its namespace. @throws why the object cannot be opened, where that is needed */
  effect(info: TypeInfo, key: Key, mutation: Mutation, { object, error }: Seen, revision: number | undefined): Effect {
    if (error !== undefined && mutation.unopened !== true) throw error;
    const effect = mutation(this.subject(info, key), object, revision);
    // What cannot be opened cannot be written again: it goes at once, and no finalizer is waited for.
    return error === undefined ? effect : remove;
  }

  /** Whether an object may be made in its namespace, given that. @throws {ForbiddenError} */
  admit(key: Key, namespace: Stored | undefined): void {
    if (key.namespace !== '') checkNamespace(key, namespace, this.#host.strictNamespaces);
  }

  /** The write that takes a key from its state to `next` (undefined: removed). */
  draft(info: TypeInfo, state: KeyState, next: Stored | undefined, source: string | undefined): PlannedWrite {
    const { id, key, form: previous } = state;
    const time = this.#host.deps.clock.now();
    const version = state.version + 1;
    if (next === undefined) {
      const before = previous!.glimpse;
      return {
        id,
        write: {
          key,
          value: undefined,
          meta: { verb: 'delete', uid: before.metadata.uid, generation: before.metadata.generation, time, source },
          removeIndex: indexEntries(info.indexes, before),
        },
        form: undefined,
        previous,
        version,
      };
    }
    const { uid, generation } = next.metadata;
    const followed = this.#host.followed();
    const keep = followed || this.#host.keeps();
    const { value, form } = this.#host.codec.encode(info, { key, uid, version }, next, { keep });
    checkSize(info, key, value.length);
    const decoded = keep ? form.glimpse : undefined;
    if (followed) form.prepare();
    const verb: Verb = previous === undefined ? 'create' : 'update';
    const after = indexEntries(info.indexes, next);
    if (previous === undefined) {
      return {
        id,
        write: { key, value, meta: { verb, uid, generation, time, source }, addIndex: after, decoded },
        form,
        previous,
        version,
      };
    }
    // Without owners and declared fields the uid is the one entry.
    const before =
      after.length === 1 && info.indexes.length === 0 && hasOnlyUid(previous, uid) ? after : indexEntries(info.indexes, previous.glimpse);
    const added = before === after ? NONE : missingFrom(after, before);
    const removed = before === after ? NONE : missingFrom(before, after);
    return {
      id,
      write: {
        key,
        value,
        meta: { verb, uid, generation, time, source },
        ...(added.length === 0 ? {} : { addIndex: added }),
        ...(removed.length === 0 ? {} : { removeIndex: removed }),
        decoded,
      },
      form,
      // Nobody is to hear of it: what waits for the disk holds on to one object, not two.
      previous: keep ? previous : undefined,
      version,
    };
  }

  /** A plain write of one object as an operation of the commit queue. */
  operation(
    resolved: TypeInfo,
    key: Key,
    mutation: Mutation,
    options: Pick<WriteOptions, 'source' | 'dryRun' | 'receipt'>,
  ): Operation<Stored> {
    const { receipt } = options;
    return {
      keys: [key],
      // A dry run commits nothing that would find out.
      expectsNothing: mutation.creates === true && options.dryRun !== true,
      plan: (states): Decision<Stored> => {
        const info = this.#host.inForce(resolved);
        const state = states[0]!;
        const revision = typeof state.origin === 'number' ? state.origin : undefined;
        const previous = this.seen(info, state.form);
        const effect = this.effect(info, key, mutation, previous, revision);
        switch (effect.type) {
          case 'same':
            // Made when it is told: by then the state it rests on has its revision.
            return {
              type: 'done',
              value: () => {
                if (receipt !== undefined) fillReceipt(receipt, undefined);
                return cloneJson(this.seen(info, state.form).object!);
              },
            };
          case 'remove': {
            if (options.dryRun === true) return { type: 'done', value: () => cloneJson(previous.object!) };
            const write = this.draft(info, state, undefined, options.source);
            return {
              type: 'write',
              writes: [write],
              value: (revision) => {
                if (receipt !== undefined) fillReceipt(receipt, revision);
                return cloneJson(this.seen(info, write.previous).object!);
              },
            };
          }
          case 'put': {
            const space = previous.object === undefined && key.namespace !== '' ? this.#host.namespace(key.namespace) : undefined;
            if (previous.object === undefined) this.admit(key, space?.form.glimpse);
            const write = this.draft(info, state, effect.next, options.source);
            if (options.dryRun === true) {
              return {
                type: 'done',
                value: () =>
                  withRevision(cloneJson(effect.next), typeof state.origin === 'object' ? state.origin.revision : (revision ?? 0)),
              };
            }
            // The caller gets the object itself where nobody else has it.
            const own = mutation.owns === true && write.write.decoded === undefined;
            return {
              type: 'write',
              writes: [write],
              // It is only made if its namespace still is as it was looked at: other processes write too.
              expect: space && [space],
              value: (revision) => {
                if (receipt !== undefined) fillReceipt(receipt, revision);
                return withRevision(own ? effect.next : cloneJson(effect.next), revision);
              },
            };
          }
          default:
            throw new Error(`unknown effect ${String(effect satisfies never)}`);
        }
      },
    };
  }
}

/** Says what a write made; undefined: nothing. One that is frozen stays as it is: nothing may throw in the committing turn. */
export function fillReceipt(receipt: WriteReceipt, revision: number | undefined): void {
  Reflect.set(receipt, 'revision', revision === undefined ? null : String(revision));
}

function withRevision(object: Stored, revision: number): Stored {
  stampRevision(object, revision);
  return object;
}

/** Whether this uid was its one entry: a transaction may put another object in its place. */
function hasOnlyUid({ glimpse: { metadata } }: Form, uid: string): boolean {
  return metadata.uid === uid && metadata.ownerReferences === undefined;
}

function missingFrom(entries: readonly IndexEntry[], others: readonly IndexEntry[]): readonly IndexEntry[] {
  return entries.filter((entry) => !others.some((other) => other.index === entry.index && other.value === entry.value));
}
