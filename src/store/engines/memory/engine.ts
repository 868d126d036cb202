/**
 * An engine over a piece of memory. What is committed is pending until a later turn (or a set latency); then it becomes
 * durable, visible and resolved in one step. A crash in between drops it.
 *
 * Invariants: one commit at a time; once failed, closed or crashed, every call rejects.
 */
import { AbortedError, StoreClosedError, StoreError, StoreFailedError } from '../../../schemas/index.js';
import type { Deps } from '../../deps.js';
import type { ChangeBatch, CommitRequest, CommitResult, Engine, EngineMeta, InPlaceReads, Premise } from '../../engine.js';
import { versionMark } from '../../version-mark.js';
import { checkBatch, checkLimit, checkReadable, expired, refusedBatch } from '../checks.js';
import { compactMemory } from './compaction.js';
import type { MemoryState } from './state.js';
import { reindexItems, rewriteVersions, verifyMemory, walkVersions } from './versions.js';

const LIMITS = { operations: 1024, bytes: 8 * 1024 * 1024 };
const BATCHES_A_TURN = 256;
/** Batches whose names alone are told in one go. */
const BATCHES_A_SLICE = 4096;

/** A fault to inject into the next commit. */
export interface CommitFault {
  readonly error: Error;
  /** Whether the writes become durable although the commit fails. */
  readonly applied: boolean;
}

/** What an engine needs of the piece of memory it was opened on. */
export interface MemoryHost {
  readonly state: MemoryState;
  readonly decoded: boolean;
  latencyMs(): number;
  takeFault(): CommitFault | undefined;
  closed(): void;
}

/** An open memory engine, and the way to kill it. */
export interface OpenMemory {
  readonly engine: Engine;
  crash(): void;
}

