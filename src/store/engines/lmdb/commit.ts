/**
 * Commits. Inside one write transaction: read the end of the log, check every request in order against what is there and
 * what the requests before it would do, then put.
 *
 * Invariants: checks come before puts, for the whole batch, so that nothing can fail half way; a request that fails leaves
 * no trace. A superseded record is moved to `hist` as it is; a delete leaves a tombstone there.
 */
import { StoreError } from '../../../schemas/index.js';
import type { CommitRequest, CommitResult, Engine, Entry, Premise, Refusal } from '../../engine.js';
import { checkBatch, refusedBatch, resolveRef } from '../checks.js';
import { parseKey, REVISION_SUFFIX, revisionKey, versionKey, writeRevision } from './keys.js';
import { LogGroup, stampLogChange } from './log.js';
import { preparePremises, unmetPremise } from './meta.js';
import type { PreparedPremises } from './meta.js';
import { Planner } from './plan.js';
import type { PlannedCondition, PlannedRequest, PlannedWrite } from './plan.js';
import { PrefixChanges } from './prefix-changes.js';
import { createdOfRecord, decodeRecord, looksSound, markOfRecord, revisionOfRecord, stamp, versionOfRecord } from './record.js';
import { put, remove } from './session.js';
import type { Head, Session } from './session.js';

const NOTHING = Buffer.alloc(0);
const NO_PREMISES: readonly Premise[] = [];
const BEFORE_BYTES = 512 * 1024;

/** What is under a key, on disk or after the requests before. */
interface Current {
  readonly live: boolean;
  readonly revision: number;
  readonly created: number;
  readonly version: number;
  readonly bytes: Buffer;
}

const ABSENT: Current = { live: false, revision: 0, created: 0, version: 0, bytes: NOTHING };

/** What the puts of a batch are made from. */
interface Accepted {
  readonly request: PlannedRequest;
  readonly revision: number;
  /** What each write replaces. */
  readonly before: readonly Current[];
}

export class Committer {
  readonly #session: Session;
  readonly #limits: Engine['limits'];
  readonly #planner = new Planner();
  readonly #prefixes: PrefixChanges;
  readonly #group = new LogGroup();
  /** The premises of the last batch: the next one has the same, nearly always. */
  #premises: PreparedPremises = preparePremises([]);
  /** The premises that held at our last commit that put something, and the changes of `meta` known then. */
  #vouched: { readonly premises: PreparedPremises; readonly changes: number } | undefined;
  /** Where what a batch replaces is kept while it is put. */
  #before: Buffer = NOTHING;
  #used = 0;

  constructor(session: Session, limits: Engine['limits']) {
    this.#session = session;
    this.#limits = limits;
    this.#prefixes = new PrefixChanges(session, session.visible);
  }

