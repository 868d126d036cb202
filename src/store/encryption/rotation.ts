/**
 * Brings every kept version to the key that seals now: its data key is wrapped anew, its content stays as it is.
 *
 * Invariants: no revision, no event; a version that changes meanwhile is left alone and found again. The place reached is
 * remembered, so a rotation that was killed goes on where it was, in any process. It ends when a whole pass found nothing.
 */
import { AbortedError, isCorrupt, isDecryption } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import type { RotationProgress, RotationReport } from '../types.js';
import type { Engine, Entry, Rewrite, VersionPosition } from '../engine.js';
import { describeKey } from '../keys.js';
import type { KeyedSealer } from './sealer.js';

export interface RotationHost {
  readonly deps: Deps;
  readonly sealer: KeyedSealer;
  readonly signal: AbortSignal;
  primary(): string;
  engine(): Engine;
  /** Waits until what was sealed with an earlier key and is on its way has been committed. */
  drain(): Promise<void>;
  /** Sealed bytes for an entry that lies in the clear and should not. */
  sealClear(entry: Entry): Uint8Array | undefined;
  /** Whether an entry that is no envelope is what it should be, in the clear. */
  isClear(entry: Entry): boolean;
  progress(now: RotationProgress): void;
}

interface RotationRecord {
  readonly key: string;
  readonly rewrapped: number;
  readonly after?: VersionPosition | undefined;
}

const META_NAME = 'secrets-rotation';
/** Versions in one step: many when they are small, few when they are large (an object may have a MiB). */
const FIRST_STEP = 64;
const LEAST_STEP = 8;
const MOST_STEP = 512;
const STEP_BYTES = 1024 * 1024;
/** Steps between two notes of the place reached. */
const STEPS_A_NOTE = 16;
const MOST_FAILED = 100;

/** Whether a rotation was begun and not finished. */
export async function hasRotation(engine: Engine): Promise<boolean> {
  return (await engine.meta.get(META_NAME)) !== undefined;
}

/** Notes that one begins, before its key seals anything. */
export async function beginRotation(engine: Engine, key: string): Promise<void> {
  await engine.meta.set(META_NAME, JSON.stringify({ key, rewrapped: 0 } satisfies RotationRecord));
}

/** Runs until everything is on the primary key. @throws {AbortedError} when stopped; it goes on from there next time */
export async function runRotation(host: RotationHost): Promise<RotationReport> {
  const key = host.primary();
  const noted = parse(await host.engine().meta.get(META_NAME));
  // A note for another key says nothing about how far this one is.
  let after = noted?.key === key ? noted.after : undefined;
  let rewrapped = noted?.key === key ? noted.rewrapped : 0;
  for (let pass = 1; ; pass += 1) {
    await host.drain();
    const whole = after === undefined;
    const outcome = await runPass(host, { key, pass, after, rewrapped });
    rewrapped = outcome.rewrapped;
    after = undefined;
    if (whole && outcome.changed === 0) {
      await host.engine().meta.set(META_NAME, undefined);
      return { key, pass, scanned: outcome.scanned, rewrapped, failed: outcome.failed };
    }
  }
}

async function runPass(
  host: RotationHost,
  from: { readonly key: string; readonly pass: number; readonly after: VersionPosition | undefined; readonly rewrapped: number },
): Promise<{ readonly scanned: number; readonly rewrapped: number; readonly changed: number; readonly failed: readonly string[] }> {
  const { key, pass } = from;
  const failed: string[] = [];
  let { after, rewrapped } = from;
  let scanned = 0;
  let changed = 0;
  let limit = FIRST_STEP;
  for (let step = 1; ; step += 1) {
    if (host.signal.aborted)
      throw new AbortedError('the rotation of keys was stopped; it goes on when the store is opened again', { cause: host.signal.reason });
    const { entries, more } = await host.engine().walk({}, { after, limit });
    limit = nextStep(entries);
    const rewrites: Rewrite[] = [];
    for (const entry of entries) {
      try {
        const value = anew(host, entry);
        if (value !== undefined) rewrites.push({ key: entry.key, revision: entry.revision, expect: entry.value!, value });
      } catch (error) {
        if (!isCorrupt(error) && !isDecryption(error)) throw error;
        if (failed.length < MOST_FAILED) failed.push(`${describeKey(entry.key)} at revision ${entry.revision}`);
      }
    }
    if (rewrites.length > 0) {
      const count = (await host.engine().rewrite(rewrites)) ?? 0;
      rewrapped += count;
      changed += rewrites.length;
    }
    scanned += entries.length;
    const last = entries.at(-1);
    if (last !== undefined) after = { key: last.key, revision: last.revision };
    host.progress({ key, pass, scanned, rewrapped });
    if (!more || last === undefined) return { scanned, rewrapped, changed, failed };
    if (step % STEPS_A_NOTE === 0)
      await host.engine().meta.set(META_NAME, JSON.stringify({ key, rewrapped, after } satisfies RotationRecord));
    await host.deps.scheduler.turn();
  }
}

function anew(host: RotationHost, entry: Entry): Uint8Array | undefined {
  if (entry.value === undefined) return undefined;
  return host.sealer.owns(entry.value) ? host.sealer.rewrap(entry.value, entry.key) : host.sealClear(entry);
}

/** How many versions to take next, from the size of those at hand. */
function nextStep(entries: readonly Entry[]): number {
  let bytes = 1;
  for (const { value } of entries) bytes += value?.length ?? 0;
  return Math.max(LEAST_STEP, Math.min(MOST_STEP, Math.floor((STEP_BYTES * entries.length) / bytes)));
}

/** What is kept, by the key it needs. */
export interface KeyCounts {
  /** Versions by the id of the key that seals them. */
  readonly sealed: ReadonlyMap<string, number>;
  /** Damaged versions, of which nobody can say which key they need; the first hundred are named. */
  readonly unreadable: { readonly count: number; readonly named: readonly string[] };
}

/** How many kept versions each key seals. */
export async function countKeys(host: Pick<RotationHost, 'deps' | 'sealer' | 'engine' | 'isClear'>): Promise<KeyCounts> {
  const sealed = new Map<string, number>();
  const named: string[] = [];
  let count = 0;
  let after: VersionPosition | undefined;
  let limit = FIRST_STEP;
  for (;;) {
    const { entries, more } = await host.engine().walk({}, { after, limit });
    limit = nextStep(entries);
    for (const entry of entries) {
      const { key, value, revision } = entry;
      after = { key, revision };
      if (value === undefined) continue;
      const id = keyOf(host, entry, value);
      if (id === 'none') continue;
      if (id !== undefined) {
        sealed.set(id, (sealed.get(id) ?? 0) + 1);
        continue;
      }
      count += 1;
      if (named.length < MOST_FAILED) named.push(`${describeKey(key)} at revision ${revision}`);
    }
    if (!more || entries.length === 0) return { sealed, unreadable: { count, named } };
    await host.deps.scheduler.turn();
  }
}

/** The key that a version needs; undefined when that cannot be told. */
function keyOf(host: Pick<RotationHost, 'sealer' | 'isClear'>, entry: Entry, value: Uint8Array): string | undefined {
  if (!host.sealer.owns(value)) return host.isClear(entry) ? 'none' : undefined;
  try {
    return host.sealer.keyOf(value, entry.key);
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    return undefined;
  }
}

function parse(text: string | undefined): RotationRecord | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as RotationRecord);
}
