/**
 * What the engine cases share: short ways to write, read and compare.
 *
 * Invariant: nothing here knows an engine; values are plain text, so that a failing assertion can be read.
 */
import assert from 'node:assert/strict';
import type {
  ChangeBatch,
  CommitRequest,
  CommitResult,
  Engine,
  EngineChange,
  EngineSource,
  Entry,
  IndexEntry,
  Key,
  Precondition,
  Write,
  Deps,
} from '../../store/index.js';

/** What the author of an engine hands in: a fresh, empty source for each case. */
export interface EngineSubject {
  readonly source: EngineSource;
  readonly deps: Deps;
  /** Cleans up after the case; every engine has been closed by then. */
  dispose?(): Promise<void> | void;
}

/** A test runner's two functions, and where the engines come from. */
export interface EngineConformanceOptions {
  readonly describe: (name: string, body: () => void) => void;
  readonly it: (name: string, body: () => Promise<void>) => void;
  readonly open: () => Promise<EngineSubject> | EngineSubject;
  /** Told when a case does not apply to the engine, by name, with the capability it lacks. */
  readonly skipped?: ((name: string, why: string) => void) | undefined;
}

/** What a case works with. */
export interface CaseContext {
  readonly engine: Engine;
  readonly deps: Deps;
  /** Closes the engine and opens the same source again. */
  reopen(): Promise<Engine>;
  /** Ends the case when `holds` is false, and says so. */
  need(holds: boolean, why: string): void;
}

export type Case = (context: CaseContext) => Promise<void>;

export const encode = (text: string): Uint8Array => Buffer.from(text);
export const decode = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString();

/** `t/ns/name`, `t//name` for cluster scope. */
export function k(path: string): Key {
  const [type = '', namespace = '', name = ''] = path.split('/');
  return { type, namespace, name };
}

export function path(key: Key): string {
  return `${key.type}/${key.namespace}/${key.name}`;
}

export interface WriteParts {
  readonly verb?: Write['meta']['verb'];
  readonly uid?: string;
  readonly generation?: number;
  readonly time?: number;
  readonly source?: string;
  readonly add?: readonly IndexEntry[];
  readonly remove?: readonly IndexEntry[];
  readonly decoded?: unknown;
}

/** A write of `text`, or a delete when it is undefined. */
export function write(at: string, text: string | undefined, parts: WriteParts = {}): Write {
  const {
    verb = text === undefined ? 'delete' : 'update',
    uid = `uid-${at}`,
    generation = 1,
    time = 1000,
    source,
    add,
    remove,
    decoded,
  } = parts;
  return {
    key: k(at),
    value: text === undefined ? undefined : encode(text),
    meta: { verb, uid, generation, time, source },
    addIndex: add,
    removeIndex: remove,
    ...(decoded === undefined ? {} : { decoded }),
  };
}

/** A request for one write or several; its id names the keys. */
export function request(writes: Write | readonly Write[], ...expect: readonly Precondition[]): CommitRequest {
  const list = 'key' in writes ? [writes] : writes;
  return { id: `write of ${list.map((each) => path(each.key)).join(' ')}`.slice(0, 100), writes: list, expect };
}

/** Commits one request that must succeed; its revision. */
export async function put(engine: Engine, at: string, text: string | undefined, parts?: WriteParts): Promise<number> {
  const [result] = await engine.commit([request(write(at, text, parts))]);
  return revisionOf(result);
}

export function revisionOf(result: CommitResult | undefined): number {
  assert.ok(result?.ok, `the request was refused: ${JSON.stringify(result)}`);
  return result.revision;
}

/** Entries as `path=text@revision`. */
export function show(entries: readonly Entry[]): string[] {
  return entries.map((entry) => `${path(entry.key)}=${decode(entry.value) ?? '-'}@${entry.revision}`);
}

export function showChange({ entry, previous }: EngineChange): string {
  return `${entry.meta.verb} ${show([entry])[0]} was ${previous ? show([previous])[0] : 'nothing'}`;
}

export async function readChanges(engine: Engine, from: number, options?: { readonly limit?: number }): Promise<ChangeBatch[]> {
  const batches: ChangeBatch[] = [];
  for await (const batch of engine.changes(from, options)) batches.push(batch);
  return batches;
}

/** Changes as `revision: change`, one line each. */
export async function changeLines(engine: Engine, from: number): Promise<string[]> {
  const batches = await readChanges(engine, from);
  return batches.flatMap((batch) => batch.changes.map((change) => `${batch.revision}: ${showChange(change)}`));
}

/** Asserts that a promise rejects with a reason of the error family. */
export async function rejects(
  action: Promise<unknown> | (() => Promise<unknown>),
  reason: string,
): Promise<Error & Record<string, unknown>> {
  try {
    await (typeof action === 'function' ? action() : action);
  } catch (error) {
    assert.equal((error as { reason?: string }).reason, reason, `wrong error: ${String(error)}`);
    return error as Error & Record<string, unknown>;
  }
  assert.fail(`nothing was thrown, ${reason} was expected`);
}