  async commit(batch: readonly CommitRequest[], premises: readonly Premise[] = NO_PREMISES): Promise<readonly CommitResult[]> {
    const session = this.#session;
    session.check();
    if (session.committing) throw new StoreError('a commit is under way: an engine takes one at a time');
    const plan = this.#planner.plan(batch, checkBatch(batch, this.#limits));
    if (premises !== this.#premises.premises) this.#premises = preparePremises(premises);
    return session.exclusively(async () => {
      const { results, before, after } = await session.write(() => this.#apply(plan));
      session.noteForeign(before);
      session.advance(after);
      return results;
    });
  }

  #apply(plan: readonly (PlannedRequest | Refusal)[]): { results: CommitResult[]; before: number; after: number } {
    const own = this.#session.ownHead();
    const head = own ?? this.#session.head();
    const unmet = own !== undefined && this.#isVouched() ? undefined : unmetPremise(this.#session.tables, this.#premises);
    if (unmet !== undefined) return { results: refusedBatch(plan, unmet), before: head.revision, after: head.revision };
    this.#prefixes.catchUp(head.revision);
    this.#used = 0;
    const overlay = new Map<string, Current>();
    const revisions: (number | undefined)[] = [];
    const accepted: Accepted[] = [];
    let revision = head.revision;
    const results = plan.map((request): CommitResult => {
      if ('refused' in request) {
        revisions.push(undefined);
        return request;
      }
      const failed = this.#check(request, overlay, revisions, revision);
      if (failed !== undefined) {
        revisions.push(undefined);
        return failed;
      }
      revision++;
      revisions.push(revision);
      accepted.push({ request, revision, before: request.writes.map((write) => this.#stamp(write, request.log, overlay, revision)) });
      return { ok: true, revision };
    });
    this.#put(accepted, head);
    return { results, before: head.revision, after: revision };
  }

  #check(
    request: PlannedRequest,
    overlay: Map<string, Current>,
    revisions: readonly (number | undefined)[],
    current: number,
  ): CommitResult | undefined {
    for (const planned of request.conditions) {
      const failed = 'object' in planned ? this.#checkKey(planned, overlay, revisions) : this.#checkPrefix(planned, revisions, current);
      if (failed !== undefined) return failed;
    }
    // A delete of what is not there fails as if it had named a revision.
    const missing = request.writes.find((write) => write.deletes && !this.#current(write.text, write.object, overlay).live);
    return missing && { ok: false, failed: { key: parseKey(missing.object), revision: 0 } };
  }

  #checkKey(
    { condition, text, object }: PlannedCondition & { readonly object: Buffer },
    overlay: Map<string, Current>,
    revisions: readonly (number | undefined)[],
  ): CommitResult | undefined {
    if (!('revision' in condition)) return undefined;
    const { live, revision, bytes } = this.#current(text, object, overlay);
    const wanted = condition.revision === 'absent' ? 'absent' : resolveRef(condition.revision, revisions);
    return (live ? revision : 'absent') === wanted
      ? undefined
      : { ok: false, failed: condition, current: live ? entryOf(object, bytes) : undefined };
  }

  #checkPrefix(
    { condition, text }: PlannedCondition,
    revisions: readonly (number | undefined)[],
    current: number,
  ): CommitResult | undefined {
    if (!('unchangedSince' in condition)) return undefined;
    const since = resolveRef(condition.unchangedSince, revisions);
    const unchanged = since !== undefined && (text === '' ? current <= since : this.#prefixes.unchanged(text, since));
    return unchanged ? undefined : { ok: false, failed: condition };
  }

  #current(text: string, object: Buffer, overlay: Map<string, Current>): Current {
    let current = overlay.get(text);
    if (current === undefined) {
      const bytes = this.#kept(this.#session.tables.obj.getBinaryFast(object));
      if (bytes === undefined) current = ABSENT;
      else if (!looksSound(bytes)) current = { ...ABSENT, live: true };
      else
        current = {
          live: true,
          revision: revisionOfRecord(bytes),
          created: createdOfRecord(bytes),
          version: versionOfRecord(bytes),
          bytes,
        };
      overlay.set(text, current);
    }
    return current;
  }

  /** A copy of what the next read overwrites, until the end of the batch. */
  #kept(bytes: Buffer | undefined): Buffer | undefined {
    if (bytes === undefined) return undefined;
    if (this.#used + bytes.length > this.#before.length) {
      this.#before = Buffer.allocUnsafeSlow(Math.max(BEFORE_BYTES, bytes.length));
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += bytes.length;
    // lmdb-js gives its own large buffer with another `length`: `set` would see all of it without the view.
    this.#before.set(bytes.subarray(0, bytes.length), start);
    return this.#before.subarray(start, this.#used);
  }

  /** Finishes what was encoded, and gives what it replaces. */
  #stamp(write: PlannedWrite, log: Buffer, overlay: Map<string, Current>, revision: number): Current {
    const before = this.#current(write.text, write.object, overlay);
    const created = before.live ? before.created : revision;
    const version = before.version + 1;
    stamp(write.record, write.body, revision, created, version);
    stampLogChange(log, write.logAt, before.revision, markOfRecord(write.record));
    overlay.set(write.text, write.deletes ? ABSENT : { live: true, revision, created, version, bytes: write.record });
    this.#prefixes.note(write.prefixes, revision);
    return before;
  }

  #put(accepted: readonly Accepted[], head: Head): void {
    const { obj, hist, idx, log } = this.#session.tables;
    let bytes = head.bytes;
    let bytesBefore = head.bytes;
    const group = this.#group;
    const finish = (): void => {
      const { record, last } = group.finish(bytesBefore, bytes);
      put(log, revisionKey(last), record);
      bytesBefore = bytes;
    };
    for (const { request, revision, before } of accepted) {
      if (!group.fits(request.log)) finish();
      request.writes.forEach((write, index) => {
        const old = before[index] as Current;
        if (old.revision > 0) {
          const end = write.objectAt + write.object.length + REVISION_SUFFIX;
          writeRevision(write.slab, old.revision, end - 8);
          put(hist, write.slab.subarray(write.objectAt, end), old.bytes);
          bytes += old.bytes.length;
        }
        if (write.deletes) {
          put(hist, versionKey(write.object, revision), write.record);
          remove(obj, write.object);
        } else {
          put(obj, write.object, write.record);
        }
        for (const key of write.removeIndex) remove(idx, key);
        for (const key of write.addIndex) put(idx, key, NOTHING);
      });
      bytes += request.log.length;
      group.add(revision, request.log);
    }
    if (group.count === 0) return;
    finish();
    this.#session.leave({ revision: (accepted.at(-1) as Accepted).revision, bytes });
    if (!this.#isVouched()) this.#vouched = { premises: this.#premises, changes: this.#session.metaChanges };
  }

  /** Whether the premises held at our last commit, and this process has changed nothing that they could be about. */
  #isVouched(): boolean {
    return this.#vouched?.premises === this.#premises && this.#vouched.changes === this.#session.metaChanges;
  }
}

/** What stands in the way of a request; a damaged record is left out, reading it tells. */
function entryOf(object: Buffer, bytes: Buffer): Entry | undefined {
  try {
    return decodeRecord(object, Buffer.from(bytes));
  } catch {
    return undefined;
  }
}
