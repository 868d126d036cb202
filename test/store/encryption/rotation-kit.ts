/**
 * Kills a process that rotates keys under load, again and again, and looks at what is left.
 *
 * Real world: processes that are killed at moments of the real clock.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Secret } from '../../../src/schemas/index.js';
import type { Store } from '../../../src/store/index.js';
import { open } from './support.js';

const script = fileURLToPath(new URL('rotation.process.ts', import.meta.url));

export interface KillReport {
  readonly kills: number;
  readonly acknowledged: number;
  /** Writes acknowledged a second, while the processes that were killed were writing. */
  readonly rate: number;
  /** Kills that struck while a rotation was under way. */
  readonly cutOff: number;
  /** Acknowledged writes that are not there, or not as they were acknowledged. */
  readonly lost: readonly string[];
  readonly unreadable: readonly string[];
  readonly versions: number;
  readonly leftOnOldKeys: number;
  readonly dropped: number;
  /** What cannot be read, or reads as something else, once the old keys are gone and the store was opened without them. */
  readonly lostWithOldKeys: readonly string[];
  readonly problems: readonly string[];
}

/** Per name, what was acknowledged: the value by the revision that the acknowledgement named. */
export type Acknowledged = ReadonlyMap<string, ReadonlyMap<number, string>>;

/**
 * Runs `kills` times until the process says it rotates, waits, kills it; then looks at everything. Where fewer than
 * `leastCutOff` kills struck inside a rotation it kills on, three times as often at most.
 */
export async function killRotations(options: {
  readonly directory: string;
  readonly kills: number;
  readonly leastCutOff: number;
  readonly rate: number;
  /** How long after the first sign of a rotation the process is killed, ms. */
  readonly delay: (kill: number) => number;
}): Promise<KillReport> {
  const { directory, leastCutOff, rate, delay } = options;
  const acknowledged = new Map<string, Map<number, string>>();
  let count = 0;
  const acknowledge = (name: string, value: string, revision: string): void => {
    const values = acknowledged.get(name) ?? new Map<number, string>();
    acknowledged.set(name, values.set(Number(revision), value));
    count += 1;
  };
  let cutOff = 0;
  let kills = 0;
  let writingMs = 0;
  for (; kills < options.kills || (cutOff < leastCutOff && kills < 3 * options.kills); kills += 1) {
    const child = spawn(process.execPath, ['--import', 'tsx', script, directory, String(rate), 'rotate'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = once(child, 'exit');
    let timer: NodeJS.Timeout | undefined;
    let isRotating = false;
    let began = Number.NaN;
    for await (const line of createInterface({ input: child.stdout })) {
      const [what, name = '', value = '', revision = ''] = line.split(' ');
      if (what === 'ready') began = performance.now();
      if (what === 'ack') acknowledge(name, value, revision);
      else isRotating = what === 'progress';
      // The first round lets enough be written for a rotation to take a while.
      if (timer === undefined && (what === 'progress' || what === 'rotated') && count > 50)
        timer = setTimeout(() => child.kill('SIGKILL'), delay(kills));
    }
    writingMs += performance.now() - began;
    clearTimeout(timer);
    const [code, signal] = (await exit) as [number | null, string | null];
    if (signal !== 'SIGKILL') throw new Error(`the process ended by itself: ${String(code)} ${String(signal)}`);
    if (isRotating) cutOff += 1;
  }
  const reached = (count * 1000) / writingMs;
  const last = spawn(process.execPath, ['--import', 'tsx', script, directory, String(rate), 'resume'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const end = once(last, 'exit');
  for await (const line of createInterface({ input: last.stdout })) {
    const [what, name = '', value = '', revision = ''] = line.split(' ');
    if (what === 'ack') acknowledge(name, value, revision);
  }
  const [code] = (await end) as [number | null];
  if (code !== 0) throw new Error(`the last process ended with ${String(code)}`);

  const before = await opened(directory, async (store) => {
    const found = await compare(store, acknowledged);
    const old = (await store.keys()).filter(({ primary }) => !primary);
    for (const { id } of old) await store.dropKey(id);
    const leftOnOldKeys = old.reduce((sum, { versions }) => sum + versions, 0);
    return { ...found, leftOnOldKeys, dropped: old.length };
  });
  // Opened anew: what the store held in its memory cannot stand in for a key that is gone.
  const after = await opened(directory, async (store) => ({
    ...(await compare(store, acknowledged)),
    problems: (await store.verify()).problems,
  }));
  const lostWithOldKeys = [...after.lost, ...after.unreadable];
  if (after.versions !== before.versions) lostWithOldKeys.push(`there were ${before.versions} versions, and are ${after.versions}`);
  return { kills, acknowledged: count, rate: reached, cutOff, ...before, lostWithOldKeys, problems: after.problems };
}

async function opened<T>(directory: string, look: (store: Store) => Promise<T>): Promise<T> {
  await using store = await open({ path: directory });
  return await look(store);
}

/**
 * Holds what is there against what was acknowledged. What was written and not acknowledged may be there or not; what was
 * acknowledged is there as long as it is kept, and what is newest is no older than it.
 */
export async function compare(store: Store, acknowledged: Acknowledged): Promise<Pick<KillReport, 'lost' | 'unreadable' | 'versions'>> {
  const lost: string[] = [];
  const unreadable: string[] = [];
  const { items, failed } = await store.list(Secret);
  for (const { name, error } of failed) unreadable.push(`${name}: ${error.message}`);
  const there = new Map(items.map((item) => [item.metadata.name, item]));
  let versions = 0;
  for (const [name, values] of acknowledged) {
    const newest = Math.max(...values.keys());
    const found = there.get(name);
    const revision = Number(found?.metadata.resourceVersion ?? Number.NaN);
    // Not by the values: those of two processes have no order.
    if (!(revision >= newest) || (revision === newest && found?.data?.['value'] !== values.get(newest)))
      lost.push(`${name}: ${values.get(newest)} at ${newest}, there is ${String(found?.data?.['value'])} at ${revision}`);
    const kept = new Map<number, string | undefined>();
    for (const { version, resource, error } of await store.getHistory(Secret, 'prod', name)) {
      versions += 1;
      kept.set(Number(version), undefined);
      try {
        if (error !== undefined) throw error;
        if (resource.data?.['same']?.reveal() !== 'for all') throw new Error('it holds something else');
        kept.set(Number(version), resource.data['value']?.reveal());
      } catch (thrown) {
        unreadable.push(`${name} at ${version}: ${String(thrown)}`);
      }
    }
    // Retention takes the oldest ones; between those that are kept none is missing.
    const oldest = Math.min(...kept.keys());
    for (const [at, value] of values)
      if (at >= oldest && kept.get(at) !== value) lost.push(`${name}: ${value} at ${at}, the history has ${String(kept.get(at))}`);
  }
  return { lost, unreadable, versions };
}
