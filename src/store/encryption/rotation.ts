/**
 * Brings every kept version to the key that seals now: its data key is wrapped anew, its content stays as it is.
 *
 * Invariants: no revision, no event; a version that changes meanwhile is left alone and found again. The place reached is
 * remembered, so a rotation that was killed goes on where it was, in any process. It ends when a whole pass found nothing: what
 * is committed meanwhile is under the key that seals. Two at once do each other no harm.
 */
import { AbortedError, isCorrupt, isDecryption } from '../../schemas/index.js';
import type { Deps } from '../deps.js';
import type { RotationProgress, RotationReport } from '../types.js';
import type { Engine, Entry, Premise, Rewrite, VersionPosition } from '../engine.js';
import { describeKey } from '../keys.js';
import type { KeyedSealer } from './sealer.js';

export interface RotationHost {
  readonly deps: Deps;
  readonly sealer: KeyedSealer;
  readonly signal: AbortSignal;
  engine(): Engine;
  /** The id of the key that seals. @throws {ForbiddenError} when this process does not have it */
  primary(): string;
  /** What the present sealing rests on. */
  premises(): readonly Premise[];
  /** Takes in what others did to the premises. */
  reload(): Promise<void>;
  /** Sealed bytes for an entry that lies in the clear and should not. */
  sealClear(entry: Entry): Uint8Array | undefined;
  /** Notes that everything is under this key; false when another one seals by now. */
  finish(key: string): Promise<boolean>;
  progress(now: RotationProgress): void;
}

/** What is kept, by the key it needs. */
export interface KeyCounts {
  /** Versions by the id of the key that seals them. */
  readonly versions: ReadonlyMap<string, number>;
  /** Damaged versions, of which nobody can say which key they need; the first hundred are named. */
  readonly unreadable: { readonly count: number; readonly named: readonly string[] };
}

export interface CountHost extends Pick<RotationHost, 'deps' | 'sealer' | 'engine'> {
  /** Whether an entry that is no envelope is what it should be, in the clear. */
  isClear(entry: Entry): boolean;
}

/** The place that a rotation has reached. */
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

/** Brings everything to the key that seals, whichever that is by then. @throws {AbortedError} when stopped; it goes on from there next time */
export async function runRotation(host: RotationHost): Promise<RotationReport> {
  for (;;) {
    const key = host.primary();
    const report = await bringTo(host, key);
    if (report === undefined) continue;
    await host.engine().meta.set(META_NAME, undefined);
    if (await host.finish(key)) return report;
  }
}

/** Undefined when another key seals by now. */
async function bringTo(host: RotationHost, key: string): Promise<RotationReport | undefined> {
  const noted = parse(await host.engine().meta.get(META_NAME));
  // A note for another key says nothing about how far this one is.
  let after = noted?.key === key ? noted.after : undefined;
  let rewrapped = noted?.key === key ? noted.rewrapped : 0;
  for (let pass = 1; ; pass += 1) {
    const whole = after === undefined;
    const outcome = await runPass(host, { key, pass, after, rewrapped });
    if (outcome === undefined) return undefined;
    rewrapped = outcome.rewrapped;
    after = undefined;
    if (whole && outcome.changed === 0) return { key, pass, scanned: outcome.scanned, rewrapped, failed: outcome.failed };
  }
}

interface PassOutcome {
  readonly scanned: number;
  readonly rewrapped: number;
  readonly changed: number;
  readonly failed: readonly string[];
}

async function runPass(
  host: RotationHost,
  from: { readonly key: string; readonly pass: number; readonly after: VersionPosition | undefined; readonly rewrapped: number },
): Promise<PassOutcome | undefined> {
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
    if (host.primary() !== key) return undefined;
    limit = nextStep(entries);
    const premises = host.premises();
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
      const count = await host.engine().rewrite(rewrites, premises);
      // What was left as it was is found by the next pass.
      if (count === undefined) await host.reload();
      rewrapped += count ?? 0;
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

/** How many kept versions each key seals: of all that is committed. */
export async function countKeys(host: CountHost): Promise<KeyCounts> {
  const versions = new Map<string, number>();
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
        versions.set(id, (versions.get(id) ?? 0) + 1);
        continue;
      }
      count += 1;
      if (named.length < MOST_FAILED) named.push(`${describeKey(key)} at revision ${revision}`);
    }
    if (!more || entries.length === 0) return { versions, unreadable: { count, named } };
    await host.deps.scheduler.turn();
  }
}

/** The key that a version needs; undefined when that cannot be told. */
function keyOf(host: Pick<CountHost, 'sealer' | 'isClear'>, entry: Entry, value: Uint8Array): string | undefined {
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
