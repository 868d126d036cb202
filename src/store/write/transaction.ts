/**
 * Transactions: the callback reads the newest state plus its own writes; what it read is checked when it is planned and
 * again inside the engine's commit, so the result is as if it had run alone.
 *
 * Invariants: a read that no longer fits an earlier one ends the run at once (the callback never computes on a mix of two
 * states); one key makes one write and one event, the net of what the callback did; runs after a conflict go one at a
 * time, each on top of the one before, so that contention costs linear work.
 */
import { ConflictError, ForbiddenError, TooLargeError, cloneJson, isExpired } from '../../schemas/index.js';
import type { Key, Prefix } from '../engine.js';
import { Form, UnopenedForm } from '../form.js';
import { keyId, prefixId } from '../keys.js';
import type { SharedItem } from '../read/reader.js';
import type { TypeInfo, TypeRegistry } from '../registry.js';
import type { FailedItem, WriteReceipt } from '../types.js';
import type { Decision, Operation } from './operation.js';
import type { Mutation } from './mutations.js';
import { notFound } from './mutations.js';
import { sameObject, stampRevision } from './rules.js';
import type { Stored } from './rules.js';
import { isUnder } from './states.js';
import type { KeyState, Origin, Planned, PlannedExpect, PlannedWrite, States } from './states.js';
import { fillReceipt } from './writer.js';
import type { Seen, Writer } from './writer.js';

/** Ends a run whose reads no longer hold; never reaches callers. */
export class Restart extends Error {
  override readonly name = 'Restart';
}

export interface TransactionHost {
  readonly states: States;
  readonly writer: Writer;
  readonly registry: Pick<TypeRegistry, 'found'>;
  visible(): number;
  read(key: Key): Promise<KeyState>;
  /** Everything under a prefix at a visible revision, as shared forms. */
  readRange(prefix: Prefix, revision: number): Promise<readonly SharedItem[]>;
  /** Resolves when what is visible has not been compacted. */
  caughtUp(): Promise<void>;
  readonly limits: { readonly operations: number; readonly bytes: number };
}

interface Local {
  readonly info: TypeInfo;
  readonly state: KeyState;
  /** What there is as of this transaction. */
  seen: Seen;
  dirty: boolean;
}

/** What a transaction lists. */
export interface Listed {
  readonly items: Stored[];
  readonly failed: readonly FailedItem[];
}

/** One run of a transaction's callback. */
export class TransactionRun {
  readonly #host: TransactionHost;
  readonly #source: string | undefined;
  readonly #locals = new Map<string, Local>();
  readonly #reads = new Map<string, KeyState>();
  readonly #ranges: { readonly prefix: Prefix; readonly id: string; readonly since: number | Planned; readonly last: number | Planned }[] =
    [];
  /** A key for each request that was under way when a list showed what it makes: all of them have to happen, not only the last. */
  readonly #shown = new Map<Planned, Key>();
  readonly #pinned: string[] = [];
  #open = true;
  /** How often changes had been missed when it began. */
  readonly #jumps: number;
  /** The epoch of the states at which everything read so far still held. */
  #checked = -1;

  constructor(host: TransactionHost, source: string | undefined) {
    this.#host = host;
    this.#source = source;
    this.#jumps = host.states.jumps;
  }

  get open(): boolean {
    return this.#open;
  }

  close(): void {
    this.#open = false;
  }