export function openMemory(host: MemoryHost, deps: Deps): OpenMemory {
  const { state } = host;
  const { scheduler } = deps;
  let dead: (() => Error) | undefined;
  let committing = false;
  /** What waits to become durable: how to reject it in a crash. */
  const pending = new Set<(error: Error) => void>();
  const whenIdle: (() => void)[] = [];

  const check = (): void => {
    if (dead) throw dead();
  };

  /** Runs `land` at the moment of durability, unless the engine has died by then. */
  const durably = <T>(land: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      pending.add(reject);
      const task = (): void => {
        if (!pending.delete(reject)) return;
        try {
          resolve(land());
        } catch (error) {
          reject(error);
        }
        if (pending.size === 0) for (const idle of whenIdle.splice(0)) idle();
      };
      const latency = host.latencyMs();
      if (latency > 0) scheduler.after(latency, task);
      else scheduler.defer(task);
    });

  const unmet = (premises: readonly Premise[] | undefined): Premise | undefined =>
    premises?.find(({ meta: name, text }) => (state.meta.get(name) ?? null) !== text);

  const commit = async (batch: readonly CommitRequest[], premises?: readonly Premise[]): Promise<readonly CommitResult[]> => {
    check();
    if (committing) throw new StoreError('a commit is under way: an engine takes one at a time');
    const checked = checkBatch(batch, LIMITS);
    committing = true;
    try {
      return await durably(() => {
        const fault = host.takeFault();
        const failed = unmet(premises);
        const results = failed !== undefined ? refusedBatch(batch, failed) : fault?.applied === false ? [] : state.apply(batch, checked);
        if (fault === undefined) return results;
        dead = () => new StoreFailedError('a commit failed: close the engine and open it again', { inDoubt: false, cause: fault.error });
        throw fault.error;
      });
    } finally {
      committing = false;
    }
  };

  const meta: EngineMeta = {
    async get(name) {
      check();
      return state.meta.get(name);
    },
    async set(name, text, options) {
      check();
      return durably(() => {
        const expect = options?.expect;
        if (expect !== undefined && (state.meta.get(name) ?? null) !== expect) return false;
        if (text === undefined) state.meta.delete(name);
        else state.meta.set(name, text);
        return true;
      });
    },
  };

  async function* changes(
    from: number,
    options: { limit?: number | undefined; signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<ChangeBatch> {
    let left = checkLimit(options.limit);
    for (let next = from + 1, sinceTurn = 0; left > 0; next++, left--, sinceTurn++) {
      if (sinceTurn === BATCHES_A_TURN) {
        sinceTurn = 0;
        await scheduler.turn();
      }
      check();
      if (options.signal?.aborted) throw new AbortedError('reading changes was aborted', { cause: options.signal.reason });
      if (next <= state.compacted) throw expired(next - 1, state.revision, state.compacted);
      const record = state.log[next - state.logStart];
      if (record === undefined) return;
      yield record.batch;
    }
  }

  const present = (at: number | undefined): number => {
    check();
    if (at !== undefined) checkReadable(at, state.revision, state.compacted);
    return at ?? state.revision;
  };

  const inPlace: InPlaceReads = {
    get(key, use) {
      const entry = state.get(key, present(undefined));
      return entry && use(entry);
    },
    async range(prefix, options, use) {
      const { entries, more } = state.range(prefix, options, checkLimit(options.limit), present(options.at));
      return { items: entries.map(use), next: more ? entries.at(-1)?.key : undefined };
    },
    changes(from, limit, use) {
      check();
      if (from < state.compacted) throw expired(from, state.revision, state.compacted);
      const begin = from + 1 - state.logStart;
      return state.log.slice(begin, begin + Math.min(limit, BATCHES_A_TURN)).map(({ batch }) => ({
        revision: batch.revision,
        changes: batch.changes.map(({ entry, previous }) => ({ entry: use(entry), previous: previous && use(previous) })),
      }));
    },
  };

  const engine: Engine = {
    name: 'memory',
    limits: LIMITS,
    capabilities: { history: 'perKey', shared: false, decoded: host.decoded },
    meta,
    inPlace,
    revision() {
      check();
      return { current: state.revision, compacted: state.compacted };
    },
    async get(key, options) {
      return state.get(key, present(options?.at));
    },
    async range(prefix, options = {}) {
      return state.range(prefix, options, checkLimit(options.limit), present(options.at));
    },
    async lookup(entry, options) {
      check();
      return state.lookup(entry, options?.after, checkLimit(options?.limit));
    },
    commit,
    changes,
    async logged(type, from) {
      check();
      if (from < state.compacted) throw expired(from, state.revision, state.compacted);
      const begin = Math.max(0, from + 1 - state.logStart);
      const slice = state.log.slice(begin, begin + BATCHES_A_SLICE);
      const writes = slice.flatMap(({ batch }) =>
        batch.changes
          .filter(({ entry }) => entry.key.type === type)
          .map(({ entry: { key, revision, meta, version } }) => ({ key, revision, mark: versionMark(meta.uid, version) })),
      );
      return { writes, upTo: slice.at(-1)?.batch.revision ?? from };
    },
    async versions(key, options) {
      check();
      const limit = checkLimit(options?.limit);
      const before = options?.before ?? Infinity;
      const found = state.versionsOf(key).filter((entry) => entry.revision < before);
      return limit < found.length ? found.slice(0, limit) : found;
    },
    async walk(prefix, options) {
      check();
      return walkVersions(state, prefix, options?.after, checkLimit(options?.limit));
    },
    async rewrite(versions, premises) {
      check();
      return durably(() => (unmet(premises) === undefined ? rewriteVersions(state, versions, host.decoded) : undefined));
    },
    async reindex(prefix, after, { entriesOf, premises }) {
      check();
      return durably(() => (unmet(premises) === undefined ? reindexItems(state, prefix, after, entriesOf) : 'unmet'));
    },
    async dropIndex(index) {
      check();
      return durably(() => {
        state.dropIndex(index);
        return false;
      });
    },
    async compact(revision, options) {
      check();
      await compactMemory(state, revision, { ...options, scheduler, check });
    },
    onForeignCommit() {
      return () => undefined;
    },
    async stats() {
      check();
      return {
        revision: state.revision,
        compacted: state.compacted,
        objects: state.live,
        versions: state.versions,
        bytes: state.bytes,
        windowBytes: state.windowBytes,
      };
    },
    async verify(entriesOf) {
      check();
      return verifyMemory(state, entriesOf);
    },
    async close() {
      dead ??= () => new StoreClosedError('the engine is closed');
      if (pending.size > 0) await new Promise<void>((resolve) => whenIdle.push(resolve));
      host.closed();
    },
  };

  return {
    engine,
    crash() {
      dead = () => new StoreClosedError('the engine died in a crash: open it again');
      for (const reject of pending) reject(new StoreFailedError('the engine died before the write was durable', { inDoubt: true }));
      pending.clear();
      for (const idle of whenIdle.splice(0)) idle();
    },
  };
}