  /** The outcome is known: what was read need not be followed any more. */
  release(): void {
    for (const id of this.#pinned.splice(0)) this.#host.states.unpin(id);
  }

  /** True when something that was read has changed since. */
  get stale(): boolean {
    const { states } = this.#host;
    // Without this a transaction of n reads would compare n * n of them.
    if (this.#checked === states.epoch) return false;
    if (this.#jumps !== states.jumps) return true;
    for (const [id, read] of this.#reads) if (this.#moved(id, read)) return true;
    for (const origin of this.#shown.keys()) if (origin.state === 'failed') return true;
    if (this.#ranges.some((range) => !sameOrigin(range.last, states.lastChange(range.id)))) return true;
    this.#checked = states.epoch;
    return false;
  }

  #moved(id: string, read: KeyState): boolean {
    const known = this.#host.states.known(id);
    if (known !== undefined && !sameOrigin(read.origin, known.origin)) return true;
    return typeof read.origin === 'object' && read.origin.state === 'failed';
  }

  async read(info: TypeInfo, key: Key): Promise<Stored> {
    const local = await this.#local(info, key);
    const { seen } = local;
    if (seen.object === undefined) throw notFound({ key });
    if (seen.error !== undefined) throw seen.error;
    const object = cloneJson(seen.object);
    if (!local.dirty && typeof local.state.origin === 'number') stampRevision(object, local.state.origin);
    return object;
  }

  async write(info: TypeInfo, key: Key, mutation: Mutation): Promise<Stored> {
    const local = await this.#local(info, key);
    const space = local.seen.object === undefined ? await this.#namespace(key) : undefined;
    const revision = !local.dirty && typeof local.state.origin === 'number' ? local.state.origin : undefined;
    const before = local.seen.object;
    const effect = this.#host.writer.effect(info, key, mutation, local.seen, revision);
    switch (effect.type) {
      case 'same':
        return cloneJson(before!);
      case 'remove':
        local.seen = { object: undefined, error: undefined };
        local.dirty = true;
        return cloneJson(before!);
      case 'put':
        if (before === undefined) this.#host.writer.admit(key, space?.seen.object);
        local.seen = { object: effect.next, error: undefined };
        local.dirty = true;
        return cloneJson(effect.next);
      default:
        throw new Error(`unknown effect ${String(effect satisfies never)}`);
    }
  }

  /** All objects under a prefix, own writes included, in key order, as plain values the caller may change, and those that cannot be opened. */
  async list(info: TypeInfo, namespace: string | undefined): Promise<Listed> {
    this.checkOpen();
    const prefix: Prefix = { type: info.type, namespace };
    const { states } = this.#host;
    const id = prefixId(prefix);
    const since = this.#host.visible();
    const last = states.lastChange(id);
    const tentative = states.tentativeUnder(prefix);
    this.#ranges.push({ prefix, id, since: typeof last === 'object' ? last : Math.max(since, last), last });
    const found = new Map<string, { readonly key: Key; readonly form: Form | undefined }>();
    for (const { key, object, error } of await this.#readRange(prefix, since))
      found.set(keyId(key), { key, form: error === undefined ? new Form(object) : new UnopenedForm(object, error) });
    for (const state of tentative) {
      found.set(state.id, state);
      if (typeof state.origin === 'object') this.#shown.set(state.origin, state.key);
    }
    if (this.stale) throw new Restart();
    const seen = new Map<string, { readonly key: Key; readonly seen: Seen }>();
    for (const [each, { key, form }] of found) seen.set(each, { key, seen: this.#host.writer.seen(info, form) });
    for (const [each, local] of this.#locals)
      if (local.dirty && isUnder(local.state.key, prefix)) seen.set(each, { key: local.state.key, seen: local.seen });
    const items: Stored[] = [];
    const failed: FailedItem[] = [];
    for (const [, { key, seen: one }] of [...seen].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (one.error !== undefined) failed.push({ namespace: key.namespace, name: key.name, error: one.error });
      else if (one.object !== undefined) items.push(cloneJson(one.object));
    }
    return { items, failed };
  }

  async #readRange(prefix: Prefix, since: number): ReturnType<TransactionHost['readRange']> {
    try {
      return await this.#host.readRange(prefix, since);
    } catch (error) {
      if (!isExpired(error)) throw error;
      await this.#host.caughtUp();
      throw new Restart();
    }
  }

  /** The run as one request; `planned` is told when it has its place in line. `discard`: the reads are checked, nothing is written. */
  operation<R>(
    value: R,
    options: { readonly planned: () => void; readonly discard: boolean; readonly receipt: WriteReceipt | undefined },
  ): Operation<R> {
    const tell = (revision?: number): R => {
      if (options.receipt !== undefined) fillReceipt(options.receipt, revision);
      return value;
    };
    return {
      keys: [],
      conflicted: () => new Restart(),
      plan: (): Decision<R> => {
        if (this.stale) throw new Restart();
        const writes: PlannedWrite[] = [];
        let bytes = 0;
        for (const local of options.discard ? [] : this.#locals.values()) {
          if (!local.dirty) continue;
          // What it computed may rest on another idea of what is sealed.
          if (!this.#host.writer.isInForce(local.info)) throw new Restart();
          const { object } = local.seen;
          const before = this.#host.writer.seen(local.info, local.state.form);
          const isSame =
            object === undefined || before.object === undefined
              ? object === before.object
              : before.error === undefined && sameObject(object, before.object);
          if (isSame) continue;
          const write = this.#host.writer.draft(local.info, local.state, object, this.#source);
          bytes += write.write.value?.length ?? 0;
          writes.push(write);
        }
        const { limits } = this.#host;
        if (writes.length > limits.operations)
          throw new TooLargeError(
            `the transaction writes ${writes.length} objects, more than the ${limits.operations} that fit in one commit: split it`,
          );
        if (bytes > limits.bytes)
          throw new TooLargeError(`the transaction writes ${bytes} bytes, more than the ${limits.bytes} that fit in one commit: split it`);
        options.planned();
        const origins: Origin[] = [...this.#shown.keys()];
        for (const read of this.#reads.values()) origins.push(read.origin);
        for (const range of this.#ranges) if (typeof range.since === 'object') origins.push(range.since);
        if (writes.length === 0) return { type: 'done', value: tell, dependsOn: origins };
        const expect: PlannedExpect[] = [...this.#reads.values()].map((read) => ({ key: read.key, origin: read.origin }));
        for (const range of this.#ranges) expect.push({ prefix: range.prefix, since: range.since });
        for (const [origin, key] of this.#shown) expect.push({ key, origin });
        return { type: 'write', writes, expect, value: tell };
      },
    };
  }

  /** The namespace that something is about to be made in: read as everything else is, so that what this transaction did to it counts, and what others do. */
  async #namespace({ namespace }: Key): Promise<Local | undefined> {
    if (namespace === '') return undefined;
    return this.#local(this.#host.registry.found('namespace'), { type: 'namespace', namespace: '', name: namespace });
  }

  async #local(info: TypeInfo, key: Key): Promise<Local> {
    this.checkOpen();
    const id = keyId(key);
    const local = this.#locals.get(id);
    if (local !== undefined) return local;
    this.#host.states.pin(id);
    this.#pinned.push(id);
    const state = await this.#host.read(key);
    if (this.stale || this.#moved(id, state)) throw new Restart();
    const again = this.#locals.get(id);
    if (again !== undefined) return again;
    this.#reads.set(id, state);
    const fresh: Local = { info, state, seen: this.#host.writer.seen(info, state.form), dirty: false };
    this.#locals.set(id, fresh);
    return fresh;
  }

  checkOpen(): void {
    if (!this.#open)
      throw new ForbiddenError('the transaction has ended: use its verbs only before its callback has returned (did you forget an await?)');
  }
}

/** @throws {ConflictError} after the last run. */
export function conflictAfter(attempts: number): ConflictError {
  return new ConflictError(
    `the transaction met conflicting writes in each of ${attempts} runs: run it again later, or make it touch fewer objects`,
  );
}

function sameOrigin(read: number | 'absent' | Planned, now: number | 'absent' | Planned): boolean {
  if (read === now) return true;
  // What was under way when it was read is durable by now, and still the newest.
  if (typeof read === 'object' && read.state === 'committed')
    return now === read.revision || (now === 'absent' && read.writes.some(({ write }) => write.value === undefined));
  return false;
}
